"""The interval of a proportion is the published one; that of clusters draws them whole."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.intervals import bootstrap_interval, wilson


@pytest.mark.parametrize(
    ("n_hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_agrees_with_published_values(n_hits: int, n: int, low: float, high: float) -> None:
    # 81/263 is the worked example of Newcombe (1998), Statistics in Medicine 17, 857-872
    assert wilson(n_hits, n) == pytest.approx((low, high), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_bootstrap_is_seeded_and_weighs_clusters_by_their_queries() -> None:
    hits = np.r_[np.ones(90), np.zeros(10)]
    clusters = np.r_[np.zeros(90), np.arange(1, 11)]
    low, high = bootstrap_interval(hits, clusters)
    assert (low, high) == bootstrap_interval(hits, clusters)
    assert low < hits.mean() < high
