"""Answers that look at the test set as a set: similarities of all queries, or their epochs -> rows of figures.

A query's answer depends here on the other queries, which nobody has who looks at one picture: these figures stand in a
table of their own. The queries are dealt into rounds, each with one query of a class at most, as if every picture had
been shown once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.preprocessing import ledoit_wolf, whitening_matrix

from .scoring import interval_of

__all__ = ["METHODS", "assign", "correct_hubs", "deal_rounds", "judge_as_a_set", "rewhiten"]

METHODS = ("one-to-one assignment", "CSLS", "whitening on test queries")
N_NEIGHBOURS = 10
N_REFERENCE = 8192  # training epochs, evenly spaced
BLOCK = 1024  # epochs at once
Judge = Callable[[NDArray[Any], NDArray[Any]], dict[str, Any]]


def deal_rounds(targets: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return rows in rounds: the first query of each class, the second of each, and so on.

    Parameters
    ----------
    targets : ndarray of int, shape (n_queries,)
        Class of each query.
    """
    order = np.argsort(targets, kind="stable")
    _, first, counts = np.unique(targets[order], return_index=True, return_counts=True)
    turn = np.empty(len(targets), dtype=np.intp)
    turn[order] = np.arange(len(targets)) - np.repeat(first, counts)
    return [np.flatnonzero(turn == i) for i in range(int(counts.max()))]


def assign(similarities: NDArray[Any], seed: int = 0) -> NDArray[np.intp]:
    """Return the class of each query, no class twice, such that the sum of similarities is greatest.

    Parameters
    ----------
    similarities : ndarray, shape (n_queries, n_classes)
        At most as many queries as classes.
    seed : int
        Of the order in which queries are assigned, so that ties do not fall to the order of the table.

    Returns
    -------
    ndarray of int, shape (n_queries,)

    References
    ----------
    Kuhn (1955), The Hungarian method for the assignment problem.
    """
    from scipy.optimize import linear_sum_assignment

    order = np.random.default_rng(seed).permutation(len(similarities))
    chosen = np.empty(len(similarities), dtype=np.intp)
    chosen[order] = linear_sum_assignment(similarities[order], maximize=True)[1]
    return chosen


def correct_hubs(similarities: NDArray[Any]) -> NDArray[np.float64]:
    """Return similarities less how near each class is to queries in general.

    Twice the cosine, less the mean cosine of the class with its 10 nearest queries. The same mean of a query over
    classes would not change the order of its answers.

    Parameters
    ----------
    similarities : ndarray, shape (n_queries, n_classes)

    References
    ----------
    Conneau et al. (2018), Word translation without parallel data (cross-domain similarity local scaling).
    """
    scores = np.asarray(similarities, dtype=np.float64)
    nearest = np.sort(scores, axis=0)[-N_NEIGHBOURS:]
    corrected: NDArray[np.float64] = 2 * scores - nearest.mean(axis=0)
    return corrected


def rewhiten(data: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return epochs as if their own channel covariance had whitened them, not that of the training epochs.

    Each is the mean of the epochs' Ledoit-Wolf covariances; the training epochs' one is undone and the other put in its
    place: the part of the published preprocessing that looked at the test epochs.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times)
        Preprocessed test epochs.
    reference : ndarray of float32, shape (n_reference, n_channels, n_times)
        Preprocessed training epochs, of which at most 8192 are looked at.

    References
    ----------
    Guggenmos et al. (2018), Multivariate pattern analysis for MEG; Sun et al. (2016), Return of frustratingly easy
    domain adaptation (correlation alignment).
    """
    rows = np.unique(np.linspace(0, len(reference) - 1, N_REFERENCE).astype(np.int64))
    undo = np.linalg.inv(whitening_matrix(_covariance(reference, rows)))
    matrix = (undo @ whitening_matrix(_covariance(data, np.arange(len(data))))).astype(np.float32)
    whitened = np.empty(data.shape, dtype=np.float32)
    for start in range(0, len(data), BLOCK):
        np.matmul(matrix, data[start : start + BLOCK], out=whitened[start : start + BLOCK])
    return whitened


def _covariance(data: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean Ledoit-Wolf covariance over channels of some epochs, reading a mapped array in blocks."""
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    sums = [ledoit_wolf(data[block]).sum(axis=0) for block in blocks]
    mean: NDArray[np.float64] = np.sum(sums, axis=0) / len(rows)
    return mean


def judge_as_a_set(
    similarities: NDArray[Any], whitened: NDArray[Any], targets: NDArray[np.intp], judge: Judge
) -> list[dict[str, Any]]:
    """Return the figures of each method.

    Parameters
    ----------
    similarities : ndarray, shape (n_queries, n_classes)
        Of each query with each class.
    whitened : ndarray, shape (n_queries, n_classes)
        The same after `rewhiten`.
    targets : ndarray of int, shape (n_queries,)
        The right class of each.
    judge : callable
        Figures of scores and targets: `necomimi.offline.judgement.judge_scores`.

    Returns
    -------
    list of dict
        "method", one of `METHODS`, and the figures; an assignment gives one answer, so its "top5" is None.
    """
    n_classes = similarities.shape[1]
    hits, corrected = np.empty(len(targets)), np.empty(similarities.shape)
    for turn, rows in enumerate(deal_rounds(targets)):
        hits[rows] = assign(similarities[rows], seed=turn) == targets[rows]
        corrected[rows] = correct_hubs(similarities[rows])
    low, high, kind = interval_of(hits, targets)
    assigned = {
        "n_queries": len(targets), "n_classes": n_classes,
        "top1": float(hits.mean()), "top1_interval": [low, high], "chance_top1": 1 / n_classes,
        "top5": None, "top5_interval": [0.0, 1.0], "chance_top5": min(5, n_classes) / n_classes,
        "interval": kind,
    }  # fmt: skip
    figures = (assigned, judge(corrected, targets), judge(whitened, targets))
    return [{"method": method, **row} for method, row in zip(METHODS, figures, strict=True)]
