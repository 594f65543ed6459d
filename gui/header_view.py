"""Say in one line what is being watched: DisplayState -> state of the stream in words."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .display_state import DisplayState
from .panel import LEFT, MARGIN, RIGHT, draw_text
from .theme import Theme, font

__all__ = ["HeaderView"]

HEIGHT = 40


class HeaderView(QtWidgets.QWidget):
    """The name of the program, a dot and words for the state of the source, and what else must be said."""

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__()
        self.state = state
        self.theme = theme
        self.now = 0.0
        self.n_lost = 0
        self.setFixedHeight(HEIGHT)

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def advance(self, now: float, n_lost: int) -> None:
        """Describe the state at `now` (s, LSL clock); `n_lost` records were dropped or refused on their way here."""
        self.now = now
        self.n_lost = n_lost
        self.update()

    def remarks(self) -> str:
        """Return what stands at the right: a contradiction or a loss if there is one, else the feed's address."""
        if self.n_lost:
            return f"{self.n_lost} records were lost on the way to this window"
        return self.state.notice or self.state.address

    def dot_rect(self) -> Any:
        """Return the QRectF of the dot."""
        painter_font = QtGui.QFontMetrics(font(15, bold=True))
        return QtCore.QRectF(MARGIN + painter_font.horizontalAdvance("necomimi") + 20, HEIGHT / 2 - 5, 10, 10)

    def paintEvent(self, event: Any) -> None:
        """Draw the line."""
        theme = self.theme
        source = self.state.source(self.now)
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.color("window"))
        line = QtCore.QRectF(self.rect()).adjusted(MARGIN, 0, -MARGIN, 0)
        painter.setFont(font(15, bold=True))
        draw_text(painter, line, "necomimi", theme.color("text"))
        role = {"live": "accent", "trouble": "trouble", "waiting": "faint"}[source.level]
        dot = self.dot_rect()
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.color(role))
        painter.drawEllipse(dot)
        painter.setFont(font(11))
        remarks = self.remarks()
        warns = bool(self.n_lost or self.state.notice)
        n_remarks = min(painter.fontMetrics().horizontalAdvance(remarks) + 2, line.width() / 2)
        right = QtCore.QRectF(line.right() - n_remarks, 0, n_remarks, HEIGHT)
        draw_text(painter, right, remarks, theme.color("trouble" if warns else "muted"), RIGHT)
        painter.setFont(font(13, bold=True))
        left = dot.right() + 8
        draw_text(
            painter,
            QtCore.QRectF(left, 0, right.left() - left - 10, HEIGHT),
            source.headline,
            theme.color("trouble" if source.level == "trouble" else "text"),
            LEFT,
        )
        left += painter.fontMetrics().horizontalAdvance(source.headline) + 12
        painter.setFont(font(12))
        rest = QtCore.QRectF(left, 0, right.left() - left - 10, HEIGHT)
        if rest.width() > 40:
            draw_text(painter, rest, source.detail, theme.color("muted"), LEFT)
        painter.end()
