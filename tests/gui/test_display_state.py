from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from necomimi.gallery import Gallery
from necomimi.gui.display_state import MAX_MARKS, MAX_PICTURED, DisplayState
from necomimi.gui.history import CAPACITY
from necomimi.records import Chunk, Event, GeneratedImage, Refusal, Retrieval, StreamInfo

from .synthetic import make_status

CLASSES = tuple(f"c{i}" for i in range(10))


def make_gallery(space: str = "embedded/x", pictures: bool = True) -> Gallery:
    rng = np.random.default_rng(0)
    return Gallery(
        labels=CLASSES,
        files=tuple(f"0000{i}_c{i}/c{i}_01b.jpg" for i in range(10)),
        embeddings=np.eye(10, dtype=np.float32),
        space=space,
        thumbnails=rng.integers(0, 255, (10, 96, 96, 3), dtype=np.uint8) if pictures else None,
    )


def make_chunk(start: float, n: int = 100, n_channels: int = 2, sfreq: float = 100.0) -> Chunk:
    info = StreamInfo(
        name="amp",
        type="EEG",
        source_id="a",
        uid="u",
        ch_names=tuple(f"E{i}" for i in range(n_channels)),
        sfreq=sfreq,
        units=("V",) * n_channels,
    )
    data = np.random.default_rng(0).normal(size=(n_channels, n)) * 1e-5
    return Chunk(data=data.astype(np.float32), timestamps=start + np.arange(n) / sfreq, info=info)


account = partial(
    make_status,
    message="in words",
    n_samples=100,
    n_events=3,
    n_retrievals=2,
    n_refusals=1,
    refusals={"gap": 1},
    n_classes=10,
)


def answer(code: int, truth: str, labels: tuple[str, ...], onset: float | None = None, **more: Any) -> Retrieval:
    event = Event(onset=float(code) if onset is None else onset, label=truth, code=code)
    scores = np.linspace(0.5, 0.1, len(labels)).astype(np.float32)
    return Retrieval(event=event, labels=labels, scores=scores, **more)


def test_an_event_waits_then_is_decided() -> None:
    state = DisplayState(make_gallery())
    verdicts = {}
    for code, truth in enumerate(["c0", "c3", "c9", "boundary", "c1"]):
        state.update(Event(onset=float(code), label=truth, code=code), 10.0)
    assert [mark.verdict for mark in state.marks] == ["pending"] * 5
    for code, truth in enumerate(["c0", "c3", "c9", "boundary"]):
        state.update(answer(code, truth, CLASSES[:5], latency_ms={"total": 4.0}), 11.0)
    state.update(Refusal(event=Event(onset=4.0, label="c1", code=4), reason="gap", detail="2 s"), 11.0)
    verdicts = [mark.verdict for mark in state.marks]
    assert verdicts == ["hit", "five", "miss", "unscored", "refused"]
    assert isinstance(state.marks[4].answer, Refusal)
    assert state.marks[4].answer.reason == "gap"
    assert state.n_decisions == 5
    first, five = state.accuracy.scores()
    assert (first.n_hits, five.n_hits, first.n) == (1, 2, 3)
    assert state.newest is state.marks[3]  # a refusal of an event that had no answer takes nothing off the screen
    assert len(state.latency) == 4


def test_a_file_stem_stands_for_its_class() -> None:
    state = DisplayState(make_gallery())
    state.update(answer(0, "c7_01b", ("c7", "c1", "c2", "c3", "c4")), 1.0)
    assert state.accuracy.scores()[0].value == 1.0
    assert state.class_of("c7_01b") == "c7"
    thumbnail = state.thumbnail("c7_01b")
    assert thumbnail is not None
    assert state.gallery is not None
    assert state.gallery.thumbnails is not None
    np.testing.assert_array_equal(thumbnail, state.gallery.thumbnails[7])


def test_without_a_gallery_there_are_labels_only() -> None:
    state = DisplayState()
    state.update(account(n_classes=2), 0.9)
    state.update(answer(0, "target", ("target", "nontarget")), 1.0)
    assert state.thumbnail("target") is None
    assert state.attribution == ""
    assert [score.k for score in state.accuracy.scores()] == [1]
    assert state.accuracy.scores()[0].chance == 0.5
    assert state.marks[0].verdict == "hit"


