from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtGui, QtTest, QtWidgets

from necomimi.errors import ConfigError, FeedError
from necomimi.feed import Publisher
from necomimi.gui.display_state import DisplayState
from necomimi.gui.receiver import Receiver
from necomimi.gui.theme import DARK, LIGHT, font
from necomimi.gui.window import DWELL_S, PICTURE_WAIT_S, ViewerWindow
from necomimi.records import Event, GeneratedImage, Refusal, Retrieval

from .screen import is_color, pixels
from .synthetic import GALLERY, synthetic

pytestmark = pytest.mark.qt

DEADLINE_S = 30.0


class Bench:
    """A real publisher, a real window, and one clock for both."""

    def __init__(self, gallery: Any = GALLERY, classes: tuple[str, ...] = GALLERY.classes, **options: Any) -> None:
        self.options = options
        self.classes = classes
        self.now = 5000.0
        self.publisher = Publisher("tcp://127.0.0.1:*")
        self.decoder = synthetic.SyntheticDecoder(self.publisher, classes, **options)
        receiver = Receiver(self.publisher.address, clock=lambda: self.now)
        self.window = ViewerWindow(
            DisplayState(gallery, self.publisher.address), receiver, DARK, clock=lambda: self.now
        )
        self.window.show_menus(False)
        self.window.show()
        receiver.start()

    def pump(self, condition: Callable[[], Any], what: str) -> None:
        """Let the window take records until a condition holds."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
            self.window.pull()
            QtWidgets.QApplication.processEvents()
            time.sleep(0.002)

    def connect(self) -> None:
        """Publish the decoder's account until the window has heard it."""

        def heard() -> bool:
            self.publisher.send(self.decoder.status())
            return self.window.state.status is not before

        before = self.window.state.status
        self.pump(heard, "a status")
        last = replace(self.decoder.status(), message="nothing is under way behind this one")
        self.publisher.send(last)
        self.pump(lambda: self.window.state.status.message == last.message, "the last status")

    def play(self, seconds: float, **options: Any) -> None:
        """Let the decoder publish some seconds, all of which the window then has."""
        for _ in range(round(seconds * 20)):
            self.now += 0.05
            self.decoder.advance(self.now, **options)
        n_decided = self.decoder.n_retrievals + sum(self.decoder.refusals.values())
        self.pump(lambda: self.window.state.n_decisions >= n_decided, "all decisions")
        self.window.draw()

    def say(self, *records: Any) -> None:
        """Publish records, and let the window have and draw them."""
        for record in records:
            before = self.window.state.version
            self.publisher.send(record)
            self.pump(lambda before=before: self.window.state.version > before, f"{type(record).__name__}")
        self.now += 0.05
        self.window.draw()

    def restart(self) -> None:
        """Close the decoder's feed and open it again at the same address."""
        address = self.publisher.address
        self.publisher.close()
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                self.publisher = Publisher(address)
                break
            except FeedError:  # the old socket lingers
                assert time.monotonic() < end
                time.sleep(0.01)
        self.decoder = synthetic.SyntheticDecoder(self.publisher, self.classes, **self.options)

    def pixels(self, view: Any, rect: Any = None) -> np.ndarray:
        """Return what a view shows, or a QRectF of it, as (height, width, 3)."""
        whole = pixels(view)
        if rect is None:
            return whole
        return whole[int(rect.top()) : int(rect.bottom()), int(rect.left()) : int(rect.right())]

    def close(self) -> None:
        self.window.close()
        self.publisher.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(hits=1.0, refuse=0.1)
    yield bench
    bench.close()


