"""Each event has exactly one verdict; epochs hold exactly the samples that offline cutting takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from necomimi.preprocessing import Preprocessor
from necomimi.realtime.epoching import MAX_PENDING, PATIENCE_S, Epocher, last_sample_time
from necomimi.records import Chunk, Epoch, Event, Refusal, StreamInfo

SFREQ = 250.0
T0 = 5000.0
PREPROCESSOR = Preprocessor(
    ch_names=("number", "noise"), sfreq=SFREQ, tmin=-0.2, tmax=0.8, baseline=(-0.2, 0.0), start=0.0, n_times=200,
    spatial=np.eye(2, dtype=np.float32),
)  # fmt: skip
N_IN = 251


def make_info(**changes: object) -> StreamInfo:
    fields: dict = {"name": "amp", "type": "EEG", "source_id": "s", "uid": "u", "ch_names": ("number", "noise"),
                    "sfreq": SFREQ, "units": ("V", "V")}  # fmt: skip
    return StreamInfo(**{**fields, **changes})


INFO = make_info()


def signal(n: int) -> np.ndarray:
    """Return two channels, the first of which holds the sample's number, so that any loss or shift shows."""
    return np.stack([np.arange(n), np.random.default_rng(1).normal(size=n)]).astype(np.float32)


def push(epocher: Epocher, data: np.ndarray, stamps: np.ndarray, chunk: int) -> list[Epoch | Refusal]:
    verdicts: list[Epoch | Refusal] = []
    for i in range(0, data.shape[1], chunk):
        part = slice(i, i + chunk)
        epocher.add_chunk(Chunk(data=data[:, part], timestamps=stamps[part], info=epocher.info))
        verdicts += epocher.poll()
    return verdicts


def event(sample: int, code: int = 0) -> Event:
    return Event(onset=T0 + sample / SFREQ, label=str(sample), code=code)


@pytest.mark.parametrize("chunk", [1, 7, 32, 250, 1000])
def test_epochs_do_not_depend_on_chunk_size(chunk: int) -> None:
    n = 3000
    data, stamps = signal(n), T0 + np.arange(n) / SFREQ
    epocher = Epocher(PREPROCESSOR, INFO)
    onsets = [60, 200, 244, 1500, 1500, 2799]
    for code, sample in enumerate(onsets):
        assert epocher.add_event(event(sample, code)) == []
    verdicts = push(epocher, data, stamps, chunk)
    assert [v.event.code for v in verdicts] == list(range(6))
    for verdict, sample in zip(verdicts, onsets, strict=True):
        assert isinstance(verdict, Epoch)
        np.testing.assert_array_equal(verdict.data, data[:, sample - 50 : sample - 50 + N_IN])
        assert last_sample_time(verdict) == pytest.approx(stamps[sample - 50 + N_IN - 1], abs=1e-6)
    assert epocher.n_pending == 0


@settings(max_examples=60)
@given(
    chunk=st.integers(1, 400),
    sent=st.lists(st.tuples(st.integers(-100, 2300), st.integers(0, 2000)), max_size=30),
    hole=st.tuples(st.integers(100, 1800), st.integers(2, 300)),
)
def test_every_event_has_one_true_verdict(chunk: int, sent: list[tuple[int, int]], hole: tuple[int, int]) -> None:
    """Markers before, after, out of order, at the edges; a hole somewhere."""
    n = 2000
    kept = np.delete(np.arange(n), slice(hole[0], hole[0] + hole[1]))
    data, stamps = signal(n)[:, kept], T0 + np.arange(n)[kept] / SFREQ
    events = [(arrival, event(sample, code), sample) for code, (sample, arrival) in enumerate(sent)]
    epocher = Epocher(PREPROCESSOR, INFO)
    verdicts: list[Epoch | Refusal] = []
    for i in range(0, len(kept), chunk):
        for arrival, e, _ in events:
            if i <= arrival < i + chunk or (i + chunk >= len(kept) and arrival >= i + chunk):
                verdicts += epocher.add_event(e)
        part = slice(i, i + chunk)
        epocher.add_chunk(Chunk(data=data[:, part], timestamps=stamps[part], info=INFO))
        verdicts += epocher.poll()
    verdicts += epocher.flush("over")
    assert sorted(v.event.code for v in verdicts) == list(range(len(sent)))
    last = hole[0] + hole[1]
    for verdict in verdicts:
        sample = int(verdict.event.label)
        wanted = np.arange(sample - 50, sample - 50 + N_IN)
        whole = np.isin(wanted, kept).all()
        if isinstance(verdict, Epoch):
            np.testing.assert_array_equal(verdict.data[0], wanted)
        elif whole:
            raise AssertionError(f"{verdict} although samples {wanted[0]}..{wanted[-1]} are there, hole to {last}")


def test_an_epoch_across_a_hole_is_refused_and_says_how_much_is_missing() -> None:
    kept = np.delete(np.arange(1500), slice(700, 740))
    epocher = Epocher(PREPROCESSOR, INFO)
    for code, sample in enumerate((400, 600, 720, 780, 900)):
        epocher.add_event(event(sample, code))
    verdicts = push(epocher, signal(1500)[:, kept], T0 + kept / SFREQ, 10)
    reasons = {v.event.label: getattr(v, "reason", "epoch") for v in verdicts}
    assert reasons == {"400": "epoch", "600": "gap", "720": "gap", "780": "gap", "900": "epoch"}
    assert any("40 samples are missing" in getattr(v, "detail", "") for v in verdicts)


