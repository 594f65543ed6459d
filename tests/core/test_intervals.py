"""The interval of a proportion is the published one."""

from __future__ import annotations

import pytest

from necomimi.intervals import wilson


@pytest.mark.parametrize(
    ("n_hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_agrees_with_published_values(n_hits: int, n: int, low: float, high: float) -> None:
    # 81/263 is the worked example of Newcombe (1998), Statistics in Medicine 17, 857-872
    assert wilson(n_hits, n) == pytest.approx((low, high), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
