"""Write the channels beside their rows: names, groups, verdicts -> the left edge of the EEG panel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import QtCore, QtGui

from necomimi.regions import region_of
from necomimi.signal_quality import ChannelQuality

from .channel_watch import BY_HAND
from .eeg_ring import VOLTS_TO_MICROVOLTS
from .language import current_language, tr
from .panel import CENTRE, LEFT, MARGIN, RIGHT, draw_text
from .rows import LEAST_SPACE, Group, Rows
from .theme import Theme, font

__all__ = ["Gutter", "name_tip", "place_names"]

NAME_SIZE = 10
LINE = 10  # pixels from one name to the next, at least
WIDEST_NAME = 64
NARROW_ROW = 11  # pixels: names of narrower rows take turns on two columns,
LEAST_ROW = 4  # unless most of them are left out anyhow
GROUP_WIDTH = 22  # of the label and the bracket of a group
SPACE = 8  # between names and traces
WORD_WIDTH = 72  # of the verdict beside a bad channel's name, over the traces


def region_words(region: str | None) -> str:
    """Return the name of a region of the head; "" for None."""
    words = {
        "frontal": tr("frontal"),
        "central": tr("central"),
        "temporal": tr("temporal"),
        "parietal": tr("parietal"),
        "occipital": tr("occipital"),
    }
    return words.get(region or "", "")


def verdict_words(verdict: str) -> str:
    """Return why a channel is bad, in one word or two; "" for a good one."""
    words = {
        "flat": tr("flat"),
        "noisy": tr("noisy"),
        "mains": tr("mains hum"),
        "drift": tr("drifts"),
        BY_HAND: tr("by hand"),
    }
    return words.get(verdict, "")


def name_tip(name: str, reason: str, quality: ChannelQuality | None) -> str:
    """Return what there is to say of a channel: its region, why it is bad (or ""), its newest figures if there are."""
    words = " · ".join(word for word in (name, region_words(region_of(name)), verdict_words(reason)) if word)
    lines = [words]
    if quality is not None:
        rms, mains = quality.rms * VOLTS_TO_MICROVOLTS, quality.mains * VOLTS_TO_MICROVOLTS
        lines.append(tr("{rms:.1f} µV rms · mains {mains:.1f} µV", rms=rms, mains=mains))
    is_by_hand = reason == BY_HAND
    lines.append(tr("click: not bad by hand any more") if is_by_hand else tr("click: mark it as bad by hand"))
    return "\n".join(lines)


def place_names(
    order: Sequence[int], centres: NDArray[np.float64], first: Set[int], n_columns: int
) -> dict[int, tuple[int, float]]:
    """Choose which names to write where there is no room for all.

    Parameters
    ----------
    order : sequence of int
        Channels from top to bottom.
    centres : ndarray of float64, shape (n_channels,)
        Middle of each channel's row in pixels, by channel.
    first : set of int
        Channels whose names come first; of the others, every so many-th is written.
    n_columns : int
        Columns of names, which neighbours take turns on.

    Returns
    -------
    dict of int to (int, float)
        Column, counted from the traces, and middle of the names that are written.
    """
    row = (centres[order[-1]] - centres[order[0]]) / max(len(order) - 1, 1) if len(order) > 1 else math.inf
    every = max(1, math.ceil(LINE / (row * n_columns) - 0.05))
    turn = {channel: i for i, channel in enumerate(order)}
    wanted = [*(c for c in order if c in first), *(c for c in order if turn[c] % every == 0 and c not in first)]
    taken: list[list[float]] = [[] for _ in range(n_columns)]  # by those that come first; the others are apart already
    places = {}
    for channel in wanted:
        column, y = turn[channel] // every % n_columns, centres[channel]
        choices = [(column + i) % n_columns for i in range(n_columns)] if channel in first else [column]
        least = LINE if channel in first else LINE + 2
        free = next((c for c in choices if all(abs(y - other) >= least for other in taken[c])), None)
        if free is None:
            continue
        places[channel] = (free, y)
        if channel in first:
            taken[free].append(y)
    return places


class Gutter:
    """The names of the channels and of their groups; drawn once and kept, since names do not scroll."""

    def __init__(self) -> None:
        self._key: object = None
        self._pixmap: Any = None
        self._boxes: dict[int, Any] = {}  # channel -> QRectF of its name
        self._rows: Rows | None = None
        self._plot: Any = None

    def width(self, names: Sequence[str], rows: Rows, row_height: float) -> int:
        """Return the pixels that names and groups take."""
        has_groups = any(group.region for group in rows.groups)
        n_columns = _n_columns(row_height)
        return n_columns * (_widest(names) + 3) + SPACE + 4 + (GROUP_WIDTH if has_groups else 0)

    def channel_at(self, point: Any) -> int | None:
        """Return the channel whose name is at a QPointF, or whose row is beside it; None off the names."""
        if self._rows is None or not (self._names_left() <= point.x() < self._plot.left()):
            return None
        for channel, box in self._boxes.items():
            if box.contains(point):
                return channel
        y = point.y() - self._plot.top()
        centres = self._rows.centres(self._plot.height())
        nearest = min(self._rows.order, key=lambda channel: abs(centres[channel] - y))
        return nearest if abs(centres[nearest] - y) <= self._rows.height(self._plot.height()) / 2 else None

    def draw(
        self, painter: Any, plot: Any, names: Sequence[str], rows: Rows, verdicts: Mapping[int, str], theme: Theme
    ) -> None:
        """Draw what stands left of the QRectF `plot`, and a word beside each channel in `verdicts`, by index."""
        ratio = painter.device().devicePixelRatioF()
        key = (plot.getRect(), names, rows, tuple(verdicts.items()), theme, current_language(), ratio)
        if key != self._key:
            self._key, self._rows, self._plot = key, rows, QtCore.QRectF(plot)
            size = QtCore.QSizeF(plot.left() + WORD_WIDTH, plot.bottom() + LINE) * ratio
            self._pixmap = QtGui.QPixmap(size.toSize())
            self._pixmap.setDevicePixelRatio(ratio)
            self._pixmap.fill(QtCore.Qt.GlobalColor.transparent)
            inner = QtGui.QPainter(self._pixmap)
            inner.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
            self._draw_groups(inner, theme)
            self._draw_names(inner, names, verdicts, theme)
            self._draw_words(inner, verdicts, theme)
            inner.end()
        painter.drawPixmap(QtCore.QPointF(0, 0), self._pixmap)

    def _names_left(self) -> float:
        """Return where the column of groups ends and the names begin."""
        assert self._rows is not None
        return MARGIN + (GROUP_WIDTH if any(group.region for group in self._rows.groups) else 0)

    def _spans(self) -> list[tuple[Group, float, float]]:
        """Return each group with the top and the bottom of its rows."""
        assert self._rows is not None
        centres = self._plot.top() + self._rows.centres(self._plot.height())
        half = self._rows.height(self._plot.height()) / 2
        return [(g, centres[g.channels[0]] - half, centres[g.channels[-1]] + half) for g in self._rows.groups]

    def _draw_groups(self, painter: Any, theme: Theme) -> None:
        """Draw a line beside each group that lies somewhere, and where."""
        painter.setFont(font(NAME_SIZE))
        metrics = painter.fontMetrics()
        for group, top, bottom in self._spans():
            words = region_words(group.region)
            if not words:
                continue
            line = QtCore.QRectF(MARGIN + GROUP_WIDTH - 7, top + 1, 2, max(bottom - top - 2, 1))
            painter.fillRect(line, theme.color("line"))
            height, middle = bottom - top, (top + bottom) / 2
            if current_language() == "ja":  # upright, one below the other
                size = metrics.height()
                for i, letter in enumerate(words if len(words) * size <= height else ""):
                    y = middle + (i - len(words) / 2) * size
                    draw_text(painter, QtCore.QRectF(MARGIN, y, 14, size), letter, theme.color("muted"), CENTRE)
            elif height >= 3 * NAME_SIZE:
                painter.save()
                painter.translate(MARGIN, middle)
                painter.rotate(-90)
                box = QtCore.QRectF(-height / 2 - LEAST_SPACE, 0, height + 2 * LEAST_SPACE, 14)
                draw_text(painter, box, words, theme.color("muted"), CENTRE)
                painter.restore()

    def _draw_names(self, painter: Any, names: Sequence[str], verdicts: Mapping[int, str], theme: Theme) -> None:
        """Write the names; narrow rows take turns on two columns, or leave some out, a bad one's last."""
        assert self._rows is not None
        centres = self._rows.centres(self._plot.height())
        n_columns = _n_columns(self._rows.height(self._plot.height()))
        width = (self._plot.left() - SPACE - self._names_left()) / n_columns
        self._boxes = {}
        painter.setFont(font(NAME_SIZE))
        for channel, (column, y) in place_names(self._rows.order, centres, verdicts.keys(), n_columns).items():
            left = self._plot.left() - SPACE - width * (1 + column)
            box = QtCore.QRectF(left, self._plot.top() + y - 7, width - 3, 14)
            self._boxes[channel] = QtCore.QRectF(left, box.center().y() - LINE / 2, width, LINE)
            draw_text(painter, box, names[channel], theme.color("trouble" if channel in verdicts else "muted"), RIGHT)

    def _draw_words(self, painter: Any, verdicts: Mapping[int, str], theme: Theme) -> None:
        """Say of bad channels what is wrong, at the left end of their traces, where there is room for it."""
        assert self._rows is not None
        centres = self._rows.centres(self._plot.height())
        painter.setFont(font(NAME_SIZE))
        order = [channel for channel in self._rows.order if channel in verdicts]
        below = -math.inf
        for channel in order:
            words = verdict_words(verdicts[channel])
            if centres[channel] - below < LINE + 3 or not words:
                continue
            below = centres[channel]
            width = min(painter.fontMetrics().horizontalAdvance(words) + 8, WORD_WIDTH - 4)
            box = QtCore.QRectF(self._plot.left() + 3, self._plot.top() + below - 6.5, width, 13)
            painter.setPen(QtCore.Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("panel", 0.85))
            painter.drawRoundedRect(box, 3, 3)
            draw_text(painter, box.adjusted(4, 0, -3, 0), words, theme.color("trouble"), LEFT)


@lru_cache(maxsize=8)
def _widest(names: Sequence[str]) -> int:
    """Return the pixels that the widest of some names (a tuple) takes, up to a limit."""
    metrics = QtGui.QFontMetrics(font(NAME_SIZE))
    widest: int = max(metrics.horizontalAdvance(name) for name in names)
    return min(widest, WIDEST_NAME)


def _n_columns(row_height: float) -> int:
    """Return on how many columns names take turns."""
    return 2 if LEAST_ROW <= row_height < NARROW_ROW else 1
