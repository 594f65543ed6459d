from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore

from necomimi.gui.display_state import DisplayState
from necomimi.gui.exhibition import FADE_S, HINT_S, ExhibitionView
from necomimi.gui.panel import smooth_image
from necomimi.gui.theme import DARK
from necomimi.records import Event, GeneratedImage, Retrieval

from .screen import is_color, pixels
from .synthetic import GALLERY

pytestmark = pytest.mark.qt


class Hall:
    """An exhibition and its clock; it counts how often it is asked to paint."""

    def __init__(self, width: int = 1280, height: int = 720) -> None:
        self.state = DisplayState(GALLERY)
        self.view = ExhibitionView(self.state)
        self.view.resize(width, height)
        self.view.show()
        self.now = 500.0
        self.code = -1
        self.n_updates = 0
        update = self.view.update

        def counted(*area: Any) -> None:
            self.n_updates += 1
            update(*area)

        self.view.update = counted

    def decide(self, number: int, stages: tuple[Any, ...] = (), shade: int = 200, **more: Any) -> None:
        """Let a picture be shown, read as the first class, and painted in one shade."""
        self.code += 1
        event = Event(onset=self.now, label=GALLERY.classes[number], code=self.code)
        scores = np.array([0.62, 0.2], dtype=np.float32)
        self.state.update(Retrieval(event=event, labels=GALLERY.classes[:2], scores=scores, **more), self.now)
        for stage in stages:
            self.paint(stage, shade)
        self.view.show_mark(self.state.marks[-1])

    def paint(self, stage: Any, shade: int, *, preview: bool = False) -> None:
        pixels = np.full((96, 96, 3), shade, dtype=np.uint8)
        event = self.state.marks[-1].event
        self.state.update(GeneratedImage(event=event, pixels=pixels, seed=0, stage=stage, preview=preview), self.now)
        self.view.show_mark(self.state.marks[-1])

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 30)):
            self.now += 1 / 30
            self.view.advance(self.now)

    def pixels(self) -> np.ndarray:
        return pixels(self.view)

    def middle(self, place: str) -> list[int]:
        """Return the colour in the middle of a place."""
        centre = self.view.picture_rects()[place].center()
        found: list[int] = self.pixels()[int(centre.y()), int(centre.x())].tolist()
        return found


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (3840, 2160), (1080, 1920), (640, 480)])
@pytest.mark.parametrize("stages", [(), ("two-stage",), ("one-stage", "two-stage")])
def test_pictures_are_as_large_as_the_screen_allows(width: int, height: int, stages: tuple[str, ...]) -> None:
    hall = Hall(width, height)
    hall.decide(3, stages)
    rects = hall.view.picture_rects()
    assert list(rects) == ["shown", *(stages or ["read"])]
    assert len({rect.width() for rect in rects.values()}) == 1
    areas = [rect.united(hall.view.caption_rect(rect)) for rect in rects.values()]
    for i, area in enumerate(areas):
        assert QtCore.QRectF(hall.view.rect()).contains(area)
        assert not any(area.intersects(other) for other in areas[i + 1 :])
    if width > height:
        assert areas[0].right() < areas[1].left()
    else:
        assert areas[0].bottom() < areas[1].top()
    across, down = max(width, height), min(width, height)
    n = len(rects)
    assert rects["shown"].width() > 0.75 * min(0.83 * down, across / n)


def test_what_was_seen_read_and_painted_is_there() -> None:
    hall = Hall()
    hall.decide(3, ("one-stage", "two-stage"), 200)
    hall.wait(1.0)
    np.testing.assert_allclose(hall.middle("shown"), GALLERY.thumbnails[3][48, 48], atol=3)
    assert hall.middle("one-stage") == hall.middle("two-stage") == [200, 200, 200]
    words = {name: hall.view._words(name) for name in hall.view.picture_rects()}
    assert words == {"shown": "thing 003", "one-stage": "one stage", "two-stage": "two stages · thing 000  62 %"}
    for rect in hall.view.picture_rects().values():
        below = hall.view.caption_rect(rect)
        area = hall.pixels()[int(below.top()) + 2 : int(below.bottom()), int(below.left()) : int(below.right())]
        assert is_color(area, DARK.muted, 30).any()


