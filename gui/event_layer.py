"""Draw what happened along the time axis: marks, gaps -> lines, labels, shades, hatches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyqtgraph.Qt import QtCore, QtGui

from necomimi.records import Refusal

from .language import tr
from .mark import Mark
from .panel import CENTRE, LEFT, draw_text, readable
from .reasons import reason_words
from .theme import Theme, font

__all__ = ["SHADE_S", "Labels", "Timeline", "draw_gaps", "draw_marks", "draw_refusals", "refused_spans"]

LABEL_HEIGHT = 16
LABEL_WIDTH = 84  # pixels that a label should get: labels of quick events take turns on several lines
LABEL_LIMIT = 220  # and what it gets at most
MAX_LABEL_LINES = 5
LINE_PER_HEIGHT = 110  # the labels take no more than a line for this many pixels
SHADE_S = 1.0  # what a refused event is shaded for at most, where the decoder does not say how long its epochs are


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where a time lies on the screen.

    Parameters
    ----------
    plot : QRectF
    end : float
        Time at the right border, seconds on the LSL clock.
    second : float
        Pixels per second.
    """

    plot: Any
    end: float
    second: float

    def x(self, time: float) -> float:
        """Return the horizontal pixel of a time."""
        return float(self.plot.right() - (self.end - time) * self.second)


@dataclass(frozen=True, slots=True)
class Labels:
    """Which events are labelled, and on which line above the traces; an event keeps its place as it scrolls.

    Parameters
    ----------
    n_lines : int
        Lines of labels.
    stride : int
        One event in `stride` is labelled, by its number.
    """

    n_lines: int
    stride: int

    @classmethod
    def fitting(cls, marks: list[Mark], second: float, height: float) -> Labels | None:
        """Return as many lines as the usual distance of two events asks for and the height allows.

        Parameters
        ----------
        marks : list of Mark
            Whose lines are on the screen; with fewer than two there is no telling, and None is returned.
        second, height : float
            Pixels per second, and of the whole view.
        """
        if len(marks) < 2:
            return None
        onsets = np.sort([mark.event.onset for mark in marks])
        wanted = math.ceil(LABEL_WIDTH / max(float(np.median(np.diff(onsets))) * second, 1.0))
        n_lines = max(1, min(wanted, MAX_LABEL_LINES, int(height / LINE_PER_HEIGHT)))
        return cls(n_lines, math.ceil(wanted / n_lines))

    @property
    def height(self) -> int:
        """Pixels that the labels take above the traces."""
        return self.n_lines * LABEL_HEIGHT

    def line(self, code: int) -> int | None:
        """Return the line of an event, 0 at the top; None for one without a label."""
        return None if code % self.stride else (code // self.stride) % self.n_lines


def refused_spans(marks: list[Mark], epoch_s: tuple[float, float] | None) -> list[tuple[float, float, Refusal]]:
    """Return where the signal was refused.

    Parameters
    ----------
    marks : list of Mark
    epoch_s : tuple of float, or None
        First and last second of an epoch from the onset; without it, an epoch is taken to end at the next event.

    Returns
    -------
    list of (start, stop, refusal)
        Seconds on the LSL clock, ascending; epochs that overlap are one span, with the first one's refusal.
    """
    ordered = sorted(marks, key=lambda mark: mark.event.onset)
    following = [mark.event.onset for mark in ordered[1:]] + [math.inf]
    spans: list[tuple[float, float, Refusal]] = []
    for mark, next_onset in zip(ordered, following, strict=False):
        if not isinstance(mark.answer, Refusal):
            continue
        tmin, tmax = epoch_s or (0.0, min(next_onset - mark.event.onset, SHADE_S))
        start, stop = mark.event.onset + tmin, mark.event.onset + tmax
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], stop, spans[-1][2])
        else:
            spans.append((start, stop, mark.answer))
    return spans


def draw_refusals(painter: Any, timeline: Timeline, spans: list[tuple[float, float, Refusal]], theme: Theme) -> None:
    """Shade refused signal, as `refused_spans` gives it; above what no event's label names, write the reason."""
    plot = timeline.plot
    painter.setFont(font(10))
    limit = math.inf  # where the next span to the right begins
    for start, stop, refusal in reversed(spans):
        left, right = max(timeline.x(start), plot.left()), timeline.x(min(stop, timeline.end))
        if right <= left:
            continue
        painter.fillRect(QtCore.QRectF(left, plot.top(), right - left, plot.height()), theme.color("trouble", 0.16))
        if not refusal.event.label:
            width = min(limit - left, LABEL_LIMIT) - 7
            box = QtCore.QRectF(left + 4, plot.top() - LABEL_HEIGHT, width, LABEL_HEIGHT)
            draw_text(painter, box, reason_words(refusal.reason), theme.color("trouble"), LEFT)
        limit = left


def draw_gaps(painter: Any, timeline: Timeline, gaps: Iterable[tuple[float, float]], theme: Theme) -> None:
    """Hatch where samples are missing, and say how long."""
    plot = timeline.plot
    painter.setFont(font(10))
    for before, after in gaps:
        left, right = max(timeline.x(before), plot.left()), timeline.x(after)
        if right - left < 1:
            continue
        box = QtCore.QRectF(left, plot.top(), right - left, plot.height())
        painter.fillRect(box, QtGui.QBrush(theme.color("faint", 0.45), QtCore.Qt.BrushStyle.BDiagPattern))
        if box.width() > 74:
            sign = QtCore.QRectF(box.center().x() - 36, box.center().y() - 10, 72, 20)
            painter.fillRect(sign, theme.color("panel"))
            draw_text(painter, sign, tr("{seconds:.1f} s gap", seconds=after - before), theme.color("trouble"), CENTRE)


def draw_marks(painter: Any, timeline: Timeline, marks: list[Mark], labels: Labels, theme: Theme) -> None:
    """Draw a line at each onset, and the event's label above."""
    plot = timeline.plot
    painter.setFont(font(10))
    taken: dict[int, float] = {}  # line of labels -> where the next label to the right begins
    for mark in sorted(marks, key=lambda mark: mark.event.onset, reverse=True):
        x = timeline.x(mark.event.onset)
        role = {"refused": "trouble", "hit": "accent", "pending": "faint"}.get(mark.verdict, "muted")
        painter.setPen(theme.blend(role, 0.5 if role in ("trouble", "accent") else 0.3))
        painter.drawLine(QtCore.QPointF(x, plot.top()), QtCore.QPointF(x, plot.bottom() - 1))
        line = labels.line(mark.event.code)
        if line is None:
            continue
        top = plot.top() - labels.height + line * LABEL_HEIGHT
        painter.drawLine(QtCore.QPointF(x, top + 2), QtCore.QPointF(x, plot.top()))
        text = readable(mark.event.label)
        if isinstance(mark.answer, Refusal):
            text = f"{reason_words(mark.answer.reason)}: {text}"
        width = min(taken.get(line, math.inf) - x, LABEL_LIMIT) - 7
        if width > 12:
            draw_text(painter, QtCore.QRectF(x + 4, top, width, LABEL_HEIGHT), text, theme.color(role), LEFT)
        taken[line] = x
