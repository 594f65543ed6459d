from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtGui, QtTest, QtWidgets

from necomimi.gui.display_state import DisplayState
from necomimi.gui.evoked_strip import x_of
from necomimi.gui.head_view import UPDATE_S, HeadView
from necomimi.gui.language import use_language
from necomimi.gui.theme import DARK
from necomimi.records import Chunk, Event, Refusal, Retrieval, StreamInfo
from necomimi.regions import flat_positions
from necomimi.synthetic import Synthetic

from .screen import pixels, turn_wheel

pytestmark = pytest.mark.qt

NAMES = Synthetic.parse("synthetic:63x1000x5").ch_names
SFREQ = 250.0
LEFT_BUTTON = QtCore.Qt.MouseButton.LeftButton


class Bench:
    """A view, and a stream of noise with a response at the back of the head to each event."""

    def __init__(self, names: tuple[str, ...] = NAMES, size: tuple[int, int] = (420, 280)) -> None:
        self.now = 1000.0
        self.state = DisplayState()
        self.view = HeadView(self.state, DARK)
        self.view.resize(*size)
        self.view.show()
        self.info = StreamInfo(
            name="eeg", type="EEG", source_id="s", uid="u", ch_names=names, sfreq=SFREQ, units=("V",) * len(names)
        )
        self.scale = np.ones(len(names))
        self._rng = np.random.default_rng(4)
        self._code = 0
        self._offsets = self._rng.normal(0, 3e-3, len(names))
        places = flat_positions(names)
        self.pattern = np.array([-places[name][1] if name in places else 0.0 for name in names])

    def play(self, seconds: float, every: float = 0.5, answer: bool = True) -> None:
        """Send noise of 5 µV, an event each `every` seconds, and its response of 6 µV at 120 ms."""
        n = round(seconds * SFREQ)
        t = self.now + np.arange(n) / SFREQ
        onsets = np.arange(self.now + 0.1, self.now + seconds - 0.9, every)
        response = sum((np.exp(-(((t - onset - 0.12) / 0.02) ** 2)) for onset in onsets), np.zeros(n))
        data = self._rng.normal(0, 5e-6, (len(self.info.ch_names), n)) * self.scale[:, None]
        data += 6e-6 * self.pattern[:, None] * response + self._offsets[:, None]
        events = [Event(onset=float(onset), label="cat", code=self._code + i) for i, onset in enumerate(onsets)]
        self._code += len(events)
        for part in np.array_split(np.arange(n), max(1, n // 25)):
            chunk = Chunk(data=data[:, part].astype(np.float32), timestamps=t[part], info=self.info)
            self.now = float(t[part[-1]])
            self.state.update(chunk, self.now)
            while answer and events and events[0].onset < self.now - 0.85:
                self.state.update(retrieval(events.pop(0)), self.now)
            self.view.advance(self.now)
        self.now += 1 / SFREQ

    def pixels(self) -> np.ndarray:
        return pixels(self.view)


def retrieval(event: Event) -> Retrieval:
    return Retrieval(event=event, labels=("cat", "dog"), scores=np.array([0.7, 0.3], dtype=np.float32))


def test_it_waits_for_a_signal_in_words() -> None:
    bench = Bench()
    assert bench.view.words() == "no signal yet"
    assert bench.view.evoked is None
    bench.pixels()


def test_the_response_shows_at_the_back_and_at_its_latency() -> None:
    bench = Bench()
    bench.play(30.0)
    view = bench.view
    assert view.words() == ""
    assert view.evoked.n_epochs > 40
    assert view.shown_latency() == pytest.approx(0.12, abs=0.012)
    values = view.evoked.at(0.12)
    assert np.corrcoef(values, bench.pattern)[0, 1] > 0.95
    shown = bench.pixels()
    right = view.head_rects()[1].toRect()
    disc = shown[right.top() : right.bottom(), right.left() : right.right()]
    top, bottom = disc[len(disc) // 5], disc[int(0.85 * len(disc))]
    middle = slice(disc.shape[1] // 2 - 10, disc.shape[1] // 2 + 10)
    assert (top[middle, 2] - top[middle, 0]).mean() > 20  # blue in front
    assert (bottom[middle, 0] - bottom[middle, 2]).mean() > 20  # orange at the back


def test_offsets_and_the_reference_are_taken_out_of_the_signal_now() -> None:
    bench = Bench()
    bench.play(5.0)
    values = bench.view._now_values
    assert np.abs(values).max() < 10.0  # µV, on offsets of millivolts
    assert values.mean() == pytest.approx(0, abs=1e-3)


def test_a_click_on_the_left_head_shows_alpha() -> None:
    bench = Bench()
    bench.play(5.0)
    left, right = bench.view.head_rects()
    QtTest.QTest.mouseClick(bench.view, LEFT_BUTTON, pos=left.center().toPoint())
    assert bench.view.shows_alpha
    assert (bench.view._now_values >= 0).all()
    before = bench.pixels()
    QtTest.QTest.mouseClick(bench.view, LEFT_BUTTON, pos=left.center().toPoint())
    assert not bench.view.shows_alpha
    assert (bench.pixels() != before).any()
    assert right.left() > left.right()


def test_pointer_and_clicks_choose_the_latency() -> None:
    bench = Bench()
    bench.play(12.0)
    view, strip = bench.view, bench.view.strip_rect()
    at = QtCore.QPoint(round(x_of(strip, 0.5)), round(strip.center().y()))
    QtTest.QTest.mouseMove(view, at)
    QtWidgets.QApplication.processEvents()
    view.mouseMoveEvent(
        QtGui.QMouseEvent(
            QtCore.QEvent.Type.MouseMove, QtCore.QPointF(at), QtCore.QPointF(at), QtCore.Qt.MouseButton.NoButton,
            QtCore.Qt.MouseButton.NoButton, QtCore.Qt.KeyboardModifier.NoModifier,
        )
    )  # fmt: skip
    assert view.shown_latency() == pytest.approx(0.5, abs=0.005)
    assert view.latency is None
    view.leaveEvent(None)
    assert view.shown_latency() == pytest.approx(0.12, abs=0.02)
    QtTest.QTest.mouseClick(view, LEFT_BUTTON, pos=at)
    view.leaveEvent(None)
    assert view.shown_latency() == pytest.approx(0.5, abs=0.005)
    QtTest.QTest.mouseClick(view, LEFT_BUTTON, pos=view.head_rects()[1].center().toPoint())
    assert view.latency is None


def test_the_wheel_moves_the_latency_by_a_sample_a_notch() -> None:
    bench = Bench()
    bench.play(6.0)
    view = bench.view
    view.choose_latency(0.3)
    turn_wheel(view, 0, right=120)  # another wheel
    turn_wheel(view, 60)
    assert view.latency == 0.3
    turn_wheel(view, 60)
    assert view.latency == pytest.approx(0.3 + 1 / SFREQ)
    turn_wheel(view, -240)
    assert view.latency == pytest.approx(0.3 - 1 / SFREQ)


def test_bad_channels_are_left_out_and_named() -> None:
    bench = Bench()
    bench.scale[[7, 20]] = 0.0, 60.0
    bench.view.leave_out([NAMES[7], NAMES[20], "of another stream"])
    bench.play(12.0)
    assert bench.view.bad_channels == (NAMES[7], NAMES[20])
    assert NAMES[7] in bench.view.toolTip()
    assert bench.view.subtitle() == "left out: 2"
    assert np.isnan(bench.view._now_values[[7, 20]]).all()
    assert np.isfinite(np.delete(bench.view._now_values, [7, 20])).all()
    assert np.corrcoef(np.delete(bench.view.evoked.at(0.12), [7, 20]), np.delete(bench.pattern, [7, 20]))[0, 1] > 0.8


def test_unplaced_channels_are_named_and_too_few_are_told_in_words() -> None:
    bench = Bench(("Fz", "Cz", "Pz", "Oz", "C3", "aux"))
    bench.play(4.0)
    assert "aux" in bench.view.toolTip()
    assert bench.view.words() == ""
    bench = Bench(("Fz", "Cz", "Pz", "aux", "aux2"))
    bench.play(4.0)
    assert bench.view.words().startswith("a map needs 4 channels")
    bench.pixels()


def test_refused_epochs_do_not_count() -> None:
    bench = Bench()
    bench.play(6.0, answer=False)
    assert bench.view.evoked.n_epochs == 0
    for code in range(4):
        event = Event(onset=bench.now - 5 + code, label="cat", code=code)
        bench.state.update(Refusal(event=event, reason="amplitude", detail=""), bench.now)
    bench.view.advance(bench.now + 1)
    assert bench.view.evoked.n_epochs == 0


def test_a_new_run_begins_another_average() -> None:
    bench = Bench()
    bench.play(10.0)
    assert bench.view.evoked.n_epochs > 10
    bench._code = 0
    bench.play(4.0)
    assert 0 < bench.view.evoked.n_epochs < 10
    bench.info = replace(bench.info, ch_names=tuple(reversed(NAMES)))
    bench.play(3.0, answer=False)
    assert bench.view.evoked.n_epochs == 0


def test_it_works_five_times_a_second_at_most_and_not_while_hidden() -> None:
    bench = Bench()
    bench.play(3.0)
    view = bench.view
    values, updated = view._now_values, view._updated_at
    view.advance(updated + UPDATE_S / 2)
    assert view._now_values is values
    view.hide()
    view.advance(updated + 2 * UPDATE_S)
    assert view._now_values is values
    view.show()
    view.advance(updated + 4 * UPDATE_S)
    assert view._now_values is not values


@pytest.mark.parametrize("size", [(300, 160), (420, 280), (1100, 700)])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_parts_do_not_overlap_at_any_size(size: tuple[int, int], language: str) -> None:
    use_language(language)
    bench = Bench(size=size)
    bench.play(5.0)
    left, right = bench.view.head_rects()
    strip, body = bench.view.strip_rect(), bench.view.body()
    assert not left.intersects(right)
    assert left.height() > 70
    if size[1] >= 280:
        assert strip.top() >= left.bottom()
        assert strip.bottom() <= body.bottom()
    bench.pixels()


def test_an_update_and_a_frame_are_quick() -> None:
    bench = Bench()
    bench.play(12.0)
    took = []
    for _ in range(20):
        bench.view._updated_at = -np.inf
        start = time.perf_counter()
        bench.view.advance(bench.now)
        bench.view.grab()
        took.append(time.perf_counter() - start)
    assert min(took) < 0.02  # 4 ms on a machine that has nothing else to do
