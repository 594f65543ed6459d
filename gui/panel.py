"""The frame that all views share: state, theme -> a titled card."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .display_state import DisplayState
from .language import tr
from .theme import Theme, font

__all__ = ["Panel", "Wheel", "draw_picture", "draw_text", "draw_words", "readable", "smooth_image"]

RADIUS = 6
MARGIN = 14
TITLE_HEIGHT = 38
PILL_HEIGHT = 17
MUCH = 4  # times enlarged, a picture shows its pixels

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


def smooth_image(pixels: NDArray[np.uint8], width: float) -> Any:
    """Return a picture, uint8 of shape (height, width, 3), as a QImage near `width` pixels, smooth at any size.

    A small one is doubled again and again: each step smooths, so that neither squares nor the stars of one single
    interpolation are to be seen; before much of that its own steps are smoothed. A large one is reduced to twice the
    width at most.
    """
    height, n_columns, _ = pixels.shape
    if width > MUCH * n_columns:
        pixels = _soften(pixels)
    pixels = np.ascontiguousarray(pixels)
    image = QtGui.QImage(pixels.data, n_columns, height, 3 * n_columns, QtGui.QImage.Format.Format_RGB888)
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB32)  # a copy: the array may go
    smooth = QtCore.Qt.TransformationMode.SmoothTransformation
    if n_columns > 2 * width:  # the painter's own smoothing takes four pixels into account, whatever the reduction
        return image.scaledToWidth(max(1, 2 * int(width)), smooth)
    while 3 * image.width() < 2 * width:
        image = image.scaledToWidth(2 * image.width(), smooth)
    return image


def _soften(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture of which each pixel is the mean of itself, twice, and its neighbours, down and across."""
    soft = pixels.astype(np.uint16)
    for axis in (0, 1):
        width = [(1, 1) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(soft, width, mode="edge").swapaxes(0, axis)
        soft = (padded[:-2] + 2 * padded[1:-1] + padded[2:]).swapaxes(0, axis)
    return ((soft + 8) // 16).astype(np.uint8)


def draw_picture(painter: Any, rect: Any, pixels: NDArray[np.uint8]) -> None:
    """Draw an RGB picture, uint8 of shape (height, width, 3), into `rect` with rounded corners."""
    path = QtGui.QPainterPath()
    radius = min(RADIUS, rect.width() / 10)
    path.addRoundedRect(rect, radius, radius)
    painter.save()
    painter.setClipPath(path)
    painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(rect, smooth_image(pixels, rect.width()))
    painter.restore()


class Wheel:
    """Whole steps of a wheel that may turn by parts of one.

    Parameters
    ----------
    step : int
        Eighths of a degree; a click of a common wheel is 120.
    """

    def __init__(self, step: int = 120) -> None:
        self._step, self._rest = step, 0

    def turn(self, eighths: int) -> int:
        """Return the steps that are whole with these eighths of a degree, negative ones downwards."""
        self._rest += eighths
        n = int(self._rest / self._step)
        self._rest -= n * self._step
        return n


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
        self.is_past = False
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)

    @property
    def title(self) -> str:
        """What stands at the left end of the title line, in the language in use."""
        return self.name

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def showEvent(self, event: Any) -> None:
        """Name the panel for those who do not see it."""
        self.setAccessibleName(self.title)
        super().showEvent(event)

    def changeEvent(self, event: Any) -> None:
        """Say everything again when the language has changed."""
        if event.type() == QtCore.QEvent.Type.LanguageChange:
            self.setAccessibleName(self.title)
            self.update()
        super().changeEvent(event)

    def set_past(self, is_past: bool) -> None:
        """Mark what is on show as a thing of the past, which a person has chosen, or as live."""
        if is_past != self.is_past:
            self.is_past = is_past
            self.update()

    def title_width(self) -> float:
        """Return the pixels that the title takes with what stands beside it."""
        width = QtGui.QFontMetrics(font(13, bold=True)).horizontalAdvance(self.title)
        return float(width + (self._pill_width() + 10 if self.is_past else 0))

    def _pill_width(self) -> int:
        return int(QtGui.QFontMetrics(font(11, bold=True)).horizontalAdvance(tr("past"))) + 16

    def subtitle(self) -> str:
        """Return what stands at the right end of the title line."""
        return ""

    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Return the keys that this panel takes and what each does, in the language in use."""
        return ()

    def fitting(self, *texts: str) -> str:
        """Return the first of some subtitles that has room beside the title, or the last."""
        used = self.title_width() + 3 * MARGIN
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
        card = QtCore.QRectF(self.rect())
        painter.drawRoundedRect(card, RADIUS, RADIUS)
        line = QtCore.QRectF(MARGIN, 0, self.width() - 2 * MARGIN, TITLE_HEIGHT)
        painter.setFont(font(13, bold=True))
        draw_text(painter, line, self.title, self.theme.color("text"))
        if self.is_past:
            self._draw_past(painter, card, line)
        painter.setFont(font(11))
        line.setLeft(line.left() + self.title_width() + MARGIN)
        draw_text(painter, line, self.subtitle(), self.theme.color("muted"), RIGHT)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        self.paint(painter, self.body())
        painter.end()

    def _draw_past(self, painter: Any, card: Any, line: Any) -> None:
        """Draw a border of the accent colour around the card, and the word beside the title."""
        width = self._pill_width()
        left = line.left() + painter.fontMetrics().horizontalAdvance(self.title) + 10
        pill = QtCore.QRectF(left, line.center().y() - PILL_HEIGHT / 2, width, PILL_HEIGHT)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        painter.setPen(QtGui.QPen(self.theme.color("accent"), 2))
        painter.drawRoundedRect(card.adjusted(1, 1, -1, -1), RADIUS, RADIUS)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self.theme.color("accent"))
        painter.drawRoundedRect(pill, PILL_HEIGHT / 2, PILL_HEIGHT / 2)
        painter.setFont(font(11, bold=True))
        draw_text(painter, pill, tr("past"), self.theme.color("panel"), CENTRE)
