"""Draw accuracy against the number of presentations: Accuracy -> points with intervals, chance."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore

from .accuracy import Accuracy, Repetitions, Score
from .chart import AXIS_WIDTH, Chart, fitting, round_top
from .language import tr
from .panel import CENTRE, LEFT, RIGHT, draw_text
from .theme import Theme, font

__all__ = ["draw_repetitions", "plot_rect", "point_places"]

LEGEND_HEIGHT = 16
LINE = 14
OFFSET = 6  # pixels between top-1 and top-5
AXIS_NAMES = 62  # at the left of a wide chart, what the two lines below are


def plot_rect(rect: Any) -> Any:
    """Return the QRectF of the plot within the page."""
    return rect.adjusted(_margin(rect), LEGEND_HEIGHT + 4, 0, -2 * LINE - 3)


def _margin(rect: Any) -> int:
    return AXIS_NAMES if rect.width() > 240 else AXIS_WIDTH


def point_places(rect: Any, groups: tuple[Repetitions, ...]) -> list[list[tuple[float, Score]]]:
    """Return, for each number of presentations, the pixel from the left of each score."""
    plot = plot_rect(rect)
    pitch = plot.width() / len(groups)
    return [
        [
            (plot.left() + (i + 0.5) * pitch + (OFFSET * (k - 0.5) if len(group.scores) > 1 else 0.0), score)
            for k, score in enumerate(group.scores)
        ]
        for i, group in enumerate(groups)
    ]


def score_color(theme: Theme, k: int) -> Any:
    """Return the colour of top-1 or top-5."""
    return theme.color("accent") if k == 1 else theme.color("muted")


def draw_repetitions(painter: Any, rect: Any, accuracy: Accuracy, theme: Theme) -> None:
    """Draw the chart into a QRectF."""
    groups, plot = accuracy.by_repetitions(), plot_rect(rect)
    if not groups or plot.height() < 20:
        return
    scores = [score for group in groups for score in group.scores]
    chart = Chart(painter, plot, theme, round_top(max(score.interval[1] for score in scores)))
    chart.draw_grid()
    for score in groups[-1].scores:
        if score.chance is not None:
            color = "accent" if score.k == 1 else "faint"
            chart.draw_line((plot.left(), score.chance), (plot.right(), score.chance), color)
    pitch = plot.width() / len(groups)
    painter.setFont(font(10))
    for i, (group, places) in enumerate(zip(groups, point_places(rect, groups), strict=True)):
        for x, score in reversed(places):
            chart.draw_point(x, score.n_hits / score.n, score.interval, score_color(theme, score.k))
        span = f"{group.first}" if group.first == group.last else f"{group.first}–{group.last}"
        for row, (text, role) in enumerate(((span, "text"), (f"{group.scores[0].n}", "muted"))):
            box = QtCore.QRectF(plot.left() + i * pitch, plot.bottom() + 3 + row * LINE, pitch, LINE)
            draw_text(painter, box, text, theme.color(role), CENTRE)
    if _margin(rect) == AXIS_NAMES:
        for row, name in enumerate((tr("averaged"), tr("decisions"))):
            box = QtCore.QRectF(rect.left(), plot.bottom() + 3 + row * LINE, AXIS_NAMES - 8, LINE)
            draw_text(painter, box, name, theme.color("muted"), LEFT)
    _draw_legend(painter, QtCore.QRectF(plot.left(), rect.top(), plot.width(), LEGEND_HEIGHT), groups[0].scores, theme)


def _draw_legend(painter: Any, line: Any, scores: tuple[Score, ...], theme: Theme) -> None:
    """Say which points are which, and what the dashes are."""
    painter.setFont(font(10))
    left = line.left()
    for score in scores:
        text = f"top-{score.k}"
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(score_color(theme, score.k))
        painter.drawEllipse(QtCore.QPointF(left + 4, line.center().y()), 3.5, 3.5)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        width = painter.fontMetrics().horizontalAdvance(text)
        draw_text(painter, QtCore.QRectF(left + 12, line.top(), width + 2, line.height()), text, theme.color("muted"))
        left += width + 26
    rest = QtCore.QRectF(left, line.top(), line.right() - left, line.height())
    text = fitting(painter, rest, tr("95 % intervals · dashes: chance"), tr("dashes: chance"))
    draw_text(painter, rest, text, theme.color("muted"), RIGHT)