def test_a_live_decoder_fills_every_view(bench: Bench) -> None:
    bench.connect()
    bench.play(12.0)
    window, state = bench.window, bench.window.state
    assert state.source(bench.now).level == "live"
    assert is_color(bench.pixels(window.header, window.header.dot_rect()), DARK.accent).mean() > 0.5

    assert window.image.mark is not None
    assert window.retrieval.mark is window.image.mark
    decision = window.retrieval.decision
    assert decision is not None
    middle = bench.pixels(window.image, window.image.picture_rect())
    middle = middle[len(middle) // 2, len(middle) // 2]
    item = GALLERY.index_of(decision.event.label)
    np.testing.assert_allclose(middle, GALLERY.thumbnails[item][48, 48], atol=3)

    for row, label in zip(window.retrieval.row_rects(), decision.labels, strict=True):
        bar = window.retrieval.bar_rect(row)
        thumbnail = bench.pixels(window.retrieval, row)[int(row.height() / 2), int(row.height() / 2) - 4]
        np.testing.assert_allclose(thumbnail, GALLERY.thumbnails[GALLERY.index_of(label)][48, 48], atol=3)
        filled = is_color(bench.pixels(window.retrieval, bar)[2:3], DARK.accent)[0]
        if label == decision.event.label:
            score = decision.scores[decision.labels.index(label)]
            assert filled.mean() == pytest.approx(score, abs=0.03)
        else:
            assert not filled.any()

    for rect, score in zip(window.accuracy.score_rects(), state.accuracy.scores(), strict=True):
        gauge = bench.pixels(window.accuracy, window.accuracy.gauge_rect(rect))
        columns = np.flatnonzero(is_color(gauge, DARK.accent).any(axis=0))
        assert score.value is not None
        assert columns.mean() / gauge.shape[1] == pytest.approx(score.value, abs=0.02)
    strip = bench.pixels(window.accuracy, window.accuracy.strip_rect())
    assert is_color(strip, DARK.accent).any()
    assert is_color(strip, DARK.trouble).any()
    latency = bench.pixels(window.latency, window.latency.strip_rect())
    assert is_color(latency, window.latency.step_color(0)).any()


def test_the_counts_are_the_decoders(bench: Bench) -> None:
    bench.connect()
    bench.play(10.0)
    status = bench.window.state.status
    assert status is not None
    assert status.n_events == status.n_retrievals + status.n_refusals + status.n_pending
    before = bench.pixels(bench.window.latency)
    bench.decoder.refusals["overrun"] += 7
    bench.publisher.send(bench.decoder.status())
    bench.pump(lambda: "overrun" in bench.window.state.status.refusals, "the new count")
    bench.now += 1.0
    bench.window.draw()
    after = bench.pixels(bench.window.latency)
    left = int(bench.window.latency.body().right() - 148)
    assert (before[:, left:] != after[:, left:]).any()


def test_waiting_says_so_and_shows_no_signal(bench: Bench) -> None:
    bench.window.draw()
    source = bench.window.state.source(bench.now)
    assert (source.level, source.headline) == ("waiting", "waiting for the decoder")
    dot = bench.pixels(bench.window.header, bench.window.header.dot_rect())
    assert is_color(dot, DARK.faint).mean() > 0.5
    traces = bench.pixels(bench.window.traces, bench.window.traces.body())
    centre = slice(len(traces) // 2 - 40, len(traces) // 2 + 40)
    assert is_color(traces[centre], DARK.text, 40).any()
    assert not is_color(traces[: len(traces) // 3], DARK.trace, 40).any()


def test_a_silent_decoder_turns_to_trouble_and_recovers(bench: Bench) -> None:
    bench.connect()
    bench.play(3.0)
    bench.now += 6.0
    bench.window.draw()
    assert bench.window.state.source(bench.now).headline == "no data for 6 s"
    assert is_color(bench.pixels(bench.window.header, bench.window.header.dot_rect()), DARK.trouble).mean() > 0.5
    assert "6 s ago" in bench.window.image.subtitle()
    bench.decoder.time = bench.now
    bench.play(2.0)
    assert bench.window.state.source(bench.now).level == "live"
    assert [round(after - before) for before, after in bench.window.state.eeg.gaps] == [6]


def test_a_restarted_decoder_is_found_again_and_scored_anew(bench: Bench) -> None:
    bench.connect()
    bench.play(6.0)
    assert bench.window.state.accuracy.scores()[0].n > 15
    ring = bench.window.state.eeg
    bench.restart()
    bench.now += 4.0
    bench.connect()
    assert bench.window.state.n_decisions == 0
    bench.play(3.0)
    assert bench.window.state.n_decisions == bench.decoder.n_retrievals + sum(bench.decoder.refusals.values())
    assert bench.window.state.eeg is ring
    assert bench.window.state.source(bench.now).level == "live"


def test_a_decision_stays_long_enough_to_be_read(bench: Bench) -> None:
    bench.connect()
    bench.play(1.0)
    shown = bench.window.image.mark
    assert shown is not None
    bench.play(DWELL_S / 2)
    assert bench.window.image.mark is shown
    assert bench.window.state.newest is not shown
    bench.now += DWELL_S
    bench.window.draw()
    assert bench.window.image.mark is bench.window.state.newest
    assert bench.window.retrieval.mark is bench.window.state.newest


def answer(code: int, label: str, labels: tuple[str, ...], **more: Any) -> Retrieval:
    scores = np.linspace(0.5, 0.1, len(labels)).astype(np.float32)
    return Retrieval(event=Event(onset=4000.0 + code, label=label, code=code), labels=labels, scores=scores, **more)


def test_provisional_answers_come_at_once_and_paler(bench: Bench) -> None:
    bench.connect()
    retrieval, labels = bench.window.retrieval, GALLERY.classes[:5]

    def bar() -> np.ndarray:
        return bench.pixels(retrieval, retrieval.bar_rect(retrieval.row_rects()[0]))[2:3]

    bench.say(answer(0, labels[0], labels, until=0.2))
    assert retrieval.subtitle() == "after 200 ms"
    assert not is_color(bar(), DARK.accent).any()
    assert is_color(bar(), DARK.blend("accent", 0.65), 25).mean() == pytest.approx(0.5, abs=0.03)
    bench.say(answer(0, labels[0], labels, until=0.4, n_averaged=3))
    assert retrieval.subtitle() == "mean of 3, after 400 ms"
    assert bench.window.accuracy.subtitle() == "0 decisions seen here"
    bench.say(answer(0, labels[0], labels))
    assert retrieval.subtitle() == "of 20 classes"
    assert is_color(bar(), DARK.accent).mean() == pytest.approx(0.5, abs=0.03)
    assert bench.window.accuracy.subtitle() == "1 decision seen here"


def test_an_event_is_followed_to_its_final_answer(bench: Bench) -> None:
    """Where events are quick, the newest is never the one with a final answer."""
    bench.connect()
    labels = GALLERY.classes[:5]
    for code in range(5):
        bench.say(answer(code, labels[0], labels, until=0.2))
        bench.now += DWELL_S
    bench.window.draw()
    assert bench.window.retrieval.mark is bench.window.state.marks[0]
    bench.say(answer(0, labels[0], labels))
    assert bench.window.retrieval.decision is not None
    assert bench.window.retrieval.decision.until is None
    bench.now += DWELL_S
    bench.window.draw()
    assert bench.window.retrieval.mark is bench.window.state.marks[4]
    assert bench.window.image.mark is bench.window.state.marks[4]
    bench.say(answer(1, labels[0], labels))  # late: of an older event than the one on show
    bench.now += DWELL_S
    bench.window.draw()
    assert bench.window.retrieval.mark is bench.window.state.marks[4]


def test_a_refusal_takes_a_provisional_answer_back(bench: Bench) -> None:
    bench.connect()
    window, labels = bench.window, GALLERY.classes[:5]
    bench.say(answer(0, labels[0], labels, until=0.4))
    assert len(window.retrieval.row_rects()) == 5
    bench.say(Refusal(event=answer(0, labels[0], labels).event, reason="reference lost", detail="all as one"))
    assert window.retrieval.row_rects() == []
    assert is_color(bench.pixels(window.retrieval, window.retrieval.body()), DARK.trouble, 30).any()
    assert window.image.mark is window.state.marks[0]
    bench.now += DWELL_S
    bench.say(answer(1, labels[0], labels))
    assert len(window.retrieval.row_rects()) == 5


def test_a_sure_answer_is_announced_even_where_it_is_wrong(bench: Bench) -> None:
    bench.connect()
    retrieval, labels = bench.window.retrieval, GALLERY.classes[:5]

    def n_accent() -> int:
        return int(is_color(bench.pixels(retrieval, retrieval.row_rects()[0]), DARK.accent).sum())

    bench.say(answer(0, "thing_019", labels, n_averaged=4))
    assert retrieval.subtitle() == "mean of 4 presentations"
    assert n_accent() == 0
    bench.now += DWELL_S
    bench.say(answer(1, "thing_019", labels, n_averaged=4, sure=True))
    assert n_accent() > 150


def test_without_markers_no_picture_no_marks_no_accuracy() -> None:
    bench = Bench(markers=False, refuse=0.2)
    bench.connect()
    bench.play(6.0)
    window = bench.window
    assert window.accuracy.subtitle() == "without markers, no answer can be judged"
    assert len(window.retrieval.row_rects()) == 5
    picture = bench.pixels(window.image, window.image.picture_rect())
    assert is_color(picture, DARK.panel).mean() > 0.9
    assert not is_color(bench.pixels(window.accuracy), DARK.accent).any()
    plot = window.traces.plot_rect()
    shade = bench.pixels(window.traces, plot)
    assert ((shade[..., 0] - shade[..., 2]) > 8).mean(axis=0).max() > 0.5  # refused windows are still shaded
    above = plot.translated(0, -16)
    above.setHeight(16)
    reasons = bench.pixels(window.traces, above)
    assert is_color(reasons, DARK.trouble, 40).any()
    onsets = [mark.event.onset for mark in window.state.marks if mark.verdict != "refused"]
    assert len(onsets) > 10
    assert not (reasons.min(axis=2) > 100).any()  # the labels of events would be grey
    bench.close()


def test_warnings_stand_below_the_header_as_long_as_they_last(bench: Bench) -> None:
    bench.connect()
    bench.window.draw()
    header, low = bench.window.header, bench.window.header.height()
    status = bench.decoder.status()
    bench.say(replace(status, warnings=("T7 is interpolated", "the marker stream is away")))
    bench.now += 1.0
    bench.window.draw()
    QtWidgets.QApplication.processEvents()
    assert header.warnings() == ["T7 is interpolated", "the marker stream is away"]
    assert header.height() > low + 40
    ground = bench.pixels(header, header.warnings_rect())
    assert is_color(ground[4:-4, :4], DARK.trouble).all()
    lines = is_color(ground, DARK.text, 30).any(axis=1)
    assert np.count_nonzero(np.diff(lines.astype(int)) == 1) >= 2
    bench.say(replace(status, warnings=tuple(f"warning {i}" for i in range(9))))
    assert header.warnings()[-1] == "warning 3   (and 5 more)"
    bench.say(status)
    bench.now += 1.0
    bench.window.draw()
    assert header.height() == low


def test_two_classes_have_no_top_5() -> None:
    bench = Bench(gallery=None, classes=("target", "nontarget"), n_channels=8, sfreq=250.0, hits=0.8)
    bench.connect()
    bench.play(5.0)
    window = bench.window
    assert [score.k for score in window.state.accuracy.scores()] == [1]
    assert len(window.accuracy.score_rects()) == 1
    assert len(window.retrieval.row_rects()) == 2
    gauge = bench.pixels(window.accuracy, window.accuracy.gauge_rect(window.accuracy.score_rects()[0]))
    chance = np.flatnonzero(is_color(gauge[1:5], DARK.text, 20).any(axis=0))
    assert chance.mean() / gauge.shape[1] == pytest.approx(0.5, abs=0.02)
    assert window.image.subtitle().startswith("event")
    bench.close()


def test_keys_reach_their_views(bench: Bench) -> None:
    bench.connect()
    bench.play(4.0)
    window = bench.window
    target = window.focusWidget() or window
    scale = window.traces.scale
    QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Up)
    assert window.traces.scale < scale
    QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Left)
    assert window.traces.window_s == 20.0
    QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_T)
    assert window.theme is LIGHT
    for view in (window.traces, window.latency, window.image, window.retrieval, window.accuracy):
        assert is_color(bench.pixels(view), LIGHT.panel).mean() > 0.3
    QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_T)
    assert window.theme is DARK
    QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Q)
    assert not window.isVisible()


