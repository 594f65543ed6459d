"""Map sample numbers to time without hiding gaps: sample stamps -> segments, each with its own line.

liblsl's dejitter smooths over holes and is wrong by seconds after one. Here a straight line is fitted to the stamps of
the last half minute. Stamps that leave the line by more than the device's own jitter are held for an instant: where
they come back they were late, where they stay away samples are missing (or a clock was set) and a new segment begins.
No epoch may cross a segment's border.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from necomimi.segment import Cause, Habit, Segment, learn

__all__ = ["Cause", "SampleClock", "Segment"]

SETTLING_S = 0.5  # of samples that teach how a device stamps
SUSPECT_S = 0.15  # of samples, from the first off the line, that tell a late stamp from a hole


class SampleClock:
    """Turn stamps into segments, and times into sample numbers.

    Parameters
    ----------
    sfreq : float
        Nominal rate of the stamps in Hz.

    Attributes
    ----------
    segments : list of Segment
        Oldest first.
    n_missing : int
        Samples known to be missing since the start.
    """

    def __init__(self, sfreq: float) -> None:
        self.sfreq = sfreq
        self.segments: list[Segment] = []
        self.n_missing = 0
        self._held: list[NDArray[np.float64]] = []  # stamps that follow the last segment's end, not yet judged
        self._n_held = 0
        self._n_needed = 0  # so many held stamps are judged together
        self._settling = False

    def add(self, index: int, timestamps: NDArray[np.float64], cause: Cause = "gap") -> None:
        """Take in the stamps of consecutive samples.

        Parameters
        ----------
        index : int
            Number of the first sample.
        timestamps : ndarray of float64, shape (n_times,)
            Seconds on the local clock.
        cause : str
            Anything but "gap" begins a new segment here, whatever the stamps say.
        """
        if not len(timestamps):
            return
        if not self.segments or cause != "gap":
            self._judge_rest()
            habit = Habit(1.0 / self.sfreq)
            self._begin(index, float(timestamps[0]), "start" if not self.segments else cause, 0, habit)
            self._hold(SETTLING_S, settling=True)
        while len(timestamps):
            if self._n_needed:
                n = min(self._n_needed - self._n_held, len(timestamps))
                self._held.append(timestamps[:n])
                self._n_held += n
                timestamps = timestamps[n:]
                if self._n_held == self._n_needed:
                    timestamps = np.concatenate([*self._judge_held(), timestamps])
                continue
            n = self.segments[-1].take(timestamps)
            timestamps = timestamps[n:]
            if not n:
                self._hold(SUSPECT_S)
            elif self.segments[-1].shift():
                self._break_back(self.segments[-1])

    def _hold(self, seconds: float, settling: bool = False) -> None:
        """Hold the next stamps until there are so many seconds of them."""
        self._held, self._n_held = [], 0
        self._n_needed = max(8, math.ceil(seconds * self.sfreq))
        self._settling = settling

    def _judge_rest(self) -> None:
        """Give the stamps that are held to the last segment: what follows them is on another line in any case."""
        if self._n_held:
            self._trust(np.concatenate(self._judge_held()))
        self._n_needed = self._n_held = 0

    def _judge_held(self) -> list[NDArray[np.float64]]:
        """Decide what the held stamps mean; return those that are now to be taken in the ordinary way."""
        held = np.concatenate(self._held)
        self._held, self._n_held, self._n_needed = [], 0, 0
        segment = self.segments[-1]
        if self._settling:
            habit, start = learn(held, self.sfreq)
            self.segments[-1] = Segment(segment.first, start, self.sfreq, segment.cause, segment.n_missing, habit)
            return [held]
        late = segment.residuals(held)
        burst = segment.now().burst_s
        level = np.min if burst else _middle
        away, tolerance = float(level(late[len(late) // 2 :])), segment.tolerance_s
        if abs(away) <= tolerance:  # they came back: late stamps, not missing samples
            self._trust(held)
            return []
        there = (late >= away - tolerance) & (late <= away + burst + tolerance)
        off = np.flatnonzero(~there[: np.flatnonzero(there)[-1]])  # what leaves the new line is judged after it
        n = int(off[-1]) + 1 if len(off) else 0
        n_missing = 0
        if n:  # on neither line: a second hole follows within the instant
            here = float(level(late[:n]))
            n_missing = self._break(segment, here, round(here * self.sfreq))
            self._trust(held[:n])
        self._break(segment, away, round(away * self.sfreq) - n_missing)
        return [held[n:]]

    def _trust(self, timestamps: NDArray[np.float64]) -> None:
        """Give stamps to the last segment, whether they lie on its line or not."""
        while len(timestamps):
            timestamps = timestamps[self.segments[-1].take(timestamps, trusted=True) :]

    def _break(self, old: Segment, away: float, n_missing: int) -> int:
        """Begin a segment on a line `away` seconds from an old one's; return how many samples are missing before it."""
        n_missing = max(0, n_missing)
        start = old.time_of(self.segments[-1].end) + away
        cause: Cause = "gap" if n_missing else "seam"
        self._begin(self.segments[-1].end, start, cause, n_missing, old.now())
        return n_missing

    def _break_back(self, old: Segment) -> None:
        """Begin a segment where the samples left the line by less than their jitter; it shows only on the average."""
        away, habit = old.shift(), old.now()
        n, due = old.give_back()
        n_missing = max(0, round(away * self.sfreq))
        self._begin(old.end, due + away, "gap" if n_missing else "seam", n_missing, habit)
        self.segments[-1].pass_over(n)

    def _begin(self, index: int, start: float, cause: Cause, n_missing: int, habit: Habit) -> None:
        self.n_missing += n_missing
        self.segments.append(Segment(index, start, self.sfreq, cause, n_missing, habit))

    def forget_before(self, index: int) -> None:
        """Drop what is known of samples before a sample number."""
        while len(self.segments) > 1 and self.segments[0].end <= index:
            self.segments.pop(0)
        if self.segments:
            self.segments[0].forget_before(index)

    def segment_at(self, time: float, known: int | None = None) -> tuple[Segment, Segment | None] | None:
        """Return the segment that a time belongs to and the one after it, or None before the first.

        A time in the hole between two segments belongs to the earlier one.

        Parameters
        ----------
        time : float
            Seconds on the local clock.
        known : int or None
            The clock's `end` when the time became known. Where the sender's clock was set back later, the time
            stays with the signal that bore it then.
        """
        last = len(self.segments)
        if known is not None:
            first = max((i for i, segment in enumerate(self.segments) if segment.first < known), default=0)
            passed = (i for i in range(first, last) if time < self.segments[i].time_of(self.segments[i].end - 0.5))
            last = next(passed, last - 1) + 1  # the signal passed this time in that segment; what followed is no matter
        for i in range(last - 1, -1, -1):
            if time >= self.segments[i].time_of(self.segments[i].first - 0.5):
                return self.segments[i], self.segments[i + 1] if i + 1 < len(self.segments) else None
        return None

    def is_twofold(self, time: float) -> bool:
        """Return whether two stretches of signal bear a time (s), because the sender's clock was set back."""
        bear = (s.time_of(s.first - 0.5) <= time < s.time_of(s.end - 0.5) for s in self.segments)
        return sum(bear) > 1

    @property
    def end(self) -> int:
        """Number of the first sample that no segment holds yet."""
        return self.segments[-1].end if self.segments else 0

    @property
    def newest(self) -> float:
        """Time of the newest sample, in seconds on the local clock; minus infinity before the first."""
        if not self.segments:
            return float("-inf")
        if self._n_held:
            return float(self._held[-1][-1])
        segment = self.segments[-1]
        return segment.time_of(segment.end - 1)


def _middle(late: NDArray[np.float64]) -> float:
    """Return the median, and of two levels that are as frequent the lower one, never what lies between them."""
    return float(np.quantile(late, 0.5, method="lower"))
