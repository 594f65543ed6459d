from __future__ import annotations

import numpy as np
import pytest

from necomimi.gui.history import History, reduced
from necomimi.gui.mark import Mark
from necomimi.records import Event, GeneratedImage


def mark(code: int) -> Mark:
    return Mark(Event(onset=float(code), label="a", code=code))


def picture(height: int, width: int) -> GeneratedImage:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return GeneratedImage(event=mark(0).event, pixels=pixels, seed=3, stage="one-stage", generator="g", preview=True)


def test_places_go_on_when_the_oldest_are_let_go() -> None:
    history = History(capacity=3)
    marks = [mark(code) for code in range(5)]
    for one in marks:
        history.add(one)
    assert (len(history), history.begin, history.end) == (3, 2, 5)
    assert list(history) == [history[place] for place in (2, 3, 4)] == marks[2:]
    assert [one.place for one in marks] == [0, 1, 2, 3, 4]
    for place in (1, 5, -1):
        with pytest.raises(IndexError, match=f"place {place} of a history from 2 to 5"):
            history[place]


def test_runs_are_told_apart_as_long_as_their_border_is_kept() -> None:
    history = History(capacity=3)
    history.begin_run()
    history.add(mark(0))
    history.begin_run()
    history.begin_run()
    assert list(history.run_starts) == [1]
    assert history.of_this_run() == []
    history.add(mark(0))
    assert history.of_this_run() == [history[1]]
    for code in range(4):
        history.add(mark(code))
    assert history.of_this_run() == list(history)
    history.begin_run()
    assert list(history.run_starts) == [6]


@pytest.mark.parametrize(
    ("shape", "expected"), [((512, 512), (96, 96)), ((97, 60), (96, 59)), ((40, 1000), (4, 96)), ((1000, 3), (96, 1))]
)
def test_large_pictures_become_small_and_stay_themselves(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    image = picture(*shape)
    small = reduced(image)
    assert small.pixels.shape == (*expected, 3)
    assert (small.event, small.seed, small.stage, small.preview) == (image.event, 3, "one-stage", True)
    np.testing.assert_allclose(small.pixels.mean((0, 1)), image.pixels.mean((0, 1)), atol=3)


def test_small_pictures_are_kept_as_they_are() -> None:
    image = picture(96, 64)
    assert reduced(image) is image