@pytest.mark.parametrize(("width", "height"), [(900, 600), (1280, 800), (2200, 1300)])
def test_every_size_shows_every_view(bench: Bench, width: int, height: int) -> None:
    bench.connect()
    bench.window.resize(width, height)
    bench.play(4.0)
    QtWidgets.QApplication.processEvents()
    window = bench.window
    assert (window.width(), window.height()) == (width, height)
    views = [window.header, window.traces, window.latency, window.filmstrip]
    views += [window.image, window.retrieval, window.accuracy]
    areas = [QtCore.QRect(view.mapTo(window, QtCore.QPoint(0, 0)), view.size()) for view in views]
    for i, area in enumerate(areas):
        assert window.rect().contains(area)
        assert not any(area.intersects(other) for other in areas[i + 1 :])
    assert len(window.retrieval.row_rects()) == 5
    assert all(window.retrieval.body().contains(row) for row in window.retrieval.row_rects())
    assert window.image.body().contains(window.image.picture_rect())
    assert window.image.picture_rect().width() >= 80
    assert window.latency.strip_rect().width() > 80
    assert window.traces.plot_rect().width() > 0.4 * width


def picture(code: int, label: str, stage: Any = "two-stage", *, preview: bool = False, **more: Any) -> GeneratedImage:
    """Return a picture of one colour, which says what it is of; the blue of a preview is 0."""
    pixels = np.empty((64, 64, 3), dtype=np.uint8)
    pixels[:] = colour_of(code, stage, preview)
    event = answer(code, label, ()).event
    more = {"generator": "embedded", "latency_ms": {"after_retrieval": 62.4}} | more
    return GeneratedImage(event=event, pixels=pixels, seed=0, stage=stage, preview=preview, **more)