@pytest.mark.parametrize(
    ("space", "pictures", "named"),
    [("embedded/x", True, True), ("embedded/x", False, False), ("open_clip:a/b", True, False)],
)
def test_the_embedded_pictures_are_attributed(space: str, pictures: bool, named: bool) -> None:
    assert ("Twemoji" in DisplayState(make_gallery(space, pictures)).attribution) is named


def test_attaching_late_the_event_of_an_answer_is_marked_though_it_was_missed() -> None:
    state = DisplayState()
    state.update(answer(90, "a", ("a",)), 91.0)
    state.update(answer(89, "b", ("a",)), 91.1)  # order does not make it another run
    assert [mark.event.code for mark in state.marks] == [90, 89]
    assert state.accuracy.scores()[0].n == 2
    assert state.newest is state.marks[0]  # an answer that comes late does not replace a newer event's


def test_a_provisional_answer_is_replaced_but_never_counted() -> None:
    state = DisplayState(make_gallery())

    def shown() -> tuple[float | None, str]:
        assert state.newest is not None
        assert isinstance(state.newest.answer, Retrieval)
        return state.newest.answer.until, state.newest.verdict

    for until in (0.2, 0.4, 0.3):  # the third is late
        state.update(answer(0, "c0", CLASSES[:5], until=until, latency_ms={"total": 1.0}), 1.0 + until)
    assert shown() == (0.4, "pending")
    assert (state.n_decisions, state.accuracy.scores()[0].n, len(state.latency)) == (0, 0, 0)
    assert state.awaits(state.marks[0])
    state.update(answer(0, "c0", CLASSES[:5], latency_ms={"total": 1.0}), 2.0)
    state.update(answer(0, "c0", CLASSES[5:], until=0.6), 2.1)
    assert shown() == (None, "hit")
    assert (state.n_decisions, state.accuracy.scores()[0].n, len(state.latency)) == (1, 1, 1)
    assert not state.awaits(state.marks[0])


def test_a_provisional_answer_can_end_in_a_refusal() -> None:
    state = DisplayState(make_gallery())
    state.update(answer(0, "c0", CLASSES[:5], until=0.2), 1.0)
    refusal = Refusal(event=Event(onset=0.0, label="c0", code=0), reason="reference lost")
    state.update(refusal, 2.0)
    state.update(answer(0, "c0", CLASSES[:5], until=0.4), 2.1)
    assert state.newest is state.marks[0]
    assert (state.marks[0].verdict, state.marks[0].answer) == ("refused", refusal)
    assert (state.n_decisions, state.accuracy.scores()[0].n) == (1, 0)


def test_a_final_answer_that_was_lost_is_not_waited_for() -> None:
    state = DisplayState(make_gallery())
    for code in (0, 1):
        state.update(answer(code, "c0", CLASSES[:5], until=0.2), 1.0)
    first = state.marks[0]
    assert state.awaits(first)
    state.update(answer(1, "c0", CLASSES[:5]), 2.0)  # answers come in order
    assert not state.awaits(first)
    state.update(answer(2, "c0", CLASSES[:5], until=0.2), 2.0)
    third = state.marks[2]
    assert state.awaits(third)
    state.update(account(n_events=3), 2.1)
    state.update(account(n_events=0), 9.0)  # another run
    assert not state.awaits(third)
    assert state.newest is None


def test_each_answer_from_several_presentations_is_one_answer() -> None:
    state = DisplayState(make_gallery())
    for code, n in enumerate((1, 2, 3, 4)):
        state.update(answer(code, "c0", CLASSES[:5], n_averaged=n), 1.0)
    assert (state.accuracy.scores()[0].n_hits, state.accuracy.scores()[0].n) == (4, 4)


def test_without_markers_nothing_is_judged() -> None:
    state = DisplayState(make_gallery())
    for code in range(3):
        state.update(Event(onset=float(code), label="", code=code), 1.0)
        state.update(answer(code, "", CLASSES[:5], latency_ms={"total": 1.0}), 1.0)
    assert state.is_unmarked
    assert [mark.verdict for mark in state.marks] == ["unscored"] * 3
    assert (state.accuracy.scores()[0].n, state.accuracy.n_unknown) == (0, 0)
    assert (state.n_decisions, len(state.latency)) == (3, 3)


