"""Average the response to the events so far: EEGRing, marks -> mean epoch, global field power."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .eeg_ring import EEGRing
from .mark import Mark

__all__ = ["TMAX", "TMIN", "Evoked", "band_amplitude"]

TMIN, TMAX = -0.2, 0.8  # s from the onset
PEAK_S = (0.05, 0.5)  # from the onset: before, nothing has arrived in cortex; later come answers to other pictures
RATE_HZ = 250.0  # of the average at most: neighbouring samples are averaged, which keeps the responses
MAX_EPOCHS_AT_ONCE = 8
MARGIN_SAMPLES = 2


class Evoked:
    """The mean epoch of one run, as sums: its size does not grow.

    Each epoch is taken against its own baseline, the time before the onset. Epochs that the decoder refused, or has
    not answered before they leave the ring, are left out, so are those with a hole; and from each epoch the channels
    that are bad then. Seconds are the recording's: a player that is faster than life makes no difference.

    Parameters
    ----------
    ring : EEGRing
        Whose signal; another ring needs another average.
    since : float
        Earlier events (s, LSL clock) belong to another run.

    Attributes
    ----------
    n_epochs : int
    times : ndarray, shape (n_times,)
        Seconds from the onset.
    """

    def __init__(self, ring: EEGRing, since: float = -np.inf) -> None:
        self.ring = ring
        self.since = since
        info = ring.info
        rate = info.sfreq / info.speed
        self._block = max(1, int(rate / RATE_HZ))  # samples that are averaged into one
        n_times = max(1, int((TMAX - TMIN) * rate / self._block))
        self.times = TMIN + (np.arange(n_times) + 0.5) * self._block / rate - 0.5 / rate
        self.n_epochs = 0
        self._sum = np.zeros((len(info.ch_names), n_times))
        self._n = np.zeros(len(info.ch_names), dtype=np.int64)
        self._done: set[int] = set()
        self._average: NDArray[np.float64] | None = None

    def collect(self, marks: Iterable[Mark], is_good: NDArray[np.bool_]) -> None:
        """Enter the events whose epoch is complete, and which have had their answer.

        Parameters
        ----------
        marks : iterable of Mark
            The newest events, oldest first.
        is_good : ndarray of bool, shape (n_channels,)
            Which channels may be believed now.
        """
        codes = set()
        n_new = 0
        for mark in marks:
            code = mark.event.code
            if mark.event.onset < self.since:
                continue
            codes.add(code)
            if code in self._done or mark.verdict == "pending" or n_new == MAX_EPOCHS_AT_ONCE:
                continue
            if mark.verdict == "refused" or not mark.event.label:  # without a label it is no onset
                self._done.add(code)
            elif self._is_over(mark.event.onset):
                self._done.add(code)
                n_new += 1
                self._add(self._cut(mark.event.onset), is_good)
        self._done &= codes

    def _is_over(self, onset: float) -> bool:
        """Return whether all samples of an epoch have come."""
        info, newest = self.ring.info, self.ring.newest
        return newest is not None and newest >= onset + TMAX / info.speed

    def _cut(self, onset: float) -> NDArray[np.float32] | None:
        """Return an epoch, shape (n_channels, n_times), or None where the ring does not hold all of it."""
        info = self.ring.info
        assert self.ring.newest is not None
        begin = onset + TMIN / info.speed
        times, data = self.ring.latest(self.ring.newest - begin + MARGIN_SAMPLES / info.sfreq)
        first = int(np.searchsorted(times, begin - 0.5 / info.sfreq))
        n = len(self.times) * self._block
        if not len(times) or first + n > len(times) or times[first] > begin + MARGIN_SAMPLES / info.sfreq:
            return None
        if any(begin < after and before < onset + TMAX / info.speed for before, after in self.ring.gaps):
            return None
        epoch: NDArray[np.float32] = data[:, first : first + n].reshape(len(data), -1, self._block).mean(axis=2)
        return epoch

    def _add(self, epoch: NDArray[np.float32] | None, is_good: NDArray[np.bool_]) -> None:
        """Enter one epoch."""
        if epoch is None:
            return
        epoch = epoch - epoch[:, self.times < 0].mean(axis=1, dtype=np.float64, keepdims=True)
        taken = is_good & np.isfinite(epoch).all(axis=1)
        self._sum[taken] += epoch[taken]
        self._n += taken
        self.n_epochs += 1
        self._average = None

    def average(self) -> NDArray[np.float64] | None:
        """Return the mean epoch against the mean of all channels, shape (n_channels, n_times); None before the first.

        In the ring's unit. Channels that took part in less than half of the epochs are NaN.
        """
        if not self.n_epochs:
            return None
        if self._average is None:
            enough = 2 * self._n >= self.n_epochs
            average = np.full(self._sum.shape, np.nan)
            average[enough] = self._sum[enough] / self._n[enough, None]
            if enough.any():
                average -= average[enough].mean(axis=0)
            self._average = average
        return self._average

    def field_power(self) -> NDArray[np.float64] | None:
        """Return the global field power, shape (n_times,): the standard deviation over channels, at each time.

        References
        ----------
        Lehmann & Skrandies (1980), Reference-free identification of components of checkerboard-evoked multichannel
        potential fields, Electroencephalography and Clinical Neurophysiology 48:609-621.
        """
        average = self.average()
        if average is None:
            return None
        known = np.isfinite(average).all(axis=1)
        return average[known].std(axis=0) if known.any() else np.zeros(len(self.times))

    def peak(self) -> float | None:
        """Return the latency in seconds of the largest field power while a picture is being seen (`PEAK_S`)."""
        power = self.field_power()
        if power is None:
            return None
        after = np.flatnonzero((self.times >= PEAK_S[0]) & (self.times <= PEAK_S[1]))
        return float(self.times[after[power[after].argmax()]])

    def at(self, latency: float) -> NDArray[np.float64] | None:
        """Return the mean epoch's values at a latency in seconds, shape (n_channels,)."""
        average = self.average()
        return None if average is None else average[:, np.abs(self.times - latency).argmin()]


def band_amplitude(data: NDArray[np.floating], sfreq: float, band: tuple[float, float]) -> NDArray[np.floating]:
    """Return the rms amplitude of each channel in a band (Hz): the root of its power, in the unit of the signal.

    Parameters
    ----------
    data : ndarray, shape (n_channels, n_times)
    sfreq : float
    band : tuple of float
    """
    n = data.shape[1]
    taper = np.hanning(n).astype(np.float32)
    spectrum = np.fft.rfft((data - data.mean(axis=1, keepdims=True)) * taper, axis=1)
    frequencies = np.fft.rfftfreq(n, 1 / sfreq)
    inside = (frequencies >= band[0] - 1e-9) & (frequencies <= band[1] + 1e-9)
    power = 2 * (np.abs(spectrum[:, inside]) ** 2).sum(axis=1) / (n * (taper**2).sum())
    amplitude: NDArray[np.floating] = np.sqrt(power)
    return amplitude