def test_reconnect_and_stale_events() -> None:
    epocher = Epocher(PREPROCESSOR, INFO)
    data, stamps = signal(1000), T0 + np.arange(1000) / SFREQ
    epocher.add_event(event(10))
    epocher.add_event(event(450, 1))
    verdicts = push(epocher, data[:, :500], stamps[:500], 50)
    epocher.add_chunk(Chunk(data=data[:, 500:], timestamps=stamps[500:], info=INFO), "reconnect")
    verdicts += epocher.poll()
    assert [v.reason for v in verdicts if isinstance(v, Refusal)] == ["incomplete", "reconnect"]


def test_an_event_older_than_the_ring_is_late() -> None:
    epocher = Epocher(PREPROCESSOR, INFO)
    n = epocher.ring.capacity + 2000
    push(epocher, signal(n), T0 + np.arange(n) / SFREQ, 500)
    epocher.add_event(event(300))
    (verdict,) = epocher.poll()
    assert isinstance(verdict, Refusal)
    assert verdict.reason == "late"


def test_markers_that_point_nowhere_and_floods_are_bounded() -> None:
    epocher = Epocher(PREPROCESSOR, INFO)
    push(epocher, signal(100), T0 + np.arange(100) / SFREQ, 50)
    (refusal,) = epocher.add_event(Event(onset=T0 + 3600, label="x", code=0))
    assert refusal.reason == "incomplete"
    for code in range(MAX_PENDING):
        assert epocher.add_event(event(90, code)) == []
    (refusal,) = epocher.add_event(event(90, MAX_PENDING))
    assert refusal.reason == "overrun"


def test_a_replay_at_another_speed_covers_the_same_samples() -> None:
    epocher = Epocher(PREPROCESSOR, make_info(sfreq=SFREQ * 4, speed=4.0))
    data = signal(1000)
    epocher.add_event(Event(onset=T0 + 400 / (SFREQ * 4), label="400", code=0))
    (verdict,) = push(epocher, data, T0 + np.arange(1000) / (SFREQ * 4), 40)
    assert isinstance(verdict, Epoch)
    np.testing.assert_array_equal(verdict.data, data[:, 350 : 350 + N_IN])
    assert verdict.sfreq == SFREQ
    assert last_sample_time(verdict) == pytest.approx(T0 + 600 / (SFREQ * 4), abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 32, 250, 1000])
def test_unfinished_epochs_come_before_the_whole_one_and_change_nothing(chunk: int) -> None:
    data, stamps = signal(1000), T0 + np.arange(1000) / SFREQ
    epocher = Epocher(PREPROCESSOR, INFO, early=(0.2, 0.4))
    epocher.add_event(event(300))
    *early, whole = push(epocher, data, stamps, chunk)
    assert isinstance(whole, Epoch)
    assert whole.until is None
    np.testing.assert_array_equal(whole.data, data[:, 250 : 250 + N_IN])
    ends = [epoch.until for epoch in early if isinstance(epoch, Epoch)]
    # Of ends that have come with the same packet, the longest counts; a whole epoch leaves nothing provisional to say.
    assert ends == {1: [0.2, 0.4], 7: [0.2, 0.4], 32: [0.2, 0.4], 250: [0.4], 1000: []}[chunk]
    for epoch in early:
        assert isinstance(epoch, Epoch)
        n_times = 50 + round(epoch.until * SFREQ) + 1  # type: ignore[operator]
        np.testing.assert_array_equal(epoch.data, data[:, 250 : 250 + n_times])
        assert last_sample_time(epoch) == pytest.approx(T0 + (250 + n_times - 1) / SFREQ, abs=1e-6)
    assert epocher.n_pending == 0


def test_an_unfinished_epoch_does_not_spare_the_refusal() -> None:
    epocher = Epocher(PREPROCESSOR, INFO, early=(0.2,))
    epocher.add_event(event(300))
    data, stamps = signal(1000), T0 + np.arange(1000) / SFREQ
    (early,) = push(epocher, data[:, :400], stamps[:400], 100)
    assert isinstance(early, Epoch)
    assert early.until == 0.2
    (refusal,) = push(epocher, data[:, 420:], stamps[420:], 100)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "gap"


def test_an_event_whose_samples_never_come_is_refused() -> None:
    epocher = Epocher(PREPROCESSOR, INFO)
    epocher.add_event(event(300))
    data, stamps = signal(400), T0 + np.arange(400) / SFREQ
    assert push(epocher, data, stamps, 50) == []
    overdue = T0 + 500 / SFREQ + PATIENCE_S
    assert epocher.poll(overdue - 0.1) == []
    (refusal,) = epocher.poll(overdue + 0.1)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "incomplete"
    assert "did not come" in refusal.detail
    silent = Epocher(PREPROCESSOR, INFO)  # not even a first sample
    silent.add_event(event(300))
    assert silent.poll(overdue - 0.1) == []
    assert len(silent.poll(overdue + 0.1)) == 1
    assert silent.n_pending == 0
