"""Show how often the decoder is right: Accuracy, marks -> scores against chance, the newest verdicts."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore

from .accuracy import Score
from .display_state import DisplayState
from .panel import CENTRE, LEFT, RIGHT, Panel, draw_text
from .theme import Theme, font

__all__ = ["AccuracyView"]

STRIP_HEIGHT = 14
TICK_WIDTH = 7
WIDE = 150  # pixels from which a score has room for the figures of its interval


class AccuracyView(Panel):
    """Running accuracy with its 95 % interval, chance, and one tick per event."""

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Accuracy", state, theme)
        self.setMinimumSize(290, 140)

    def subtitle(self) -> str:
        """Return how many decisions have been scored, and how many could not be."""
        if self.state.is_unmarked:
            return "without markers, no answer can be judged"
        accuracy = self.state.accuracy
        n = accuracy.scores()[0].n
        text = f"{n} decision{'' if n == 1 else 's'} seen here"
        return f"{text}, {accuracy.n_unknown} of other labels" if accuracy.n_unknown else text

    def score_rects(self) -> list[Any]:
        """Return one QRectF per score, side by side."""
        body = self.body()
        n = len(self.state.accuracy.scores())
        width = (body.width() - (n - 1) * 20) / n
        height = min(body.height() - STRIP_HEIGHT - 6, 90.0)
        return [QtCore.QRectF(body.left() + i * (width + 20), body.top(), width, height) for i in range(n)]

    def gauge_rect(self, rect: Any) -> Any:
        """Return the QRectF of the gauge from 0 to 100 % within a score's rectangle."""
        return QtCore.QRectF(rect.left(), rect.bottom() - 26, rect.width(), 6)

    def strip_rect(self) -> Any:
        """Return the QRectF of the newest verdicts."""
        body = self.body()
        return QtCore.QRectF(body.left(), body.bottom() - STRIP_HEIGHT + 4, body.width(), STRIP_HEIGHT)

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the scores and the strip."""
        for rect, score in zip(self.score_rects(), self.state.accuracy.scores(), strict=True):
            self._draw_score(painter, rect, score)
        self._draw_strip(painter)

    def _draw_score(self, painter: Any, rect: Any, score: Score) -> None:
        """Draw a percentage, a gauge with interval and chance, and both in figures."""
        theme = self.theme
        gauge = self.gauge_rect(rect)
        line = QtCore.QRectF(rect.left(), gauge.top() - 36, rect.width(), 30)
        painter.setFont(font(12))
        draw_text(painter, line.adjusted(0, 6, 0, 0), f"top-{score.k}", theme.color("muted"), LEFT)
        value = score.value
        wide = rect.width() >= WIDE
        painter.setFont(font(24 if wide else 18, bold=True))
        draw_text(
            painter,
            line,
            "–" if value is None else f"{100 * value:.1f} %",
            theme.color("text" if score.n else "faint"),
            RIGHT,
        )
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("line"))
        painter.drawRoundedRect(gauge, 3, 3)
        below = QtCore.QRectF(rect.left(), gauge.bottom() + 5, rect.width(), 15)
        painter.setFont(font(10))
        if value is not None:
            low, high = score.interval
            painter.setBrush(theme.blend("accent", 0.35))
            painter.drawRect(
                QtCore.QRectF(gauge.left() + low * gauge.width(), gauge.top(), (high - low) * gauge.width(), 6)
            )
            painter.setBrush(theme.color("accent"))
            x = gauge.left() + value * gauge.width()
            painter.drawRect(QtCore.QRectF(min(max(x - 1.5, gauge.left()), gauge.right() - 3), gauge.top(), 3, 6))
            if wide:
                draw_text(painter, below, f"{100 * low:.1f}–{100 * high:.1f} %", theme.color("muted"), LEFT)
        if score.chance is not None:
            x = gauge.left() + score.chance * gauge.width()
            painter.fillRect(QtCore.QRectF(x - 0.75, gauge.top() - 4, 1.5, 14), theme.color("text"))
            draw_text(painter, below, f"chance {100 * score.chance:.3g} %", theme.color("muted"), RIGHT)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)

    def _draw_strip(self, painter: Any) -> None:
        """Draw a tick per decided event, the newest at the right: high for the best answer, low for a miss."""
        theme, strip = self.theme, self.strip_rect()
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        decided = [mark for mark in self.state.marks if mark.verdict != "pending" and mark.event.label]
        n = int(strip.width() / TICK_WIDTH)
        if not decided and not self.state.is_unmarked:
            painter.setFont(font(11))
            draw_text(painter, strip, "one tick per event will stand here", theme.color("faint"), CENTRE)
        for i, mark in enumerate(reversed(decided[-n:])):
            height, colour = {
                "hit": (1.0, theme.color("accent")),
                "five": (0.55, theme.blend("accent", 0.6)),
                "refused": (0.55, theme.color("trouble")),
            }.get(mark.verdict, (0.2, theme.color("faint")))
            x = strip.right() - (i + 1) * TICK_WIDTH
            tick = STRIP_HEIGHT * height
            painter.fillRect(QtCore.QRectF(x, strip.bottom() - tick, TICK_WIDTH - 2, tick), colour)
