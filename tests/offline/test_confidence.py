"""Confidence is judged by hand-made cases: honest answers have no error, boasts have all of it."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.intervals import wilson
from necomimi.offline.confidence import judge_confidence


def test_honest_answers_stay_below_the_bound_and_boasts_do_not() -> None:
    rng = np.random.default_rng(1)
    confidence, clusters = rng.uniform(0.05, 1.0, 400), np.arange(400)
    below = 0
    for _ in range(100):
        found = judge_confidence(confidence, rng.random(400) < confidence, clusters)
        below += found["ece"] <= found["ece_if_calibrated"]
    assert 88 <= below <= 100  # 95 expected
    boast = judge_confidence(confidence, rng.random(400) < 0.7 * confidence, clusters)
    assert boast["ece"] > boast["ece_if_calibrated"]
    assert boast["ece"] == pytest.approx(0.3 * confidence.mean(), abs=0.05)
    assert boast["confidence"] == pytest.approx(confidence.mean())


def test_the_bound_shrinks_with_the_root_of_the_queries() -> None:
    confidence = np.full(100, 0.6)
    few, many = (
        judge_confidence(np.tile(confidence, n), np.ones(100 * n), np.arange(100 * n))["ece_if_calibrated"]
        for n in (1, 25)
    )
    assert few == pytest.approx(1.96 * np.sqrt(0.6 * 0.4 / 100), rel=0.1)  # one bin: a binomial deviation
    assert many == pytest.approx(few / 5, rel=0.15)


def test_what_a_threshold_lets_through() -> None:
    confidence, hits = np.array([0.95, 0.9, 0.89, 0.2]), np.array([1.0, 0.0, 1.0, 0.0])
    found = judge_confidence(confidence, hits, np.arange(4), sure=0.9)
    assert (found["sure"], found["right_when_sure"]) == (0.5, 0.5)
    assert found["right_when_sure_interval"] == list(wilson(1, 2))
    never = judge_confidence(confidence, hits, np.arange(4), sure=0.99)
    assert (never["sure"], never["right_when_sure"], never["right_when_sure_interval"]) == (0.0, None, [0.0, 1.0])
    assert "sure" not in judge_confidence(confidence, hits, np.arange(4))
