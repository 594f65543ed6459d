"""Average repetitions: epochs of one picture or label -> groups without overlap -> one mean epoch a group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from necomimi.epochs import EpochSet
from necomimi.errors import ConfigError

__all__ = ["average_groups", "average_part", "group_repetitions"]

BLOCK = 4096  # epochs read at once


def group_repetitions(names: Sequence[str], size: int | None, seed: int) -> list[NDArray[np.int64]]:
    """Put epochs with the same name into groups of equal size; each epoch is in one group at most.

    Parameters
    ----------
    names : sequence of str
        What each epoch is of.
    size : int or None
        Epochs in a group; None puts all epochs of a name into one.
    seed : int
        Of the order in which repetitions are drawn.

    Returns
    -------
    list of ndarray of int
        Row numbers of each group; names with fewer than `size` epochs give none.
    """
    rng = np.random.default_rng(seed)
    _, index = np.unique(np.asarray(names), return_inverse=True)
    order = np.argsort(index, kind="stable")
    groups: list[NDArray[np.int64]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(index[order])) + 1):
        drawn = rng.permutation(rows)
        width = len(drawn) if size is None else size
        groups += [np.sort(drawn[start : start + width]) for start in range(0, len(drawn) - width + 1, width)]
    return groups


def average_groups(data: NDArray[np.float32], groups: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return the mean epoch of each group, reading a mapped array a block at a time.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times)
    groups : sequence of ndarray of int
        Row numbers.

    Returns
    -------
    ndarray of float32, shape (n_groups, n_channels, n_times)
    """
    out = np.empty((len(groups), *data.shape[1:]), dtype=np.float32)
    start = 0
    while start < len(groups):
        stop, rows = start, 0
        while stop < len(groups) and (stop == start or rows + len(groups[stop]) <= BLOCK):
            rows += len(groups[stop])
            stop += 1
        block = groups[start:stop]
        first = np.cumsum([0] + [len(group) for group in block[:-1]])
        sums = np.add.reduceat(np.asarray(data[np.concatenate(block)]), first, axis=0)
        out[start:stop] = sums / np.array([len(group) for group in block], dtype=np.float32)[:, None, None]
        start = stop
    return out


def average_part(part: EpochSet, repetitions: int | None) -> tuple[NDArray[np.float32], list[NDArray[np.int64]]]:
    """Return the mean epochs of groups of repetitions, and the row numbers behind each.

    Parameters
    ----------
    part : EpochSet
    repetitions : int or None
        Presentations averaged, none twice; None for all of a picture. Of 1, the epochs themselves, in their order.

    Raises
    ------
    ConfigError
        No picture has so many.
    """
    if repetitions == 1:
        return part.data, [np.array([i]) for i in range(len(part))]
    groups = group_repetitions(part.names, repetitions, seed=0)
    if not groups:
        raise ConfigError(f"--repetitions {repetitions}", "as many as some picture has, or all")
    return average_groups(part.data, groups), groups
