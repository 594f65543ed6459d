"""See what a widget shows, and turn the wheel over it, for the tests of the windows: QWidget -> pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

__all__ = ["is_color", "pixels", "rgb", "turn_wheel"]


def pixels(shown: Any) -> np.ndarray:
    """Return what a widget or an image shows, int of shape (height, width, 3)."""
    image = shown if isinstance(shown, QtGui.QImage) else shown.grab().toImage()
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), dtype=np.uint8)
    rows = rows.reshape(image.height(), image.bytesPerLine())[:, : 3 * image.width()]
    return rows.reshape(image.height(), image.width(), 3).astype(int)


def rgb(color: Any) -> tuple[int, int, int]:
    """Return red, green and blue of a colour."""
    red, green, blue, _ = QtGui.QColor(color).getRgb()
    return red, green, blue


def is_color(area: np.ndarray, color: Any, tolerance: int = 6) -> np.ndarray:
    """Return where an area has a colour, shape (height, width)."""
    found: np.ndarray = np.abs(area - np.array(rgb(color))).max(axis=2) <= tolerance
    return found


def turn_wheel(widget: Any, up: int, right: int = 0) -> None:
    """Turn the wheel over the middle of a widget, by eighths of a degree."""
    event = QtGui.QWheelEvent(
        QtCore.QPointF(widget.rect().center()),
        QtCore.QPointF(widget.rect().center()),
        QtCore.QPoint(),
        QtCore.QPoint(right, up),
        QtCore.Qt.MouseButton.NoButton,
        QtCore.Qt.KeyboardModifier.NoModifier,
        QtCore.Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QtWidgets.QApplication.sendEvent(widget, event)
