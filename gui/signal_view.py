"""Show how good the contact of each electrode is: SignalReport -> head, list of what to do, bars."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from necomimi.signal_quality import Verdict

from .eeg_ring import VOLTS_TO_MICROVOLTS
from .head import disc_of, draw_head, place_in
from .language import tr
from .panel import CENTRE, LEFT, MARGIN, RADIUS, RIGHT, draw_text, draw_words
from .signal_report import VERDICTS, SignalReport, advice, details, listing, verdict_name
from .theme import Theme, font
from .topography import places_on_head

__all__ = ["SignalView"]

HEADLINE = 56
FOOT = 30
BARS = 132
GAP = 8
LEGEND = 26
LINE = 18
TASK_LINE = 16
LEAST_UV, MOST_UV = 0.5, 200.0  # of the bars, whose scale is logarithmic
GRID_UV = (1, 10, 100)
NAMES_FROM = 13  # pixels per bar from which on they have names
NAMES_IN_HEAD = 330  # pixels across the head from which on electrodes have names


class SignalView(QtWidgets.QWidget):
    """A sentence, a head of electrodes, the bad channels with what to do, and each channel's noise as a bar."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.report: SignalReport | None = None
        self.words = tr("looking for the EEG stream")
        self.source = ""
        self._places: dict[int, NDArray[np.float64]] = {}
        self._placed_names: tuple[str, ...] = ()
        self.setMinimumSize(620, 480)
        self.setMouseTracking(True)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def show_report(self, report: SignalReport, source: str) -> None:
        """Show the channels of a stream, named in the corner."""
        names = tuple(channel.name for channel in report.channels)
        if names != self._placed_names:
            self._placed_names, self._places = names, places_on_head(names)
        self.report, self.source = report, source
        self.setAccessibleDescription(report.sentence())
        self.update()

    def show_words(self, words: str) -> None:
        """Say why there is nothing to show."""
        self.report, self.words = None, words
        self.update()

    def rects(self) -> tuple[Any, Any, Any]:
        """Return the QRectF of the cards: head, list, bars."""
        width, height = self.width() - 2 * MARGIN, self.height() - HEADLINE - FOOT - BARS - 2 * GAP
        left = round(width * 0.54)
        head = QtCore.QRectF(MARGIN, HEADLINE, left, height)
        tasks = QtCore.QRectF(MARGIN + left + GAP, HEADLINE, width - left - GAP, height)
        bars = QtCore.QRectF(MARGIN, HEADLINE + height + GAP, width, BARS)
        return head, tasks, bars

    def paintEvent(self, event: Any) -> None:
        """Draw everything."""
        theme = self.theme
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.color("window"))
        head, tasks, bars = self.rects()
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("panel"))
        for card in (head, tasks, bars):
            painter.drawRoundedRect(card, RADIUS, RADIUS)
        self._draw_headline(painter)
        self._draw_foot(painter)
        if self.report is None:
            draw_head(painter, head.adjusted(30, 24, -30, -LEGEND - 10), theme)
        else:
            self._draw_electrodes(painter, head, self.report)
            self._draw_tasks(painter, tasks.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN), self.report)
            self._draw_bars(painter, bars, self.report)
        painter.end()

    def _draw_headline(self, painter: Any) -> None:
        """Draw a dot and the sentence, and which stream it is of."""
        theme, report = self.theme, self.report
        role = "faint" if report is None else "accent" if report.ready else "trouble"
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(theme.color(role))
        painter.drawEllipse(QtCore.QPointF(MARGIN + 10, HEADLINE / 2), 7, 7)
        line = QtCore.QRectF(MARGIN + 28, 0, self.width() - 2 * MARGIN - 28, HEADLINE)
        painter.setFont(font(18, bold=True))
        words = self.words if report is None else report.sentence()
        draw_text(painter, line, words, theme.color("muted" if report is None else "text"))
        line.setLeft(line.left() + painter.fontMetrics().horizontalAdvance(words) + 20)
        painter.setFont(font(11))
        if line.width() > 60:
            draw_text(painter, line, self.source if report is not None else "", theme.color("muted"), RIGHT)

    def _draw_foot(self, painter: Any) -> None:
        """Draw what the keys do."""
        line = QtCore.QRectF(MARGIN, self.height() - FOOT, self.width() - 2 * MARGIN, FOOT)
        painter.setFont(font(11))
        draw_text(painter, line, tr("Space: continue    Q: cancel    T: colours"), self.theme.color("muted"), RIGHT)

    def _draw_electrodes(self, painter: Any, card: Any, report: SignalReport) -> None:
        """Draw the head with a shape for each electrode, and the shapes' meaning below."""
        theme = self.theme
        place = card.adjusted(30, 10, -30, -LEGEND - 8)
        disc = disc_of(place)
        draw_head(painter, place, theme)
        named = disc.width() >= NAMES_IN_HEAD
        size = max(3.0, min(9.0, disc.width() / (5.2 * math.sqrt(max(len(self._places), 1)))))
        painter.setFont(font(9))
        for i, spot in self._places.items():
            channel = report.channels[i]
            point = place_in(disc, spot)
            self._draw_shape(painter, point, size, channel.verdict)
            if named:
                label = QtCore.QRectF(point.x() - 22, point.y() + size, 44, 11)
                role = "muted" if channel.verdict == "good" else "text"
                painter.setPen(theme.color(role))
                painter.drawText(label, CENTRE, channel.name)
        self._draw_legend(painter, card, report)

    def _draw_legend(self, painter: Any, card: Any, report: SignalReport) -> None:
        """Draw each verdict's shape, word and count."""
        line = QtCore.QRectF(card.left() + MARGIN, card.bottom() - LEGEND - 2, card.width() - 2 * MARGIN, LEGEND)
        painter.setFont(font(11))
        words = [f"{verdict_name(verdict)} {len(report.of(verdict))}" for verdict in VERDICTS]
        widths = [16 + painter.fontMetrics().horizontalAdvance(text) for text in words]
        space = min(28.0, (line.width() - sum(widths)) / (len(widths) - 1))
        left = line.left()
        for verdict, text, width in zip(VERDICTS, words, widths, strict=True):
            painter.setOpacity(1.0 if report.of(verdict) else 0.4)
            self._draw_shape(painter, QtCore.QPointF(left + 6, line.center().y()), 5, verdict)
            painter.setOpacity(1.0)
            box = QtCore.QRectF(left + 16, line.top(), width - 14, LEGEND)
            draw_text(painter, box, text, self.theme.color("text" if report.of(verdict) else "faint"), LEFT)
            left += width + space

    def _draw_shape(self, painter: Any, at: Any, size: float, verdict: Verdict) -> None:
        """Draw an electrode: a calm disc where it is good, a form of its own for each trouble."""
        theme = self.theme
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        if verdict == "good":
            painter.setBrush(theme.blend("accent", 0.6))
            painter.drawEllipse(at, 0.8 * size, 0.8 * size)
            return
        painter.setBrush(theme.color("trouble"))
        if verdict == "flat":  # hollow: nothing comes
            painter.setBrush(theme.color("panel"))
            painter.setPen(QtGui.QPen(theme.color("trouble"), 2))
            painter.drawRect(QtCore.QRectF(at.x() - 0.8 * size, at.y() - 0.8 * size, 1.6 * size, 1.6 * size))
        elif verdict == "drift":
            painter.drawRect(QtCore.QRectF(at.x() - 1.2 * size, at.y() - 0.45 * size, 2.4 * size, 0.9 * size))
        else:
            corners = {"mains": (0, 90, 180, 270), "noisy": (0, 120, 240)}[verdict]
            turned = [math.radians(corner) for corner in corners]
            painter.drawPolygon(
                QtGui.QPolygonF(
                    [
                        QtCore.QPointF(at.x() + 1.2 * size * math.sin(a), at.y() - 1.2 * size * math.cos(a))
                        for a in turned
                    ]
                )
            )

    def _draw_tasks(self, painter: Any, body: Any, report: SignalReport) -> None:
        """Draw the bad channels, a paragraph for each kind of trouble with what to do about it."""
        theme = self.theme
        if not report.bad:
            painter.setFont(font(13))
            draw_words(painter, body, tr("nothing to do: every channel is good"), theme.color("muted"))
            return
        kinds = [verdict for verdict in VERDICTS[1:] if report.of(verdict)]
        most_lines = max(1, min(3, int((body.height() / len(kinds) - LINE - 14) / (2 * TASK_LINE))))
        least = len(kinds) * (LINE + 2 + 2 * TASK_LINE * most_lines)
        space = min(12.0, max(2.0, (body.height() - least) / max(len(kinds) - 1, 1)))
        y = body.top()
        for verdict in kinds:
            channels = report.of(verdict)
            self._draw_shape(painter, QtCore.QPointF(body.left() + 6, y + LINE / 2), 5, verdict)
            painter.setFont(font(13, bold=True))
            heading = QtCore.QRectF(body.left() + 20, y, body.width() - 20, LINE)
            draw_text(painter, heading, f"{verdict_name(verdict)} · {len(channels)}", theme.color("text"))
            y += LINE + 2
            painter.setFont(font(12))
            for text, role in ((listing(channels, verdict), "text"), (advice(verdict), "muted")):
                room = QtCore.QRectF(body.left() + 20, y, body.width() - 20, most_lines * TASK_LINE)
                y += _draw_paragraph(painter, room, text, theme.color(role))
            y += space

    def bar_at(self, x: float) -> int | None:
        """Return the channel whose bar lies at a pixel."""
        plot = self._plot()
        n = 0 if self.report is None else len(self.report.channels)
        i = int((x - plot.left()) / plot.width() * n) if n else -1
        return i if 0 <= i < n else None

    def _plot(self) -> Any:
        """Return the QRectF of the bars themselves."""
        card = self.rects()[2]
        return card.adjusted(MARGIN + 26, 26, -MARGIN, -34)

    def _draw_bars(self, painter: Any, card: Any, report: SignalReport) -> None:
        """Draw each channel's rms and, as a line across the bar, its mains, in µV."""
        theme, plot = self.theme, self._plot()
        painter.setFont(font(11))
        title = QtCore.QRectF(card.left() + MARGIN, card.top() + 4, card.width() - 2 * MARGIN, 18)
        draw_text(painter, title, tr("noise of each channel in µV: bar 1–40 Hz, stroke mains"), theme.color("muted"))
        painter.setFont(font(10))
        for level in GRID_UV:
            y = _height(level, plot)
            painter.setPen(QtGui.QPen(theme.color("line"), 1))
            painter.drawLine(QtCore.QPointF(plot.left(), y), QtCore.QPointF(plot.right(), y))
            draw_text(painter, QtCore.QRectF(plot.left() - 34, y - 8, 28, 16), f"{level}", theme.color("muted"), RIGHT)
        step = plot.width() / len(report.channels)
        thick = max(1.0, min(14.0, step - 2))
        for i, channel in enumerate(report.channels):
            middle = plot.left() + (i + 0.5) * step
            top = _height(channel.rms * VOLTS_TO_MICROVOLTS, plot)
            good = channel.verdict == "good"
            colour = theme.blend("accent", 0.6) if good else theme.color("trouble")
            painter.fillRect(QtCore.QRectF(middle - thick / 2, top, thick, plot.bottom() - top), colour)
            mains = _height(channel.mains * VOLTS_TO_MICROVOLTS, plot)
            if mains < plot.bottom():
                painter.fillRect(QtCore.QRectF(middle - thick / 2, mains - 1, thick, 2), theme.color("text"))
            if step >= NAMES_FROM:
                painter.save()
                painter.translate(middle, plot.bottom() + 4)
                painter.rotate(-90)
                painter.setFont(font(9))
                name = QtCore.QRectF(-30, -7, 30, 14)
                draw_text(painter, name, channel.name, theme.color("muted" if good else "text"), RIGHT)
                painter.restore()

    def mouseMoveEvent(self, event: Any) -> None:
        """Say in a tool tip what is known of the channel under the pointer."""
        report, position = self.report, event.position()
        found = None
        if report is not None:
            head, _, bars = self.rects()
            if bars.contains(position):
                found = self.bar_at(position.x())
            elif self._places:
                disc = disc_of(head.adjusted(30, 10, -30, -LEGEND - 8))
                apart = {
                    i: math.hypot(point.x() - position.x(), point.y() - position.y())
                    for i, point in ((i, place_in(disc, spot)) for i, spot in self._places.items())
                }
                nearest = min(apart, key=lambda i: apart[i])
                found = nearest if apart[nearest] < 14 else None
        self.setToolTip("" if found is None or report is None else details(report.channels[found]))


def _draw_paragraph(painter: Any, room: Any, text: str, color: Any) -> float:
    """Draw words on as many lines as `room` has, the last one cut where they are more; return the height they took."""
    layout = QtGui.QTextLayout(text, painter.font())
    layout.beginLayout()
    painter.setPen(color)
    top, n_lines = 0.0, int(room.height() / TASK_LINE)
    while (line := layout.createLine()).isValid():
        line.setLineWidth(room.width())
        rest = QtCore.QRectF(room.left(), room.top() + top, room.width(), TASK_LINE)
        is_last = top + TASK_LINE > (n_lines - 1) * TASK_LINE
        end = len(text) if is_last else line.textStart() + line.textLength()
        draw_text(painter, rest, text[line.textStart() : end].strip(), color, LEFT)
        top += TASK_LINE
        if is_last:
            break
    layout.endLayout()
    return top


def _height(microvolts: float, plot: Any) -> float:
    """Return the pixel of a figure on the logarithmic scale of the bars."""
    share = math.log(max(microvolts, LEAST_UV) / LEAST_UV) / math.log(MOST_UV / LEAST_UV)
    return float(plot.bottom() - min(share, 1.0) * plot.height())
