"""The latency panel reads at any width, in both languages, and hides no trouble."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from necomimi.gui.display_state import DisplayState
from necomimi.gui.language import use_language
from necomimi.gui.latency_view import ROW, LatencyView, fit
from necomimi.gui.theme import LIGHT
from necomimi.records import Event, Retrieval

from .screen import is_color, pixels
from .synthetic import make_status

pytestmark = pytest.mark.qt


account = partial(
    make_status, n_samples=9, n_events=12, n_retrievals=7, n_refusals=4, n_pending=1,
    refusals={"flat": 1, "gap": 3, "late": 0}, lag_s=0.1, n_classes=5,
)  # fmt: skip


@pytest.fixture
def view() -> LatencyView:
    state = DisplayState()
    for code in range(40):
        latency = {"epoch": 1.0, "wait": 0.5, "embed": 123.4, "retrieve": 0.3, "novel step": 2.0, "total": 130.0}
        event = Event(onset=float(code), label="a", code=code)
        scores = np.array([1.0], dtype=np.float32)
        state.update(Retrieval(event=event, labels=("a",), scores=scores, latency_ms=latency), code + 1.0)
    state.update(account(), 41.0)
    view = LatencyView(state, LIGHT)
    view.advance(41.0)
    return view


def rows(view: LatencyView) -> list[tuple[str, str, str]]:
    return [(words.strip(), figure, role) for words, figure, role in view.counts()]


def test_the_counts_add_up_and_reasons_stand_below_the_refusals(view: LatencyView) -> None:
    assert rows(view) == [
        ("events", "12", "text"),
        ("= retrievals", "7", "text"),
        ("+ refusals", "4", "trouble"),
        ("gap", "3", "trouble"),
        ("flat", "1", "trouble"),
        ("+ pending", "1", "muted"),
    ]
    use_language("ja")
    assert [words for words, _, _ in rows(view)] == ["イベント", "= 解読", "+ 除外", "欠落", "信号なし", "+ 処理待ち"]


def test_an_old_newest_sample_and_missing_ones_are_trouble(view: LatencyView) -> None:
    view.state.update(account(lag_s=1.25, n_missing=7, refusals={"a reason of tomorrow": 4}), 42.0)
    found = rows(view)
    assert ("newest sample", "1.2 s old", "trouble") in found
    assert ("samples missing", "7", "trouble") in found
    assert ("a reason of tomorrow", "4", "trouble") in found


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("width", [320, 380, 420, 520, 560, 640, 1000])
def test_its_parts_lie_side_by_side_within_the_panel(view: LatencyView, width: int, language: Any) -> None:
    use_language(language)
    view.resize(width, 170)
    strip, table, counts, body = view.strip_rect(), view.table_rect(), view.counts_rect(), view.body()
    for rect in (table, counts):
        assert body.left() <= rect.left() < rect.right() <= body.right()
    assert table.right() < counts.left()
    assert strip.width() == 0 or (strip.width() >= 80 and strip.right() < table.left())
    margin = pixels(view)[40:-10, 1:12]  # short of the round corners
    assert is_color(margin, LIGHT.panel).all()  # nothing sticks out


def test_what_does_not_fit_is_counted(view: LatencyView) -> None:
    view.resize(600, 130)
    room = int(view.counts_rect().height() / ROW)
    counts = view.counts()
    assert 1 < room < len(counts)
    assert fit(counts, room) == [*counts[: room - 1], (f"{len(counts) - room + 1} more", "…", "muted")]
    assert fit(counts, len(counts)) == counts
    assert fit(counts, 0) == []
