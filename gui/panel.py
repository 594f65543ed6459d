"""The frame that all views share: state, theme -> a titled card."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .display_state import DisplayState
from .theme import Theme, font

__all__ = ["Panel", "draw_picture", "draw_text", "draw_words", "readable"]

RADIUS = 6
MARGIN = 14
TITLE_HEIGHT = 38

LEFT = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter
RIGHT = QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignVCenter
CENTRE = QtCore.Qt.AlignmentFlag.AlignCenter


def readable(label: str) -> str:
    """Return a label as people write it: "aircraft_carrier" is "aircraft carrier"."""
    return label.replace("_", " ")


def draw_text(painter: Any, rect: Any, text: str, color: Any, align: Any = LEFT) -> None:
    """Draw one line in `rect`, cut with an ellipsis where it does not fit."""
    painter.setPen(color)
    metrics = painter.fontMetrics()
    painter.drawText(rect, align, metrics.elidedText(text, QtCore.Qt.TextElideMode.ElideRight, int(rect.width()) + 1))


def draw_words(painter: Any, rect: Any, text: str, color: Any) -> None:
    """Draw a sentence in the middle of `rect`, on as many lines as it takes."""
    painter.setPen(color)
    painter.drawText(rect, CENTRE | QtCore.Qt.TextFlag.TextWordWrap, text)


def draw_picture(painter: Any, rect: Any, pixels: NDArray[np.uint8]) -> None:
    """Draw an RGB picture, uint8 of shape (height, width, 3), into `rect` with rounded corners."""
    height, width, _ = pixels.shape
    pixels = np.ascontiguousarray(pixels)
    image = QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888)
    if width > 2 * rect.width():  # the painter's own smoothing takes four pixels into account, whatever the reduction
        smooth = QtCore.Qt.TransformationMode.SmoothTransformation
        image = image.scaledToWidth(2 * int(rect.width()), smooth)
    path = QtGui.QPainterPath()
    radius = min(RADIUS, rect.width() / 10)
    path.addRoundedRect(rect, radius, radius)
    painter.save()
    painter.setClipPath(path)
    painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(rect, image)
    painter.restore()


class Panel(QtWidgets.QWidget):
    """A card with a title, painted by `paint`.

    A panel says its `title` in the language in use, by a property of its own: ``return tr("Latency")``.

    Parameters
    ----------
    name : str
        English, the same in every language.
    state : DisplayState
    theme : Theme
    """

    def __init__(self, name: str, state: DisplayState, theme: Theme) -> None:
        super().__init__()
        self.name = name
        self.state = state
        self.theme = theme
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(self.title)

    @property
    def title(self) -> str:
        """What stands at the left end of the title line, in the language in use."""
        return self.name

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def changeEvent(self, event: Any) -> None:
        """Say everything again when the language has changed."""
        if event.type() == QtCore.QEvent.Type.LanguageChange:
            self.setAccessibleName(self.title)
            self.update()
        super().changeEvent(event)

    def subtitle(self) -> str:
        """Return what stands at the right end of the title line."""
        return ""

    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Return the keys that this panel takes and what each does, in the language in use."""
        return ()

    def fitting(self, *texts: str) -> str:
        """Return the first of some subtitles that has room beside the title, or the last."""
        used = QtGui.QFontMetrics(font(13, bold=True)).horizontalAdvance(self.title) + 3 * MARGIN
        metrics = QtGui.QFontMetrics(font(11))
        return next((text for text in texts if used + metrics.horizontalAdvance(text) <= self.width()), texts[-1])

    def body(self) -> Any:
        """Return the QRectF below the title."""
        return QtCore.QRectF(self.rect()).adjusted(MARGIN, TITLE_HEIGHT, -MARGIN, -MARGIN)

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the contents into the QRectF `body`."""
        raise NotImplementedError

    def paintEvent(self, event: Any) -> None:
        """Draw the card, its title line, and the contents."""
        painter = QtGui.QPainter(self)
        # Beyond the border: where a pixel of the screen is a fraction of ours, nothing else would fill the last ones.
        painter.fillRect(self.rect().adjusted(-1, -1, 1, 1), self.theme.color("window"))
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self.theme.color("panel"))
        painter.drawRoundedRect(QtCore.QRectF(self.rect()), RADIUS, RADIUS)
        line = QtCore.QRectF(MARGIN, 0, self.width() - 2 * MARGIN, TITLE_HEIGHT)
        painter.setFont(font(13, bold=True))
        draw_text(painter, line, self.title, self.theme.color("text"))
        used = painter.fontMetrics().horizontalAdvance(self.title) + MARGIN
        painter.setFont(font(11))
        draw_text(painter, line.adjusted(used, 0, 0, 0), self.subtitle(), self.theme.color("muted"), RIGHT)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        self.paint(painter, self.body())
        painter.end()
