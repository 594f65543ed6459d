"""Show how fast, and what was refused: LatencyHistory, Status -> strip, percentiles, counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyqtgraph.Qt import QtCore, QtGui

from .display_state import DisplayState
from .language import tr
from .latency import TOTAL, step_words
from .panel import CENTRE, LEFT, RIGHT, Panel, draw_text
from .reasons import reason_words
from .theme import Theme, font
from .topography import round_up

__all__ = ["LatencyView"]

STRIP_S = 60.0
LATE_S = 0.5  # age of the newest sample that is worth an alarm
ROW = 19
COLUMN = 44
NAME_WIDTH = 88  # of a step
TABLE_WIDTH = NAME_WIDTH + 3 * COLUMN
COUNTS_WIDTH = 148
NARROW_COUNTS_WIDTH = 116
AXIS_WIDTH = 46
LEAST_STRIP = 80
SPACE = 22


class LatencyView(Panel):
    """Milliseconds per decision over the last minute, percentiles per step, and the decoder's counts."""

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Latency", state, theme)
        self.now = 0.0
        self.setMinimumSize(320, 130)

    @property
    def title(self) -> str:
        """What stands at the left end of the title line."""
        return tr("Latency")

    def advance(self, now: float) -> None:
        """Scroll to `now` (s, LSL clock)."""
        self.now = now
        self.update()

    def subtitle(self) -> str:
        """Return what is measured."""
        return self.fitting(tr("from the last sample needed to the decision"), "")

    def counts_rect(self) -> Any:
        """Return the QRectF of the counts."""
        body = self.body()
        width = COUNTS_WIDTH if body.width() >= TABLE_WIDTH + SPACE + COUNTS_WIDTH else NARROW_COUNTS_WIDTH
        return QtCore.QRectF(body.right() - width, body.top(), width, body.height())

    def table_rect(self) -> Any:
        """Return the QRectF of the percentiles: beside the counts, or at the left where there is no strip."""
        body, right = self.body(), self.counts_rect().left() - SPACE
        room = right - body.left()
        width = min(TABLE_WIDTH, room)
        left = right - width if room >= TABLE_WIDTH + SPACE + AXIS_WIDTH + LEAST_STRIP else body.left()
        return QtCore.QRectF(left, body.top(), width, body.height())

    def strip_rect(self) -> Any:
        """Return the QRectF of the strip, which gives way to the figures: it has no width where there is no room."""
        body = self.body()
        left, right = body.left() + AXIS_WIDTH, self.table_rect().left() - SPACE
        return QtCore.QRectF(left, body.top() + 4, max(right - left, 0.0), body.height() - 22)

    def step_color(self, number: int) -> Any:
        """Return the colour of a step: the accent, paler from step to step."""
        n_steps = max(len(self.state.latency.steps), 1)
        return self.theme.blend("accent", 1.0 - 0.8 * number / n_steps)

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the three parts."""
        strip = self.strip_rect()
        if strip.width() > 0:
            self._draw_strip(painter, strip)
        self._draw_table(painter, self.table_rect())
        self._draw_counts(painter, self.counts_rect())

    def _draw_strip(self, painter: Any, strip: Any) -> None:
        """Draw a bar per decision, its steps one upon the other, and a dash at the total."""
        theme = self.theme
        times, steps, totals = self.state.latency.since(self.now - STRIP_S)
        top_ms = round_up(float(np.percentile(totals, 99)) * 1.1) if len(totals) else 10.0
        painter.setFont(font(10))
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing, False)
        for fraction in (0.0, 0.5, 1.0) if len(totals) else (0.0, 1.0):
            y = strip.bottom() - fraction * strip.height()
            painter.setPen(theme.color("line"))
            painter.drawLine(QtCore.QPointF(strip.left(), y), QtCore.QPointF(strip.right(), y))
            box = QtCore.QRectF(strip.left() - 60, y - 8, 54, 16)
            draw_text(painter, box, f"{fraction * top_ms:g} ms", theme.color("muted"), RIGHT)
        for seconds in (60, 45, 30, 15, 0) if strip.width() > 240 else (60, 30, 0):
            x = strip.right() - seconds / STRIP_S * strip.width()
            text, align = (tr("now"), RIGHT) if seconds == 0 else (tr("−{seconds} s", seconds=seconds), CENTRE)
            left = strip.right() - 60 if seconds == 0 else x - 30
            draw_text(painter, QtCore.QRectF(left, strip.bottom() + 3, 60, 15), text, theme.color("muted"), align)
        if not len(totals):
            painter.setFont(font(12))
            is_first = not len(self.state.latency)
            text = tr("nothing decoded yet") if is_first else tr("nothing decoded in the last minute")
            draw_text(painter, strip, text, theme.color("muted"), CENTRE)
            return
        painter.save()
        painter.setClipRect(strip)
        pixel = strip.height() / top_ms
        lefts = strip.right() - (self.now - times) / STRIP_S * strip.width()
        width = 2.0
        upper = np.nan_to_num(steps).cumsum(axis=1)
        lower = upper - np.nan_to_num(steps)
        for number in range(steps.shape[1]):
            colour = self.step_color(number)
            for x, low, high in zip(lefts, lower[:, number], upper[:, number], strict=True):
                box = QtCore.QRectF(x - width, strip.bottom() - high * pixel, width, (high - low) * pixel)
                painter.fillRect(box, colour)
        painter.setPen(theme.color("text"))
        for x, total in zip(lefts, totals, strict=True):
            y = strip.bottom() - total * pixel
            painter.drawLine(QtCore.QPointF(x - width, y), QtCore.QPointF(x, y))
        painter.restore()

    def _draw_table(self, painter: Any, table: Any) -> None:
        """Draw p50, p95 and p99 of the total and of each step."""
        theme = self.theme
        percentiles = self.state.latency.percentiles()
        n = max(1, min(3, int((table.width() - NAME_WIDTH + 20) / COLUMN)))
        columns = [QtCore.QRectF(table.right() - (n - i) * COLUMN, table.top(), COLUMN, ROW) for i in range(n)]
        painter.setFont(font(11))
        draw_text(painter, QtCore.QRectF(table.left(), table.top(), 90, ROW), "ms", theme.color("muted"), LEFT)
        for box, text in zip(columns, ("p50", "p95", "p99"), strict=False):
            draw_text(painter, box, text, theme.color("muted"), RIGHT)
        n_rows = int((table.height() - ROW) / ROW)
        for i, (name, values) in enumerate(list(percentiles.items())[:n_rows]):
            offset = (i + 1) * ROW
            total = name == TOTAL
            painter.setFont(font(12, bold=total))
            label = QtCore.QRectF(table.left(), table.top() + offset, table.width() - n * COLUMN, ROW)
            swatch = QtCore.QRectF(label.left(), label.center().y() - 4, 8, 8)
            if total:
                painter.fillRect(QtCore.QRectF(swatch.left(), swatch.center().y() - 1, 8, 2), theme.color("text"))
            else:
                painter.fillRect(swatch, self.step_color(self.state.latency.steps.index(name)))
            draw_text(painter, label.adjusted(16, 0, 0, 0), step_words(name), theme.color("text"), LEFT)
            for box, value in zip(columns, values, strict=False):
                draw_text(painter, box.translated(0, offset), _figure(value), theme.color("text"), RIGHT)

    def counts(self) -> list[tuple[str, str, str]]:
        """Return events = retrievals + refusals (by reason) + pending, and more of the decoder: words, figure, role."""
        status = self.state.status
        if status is None:
            return [(tr("events"), "–", "muted")]
        reasons = sorted(status.refusals.items(), key=lambda item: -item[1])
        rows = [
            (tr("events"), f"{status.n_events}", "text"),
            (tr("= retrievals"), f"{status.n_retrievals}", "text"),
            (tr("+ refusals"), f"{status.n_refusals}", "trouble" if status.n_refusals else "text"),
            *((f"    {reason_words(reason)}", f"{n}", "trouble") for reason, n in reasons if n),
        ]
        if status.n_pending:
            rows.append((tr("+ pending"), f"{status.n_pending}", "muted"))
        if status.n_missing:
            rows.append((tr("samples missing"), f"{status.n_missing}", "trouble"))
        if status.lag_s > LATE_S:
            rows.append((tr("newest sample"), tr("{n:.1f} s old", n=status.lag_s), "trouble"))
        if status.n_pictures:
            rows.append((tr("pictures"), f"{status.n_pictures}", "text"))
        return rows

    def _draw_counts(self, painter: Any, counts: Any) -> None:
        """Draw the decoder's counts; where there is no room for all, how many are left out."""
        rows = fit(self.counts(), int(counts.height() / ROW))
        painter.setFont(font(12))
        for i, (name, value, role) in enumerate(rows):
            line = QtCore.QRectF(counts.left(), counts.top() + i * ROW, counts.width(), ROW)
            used = painter.fontMetrics().horizontalAdvance(value) + 8
            draw_text(painter, line.adjusted(0, 0, -used, 0), name, self.theme.color("muted"), LEFT)
            draw_text(painter, line, value, self.theme.color(role), RIGHT)


def fit(rows: list[tuple[str, str, str]], n: int) -> list[tuple[str, str, str]]:
    """Return `n` of some rows at most; in place of those that are left out, how many they are."""
    if len(rows) <= n:
        return rows
    return [*rows[: n - 1], (tr("{n} more", n=len(rows) - n + 1), "…", "muted")] if n > 0 else []


def _figure(value: float) -> str:
    """Return milliseconds with a sensible number of digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
