"""Fit a line through stamps that drift, jitter or come in bursts: stamps -> Segment.

Everything is decided by sample number, never by how the samples were cut into chunks: the line changes only at the end
of a block of samples, and a time is always looked up on the line of its own block.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cause", "Habit", "Segment", "learn"]

Cause = Literal["start", "gap", "reconnect", "seam"]

BLOCK_S = 0.05  # the line changes once a block
FIT_BLOCKS = 600  # half a minute
MAX_DRIFT = 0.005
TYPICAL_DRIFT = 0.001  # how far, before it is measured, a device's rate may well be off
STAMP_NOISE_S = 1e-5  # the best of stamps
MIN_TOLERANCE_S = 1.2e-3  # clock offsets measured over a network move by less
JITTERS = 8.0  # a stamp further off the line than so many mean distances is suspect
JITTER_BLOCKS = 20  # the jitter is a mean over about a second
SHIFTED_BLOCKS = 3  # so many blocks off the line in a row tell of a hole that is smaller than the jitter
MAX_HOLES = 4  # among the samples that teach how a device stamps
SHORT_STEP = 0.25  # of a period: samples stamped closer together than this came in one burst


@dataclass(frozen=True, slots=True)
class Habit:
    """How a device stamps its samples.

    Parameters
    ----------
    period : float
        Seconds from one sample to the next.
    jitter_s : float
        Mean distance of the stamps from the line, in seconds; of bursts, of their last stamps.
    burst_s : float
        Where a whole burst of samples bears the time of its arrival: the longest burst in seconds; else 0. The line
        then runs through the last samples of the bursts, as a burst's arrival is the time of its last sample.
    """

    period: float
    jitter_s: float = 0.0
    burst_s: float = 0.0


def learn(stamps: NDArray[np.float64], sfreq: float) -> tuple[Habit, float]:
    """Learn how a device stamps, and when its first sample was taken; one hole among the samples does not mislead.

    Parameters
    ----------
    stamps : ndarray of float64, shape (n_times,)
        Of consecutive samples, in seconds.
    sfreq : float
        Nominal rate in Hz.

    Returns
    -------
    habit : Habit
    start : float
        Time of the first sample in seconds.
    """
    period = 1.0 / sfreq
    steps = np.diff(stamps)
    together = np.abs(steps) < SHORT_STEP * period
    late = stamps - (stamps[0] + np.arange(len(stamps)) * period)
    burst_s = 0.0
    if len(steps) and together.mean() > 0.4:
        breaks = np.flatnonzero(~together)
        burst_s = float(np.diff(np.concatenate(([-1], breaks, [len(steps)]))).max()) * period
        late = late[np.append(breaks, len(stamps) - 1)]  # of the bursts' last samples
    cut, within = _hole(late, period)
    level = late[:cut].min() if burst_s else np.median(late[:cut])
    return Habit(period, within, burst_s), float(stamps[0] + level)


def _hole(late: NDArray[np.float64], period: float) -> tuple[int, float]:
    """Return how many samples stand before a hole (all, where there is none), and the mean distance from the level."""
    steps = np.diff(late)
    if len(steps):
        jumps = np.flatnonzero(np.abs(steps) > _tolerance(float(np.median(np.abs(steps))), period))
        if 0 < len(jumps) <= MAX_HOLES and (steps[jumps] > 0).all():  # jitter goes back and forth, holes do not
            levels = [float(np.median(part)) for part in np.split(late, jumps + 1)]
            return int(jumps[0]) + 1, _spread(late, np.repeat(levels, np.diff([0, *(jumps + 1), len(late)])))
        n = np.arange(1, len(late))
        total = np.cumsum(late)
        before, after = total[:-1] / n, (total[-1] - total[:-1]) / (len(late) - n)
        cut = int((n * before**2 + (len(late) - n) * after**2).argmax()) + 1  # two levels fit best here
        levels = [float(np.median(part)) for part in np.split(late, [cut])]
        spread = _spread(late, np.repeat(levels, [cut, len(late) - cut]))
        if abs(levels[1] - levels[0]) > _tolerance(spread, period):
            return cut, spread
    return len(late), _spread(late, np.median(late))


def _spread(late: NDArray[np.float64], level: NDArray[np.float64] | np.floating) -> float:
    return float(np.abs(late - level).mean())


def _tolerance(jitter: float, period: float) -> float:
    return max(0.75 * period, MIN_TOLERANCE_S, JITTERS * jitter)


@dataclass(eq=False)
class Segment:
    """A stretch of samples without a hole.

    Parameters
    ----------
    first : int
        Number of its first sample.
    start : float
        Time of its first sample according to the line, in seconds.
    sfreq : float
        Nominal rate in Hz.
    cause : str
        Why it began.
    n_missing : int
        Samples known to be missing before it.
    habit : Habit
        How the device stamped until now.
    """

    first: int
    start: float
    sfreq: float
    cause: Cause
    n_missing: int
    habit: Habit
    end: int = field(init=False)
    _lines: list[tuple[float, float, float]] = field(default_factory=list, init=False, repr=False)
    _borders: list[float] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self.end = self.first
        self._block = max(1, math.ceil(BLOCK_S * self.sfreq))
        self._ramp = np.arange(self._block, dtype=np.float64)
        self._period = self.habit.period
        self._next = self.start  # when the next sample is due
        self._jitter, self._burst = self.habit.jitter_s, self.habit.burst_s
        self._n_dropped = 0
        self._lateness: deque[float] = deque(maxlen=FIT_BLOCKS)  # of each block, against the nominal rate
        self._sum = self._moment = 0.0
        self._unrest = self._jitter  # mean distance of the blocks' means from the line, in seconds
        self._off: list[float] = []  # means of the last blocks that were off the line on one side
        self._lows: deque[float] = deque(maxlen=1 + math.ceil(2 * self._burst / BLOCK_S))
        self._block_end = self.first + self._block
        self._total = self._distance = 0.0  # of the stamps in this block
        self._low = math.inf
        self._set_limits()

    @property
    def drift_ppm(self) -> float:
        """How much faster than its nominal rate the device runs, in parts per million."""
        return (1.0 / (self._period * self.sfreq) - 1.0) * 1e6

    @property
    def jitter_s(self) -> float:
        """Mean distance of the stamps from the line, in seconds."""
        return self._jitter

    @property
    def tolerance_s(self) -> float:
        """Distance from the line, in seconds, at which a stamp is suspect."""
        return _tolerance(self._jitter, 1.0 / self.sfreq)

    def now(self) -> Habit:
        """Return how the device stamps, as far as is known by now."""
        return Habit(self._period, self._jitter, self._burst)

    def time_of(self, index: float) -> float:
        """Return the time of a sample, in seconds on the local clock."""
        k = int(index - self.first) // self._block - self._n_dropped
        origin, time, period = self._lines[min(max(k, 0), len(self._lines) - 1)] if self._lines else self._line()
        return time + (index - origin) * period

    def index_of(self, time: float) -> int:
        """Return the number of the sample nearest to a time, in seconds on the local clock."""
        k = bisect_right(self._borders, time)
        origin, start, period = self._lines[min(k, len(self._lines) - 1)] if self._lines else self._line()
        return round(origin + (time - start) / period)

    def residuals(self, timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much later than the line says the samples from `end` on are stamped: seconds, shape (n_times,)."""
        return timestamps - (self._next + np.arange(len(timestamps)) * self._period)

    def take(self, timestamps: NDArray[np.float64], trusted: bool = False) -> int:
        """Take in the next samples as far as the end of the block, and up to the first suspect stamp.

        Parameters
        ----------
        timestamps : ndarray of float64, shape (n_times,)
        trusted : bool
            Take suspect stamps too; they pull the line no further than the limit of suspicion.

        Returns
        -------
        int
            Samples taken; 0 where the first is suspect.
        """
        n = min(len(timestamps), self._block_end - self.end)
        late = timestamps[:n] - (self._ramp[:n] * self._period + self._next)
        low, high = np.minimum.reduce(late), np.maximum.reduce(late)
        if low < self._earliest or high > self._latest:
            if trusted:
                late = late.clip(self._earliest, self._latest)
            else:
                n = int(((late < self._earliest) | (late > self._latest)).argmax())
                if not n:
                    return 0
                late = late[:n]
            low = np.minimum.reduce(late)
        self._total += float(np.add.reduce(late))
        self._distance += float(np.add.reduce(np.abs(late)))
        self._low = min(self._low, float(low))
        self.end += n
        self._next += n * self._period
        if self.end == self._block_end:
            self._close_block()
        return n

    def shift(self) -> float:
        """Return by how many seconds the last blocks lie off the line, all of them, or 0."""
        return self._off[-1] if len(self._off) >= SHIFTED_BLOCKS else 0.0

    def give_back(self) -> tuple[int, float]:
        """Let go of the blocks that lie off the line; return how many samples they are, and when the first was due."""
        n = len(self._off)
        del self._lines[-n:], self._borders[-n:]
        self.end -= n * self._block
        return n * self._block, self.time_of(self.end)

    def pass_over(self, n: int) -> None:
        """Hold the first `n` samples, a multiple of a block, without putting the line through them."""
        self.end += n
        self._next += n * self._period
        self._block_end += n
        self._n_dropped += n // self._block

    def _clear_block(self) -> None:
        self._total = self._distance = 0.0
        self._low = math.inf
        self._block_end = self.end + self._block

    def _close_block(self) -> None:
        """Put the line through the blocks of the last half minute, at a constant cost however many they are."""
        size, nominal = self._block, 1.0 / self.sfreq
        centre = (size - 1) / 2
        middle = self.end - size + centre  # number of the block's middle sample
        due = self._next - (size - centre) * self._period
        shift = (due - self.start) - (middle - self.first) * nominal
        if self._burst:
            self._lows.append(shift + self._low)
            late = min(self._lows) - shift
            distance = abs(late)
        else:
            late, distance = self._total / size, self._distance / size
        if abs(late) <= _tolerance(self._unrest, nominal):
            self._off = []
        elif self._off and self._off[-1] * late < 0:
            self._off = [late]
        else:
            self._off.append(late)
        self._jitter += (distance - self._jitter) / JITTER_BLOCKS
        self._unrest += (min(abs(late), 4.0 * self._unrest + STAMP_NOISE_S) - self._unrest) / JITTER_BLOCKS
        self._add_point(shift + late)

        n = len(self._lateness)
        spread = n * (n * n - 1) / 12 * size * size
        slope = (self._moment - (n - 1) / 2 * self._sum) * size  # summed distance x lateness
        known = self.habit.period - nominal  # a device's rate is what it was, until the stamps say otherwise
        trust = ((STAMP_NOISE_S + self._jitter) / (TYPICAL_DRIFT * nominal)) ** 2
        slope = (slope + trust * known) / (spread + trust)
        self._period = nominal + min(max(slope, -MAX_DRIFT * nominal), MAX_DRIFT * nominal)
        origin = middle - (n - 1) / 2 * size
        time = self.start + (origin - self.first) * nominal + self._sum / n
        self._next = time + (self.end - origin) * self._period
        self._lines.append((origin, time, self._period))
        self._borders.append(self._next - 0.5 * self._period)
        self._set_limits()
        self._clear_block()

    def _add_point(self, lateness: float) -> None:
        """Add a block's lateness (s) to the sums of the fit, and take the oldest out; blocks count from the oldest."""
        points = self._lateness
        if len(points) == FIT_BLOCKS:
            oldest = points[0]
            self._sum -= oldest
            self._moment -= self._sum
        points.append(lateness)
        self._sum += lateness
        self._moment += (len(points) - 1) * lateness

    def _set_limits(self) -> None:
        self._earliest, self._latest = -self.tolerance_s, self._burst + self.tolerance_s

    def _line(self) -> tuple[float, float, float]:
        return self.end, self._next, self._period

    def forget_before(self, index: int) -> None:
        """Drop the lines of blocks that end before a sample number."""
        n = (index - self.first) // self._block - self._n_dropped
        if n > FIT_BLOCKS:
            del self._lines[:n], self._borders[:n]
            self._n_dropped += n
