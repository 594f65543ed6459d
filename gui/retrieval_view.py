"""Show what was read from the EEG: Mark -> five labels, pictures, probabilities, or the refusal."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui

from necomimi.records import Refusal, Retrieval

from .accuracy import TOP_K
from .display_state import DisplayState
from .language import tr
from .mark import Mark
from .panel import CENTRE, LEFT, RIGHT, Panel, draw_picture, draw_text, readable
from .reasons import reason_words
from .theme import Theme, font

__all__ = ["RetrievalView"]

FOOT_HEIGHT = 22
MAX_ROW_HEIGHT = 62
SURE_PADDING = 12
FIGURE_WIDTH = 62  # of a percentage
PROVISIONAL = 0.65  # opacity of an answer that is not the last one


class RetrievalView(Panel):
    """The best labels for one event, each with its picture and probability; the right one is in the accent colour.

    A provisional answer is paler, and says how much signal it rests on; a sure one says so.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Read from the EEG", state, theme)
        self.mark: Mark | None = None
        self.setMinimumSize(290, 190)

    @property
    def title(self) -> str:
        """Return the title in the language that is spoken."""
        return tr("Read from the EEG")

    def show_mark(self, mark: Mark | None) -> None:
        """Show what was said of an event."""
        self.mark = mark
        self.update()

    @property
    def decision(self) -> Retrieval | None:
        """The answer on show, if it is none of refusal and silence."""
        answer = None if self.mark is None else self.mark.answer
        return answer if isinstance(answer, Retrieval) else None

    def subtitle(self) -> str:
        """Return what the answer rests on; where that is one whole epoch, how many classes there were."""
        decision, n_classes = self.decision, self.state.accuracy.n_classes
        n_averaged, until = (1, None) if decision is None else (decision.n_averaged, decision.until)
        if until is not None:
            if n_averaged > 1:
                return tr("mean of {n}, after {ms:.0f} ms", n=n_averaged, ms=1e3 * until)
            return tr("after {ms:.0f} ms", ms=1e3 * until)
        if n_averaged > 1:
            return tr("mean of {n} presentations", n=n_averaged)
        return tr("of {n} classes", n=n_classes) if n_classes else ""

    def row_rects(self) -> list[Any]:
        """Return one QRectF per label."""
        decision = self.decision
        if decision is None:
            return []
        body = self.body()
        n_rows = min(len(decision.labels), TOP_K)
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
        """Draw the rows and what became of the right answer, or why there are none."""
        theme, decision = self.theme, self.decision
        if decision is None:
            self._draw_words(painter, body)
            return
        painter.setOpacity(PROVISIONAL if decision.until is not None else 1.0)
        truth = self.state.class_of(decision.event.label)
        for i, (row, label, score) in enumerate(zip(self.row_rects(), decision.labels, decision.scores, strict=False)):
            self._draw_row(painter, row, label, float(score), label == truth, decision.sure and i == 0)
        if truth and truth not in decision.labels[:TOP_K]:
            known = self.state.accuracy.knows(truth)
            name = readable(truth)
            others = tr("{label} is no class of this decoder", label=name)
            remark = tr("{label} is not among these", label=name) if known else others
            painter.setFont(font(11))
            line = QtCore.QRectF(body.left(), body.bottom() - FOOT_HEIGHT + 6, body.width(), FOOT_HEIGHT)
            draw_text(painter, line, remark, theme.color("muted"), LEFT)

    def _draw_words(self, painter: Any, body: Any) -> None:
        """Say that nothing has been decoded, or was refused and why."""
        refusal = None if self.mark is None else self.mark.answer
        if not isinstance(refusal, Refusal):
            painter.setFont(font(12))
            draw_text(painter, body, tr("nothing decoded yet"), self.theme.color("muted"), CENTRE)
            return
        middle = body.center().y()
        painter.setFont(font(16))
        line = QtCore.QRectF(body.left(), middle - 26, body.width(), 24)
        words = tr("refused: {reason}", reason=reason_words(refusal.reason))
        draw_text(painter, line, words, self.theme.color("trouble"), CENTRE)
        painter.setFont(font(12))
        draw_text(painter, line.translated(0, 26), refusal.detail, self.theme.color("muted"), CENTRE)

    def _draw_row(self, painter: Any, row: Any, label: str, score: float, right: bool, sure: bool) -> None:
        """Draw a picture, a label, a percentage, and a bar; a sure label gets that word in the accent colour."""
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
        metrics = QtGui.QFontMetrics(font(11, bold=True))
        sure_width = metrics.horizontalAdvance(tr("sure")) + SURE_PADDING
        words = baseline.adjusted(0, 0, -FIGURE_WIDTH - (sure_width + 8 if sure else 0), 0)
        draw_text(painter, words, text, theme.color("accent" if right else "text"), LEFT)
        if sure:
            left = words.left() + min(painter.fontMetrics().horizontalAdvance(text), words.width()) + 8
            self._draw_sure(painter, QtCore.QRectF(left, words.center().y() - 8, sure_width, 16))
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

    def _draw_sure(self, painter: Any, box: Any) -> None:
        """Announce: the word on a ground of the accent colour."""
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self.theme.color("accent"))
        painter.drawRoundedRect(box, 8, 8)
        painter.setFont(font(11, bold=True))
        draw_text(painter, box, tr("sure"), self.theme.color("panel"), CENTRE)