def colour_of(code: int, stage: str, preview: bool) -> tuple[int, int, int]:
    return 40 + 37 * code % 211, 80 if stage == "one-stage" else 160, 0 if preview else 255


def painted(bench: Bench) -> dict[str, tuple[int, ...]]:
    """Return the colour in the middle of each place for a picture."""
    view, found = bench.window.imagined, {}
    whole = bench.pixels(view)
    for stage, rect in view.picture_rects().items():
        found[stage] = tuple(int(value) for value in whole[int(rect.center().y()), int(rect.center().x())])
    return found


def test_without_pictures_there_is_no_panel_for_them(bench: Bench) -> None:
    bench.connect()
    bench.play(4.0)
    window = bench.window
    assert not window.imagined.isVisible()
    alone = window.image.width()
    bench.say(picture(window.image.mark.event.code, "thing_000"))  # of another label: not that event
    assert not window.imagined.isVisible()
    label = window.image.mark.event.label
    event = window.image.mark.event
    bench.say(replace(picture(event.code, label), event=event))
    QtWidgets.QApplication.processEvents()
    assert window.imagined.isVisible()
    assert window.imagined.height() == window.image.height()
    assert window.imagined.picture_rects()["two-stage"].width() == window.image.picture_rect().width() >= 0.9 * 176
    assert window.image.width() < alone


