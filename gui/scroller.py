"""Draw the traces column by column, each once: outline, rows -> pixels that scroll."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .eeg_ring import Outline
from .raster import coverage

__all__ = ["Look", "Scroller"]

RECENTRE = 0.01  # of the window: how often a trace's mean is looked at again
STRAY = 0.5  # pixels that a trace may lie beside its row before all is drawn anew


@dataclass(frozen=True, slots=True)
class Look:
    """How traces are drawn; another look is another picture.

    Parameters
    ----------
    width, height : int
        Pixels.
    centres : tuple of float
        Middle of each channel's row, in pixels from the top.
    scale : float
        Pixels per unit of the signal.
    weights : tuple of float
        How strongly each trace is drawn, 0 to 1.
    thickness : float
        Pixels of a flat line.
    colour : tuple of int
        Red, green, blue.
    """

    width: int
    height: int
    centres: tuple[float, ...]
    scale: float
    weights: tuple[float, ...]
    thickness: float
    colour: tuple[int, int, int]


class Scroller:
    """The picture of all traces around each one's own mean, kept from frame to frame.

    From one frame to the next only a few columns are new, and only these are drawn. All are drawn where the look
    changes, or where a trace's mean has moved by more than half a pixel.
    """

    def __init__(self) -> None:
        self._look: Look | None = None
        self._outline: Outline | None = None
        self._pixels = np.zeros((1, 1), dtype=np.uint32)  # column c of the outline is column c % width here
        self._ramp = np.zeros(256, dtype=np.uint32)
        self._last = 0  # the newest column that has been drawn
        self._means = np.zeros(0)
        self._centred_at = 0  # the newest column when the means were last looked at

    def draw(self, outline: Outline, last: int, look: Look) -> NDArray[np.uint32]:
        """Return the picture whose right column is the outline's column `last`.

        Returns
        -------
        ndarray of uint32, shape (look.height, look.width)
            Premultiplied ARGB.
        """
        n_new = self._n_new(outline, last, look)
        if n_new == look.width:
            if look != self._look:
                self._pixels = np.zeros((look.height, look.width), dtype=np.uint32)
                self._ramp = _ramp(*look.colour)
            self._look, self._outline = look, outline
        if n_new:
            self._draw_columns(outline, last - n_new + 1, n_new, look)
        self._last, outline.changed_from = last, None
        split = (last + 1) % look.width
        return np.concatenate([self._pixels[:, split:], self._pixels[:, :split]], axis=1)

    def _n_new(self, outline: Outline, last: int, look: Look) -> int:
        """Return how many columns, counted from the right, are not in the picture as they should be."""
        is_other = look != self._look or outline is not self._outline or last < self._last
        if is_other or last - self._centred_at >= RECENTRE * look.width:
            self._centred_at = last
            means = _means(*outline.read(last - look.width + 1, look.width))
            if is_other or np.abs(means - self._means).max() * look.scale > STRAY:
                self._means = means
                return look.width
        changed_from = self._last + 1 if outline.changed_from is None else min(outline.changed_from, self._last + 1)
        return min(max(last - changed_from + 1, 0), look.width)

    def _draw_columns(self, outline: Outline, first: int, n: int, look: Look) -> None:
        """Draw `n` columns of the outline from `first` on."""
        low, high = outline.read(first, n)
        base = (np.array(look.centres) + self._means * look.scale).astype(np.float32)[:, None]
        scale, weights = np.float32(look.scale), np.array(look.weights)
        covered = coverage(base - high * scale, base - low * scale, look.height, look.thickness, weights)
        self._pixels[:, np.arange(first, first + n) % look.width] = self._ramp[covered]


def _means(low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the middle of each trace, shape (n_channels,); 0 where nothing is known of it."""
    known = ~np.isnan(low)
    total = np.where(known, low + high, np.float32(0)).sum(axis=1, dtype=np.float64)
    return np.asarray(total / (2 * np.maximum(known.sum(axis=1), 1)))


def _ramp(red: int, green: int, blue: int) -> NDArray[np.uint32]:
    """Return the 256 premultiplied ARGB values of a colour from clear to opaque."""
    alpha = np.arange(256, dtype=np.uint32)
    parts = (alpha << 24) | (red * alpha // 255 << 16) | (green * alpha // 255 << 8) | (blue * alpha // 255)
    return parts.astype(np.uint32)
