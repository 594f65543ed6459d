"""Match keys with catch trials: times of targets, times of keys -> hits, misses, false alarms."""

from __future__ import annotations

__all__ = ["Catches"]

SOONEST_S = 0.1  # nobody answers sooner to what was seen
LATEST_S = 2.0


class Catches:
    """Count how catch trials were answered; each is answered once."""

    def __init__(self) -> None:
        self.n = 0
        self.n_hits = 0
        self.n_false_alarms = 0
        self._open: float | None = None  # when the target was shown that nobody has answered yet

    def shown(self, onset: float) -> None:
        """Take note of a target, shown at `onset` seconds."""
        self.n += 1
        self._open = onset

    def pressed(self, now: float) -> float | None:
        """Return the response time in seconds of a key that answers a target; None for a false alarm."""
        if self._open is not None and SOONEST_S <= now - self._open <= LATEST_S:
            answered, self._open = now - self._open, None
            self.n_hits += 1
            return answered
        self.n_false_alarms += 1
        return None
