"""Place a recording's events by the clock of the live chain: sample stamps, onsets -> segments, samples.

What is trained on and what is decoded live are cut by the same lines, so a device that stamps whole bursts, or jitters,
or loses samples, is read in one way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from necomimi.clock import SampleClock

__all__ = ["place_events"]

BLOCK_S = 0.02  # stamps are given to the clock in pieces, as they come from an amplifier
PATIENCE_S = 1.0  # an onset is placed when the signal has gone on for so long, as an epoch's end would have it


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
    clock = SampleClock(sfreq)
    block = max(1, round(BLOCK_S * sfreq))
    samples = np.empty(len(onsets), dtype=np.int64)
    n_placed = 0
    for begin in range(0, len(stamps), block):
        clock.add(begin, stamps[begin : begin + block])
        judged = clock.segments[-1].time_of(clock.end - 1)  # stamps after it are held until the clock is sure of them
        while n_placed < len(onsets) and judged > onsets[n_placed] + PATIENCE_S:
            samples[n_placed] = _nearest(clock, float(onsets[n_placed]))
            n_placed += 1
    for i in range(n_placed, len(onsets)):
        samples[i] = _nearest(clock, float(onsets[i]))
    return np.array([segment.first for segment in clock.segments], dtype=np.int64), samples


def _nearest(clock: SampleClock, onset: float) -> int:
    """Return the sample nearest to a time."""
    found = clock.segment_at(onset)
    if found is None:
        return clock.segments[0].index_of(onset)
    segment, after = found
    nearest = max(segment.index_of(onset), segment.first)
    return nearest if after is None else min(nearest, after.first - 1)
