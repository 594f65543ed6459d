from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from necomimi.gui.display_state import DisplayState
from necomimi.gui.header_view import MAX_WARNINGS, HeaderView
from necomimi.gui.language import use_language
from necomimi.gui.theme import DARK
from necomimi.records import Chunk, StreamInfo

from .screen import is_color, pixels
from .synthetic import make_status

pytestmark = pytest.mark.qt

NOW = 1000.0
account = partial(make_status, message="the amplifier is silent", n_samples=1, drift_ppm=-12.0, jitter_ms=0.4)


@pytest.fixture(params=["en", "ja"])
def header(request: pytest.FixtureRequest) -> Iterator[HeaderView]:
    use_language(request.param)
    header = HeaderView(DisplayState(address="tcp://127.0.0.1:7790"), DARK)
    header.resize(900, 40)
    yield header
    header.close()


def make_chunk(newest: float) -> Chunk:
    info = StreamInfo(name="amp", type="EEG", source_id="a", uid="u", ch_names=("Cz",), sfreq=100.0, units=("V",))
    return Chunk(data=np.zeros((1, 50), dtype=np.float32), timestamps=newest - np.arange(50)[::-1] / 100, info=info)


STATES = {
    "nothing yet": ("waiting", []),
    "live": ("live", [make_chunk(NOW), account()]),
    "lost": ("trouble", [make_chunk(NOW), account(state="LOST")]),
    "late": ("trouble", [make_chunk(NOW - 0.9), account()]),
}


@pytest.mark.parametrize("width", [320, 640, 1280])
@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_dot_of_its_colour_and_words_within_the_line(
    header: HeaderView, state: str, width: int
) -> None:
    level, records = STATES[state]
    for record in records:
        header.state.update(record, NOW)
    header.resize(width, 40)
    header.advance(NOW, 0)
    assert header.state.source(NOW).level == level
    shown = pixels(header)
    dot = header.dot_rect().center().toPoint()
    role = {"live": "accent", "trouble": "trouble", "waiting": "faint"}[level]
    assert is_color(shown, DARK.color(role), 12)[dot.y() - 2 : dot.y() + 3, dot.x() - 2 : dot.x() + 3].all()
    words = "trouble" if level == "trouble" else "text"
    assert is_color(shown[:, dot.x() + 10 :], DARK.color(words), 12).sum() > 15
    assert is_color(shown[:, -10:], DARK.window, 0).all()  # the margin is free


def test_warnings_have_a_line_each_and_what_is_too_much_is_counted(header: HeaderView) -> None:
    header.state.update(account(warnings=tuple(f"warning {i}" for i in range(6))), NOW)
    header.advance(NOW, 3)
    warnings = header.warnings()
    assert len(warnings) == MAX_WARNINGS
    assert "3" in warnings[-1].split("warning 3")[1]  # of 7, three and the lost records are shown as "more"
    tall = header.height()
    header.state.update(account(n_samples=2), NOW)
    header.advance(NOW, 3)
    assert len(header.warnings()) == 1
    assert "3" in header.warnings()[0]
    assert 40 < header.height() < tall
    header.advance(NOW, 0)
    assert header.height() == 40


def test_the_words_are_those_of_the_language() -> None:
    header = HeaderView(DisplayState(), DARK)
    header.advance(NOW, 5)
    english = header.warnings()
    assert english == ["5 records were lost on the way to this window"]
    use_language("ja")
    assert header.warnings() != english
    assert "5" in header.warnings()[0]
