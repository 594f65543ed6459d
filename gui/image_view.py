"""Show the picture that was seen: Mark -> picture, label."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore

from .display_state import DisplayState
from .language import tr
from .mark import Mark
from .panel import CENTRE, LEFT, MARGIN, Panel, draw_picture, draw_text, draw_words, readable
from .theme import Theme, font

__all__ = ["ATTRIBUTION_HEIGHT", "LABEL_HEIGHT", "MAX_SIDE", "ImageView"]

LABEL_HEIGHT = 30
ATTRIBUTION_HEIGHT = 18
MAX_SIDE = 288  # pixels: a thumbnail three times enlarged
WIDE = 2.0  # body this many times as wide as high: label beside the picture
OLD_S = 2.0


class ImageView(Panel):
    """The picture shown to the person, of the same event as the answer beside it."""

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Shown", state, theme)
        self.mark: Mark | None = None
        self._age = ""
        self.setMinimumSize(176, 130)  # whose the pictures are must be legible

    @property
    def title(self) -> str:
        """Return the title in the language that is spoken."""
        return tr("Shown")

    def show_mark(self, mark: Mark | None) -> None:
        """Show an event."""
        self.mark = mark
        self.update()

    def advance(self, now: float) -> None:
        """Say how old the answer is at `now` (s, LSL clock), once it is old."""
        age = 0.0 if self.mark is None else now - self.mark.answered_at
        text = tr("{n:.0f} s ago", n=age) if age > OLD_S else ""
        if text != self._age:
            self._age = text
            self.update()

    def subtitle(self) -> str:
        """Return the number of the event, and, once it is old and where there is room, its age."""
        if self.mark is None:
            return ""
        event = tr("event {code}", code=self.mark.event.code)
        if not self._age:
            return event
        return self.fitting(f"{event}   ·   " + tr("decoded {age}", age=self._age), f"{event} · {self._age}", event)

    def _is_wide(self) -> bool:
        """Return whether the label stands beside the picture rather than below."""
        body = self.body()
        return bool(body.width() > WIDE * body.height())

    def picture_rect(self) -> Any:
        """Return the QRectF of the picture: a square, in the middle or at the left."""
        body = self.body()
        if self._is_wide():
            return QtCore.QRectF(body.left(), body.top(), int(body.height()), int(body.height()))
        body.setBottom(body.bottom() - LABEL_HEIGHT - (ATTRIBUTION_HEIGHT if self.state.attribution else 0))
        side = int(min(body.width(), body.height(), MAX_SIDE))
        return QtCore.QRectF(int(body.center().x() - side / 2), int(body.center().y() - side / 2), side, side)

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the picture, its label, and whose it is."""
        theme = self.theme
        if self.mark is None or not self.mark.event.label:
            unknown = tr("no markers: what is seen is not known")
            words = tr("nothing decoded yet") if self.mark is None else unknown
            painter.setFont(font(12))
            draw_words(painter, body, words, theme.color("muted"))
            return
        label = readable(self.state.class_of(self.mark.event.label))
        pixels = self.state.thumbnail(self.mark.event.label)
        if pixels is None:
            painter.setFont(font(22, bold=True))
            draw_text(painter, body, label, theme.color("text"), CENTRE)
            return
        picture = self.picture_rect()
        draw_picture(painter, picture, pixels)
        if self._is_wide():
            align, left = LEFT, picture.right() + MARGIN
            name = QtCore.QRectF(left, picture.center().y() - LABEL_HEIGHT / 2, body.right() - left, LABEL_HEIGHT)
        else:
            align, left = CENTRE, body.left()
            name = QtCore.QRectF(left, picture.bottom() + 6, body.width(), LABEL_HEIGHT - 6)
        painter.setFont(font(15, bold=True))
        draw_text(painter, name, label, theme.color("text"), align)
        painter.setFont(font(10))
        line = QtCore.QRectF(left, body.bottom() - ATTRIBUTION_HEIGHT + 4, body.right() - left, ATTRIBUTION_HEIGHT)
        draw_text(painter, line, self.state.attribution, theme.color("muted"), align)
