"""Decode without markers: time of the newest sample -> the end of a window every so often."""

from __future__ import annotations

import math

__all__ = ["Slider"]


class Slider:
    """Say where the next windows end.

    Parameters
    ----------
    every : float
        Seconds from one window to the next.
    length : float
        Seconds of a window.
    """

    def __init__(self, every: float, length: float) -> None:
        self.every = every
        self.length = length
        self._next = -math.inf

    def end(self, first: float, newest: float) -> float | None:
        """Return the end of the latest window that has become whole, in seconds on the local clock, or None.

        Where samples come late and many at once, the windows before the latest are left out.

        Parameters
        ----------
        first, newest : float
            Times of the first and the newest sample of the stretch without a hole, in seconds on the local clock.
        """
        if newest < self._next - self.every - self.length:  # the sender's clock was set back
            self._next = -math.inf
        end = max(self._next, first + self.length)
        if newest < end:
            return None
        end += math.floor((newest - end) / self.every) * self.every
        self._next = end + self.every
        return end
