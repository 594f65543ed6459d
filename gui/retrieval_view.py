"""Show what was read from the EEG: Retrieval -> five labels, pictures, probabilities."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui

from necomimi.records import Retrieval

from .accuracy import TOP_K
from .display_state import DisplayState
from .panel import CENTRE, LEFT, RIGHT, Panel, draw_picture, draw_text, readable
from .theme import Theme, font

__all__ = ["RetrievalView"]

FOOT_HEIGHT = 22
MAX_ROW_HEIGHT = 62


class RetrievalView(Panel):
    """The best labels of one decision, each with its picture and probability; the right one is in the accent colour."""

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Read from the EEG", state, theme)
        self.decision: Retrieval | None = None
        self.setMinimumSize(290, 190)

    def show_decision(self, decision: Retrieval | None) -> None:
        """Show a decision."""
        self.decision = decision
        self.update()

    def subtitle(self) -> str:
        """Return how many classes there were to choose from."""
        n_classes = self.state.accuracy.n_classes
        return f"of {n_classes} classes" if n_classes else ""

    def row_rects(self) -> list[Any]:
        """Return one QRectF per label."""
        if self.decision is None:
            return []
        body = self.body()
        n_rows = min(len(self.decision.labels), TOP_K)
        height = int(min((body.height() - FOOT_HEIGHT) / TOP_K, MAX_ROW_HEIGHT))
        return [QtCore.QRectF(body.left(), body.top() + i * height, body.width(), height) for i in range(n_rows)]

    def bar_rect(self, row: Any) -> Any:
        """Return the QRectF of the probability's bar in a row, at full length."""
        left = row.left() + self._picture_width(row)
        return QtCore.QRectF(left, row.center().y() + max(row.height() * 0.16, 5), row.right() - left, 5)

    def _picture_width(self, row: Any) -> float:
        """Return the pixels that the picture and its margin take at the left of a row."""
        gallery = self.state.gallery
        return row.height() + 4 if gallery is not None and gallery.thumbnails is not None else 0.0

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the rows and what became of the right answer."""
        theme, decision = self.theme, self.decision
        if decision is None:
            painter.setFont(font(12))
            draw_text(painter, body, "nothing decoded yet", theme.color("muted"), CENTRE)
            return
        truth = self.state.class_of(decision.event.label)
        for row, label, score in zip(self.row_rects(), decision.labels, decision.scores, strict=False):
            self._draw_row(painter, row, label, float(score), label == truth)
        if truth not in decision.labels[:TOP_K]:
            known = self.state.accuracy.knows(truth)
            remark = "is not among these" if known else "is no class of this decoder"
            painter.setFont(font(11))
            line = QtCore.QRectF(body.left(), body.bottom() - FOOT_HEIGHT + 6, body.width(), FOOT_HEIGHT)
            draw_text(painter, line, f"{readable(truth)} {remark}", theme.color("muted"), LEFT)

    def _draw_row(self, painter: Any, row: Any, label: str, score: float, right: bool) -> None:
        """Draw a picture, a label, a percentage, and a bar."""
        theme = self.theme
        side = row.height() - 8
        pixels = self.state.thumbnail(label)
        if pixels is not None:
            draw_picture(painter, QtCore.QRectF(row.left(), row.top() + 4, side, side), pixels)
        bar = self.bar_rect(row)
        low = row.height() < 34
        height = 17 if low else 22
        baseline = QtCore.QRectF(bar.left(), bar.top() - height, bar.width(), height - 2)
        painter.setFont(font(12 if low else 13, bold=right))
        draw_text(painter, baseline, f"{100 * score:.1f} %", theme.color("accent" if right else "muted"), RIGHT)
        text = f"{readable(label)}  ✓" if right else readable(label)
        draw_text(painter, baseline.adjusted(0, 0, -62, 0), text, theme.color("accent" if right else "text"), LEFT)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("line"))
        painter.drawRoundedRect(bar, 2.5, 2.5)
        painter.setBrush(theme.color("accent") if right else theme.color("faint"))
        filled = QtCore.QRectF(bar)
        filled.setWidth(bar.width() * min(max(score, 0.0), 1.0))
        clip = QtGui.QPainterPath()
        clip.addRoundedRect(bar, 2.5, 2.5)
        painter.save()
        painter.setClipPath(clip)
        painter.drawRect(filled)
        painter.restore()
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