def test_without_painted_pictures_the_best_guess_stands_at_the_right() -> None:
    hall = Hall()
    hall.decide(3)
    hall.wait(1.0)
    np.testing.assert_allclose(hall.middle("read"), GALLERY.thumbnails[0][48, 48], atol=3)
    assert hall.view._words("read") == "thing 000  62 %"


def test_events_fade_into_each_other_and_nothing_is_painted_otherwise() -> None:
    hall = Hall()
    hall.decide(3, ("two-stage",), 40)
    hall.wait(HINT_S + 1)
    assert not hall.view.is_fading
    hall.n_updates = 0
    hall.wait(2.0)
    assert hall.n_updates == 0
    hall.decide(3, ("two-stage",), 240)
    assert hall.view.is_fading
    shades = []
    for _ in range(int(FADE_S * 30) + 3):
        hall.wait(1 / 30)
        shades.append(hall.middle("two-stage")[0])
    assert shades == sorted(shades)
    assert 40 < shades[len(shades) // 3] < 240
    assert shades[-1] == 240
    assert not hall.view.is_fading
    assert 1 <= hall.n_updates <= 2 + int(FADE_S * 30)  # the picture that was shown stays: it is not painted again
    assert len(hall.view._pixmaps) <= 3


def test_a_finer_picture_takes_the_place_of_the_preview() -> None:
    hall = Hall()
    hall.decide(3)
    hall.paint("two-stage", 60, preview=True)
    hall.wait(0.1)
    hall.paint("two-stage", 180)
    hall.wait(1.0)
    assert hall.middle("two-stage") == [180, 180, 180]


def test_pictures_that_are_gone_leave_no_trace_though_others_take_their_address() -> None:
    hall = Hall(400, 300)
    for i in range(60):
        hall.decide(i % 20, ("two-stage",), 4 * i)
        if i % 3 == 0:
            hall.wait(0.6)
            assert hall.middle("two-stage") == [4 * i] * 3
    assert len(hall.view._pixmaps) <= 4


def test_the_way_back_is_told_for_three_seconds_each_time() -> None:
    hall = Hall()
    hall.wait(HINT_S - 0.5)
    line = hall.view.hint_rect()

    def is_told() -> bool:
        area = hall.pixels()[int(line.top()) : int(line.bottom())]
        return not is_color(area, DARK.window, 20).all()

    assert is_told()
    hall.wait(1.0)
    assert not is_told()
    hall.view.hide()
    hall.view.show()
    hall.wait(0.1)
    assert is_told()


def test_a_refusal_and_nothing_at_all_are_quiet() -> None:
    hall = Hall()
    hall.view.show_mark(None)
    hall.wait(5.0)
    assert (hall.pixels() < 60).all()
    hall.decide(3, until=0.2)
    mark = hall.state.marks[-1]
    mark.answer = None
    hall.view.show_mark(mark)
    hall.wait(1.0)
    assert hall.view._words("read") == ""


def test_small_pictures_are_enlarged_without_squares() -> None:
    """No step between neighbours is larger than a part of the step between the small picture's pixels."""
    rng = np.random.default_rng(0)
    small = rng.choice([0, 240], (24, 24, 1)).repeat(3, axis=2).astype(np.uint8)
    grey = pixels(smooth_image(small, 480))[..., 0]
    assert 2 * 480 // 3 <= grey.shape[1] <= 2 * 480
    assert np.abs(np.diff(grey, axis=1)).max() < 240 / 8
    assert np.abs(np.diff(grey, axis=0)).max() < 240 / 8
    assert abs(grey.mean() - small.mean()) < 6


def test_its_own_size_on_a_dense_screen_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall(960, 540)
    monkeypatch.setattr(hall.view, "devicePixelRatioF", lambda: 2.0)
    hall.decide(3, ("two-stage",))
    hall.wait(1.0)
    hall.view.grab()
    side = hall.view.picture_rects()["shown"].width()
    assert {pixmap.width() for _, pixmap in hall.view._pixmaps.values()} == {2 * side}
    assert hall.middle("two-stage") == [200, 200, 200]