def test_the_finer_pictures_take_the_place_of_the_previews_side_by_side(bench: Bench) -> None:
    bench.connect()
    view, labels = bench.window.imagined, GALLERY.classes[:5]
    bench.say(answer(0, labels[0], labels), picture(0, labels[0], "one-stage", preview=True))
    assert painted(bench) == {"one-stage": colour_of(0, "one-stage", True)}
    assert view.caption("one-stage") == ("one stage", "preview")
    bench.say(picture(0, labels[0], "two-stage", preview=True))
    QtWidgets.QApplication.processEvents()
    assert painted(bench) == {stage: colour_of(0, stage, True) for stage in ("one-stage", "two-stage")}
    one, two = view.picture_rects().values()
    assert one.right() < two.left()
    assert one.size() == two.size()
    assert view.body().contains(one)
    assert view.body().contains(two)
    pale = bench.pixels(view, one.translated(0, one.height()))
    assert not is_color(pale, DARK.text, 20).any()
    bench.say(picture(0, labels[0], "one-stage"), picture(0, labels[0], "two-stage"))
    assert painted(bench) == {stage: colour_of(0, stage, False) for stage in ("one-stage", "two-stage")}
    assert view.caption("two-stage") == ("two stages", "62 ms")
    assert is_color(bench.pixels(view, one.translated(0, one.height())), DARK.text, 20).any()
    bench.now += 7.0
    bench.window.draw()
    assert view.caption("two-stage") == ("two stages", "7 s ago")


