from __future__ import annotations

import time

import numpy as np
import pytest

from necomimi.gui.theme import DARK, LIGHT
from necomimi.gui.topography import MIN_PLACED, Topography, paint_field, places_on_head, round_up, scale_colors
from necomimi.synthetic import Synthetic

NAMES = Synthetic.parse("synthetic:63x1000x5").ch_names
SIZE = 201


def pixel(place: np.ndarray) -> tuple[int, int]:
    """Return the row and column of a place on the head."""
    return round((1 - place[1]) / 2 * (SIZE - 1)), round((1 + place[0]) / 2 * (SIZE - 1))


def test_the_field_passes_through_the_channels() -> None:
    topography = Topography(NAMES)
    places = np.array([topography.places[i] for i in range(63)])
    values = np.sin(3 * places[:, 0]) + places[:, 1] ** 2
    field = topography.field(values, SIZE)
    assert field is not None
    met = np.array([field[pixel(place)] for place in places])
    assert np.abs(met - values).max() < 0.08 * np.ptp(values)


def test_front_is_up_and_right_is_right() -> None:
    topography = Topography(NAMES)
    places = np.array([topography.places[i] for i in range(63)])
    field = topography.field(places[:, 1], SIZE)
    assert field is not None
    assert field[20, 100] > 0.5 > -0.5 > field[180, 100]
    field = topography.field(places[:, 0], SIZE)
    assert field is not None
    assert field[100, 180] > 0.5 > -0.5 > field[100, 20]


def test_a_constant_is_flat_everywhere() -> None:
    field = Topography(NAMES).field(np.full(63, 7.0), SIZE)
    np.testing.assert_allclose(field, 7.0, rtol=1e-3)


def test_channels_that_are_nan_take_no_part() -> None:
    topography = Topography(NAMES)
    values = np.array([topography.places[i][0] for i in range(63)])
    spoiled = values.copy()
    spoiled[10] = np.nan
    field, without = topography.field(values, SIZE), topography.field(spoiled, SIZE)
    assert field is not None
    assert without is not None
    assert np.abs(without - field).max() < 0.05
    spoiled[MIN_PLACED - 1 :] = np.nan
    assert topography.field(spoiled, SIZE) is None


def test_channels_without_a_place_are_named() -> None:
    topography = Topography(["Fz", "Pz", "sensor", "C3", "A7", "C4"])
    assert topography.unplaced == ("sensor", "A7")
    field = topography.field(np.array([1.0, 1.0, 1e6, 1.0, np.inf, 1.0]), SIZE)
    np.testing.assert_allclose(field, 1.0, rtol=1e-3)


@pytest.mark.parametrize("names", [["Fz", "Cz", "Pz", "Oz"], ["Fz", "Fz", "Pz", "Oz"]])
def test_channels_on_one_line_make_a_field(names: list[str]) -> None:
    topography = Topography(names)
    field = topography.field(np.array([1.0, 1.0, 1.0, 1.0]), SIZE)
    assert field is not None
    assert np.isfinite(field).all()


def test_all_channels_lie_in_the_head() -> None:
    for names in (NAMES, ["Iz", "Fpz", "F9", "TP10"], ["Cz"]):
        places = places_on_head(names)
        assert len(places) == len(names)
        assert all(np.hypot(*place) <= 0.93 + 1e-9 for place in places.values())
    np.testing.assert_allclose(places_on_head(["Cz"])[0], 0, atol=0.1)


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_colours_tell_signs_apart_and_end_at_the_head(theme: object) -> None:
    ramp = np.tile(np.linspace(-5, 5, SIZE, dtype=np.float32), (SIZE, 1))
    pixels = paint_field(ramp, 10.0, theme)
    assert pixels.shape == (SIZE, SIZE, 4)
    blue, red = pixels[100, :, 0].astype(int), pixels[100, :, 2].astype(int)
    assert (blue - red)[10] > 25 > -25 > (blue - red)[-10]
    assert not pixels[0, 0].any()
    assert pixels[100, 100, 3] == 255
    colors = scale_colors(theme).astype(int)
    assert abs(colors[0].sum() - colors[-1].sum()) < 90  # both ends are equally strong


def test_the_matrix_is_made_once_and_a_field_is_quick() -> None:
    topography = Topography(NAMES)
    values = np.random.default_rng(1).normal(size=63)
    topography.field(values, SIZE)
    matrix = topography._matrix
    took = []
    for _ in range(20):
        start = time.perf_counter()
        field = topography.field(values, SIZE)
        assert field is not None
        paint_field(field, 2.0, DARK)
        took.append(time.perf_counter() - start)
    assert topography._matrix is matrix
    assert min(took) < 0.02


def test_round_figures() -> None:
    assert [round_up(x) for x in (0.0, 0.3, 1.0, 1.2, 2.1, 7.0, 11.0)] == [1.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
