"""Show and choose the place in a recording: PlaybackReceiver -> time bar; click, drag -> place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .language import tr
from .panel import CENTRE, LEFT, MARGIN, RADIUS, RIGHT, draw_text
from .playback import PlaybackReceiver
from .theme import Theme, font

__all__ = ["PlaybackBar", "clock_time"]

HEIGHT = 44
SPACE_ABOVE = 8  # as between the panels
TRACK = 4
KNOB = 6.0  # radius
SHORTEST = 60  # pixels of the track, however long the remark


class PlaybackBar(QtWidgets.QWidget):
    """Play or pause, the place, a track, the length, the speed.

    Parameters
    ----------
    playback : PlaybackReceiver
    theme : Theme
    seek : callable
        Goes to a place, in seconds from the beginning.
    """

    def __init__(self, playback: PlaybackReceiver, theme: Theme, seek: Callable[[float], None]) -> None:
        super().__init__()
        self.playback = playback
        self.theme = theme
        self._seek = seek
        self._dragged: float | None = None  # the place below the pointer while the knob is held
        self.setFixedHeight(HEIGHT)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._name()

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def changeEvent(self, event: Any) -> None:
        """Say everything again when the language has changed."""
        if event.type() == QtCore.QEvent.Type.LanguageChange:
            self._name()
            self.update()
        super().changeEvent(event)

    def _name(self) -> None:
        self.setAccessibleName(tr("Playback"))

    def remark(self) -> str:
        """Return what a person must know of the place or the recording."""
        playback = self.playback
        if playback.problem and (playback.is_at_end or not playback.is_playing):
            return tr("damaged from here on")
        if playback.is_at_end:
            return tr("end, cut off in the middle of a message") if playback.file.n_cut else tr("end of the recording")
        return "" if playback.is_playing else tr("paused")

    # -- geometry

    def card_rect(self) -> Any:
        """Return the QRectF of the card."""
        return QtCore.QRectF(self.rect()).adjusted(0, SPACE_ABOVE, 0, 0)

    def button_rect(self) -> Any:
        """Return the QRectF of the button."""
        card = self.card_rect()
        return QtCore.QRectF(card.left() + MARGIN, card.center().y() - 8, 16, 16)

    def track_rect(self) -> Any:
        """Return the QRectF of the track, from the first message to the last."""
        card, metrics = self.card_rect(), QtGui.QFontMetrics(font(12))
        width = metrics.horizontalAdvance(self._longest()) + 12
        left = self.button_rect().right() + 12 + width
        right = card.right() - MARGIN - 44 - width
        if self.remark():
            right -= min(metrics.horizontalAdvance(self.remark()) + 16, max(right - left - SHORTEST, 0))
        return QtCore.QRectF(left, card.center().y() - TRACK / 2, max(right - left, SHORTEST), TRACK)

    def _longest(self) -> str:
        """Return a time as wide as any of this recording."""
        return "".join("0" if letter.isdigit() else letter for letter in clock_time(self.playback.length))

    def place_at(self, x: float) -> float:
        """Return the place below a point, in seconds from the beginning."""
        track = self.track_rect()
        share: float = min(max((x - track.left()) / track.width(), 0.0), 1.0)
        return self.playback.length * share

    # -- mouse

    def mousePressEvent(self, event: Any) -> None:
        """Take the knob, or play or pause."""
        if event.button() != QtCore.Qt.MouseButton.LeftButton:
            return
        track, x = self.track_rect(), event.position().x()
        if x < self.button_rect().right() + 6:
            self.playback.turn()
        elif track.left() - KNOB <= x <= track.right() + KNOB:
            self._dragged = self.place_at(x)
        self.update()

    def mouseMoveEvent(self, event: Any) -> None:
        """Carry the knob along."""
        if self._dragged is not None:
            self._dragged = self.place_at(event.position().x())
            self.update()

    def mouseReleaseEvent(self, event: Any) -> None:
        """Go to where the knob is let go."""
        if self._dragged is not None:
            place, self._dragged = self._dragged, None
            self._seek(place)
            self.update()

    # -- drawing

    def paintEvent(self, event: Any) -> None:
        """Draw the bar."""
        theme, playback = self.theme, self.playback
        card, track = self.card_rect(), self.track_rect()
        place = playback.position if self._dragged is None else self._dragged
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect().adjusted(-1, -1, 1, 1), theme.color("window"))  # see Panel
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("panel"))
        painter.drawRoundedRect(card, RADIUS, RADIUS)
        self._draw_button(painter)

        painter.setBrush(theme.color("line"))
        painter.drawRoundedRect(track, TRACK / 2, TRACK / 2)
        x = track.left() + track.width() * (place / playback.length if playback.length else 1.0)
        painter.setBrush(theme.color("accent"))
        painter.drawRoundedRect(QtCore.QRectF(track.left(), track.top(), x - track.left(), TRACK), 2, 2)
        painter.drawEllipse(QtCore.QPointF(x, track.center().y()), KNOB, KNOB)

        painter.setFont(font(12))
        left = self.button_rect().right() + 12
        box = QtCore.QRectF(left, card.top(), track.left() - 12 - left, card.height())
        draw_text(painter, box, clock_time(place), theme.color("text"), RIGHT)
        box = QtCore.QRectF(track.right() + 12, card.top(), card.right() - MARGIN - track.right() - 12, card.height())
        draw_text(painter, box, clock_time(playback.length), theme.color("muted"), LEFT)
        draw_text(painter, box, f"× {playback.speed:g}", theme.color("text"), RIGHT)
        used = painter.fontMetrics().horizontalAdvance(self._longest()) + 16
        role = "trouble" if playback.problem else "muted"
        draw_text(painter, box.adjusted(used, 0, -44, 0), self.remark(), theme.color(role), CENTRE)
        painter.end()

    def _draw_button(self, painter: Any) -> None:
        """Draw what a press does: two bars to pause, a triangle to play."""
        box = self.button_rect()
        painter.setBrush(self.theme.color("text"))
        if self.playback.is_playing and not self.playback.is_at_end:
            for left in (box.left() + 3, box.left() + 9):
                painter.drawRoundedRect(QtCore.QRectF(left, box.top() + 2, 4, 12), 1, 1)
        else:
            corners = [(3, 1), (14, 8), (3, 15)]
            points = [QtCore.QPointF(box.left() + x, box.top() + y) for x, y in corners]
            painter.drawPolygon(QtGui.QPolygonF(points))


def clock_time(seconds: float) -> str:
    """Return minutes and seconds, with hours where there are any: 83.4 is "1:23"."""
    minutes, second = divmod(int(max(seconds, 0.0)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
