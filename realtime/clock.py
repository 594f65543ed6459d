"""Map sample numbers to time without hiding gaps: sample stamps -> segments, each with its own line.

liblsl's dejitter smooths over holes and is wrong by seconds after one. Here a straight line is fitted to the stamps of
the last half minute, and a stamp that leaves the line by more than the stamps' own jitter begins a new segment. No
epoch may cross a segment's border.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cause", "SampleClock", "Segment"]

Cause = Literal["start", "gap", "reconnect", "seam"]

FIT_POINTS = 600  # at one point each FIT_STEP_S: half a minute
FIT_STEP_S = 0.05
MIN_SPAN_S = 2.0  # below this the nominal rate is the better estimate
MAX_DRIFT = 0.005
SETTLING_S = 0.1  # until the jitter is known
SETTLING_TOLERANCE_S = 0.05  # burst-stamped devices put 35 ms of samples on one stamp


@dataclass
class Segment:
    """A stretch of samples without a hole.

    Parameters
    ----------
    first : int
        Number of its first sample.
    sfreq : float
        Nominal rate in Hz.
    cause : str
        Why it began.
    n_missing : int
        Samples known to be missing before it.
    """

    first: int
    sfreq: float
    cause: Cause
    n_missing: int = 0
    end: int = 0
    _points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=FIT_POINTS), repr=False)
    _pending: list[tuple[float, float, int]] = field(default_factory=list, repr=False)
    _period: float = 0.0
    _origin: float = 0.0
    _time: float = 0.0
    _jitter: float = 0.0

    def __post_init__(self) -> None:
        self._period = 1.0 / self.sfreq
        self._origin = float(self.first)
        self.end = self.first

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
        """Distance from the line, in seconds, at which a stamp means a hole rather than jitter."""
        tolerance = max(1.5 / self.sfreq, 8.0 * self._jitter)
        return max(tolerance, SETTLING_TOLERANCE_S) if self.n_to_settle else tolerance

    @property
    def n_to_settle(self) -> int:
        """Samples still to come before the jitter is known."""
        return max(0, self.first + math.ceil(SETTLING_S * self.sfreq) - self.end)

    def time_of(self, index: float) -> float:
        """Return the time of a sample, in seconds on the local clock."""
        return self._time + (index - self._origin) * self._period

    def index_of(self, time: float) -> int:
        """Return the number of the sample nearest to a time."""
        return round(self._origin + (time - self._time) / self._period)

    def residuals(self, index: int, timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much later than the line says the samples from `index` on are stamped, in seconds."""
        return timestamps - (self._time + (index + np.arange(len(timestamps)) - self._origin) * self._period)

    def extend(self, index: int, timestamps: NDArray[np.float64]) -> None:
        """Take in consecutive samples that belong to this segment."""
        n = len(timestamps)
        if self.end == self.first:
            self._origin, self._time = float(index), float(timestamps[0])
        else:
            # A mean over the first second, an exponential one over about a second after it.
            weight = n / min(index + n - self.first, max(self.sfreq, n))
            self._jitter += weight * (float(np.abs(self.residuals(index, timestamps)).mean()) - self._jitter)
        self.end = index + n
        self._pending.append((index + (n - 1) / 2, float(timestamps.mean()), n))
        if sum(count for *_, count in self._pending) >= FIT_STEP_S * self.sfreq:
            self._add_point()

    def _add_point(self) -> None:
        """Turn the pending chunks into one point, and fit the line again."""
        pending = np.array(self._pending)
        self._pending.clear()
        weights = pending[:, 2] / pending[:, 2].sum()
        self._points.append((float(weights @ pending[:, 0]), float(weights @ pending[:, 1])))
        points = np.array(self._points)
        self._origin, self._time = float(points[:, 0].mean()), float(points[:, 1].mean())
        span = points[-1, 0] - points[0, 0]
        if span >= MIN_SPAN_S * self.sfreq:
            x = points[:, 0] - self._origin
            period = float(x @ (points[:, 1] - self._time) / (x @ x))
            nominal = 1.0 / self.sfreq
            self._period = min(max(period, nominal * (1 - MAX_DRIFT)), nominal * (1 + MAX_DRIFT))


class SampleClock:
    """Turn stamps into segments, and times into sample numbers.

    Parameters
    ----------
    sfreq : float
        Nominal rate of the stamps in Hz.
    """

    def __init__(self, sfreq: float) -> None:
        self.sfreq = sfreq
        self.segments: list[Segment] = []
        self.n_missing = 0

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
        if not self.segments or cause != "gap":
            self._begin(index, "start" if not self.segments else cause, 0)
        while len(timestamps):
            segment = self.segments[-1]
            if segment.end == segment.first:
                segment.extend(index, timestamps[:1])
                index, timestamps = index + 1, timestamps[1:]
                continue
            residuals = segment.residuals(index, timestamps[: segment.n_to_settle or None])
            off = np.flatnonzero(np.abs(residuals) > segment.tolerance_s)
            n = int(off[0]) if len(off) else len(residuals)
            if n:
                segment.extend(index, timestamps[:n])
                index, timestamps = index + n, timestamps[n:]
            if len(off):
                n_missing = max(0, round(float(residuals[n]) * self.sfreq))
                self._begin(index, "gap" if n_missing else "seam", n_missing)

    def _begin(self, index: int, cause: Cause, n_missing: int) -> None:
        self.n_missing += n_missing
        self.segments.append(Segment(first=index, sfreq=self.sfreq, cause=cause, n_missing=n_missing))

    def forget_before(self, index: int) -> None:
        """Drop segments that end before a sample number."""
        while len(self.segments) > 1 and self.segments[0].end <= index:
            self.segments.pop(0)

    def segment_at(self, time: float) -> tuple[Segment, Segment | None] | None:
        """Return the segment that a time belongs to and the one after it, or None before the first.

        A time in the hole between two segments belongs to the earlier one.
        """
        after = None
        for segment in reversed(self.segments):
            if segment.end > segment.first and time >= segment.time_of(segment.first - 0.5):
                return segment, after
            after = segment
        return None

    @property
    def newest(self) -> float:
        """Time of the newest sample, in seconds on the local clock; minus infinity before the first."""
        if not self.segments:
            return float("-inf")
        segment = self.segments[-1]
        return segment.time_of(segment.end - 1)
