"""How sure a rate is: hits, trials or clusters of them -> 95 % interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_interval", "wilson"]

Z_95 = 1.959964


def wilson(n_hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a proportion (Wilson 1927, without continuity correction).

    Parameters
    ----------
    n_hits, n : int
        Successes, and trials; without trials the interval is (0, 1).
    """
    if n == 0:
        return 0.0, 1.0
    p, z2 = n_hits / n, Z_95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(hits: NDArray[np.float64], clusters: NDArray[Any], n_draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean, drawing whole clusters (concepts) with replacement.

    Parameters
    ----------
    hits : ndarray, shape (n_queries,)
    clusters : ndarray, shape (n_queries,)
        What each query shares with others: queries of one concept are not independent.
    n_draws : int
        Bootstrap draws, seeded.
    """
    _, index = np.unique(clusters, return_inverse=True)
    sums, counts = np.bincount(index, weights=hits), np.bincount(index)
    draws = np.random.default_rng(0).integers(0, len(sums), (n_draws, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
