"""Draw the course of the response: Evoked, latency -> global field power over time."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui

from .evoked import TMAX, TMIN, Evoked
from .panel import CENTRE, LEFT, RIGHT, draw_text
from .theme import Theme, font

__all__ = ["AXIS_HEIGHT", "draw_strip", "latency_at", "x_of"]

AXIS_HEIGHT = 14
TICKS_MS = range(-200, 801, 200)


def x_of(strip: Any, latency: float) -> float:
    """Return the pixel of a latency in seconds on a strip, a QRectF."""
    return float(strip.left() + (latency - TMIN) / (TMAX - TMIN) * strip.width())


def latency_at(strip: Any, x: float) -> float:
    """Return the latency in seconds at a pixel of a strip, a QRectF."""
    return float(TMIN + min(max((x - strip.left()) / strip.width(), 0.0), 1.0) * (TMAX - TMIN))


def draw_strip(painter: Any, strip: Any, theme: Theme, evoked: Evoked | None, latency: float | None) -> None:
    """Draw the time axis below a QRectF, in it the field power, and a line at the latency that is on show."""
    _draw_axis(painter, strip, theme)
    power = evoked.field_power() if evoked is not None else None
    if evoked is None or power is None or power.max() <= 0:
        return
    heights = power / power.max() * (strip.height() - 4)
    line = QtGui.QPolygonF(
        [
            QtCore.QPointF(x_of(strip, time), strip.bottom() - height)
            for time, height in zip(evoked.times.tolist(), heights.tolist(), strict=True)
        ]
    )
    area = QtGui.QPolygonF(line)
    area.append(QtCore.QPointF(line.last().x(), strip.bottom()))
    area.append(QtCore.QPointF(line.first().x(), strip.bottom()))
    painter.setPen(QtCore.Qt.PenStyle.NoPen)
    painter.setBrush(theme.color("trace", 0.14))
    painter.drawPolygon(area)
    painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
    painter.setPen(QtGui.QPen(theme.color("trace"), 1.0))
    painter.drawPolyline(line)
    if latency is not None:
        x = x_of(strip, latency)
        painter.setPen(QtGui.QPen(theme.color("accent"), 1.4))
        painter.drawLine(QtCore.QPointF(x, strip.top()), QtCore.QPointF(x, strip.bottom()))


def _draw_axis(painter: Any, strip: Any, theme: Theme) -> None:
    """Draw the axis with its figures, and the onset."""
    painter.setPen(QtGui.QPen(theme.color("line"), 1))
    painter.drawLine(strip.bottomLeft(), strip.bottomRight())
    painter.setFont(font(10))
    for ms in TICKS_MS:
        x = x_of(strip, ms / 1e3)
        top = strip.top() if ms == 0 else strip.bottom() - 3
        painter.setPen(QtGui.QPen(theme.color("line"), 1))
        painter.drawLine(QtCore.QPointF(x, strip.bottom()), QtCore.QPointF(x, top))
        label = QtCore.QRectF(x - 30, strip.bottom() + 2, 60, AXIS_HEIGHT - 2)
        text, align = f"{ms}".replace("-", "−"), CENTRE
        if ms == TICKS_MS[0]:
            label, align = label.translated(30, 0), LEFT
        elif ms == TICKS_MS[-1]:
            label, align, text = label.translated(-30, 0), RIGHT, f"{ms} ms"
        draw_text(painter, label, text, theme.color("muted"), align)
