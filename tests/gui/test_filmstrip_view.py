from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtTest, QtWidgets

from necomimi.gui.display_state import DisplayState
from necomimi.gui.filmstrip_view import FilmstripView
from necomimi.gui.history import CAPACITY, History
from necomimi.gui.theme import DARK, LIGHT
from necomimi.records import Event, GeneratedImage, Refusal, Retrieval

from .screen import is_color, pixels, rgb, turn_wheel
from .synthetic import GALLERY

pytestmark = pytest.mark.qt

Key = QtCore.Qt.Key


class Strip:
    """A filmstrip, and what happens to the state that it shows."""

    def __init__(self, width: int = 800, height: int = 150) -> None:
        self.state = DisplayState(GALLERY)
        self.view = FilmstripView(self.state, DARK)
        self.view.resize(width, height)
        self.view.show()
        self.code, self.now = 0, 100.0

    def decide(self, n: int = 1, *, refused: bool = False, stages: tuple[Any, ...] = ()) -> None:
        """Let `n` events be decided, a second apart."""
        for _ in range(n):
            label = GALLERY.classes[self.code % 20]
            event = Event(onset=self.now, label=label, code=self.code)
            record: Any = Retrieval(event=event, labels=GALLERY.classes[:5], scores=np.full(5, 0.2, dtype=np.float32))
            if refused:
                record = Refusal(event=event, reason="gap", detail="")
            self.state.update(record, self.now)
            for stage in stages:
                self.paint(event, stage)
            self.code += 1
            self.now += 1.0
        self.view.advance(self.now)

    def paint(self, event: Event, stage: Any, shade: int = 200, *, preview: bool = False) -> None:
        pixels = np.full((96, 96, 3), shade, dtype=np.uint8)
        image = GeneratedImage(event=event, pixels=pixels, seed=0, stage=stage, preview=preview)
        self.state.update(image, self.now)

    def places(self) -> list[int]:
        return sorted(self.view.frame_rects())

    def chosen(self) -> int | None:
        return None if self.view.chosen is None else self.view.chosen.event.code

    def key(self, *keys: Any) -> None:
        for key in keys:
            QtTest.QTest.keyClick(self.view, key)

    def click(self, place: int) -> None:
        button = QtCore.Qt.MouseButton.LeftButton
        QtTest.QTest.mouseClick(self.view, button, pos=self.view.frame_rects()[place].center().toPoint())

    def drag(self, pixels: int) -> None:
        button, start = QtCore.Qt.MouseButton.LeftButton, QtCore.QPoint(300, 80)
        QtTest.QTest.mousePress(self.view, button, pos=start)
        for part in (0.3, 0.7, 1.0):
            QtTest.QTest.mouseMove(self.view, start + QtCore.QPoint(round(part * pixels), 0))
        QtTest.QTest.mouseRelease(self.view, button, pos=start + QtCore.QPoint(pixels, 0))

    def pixels(self) -> np.ndarray:
        return pixels(self.view)

    def verdict_color(self, place: int) -> tuple[int, ...]:
        """Return the colour in the middle of the verdict's line."""
        rect = self.view.frame_rects()[place]
        return tuple(self.pixels()[int(rect.bottom()) - 2, int(rect.center().x())].tolist())


@pytest.fixture
def strip() -> Strip:
    return Strip()


def test_the_newest_stands_at_the_right_and_verdicts_are_told(strip: Strip) -> None:
    assert strip.places() == []
    strip.pixels()  # nothing to show is shown, too
    strip.decide(21)
    strip.decide(refused=True)
    rects = strip.view.frame_rects()
    assert strip.places()[-1] == 21
    assert all(strip.view.body().contains(rect) for rect in rects.values())
    ordered = [rects[place] for place in strip.places()]
    assert all(one.right() < two.left() for one, two in pairwise(ordered))
    assert len(ordered) * (ordered[0].width() + 10) > 0.8 * strip.view.body().width()
    assert strip.verdict_color(21) == rgb(DARK.trouble)
    assert strip.verdict_color(20) == rgb(DARK.accent)  # event 20 shows the first class
    assert strip.verdict_color(19) == rgb(DARK.faint)
    shown = strip.pixels()[int(rects[20].top()) + 40, int(rects[20].center().x())]
    np.testing.assert_allclose(shown, GALLERY.thumbnails[0][48, 48], atol=6)


def test_keys_choose_the_past_and_return(strip: Strip) -> None:
    strip.decide(40)
    n = len(strip.places())
    strip.key(Key.Key_Left)
    assert strip.chosen() == 38
    assert strip.places()[-1] == 39  # the view stays as long as the chosen one is in it
    strip.key(Key.Key_Left, Key.Key_Left, Key.Key_Right)
    assert strip.chosen() == 37
    strip.key(*[Key.Key_Left] * n)
    assert strip.places()[0] == strip.chosen() == 37 - n
    strip.view.choose_first()
    assert strip.chosen() == strip.places()[0] == 0
    strip.key(Key.Key_Left)
    assert strip.chosen() == 0
    strip.view.return_to_live()
    assert strip.chosen() is None
    assert strip.view.is_live
    strip.key(Key.Key_Left, Key.Key_Home, Key.Key_End, Key.Key_Escape)
    assert strip.chosen() == 38  # these are the window's
    strip.key(Key.Key_Right, Key.Key_Right)
    assert strip.view.is_live


