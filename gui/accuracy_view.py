"""Show how often the decoder is right: Accuracy, marks -> scores, by repetitions, calibration, newest verdicts."""

from __future__ import annotations

from typing import Any, Literal

from pyqtgraph.Qt import QtCore

from .accuracy import Score
from .calibration_chart import draw_calibration
from .display_state import DisplayState
from .language import tr
from .panel import CENTRE, LEFT, MARGIN, RIGHT, TITLE_HEIGHT, Panel, draw_text
from .repetitions_chart import draw_repetitions
from .theme import Theme, font

__all__ = ["AccuracyView"]

Page = Literal["scores", "repetitions", "calibration"]

STRIP_HEIGHT = 14
TICK_WIDTH = 7
WIDE = 150  # pixels from which a score has room for the figures of its interval
PAGE_WIDTH = 270  # a page needs, to stand beside others
PAGE_HEIGHT = 96  # or above others
PAGE_SPACE = 24
PAGE_TITLE = 20
DOT_PITCH = 16


class AccuracyView(Panel):
    """Running accuracy with its 95 % interval, chance, and one tick per event; by repetitions; calibration.

    The dots beside the title, or `turn`, change the page; where there is room all pages stand side by side.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Accuracy", state, theme)
        self._page: Page = "scores"
        self.setMinimumSize(290, 140)

    # -- pages

    def pages(self) -> tuple[Page, ...]:
        """Return the pages that have something to say: repetitions once answers rest on different numbers of them."""
        if self.state.is_unmarked:
            return ("scores",)
        if len(self.state.accuracy.by_repetitions()) > 1:
            return ("scores", "repetitions", "calibration")
        return ("scores", "calibration")

    @property
    def page(self) -> Page:
        """The page that is on show where only one has room."""
        return self._page if self._page in self.pages() else "scores"

    def turn(self, page: Page | None = None) -> None:
        """Turn to a page; by default to the next one."""
        pages = self.pages()
        self._page = page or pages[(pages.index(self.page) + 1) % len(pages)]
        self.update()

    def page_rects(self) -> dict[Page, Any]:
        """Return the QRectF of each page on show: all side by side, or one above the other, or one."""
        body, pages = self.body(), self.pages()
        n = len(pages)
        width = (body.width() - (n - 1) * PAGE_SPACE) / n
        height = (body.height() - (n - 1) * PAGE_SPACE) / n
        if n > 1 and width >= PAGE_WIDTH:
            place, size = (width + PAGE_SPACE, 0.0), (width, body.height())
        elif n > 1 and height >= PAGE_HEIGHT + PAGE_TITLE:
            place, size = (0.0, height + PAGE_SPACE), (body.width(), height)
        else:
            return {self.page: body}
        rects = {}
        for i, page in enumerate(pages):
            rect = QtCore.QRectF(body.left() + i * place[0], body.top() + i * place[1], *size)
            rects[page] = rect if page == "scores" else rect.adjusted(0, PAGE_TITLE, 0, 0)  # the panel's title is its
        return rects

    def dot_rects(self) -> dict[Page, Any]:
        """Return the QRectF in which a click turns to a page; none where all are on show."""
        pages = self.pages()
        if len(self.page_rects()) == len(pages):
            return {}
        left = MARGIN + super().title_width() + 8
        return {page: QtCore.QRectF(left + i * DOT_PITCH, 0, DOT_PITCH, TITLE_HEIGHT) for i, page in enumerate(pages)}

    def mousePressEvent(self, event: Any) -> None:
        """Turn to the page whose dot is clicked."""
        for page, rect in self.dot_rects().items():
            if rect.contains(event.position()):
                self.turn(page)
                return
        super().mousePressEvent(event)

    @property
    def title(self) -> str:
        """Return the name of the page, or of all."""
        return _page_words("scores" if len(self.page_rects()) > 1 else self.page)

    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Return the key and what it does."""
        return (("C", tr("next page: scores, repetitions, calibration")),)

    def title_width(self) -> float:
        """Return the pixels that the title and the dots take."""
        return super().title_width() + (8 + DOT_PITCH * len(self.pages()) if self.dot_rects() else 0)

    def subtitle(self) -> str:
        """Return how many decisions have been scored, and how many could not be."""
        if self.state.is_unmarked:
            return tr("without markers, no answer can be judged")
        accuracy = self.state.accuracy
        n, m = accuracy.scores()[0].n, accuracy.n_unknown
        text = tr("1 decision seen here") if n == 1 else tr("{n} decisions seen here", n=n)
        short = tr("1 decision") if n == 1 else tr("{n} decisions", n=n)
        return self.fitting(text + tr(", {n} of other labels", n=m) if m else text, text, short)

    # -- the page of scores

    def _scores_rect(self) -> Any:
        return self.page_rects().get("scores", self.body())

    def score_rects(self) -> list[Any]:
        """Return one QRectF per score, side by side."""
        body = self._scores_rect()
        n = len(self.state.accuracy.scores())
        width = (body.width() - (n - 1) * 20) / n
        height = min(body.height() - STRIP_HEIGHT - 6, 90.0)
        return [QtCore.QRectF(body.left() + i * (width + 20), body.top(), width, height) for i in range(n)]

    def gauge_rect(self, rect: Any) -> Any:
        """Return the QRectF of the gauge from 0 to 100 % within a score's rectangle."""
        return QtCore.QRectF(rect.left(), rect.bottom() - 26, rect.width(), 6)

    def strip_rect(self) -> Any:
        """Return the QRectF of the newest verdicts."""
        body = self._scores_rect()
        return QtCore.QRectF(body.left(), body.bottom() - STRIP_HEIGHT + 4, body.width(), STRIP_HEIGHT)

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the pages that have room, and the dots."""
        rects = self.page_rects()
        for page, rect in rects.items():
            if len(rects) > 1 and page != "scores":
                painter.setFont(font(11, bold=True))
                title = QtCore.QRectF(rect.left(), rect.top() - PAGE_TITLE, rect.width(), PAGE_TITLE - 4)
                draw_text(painter, title, _page_words(page), self.theme.color("muted"), LEFT)
            if page == "repetitions":
                draw_repetitions(painter, rect, self.state.accuracy, self.theme)
            elif page == "calibration":
                draw_calibration(painter, rect, self.state.accuracy.reliability, self.theme)
            else:
                for place, score in zip(self.score_rects(), self.state.accuracy.scores(), strict=True):
                    self._draw_score(painter, place, score)
                self._draw_strip(painter)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        for page, dot in self.dot_rects().items():
            painter.setBrush(self.theme.color("accent" if page == self.page else "faint"))
            painter.drawEllipse(dot.center(), 3.5, 3.5)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)

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
            painter.fillRect(QtCore.QRectF(round(x) - 1, gauge.top() - 4, 2, 14), theme.color("text"))
            draw_text(painter, below, tr("chance {n:.3g} %", n=100 * score.chance), theme.color("muted"), RIGHT)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)

    def _draw_strip(self, painter: Any) -> None:
        """Draw a tick per decided event, the newest at the right: high for the best answer, low for a miss."""
        theme, strip = self.theme, self.strip_rect()
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        decided = [mark for mark in self.state.marks if mark.verdict != "pending" and mark.event.label]
        n = int(strip.width() / TICK_WIDTH)
        if not decided and not self.state.is_unmarked:
            painter.setFont(font(11))
            draw_text(painter, strip, tr("one tick per event will stand here"), theme.color("faint"), CENTRE)
        for i, mark in enumerate(reversed(decided[-n:])):
            height, colour = {
                "hit": (1.0, theme.color("accent")),
                "five": (0.55, theme.blend("accent", 0.6)),
                "refused": (0.55, theme.color("trouble")),
            }.get(mark.verdict, (0.2, theme.color("faint")))
            x = strip.right() - (i + 1) * TICK_WIDTH
            tick = STRIP_HEIGHT * height
            painter.fillRect(QtCore.QRectF(x, strip.bottom() - tick, TICK_WIDTH - 2, tick), colour)


def _page_words(page: Page) -> str:
    """Return the name of a page."""
    match page:
        case "scores":
            return tr("Accuracy")
        case "repetitions":
            return tr("Repetitions")
        case "calibration":
            return tr("Calibration")
