from __future__ import annotations

import numpy as np
import pytest

from necomimi.gui.raster import coverage


def brute_force(top: np.ndarray, bottom: np.ndarray, height: int) -> np.ndarray:
    """Return the covered length of each pixel, bars one by one."""
    image = np.zeros((height, top.shape[1]))
    for trace in range(top.shape[0]):
        for column in range(top.shape[1]):
            for y in range(height):
                image[y, column] += max(0.0, min(bottom[trace, column], y + 1) - max(top[trace, column], y))
    return np.minimum(image, 1.0)


def test_coverage_is_the_covered_length_of_each_pixel() -> None:
    rng = np.random.default_rng(0)
    top = rng.uniform(-5, 40, (7, 11))
    bottom = top + rng.uniform(1.0, 12, top.shape)
    image = coverage(top, bottom, 30, thickness=1.0)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image / 255, brute_force(top, bottom, 30), atol=0.012)


def test_a_flat_line_is_as_thick_as_asked() -> None:
    y = np.full((1, 4), 10.5)
    image = coverage(y, y, 20, thickness=2.0)
    assert image.astype(float).sum(axis=0) / 255 == pytest.approx(np.full(4, 2.0), abs=0.02)
    assert image[9:12].sum() == image.sum()


def test_nothing_is_drawn_where_nothing_is_known() -> None:
    top = np.array([[2.0, np.nan, 2.0]])
    image = coverage(top, top + 3, 8, thickness=1.0)
    assert image[:, 1].max() == 0
    assert image[:, [0, 2]].max() == 255


def test_what_lies_outside_leaves_no_trace_inside() -> None:
    top = np.array([[-50.0, 50.0, -np.inf]])
    bottom = np.array([[-40.0, 60.0, np.inf]])
    image = coverage(top, bottom, 8, thickness=1.0)
    assert image[:, :2].max() == 0
    assert image[:, 2].min() == 255


def test_a_weight_makes_a_trace_paler_and_leaves_nothing_behind() -> None:
    rng = np.random.default_rng(1)
    top = rng.uniform(0, 10, (3, 20))
    bottom = top + rng.uniform(1.5, 12, top.shape)
    weights = np.array([1.0, 0.37, 0.0])
    image = coverage(top, bottom, 40, 1.0, weights)
    alone = [brute_force(top[[i]], bottom[[i]], 40) for i in range(3)]
    expected = np.minimum(sum(weight * one for weight, one in zip(weights, alone, strict=True)), 1.0)
    np.testing.assert_allclose(image / 255, expected, atol=0.02)
    assert not image[30:].any()
