"""Measure what threads cost: CPU seconds of each -> percent of a core."""

from __future__ import annotations

import time

__all__ = ["LoadMeter"]


class LoadMeter:
    """CPU time of threads; each thread reports its own, one of them asks."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._asked = time.monotonic()

    def report(self, thread: str) -> None:
        """Take in the calling thread's CPU time under a name."""
        self._seconds[thread] = time.thread_time()

    def percent(self) -> dict[str, float]:
        """Return {"thread": percent of a core} since the last call."""
        now, seconds = time.monotonic(), dict(self._seconds)
        elapsed = max(now - self._asked, 1e-9)
        shares = {name: round(100 * (used - self._seen.get(name, 0.0)) / elapsed, 2) for name, used in seconds.items()}
        self._asked, self._seen = now, seconds
        return shares