def test_warnings_are_those_of_the_newest_record() -> None:
    state = DisplayState()
    state.update(account(warnings=("T7 is interpolated", "the newest sample is 2 s old")), 1.0)
    state.update(answer(0, "a", ("a",), warnings=("T7 is interpolated", "P9 is interpolated")), 1.1)
    assert state.warnings(1.2) == ["T7 is interpolated", "the newest sample is 2 s old", "P9 is interpolated"]
    state.update(account(warnings=("P9 is interpolated",)), 2.0)
    assert state.warnings(2.1) == ["P9 is interpolated"]
    assert state.warnings(9.0) == []  # a decoder that is silent warns of nothing
    state.update(account(), 9.1)
    assert state.warnings(9.2) == []


def test_the_epoch_is_as_long_as_the_decoder_says() -> None:
    state = DisplayState()
    assert state.epoch_s is None
    state.update(account(), 1.0)
    assert state.epoch_s is None  # an older decoder does not say
    state.update(account(tmin=-0.2, tmax=0.8), 1.0)
    assert state.epoch_s == (-0.2, 0.8)
    chunk = make_chunk(0.0)
    state.update(Chunk(data=chunk.data, timestamps=chunk.timestamps, info=replace(chunk.info, speed=2.0)), 1.0)
    assert state.epoch_s == (-0.1, 0.4)  # a replay at double speed


def test_drift_and_jitter_are_told_where_they_are_known() -> None:
    state = DisplayState()
    state.update(make_chunk(1.0), 2.0)
    state.update(account(), 2.0)
    assert state.source(2.1).detail == "amp · 2 channels · 100 Hz"
    state.update(account(drift_ppm=-31.4, jitter_ms=0.26), 2.0)
    assert state.source(2.1).detail == "amp · 2 channels · 100 Hz · drift −31 ppm · jitter 0.3 ms"
    state.update(account(drift_ppm=-0.3, jitter_ms=0.26), 2.2)
    assert "drift +0 ppm" in state.source(2.3).detail


def test_a_restarted_decoder_is_scored_anew_but_the_signal_goes_on() -> None:
    state = DisplayState()
    state.update(make_chunk(9.0), 10.0)
    for code in range(5):
        state.update(answer(code, "a", ("b",), latency_ms={"total": 1.0}), 10.0)
    ring = state.eeg
    state.update(answer(0, "a", ("a",), onset=20.0), 21.0)
    assert (state.accuracy.scores()[0].n_hits, state.accuracy.scores()[0].n) == (1, 1)
    assert len(state.latency) == 0
    assert state.n_decisions == 1
    assert state.eeg is ring
    assert len(state.marks) == 6


def test_a_restart_is_noticed_by_a_late_low_number() -> None:
    state = DisplayState()
    for code in range(100, 105):
        state.update(answer(code, "a", ("b",)), 105.0)
    state.update(Event(onset=120.0, label="a", code=3), 120.0)  # events 0 to 2 were missed
    assert state.accuracy.scores()[0].n == 0


def test_a_restart_is_noticed_by_counters_that_went_back() -> None:
    state = DisplayState()
    state.update(account(n_events=50), 1.0)
    state.update(answer(49, "a", ("b",)), 1.1)
    state.update(account(n_events=0, n_samples=10), 5.0)
    assert state.accuracy.scores()[0].n == 0
    assert state.accuracy.n_classes == 10
    assert state.status is not None
    assert state.status.n_events == 0


def test_another_layout_or_time_line_begins_another_ring() -> None:
    state = DisplayState()
    state.update(make_chunk(100.0), 101.0)
    ring = state.eeg
    state.update(make_chunk(101.0), 102.0)
    assert state.eeg is ring
    state.update(make_chunk(102.0, n_channels=5), 103.0)
    assert state.eeg is not ring
    assert state.eeg is not None
    assert len(state.eeg.info.ch_names) == 5
    ring = state.eeg
    state.update(make_chunk(5.0, n_channels=5), 104.0)
    assert state.eeg is not ring


def test_stamps_that_are_no_numbers_are_passed_over() -> None:
    state = DisplayState()
    chunk = make_chunk(1.0)
    stamps = np.array(chunk.timestamps)
    stamps[3] = np.nan
    state.update(Chunk(data=chunk.data, timestamps=stamps, info=chunk.info), 2.0)
    assert state.eeg is None