def test_a_picture_is_never_of_another_event_than_the_panel_says(bench: Bench) -> None:
    bench.connect()
    window, labels = bench.window, GALLERY.classes[:5]
    rng, latest, n_seen, empty = np.random.default_rng(5), -1, 0, {QtGui.QColor(DARK.blend("line", 0.5)).getRgb()[:3]}
    for _ in range(250):
        kind = rng.integers(0, 6)
        if kind < 2 or latest < 1:
            latest += 1
            bench.say(answer(latest, labels[latest % 5], labels, until=0.2 if kind else None))
        elif kind == 2:
            code = int(rng.integers(max(0, latest - 4), latest + 1))
            bench.say(answer(code, labels[code % 5], labels))
        else:
            code, stage = int(rng.integers(max(0, latest - 4), latest + 1)), ("one-stage", "two-stage")[kind % 2]
            bench.say(picture(code, labels[code % 5], stage, preview=bool(rng.integers(0, 2))))
        bench.now += float(rng.choice([0.0, 0.1, 0.7]))
        window.draw()
        mark = window.imagined.mark
        assert mark is window.image.mark is window.retrieval.mark
        assert window.imagined.subtitle() == f"event {mark.event.code}"
        for stage, colour in painted(bench).items():
            theirs = {colour_of(mark.event.code, stage, preview) for preview in (True, False)}
            assert colour in theirs | empty
            n_seen += colour in theirs
    assert n_seen > 100


@pytest.mark.parametrize("delay", [0.05, 0.45, 1.5])
def test_pictures_are_seen_with_their_answers_however_long_they_take(bench: Bench, delay: float) -> None:
    """Five answers a second; the painter takes the newest whenever it is free."""
    bench.connect()
    window, labels, started = bench.window, GALLERY.classes[:5], bench.now
    free_at, busy, n_painted, latest, steps_with, seen = 0.0, None, 0, -1, 0, set()
    for _ in range(400):
        elapsed = bench.now - started
        if busy is not None and elapsed >= free_at:
            bench.say(picture(busy, labels[busy % 5]))
            busy, n_painted = None, n_painted + 1
        if elapsed >= 0.2 * (latest + 1):
            latest += 1
            bench.say(answer(latest, labels[latest % 5], labels))
            if busy is None:
                busy, free_at = latest, elapsed + delay
        bench.now += 0.03
        window.draw()
        assert window.imagined.mark is window.image.mark
        if window.imagined.mark.pictures:
            steps_with += 1
            seen.add(window.imagined.mark.event.code)
    turns = (bench.now - started) / max(delay, DWELL_S + PICTURE_WAIT_S)
    assert len(seen) >= min(n_painted, turns) - 1
    assert steps_with >= 0.5 * 400


def test_provisional_answers_are_seen_though_pictures_come(bench: Bench) -> None:
    bench.connect()
    window, labels, kinds = bench.window, GALLERY.classes[:5], set()
    for code in range(40):
        bench.say(answer(code, labels[0], labels, until=0.2))
        kinds.add((window.retrieval.decision.until, bool(window.imagined.mark.pictures)))
        if code >= 2:
            bench.say(answer(code - 2, labels[0], labels), picture(code - 2, labels[0]))
            kinds.add((window.retrieval.decision.until, bool(window.imagined.mark.pictures)))
        bench.now += 0.1
    assert {(0.2, False), (None, True)} <= kinds
    bench.now += DWELL_S
    window.draw()
    assert window.retrieval.decision.until == 0.2
    assert window.imagined.mark is window.state.newest


