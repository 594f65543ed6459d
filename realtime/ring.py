"""Keep the last seconds of signal: samples -> any stretch of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ring"]


class Ring:
    """A ring buffer addressed by absolute sample number.

    Parameters
    ----------
    n_channels : int
    capacity : int
        Samples kept.

    Attributes
    ----------
    end : int
        Number of samples ever written; the newest sample is ``end - 1``.
    """

    def __init__(self, n_channels: int, capacity: int) -> None:
        self._data = np.zeros((n_channels, capacity), dtype=np.float32)
        self.capacity = capacity
        self.end = 0

    @property
    def first(self) -> int:
        """The oldest sample still kept."""
        return max(0, self.end - self.capacity)

    def write(self, data: NDArray[np.float32]) -> None:
        """Append samples, shape (n_channels, n_times); only the last `capacity` of them are kept."""
        n_times = data.shape[1]
        kept = data[:, -self.capacity :]
        place = (self.end + n_times - kept.shape[1]) % self.capacity
        head = min(kept.shape[1], self.capacity - place)
        self._data[:, place : place + head] = kept[:, :head]
        self._data[:, : kept.shape[1] - head] = kept[:, head:]
        self.end += n_times

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return a copy of samples `start` to `stop` (exclusive), shape (n_channels, stop - start).

        Raises
        ------
        IndexError
            Some of them are overwritten or not there yet.
        """
        if not self.first <= start <= stop <= self.end:
            raise IndexError(f"samples {start}..{stop} are not in the ring's {self.first}..{self.end}")
        place = start % self.capacity
        head = min(stop - start, self.capacity - place)
        tail = stop - start - head
        if not tail:
            return self._data[:, place : place + head].copy()
        return np.concatenate((self._data[:, place:], self._data[:, :tail]), axis=1)
