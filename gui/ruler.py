"""Draw what the traces are measured by: window, scale -> seconds below, a bar of microvolts."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui

from .language import tr
from .panel import CENTRE, RIGHT, draw_text
from .theme import Theme, font

__all__ = ["AXIS_HEIGHT", "SCALES", "draw_scale_bar", "draw_seconds"]

SCALES = tuple(round(m * 10.0**e, 6) for e in range(-2, 5) for m in (1, 2, 5))  # unit per channel row
AXIS_HEIGHT = 22
LEAST_BAR = 24  # pixels


def draw_seconds(painter: Any, plot: Any, window_s: float, theme: Theme) -> None:
    """Draw a line per second (or two) into the QRectF `plot`, and the axis below: seconds before now."""
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing, False)
    painter.setFont(font(10))
    second = plot.width() / window_s
    for seconds in range(0, int(window_s) + 1, 1 if second >= 40 else 2):
        x = plot.right() - seconds * second
        painter.setPen(theme.blend("line", 0.6))
        painter.drawLine(QtCore.QPointF(x, plot.top()), QtCore.QPointF(x, plot.bottom()))
        text = tr("now") if seconds == 0 else tr("−{seconds} s", seconds=seconds)
        box = QtCore.QRectF(x - 30, plot.bottom() + 4, 60, AXIS_HEIGHT - 4)
        over = max(0.0, box.right() - plot.right())
        draw_text(painter, box.translated(-over, 0), text, theme.color("muted"), RIGHT if over else CENTRE)
    painter.setPen(theme.color("line"))
    painter.drawLine(plot.bottomLeft(), plot.bottomRight())


def draw_scale_bar(painter: Any, plot: Any, pixels_per_unit: float, unit: str, theme: Theme) -> None:
    """Draw a bar of a round number of units, a few millimetres high, at the right of the QRectF `plot`."""
    size = next((s for s in SCALES if s * pixels_per_unit >= LEAST_BAR), SCALES[-1])
    text = f"{size:g} {unit}"
    painter.setFont(font(11, bold=True))
    text_width = painter.fontMetrics().horizontalAdvance(text)
    bottom = plot.bottom() - 10
    box = QtCore.QRectF(plot.right() - text_width - 26, bottom - size * pixels_per_unit - 4, text_width + 22, 0)
    box.setBottom(bottom + 4)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtCore.Qt.PenStyle.NoPen)
    painter.setBrush(theme.color("panel", 0.85))
    painter.drawRoundedRect(box, 4, 4)
    bar = QtCore.QRectF(box.right() - 9, bottom - size * pixels_per_unit, 2.5, size * pixels_per_unit)
    painter.fillRect(bar, theme.color("text"))
    draw_text(painter, box.adjusted(0, 0, -14, 0), text, theme.color("text"), RIGHT)
    painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
