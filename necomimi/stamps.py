"""Find the holes in recorded sample stamps, and the sample of each event: stamps, onsets -> segments, samples.

A recording is read as the live chain would have seen it: a stamp that leaves the beat by more than the stamps' own
jitter begins a new segment, each segment has its own lines, and no stamp is moved to hide a hole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["place_events"]

JITTER_BLOCK_S = 1.0
PIECE_S = 30.0  # as long as the live clock remembers
MIN_SPAN_S = 2.0  # below this the nominal rate is the better estimate
TOLERANCE_SAMPLES = 0.9  # one lost sample is a hole where the stamps are even
TOLERANCE_JITTERS = 12.0  # between two neighbours; their jitters add


def place_events(
    stamps: NDArray[np.float64], sfreq: float, onsets: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first sample of each stretch without a hole, beginning with 0, and the sample nearest to each onset.

    An onset in a hole belongs to the stretch before it, and gets that one's last sample: an epoch around it touches the
    hole. An onset before the first or after the last sample gets the number that a sample there would have.

    Parameters
    ----------
    stamps : ndarray of float64, shape (n_times,)
        Seconds.
    sfreq : float
        Nominal rate in Hz.
    onsets : ndarray of float64, shape (n_events,)
        Seconds, ascending.
    """
    firsts = _first_samples(stamps, sfreq)
    return firsts, _nearest_samples(stamps, sfreq, firsts, onsets)


def _jitter(stamps: NDArray[np.float64], sfreq: float) -> float:
    """Return the mean distance in seconds of stamps from an even beat, in an ordinary second of the recording."""
    n = max(2, round(JITTER_BLOCK_S * sfreq))
    if len(stamps) < n:
        return 0.0
    blocks = stamps[: len(stamps) // n * n].reshape(-1, n)
    x = np.arange(n) - (n - 1) / 2
    centred = blocks - blocks.mean(axis=1, keepdims=True)
    slopes = centred @ x / (x @ x)
    return float(np.median(np.abs(centred - np.outer(slopes, x)).mean(axis=1)))


def _first_samples(stamps: NDArray[np.float64], sfreq: float) -> NDArray[np.int64]:
    """Return the first sample of each stretch without a hole."""
    off = np.abs(np.diff(stamps) - 1.0 / sfreq)
    tolerance = max(TOLERANCE_SAMPLES / sfreq, TOLERANCE_JITTERS * _jitter(stamps, sfreq))
    return np.concatenate([[0], np.flatnonzero(off > tolerance) + 1]).astype(np.int64)


def _nearest_samples(
    stamps: NDArray[np.float64], sfreq: float, firsts: NDArray[np.int64], onsets: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the sample nearest to each onset, by lines fitted to the stamps."""
    n = len(stamps)
    edges = np.append(firsts, n)
    latest = np.searchsorted(np.maximum.accumulate(stamps), onsets + 0.5 / sfreq, side="right") - 1
    latest = np.clip(latest, 0, n - 1)
    segment = np.searchsorted(firsts, latest, side="right") - 1
    length = max(1, round(PIECE_S * sfreq))
    samples = np.empty(len(onsets), dtype=np.int64)
    pieces = edges[segment] + (latest - edges[segment]) // length * length
    for begin in np.unique(pieces):
        here = pieces == begin
        end = edges[np.searchsorted(edges, begin, side="right")]
        period, middle, time = _line(stamps, sfreq, int(begin), int(min(begin + length, end)))
        samples[here] = np.rint(middle + (onsets[here] - time) / period)
    lowest = np.where(segment == 0, np.iinfo(np.int64).min, edges[segment])
    highest = np.where(segment == len(firsts) - 1, np.iinfo(np.int64).max, edges[segment + 1] - 1)
    return np.clip(samples, lowest, highest)


def _line(stamps: NDArray[np.float64], sfreq: float, begin: int, end: int) -> tuple[float, float, float]:
    """Return (seconds a sample, middle sample, its time) of the samples `begin` to `end`."""
    times = stamps[begin:end]
    middle, time = begin + (len(times) - 1) / 2, float(times.mean())
    if len(times) < MIN_SPAN_S * sfreq:
        return 1.0 / sfreq, middle, time
    x = np.arange(len(times)) - (len(times) - 1) / 2
    return float(x @ (times - time) / (x @ x)), middle, time
