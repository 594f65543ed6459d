"""Draw what the presenter shows, ahead of time: picture, words -> images in the screen's own pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from pyqtgraph.Qt import QtCore, QtGui

from necomimi.picture_folder import open_picture

from .language import tr
from .panel import CENTRE
from .theme import DARK, LIGHT, Theme, font

__all__ = ["Pages"]

DOT = 0.012  # diameter of the fixation dot, as a share of the screen's height
RING = 2.0  # diameter of its ring, as multiples of the dot's
TITLE, WORDS = 0.05, 0.030  # heights of letters, as shares of the screen's height: legible from two metres
TEXT_WIDTH = 1.3  # of a page's words, as a multiple of the screen's height
TARGET_ON_PAGE = 0.22
LIGHT_FROM = 140  # a background so bright takes dark letters


class Pages:
    """Draws images for one screen.

    Parameters
    ----------
    width, height : int
        Of the screen, in its own pixels.
    size : float
        Side of a picture, as a share of the screen's height.
    grey : int
        Background, 0 to 255.
    target : Path, optional
        Picture of the target of catch trials; a drawn one if absent.
    """

    def __init__(self, width: int, height: int, size: float, grey: int, target: Path | None = None) -> None:
        self._width, self._height = width, height
        self._side = max(1, round(size * height))
        self.background = QtGui.QColor(grey, grey, grey)
        self._theme: Theme = LIGHT if grey >= LIGHT_FROM else DARK
        self._target = None if target is None else open_picture(target)

    def blank(self) -> Any:
        """Return the fixation dot on the background."""
        side = 2 * round(RING * DOT * self._height)
        image = self._empty(side, side)
        self._draw_dot(image)
        return image

    def picture(self, path: Path) -> Any:
        """Return a picture with the dot on it.

        Raises
        ------
        DatasetError
            It cannot be read.
        """
        image = _to_qt(open_picture(path), self._side)
        self._draw_dot(image)
        return image

    def target(self) -> Any:
        """Return the target of catch trials: a disc with an X, as large as a picture, unless another was given."""
        return self._draw_target(self._side)

    def instruction(self, catch: bool, auto: bool) -> Any:
        """Return the page that says what the person has to do."""
        words = [
            tr("Keep your eyes on the dot in the middle of the screen. Pictures will appear there one after another."),
            tr("Sit still and relaxed. Blink in the breaks, as much as you like."),
        ]
        if catch:
            words.insert(1, tr("Whenever you see this sign, press Space as quickly as you can:"))
        call = tr("It begins by itself") if auto else tr("Press Space to begin")
        return self._page(tr("Look at the pictures"), words, call, target_after=1 if catch else None)

    def rest(self, n_done: int, n_sequences: int, auto: bool) -> Any:
        """Return the page of a long break."""
        words = [
            tr("Rest your eyes. Move, blink, stretch."),
            tr("{done} of {all} parts are done.", done=n_done, all=n_sequences),
        ]
        return self._page(tr("Break"), words, tr("It goes on by itself") if auto else tr("Press Space to go on"))

    def end(self) -> Any:
        """Return the last page."""
        return self._page(tr("Thank you"), [tr("That was all. You can relax now.")], "")

    def _page(self, title: str, words: list[str], call: str, target_after: int | None = None) -> Any:
        """Return a page: a title, paragraphs, the target after one of them, and what to press; all in the middle."""
        image = self._empty(self._width, self._height)
        painter = QtGui.QPainter(image)
        painter.setRenderHint(QtGui.QPainter.RenderHint.TextAntialiasing)
        width = min(TEXT_WIDTH * self._height, 0.86 * self._width)
        gap = 1.2 * WORDS * self._height
        title_font, words_font = font(round(TITLE * self._height), bold=True), font(round(WORDS * self._height))
        call_font = font(round(WORDS * self._height), bold=True)
        blocks = [(title, title_font, "text"), *((text, words_font, "text") for text in words)]
        blocks += [(call, call_font, "accent")] if call else []
        target = None if target_after is None else self._draw_target(round(TARGET_ON_PAGE * self._height))
        flags = CENTRE | QtCore.Qt.TextFlag.TextWordWrap

        def height(text: str, face: Any) -> float:
            box = QtCore.QRect(0, 0, round(width), self._height)
            return float(QtGui.QFontMetrics(face).boundingRect(box, int(flags), text).height())

        heights = [height(text, face) for text, face, _ in blocks]
        total = sum(heights) + gap * len(heights) + (0 if target is None else target.height() + gap)
        left, top = (self._width - width) / 2, (self._height - total) / 2
        for number, ((text, face, role), tall) in enumerate(zip(blocks, heights, strict=True)):
            if text == call and number:
                top += gap
            painter.setFont(face)
            painter.setPen(self._ink(role))
            painter.drawText(QtCore.QRectF(left, top, width, tall), int(flags), text)
            top += tall + gap
            if target is not None and number - 1 == target_after:
                painter.drawImage(QtCore.QPointF((self._width - target.width()) / 2, top), target)
                top += target.height() + gap
        painter.end()
        return image

    def _ink(self, role: str) -> Any:
        """Return the colour of letters that are read on the background, whatever grey that is."""
        if role == "accent":
            return self._theme.color("accent") if self._theme is DARK else self._theme.color("accent").darker(140)
        return self._theme.color(role)

    def _empty(self, width: int, height: int) -> Any:
        image = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB32)
        image.fill(self.background)
        return image

    def _draw_target(self, side: int) -> Any:
        """Return the target, `side` pixels wide."""
        if self._target is not None:
            return _to_qt(self._target, side)
        image = self._empty(side, side)
        painter = QtGui.QPainter(image)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtGui.QPen(QtGui.QColor("white"), 0.03 * side))
        painter.setBrush(QtGui.QColor("#d83a2e"))
        painter.drawEllipse(QtCore.QRectF(0.05 * side, 0.05 * side, 0.9 * side, 0.9 * side))
        pen = QtGui.QPen(QtGui.QColor("white"), 0.13 * side)
        pen.setCapStyle(QtCore.Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        near, far = 0.32 * side, 0.68 * side
        painter.drawLine(QtCore.QPointF(near, near), QtCore.QPointF(far, far))
        painter.drawLine(QtCore.QPointF(near, far), QtCore.QPointF(far, near))
        painter.end()
        return image

    def _draw_dot(self, image: Any) -> None:
        """Draw the fixation dot, half transparent as a bull's eye that hides no picture."""
        diameter = DOT * self._height
        centre = QtCore.QPointF(image.width() / 2, image.height() / 2)
        painter = QtGui.QPainter(image)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        for scale, color, alpha in ((RING, "black", 0.5), (1.0, "#ff3b30", 0.8)):
            ink = QtGui.QColor(color)
            ink.setAlphaF(alpha)
            painter.setBrush(ink)
            painter.drawEllipse(centre, scale * diameter / 2, scale * diameter / 2)
        painter.end()


def _to_qt(picture: Image.Image, side: int) -> Any:
    """Return a picture as large as fits into a square, as a QImage that owns its pixels."""
    fitted = ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS).convert("RGB")
    pixels = fitted.tobytes()
    form = QtGui.QImage.Format.Format_RGB888
    image = QtGui.QImage(pixels, fitted.width, fitted.height, 3 * fitted.width, form)
    return image.convertToFormat(QtGui.QImage.Format.Format_RGB32)
