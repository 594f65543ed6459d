from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtTest

from necomimi.gui.accuracy_view import AccuracyView
from necomimi.gui.calibration_chart import LEAST, points
from necomimi.gui.calibration_chart import plot_rect as calibration_plot
from necomimi.gui.display_state import DisplayState
from necomimi.gui.repetitions_chart import plot_rect as repetitions_plot
from necomimi.gui.repetitions_chart import point_places
from necomimi.gui.theme import DARK
from necomimi.intervals import wilson
from necomimi.records import Event, Retrieval

from .screen import is_color, pixels
from .synthetic import make_status

pytestmark = pytest.mark.qt

CLASSES = tuple(f"c{i}" for i in range(20))


@pytest.fixture
def view() -> AccuracyView:
    state = DisplayState()
    state.update(make_status(n_classes=len(CLASSES)), 0.0)
    view = AccuracyView(state, DARK)
    view.resize(340, 170)
    view.show()
    return view


def decide(view: AccuracyView, n: int, *, right: bool = True, sure: float = 0.5, average: int = 1) -> None:
    """Let `n` events be answered with the probability `sure`."""
    for _ in range(n):
        code = view.state.n_decisions
        truth = CLASSES[code % 20]
        others = tuple(label for label in CLASSES if label != truth)
        labels = (truth, *others[:4]) if right else others[:5]
        scores = np.array([sure, *[(1 - sure) / 20] * 4], dtype=np.float32)
        event = Event(onset=float(code), label=truth, code=code)
        view.state.update(Retrieval(event=event, labels=labels, scores=scores, n_averaged=average), float(code))
    view.update()


def accents(view: AccuracyView, area: Any) -> np.ndarray:
    """Return where an area shows the accent colour, shape (height, width)."""
    rows, columns = slice(int(area.top()), int(area.bottom()) + 1), slice(int(area.left()), int(area.right()) + 1)
    return is_color(pixels(view)[rows, columns], DARK.accent)


def click(view: AccuracyView, page: Any) -> None:
    pos = view.dot_rects()[page].center().toPoint()
    QtTest.QTest.mouseClick(view, QtCore.Qt.MouseButton.LeftButton, pos=pos)


def test_repetitions_get_a_page_once_there_are_two_numbers_of_them(view: AccuracyView) -> None:
    decide(view, 5)
    assert view.pages() == ("scores", "calibration")
    decide(view, 5, average=2)
    assert view.pages() == ("scores", "repetitions", "calibration")


def test_keys_and_dots_reach_every_page(view: AccuracyView) -> None:
    decide(view, 5)
    decide(view, 5, average=2)
    assert set(view.dot_rects()) == set(view.pages())
    for page, title in (("repetitions", "Repetitions"), ("calibration", "Calibration"), ("scores", "Accuracy")):
        click(view, page)
        assert (view.page, view.title) == (page, title)
        dot = view.dot_rects()[page].center()
        assert accents(view, QtCore.QRectF(dot.x() - 1, dot.y() - 1, 2, 2)).all()
    for expected in ("repetitions", "calibration", "scores"):
        view.turn()
        assert view.page == expected


def test_a_page_that_goes_with_its_run_gives_way(view: AccuracyView) -> None:
    decide(view, 5)
    decide(view, 5, average=2)
    view.turn("repetitions")
    event = Event(onset=1e6, label="c0", code=0)
    view.state.update(Retrieval(event=event, labels=CLASSES[:5], scores=np.full(5, 0.2, dtype=np.float32)), 1e6)
    assert view.page == "scores"
    assert not view.grab().isNull()


@pytest.mark.parametrize(("width", "height"), [(1000, 180), (400, 520)])
def test_a_large_panel_shows_all_pages_at_once(view: AccuracyView, width: int, height: int) -> None:
    decide(view, 20)
    decide(view, 20, average=2, right=False)
    view.resize(width, height)
    rects = view.page_rects()
    assert tuple(rects) == view.pages()
    assert view.dot_rects() == {}
    areas = list(rects.values())
    for i, area in enumerate(areas):
        assert view.body().contains(area)
        assert not any(area.intersects(other) for other in areas[i + 1 :])
    assert all(rects["scores"].contains(rect) for rect in view.score_rects())
    assert accents(view, repetitions_plot(rects["repetitions"])).any()
    assert accents(view, calibration_plot(rects["calibration"])).any()


def test_points_stand_at_their_accuracy_with_wilson_whiskers(view: AccuracyView) -> None:
    decide(view, 30)
    decide(view, 10, average=2)
    decide(view, 10, average=2, right=False)
    view.turn("repetitions")
    view.resize(340, 320)
    rect = view.page_rects()["repetitions"]
    groups = view.state.accuracy.by_repetitions()
    plot = repetitions_plot(rect)
    for places, value, n in zip(point_places(rect, groups), (1.0, 0.5), (30, 20), strict=True):
        x, score = places[0]
        assert (score.n_hits, score.n) == (round(value * n), n)
        column = accents(view, QtCore.QRectF(x - 1, plot.top() - 6, 2, plot.height() + 12)).any(axis=1)
        low, high = wilson(score.n_hits, n)
        bottom = plot.bottom() - low * plot.height() - (plot.top() - 6)
        top = plot.bottom() - high * plot.height() - (plot.top() - 6)
        inside = np.flatnonzero(column)
        assert inside.min() == pytest.approx(min(top, plot.height() + 6 - value * plot.height() - 3), abs=3)
        runs = inside[np.r_[True, np.diff(inside) == 1].cumprod().astype(bool)]
        assert runs.max() == pytest.approx(bottom, abs=3)


def test_calibration_waits_for_thirty_scored_decisions(view: AccuracyView) -> None:
    view.turn("calibration")
    decide(view, LEAST - 1, sure=0.65)
    plot = calibration_plot(view.page_rects()["calibration"])
    assert not accents(view, plot).any()
    decide(view, 1, sure=0.65, right=False)
    found = accents(view, plot)
    assert found.any()
    columns = np.flatnonzero(found.any(axis=0))
    assert columns.mean() / plot.width() == pytest.approx(0.65, abs=0.02)
    (point,) = points(view.state.accuracy.reliability)
    assert point[0] == pytest.approx(0.65, abs=1e-6)
    assert point[1] == pytest.approx((LEAST - 1) / LEAST)
    assert point[2] == wilson(LEAST - 1, LEAST)
    assert view.state.accuracy.reliability.pooled(15).error == pytest.approx((LEAST - 1) / LEAST - 0.65, abs=1e-6)


def test_without_markers_there_is_nothing_to_judge(view: AccuracyView) -> None:
    event = Event(onset=1.0, label="", code=0)
    view.state.update(Retrieval(event=event, labels=CLASSES[:5], scores=np.full(5, 0.2, dtype=np.float32)), 1.0)
    view.turn("calibration")
    assert view.pages() == ("scores",)
    assert view.page == "scores"
    assert view.subtitle() == "without markers, no answer can be judged"
