"""Turn outlines into antialiased pixels: lowest and highest y per column -> coverage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["coverage"]

FULL = 256  # fixed-point one: an edge inside a pixel covers a 256th part at least


def coverage(
    top: NDArray[np.floating],
    bottom: NDArray[np.floating],
    height: int,
    thickness: float,
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.uint8]:
    """Return how much of each pixel the traces cover.

    Each column of each trace is a vertical bar. A bar's two edges enter an accumulator as the start and the end of a
    step, split over two pixels where they fall inside one; a running sum down the image then fills all bars at once.
    The cost hardly depends on the number of traces (1 ms for 63 traces in 900 x 560 pixels, where 63 polylines of
    Qt's painter take 14 ms without antialiasing).

    Parameters
    ----------
    top, bottom : ndarray of float, shape (n_traces, width)
        Pixels from the upper border, ``top <= bottom``; NaN where there is nothing to draw.
    height : int
        Pixels.
    thickness : float
        Least length of a bar in pixels, so that a flat line is seen.
    weights : ndarray of float, shape (n_traces,), optional
        How much a trace covers where it is, from 0 to 1: less makes it paler.

    Returns
    -------
    ndarray of uint8, shape (height, width)
        0 (free) to 255 (covered).
    """
    width = top.shape[1]
    short = np.maximum(0, thickness - (bottom - top)) / 2
    empty = np.isnan(top) | np.isnan(bottom)
    accumulator = np.zeros((height + 2) * width, dtype=np.int32)
    columns = np.arange(width)
    full = np.full((len(top), 1), FULL, dtype=np.int32)
    if weights is not None:
        full[:, 0] = np.rint(FULL * weights)
    for edge, sign in ((top - short, 1), (bottom + short, -1)):
        edge = np.where(empty, 0, np.clip(edge, 0, height))
        fixed = np.rint(edge * FULL).astype(np.int32)
        place = ((fixed >> 8) * width + columns).ravel()
        below = (fixed & (FULL - 1)) * full >> 8
        np.add.at(accumulator, place, (sign * (full - below)).ravel())
        np.add.at(accumulator, place + width, (sign * below).ravel())
    image = accumulator.reshape(height + 2, width)[:height]
    np.cumsum(image, axis=0, out=image)
    return np.minimum(image, 255).astype(np.uint8)
