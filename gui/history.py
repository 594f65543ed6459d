"""Remember the newest decisions with small pictures: Mark -> History."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from necomimi.gallery import THUMBNAIL_SIZE
from necomimi.records import GeneratedImage

from .mark import Mark

__all__ = ["CAPACITY", "History", "reduced"]

CAPACITY = 600  # decisions: with two pictures of 96 x 96 x 3 bytes each, 32 MiB


class History:
    """The newest decisions in order of arrival, refused ones too, each in a place that never changes.

    Places count on from run to run of the decoder.

    Parameters
    ----------
    capacity : int
        Decisions kept.

    Attributes
    ----------
    end : int
        The place that the next decision takes; those kept have the places ``range(begin, end)``.
    run_starts : deque of int
        Places with which a run of the decoder begins, the first one not counted.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._marks: deque[Mark] = deque(maxlen=capacity)
        self.end = 0
        self.run_starts: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._marks)

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._marks)

    def __getitem__(self, place: int) -> Mark:
        if not self.begin <= place < self.end:
            raise IndexError(f"place {place} of a history from {self.begin} to {self.end}")
        return self._marks[place - self.begin]

    @property
    def begin(self) -> int:
        """The place of the oldest decision that is kept."""
        return self.end - len(self._marks)

    def of_this_run(self) -> list[Mark]:
        """Return the decisions of the decoder's newest run, as far as they are kept."""
        begin = max([self.begin, *self.run_starts])
        return [mark for mark in self._marks if mark.place is not None and mark.place >= begin]

    def add(self, mark: Mark) -> None:
        """Enter an event that has just been decided."""
        mark.place = self.end
        self._marks.append(mark)
        self.end += 1

    def begin_run(self) -> None:
        """Note that what follows is of another run of the decoder."""
        if self.end and self.end not in self.run_starts:
            self.run_starts.append(self.end)
        while self.run_starts and self.run_starts[0] < self.begin:
            self.run_starts.popleft()


def reduced(image: GeneratedImage) -> GeneratedImage:
    """Return a painted picture whose longer side has at most 96 pixels; half a millisecond from 512 x 512."""
    height, width, _ = image.pixels.shape
    scale = max(height, width) / THUMBNAIL_SIZE
    if scale <= 1:
        return image
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    small = Image.fromarray(image.pixels).resize(size, Image.Resampling.BOX, reducing_gap=1.0)
    return replace(image, pixels=np.asarray(small))
