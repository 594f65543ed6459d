"""Count refreshes of a display by when its flips were: stamps of flips -> refreshes gone by, missed flips, rate.

Nothing here knows of Qt, so all of it is tested with made-up stamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["BLANK", "FlipClock", "FlipIntervals", "Frame", "RateTest", "Show", "frames_of"]

BLANK = -2  # the picture that is none: background and dot
FOLLOW = 0.2  # how quickly the grid of refreshes follows the stamps: the rate is known to a few per mille only
STEADY_MS = 1.0  # the 99th percentile of the intervals lies so near to the median on a display that can be trusted


class Frame(NamedTuple):
    """What one refresh shows: the key of a prepared image, and whether the photodiode's square is white."""

    image: int
    diode: bool


class Show(Protocol):
    """What a stage plays: it is asked for a frame, and told when that was on the screen."""

    @property
    def done(self) -> bool:
        """Whether it is over."""

    def next_frame(self) -> Frame:
        """Return what the coming refresh shows."""

    def flipped(self, now: float) -> None:
        """Take note that the frame asked for last was shown at `now`."""

    def key(self, now: float) -> None:
        """Take note that a key was pressed at `now`."""

    def stop(self, why: str) -> None:
        """End at once."""


def frames_of(seconds: float, hz: float) -> int:
    """Return the whole refreshes nearest to a duration: at least one, as less cannot be shown."""
    return max(1, round(seconds * hz))


class FlipClock:
    """Tell how many refreshes have gone by at each flip.

    The stamps are laid on a grid of refreshes. A stamp that is late by more than half a refresh counts one too many;
    the next one then counts none, so that lateness of the stamps alone never adds up.

    Parameters
    ----------
    nominal_hz : float
        The rate that the display is said to have, until `settle` measures it.
    """

    def __init__(self, nominal_hz: float) -> None:
        self.hz = nominal_hz
        self._grid: float | None = None
        self._last = 0.0
        self._intervals: list[float] | None = []

    def add(self, now: float) -> int:
        """Return the refreshes since the flip before; 1 for the first flip.

        Parameters
        ----------
        now : float
            When the flip was, in seconds.
        """
        if self._grid is None:
            self._grid = self._last = now
            return 1
        if self._intervals is not None:
            self._intervals.append(now - self._last)
        self._last = now
        n = max(0, round((now - self._grid) * self.hz))
        self._grid += n / self.hz
        self._grid += FOLLOW * (now - self._grid)
        return n

    def settle(self) -> None:
        """Take the median interval of the flips so far for the refresh, and measure no more."""
        if self._intervals:
            self.hz = 1.0 / float(np.median(self._intervals))
        self._intervals = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipIntervals:
    """How regular flips were.

    Parameters
    ----------
    n : int
        Intervals.
    refresh_hz : float
        Of the median interval.
    mean_ms, sd_ms, p50_ms, p95_ms, p99_ms, max_ms : float
        Of the intervals.
    n_dropped : int
        Refreshes without the flip that should have been then.
    """

    n: int
    refresh_hz: float
    mean_ms: float
    sd_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    n_dropped: int

    @classmethod
    def of(cls, stamps: Sequence[float]) -> FlipIntervals:
        """Return the intervals between consecutive flips.

        Parameters
        ----------
        stamps : sequence of float
            Seconds, at least 3.
        """
        intervals = np.diff(np.asarray(stamps, dtype=np.float64))
        clock = FlipClock(1.0 / float(np.median(intervals)))
        n_dropped = sum(clock.add(stamp) - 1 for stamp in stamps)
        p50, p95, p99 = (1e3 * np.percentile(intervals, (50, 95, 99))).tolist()
        return cls(
            n=len(intervals),
            refresh_hz=1e3 / p50,
            mean_ms=1e3 * float(intervals.mean()),
            sd_ms=1e3 * float(intervals.std()),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            max_ms=1e3 * float(intervals.max()),
            n_dropped=max(0, n_dropped),
        )

    def verdict(self, vsync: bool) -> str:
        """Return in words what this display is good for.

        Parameters
        ----------
        vsync : bool
            Whether the flips waited for the display.
        """
        if not vsync:
            return "no vertical sync: good for rehearsing, not for measuring"
        if self.n_dropped:
            share = 100 * self.n_dropped / self.n
            return f"{self.n_dropped} flips were missed ({share:.2g} %): close other programs, use the full screen"
        if self.p99_ms - self.p50_ms > STEADY_MS:
            return f"no flip was missed, but stamps scatter by {self.p99_ms - self.p50_ms:.1f} ms (p99 - p50)"
        return "steady: no flip was missed"

    def to_json(self) -> dict[str, float]:
        """Return all figures by name."""
        return asdict(self)


class RateTest:
    """A show without pictures, which notes its flips; the photodiode's square changes at each.

    Parameters
    ----------
    seconds : float
        How long it lasts, from its first flip.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_white = False
        self.stamps: list[float] = []
        self.done = False

    def next_frame(self) -> Frame:
        """Return a blank."""
        self._is_white = not self._is_white
        return Frame(BLANK, self._is_white)

    def flipped(self, now: float) -> None:
        """Note a flip."""
        self.stamps.append(now)
        self.done = self.done or now - self.stamps[0] >= self._seconds

    def key(self, now: float) -> None:
        """Let keys do nothing."""

    def stop(self, why: str) -> None:
        """End at once."""
        self.done = True
