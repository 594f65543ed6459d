"""Reference and filter what is drawn, never what is decoded: samples as they come -> samples to draw."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from .language import tr

__all__ = ["AVERAGE", "HIGHPASS_HZ", "LOWPASS_HZ", "NOTCH_HZ", "DisplayFilter", "DisplaySettings", "Piece", "design"]

AVERAGE = "average"
HIGHPASS_HZ = (None, 0.1, 1.0)
LOWPASS_HZ = (None, 30.0, 40.0, 100.0)
NOTCH_HZ = (None, 50.0, 60.0)
HIGHPASS_ORDER, LOWPASS_ORDER = 2, 4
NOTCH_QUALITY = 30.0  # 1.7 Hz wide at 50 Hz, as is usual
START_S = 0.5  # of signal from which a high-pass learns the level of a channel
HIGHEST = 0.9  # of the Nyquist frequency: what lies above it cannot be filtered, or is not there

Piece = tuple[NDArray[np.float64], NDArray[np.float32]]  # times and samples


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
    seen; a high-pass, which a single sample could mislead for seconds, waits for half a second of signal and starts as
    if its mean had been there. A sample that is NaN stays NaN, and the filters take its channel's last in its place.

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
        self._n_start = 1 if settings.highpass is None else math.ceil(START_S * sfreq)
        self._restart()

    def _restart(self) -> None:
        """Forget what came before: the next sample is the first."""
        self._waiting: list[Piece] = []  # until there are enough samples to start from
        self._state: NDArray[np.float64] | None = None  # (n_sections, n_channels, 2)
        self._held: NDArray[np.float64] | None = None  # (n_channels,) each one's last that was not NaN

    def add(self, times: NDArray[np.float64], data: NDArray[np.float32]) -> Piece:
        """Enter samples, and take what can be drawn.

        Parameters
        ----------
        times : ndarray of float64, shape (n_times,)
            Seconds, on any clock.
        data : ndarray of float32, shape (n_channels, n_times)
            Not written to; may be returned as it is where nothing is on.

        Returns
        -------
        times : ndarray of float64, shape (n_drawn,)
        data : ndarray of float32, shape (n_channels, n_drawn)
            In order; all that was entered, once the filters have started.
        """
        if self._sections is None or self._state is not None:
            return times, self._draw(data)
        self._waiting.append((times, data))
        if sum(len(some) for some, _ in self._waiting) < self._n_start:
            return times[:0], data[:, :0]
        return self._start()

    def finish(self) -> Piece | None:
        """Take what has been waiting for more, if anything has; the next sample is the first of another stretch."""
        last = self._start() if self._waiting else None
        self._restart()
        return last

    def _start(self) -> Piece:
        """Return what has been waiting."""
        times = np.concatenate([some for some, _ in self._waiting])
        data = np.concatenate([some for _, some in self._waiting], axis=1)
        self._waiting = []
        return times, self._draw(data)

    def _draw(self, data: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return samples, shape (n_channels, n_times), re-referenced and filtered."""
        if (self._reference is None and self._sections is None) or not data.shape[1]:
            return data
        out = data.astype(np.float64)
        if self._reference is not None and len(self._reference):
            out -= _mean(out[self._reference])
        if self._sections is not None:
            out = self._filter(out, self._sections)
        return out.astype(np.float32)

    def _filter(self, data: NDArray[np.float64], sections: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `data`, shape (n_channels, n_times), filtered; NaN stays NaN."""
        unknown = np.isnan(data)
        if self._state is None or self._held is None:
            self._state = np.zeros((len(sections), len(data), 2))
            self._held = np.full(len(data), np.nan)
            known = np.asarray((~unknown[:, : self._n_start]).any(axis=1))
            self._begin(known, _mean(data[known, : self._n_start].T), sections)
        late = np.isnan(self._held) & ~unknown.all(axis=1)  # channels that were NaN from the start up to now
        if late.any():
            self._begin(late, data[late, np.argmin(unknown[late], axis=1)], sections)
        if unknown.any():
            data = _hold(data, unknown, np.nan_to_num(self._held))
        self._held = np.where(np.isnan(self._held), np.nan, data[:, -1])
        out: NDArray[np.float64]
        out, self._state = sosfilt(sections, data, axis=1, zi=self._state)
        out[unknown] = np.nan
        return out

    def _begin(self, which: NDArray[np.bool_], level: NDArray[np.float64], sections: NDArray[np.float64]) -> None:
        """Make some channels' filters as if a level had been there for ever."""
        assert self._state is not None
        assert self._held is not None
        self._held[which] = level
        self._state[:, which] = sosfilt_zi(sections)[:, None] * level[:, None]


def _mean(data: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the first axis of what is not NaN, shape (n_times,); NaN where all is."""
    known = ~np.isnan(data)
    mean: NDArray[np.float64]
    if known.all():
        mean = data.mean(axis=0)
    else:
        with np.errstate(invalid="ignore"):
            mean = np.where(known, data, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def _hold(data: NDArray[np.float64], unknown: NDArray[np.bool_], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `data` with each unknown sample replaced by the channel's last known one, at first by `before`."""
    whole = np.concatenate([before[:, None], data], axis=1)
    known = np.concatenate([np.ones((len(data), 1), dtype=bool), ~unknown], axis=1)
    place = np.maximum.accumulate(np.where(known, np.arange(whole.shape[1]), 0), axis=1)
    return np.take_along_axis(whole, place, axis=1)[:, 1:]
