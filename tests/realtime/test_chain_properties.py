"""What holds of ring, clock and epocher for any signal, any faults, any chunks and any order of arrival."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from necomimi.clock import SampleClock
from necomimi.preprocessing import Preprocessor
from necomimi.realtime.epoching import Epocher
from necomimi.realtime.ring import Ring
from necomimi.records import Chunk, Epoch, Event, Refusal, StreamInfo

SFREQ = 250.0
T0 = 5000.0
N = 2500
CHUNKS = (1, 7, 32, 250, 1000)
N_BEFORE, N_IN = 50, 251
CH_NAMES = ("number", "noise")
PREPROCESSOR = Preprocessor(
    ch_names=CH_NAMES, sfreq=SFREQ, tmin=-0.2, tmax=0.8, baseline=(-0.2, 0.0), start=0.0, n_times=200,
    spatial=np.eye(2, dtype=np.float32),
)  # fmt: skip
INFO = StreamInfo(
    name="amp", type="EEG", source_id="s", uid="u", ch_names=CH_NAMES, sfreq=SFREQ, units=("V", "V")
)  # fmt: skip
SIGNAL = np.stack([np.arange(N), 100 * np.random.default_rng(1).normal(size=N)]).astype(np.float32)

holes = st.lists(st.tuples(st.integers(20, N - 50), st.integers(2, 400)), max_size=3)
noises = st.sampled_from([0.0, 1e-4, 5e-3])
steps = st.sampled_from([0.0, -3.0, -0.1, 2.0])


def recording(lost: list[tuple[int, int]], noise: float, step: float, ppm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the samples that were not lost, and their stamps (s)."""
    numbers = np.setdiff1d(np.arange(N), np.concatenate([np.arange(a, a + n) for a, n in lost] or [np.array([])]))
    stamps = T0 + numbers / SFREQ * (1 - ppm * 1e-6)
    stamps[len(stamps) // 2 :] += step
    return numbers.astype(np.int64), stamps + np.random.default_rng(3).normal(scale=noise, size=len(stamps))


def verdicts_of(
    numbers: np.ndarray, stamps: np.ndarray, events: list[tuple[int, Event]], chunk: int
) -> list[Epoch | Refusal]:
    """Return all verdicts, by event; each event arrives with the chunk that holds the sample it is given with."""
    epocher = Epocher(PREPROCESSOR, INFO)
    found: list[Epoch | Refusal] = []
    for i in range(0, len(numbers), chunk):
        for arrival, event in events:
            if i <= arrival < i + chunk:
                found += epocher.add_event(event)
        part = slice(i, i + chunk)
        epocher.add_chunk(Chunk(data=SIGNAL[:, numbers[part]], timestamps=stamps[part], info=INFO))
        found += epocher.poll()
    for arrival, event in events:
        if arrival >= len(numbers) + chunk - 1 or arrival >= -(-len(numbers) // chunk) * chunk:
            found += epocher.add_event(event)
    found += epocher.poll()
    found += epocher.flush("over")
    assert epocher.n_pending == 0
    assert sorted(v.event.code for v in found) == list(range(len(events)))  # each event, once
    return sorted(found, key=lambda verdict: verdict.event.code)


def brief(verdict: Epoch | Refusal) -> tuple[str, float]:
    """Return what was decided: the first sample of an epoch, or the reason."""
    return ("epoch", float(verdict.data[0, 0])) if isinstance(verdict, Epoch) else (verdict.reason, 0.0)


def event_at(sample: float, code: int) -> Event:
    return Event(onset=T0 + sample / SFREQ, label=str(sample), code=code)


@settings(max_examples=25)
@given(lost=holes, noise=noises, step=steps, samples=st.lists(st.floats(-200, N + 200), max_size=20))
def test_verdicts_do_not_depend_on_chunk_size(
    lost: list[tuple[int, int]], noise: float, step: float, samples: list[float]
) -> None:
    numbers, stamps = recording(lost, noise, step, 0.0)
    events = [(0, event_at(sample, code)) for code, sample in enumerate(samples)]
    decided = [[brief(v) for v in verdicts_of(numbers, stamps, events, chunk)] for chunk in CHUNKS]
    assert all(one == decided[0] for one in decided)


@settings(max_examples=40)
@given(
    lost=holes,
    noise=noises,
    sent=st.lists(st.tuples(st.floats(-200, N + 200), st.integers(0, N + 300), st.integers(0, N + 300)), max_size=20),
    chunk=st.sampled_from(CHUNKS),
)
def test_the_order_of_arrival_does_not_matter(
    lost: list[tuple[int, int]], noise: float, sent: list[tuple[float, int, int]], chunk: int
) -> None:
    """Markers before, with and after their data, in any order, are decided alike."""
    numbers, stamps = recording(lost, noise, 0.0, 0.0)
    both = []
    for which in (1, 2):
        events = [(one[which], event_at(one[0], code)) for code, one in enumerate(sent)]
        both.append([brief(v) for v in verdicts_of(numbers, stamps, events, chunk)])
    assert both[0] == both[1]


@settings(max_examples=40)
@given(
    lost=holes,
    ppm=st.sampled_from([-50.0, 0.0, 50.0]),
    samples=st.lists(st.integers(-100, N + 100), max_size=20),
    chunk=st.integers(1, 1200),
)
def test_online_equals_offline(lost: list[tuple[int, int]], ppm: float, samples: list[int], chunk: int) -> None:
    """With even stamps an epoch is a slice of the whole signal, and is refused only where that slice has a hole."""
    numbers, stamps = recording(lost, 0.0, 0.0, ppm)
    copies = numbers.copy(), stamps.copy(), SIGNAL.copy()
    onsets = [T0 + sample / SFREQ * (1 - ppm * 1e-6) for sample in samples]
    events = [
        (0, Event(onset=onset, label=str(s), code=i)) for i, (onset, s) in enumerate(zip(onsets, samples, strict=True))
    ]
    there = set(numbers.tolist())
    for sample, verdict in zip(samples, verdicts_of(numbers, stamps, events, chunk), strict=True):
        wanted = range(sample - N_BEFORE, sample - N_BEFORE + N_IN)
        if isinstance(verdict, Epoch):
            np.testing.assert_array_equal(verdict.data, SIGNAL[:, wanted.start : wanted.stop])
            assert there.issuperset(wanted)
        else:
            assert not there.issuperset(wanted) or _undecided(numbers, wanted), verdict
    for now, before in zip((numbers, stamps, SIGNAL), copies, strict=True):
        np.testing.assert_array_equal(now, before)  # inputs are unchanged


def _undecided(numbers: np.ndarray, wanted: range) -> bool:
    """Return whether the wanted samples end within the recording's last instant, where a hole is still undecided."""
    return wanted.stop + 40 > numbers[-1]


@settings(max_examples=40)
@given(lost=holes, noise=noises, step=steps, cuts=st.lists(st.integers(1, N), max_size=30))
def test_segments_do_not_depend_on_chunks(
    lost: list[tuple[int, int]], noise: float, step: float, cuts: list[int]
) -> None:
    numbers, stamps = recording(lost, noise, step, 20.0)
    whole, pieces = SampleClock(SFREQ), SampleClock(SFREQ)
    whole.add(0, stamps)
    borders = [0, *sorted({cut for cut in cuts if cut < len(stamps)}), len(stamps)]
    for start, stop in itertools.pairwise(borders):
        pieces.add(start, stamps[start:stop])
    assert [(s.first, s.end, s.cause, s.n_missing) for s in whole.segments] == [
        (s.first, s.end, s.cause, s.n_missing) for s in pieces.segments
    ]
    for one, other in zip(whole.segments, pieces.segments, strict=True):
        for index in range(one.first, one.end, 100):
            assert abs(one.time_of(index) - other.time_of(index)) < 1e-9
    if not step:  # samples are missing where they were lost, and nowhere else
        assert sum(s.n_missing for s in whole.segments) <= N - len(numbers) + 2 * (noise > 1e-3)


@given(
    capacity=st.integers(1, 300),
    cuts=st.lists(st.integers(1, 700), max_size=10),
)
def test_the_ring_holds_the_newest_samples_whatever_the_chunks(capacity: int, cuts: list[int]) -> None:
    ring, data = Ring(2, capacity), SIGNAL[:, :700].copy()
    borders = [0, *sorted(set(cuts)), 700]
    for start, stop in itertools.pairwise(borders):
        ring.write(data[:, start:stop])
    np.testing.assert_array_equal(ring.read(ring.first, ring.end), data[:, ring.first :])
    np.testing.assert_array_equal(data, SIGNAL[:, :700])
