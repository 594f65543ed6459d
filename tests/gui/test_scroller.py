from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from necomimi.gui.eeg_ring import Outline
from necomimi.gui.scroller import Look, Scroller

SFREQ, COLUMN_S = 1000.0, 0.01
LOOK = Look(
    width=120,
    height=60,
    centres=(15.0, 45.0),
    scale=5.0,
    weights=(1.0, 0.4),
    thickness=1.2,
    colour=(180, 190, 200),
)


def wave(n: int) -> np.ndarray:
    time = np.arange(n) / SFREQ
    return np.stack([np.sin(40 * time), np.sin(31 * time) + 500]).astype(np.float32)


class Stream:
    """An outline that is fed in uneven parts, later than it is looked at."""

    def __init__(self, data: np.ndarray, start: float = 10.0) -> None:
        self.times = start + np.arange(data.shape[1]) / SFREQ
        self.data = data
        self.outline = Outline(2, COLUMN_S, 300, 0.0065)
        self.n = 0

    def advance(self, n: int) -> int:
        """Enter `n` samples and return the newest column to be drawn: some that are empty still lie before it."""
        some = slice(self.n, self.n + n)
        self.outline.add(self.times[some], self.data[:, some])
        self.n += n
        return int(self.times[self.n - 1] / COLUMN_S) + 5


def test_columns_drawn_one_after_the_other_are_those_drawn_at_once() -> None:
    stream, scroller = Stream(wave(6000)), Scroller()
    rng = np.random.default_rng(0)
    n_drawn = 0
    while stream.n < 5900:
        last = stream.advance(int(rng.integers(3, 60)))
        picture = scroller.draw(stream.outline, last, LOOK)
        if n_drawn % 10 == 0:
            stream.outline.changed_from = None
            fresh = Scroller().draw(stream.outline, last, LOOK)
            assert np.mean(picture != fresh) < 0.25  # each trace lies within half a pixel of its own mean
            assert np.abs((picture >> 24).astype(int).sum(axis=0) - (fresh >> 24).astype(int).sum(axis=0)).max() < 260
        n_drawn += 1
    assert (picture[:, 5:-5] >> 24).any(axis=0).all()


def test_with_the_means_at_rest_the_pictures_are_equal() -> None:
    data = wave(6000)
    data[:, 1::2] = -data[:, ::2]  # every column reaches as far up as down
    stream, scroller = Stream(data), Scroller()
    last = stream.advance(2000)
    scroller.draw(stream.outline, last, LOOK)
    for n in (7, 1, 33, 50, 600, 1800, 4):
        last = stream.advance(n)
        picture = scroller.draw(stream.outline, last, LOOK)
        fresh = Scroller()
        fresh.draw(stream.outline, last, LOOK)
        fresh._means = scroller._means
        fresh._draw_columns(stream.outline, last - LOOK.width + 1, LOOK.width, LOOK)
        again = fresh.draw(stream.outline, last, LOOK)
        np.testing.assert_array_equal(picture, again)


def test_only_new_columns_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, scroller = Stream(wave(6000)), Scroller()
    drawn: list[int] = []
    original = Scroller._draw_columns

    def count(self: Scroller, outline: Outline, first: int, n: int, look: Look) -> None:
        drawn.append(n)
        original(self, outline, first, n, look)

    monkeypatch.setattr(Scroller, "_draw_columns", count)
    scroller.draw(stream.outline, stream.advance(3000), LOOK)
    for _ in range(20):
        scroller.draw(stream.outline, stream.advance(20), LOOK)
    assert drawn[0] == LOOK.width
    assert sorted(drawn)[10] <= 10  # two columns are new, some were empty before
    last = stream.advance(20)
    drawn.clear()
    scroller.draw(stream.outline, last, LOOK)
    scroller.draw(stream.outline, last, LOOK)  # nothing has come
    scroller.draw(stream.outline, last, replace(LOOK, scale=2.0))
    assert drawn[-1] == LOOK.width
    assert sum(drawn) < 2 * LOOK.width


@pytest.mark.parametrize("change", [{"scale": 9.0}, {"weights": (0.4, 1.0)}, {"centres": (45.0, 15.0)}, {"height": 80}])
def test_another_look_is_another_picture(change: dict[str, object]) -> None:
    stream, scroller = Stream(wave(3000)), Scroller()
    last = stream.advance(2000)
    before = scroller.draw(stream.outline, last, LOOK)
    look = replace(LOOK, **change)  # type: ignore[arg-type]
    after = scroller.draw(stream.outline, last, look)
    assert after.shape != before.shape or (after != before).any()
    stream.outline.changed_from = None
    np.testing.assert_array_equal(after, Scroller().draw(stream.outline, last, look))


def test_a_pale_trace_covers_less() -> None:
    stream = Stream(wave(3000))
    alpha = Scroller().draw(stream.outline, stream.advance(2500), LOOK) >> 24
    strong, pale = alpha[:30, 10:100], alpha[30:, 10:100]
    assert strong.max() == 255
    assert 95 <= pale.max() <= 105
