"""Draw how honest the probabilities are: Reliability -> points beside the diagonal, calibration error."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore

from necomimi.intervals import wilson
from necomimi.reliability import N_BINS, Reliability

from .chart import AXIS_WIDTH, Chart, fitting
from .language import tr
from .panel import CENTRE, LEFT, RIGHT, draw_text, draw_words
from .theme import Theme, font

__all__ = ["LEAST", "draw_calibration", "plot_rect", "points"]

LEAST = 30  # scored decisions, before which a diagram says nothing
N_POINTS = 10
LINE = 16
FIGURES_WIDTH = 118


def plot_rect(rect: Any) -> Any:
    """Return the QRectF of the plot within the page."""
    return rect.adjusted(AXIS_WIDTH, 7, -FIGURES_WIDTH, -LINE - 2)


def points(reliability: Reliability) -> list[tuple[float, float, tuple[float, float]]]:
    """Return mean probability, share that was right, and its 95 % interval, of each bin that has answers."""
    bins = reliability.pooled(N_POINTS)
    rows = zip(bins.counts.tolist(), bins.confidence.tolist(), bins.hits.tolist(), strict=True)
    return [(confidence / n, hits / n, wilson(round(hits), n)) for n, confidence, hits in rows if n]


def draw_calibration(painter: Any, rect: Any, reliability: Reliability, theme: Theme) -> None:
    """Draw the diagram into a QRectF; or say how many decisions are missing."""
    n = reliability.n
    if n < LEAST:
        painter.setFont(font(12))
        words = tr("a diagram stands here after {n} more scored decisions", n=LEAST - n)
        draw_words(painter, rect, words, theme.color("muted"))
        return
    plot = plot_rect(rect)
    if plot.height() < 20 or plot.width() < 40:
        return
    chart = Chart(painter, plot, theme)
    chart.draw_grid()
    chart.draw_line((plot.left(), 0.0), (plot.right(), 1.0), "muted")
    for confidence, right, interval in points(reliability):
        chart.draw_point(plot.left() + confidence * plot.width(), right, interval, theme.color("accent"))
    painter.setFont(font(10))
    below = QtCore.QRectF(plot.left(), plot.bottom() + 3, plot.width(), LINE)
    draw_text(painter, below, "0", theme.color("muted"), LEFT)
    draw_text(painter, below, "100 %", theme.color("muted"), RIGHT)
    name = below.adjusted(14, 0, -38, 0)
    text = fitting(painter, name, tr("probability of the best label"), tr("probability"))
    draw_text(painter, name, text, theme.color("muted"), CENTRE)
    left = plot.right() + 14
    line = QtCore.QRectF(left, plot.top() - 4, rect.right() - left, 24)
    painter.setFont(font(18, bold=True))
    draw_text(painter, line, f"{100 * reliability.pooled(N_BINS).error:.1f} %", theme.color("text"), RIGHT)
    painter.setFont(font(10))
    for i, text in enumerate((tr("calibration error"), tr("upwards: share right"), tr("{n} decisions", n=n))):
        draw_text(painter, line.translated(0, 20 + i * 14), text, theme.color("muted"), RIGHT)