@pytest.mark.parametrize("lost", [0, 2])  # events between two that have come
def test_marks_are_bounded(lost: int) -> None:
    state = DisplayState()
    for i in range(3 * MAX_MARKS):
        code = (1 + lost) * i
        state.update(Event(onset=float(code), label="a", code=code), float(code))
    assert len(state.marks) == MAX_MARKS
    assert list(state._by_code.values()) == list(state.marks)


def test_the_source_in_words() -> None:
    state = DisplayState(address="tcp://127.0.0.1:1")

    def words(now: float) -> tuple[str, str]:
        source = state.source(now)
        return source.level, source.headline

    assert words(0.0) == ("waiting", "waiting for the decoder")
    state.update(account(state="SEARCHING", message="no stream of type EEG yet"), 0.5)
    assert words(0.6) == ("waiting", "source searching")
    state.update(account(), 1.0)
    assert words(1.1) == ("waiting", "waiting for EEG")
    state.update(make_chunk(1.0), 2.0)  # stamps 1.00 to 1.99
    assert words(2.1) == ("live", "live")
    state.update(account(), 3.5)
    assert words(3.6) == ("trouble", "no EEG for 2 s")
    state.update(make_chunk(2.0), 3.7)  # the newest stamp is 2.99
    assert words(3.8) == ("trouble", "EEG is 0.8 s old")
    state.update(account(state="STALE", message="no sample for 0.6 s"), 3.9)
    assert words(3.95) == ("trouble", "source stale")
    assert state.source(3.95).detail == "no sample for 0.6 s"
    assert words(9.9) == ("trouble", "no data for 6 s")
    state.update(account(), 10.0)
    state.update(make_chunk(9.0), 10.0)
    assert words(10.1) == ("live", "live")


def test_a_gallery_that_is_not_the_decoders_is_named() -> None:
    state = DisplayState(make_gallery())
    state.update(account(n_classes=10), 1.0)
    assert state.warnings(1.0) == []
    state.update(account(n_classes=200), 1.0)
    assert state.warnings(1.0) == ["this gallery has 10 classes, the decoder's 200"]
    assert state.accuracy.scores()[0].chance == 1 / 200


def test_samples_do_not_count_as_a_change_but_decisions_do() -> None:
    state = DisplayState()
    state.update(make_chunk(0.0), 1.0)
    before = state.version
    state.update(make_chunk(1.0), 2.0)
    assert state.version == before
    state.update(account(), 2.0)
    assert state.version == before + 1


def picture(code: int, shade: int = 0, stage: Any = "two-stage", truth: str = "c0", **more: Any) -> GeneratedImage:
    event = Event(onset=float(code), label=truth, code=code)
    pixels = np.full((4, 4, 3), shade, dtype=np.uint8)
    return GeneratedImage(event=event, pixels=pixels, seed=0, stage=stage, generator="embedded", **more)


def shades(state: DisplayState, i: int = 0) -> dict[str, int]:
    """Return the shade of each picture of a mark."""
    return {stage: int(image.pixels[0, 0, 0]) for stage, image in state.marks[i].pictures.items()}


def test_a_preview_gives_way_to_the_finer_picture_of_its_stage() -> None:
    state = DisplayState(make_gallery())
    state.update(answer(0, "c0", CLASSES[:5]), 1.0)
    assert (state.stages, state.newest_pictured) == ((), None)
    state.update(picture(0, 1, "two-stage", preview=True), 1.1)
    state.update(picture(0, 2, "one-stage", preview=True), 1.2)
    assert shades(state) == {"two-stage": 1, "one-stage": 2}
    assert state.stages == ("one-stage", "two-stage")
    before = state.marks[0].pictures
    state.update(picture(0, 3, "two-stage"), 1.3)
    state.update(picture(0, 4, "two-stage", preview=True), 1.4)  # late
    assert shades(state) == {"two-stage": 3, "one-stage": 2}
    assert state.marks[0].painted_at == 1.3
    assert {stage: image.pixels[0, 0, 0] for stage, image in before.items()} == {"two-stage": 1, "one-stage": 2}
    assert state.newest_pictured is state.marks[0]


