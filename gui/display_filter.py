"""Reference and filter what is drawn, never what is decoded: samples as they come -> samples to draw."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from .language import tr

__all__ = ["AVERAGE", "HIGHPASS_HZ", "LOWPASS_HZ", "NOTCH_HZ", "DisplayFilter", "DisplaySettings", "design"]

AVERAGE = "average"
HIGHPASS_HZ = (None, 0.1, 1.0)
LOWPASS_HZ = (None, 30.0, 40.0, 100.0)
NOTCH_HZ = (None, 50.0, 60.0)
HIGHPASS_ORDER, LOWPASS_ORDER = 2, 4
NOTCH_QUALITY = 30.0  # 1.7 Hz wide at 50 Hz, as is usual
HIGHEST = 0.9  # of the Nyquist frequency: what lies above it cannot be filtered, or is not there


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """What is done to the signal before it is drawn.

    Parameters
    ----------
    reference : str or None
        `AVERAGE`, or the name of a channel; None leaves the amplifier's.
    highpass, lowpass, notch : float or None
        Hz; None is off.
    """

    reference: str | None = None
    highpass: float | None = None
    lowpass: float | None = None
    notch: float | None = None

    def possible(self, ch_names: Sequence[str], sfreq: float) -> DisplaySettings:
        """Return what can be done of it: no channel that is not there, no frequency that the rate cannot hold."""

        def held(hz: float | None) -> float | None:
            return hz if hz is not None and hz < HIGHEST * sfreq / 2 else None

        reference = self.reference if self.reference == AVERAGE or self.reference in ch_names else None
        return DisplaySettings(reference, held(self.highpass), held(self.lowpass), held(self.notch))

    def describe(self) -> str:
        """Return what is on, in words; "" where nothing is."""
        words = []
        if self.reference == AVERAGE:
            words.append(tr("average reference"))
        elif self.reference is not None:
            words.append(tr("reference {channel}", channel=self.reference))
        if self.highpass is not None and self.lowpass is not None:
            words.append(f"{self.highpass:g}–{self.lowpass:g} Hz")
        elif self.highpass is not None:
            words.append(tr("from {hz:g} Hz", hz=self.highpass))
        elif self.lowpass is not None:
            words.append(tr("up to {hz:g} Hz", hz=self.lowpass))
        if self.notch is not None:
            words.append(tr("notch {hz:g} Hz", hz=self.notch))
        return " · ".join(words)


def design(settings: DisplaySettings, sfreq: float) -> NDArray[np.float64] | None:
    """Return the filters as one cascade.

    Parameters
    ----------
    settings : DisplaySettings
    sfreq : float
        Samples per second of the life that was recorded.

    Returns
    -------
    ndarray of float64, shape (n_sections, 6), or None
        Second-order sections: Butterworth high-pass and low-pass, notch; None where none is on.
    """
    sections = []
    if settings.highpass is not None:
        sections.append(butter(HIGHPASS_ORDER, settings.highpass, "highpass", fs=sfreq, output="sos"))
    if settings.lowpass is not None:
        sections.append(butter(LOWPASS_ORDER, settings.lowpass, "lowpass", fs=sfreq, output="sos"))
    if settings.notch is not None:
        sections.append(tf2sos(*iirnotch(settings.notch, NOTCH_QUALITY, fs=sfreq)))
    return np.concatenate(sections) if sections else None


class DisplayFilter:
    """Re-reference and filter a stream chunk by chunk; how it is cut makes no difference.

    The filters run forward in time only, so that a sample is drawn once and never changes; a low-pass of 40 Hz shows
    everything about 10 ms late. They start as if the first sample had been there for ever, so that no step response is
    seen. A sample that is NaN stays NaN, and the filters take its channel's last one in its place.

    Parameters
    ----------
    settings : DisplaySettings
    ch_names : sequence of str
    sfreq : float
        Samples per second of the life that was recorded.
    bad : collection of str
        Channels that the average leaves out.
    """

    def __init__(
        self, settings: DisplaySettings, ch_names: Sequence[str], sfreq: float, bad: Collection[str] = ()
    ) -> None:
        settings = settings.possible(ch_names, sfreq)
        self._reference: NDArray[np.int64] | None = None  # the channels whose mean is taken off
        if settings.reference == AVERAGE:
            self._reference = np.array([i for i, name in enumerate(ch_names) if name not in bad], dtype=np.int64)
        elif settings.reference is not None:
            self._reference = np.array([ch_names.index(settings.reference)])
        self._sections = design(settings, sfreq)
        self.restart()

    def restart(self) -> None:
        """Forget what came before: the next sample is the first."""
        self._state: NDArray[np.float64] | None = None  # (n_sections, n_channels, 2)
        self._held: NDArray[np.float64] | None = None  # (n_channels,) each one's last that was not NaN

    def __call__(self, data: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the next samples, float32 of shape (n_channels, n_times), as they are to be drawn; `data` is kept."""
        if (self._reference is None and self._sections is None) or not data.shape[1]:
            return data
        out = data.astype(np.float64)
        if self._reference is not None and len(self._reference):
            out -= _mean(out[self._reference])
        if self._sections is not None:
            out = self._filter(out)
        return out.astype(np.float32)

    def _filter(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `data`, shape (n_channels, n_times), filtered; NaN stays NaN."""
        assert self._sections is not None
        if self._state is None or self._held is None:
            self._state = np.zeros((len(self._sections), len(data), 2))
            self._held = np.full(len(data), np.nan)
        unknown = np.isnan(data)
        new = np.isnan(self._held) & ~unknown.all(axis=1)
        if new.any():
            first = data[new, np.argmin(unknown[new], axis=1)]
            self._held[new] = first
            self._state[:, new] = sosfilt_zi(self._sections)[:, None] * first[:, None]
        if unknown.any():
            data = _hold(data, unknown, np.nan_to_num(self._held))
        self._held = np.where(np.isnan(self._held), np.nan, data[:, -1])
        out, self._state = sosfilt(self._sections, data, axis=1, zi=self._state)
        out[unknown] = np.nan
        return out


def _mean(data: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over channels of those that are not NaN, shape (n_times,); NaN where all are."""
    known = ~np.isnan(data)
    if known.all():
        return data.mean(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(known, data, 0.0).sum(axis=0) / known.sum(axis=0)


def _hold(data: NDArray[np.float64], unknown: NDArray[np.bool_], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `data` with each unknown sample replaced by the channel's last known one, at first by `before`."""
    whole = np.concatenate([before[:, None], data], axis=1)
    known = np.concatenate([np.ones((len(data), 1), dtype=bool), ~unknown], axis=1)
    place = np.maximum.accumulate(np.where(known, np.arange(whole.shape[1]), 0), axis=1)
    return np.take_along_axis(whole, place, axis=1)[:, 1:]
