"""Hold out whole concepts, or blocks of trials less their neighbours: labels, onsets -> two sets of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import DatasetError

__all__ = ["hold_out_blocks", "hold_out_concepts"]

Rows = NDArray[np.int64]


def hold_out_concepts(labels: Sequence[str], n_concepts: int, seed: int) -> tuple[Rows, Rows]:
    """Split epochs so that no concept is on both sides.

    Parameters
    ----------
    labels : sequence of str
        The concept of each epoch.
    n_concepts : int
        Concepts to hold out, drawn with `seed`.
    seed : int

    Returns
    -------
    train, validation : ndarray of int
        Row numbers, ascending.

    Raises
    ------
    DatasetError
        Too few concepts: two are needed on each side.
    """
    concepts = sorted(set(labels))
    if not 2 <= n_concepts <= len(concepts) - 2:
        raise DatasetError(
            f"{n_concepts} validation concepts of {len(concepts)} in the training epochs",
            "at least 2, and at least 2 left to train on",
            "choose --val-concepts, or record more concepts",
        )
    chosen = np.random.default_rng(seed).permutation(len(concepts))[:n_concepts]
    held = np.isin(np.asarray(labels), [concepts[i] for i in chosen])
    return np.flatnonzero(~held), np.flatnonzero(held)


def hold_out_blocks(
    labels: Sequence[str],
    sessions: NDArray[np.int64],
    onsets: NDArray[np.float64],
    duration: float,
    fraction: float,
) -> tuple[Rows, Rows]:
    """Split trials into blocks of time, and drop training trials whose epochs overlap a validation epoch.

    Neighbours share signal, so a random split would leak. Two blocks are held out, in the middle of each half of the
    recording; more and shorter ones where a class would otherwise be missing on either side.

    Parameters
    ----------
    labels : sequence of str
        The class of each trial.
    sessions : ndarray of int, shape (n_trials,)
        Trials of different sessions never overlap.
    onsets : ndarray, shape (n_trials,)
        Seconds in the session.
    duration : float
        Seconds of signal behind one epoch, baseline included.
    fraction : float
        Share of the trials to hold out.

    Returns
    -------
    train, validation : ndarray of int
        Row numbers, ascending.

    Raises
    ------
    DatasetError
        No such split leaves every class on both sides.
    """
    classes = set(labels)
    names = np.asarray(labels)
    order = np.lexsort((onsets, sessions))
    n_blocks = 2
    while n_blocks <= max(2, len(names) * fraction):
        phase = np.arange(len(names)) / len(names) * n_blocks % 1.0  # position within one of n_blocks stretches
        held = np.zeros(len(names), dtype=bool)
        held[order[np.abs(phase - 0.5) < fraction / 2]] = True
        train, validation = _purge(held, sessions, onsets, duration), np.flatnonzero(held)
        if set(names[train]) == classes == set(names[validation]):
            return train, validation
        n_blocks *= 2
    raise DatasetError(
        f"{len(names)} trials of {len(classes)} classes cannot be split by time into training and validation",
        "trials of every class in each stretch of the recording",
        "record more trials of each class, in mixed order",
    )


def _purge(held: NDArray[np.bool_], sessions: NDArray[np.int64], onsets: NDArray[np.float64], duration: float) -> Rows:
    """Return the trials that are not held out and share no signal with one that is."""
    keep = ~held
    for session in np.unique(sessions):
        inside = np.flatnonzero(sessions == session)
        blocked = np.sort(onsets[inside][held[inside]])
        if len(blocked):
            after = np.searchsorted(blocked, onsets[inside])
            following = np.append(blocked, np.inf)[after] - onsets[inside]
            preceding = onsets[inside] - np.append(-np.inf, blocked)[after]
            keep[inside] &= np.minimum(following, preceding) >= duration
    return np.flatnonzero(keep)
