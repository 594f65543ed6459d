"""Tell the person at the screen what was done: words -> a line at the bottom, for a few seconds."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .panel import CENTRE, MARGIN, RADIUS, draw_text
from .theme import Theme, font

__all__ = ["Notice"]

HEIGHT = 34
SPACE_BELOW = 60  # it leaves the time bar of a recording free
SHOWN_MS = 5000


class Notice(QtWidgets.QWidget):
    """A line that lies over its parent; gone after a while, or when it is clicked.

    Parameters
    ----------
    parent : QWidget
    theme : Theme
    """

    def __init__(self, parent: Any, theme: Theme) -> None:
        super().__init__(parent)
        self.theme = theme
        self.words = ""
        self._role = "text"
        self._timer = QtCore.QTimer(self, interval=SHOWN_MS, singleShot=True, timeout=self.hide)
        self.hide()
        parent.installEventFilter(self)

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def say(self, words: str, *, is_trouble: bool = False) -> None:
        """Show a line."""
        self.words, self._role = words, "trouble" if is_trouble else "text"
        self.setAccessibleName(words)
        self.place()
        self.show()
        self.raise_()
        self._timer.start()

    def place(self) -> None:
        """Lie at the bottom of the parent, in the middle, as wide as the words."""
        around = self.parentWidget().rect()
        wanted = QtGui.QFontMetrics(font(13)).horizontalAdvance(self.words) + 2 * MARGIN
        width = min(wanted, around.width() - 2 * MARGIN)
        self.setGeometry((around.width() - width) // 2, around.height() - HEIGHT - SPACE_BELOW, width, HEIGHT)
        self.update()

    def eventFilter(self, parent: Any, event: Any) -> bool:
        """Stay at the bottom."""
        if event.type() == QtCore.QEvent.Type.Resize:
            self.place()
        return False

    def mousePressEvent(self, event: Any) -> None:
        """Go."""
        self.hide()

    def paintEvent(self, event: Any) -> None:
        """Draw the line."""
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(self.theme.color("line"))
        painter.setBrush(self.theme.color("panel"))
        box = QtCore.QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(box, RADIUS, RADIUS)
        painter.setFont(font(13))
        draw_text(painter, box.adjusted(MARGIN - 1, 0, 1 - MARGIN, 0), self.words, self.theme.color(self._role), CENTRE)
        painter.end()
