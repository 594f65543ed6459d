"""Stack the channels: names, order -> rows from top to bottom, in groups with a little space between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from necomimi.regions import channels_by_region

__all__ = ["LEAST_SPACE", "Group", "Rows", "by_region", "in_stream_order"]

SPACE = 0.7  # of a row, between two groups
LEAST_SPACE, MOST_SPACE = 3.0, 9.0  # pixels


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that stand together.

    Parameters
    ----------
    region : str or None
        One of `necomimi.regions.REGIONS`; None for the channels that belong to none.
    channels : tuple of int
        Their indices in the stream, from top to bottom.
    """

    region: str | None
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """Where each channel is drawn.

    Parameters
    ----------
    groups : tuple of Group
        From top to bottom; every channel stands in one of them.
    """

    groups: tuple[Group, ...]

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The indices of the channels in the stream, from top to bottom."""
        return tuple(i for group in self.groups for i in group.channels)

    def height(self, total: float) -> float:
        """Return the pixels that a row gets where all get `total`."""
        return (total - self._space(total) * (len(self.groups) - 1)) / len(self.order)

    def _space(self, total: float) -> float:
        """Return the pixels between two groups."""
        if len(self.groups) < 2:
            return 0.0
        space = min(max(SPACE * total / len(self.order), LEAST_SPACE), MOST_SPACE)
        return min(space, 0.1 * total / len(self.groups))

    def centres(self, total: float) -> NDArray[np.float64]:
        """Return the middle of each channel's row, in pixels from the top, by its index in the stream."""
        row, space = self.height(total), self._space(total)
        centres = np.empty(len(self.order))
        top = 0.0
        for group in self.groups:
            centres[list(group.channels)] = top + (np.arange(len(group.channels)) + 0.5) * row
            top += len(group.channels) * row + space
        return centres


@lru_cache(maxsize=8)
def by_region(ch_names: Sequence[str]) -> Rows:
    """Return the rows from the front of the head to its back, each region in stream order, unknown places last.

    Parameters
    ----------
    ch_names : tuple of str
    """
    regions = channels_by_region(ch_names)
    known = {i for channels in regions.values() for i in channels}
    unknown = tuple(i for i in range(len(ch_names)) if i not in known)
    groups = [Group(region, tuple(channels)) for region, channels in regions.items()]
    return Rows((*groups, Group(None, unknown)) if unknown else tuple(groups))


@lru_cache(maxsize=8)
def in_stream_order(n_channels: int) -> Rows:
    """Return the rows of channels as the stream has them, in one group."""
    return Rows((Group(None, tuple(range(n_channels))),))
