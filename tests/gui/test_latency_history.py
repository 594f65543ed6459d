from __future__ import annotations

import numpy as np
import pytest

from necomimi.gui.latency import MAX_STEPS, LatencyHistory


def test_percentiles_are_numpys_over_the_newest_decisions() -> None:
    history = LatencyHistory(capacity=100)
    values = np.random.default_rng(0).gamma(2.0, 3.0, 250)
    for i, value in enumerate(values):
        history.add(float(i), {"encode": value, "total": 2 * value})
    assert len(history) == 100
    table = history.percentiles()
    assert table["encode"] == pytest.approx(tuple(np.percentile(values[-100:], [50, 95, 99])))
    assert table["total"] == pytest.approx(tuple(np.percentile(2 * values[-100:], [50, 95, 99])))


def test_decisions_come_back_in_order_with_steps_missing_where_not_reported() -> None:
    history = LatencyHistory(capacity=3)
    history.add(1.0, {"a": 9.0})
    history.add(2.0, {"a": 1.0})
    history.add(3.0, {"a": 2.0, "b": 5.0})
    history.add(4.0, {"b": 6.0, "total": 20.0})
    times, steps, totals = history.since(2.0)
    assert times.tolist() == [3.0, 4.0]
    assert history.steps == ["a", "b"]
    np.testing.assert_array_equal(steps, [[2.0, 5.0], [np.nan, 6.0]])
    assert totals.tolist() == [7.0, 20.0]  # without a total: the sum


def test_decisions_without_latency_are_left_out() -> None:
    history = LatencyHistory()
    history.add(1.0, {})
    assert len(history) == 0
    assert history.percentiles() == {}


def test_the_number_of_steps_is_bounded() -> None:
    history = LatencyHistory()
    for i in range(100):
        history.add(float(i), {f"step{i}": 1.0})
    assert len(history.steps) == MAX_STEPS
    assert history.since(-1.0)[1].shape == (100, MAX_STEPS)