def test_missing_pictures_are_told_in_words(bench: Bench) -> None:
    bench.connect()
    window, labels = bench.window, GALLERY.classes[:5]
    bench.say(answer(0, labels[0], labels), picture(0, labels[0]))
    bench.now += 5.0
    bench.say(answer(1, labels[0], labels))
    assert window.imagined.words() == ""
    assert set(painted(bench)) == {"two-stage"}
    bench.now += 2.0
    window.draw()
    assert window.imagined.words() == "no picture of this event"
    bench.say(picture(1, labels[0]))
    assert window.imagined.words() == ""
    bench.say(replace(bench.decoder.status(), n_events=2))
    bench.restart()
    bench.now += 4.0
    bench.connect()
    window.draw()
    assert window.imagined.mark is window.image.mark is None
    bench.play(3.0)
    assert window.imagined.isVisible()
    assert "--generator embedded" in window.imagined.words()
    assert window.imagined.picture_rects() == {}
    assert is_color(bench.pixels(window.imagined, window.imagined.body()), DARK.muted, 30).any()


@pytest.mark.parametrize(("width", "height"), [(640, 530), (900, 600), (1280, 800), (2200, 1300)])
@pytest.mark.parametrize("stages", [("two-stage",), ("one-stage", "two-stage")])
def test_every_size_has_room_for_pictures(width: int, height: int, stages: tuple[str, ...]) -> None:
    bench = Bench(generator="embedded", stages=stages, refuse=0.0)
    bench.connect()
    bench.window.resize(width, height)
    bench.play(3.0)
    window = bench.window
    bench.pump(lambda: len(window.state.stages) == len(stages), "pictures")
    window.draw()
    QtWidgets.QApplication.processEvents()
    assert (window.width(), window.height()) == (width, height) or width < 900 > window.width() > width
    views = [window.header, window.traces, window.latency, window.filmstrip]
    views += [window.image, window.imagined, window.retrieval, window.accuracy]
    areas = [QtCore.QRect(view.mapTo(window, QtCore.QPoint(0, 0)), view.size()) for view in views]
    for i, area in enumerate(areas):
        assert window.rect().contains(area)
        assert not any(area.intersects(other) for other in areas[i + 1 :])
    rects = window.imagined.picture_rects()
    assert tuple(rects) == stages
    assert all(window.imagined.body().contains(rect) and rect.width() >= 80 for rect in rects.values())
    assert window.image.picture_rect().width() >= 80
    assert window.traces.plot_rect().width() > 0.4 * width or width < 900
    for text, size, view in (
        (window.state.attribution, 10, window.image),
        ("a small decoder of a small picture world", 10, window.imagined),
    ):
        assert QtGui.QFontMetrics(font(size)).horizontalAdvance(text) <= view.body().width()
    bench.close()


def test_what_was_lost_on_the_way_is_said(bench: Bench) -> None:
    bench.window.draw()
    assert bench.window.header.warnings() == []
    bench.window.receiver.n_dropped = 12
    bench.now += 1.0
    bench.window.draw()
    assert bench.window.header.warnings() == ["12 records were lost on the way to this window"]


def test_closing_ends_the_thread_and_the_timers(bench: Bench) -> None:
    names = [thread.name for thread in threading.enumerate()]
    assert "necomimi-receiver" in names
    bench.window.close()
    assert "necomimi-receiver" not in [thread.name for thread in threading.enumerate()]


def test_the_timers_draw_by_themselves() -> None:
    publisher = Publisher("tcp://127.0.0.1:*")
    window = ViewerWindow(DisplayState(), Receiver(publisher.address), LIGHT)
    window.show()
    window.start()
    end = time.monotonic() + DEADLINE_S
    while window.traces.now == 0.0:
        assert time.monotonic() < end
        QtWidgets.QApplication.processEvents()
        time.sleep(0.001)
    window.close()
    publisher.close()


def test_a_screenshot_that_cannot_be_written_is_an_error(bench: Bench, tmp_path: Path) -> None:
    bench.window.save_screenshot(tmp_path / "window.png")
    assert QtGui.QImage(str(tmp_path / "window.png")).width() == bench.window.width()
    with pytest.raises(ConfigError, match="cannot be written"):
        bench.window.save_screenshot(tmp_path / "nowhere" / "window.png")


