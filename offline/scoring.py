"""Judge scores exactly: scores of queries against candidates -> ranks, k-way expectations, intervals, AUC."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import DatasetError
from necomimi.intervals import bootstrap_interval, wilson

__all__ = [
    "area_under_curve",
    "expectation",
    "interval_of",
    "kway_table",
    "ranks",
    "sign_test",
    "units_of",
]


def ranks(
    scores: NDArray[Any], targets: NDArray[Any], others: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return where the target of each query stands among the candidates.

    Parameters
    ----------
    scores : ndarray, shape (n_queries, n_candidates)
        Higher is better.
    targets : ndarray of int, shape (n_queries,)
        Column of each query's target.
    others : ndarray of bool, shape (n_queries, n_candidates), optional
        Candidates that compete with the target; all but the target where it is absent.

    Returns
    -------
    best : ndarray of int, shape (n_queries,)
        The target's rank, from 1, if it wins every tie.
    ties : ndarray of int, shape (n_queries,)
        Competitors with the target's very score.
    sizes : ndarray of int, shape (n_queries,)
        Competitors and the target.

    Raises
    ------
    DatasetError
        Scores are not finite, or a target is not a column.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    if scores.ndim != 2 or not scores.size or targets.shape != scores.shape[:1]:
        raise DatasetError(
            f"scores of shape {scores.shape} with targets of shape {targets.shape}",
            "(n_queries, n_candidates) and (n_queries,), with at least one query",
        )
    if not np.isfinite(scores).all():
        raise DatasetError(f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite")
    if targets.min() < 0 or targets.max() >= scores.shape[1]:
        raise DatasetError(
            f"targets from {targets.min()} to {targets.max()}", f"columns 0 to {scores.shape[1] - 1} of the scores"
        )
    rows = np.arange(len(scores))
    own = scores[rows, targets][:, None]
    compete = np.ones(scores.shape, dtype=bool) if others is None else others.copy()
    compete[rows, targets] = False
    best = 1 + ((scores > own) & compete).sum(axis=1)
    ties = ((scores == own) & compete).sum(axis=1)
    return best, ties, 1 + compete.sum(axis=1)


def kway_table(n: int, k: int, top: int = 1) -> NDArray[np.float64]:
    """Return the probability of a hit for each rank the target may have.

    The target meets ``k - 1`` distractors drawn without replacement from the ``n - 1`` other candidates, and it is a
    hit if fewer than `top` of them outrank it: a hypergeometric probability, which for ``top=1`` is
    C(n - r, k - 1) / C(n - 1, k - 1).

    Parameters
    ----------
    n : int
        Candidates, target included.
    k : int
        Choices, target included; at most `n`.
    top : int
        Answers allowed.

    Returns
    -------
    ndarray of float64, shape (n,)
        Entry ``r - 1`` is for rank r.
    """
    from scipy.stats import hypergeom

    if not 1 <= k <= n:
        raise ValueError(f"{k}-way choice among {n} candidates")
    chances: NDArray[np.float64] = hypergeom.cdf(top - 1, n - 1, np.arange(n), k - 1)
    return chances


def expectation(
    best: NDArray[np.int64], ties: NDArray[np.int64], sizes: NDArray[np.int64], k: int | None = None, top: int = 1
) -> NDArray[np.float64]:
    """Return the exact expectation of a k-way hit for each query; its mean is the k-way accuracy.

    Ties are broken at random: the expectation is the mean over the places that the target may take among its equals,
    so that one tie counts half, and constant scores give chance.

    Parameters
    ----------
    best, ties, sizes : ndarray of int, shape (n_queries,)
        As `ranks` returns them.
    k : int, optional
        Choices, target included; all candidates where it is absent.
    top : int
        Answers allowed.

    Returns
    -------
    ndarray of float64, shape (n_queries,)
    """
    hits = np.empty(len(best))
    for n in np.unique(sizes):
        rows = sizes == n
        total = np.concatenate([[0.0], np.cumsum(kway_table(int(n), int(n) if k is None else k, top))])
        first, last = best[rows] - 1, best[rows] + ties[rows]
        hits[rows] = (total[last] - total[first]) / (ties[rows] + 1)
    return np.clip(hits, 0.0, 1.0)


def area_under_curve(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: P(score of a positive > score of a negative), ties half.

    Parameters
    ----------
    scores : ndarray, shape (n_queries,)
    positive : ndarray of bool, shape (n_queries,)

    Raises
    ------
    DatasetError
        One of the classes is absent.
    """
    from scipy.stats import rankdata

    positive = np.asarray(positive, dtype=bool)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        raise DatasetError(f"{n_positive} positive and {n_negative} negative queries", "some of both for an AUC")
    rank_sum = rankdata(scores)[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def interval_of(hits: NDArray[np.float64], clusters: NDArray[Any]) -> tuple[float, float, str]:
    """Return the 95 % interval that suits the queries, and its name.

    Wilson's where every concept is asked once, or where there are fewer than ten (label galleries: trials are the
    units); else a bootstrap over concepts, since repetitions of one concept are not independent.
    """
    units = units_of(clusters)
    if len(np.unique(units)) == len(hits):
        return *wilson(round(hits.sum()), len(hits)), "Wilson"
    return *bootstrap_interval(hits, clusters), "bootstrap over concepts"


def units_of(clusters: NDArray[Any]) -> NDArray[Any]:
    """Return which queries are not independent of each other: `clusters`, or each alone where those are fewer than ten.

    Parameters
    ----------
    clusters : ndarray, shape (n_queries,)
        The concept of each query.
    """
    return clusters if len(np.unique(clusters)) >= 10 else np.arange(len(clusters))


def sign_test(differences: NDArray[np.float64], clusters: NDArray[Any]) -> float:
    """Return the p value, two-sided, of as many units above zero as below: exact, those at zero left out.

    Of hits (0 or 1) under two conditions, one query a unit, this is the exact test of McNemar (1947).

    Parameters
    ----------
    differences : ndarray, shape (n_queries,)
    clusters : ndarray, shape (n_queries,)
        Queries that share one are one unit: the sign is that of their mean.
    """
    from scipy.stats import binomtest

    _, index = np.unique(clusters, return_inverse=True)
    means = np.bincount(index, weights=differences) / np.bincount(index)
    above, below = int((means > 1e-9).sum()), int((means < -1e-9).sum())  # rounding is no difference
    return float(binomtest(above, above + below).pvalue) if above + below else 1.0
