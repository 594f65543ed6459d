"""Percentiles of the last measurements, from any thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.realtime.latency import HISTORY, LatencyMeter


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_percentiles_are_those_of_numpy(values: list[float]) -> None:
    meter = LatencyMeter()
    for value in values:
        meter.add({"embed": value})
    expected = np.percentile(values, (50, 95, 99, 100))
    assert list(meter.percentiles()["embed"]) == ["p50", "p95", "p99", "max"]
    assert list(meter.percentiles()["embed"].values()) == pytest.approx(expected, rel=1e-9, abs=1e-3)


def test_only_the_last_measurements_count() -> None:
    meter = LatencyMeter()
    for value in [1e9] * 10 + list(range(HISTORY)):
        meter.add({"embed": float(value)})
    meter.add({"wait": 2.0})
    assert meter.percentiles()["embed"]["max"] == HISTORY - 1
    assert meter.percentiles()["wait"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
    assert LatencyMeter().percentiles() == {}


def test_threads_may_add_while_another_asks() -> None:
    meter = LatencyMeter()
    failures: list[BaseException] = []

    def add(step: str) -> None:
        for i in range(20_000):
            meter.add({step: float(i), f"{step}-{i % 50}": 1.0})

    def ask() -> None:
        try:
            while any(adder.is_alive() for adder in adders):
                meter.percentiles()
        except RuntimeError as error:
            failures.append(error)

    adders = [threading.Thread(target=add, args=(step,)) for step in ("a", "b")]
    asker = threading.Thread(target=ask)
    for thread in (*adders, asker):
        thread.start()
    for thread in (*adders, asker):
        thread.join()
    assert failures == []
    assert meter.percentiles()["a"]["max"] == 19_999