def press(bench: Bench, key: Any) -> None:
    QtTest.QTest.keyClick(bench.window.focusWidget() or bench.window, key)
    bench.window.draw()


def test_a_past_event_is_shown_by_all_big_views_until_one_returns() -> None:
    bench = Bench(hits=1.0, refuse=0.2, generator="embedded", n_channels=8, sfreq=250.0)
    bench.connect()
    bench.play(8.0)
    window = bench.window
    views = (window.image, window.imagined, window.retrieval)
    assert not any(view.is_past for view in views)
    before = bench.pixels(window.retrieval)[:3]
    QtTest.QTest.mouseClick(
        window.filmstrip,
        QtCore.Qt.MouseButton.LeftButton,
        pos=window.filmstrip.frame_rects()[min(window.filmstrip.frame_rects())].center().toPoint(),
    )
    window.draw()
    mark = window.filmstrip.chosen
    assert mark is not None
    assert {view.mark for view in (*views, window.exhibition)} == {mark}
    assert all(view.is_past for view in views)
    assert is_color(bench.pixels(window.retrieval)[:3], DARK.accent, 40).mean() > 0.5
    assert not is_color(before, DARK.accent, 40).any()
    bench.play(5.0)
    assert {view.mark for view in views} == {mark}
    assert f"event {mark.event.code} · " in window.filmstrip.subtitle()
    window.traces.setFocus()
    press(bench, QtCore.Qt.Key.Key_Escape)
    assert window.filmstrip.chosen is None
    assert {view.mark for view in views} == {window.state.newest}
    assert not any(view.is_past for view in views)
    window.filmstrip.setFocus()
    press(bench, QtCore.Qt.Key.Key_Home)
    assert window.image.mark is window.state.history[0]
    window.traces.setFocus()
    press(bench, QtCore.Qt.Key.Key_End)
    assert window.image.mark is window.state.newest
    bench.close()


def test_a_past_event_of_a_run_that_is_over_can_still_be_seen() -> None:
    bench = Bench(hits=1.0, refuse=0.0, generator="embedded", n_channels=8, sfreq=250.0)
    bench.connect()
    bench.play(5.0)
    n = len(bench.window.state.history)
    bench.options["generator"] = ""
    bench.restart()
    bench.now += 4.0
    bench.connect()
    bench.play(3.0)
    window = bench.window
    assert list(window.state.history.run_starts) == [n]
    assert window.state.stages == ()
    window.filmstrip.setFocus()
    press(bench, QtCore.Qt.Key.Key_Home)
    assert window.image.mark is window.state.history[0]
    assert set(window.imagined.picture_rects()) == {"one-stage", "two-stage"}
    assert window.imagined.words() == ""
    press(bench, QtCore.Qt.Key.Key_Escape)
    assert window.image.mark is window.state.newest
    assert window.imagined.picture_rects() == {}
    bench.close()


def test_the_pictures_get_the_screen_for_themselves_and_give_it_back(bench: Bench) -> None:
    bench.connect()
    bench.play(3.0)
    window = bench.window
    was = window.windowState()
    press(bench, QtCore.Qt.Key.Key_F11)
    assert window.is_exhibiting
    assert window.isFullScreen()
    assert window.exhibition.isVisible()
    assert not window.traces.isVisible()
    bench.play(2.0)
    assert window.exhibition.mark is window.image.mark
    press(bench, QtCore.Qt.Key.Key_Escape)
    assert not window.is_exhibiting
    assert window.windowState() == was
    assert window.traces.isVisible()
    assert window.focusWidget() is window.traces
    press(bench, QtCore.Qt.Key.Key_F11)
    press(bench, QtCore.Qt.Key.Key_F11)
    assert not window.is_exhibiting


def test_c_turns_the_page_of_accuracy() -> None:
    bench = Bench(hits=0.5, refuse=0.0, average=4, n_channels=8, sfreq=250.0)
    bench.connect()
    bench.play(12.0)
    seen = [bench.window.accuracy.page]
    for _ in range(3):
        press(bench, QtCore.Qt.Key.Key_C)
        seen.append(bench.window.accuracy.page)
    assert seen == ["scores", "repetitions", "calibration", "scores"]
    bench.close()
