"""Sample numbers map to time through drift, jitter, bursts, holes and steps."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.clock import SampleClock

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


def test_a_hole_smaller_than_the_jitter_shows_on_the_average() -> None:
    rng = np.random.default_rng(1)
    true = line(int(40 * SFREQ))
    true[10_003:] += 0.02  # ten samples of 2 ms, under 5 ms of jitter
    clock = SampleClock(SFREQ)
    feed(clock, true + rng.normal(scale=0.005, size=len(true)))
    _, after = clock.segments
    assert after.cause == "gap"
    assert abs(after.n_missing - 10) <= 1
    assert abs(after.first - 10_003) < 50  # a tenth of a second: two blocks
    errors = np.array([after.time_of(i) - true[i] for i in range(10_100, len(true), 50)])
    assert np.abs(errors).max() < 0.003


@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_any_kind_makes_no_holes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(120 * SFREQ)
    noises = [
        rng.normal(scale=0.005, size=n),
        np.repeat(rng.uniform(0, 0.01, size=n // 20), 20),
        np.repeat(rng.exponential(0.005, size=n // 10), 10),
        rng.standard_t(3, size=n) * 0.001,
    ]
    for noise in noises:
        clock = SampleClock(SFREQ)
        feed(clock, line(n) + noise)
        assert len(clock.segments) == 1


@pytest.mark.parametrize("cut", [1, 5, 17, 40])
@pytest.mark.parametrize("apart", [0.0, 1e-5])
def test_burst_stamps_are_no_holes(cut: int, apart: float) -> None:
    """A burst of samples is stamped on arrival, 10 us apart or all alike, and may be pulled in pieces."""
    clock = SampleClock(SFREQ)
    true = line(int(30 * SFREQ))
    n = 17  # 34 ms
    n_bursts = len(true) // n
    arrivals = true[: n_bursts * n].reshape(n_bursts, n)[:, -1:]
    feed(clock, (arrivals - apart * np.arange(n)[::-1]).ravel(), chunk=cut)
    (segment,) = clock.segments
    assert segment.drift_ppm == pytest.approx(0.0, abs=20.0)
    assert segment.jitter_s < 1e-4
    late = np.arange(10_000, n_bursts * n, 37)  # a burst's arrival is the time of its last sample
    assert [segment.index_of(true[i]) for i in late] == list(late)


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


@pytest.mark.parametrize("at", [2, 10, 49, 100, 140, 200])
@pytest.mark.parametrize("lost", [1, 3, 100, 1000])
def test_a_hole_in_the_first_instant_is_a_hole(at: int, lost: int) -> None:
    clock = SampleClock(SFREQ)
    stamps = np.delete(line(3000), slice(at, at + lost))
    feed(clock, stamps, 10)
    assert [(s.first, s.cause, s.n_missing) for s in clock.segments] == [(0, "start", 0), (at, "gap", lost)]
    assert clock.segments[0].index_of(stamps[at - 1]) == at - 1
    assert clock.segments[1].index_of(stamps[at]) == at


def test_a_hole_between_bursts_is_a_hole() -> None:
    n, lost = 17, 40
    true = line(int(20 * SFREQ))
    last = np.minimum(np.arange(len(true)) // n * n + n - 1, len(true) - 1)
    stamps = true[last]
    stamps[n * 200 :] += lost / SFREQ
    clock = SampleClock(SFREQ)
    feed(clock, stamps, 13)
    assert [(s.first, s.cause, s.n_missing) for s in clock.segments] == [(0, "start", 0), (n * 200, "gap", lost)]


def test_two_holes_within_an_instant() -> None:
    """Samples between them lie on a line of their own, which no epoch fits into."""
    stamps = np.delete(line(4000), [*range(1500, 1600), *range(1620, 1650)])
    clock = SampleClock(SFREQ)
    feed(clock, stamps, 16)
    assert [(s.first, s.n_missing) for s in clock.segments] == [(0, 0), (1500, 100), (1520, 30)]


def test_late_chunks_are_jitter_and_no_holes() -> None:
    """A sender that stamps each packet when it gets round to it: up to 5 ms late, and 30 ms now and then."""
    rng = np.random.default_rng(2)
    n, packet = int(60 * SFREQ), 10
    late = rng.uniform(0, 0.005, size=n // packet)
    late[rng.choice(np.arange(50, n // packet), 20, replace=False)] += 0.03
    clock = SampleClock(SFREQ)
    true = line(n)
    feed(clock, true + np.repeat(late, packet), packet)
    (segment,) = clock.segments
    errors = np.array([segment.time_of(i) - true[i] - 0.0025 for i in range(5000, n, 50)])
    assert np.abs(errors).max() < 0.001


@pytest.mark.parametrize("kind", ["twice", "stuck", "back", "ahead", "chunk again"])
def test_stamps_that_repeat_or_run_back(kind: str) -> None:
    stamps = line(4000)
    expected = [(0, "start", 0)]
    if kind == "twice":
        stamps[1000] = stamps[999]
    elif kind == "stuck":
        stamps[1000:1010] = stamps[999]
    elif kind == "back":
        stamps[1000] -= 0.05
    elif kind == "ahead":
        stamps[1000] += 1e6
    else:  # the driver sends 20 samples again
        stamps = np.concatenate((stamps[:1020], stamps[1000:]))
        expected = [(0, "start", 0), (1020, "seam", 0)]
    clock = SampleClock(SFREQ)
    feed(clock, stamps, 16)
    assert [(s.first, s.cause, s.n_missing) for s in clock.segments] == expected
    assert clock.segments[-1].index_of(stamps[-1]) == len(stamps) - 1
    assert clock.newest == pytest.approx(stamps[-1], abs=1e-4)


@pytest.mark.parametrize("off", [-0.004, 0.004])
def test_a_device_far_from_its_nominal_rate(off: float) -> None:
    clock = SampleClock(1000.0)
    stamps = 50.0 + np.arange(60_000) / (1000.0 * (1 + off))
    feed(clock, stamps, 10)
    assert len(clock.segments) == 1
    assert clock.segments[0].drift_ppm == pytest.approx(off * 1e6, rel=1e-3)


def test_a_clock_set_back_leaves_times_with_the_signal_that_bore_them() -> None:
    clock = SampleClock(SFREQ)
    clock.add(0, line(1500))
    known, time = clock.end, 1002.0  # sample 1000
    assert not clock.is_twofold(time)
    clock.add(1500, line(1500, start=1000.5))
    old, new = clock.segments
    assert (new.cause, clock.end) == ("seam", 3000)
    assert clock.segment_at(time, known) == (old, new)
    assert clock.segment_at(time, clock.end) == (new, None)
    assert clock.is_twofold(time)
    assert not clock.is_twofold(1000.2)
    assert not clock.is_twofold(1003.2)
    assert clock.segment_at(1003.2, known) == (new, None)


def test_memory_is_bounded_and_lines_stay_in_place() -> None:
    clock = SampleClock(SFREQ)
    true = line(int(300 * SFREQ), ppm=30.0)
    for i in range(0, len(true), 50):
        clock.add(i, true[i : i + 50])
        clock.forget_before(i - int(30 * SFREQ))
    (segment,) = clock.segments
    assert len(segment._lines) < 2000
    recent = np.arange(len(true) - int(29 * SFREQ), len(true), 101)
    assert [segment.index_of(true[i]) for i in recent] == list(recent)
    np.testing.assert_allclose([segment.time_of(i) for i in recent], true[recent], atol=1e-5)


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
