"""Draw a head seen from above: outline, field, sensors -> painter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import QtCore, QtGui

from .theme import Theme, font
from .topography import paint_field, scale_colors

__all__ = ["disc_of", "draw_head", "draw_scale", "field_size", "place_in"]

NOSE = 0.13  # of the radius, above the circle
EAR = 0.07  # and at each side
MAX_PIXELS = 220  # across a field; larger heads are scaled up, smoothly
BAR_WIDTH = 6


def disc_of(rect: Any) -> Any:
    """Return the QRectF of the circle of the largest head that a QRectF holds, with its nose and ears."""
    radius = math.floor(max(1.0, min(rect.width() / (2 + 2 * EAR), rect.height() / (2 + NOSE)) - 1))
    left, top = rect.center().x() - radius, rect.center().y() + NOSE * radius / 2 - radius
    return QtCore.QRectF(round(left), round(top), 2 * radius, 2 * radius)  # whole pixels: no resampling


def place_in(disc: Any, place: NDArray[np.float64]) -> Any:
    """Return the QPointF of a place (right, front; radii) in a head's circle."""
    radius = disc.width() / 2
    return QtCore.QPointF(disc.center().x() + place[0] * radius, disc.center().y() - place[1] * radius)


def draw_head(
    painter: Any,
    rect: Any,
    theme: Theme,
    field: NDArray[np.float32] | None = None,
    limit: float = 1.0,
    sensors: Iterable[NDArray[np.float64]] = (),
) -> Any:
    """Draw a head into a QRectF and return the QRectF of its circle.

    Parameters
    ----------
    painter : QPainter
    rect : QRectF
    theme : Theme
    field : ndarray of float32, shape (size, size), optional
        From `Topography.field`.
    limit : float
        The value that has the strongest colour.
    sensors : iterable of ndarray, shape (2,)
        Right and front of each dot.
    """
    disc = disc_of(rect)
    radius, centre = disc.width() / 2, disc.center()
    painter.save()
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtGui.QPen(theme.color("faint"), 1.2))
    painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
    _draw_outline(painter, centre.x(), centre.y(), radius)
    if field is None:
        painter.setBrush(theme.color("window", 0.5))
    else:
        pixels = paint_field(field, limit, theme)
        size = len(pixels)
        image = QtGui.QImage(pixels.data, size, size, 4 * size, QtGui.QImage.Format.Format_ARGB32_Premultiplied)
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        if size == disc.width():
            painter.drawImage(disc.topLeft(), image)
        else:
            painter.drawImage(disc, image)
    painter.drawEllipse(disc)
    size = max(1.6, min(3.2, radius / 28))
    cap = QtCore.Qt.PenCapStyle.RoundCap
    painter.setPen(QtGui.QPen(theme.color("text", 0.55), size, QtCore.Qt.PenStyle.SolidLine, cap))
    painter.drawPoints(QtGui.QPolygonF([place_in(disc, place) for place in sensors]))
    painter.restore()
    return disc


def _draw_outline(painter: Any, x: float, y: float, radius: float) -> None:
    """Draw the nose and the ears of a head whose middle is (x, y)."""
    top, foot = y - (1 + NOSE) * radius, y - 0.99 * radius
    nose = QtGui.QPainterPath(QtCore.QPointF(x - 0.14 * radius, foot))
    nose.quadTo(x - 0.05 * radius, top, x, top)
    nose.quadTo(x + 0.05 * radius, top, x + 0.14 * radius, foot)
    painter.drawPath(nose)
    for side in (-1, 1):
        root, tip = x + side * 0.98 * radius, x + side * (1 + 1.3 * EAR) * radius
        ear = QtGui.QPainterPath(QtCore.QPointF(root, y - 0.19 * radius))
        ear.cubicTo(tip, y - 0.26 * radius, tip, y + 0.26 * radius, root, y + 0.19 * radius)
        painter.drawPath(ear)


def field_size(rect: Any, ratio: float) -> int:
    """Return how many pixels across a field is worth in a QRectF, at a screen's pixel ratio."""
    return int(min(MAX_PIXELS, max(24, disc_of(rect).width() * ratio)))


def draw_scale(painter: Any, bar: Any, theme: Theme, limit: float, unit: str, *, one_sided: bool = False) -> None:
    """Draw the colours of a field as an upright bar, with figures at its right.

    Parameters
    ----------
    painter : QPainter
    bar : QRectF
        Of the colours and the figures.
    theme : Theme
    limit : float
    unit : str
    one_sided : bool
        From 0 to the limit, rather than from its negative.
    """
    colors = scale_colors(theme)
    strip = QtCore.QRectF(bar.left(), bar.top(), BAR_WIDTH, bar.height())
    shades = QtGui.QLinearGradient(strip.bottomLeft(), strip.topLeft())
    for at in np.linspace(0, 1, 5):
        shades.setColorAt(float(at), QtGui.QColor(*colors[round(255 * (0.5 + 0.5 * at if one_sided else at))].tolist()))
    painter.fillRect(strip, shades)
    painter.setFont(font(10))
    painter.setPen(theme.color("muted"))
    figures = bar.adjusted(BAR_WIDTH + 4, -2, 0, 2)
    flags = QtCore.Qt.AlignmentFlag
    for place, text in (
        (flags.AlignTop, f"{limit:g}" if one_sided else f"+{limit:g}"),
        (flags.AlignVCenter, unit),
        (flags.AlignBottom, "0" if one_sided else f"−{limit:g}"),
    ):
        painter.drawText(figures, flags.AlignLeft | place, text)
