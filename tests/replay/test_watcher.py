"""Responses are where their markers say, to the sample, or nowhere; whatever comes, samples go on."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from necomimi.replay import watcher as module
from necomimi.replay.watcher import AHEAD, Watcher
from necomimi.simulated_cortex import N_TIMES, Waves, visual_cortex
from necomimi.simulated_person import EEG_NAMES

BEGIN = 1000.25  # the stamp of sample 0
NAMES = {"owl": 0, "bat": 1}
WAVES = visual_cortex(EEG_NAMES, np.random.default_rng(0))
AMPLITUDES = WAVES.amplitudes(np.concatenate([np.zeros((1, 64)), np.random.default_rng(1).normal(size=(2, 64))]))
Marker = tuple[str, float]


class Outlet:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []
        self.stamps: list[float] = []

    def push(self, samples: np.ndarray, last_timestamp: float) -> None:
        self.blocks.append(samples)
        self.stamps.append(last_timestamp)


def watch(n_times: int, come: dict[int, list[Marker]], chunk: int = 5) -> tuple[np.ndarray, Watcher]:
    """Send samples of 1 µV; `come` says which markers come before which packet. Return what was added, in volts."""
    outlet, queue = Outlet(), []

    def take() -> tuple[Marker, ...]:
        taken = tuple(queue)
        queue.clear()
        return taken

    watcher = Watcher(outlet, take, WAVES, AMPLITUDES, NAMES.get, np.random.default_rng(0))
    for packet in range(n_times // chunk):
        queue.extend(come.get(packet, []))
        block = np.ones((chunk, len(EEG_NAMES)), dtype=np.float32)
        watcher.push(block, BEGIN + ((packet + 1) * chunk - 1) / 1000)
        assert (block == 1).all()  # the player's own samples are left as they are
    sent = np.concatenate(outlet.blocks)
    assert sent.dtype == np.float32
    np.testing.assert_allclose(outlet.stamps, BEGIN + (np.arange(chunk, n_times + 1, chunk) - 1) / 1000)
    return (sent.T - 1) * 1e-6, watcher


def expected(n_times: int, shown: list[tuple[int, int]]) -> np.ndarray:
    """Return the responses to (sample, row) without jitter, as the simulation of a whole recording has them."""
    onsets, rows = (np.array(values) for values in zip(*shown, strict=True))
    return WAVES.evoked(0, n_times, onsets, np.zeros((len(onsets), 3), dtype=np.int64), AMPLITUDES, rows)


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "draw_delays", lambda rng, n: np.zeros((n, 3), dtype=np.int64))


def at(sample: float) -> float:
    return BEGIN + sample / 1000


@pytest.mark.parametrize("chunk", [1, 5, 50])
def test_responses_begin_at_their_markers_and_add_up(chunk: int) -> None:
    come = {0: [("owl", at(60))], 100 // chunk: [("bat", at(260.3)), ("owl", at(459.6))]}
    added, watcher = watch(2000, come, chunk)
    np.testing.assert_allclose(added, expected(2000, [(60, 1), (260, 2), (460, 1)]), atol=1e-11)
    assert not added[:, :60].any()
    assert watcher.seen.n_pictures == 3


def test_many_seconds_go_round_without_a_trace() -> None:
    n_times = 8000  # four times round
    come = {i: [("bat", at(5 * i + 100))] for i in range(0, n_times // 5, 400)}
    added, _ = watch(n_times, come)
    np.testing.assert_allclose(added, expected(n_times, [(5 * i + 100, 2) for i in come]), atol=1e-11)


def test_what_is_no_known_picture_evokes_the_shared_part(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        added, watcher = watch(2000, {0: [("yeti", at(100)), ("present/catch", at(600)), ("present/break", at(1000))]})
    np.testing.assert_allclose(added, expected(2000, [(100, 0), (600, 0)]), atol=1e-11)
    assert (watcher.seen.n_pictures, watcher.seen.n_unknown) == (0, 1)
    assert "1 marker(s) are of no known picture; the last one 'yeti'" in caplog.text


def test_late_markers_and_those_of_the_future_are_counted_and_evoke_nothing(caplog: pytest.LogCaptureFixture) -> None:
    late = {200: [("owl", at(999))] * 5}
    ahead = {100: [("owl", at(500 + AHEAD))]}
    with caplog.at_level(logging.WARNING):
        added, watcher = watch(3000, late | ahead)
    assert not added.any()
    assert (watcher.seen.n_late, watcher.seen.n_ahead, watcher.seen.n_pictures) == (5, 1, 0)
    assert [record.getMessage().split(" ")[0] for record in caplog.records if "late" in record.message] == [
        "1",
        "2",
        "4",
    ]
    assert "by 1 ms" in caplog.text
    on_time, watcher = watch(3000, {200: [("owl", at(1000))]})  # one sample later is not late
    assert on_time.any()
    assert watcher.seen.n_late == 0


def test_jitter_moves_waves_and_is_that_of_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    delays = np.array([[4, -7, 12]])
    monkeypatch.setattr(module, "draw_delays", lambda rng, n: delays)
    added, _ = watch(1500, {0: [("owl", at(300))]})
    whole = WAVES.evoked(0, 1500, np.array([300]), delays, AMPLITUDES, np.array([1]))
    np.testing.assert_allclose(added, whole, atol=1e-11)


def test_a_flood_of_markers_holds_no_sample_up() -> None:
    calls = []

    class Counted(Waves):
        def evoked(self, *arguments: object) -> np.ndarray:  # type: ignore[override]
            calls.append(arguments)
            return super().evoked(*arguments)  # type: ignore[arg-type]

    outlet = Outlet()
    flood = [("owl", at(100))] * 100_000
    watcher = Watcher(
        outlet, lambda: tuple(flood), Counted(**vars(WAVES)), AMPLITUDES, NAMES.get, np.random.default_rng(0)
    )
    for packet in range(3):
        watcher.push(np.zeros((5, 63), dtype=np.float32), BEGIN + 0.005 * packet)
    assert len(calls) == 3  # one a packet
    assert len(watcher._waiting) <= module.MAX_WAITING


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 150), st.integers(-300, 1500)), max_size=12), st.sampled_from([1, 4, 10]))
def test_every_marker_is_answered_in_its_place_or_counted(markers: list[tuple[int, int]], chunk: int) -> None:
    n_times, come, shown = 400 * chunk, {}, []
    for number, (packet, ahead) in enumerate(sorted(dict(markers).items())):
        onset = packet * chunk + ahead
        come[packet] = [(("owl", "bat")[number % 2], at(onset))]
        if 0 <= ahead <= AHEAD - N_TIMES:
            shown.append((onset, 1 + number % 2))
    added, watcher = watch(n_times, come, chunk)
    seen = watcher.seen
    assert seen.n_pictures + seen.n_late + seen.n_ahead == len(come)
    assert seen.n_pictures == len(shown)
    if shown:
        shown.sort()
        np.testing.assert_allclose(added, expected(n_times, shown), atol=1e-11)
    else:
        assert not added.any()