def test_a_picture_of_an_event_that_is_not_known_is_passed_over() -> None:
    """The window came later, or the picture is of a run that is over: it begins no other run either."""
    state = DisplayState(make_gallery())
    state.update(picture(4), 0.5)
    state.update(answer(5, "c0", CLASSES[:5]), 1.0)
    state.update(picture(3), 1.1)
    state.update(picture(5, truth="c1"), 1.2)
    later = GeneratedImage(
        event=Event(onset=99.0, label="c0", code=5), pixels=picture(0).pixels, seed=0, stage="one-stage"
    )
    state.update(later, 1.3)
    assert [mark.event.code for mark in state.marks] == [5]
    assert (state.marks[0].pictures, state.stages, state.n_decisions) == ({}, (), 1)


def test_the_newest_pictured_event_has_its_final_answer() -> None:
    state = DisplayState(make_gallery())
    for code in range(3):
        state.update(answer(code, "c0", CLASSES[:5], until=0.2 if code == 2 else None), 1.0)
    state.update(picture(1), 1.1)
    state.update(picture(0), 1.2)  # late
    assert state.newest_pictured is state.marks[1]
    state.update(picture(2), 1.3)
    assert state.newest_pictured is state.marks[1]
    state.update(answer(2, "c0", CLASSES[:5]), 1.4)
    assert state.newest_pictured is state.marks[2]


def test_the_newest_pictures_are_kept_whole_older_ones_small_through_a_new_run() -> None:
    state = DisplayState(make_gallery())
    n = 3 * MAX_PICTURED
    pixels = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    for code in range(n):
        state.update(answer(code, "c0", CLASSES[:5]), float(code))
        for stage in ("one-stage", "two-stage"):
            state.update(replace(picture(code, 0, stage), pixels=pixels), float(code))
    sizes = [{image.pixels.shape[:2] for image in mark.pictures.values()} for mark in state.marks]
    assert sizes == [{(64, 96)}] * (n - MAX_PICTURED) + [{(128, 192)}] * MAX_PICTURED
    np.testing.assert_allclose(state.marks[0].pictures["one-stage"].pixels.mean((0, 1)), pixels.mean((0, 1)), atol=1)
    state.update(replace(picture(3), pixels=pixels), 1000.0)  # late: not kept whole for ever
    assert state.marks[3].pictures["two-stage"].pixels.shape == (128, 192, 3)
    state.update(answer(0, "c0", CLASSES[:5], onset=1000.0), 1000.0)
    assert [len(mark.pictures) for mark in state.marks] == [2] * n + [0]
    assert {image.pixels.shape[:2] for mark in state.history for image in mark.pictures.values()} == {(64, 96)}
    assert (state.stages, state.newest_pictured) == ((), None)
    assert list(state.history.run_starts) == [n]


def test_pictures_of_an_event_that_is_never_decided_are_let_go() -> None:
    state = DisplayState(make_gallery())
    state.update(answer(0, "c0", CLASSES[:5], until=0.2), 1.0)
    state.update(picture(0), 1.1)
    for code in range(1, MAX_PICTURED + 1):
        assert state.marks[0].pictures
        state.update(answer(code, "c0", CLASSES[:5]), 2.0)
        state.update(picture(code), 2.0)
    assert not state.marks[0].pictures
    assert len(state.history) == MAX_PICTURED


def test_the_history_holds_decisions_and_refusals_in_bounded_memory() -> None:
    state = DisplayState(make_gallery())
    big = np.zeros((512, 512, 3), dtype=np.uint8)
    n = CAPACITY + 40
    for code in range(n):
        if code % 10 == 9:
            event = Event(onset=float(code), label="c1", code=code)
            state.update(Refusal(event=event, reason="gap", detail=""), float(code))
            continue
        state.update(answer(code, "c0", CLASSES[:5]), float(code))
        for stage in ("one-stage", "two-stage"):
            state.update(replace(picture(code, 0, stage), pixels=big), float(code))
    history = state.history
    assert (len(history), history.begin, history.end) == (CAPACITY, 40, n)
    assert [mark.event.code for mark in history] == list(range(40, n))
    assert all(mark.place == mark.event.code for mark in history)
    assert sum(mark.verdict == "refused" for mark in history) == CAPACITY // 10
    n_bytes = sum(image.pixels.nbytes for mark in history for image in mark.pictures.values())
    assert n_bytes <= (CAPACITY * 96**2 + MAX_PICTURED * 512**2) * 3 * 2
    assert {*state.marks} <= {*history}  # what the marks hold besides is nothing
    with pytest.raises(IndexError, match="place 39"):
        history[39]
