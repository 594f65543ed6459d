"""Show nothing but the pictures, full screen: Mark -> shown and painted pictures that fade into each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from necomimi.records import Retrieval

from .display_state import DisplayState
from .imagined_view import stage_words
from .language import tr
from .mark import Mark
from .panel import CENTRE, draw_text, readable, smooth_image
from .theme import DARK, font

__all__ = ["FADE_S", "HINT_S", "ExhibitionView"]

FADE_S = 0.4
HINT_S = 3.0
MARGIN = 0.04  # of the shorter side of the window
SPACE = 0.03  # between two pictures
CAPTION = 0.09  # of the shorter side, below each picture
CORNER = 0.02  # of a picture's side
SHOWN, READ = "shown", "read"  # places besides the stages of painted pictures


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """Pixels, and what tells them from others while they are held: a gallery's item, a painted picture's identity."""

    key: tuple[str, int] = ("none", 0)
    pixels: NDArray[np.uint8] | None = None


NOTHING = _Picture()


@dataclass(slots=True)
class _Place:
    """What stands in one place, and what stood there before, from which it fades since `since` (s)."""

    picture: _Picture = NOTHING
    words: str = ""
    old_picture: _Picture = NOTHING
    old_words: str = ""
    since: float | None = None

    def progress(self, now: float) -> float:
        return 1.0 if self.since is None else min(max((now - self.since) / FADE_S, 0.0), 1.0)


class ExhibitionView(QtWidgets.QWidget):
    """The picture that was shown, and at its right, or below, those painted of it; where none are, the best guess's.

    It is dark whatever the theme, and paints only when something changes: while a picture fades into the next one, with
    each `advance`, which the window calls 30 times a second; otherwise not at all.

    Parameters
    ----------
    state : DisplayState
    """

    def __init__(self, state: DisplayState) -> None:
        super().__init__()
        self.state = state
        self.mark: Mark | None = None
        self.now = 0.0
        self._places: dict[str, _Place] = {}
        self._pixmaps: dict[tuple[tuple[str, int], int], tuple[_Picture, Any]] = {}  # by key and size: those on show
        self._hint_until: float | None = None
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setCursor(QtCore.Qt.CursorShape.BlankCursor)
        self.setMinimumSize(160, 120)

    @property
    def is_fading(self) -> bool:
        """Whether one picture gives way to the next."""
        return any(place.since is not None for place in self._places.values())

    @property
    def has_hint(self) -> bool:
        """Whether the words about the way back are to be seen."""
        return self._hint_until is None or self.now < self._hint_until

    def show_mark(self, mark: Mark | None) -> None:
        """Show an event, or what has become of it meanwhile."""
        self.mark = mark
        names = self._names()
        if list(self._places) != names:
            self._places = {name: self._places.get(name, _Place()) for name in names}
            self.update()
        for name, place in self._places.items():
            picture, words = self._picture(name), self._words(name)
            if picture.key != place.picture.key or words != place.words:
                place.old_picture, place.old_words = place.picture, place.words
                place.picture, place.words, place.since = picture, words, self.now
                self._update_place(name)

    def advance(self, now: float) -> None:
        """Move on to `now` (s, LSL clock): the fade, and the hint."""
        had_hint, self.now = self.has_hint, now
        if not self.isVisible():
            return
        if self._hint_until is None:
            self._hint_until = now + HINT_S
        if had_hint and not self.has_hint:
            self.update(self.hint_rect().toAlignedRect())
        for name, place in self._places.items():
            if place.since is not None:
                self._update_place(name)
                if place.progress(now) == 1.0:
                    place.since, place.old_picture = None, NOTHING

    def showEvent(self, event: Any) -> None:
        """Show the hint once more."""
        self._hint_until = None
        super().showEvent(event)

    # -- contents

    def _names(self) -> list[str]:
        """Return the places, from the left or from above."""
        stages = sorted({*self.state.stages, *(self.mark.pictures if self.mark is not None else ())})
        return [SHOWN, *(stages or [READ])]

    def _answer(self) -> Retrieval | None:
        answer = None if self.mark is None else self.mark.answer
        return answer if isinstance(answer, Retrieval) and answer.labels else None

    def _picture(self, name: str) -> _Picture:
        """Return what is to be seen in a place."""
        if self.mark is None:
            return NOTHING
        if name == SHOWN:
            return self._thumbnail(self.mark.event.label)
        if name == READ:
            answer = self._answer()
            return NOTHING if answer is None else self._thumbnail(answer.labels[0])
        image = self.mark.pictures.get(name)
        return NOTHING if image is None else _Picture(("painted", id(image.pixels)), image.pixels)

    def _thumbnail(self, label: str) -> _Picture:
        item = self.state.item_of(label)
        return NOTHING if item is None else _Picture(("item", item), self.state.thumbnail(label))

    def _words(self, name: str) -> str:
        """Return what stands below a place: what was shown; what was read, below the last one."""
        if self.mark is None:
            return ""
        if name == SHOWN:
            return readable(self.state.class_of(self.mark.event.label))
        names = list(self._places)
        stage, answer = stage_words(name) if len(names) > 2 else "", self._answer()
        if name != names[-1] or answer is None:
            return stage
        best = f"{readable(answer.labels[0])}  {100 * float(answer.scores[0]):.0f} %"
        return f"{stage} · {best}" if stage else best

    # -- geometry

    def picture_rects(self) -> dict[str, Any]:
        """Return the QRectF of the square of each place: in a row, or where that is larger, in a column."""
        shorter = min(self.width(), self.height())
        margin, space, caption = MARGIN * shorter, SPACE * shorter, self._caption_height()
        width, height = self.width() - 2 * margin, self.height() - 2 * margin
        n = len(self._places)
        if not n:
            return {}
        in_row = min((width - (n - 1) * space) / n, height - caption)
        in_column = min(width, (height - (n - 1) * space) / n - caption)
        side = int(max(in_row, in_column, 1))
        right, down = (side + space, 0.0) if in_row >= in_column else (0.0, side + caption + space)
        left = (self.width() - side - (n - 1) * right) / 2
        top = (self.height() - side - caption - (n - 1) * down) / 2
        return {
            name: QtCore.QRectF(int(left + i * right), int(top + i * down), side, side)
            for i, name in enumerate(self._places)
        }

    def caption_rect(self, picture: Any) -> Any:
        """Return the QRectF of the words below a picture."""
        return QtCore.QRectF(picture.left(), picture.bottom(), picture.width(), self._caption_height())

    def hint_rect(self) -> Any:
        """Return the QRectF of the hint, at the lower border."""
        return QtCore.QRectF(0, self.height() - 34, self.width(), 26)

    def _caption_height(self) -> float:
        shorter: int = min(self.width(), self.height())
        return max(CAPTION * shorter, 24.0)

    def _update_place(self, name: str) -> None:
        """Have a place painted anew, and nothing else."""
        rect = self.picture_rects()[name]
        self.update(rect.united(self.caption_rect(rect)).toAlignedRect())

    # -- drawing

    def paintEvent(self, event: Any) -> None:
        """Draw the pictures as far as they have faded in, their words, and the hint."""
        painter = QtGui.QPainter(self)
        painter.fillRect(event.rect(), DARK.color("window"))
        rects = self.picture_rects()
        side = round(next(iter(rects.values())).width() * self.devicePixelRatioF()) if rects else 0
        wanted = {(p.key, side) for place in self._places.values() for p in (place.picture, place.old_picture)}
        self._pixmaps = {key: held for key, held in self._pixmaps.items() if key in wanted}
        for name, rect in rects.items():
            place = self._places[name]
            if not rect.united(self.caption_rect(rect)).intersects(QtCore.QRectF(event.rect())):
                continue
            progress = place.progress(self.now)
            layers = [(place.picture, 1.0)]
            if progress < 1 and place.old_picture.key != place.picture.key:
                layers = [(place.old_picture, 1.0), (place.picture, progress)]
            for picture, opacity in layers:
                painter.setOpacity(opacity)
                painter.drawPixmap(rect.topLeft(), self._pixmap(picture, side))
            painter.setFont(font(max(13, int(0.36 * self._caption_height()))))
            texts = [(place.words, 1.0)]
            if progress < 1 and place.old_words != place.words:
                texts = [(place.old_words, 1.0 - progress), (place.words, progress)]
            for words, opacity in texts:
                painter.setOpacity(opacity)
                draw_text(painter, self.caption_rect(rect), words, DARK.color("muted"), CENTRE)
        painter.setOpacity(1.0)
        if self.has_hint:
            painter.setFont(font(13))
            draw_text(painter, self.hint_rect(), tr("F11 or Esc returns"), DARK.color("faint"), CENTRE)
        painter.end()

    def _pixmap(self, picture: _Picture, side: int) -> Any:
        """Return a picture of `side` real pixels with round corners; an empty place where there is none."""
        key = (picture.key, side)
        if key not in self._pixmaps:
            pixmap = QtGui.QPixmap(side, side)
            pixmap.fill(DARK.color("window"))
            painter = QtGui.QPainter(pixmap)
            painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
            painter.setPen(QtCore.Qt.PenStyle.NoPen)
            pixels = picture.pixels
            painter.setBrush(DARK.color("panel") if pixels is None else _brush(pixels, side))
            painter.drawRoundedRect(QtCore.QRectF(0, 0, side, side), CORNER * side, CORNER * side)
            painter.end()
            pixmap.setDevicePixelRatio(self.devicePixelRatioF())
            self._pixmaps[key] = picture, pixmap
        return self._pixmaps[key][1]


def _brush(pixels: NDArray[np.uint8], side: int) -> Any:
    """Return a QBrush that paints a picture over a square of `side` pixels."""
    smooth = QtCore.Qt.TransformationMode.SmoothTransformation
    whole = QtCore.Qt.AspectRatioMode.IgnoreAspectRatio
    return QtGui.QBrush(smooth_image(pixels, side).scaled(side, side, whole, smooth))
