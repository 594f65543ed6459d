"""Draw proportions with their intervals: painter, rectangle, theme -> axes, points, whiskers."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui

from .panel import RIGHT, draw_text
from .theme import Theme, font

__all__ = ["AXIS_WIDTH", "Chart", "fitting", "round_top"]

AXIS_WIDTH = 38  # of the percentages at the left
TOPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Chart:
    """A plot of proportions from 0 to `top` upwards, within a rectangle.

    Parameters
    ----------
    painter : QPainter
    rect : QRectF
        The plot itself; the percentages stand `AXIS_WIDTH` pixels to the left of it.
    theme : Theme
    top : float
        Proportion at the upper border.
    """

    def __init__(self, painter: Any, rect: Any, theme: Theme, top: float = 1.0) -> None:
        self.painter, self.rect, self.theme, self.top = painter, rect, theme, top

    def y(self, value: float) -> float:
        """Return the pixel of a proportion."""
        return float(self.rect.bottom() - min(value, self.top) / self.top * self.rect.height())

    def draw_grid(self) -> None:
        """Draw three lines and their percentages."""
        self.painter.setFont(font(10))
        for value in (0.0, self.top / 2, self.top):
            y = self.y(value)
            self.painter.setPen(self.theme.color("line"))
            self.painter.drawLine(QtCore.QPointF(self.rect.left(), y), QtCore.QPointF(self.rect.right(), y))
            box = QtCore.QRectF(self.rect.left() - AXIS_WIDTH, y - 7, AXIS_WIDTH - 6, 14)
            draw_text(self.painter, box, f"{100 * value:g} %", self.theme.color("muted"), RIGHT)

    def draw_line(self, start: tuple[float, float], end: tuple[float, float], role: str) -> None:
        """Draw a dashed line between two points (x in pixels, proportion): chance, or the diagonal."""
        pen = QtGui.QPen(self.theme.color(role), 1)
        pen.setDashPattern([4, 3])
        self.painter.setPen(pen)
        self.painter.drawLine(*(QtCore.QPointF(x, self.y(value)) for x, value in (start, end)))

    def draw_point(self, x: float, value: float, interval: tuple[float, float], color: Any) -> None:
        """Draw a proportion with its interval at a pixel from the left."""
        low, high = (self.y(bound) for bound in interval)
        self.painter.setPen(QtGui.QPen(color, 1.5))
        self.painter.drawLine(QtCore.QPointF(x, low), QtCore.QPointF(x, high))
        self.painter.setPen(QtCore.Qt.PenStyle.NoPen)
        self.painter.setBrush(color)
        self.painter.drawEllipse(QtCore.QPointF(x, self.y(value)), 3.5, 3.5)
        self.painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)


def fitting(painter: Any, rect: Any, *texts: str) -> str:
    """Return the first of some texts that has room in a QRectF, or nothing."""
    return next((text for text in texts if painter.fontMetrics().horizontalAdvance(text) <= rect.width()), "")


def round_top(value: float) -> float:
    """Return a round proportion that is not below `value`, for the upper border."""
    return next((top for top in TOPS if value <= top), 1.0)
