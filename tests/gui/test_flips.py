"""Refreshes are counted as they were, however the stamps jitter; on times and rates that no display has to have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.gui.flips import FlipClock, FlipIntervals, RateTest, frames_of


@pytest.mark.parametrize(
    ("seconds", "hz", "expected"),
    [(0.1, 60.0, 6), (0.1, 59.94, 6), (0.1, 144.0, 14), (0.1, 75.0, 8), (0.001, 60.0, 1), (1.0, 60.0, 60)],
)
def test_durations_are_whole_refreshes(seconds: float, hz: float, expected: int) -> None:
    assert frames_of(seconds, hz) == expected


@given(seconds=st.floats(0.02, 10), hz=st.floats(50, 360))
def test_a_rounded_duration_is_off_by_half_a_refresh_at_most(seconds: float, hz: float) -> None:
    assert abs(frames_of(seconds, hz) / hz - seconds) <= 0.5 / hz + 1e-9


@given(
    steps=st.lists(st.sampled_from([1, 1, 1, 1, 2, 3]), min_size=1, max_size=300),
    lateness=st.integers(0, 1000),
    error=st.floats(-0.002, 0.002),
)
def test_missed_flips_are_counted_in_spite_of_late_stamps(steps: list[int], lateness: int, error: float) -> None:
    """Stamps late by up to a quarter of a refresh, from a display whose rate is not quite the one it says."""
    clock = FlipClock(60.0)
    refreshes = np.concatenate(([0], np.cumsum(steps)))
    late = np.random.default_rng(lateness).uniform(0, 0.25, len(refreshes))
    stamps = 1000 + (refreshes + late) / (60.0 * (1 + error))
    assert [clock.add(stamp) for stamp in stamps.tolist()] == [1, *steps]


def test_one_very_late_stamp_does_not_add_a_refresh() -> None:
    clock = FlipClock(60.0)
    stamps = np.arange(100) / 60.0
    stamps[50] += 0.012
    counts = [clock.add(stamp) for stamp in stamps.tolist()]
    assert sum(counts) == 100
    assert counts[50:52] == [2, 0]


def test_the_rate_is_measured_in_spite_of_missed_flips() -> None:
    clock = FlipClock(60.0)
    for stamp in np.delete(np.arange(90), [20, 21, 50]) / 74.97:
        clock.add(float(stamp))
    clock.settle()
    assert clock.hz == pytest.approx(74.97, rel=1e-6)


def test_intervals_and_verdicts() -> None:
    even = FlipIntervals.of(np.arange(301) / 60.0)
    assert (even.n, even.n_dropped) == (300, 0)
    assert even.refresh_hz == pytest.approx(60)
    assert (even.mean_ms, even.p99_ms, even.max_ms) == pytest.approx((1e3 / 60,) * 3)
    assert even.verdict(True).startswith("steady")
    assert even.verdict(False).startswith("no vertical sync")
    holed = FlipIntervals.of(np.delete(np.arange(301), [100, 200, 201]) / 60.0)
    assert holed.n_dropped == 3
    assert holed.max_ms == pytest.approx(3e3 / 60)
    assert holed.verdict(True).startswith("3 flips were missed (1 %)")
    uneven = FlipIntervals.of(np.arange(301) / 60.0 + np.tile([0, 0.002], 151)[:301])
    assert uneven.n_dropped == 0
    assert "scatter" in uneven.verdict(True)
    assert set(even.to_json()) >= {"n", "refresh_hz", "sd_ms", "p50_ms", "p95_ms", "n_dropped"}


def test_a_rate_test_lasts_its_time() -> None:
    show = RateTest(0.5)
    now, frames = 7.0, []
    while not show.done:
        frames.append(show.next_frame())
        show.flipped(now)
        now += 1 / 64
    assert len(show.stamps) == 33
    assert {frame.diode for frame in frames} == {True, False}
