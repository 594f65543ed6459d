"""Spread the values of some channels over a flat head: channel names, values -> a field, pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from necomimi.regions import flat_positions

from .theme import Theme

__all__ = ["MIN_PLACED", "Topography", "paint_field", "places_on_head", "round_up", "scale_colors"]

MIN_PLACED = 4  # channels with a place: fewer make no map
FARTHEST = 0.93  # of the drawn head's radius, where the outermost sites lie at most
GRID = 48  # nodes of the field across the head
SMOOTHING = 1e-3  # of the spline: a channel's value need not be met exactly, so noise makes no spots
CONTOURS = 5  # lines from zero to the limit
CONTOUR_WEIGHT = 0.22
# Negative end, middle, positive end: blue and orange differ for every kind of colour vision.
COLORS = {
    "dark": ("#5ab0f2", "#202832", "#f2a25a"),
    "light": ("#2e77b8", "#f7f8f9", "#d07a1e"),
}


def places_on_head(ch_names: Sequence[str]) -> dict[int, NDArray[np.float64]]:
    """Return where channels lie in a circle of radius 1 (right, front), by index; without those of unknown place.

    Where some lie below the circle of the 10-20 system, all move inwards until the head holds them.
    """
    known = flat_positions(ch_names)
    farthest = max((float(np.hypot(*place)) for place in known.values()), default=0.0)
    scale = min(1.0, FARTHEST / farthest) if farthest else 1.0
    return {i: known[name] * scale for i, name in enumerate(ch_names) if name in known}


class Topography:
    """A thin-plate spline through the channels, as one matrix from values to the field.

    The matrix is made again only when other channels take part.

    Parameters
    ----------
    ch_names : sequence of str

    Attributes
    ----------
    places : dict of int to ndarray, shape (2,)
        Right and front of each channel with a place, in radii of the head.
    unplaced : tuple of str
        Channels without.

    References
    ----------
    Perrin et al. (1987), Mapping of scalp potentials by surface spline interpolation, Electroencephalography and
    Clinical Neurophysiology 66:75-81.
    """

    def __init__(self, ch_names: Sequence[str]) -> None:
        self.places = places_on_head(ch_names)
        self.unplaced = tuple(name for i, name in enumerate(ch_names) if i not in self.places)
        self._matrix: NDArray[np.float32] | None = None
        self._used: tuple[int, ...] = ()
        self._zoom = _cubic_zoom(GRID)

    def field(self, values: NDArray[np.floating], size: int) -> NDArray[np.float32] | None:
        """Return the field of some values.

        Parameters
        ----------
        values : ndarray, shape (n_channels,)
            Channels that are NaN take no part.
        size : int
            Pixels across the head.

        Returns
        -------
        ndarray of float32, shape (size, size), or None
            Front above; None where fewer than `MIN_PLACED` channels take part.
        """
        used = tuple(i for i in self.places if np.isfinite(values[i]))
        if len(used) < MIN_PLACED:
            return None
        if self._matrix is None or used != self._used:
            self._used, self._matrix = used, _spline_matrix(np.array([self.places[i] for i in used]))
        if self._zoom.shape[0] != size:
            self._zoom = _cubic_zoom(size)
        # Without BLAS, whose threads spin on the cores that others need, for a tenth of a millisecond of work.
        nodes = np.einsum("nc,c->n", self._matrix, values[list(used)].astype(np.float32)).reshape(GRID, GRID)
        field: NDArray[np.float32] = (self._zoom @ (self._zoom @ nodes).T).T
        return field


def _spline_matrix(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the matrix from values at places, shape (n, 2), to the field's nodes, shape (GRID * GRID, n)."""

    def bend(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        square = ((a[:, None] - b[None]) ** 2).sum(axis=2)
        bent: NDArray[np.float64] = square * np.log(square.clip(1e-12))
        return bent

    n = len(places)
    plane = np.column_stack([np.ones(n), places])
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = bend(places, places) + SMOOTHING * np.eye(n)
    system[:n, n:], system[n:, :n] = plane, plane.T
    solved = np.linalg.pinv(system, hermitian=True)[:, :n]  # sites on one line leave the plane open
    right, back = np.meshgrid(np.linspace(-1, 1, GRID), np.linspace(-1, 1, GRID))
    nodes = np.column_stack([right.ravel(), -back.ravel()])
    design = np.column_stack([bend(nodes, places), np.ones(len(nodes)), nodes])
    return np.ascontiguousarray(design @ solved, dtype=np.float32)


def _cubic_zoom(size: int) -> Any:
    """Return the sparse matrix, shape (size, GRID), of cubic convolution from nodes to pixels between the same ends.

    References
    ----------
    Keys (1981), Cubic convolution interpolation for digital image processing, IEEE Transactions on Acoustics, Speech,
    and Signal Processing 29:1153-1160.
    """
    at = np.linspace(0, GRID - 1, size)
    left = np.minimum(at.astype(np.int64), GRID - 2)
    t = at - left
    weights = [-t / 2 + t**2 - t**3 / 2, 1 - 2.5 * t**2 + 1.5 * t**3, t / 2 + 2 * t**2 - 1.5 * t**3, (t**3 - t**2) / 2]
    columns = np.clip(np.stack([left - 1, left, left + 1, left + 2]), 0, GRID - 1)
    rows = np.tile(np.arange(size), 4)
    shape = (size, GRID)
    return scipy.sparse.csr_array((np.concatenate(weights).astype(np.float32), (rows, columns.ravel())), shape=shape)


def paint_field(field: NDArray[np.float32], limit: float, theme: Theme) -> NDArray[np.uint8]:
    """Return the pixels of a field: colours from -limit to limit, contour lines, a round edge.

    Parameters
    ----------
    field : ndarray of float32, shape (size, size)
    limit : float
        Value of the ends of the scale.
    theme : Theme

    Returns
    -------
    ndarray of uint8, shape (size, size, 4)
        BGRA with premultiplied alpha, 0 outside the head.
    """
    size = len(field)
    shade = np.clip((field + limit) * (255 / (2 * limit)), 0, 255).astype(np.uint8)
    level = field * (CONTOURS / limit)
    slope = np.full(field.shape, 1e-6, dtype=np.float32)  # levels per pixel
    slope[:, 1:] += np.abs(np.diff(level, axis=1))
    slope[1:] += np.abs(np.diff(level, axis=0))
    on_line = np.clip(1.0 - np.abs(level - np.rint(level)) / slope, 0, 1)
    pixels = _scale(theme).take(shade, axis=0)
    pixels += (np.float32(CONTOUR_WEIGHT) * on_line)[:, :, None] * (_rgb(theme.text) - pixels)
    inside = _inside(size)
    out = np.empty((size, size, 4), dtype=np.uint8)
    np.multiply(pixels[:, :, ::-1], inside[:, :, None], out=out[:, :, :3], casting="unsafe")
    np.multiply(inside, 255, out=out[:, :, 3], casting="unsafe")
    return out


@lru_cache(maxsize=8)
def _inside(size: int) -> NDArray[np.float32]:
    """Return how much of each pixel lies in the circle that a square holds, shape (size, size)."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    inwards = (1 - np.hypot(axis[:, None], axis)) * np.float32(size / 2)  # pixels from the circle
    share: NDArray[np.float32] = np.clip(inwards + np.float32(0.5), 0, 1)
    return share


def scale_colors(theme: Theme) -> NDArray[np.uint8]:
    """Return the 256 colours from the negative to the positive end, shape (256, 3)."""
    return _scale(theme).astype(np.uint8)


@lru_cache(maxsize=4)
def _scale(theme: Theme) -> NDArray[np.float32]:
    """Return the colours as floats, shape (256, 3)."""
    ends = np.array([_rgb(color) for color in COLORS[theme.name]])
    position = np.linspace(0, 2, 256)
    return np.column_stack([np.interp(position, [0, 1, 2], ends[:, i]) for i in range(3)]).astype(np.float32)


def _rgb(color: str) -> NDArray[np.float32]:
    """Return "#rrggbb" as three numbers from 0 to 255."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)


def round_up(value: float) -> float:
    """Return the next number of the form 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9))
