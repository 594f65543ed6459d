"""Say what is being watched, and what needs a person: DisplayState -> state of the stream, warnings, in words."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .display_state import DisplayState
from .language import tr
from .panel import LEFT, MARGIN, RADIUS, RIGHT, draw_text
from .theme import Theme, font

__all__ = ["HeaderView"]

HEIGHT = 40
WARNING_HEIGHT = 22
WARNING_MARGIN = 4
SPACE_BELOW = 8  # as between the panels
MAX_WARNINGS = 4
SPACE = 12  # between the parts of the line
LEAST_DETAIL = 40  # pixels: details that are cut shorter say nothing


class HeaderView(QtWidgets.QWidget):
    """The name of the program, a dot and words for the state of the source, the feed; below, a line per warning."""

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__()
        self.state = state
        self.theme = theme
        self.now = 0.0
        self.n_lost = 0
        self.problem = ""
        self.setFixedHeight(HEIGHT)

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def advance(self, now: float, n_lost: int, problem: str = "") -> None:
        """Describe the state at `now` (s, LSL clock).

        On their way here, `n_lost` records were dropped or refused; `problem` is what the receiver says is wrong.
        """
        self.now = now
        self.n_lost = n_lost
        self.problem = problem
        n_warnings = len(self.warnings())
        height = HEIGHT + (n_warnings * WARNING_HEIGHT + 2 * WARNING_MARGIN + SPACE_BELOW if n_warnings else 0)
        if height != self.height():
            self.setFixedHeight(height)
        self.update()

    def warnings(self) -> list[str]:
        """Return what needs a person: what the decoder warns of, and what this window finds wrong."""
        return ["   ".join(part for part in line if part) for line in self._lines()]

    def _lines(self) -> list[tuple[str, str]]:
        """Return the warnings, a line each, and what stands at the right end of it: how many have no line."""
        found = self.state.warnings(self.now)
        if self.n_lost:
            found.append(tr("{n} records were lost on the way to this window", n=self.n_lost))
        if self.problem:
            found.append(self.problem)
        lines = [(warning, "") for warning in found[:MAX_WARNINGS]]
        if len(found) > MAX_WARNINGS:
            lines[-1] = (lines[-1][0], tr("(and {n} more)", n=len(found) - MAX_WARNINGS))
        return lines

    def warnings_rect(self) -> Any:
        """Return the QRectF of the ground that the warnings stand on."""
        return QtCore.QRectF(0, HEIGHT, self.width(), self.height() - HEIGHT - SPACE_BELOW)

    def dot_rect(self) -> Any:
        """Return the QRectF of the dot."""
        painter_font = QtGui.QFontMetrics(font(15, bold=True))
        return QtCore.QRectF(MARGIN + painter_font.horizontalAdvance("necomimi") + 20, HEIGHT / 2 - 5, 10, 10)

    def paintEvent(self, event: Any) -> None:
        """Draw the line and the warnings."""
        theme = self.theme
        source = self.state.source(self.now)
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.color("window"))
        line = QtCore.QRectF(MARGIN, 0, self.width() - 2 * MARGIN, HEIGHT)
        painter.setFont(font(15, bold=True))
        draw_text(painter, line, "necomimi", theme.color("text"))
        role = {"live": "accent", "trouble": "trouble", "waiting": "faint"}[source.level]
        dot = self.dot_rect()
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.color(role))
        painter.drawEllipse(dot)
        left = dot.right() + 8
        painter.setFont(font(13, bold=True))
        headline = QtCore.QRectF(left, 0, line.right() - left, HEIGHT)
        colour = theme.color("trouble" if source.level == "trouble" else "text")
        draw_text(painter, headline, source.headline, colour, LEFT)
        left += painter.fontMetrics().horizontalAdvance(source.headline) + SPACE
        painter.setFont(font(11))
        width = min(painter.fontMetrics().horizontalAdvance(self.state.address) + 2, line.width() / 3)
        right = QtCore.QRectF(line.right() - width, 0, width, HEIGHT)
        if right.left() < left:  # the state of the source comes first
            right.setLeft(line.right())
        else:
            draw_text(painter, right, self.state.address, theme.color("muted"), RIGHT)
        painter.setFont(font(12))
        rest = QtCore.QRectF(left, 0, right.left() - left - SPACE, HEIGHT)
        if rest.width() > LEAST_DETAIL:
            draw_text(painter, rest, source.detail, theme.color("muted"), LEFT)
        self._draw_warnings(painter)
        painter.end()

    def _draw_warnings(self, painter: Any) -> None:
        """Draw a line per warning on one ground of the trouble colour, thinned."""
        theme, ground, lines = self.theme, self.warnings_rect(), self._lines()
        if not lines:
            return
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.blend("trouble", 0.16))
        painter.drawRoundedRect(ground, RADIUS, RADIUS)
        painter.setBrush(theme.color("trouble"))
        painter.drawRoundedRect(QtCore.QRectF(ground.left(), ground.top(), 4, ground.height()), 2, 2)
        painter.setFont(font(13))
        left = ground.left() + MARGIN
        for i, (warning, more) in enumerate(lines):
            top = ground.top() + WARNING_MARGIN + i * WARNING_HEIGHT
            line = QtCore.QRectF(left, top, ground.right() - left - MARGIN, WARNING_HEIGHT)
            draw_text(painter, line, more, theme.color("muted"), RIGHT)
            if more:
                line.setRight(line.right() - painter.fontMetrics().horizontalAdvance(more) - MARGIN)
            draw_text(painter, line, warning, theme.color("text"), LEFT)