def test_new_frames_do_not_move_what_is_looked_at(strip: Strip) -> None:
    strip.decide(40)
    strip.click(strip.places()[2])
    before, chosen, mark = strip.places(), strip.chosen(), strip.view.chosen
    strip.decide(30)
    assert (strip.places(), strip.chosen(), strip.view.chosen) == (before, chosen, mark)
    age = round(strip.now - strip.state.history[before[2]].answered_at)
    assert strip.view.subtitle() == f"event {chosen} · {age} s ago — End or Esc returns to live"
    strip.click(before[2])  # once more: back
    assert strip.view.is_live
    assert strip.places()[-1] == 69


def test_wheel_and_drag_scroll_and_choose_nothing(strip: Strip) -> None:
    strip.decide(60)
    turn_wheel(strip.view, 120)
    assert strip.places()[-1] == 57
    assert "2 newer ones" in strip.view.subtitle()
    strip.decide(5)
    assert strip.places()[-1] == 57
    turn_wheel(strip.view, -60)
    assert strip.places()[-1] == 58
    pitch = strip.view.frame_rects()[58].width() + 10
    strip.drag(round(3 * pitch))
    assert strip.places()[-1] == 55
    strip.drag(-round(2 * pitch))
    assert strip.places()[-1] == 57
    turn_wheel(strip.view, -6000)
    assert strip.view.is_live
    assert strip.places()[-1] == 64
    turn_wheel(strip.view, 60000)
    assert strip.places()[0] == 0
    assert strip.chosen() is None


def test_what_has_left_the_memory_stays_chosen_until_it_is_let_go(strip: Strip) -> None:
    strip.state.history = History(capacity=30)
    strip.decide(30)
    strip.view.choose_first()
    mark = strip.view.chosen
    strip.decide(25)
    assert strip.view.chosen is mark
    assert strip.places()[0] == 25
    strip.pixels()
    strip.key(Key.Key_Right)
    assert strip.chosen() == 25


def test_at_least_three_hundred_decisions_can_be_seen_again(strip: Strip) -> None:
    strip.decide(CAPACITY + 10)
    strip.view.choose_first()
    assert strip.chosen() == 10
    assert CAPACITY >= 300


@pytest.mark.parametrize("height", [108, 150, 190, 320])
@pytest.mark.parametrize("stages", [(), ("two-stage",), ("one-stage", "two-stage")])
def test_frames_have_room_for_their_pictures_at_any_height(height: int, stages: tuple[str, ...]) -> None:
    strip = Strip(height=height)
    strip.decide(3)
    strip.decide(20, stages=stages)
    places, width = strip.view._arrange(1 + len(stages))
    assert len(places) == 1 + len(stages)
    whole = QtCore.QRectF(0, 0, width, strip.view.body().height() - 20)
    for i, place in enumerate(places):
        assert whole.contains(place)
        assert place.width() == place.height() >= 16
        assert not any(place.intersects(other) for other in places[i + 1 :])
    rect = strip.view.frame_rects()[22]
    for place in places[1:]:
        centre = rect.topLeft() + place.center()
        assert strip.pixels()[int(centre.y()), int(centre.x())].tolist() == [200, 200, 200]


def test_a_frame_is_drawn_anew_when_it_changes_and_only_then(strip: Strip, monkeypatch: pytest.MonkeyPatch) -> None:
    strip.decide(20, stages=("two-stage",))
    drawn: list[int] = []
    frame = strip.view._frame
    monkeypatch.setattr(strip.view, "_frame", lambda mark, *rest: drawn.append(mark.place) or frame(mark, *rest))
    strip.pixels()
    n = len(strip.places())
    assert len(drawn) == n
    drawn.clear()
    strip.pixels()
    assert drawn == []
    event = Event(onset=strip.now, label=GALLERY.classes[0], code=strip.code)
    strip.decide()
    strip.pixels()
    assert drawn == [20]
    strip.paint(event, "two-stage", 90, preview=True)
    strip.pixels()
    strip.paint(event, "two-stage", 120)  # it comes at the same moment as the preview
    strip.pixels()
    assert drawn == [20, 20, 20]
    drawn.clear()
    strip.view.set_theme(LIGHT)
    strip.pixels()
    assert len(drawn) == n
    assert len(strip.view._pixmaps) == n


def test_a_strip_that_has_not_changed_is_not_painted(strip: Strip, monkeypatch: pytest.MonkeyPatch) -> None:
    strip.decide(20)
    QtWidgets.QApplication.processEvents()
    updates: list[int] = []
    monkeypatch.setattr(strip.view, "update", lambda: updates.append(1))
    for _ in range(20):
        strip.now += 0.2
        strip.view.advance(strip.now)
    assert updates == []
    strip.decide()
    assert updates == [1]


def test_a_new_run_is_marked_and_the_old_one_can_be_seen_again(strip: Strip) -> None:
    strip.decide(6, stages=("one-stage",))
    strip.code = 0
    strip.now += 100.0
    strip.decide(3)
    assert strip.state.n_decisions == 3
    assert strip.places() == list(range(9))
    rect = strip.view.frame_rects()[6]
    line = strip.pixels()[int(rect.top()) : int(rect.bottom()), int(rect.left()) - 5]
    assert is_color(line[:, None], DARK.muted).any()
    strip.view.choose_first()
    assert strip.chosen() == 0
    assert strip.view.chosen is not None
    assert set(strip.view.chosen.pictures) == {"one-stage"}


def test_without_pictures_there_are_words() -> None:
    strip = Strip()
    strip.state.gallery = None
    strip.decide(3)
    rect = strip.view.frame_rects()[2]
    area = strip.pixels()[int(rect.top()) : int(rect.top()) + 60, int(rect.left()) : int(rect.right())]
    assert (area > 150).any()
