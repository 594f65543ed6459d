"""Sample numbers map to time through drift, jitter, bursts, holes and steps."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.realtime.clock import SampleClock

SFREQ = 500.0


def feed(clock: SampleClock, stamps: np.ndarray, chunk: int = 16, index: int = 0) -> None:
    for i in range(0, len(stamps), chunk):
        clock.add(index + i, stamps[i : i + chunk])


def line(n: int, start: float = 1000.0, ppm: float = 0.0) -> np.ndarray:
    return start + np.arange(n) / (SFREQ * (1 + ppm * 1e-6))


@pytest.mark.parametrize("chunk", [1, 7, 32, 250, 1000])
def test_clean_stamps(chunk: int) -> None:
    clock = SampleClock(SFREQ)
    stamps = line(5000)
    feed(clock, stamps, chunk)
    (segment,) = clock.segments
    assert [segment.index_of(stamps[i]) for i in (0, 1, 2500, 4999)] == [0, 1, 2500, 4999]
    assert clock.newest == pytest.approx(stamps[-1], abs=1e-7)
    assert clock.n_missing == 0


@pytest.mark.parametrize("ppm", [-50.0, 50.0])
def test_drift_is_followed(ppm: float) -> None:
    clock = SampleClock(SFREQ)
    stamps = line(int(120 * SFREQ), ppm=ppm)
    feed(clock, stamps)
    (segment,) = clock.segments
    assert segment.drift_ppm == pytest.approx(ppm, abs=1.0)
    late = np.arange(len(stamps) - 5000, len(stamps), 97)
    assert [segment.index_of(stamps[i]) for i in late] == list(late)


def test_jitter_is_averaged_away_and_is_no_hole() -> None:
    rng = np.random.default_rng(0)
    clock = SampleClock(SFREQ)
    true = line(int(60 * SFREQ))
    feed(clock, true + rng.normal(scale=0.005, size=len(true)))
    (segment,) = clock.segments
    errors = np.array([segment.time_of(i) - true[i] for i in range(len(true) - 2000, len(true), 50)])
    assert np.abs(errors).max() < 0.001
    assert segment.jitter_s == pytest.approx(0.004, abs=0.001)


def test_burst_stamps_are_no_holes() -> None:
    clock = SampleClock(SFREQ)
    true = line(int(30 * SFREQ))
    n = 17  # 34 ms of samples stamped on arrival, 10 us apart
    n_bursts = len(true) // n
    arrivals = true[: n_bursts * n].reshape(n_bursts, n)[:, -1:]
    feed(clock, (arrivals + 1e-5 * np.arange(n)).ravel(), chunk=n)
    assert len(clock.segments) == 1
    assert clock.segments[0].drift_ppm == pytest.approx(0.0, abs=50.0)


@pytest.mark.parametrize("chunk", [1, 16, 700])
@pytest.mark.parametrize("lost", [2, 3, 50, 1000])
def test_a_hole_begins_a_segment_and_is_counted(lost: int, chunk: int) -> None:
    clock = SampleClock(SFREQ)
    stamps = np.delete(line(4000), slice(1500, 1500 + lost))
    feed(clock, stamps, chunk)
    assert [(s.first, s.cause, s.n_missing) for s in clock.segments] == [(0, "start", 0), (1500, "gap", lost)]
    assert clock.n_missing == lost
    before, after = clock.segments
    assert before.end == 1500
    assert after.time_of(1500) == pytest.approx(stamps[1500], abs=1e-6)
    found = clock.segment_at(stamps[1499] + lost / 2 / SFREQ)
    assert found == (before, after)


def test_a_clock_that_steps_back_begins_a_segment() -> None:
    clock = SampleClock(SFREQ)
    feed(clock, np.concatenate((line(1500), line(1500, start=900.0))))
    assert [(s.first, s.cause) for s in clock.segments] == [(0, "start"), (1500, "seam")]


def test_a_reconnect_begins_a_segment_even_on_the_line() -> None:
    clock = SampleClock(SFREQ)
    stamps = line(200)
    clock.add(0, stamps[:100])
    clock.add(100, stamps[100:], "reconnect")
    assert [s.cause for s in clock.segments] == ["start", "reconnect"]


def test_times_before_the_first_sample_belong_to_no_segment() -> None:
    clock = SampleClock(SFREQ)
    assert clock.segment_at(1.0) is None
    assert clock.newest == float("-inf")
    clock.add(0, line(10))
    assert clock.segment_at(999.0) is None
    assert clock.segment_at(1000.0 - 0.4 / SFREQ) is not None
