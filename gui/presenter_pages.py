"""Draw what the presenter shows, ahead of time: picture, words -> images in the screen's own pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from pyqtgraph.Qt import QtCore, QtGui

from necomimi.picture_folder import open_picture

from .language import tr
from .panel import CENTRE
from .theme import DARK, font

__all__ = ["Pages"]

DOT = 0.012  # diameter of the fixation dot, as a share of the screen's height
RING = 2.0  # diameter of its ring, as multiples of the dot's
TITLE, WORDS = 0.05, 0.032  # heights of letters, as shares of the screen's height: legible from a metre and more
TEXT_WIDTH = 1.05  # of a page's words, as a multiple of the screen's height
TARGET_ON_PAGE = 0.2
CARD = 0.08  # from the words to the edge of their card
LEAST_ASPECT = 1.3  # on a screen that is narrower, letters get smaller


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
        image = self._empty(self._side, self._side)
        painter = QtGui.QPainter(image)
        self._draw_target(painter, QtCore.QRectF(image.rect()))
        painter.end()
        return image

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
        """Return a page: on a card, a title, paragraphs, the target after one of them, and what to press."""
        unit = min(self._height, round(self._width / LEAST_ASPECT))
        faces = {"title": font(round(TITLE * unit), bold=True), "words": font(round(WORDS * unit))}
        faces["call"] = font(round(WORDS * unit), bold=True)
        blocks = [(title, "title"), *((text, "words") for text in words), *([(call, "call")] if call else [])]
        width = TEXT_WIDTH * unit
        gap, margin, target_side = 1.2 * WORDS * unit, CARD * unit, TARGET_ON_PAGE * unit
        flags = CENTRE | QtCore.Qt.TextFlag.TextWordWrap
        box = QtCore.QRect(0, 0, round(width), unit)
        heights = [
            QtGui.QFontMetrics(faces[kind]).boundingRect(box, int(flags), text).height() for text, kind in blocks
        ]
        total = sum(heights) + gap * (len(heights) - 1 + bool(call))
        total += 0 if target_after is None else target_side + gap

        image = self._empty(self._width, self._height)
        painter = QtGui.QPainter(image)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        left, top = (self._width - width) / 2, (self._height - total) / 2
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(DARK.color("panel"))
        card = QtCore.QRectF(left, top, width, total).adjusted(-margin, -margin, margin, margin)
        painter.drawRoundedRect(card, 0.02 * unit, 0.02 * unit)
        for number, ((text, kind), height) in enumerate(zip(blocks, heights, strict=True)):
            top += gap if kind == "call" else 0
            painter.setFont(faces[kind])
            painter.setPen(DARK.color("accent" if kind == "call" else "text"))
            painter.drawText(QtCore.QRectF(left, top, width, height), int(flags), text)
            top += height + gap
            if target_after is not None and number == target_after + 1:  # the title is block 0
                square = QtCore.QRectF((self._width - target_side) / 2, top, target_side, target_side)
                self._draw_target(painter, square)
                top += target_side + gap
        painter.end()
        return image

    def _empty(self, width: int, height: int) -> Any:
        image = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB32)
        image.fill(self.background)
        return image

    def _draw_target(self, painter: Any, rect: Any) -> None:
        """Draw the target into a square."""
        side = rect.width()
        if self._target is not None:
            image = _to_qt(self._target, round(side))
            middle = QtCore.QPointF(image.width() / 2, image.height() / 2)
            painter.drawImage(rect.center() - middle, image)
            return
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtGui.QPen(QtGui.QColor("white"), 0.03 * side))
        painter.setBrush(QtGui.QColor("#d83a2e"))
        painter.drawEllipse(rect.center(), 0.45 * side, 0.45 * side)
        pen = QtGui.QPen(QtGui.QColor("white"), 0.13 * side)
        pen.setCapStyle(QtCore.Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        for rise in (-1, 1):
            arm = QtCore.QPointF(0.18 * side, rise * 0.18 * side)
            painter.drawLine(rect.center() - arm, rect.center() + arm)

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
