"""Draw the EEG as it scrolls by: EEGRing, marks -> stacked traces, events, gaps, refused epochs."""

from __future__ import annotations

import math
from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .display_state import DisplayState
from .event_layer import SHADE_S, Labels, Timeline, draw_gaps, draw_marks, draw_refusals, refused_spans
from .gutter import Gutter, name_tip
from .language import tr
from .panel import CENTRE, MARGIN, TITLE_HEIGHT, draw_text
from .rows import Rows, by_region, in_stream_order
from .ruler import AXIS_HEIGHT, draw_scale_bar, draw_seconds
from .scroller import Look, Scroller
from .source import NO_EEG_S
from .theme import Theme, font
from .trace_controls import FIT_AFTER_S, TraceControls

__all__ = ["TraceView"]

THICKNESS = 1.2  # device-independent pixels
SPARE_COLUMNS = 64
MESSAGE_WIDTH = 260
PALE = 0.4  # of a bad channel's trace


class TraceView(TraceControls):
    """All channels of the newest seconds, one above the other, around each one's own mean.

    The keys (`key_help`) change how the signal is shown, and nothing else: what is decoded
    is another process's copy. A click on a channel's name marks it as bad, or takes the mark back.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__(state, theme)
        self.setMouseTracking(True)
        self.setMinimumSize(320, 220)
        self.now = 0.0
        self._labels = Labels(1, 1)
        self._gutter = Gutter()
        self._scroller = Scroller()

    @property
    def title(self) -> str:
        """What stands at the left end of the title line."""
        return tr("EEG")

    def mousePressEvent(self, event: Any) -> None:
        """Mark the channel whose name is clicked as bad, or no longer."""
        name = self.name_at(event.position())
        if name is not None and event.button() == QtCore.Qt.MouseButton.LeftButton:
            self.toggle_bad(name)
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: Any) -> None:
        """Show by the pointer what can be clicked."""
        shape = QtCore.Qt.CursorShape
        self.setCursor(shape.ArrowCursor if self.name_at(event.position()) is None else shape.PointingHandCursor)
        super().mouseMoveEvent(event)

    def event(self, event: Any) -> bool:
        """Say what is below the pointer: a channel's figures, or in the title line what the keys do."""
        if event.type() == QtCore.QEvent.Type.ToolTip:
            QtWidgets.QToolTip.showText(event.globalPos(), self.tip_at(QtCore.QPointF(event.pos())), self)
            return True
        return bool(super().event(event))

    def name_at(self, point: Any) -> str | None:
        """Return the channel whose name is at a QPointF."""
        names = self.state.eeg.info.ch_names if self.state.eeg is not None else ()
        channel = self._gutter.channel_at(point)
        if channel is None or channel >= len(names):  # the names that are drawn may be another stream's
            return None
        return names[channel]

    def tip_at(self, point: Any) -> str:
        """Return the tool tip for a QPointF; "" where there is nothing to say."""
        name = self.name_at(point)
        if name is not None:
            return name_tip(name, self.watch.reasons.get(name, ""), self.watch.qualities.get(name))
        if point.y() < TITLE_HEIGHT:
            lines = (f"<tr><td>{keys}&nbsp;&nbsp;</td><td>{text}</td></tr>" for keys, text in self.key_help())
            return f"<table>{''.join(lines)}</table>"
        return ""

    def advance(self, now: float) -> None:
        """Scroll to `now` (s, LSL clock)."""
        self.now = now
        ring = self.state.eeg
        self.watch.advance(ring, now)
        self.show_settings()
        if ring is None:
            self.scale = None
        elif self.scale is None and ring.n_seen >= FIT_AFTER_S * ring.info.sfreq:
            self.fit()

    # -- geometry

    def subtitle(self) -> str:
        """Return what is done to the signal that is shown, bad channels, scale and window, and where keys are said."""
        ring = self.state.eeg
        if self.scale is None or ring is None:
            return ""
        done = ring.shown.describe()
        n_bad = len(self.watch.reasons)
        words = [tr("display: {what}", what=done)] if done else []
        if n_bad:
            words.append(tr("1 bad channel") if n_bad == 1 else tr("{n} bad channels", n=n_bad))
        words.append(tr("{scale:g} {unit} per row", scale=self.scale, unit=ring.unit))
        words.append(tr("{seconds:g} s", seconds=self.window_s))
        line = "   ·   ".join(words)
        return self.fitting(
            line + "   ·   " + tr("↑↓ scale   ←→ window   A fit   R H L N filters"), line, " · ".join(words)
        )

    def plot_rect(self) -> Any:
        """Return the QRectF of the traces: whole pixels, below the labels, right of the names, above the axis."""
        body = self.body()
        left = MARGIN + self._gutter_width()
        top = int(body.top()) + self._labels.height
        return QtCore.QRectF(left, top, int(body.right()) - left, int(body.bottom()) - AXIS_HEIGHT - top)

    def rows(self) -> Rows:
        """Return how the channels are stacked."""
        names = self.state.eeg.info.ch_names if self.state.eeg is not None else ("",)
        return by_region(names) if self.is_by_region else in_stream_order(len(names))

    def _gutter_width(self) -> int:
        """Return the pixels that the names take."""
        ring = self.state.eeg
        return 0 if ring is None else self._gutter.width(ring.info.ch_names, self.rows(), self.row_height())

    def row_height(self) -> float:
        """Return pixels per channel."""
        return self.rows().height(self.body().height() - AXIS_HEIGHT - self._labels.height)

    # -- drawing

    def paint(self, painter: Any, body: Any) -> None:
        """Draw one frame."""
        ring = self.state.eeg
        if ring is None:
            self._draw_message(painter, body)
            return
        epoch_s = self.state.epoch_s
        start = self.now - self.window_s - (epoch_s[1] if epoch_s else SHADE_S)
        recent = [mark for mark in self.state.marks if start < mark.event.onset <= self.now]
        marks = [mark for mark in recent if mark.event.label]
        second = (body.width() - self._gutter_width()) / self.window_s
        self._labels = Labels.fitting(marks, second, body.height()) or self._labels
        plot = self.plot_rect()
        # The right border is the end of the column that holds `now`; all else is placed from there.
        width = max(1, int(plot.width() * self.devicePixelRatioF()))
        column_s = self.window_s / width
        last_column = math.floor(self.now / column_s)
        timeline = Timeline(plot, (last_column + 1) * column_s, plot.width() / self.window_s)

        draw_seconds(painter, plot, self.window_s, self.theme)
        painter.save()
        painter.setClipRect(plot.adjusted(0, -self._labels.height, 0, 0))
        draw_refusals(painter, timeline, refused_spans(recent, epoch_s), self.theme)
        draw_marks(painter, timeline, marks, self._labels, self.theme)
        draw_gaps(painter, timeline, ring.gaps, self.theme)
        painter.restore()
        if self.scale is not None:
            self._draw_traces(painter, plot, last_column, column_s, width)
            pixels_per_unit = self.rows().height(plot.height()) / self.scale
            draw_scale_bar(painter, plot, pixels_per_unit, ring.unit, self.theme)
        names, reasons = ring.info.ch_names, self.watch.reasons
        bad = {i: reasons[name] for i, name in enumerate(names) if name in reasons} if reasons else {}
        self._gutter.draw(painter, plot, names, self.rows(), bad, self.theme)
        silence = self.state.eeg_silence(self.now)
        if silence is not None and silence > NO_EEG_S and ring.newest is not None:
            empty = QtCore.QRectF(plot)
            empty.setLeft(max(plot.left(), timeline.x(ring.newest)))
            if empty.width() > MESSAGE_WIDTH:
                self._draw_message(painter, empty)

    def _draw_message(self, painter: Any, rect: Any) -> None:
        """Say in the middle why there is nothing to see."""
        source = self.state.source(self.now)
        middle = rect.center().y()
        painter.setFont(font(20))
        colour = self.theme.color("trouble" if source.level == "trouble" else "text")
        draw_text(painter, QtCore.QRectF(rect.left(), middle - 34, rect.width(), 32), source.headline, colour, CENTRE)
        painter.setFont(font(12))
        line = QtCore.QRectF(rect.left(), middle + 2, rect.width(), 22)
        draw_text(painter, line, source.detail, self.theme.color("muted"), CENTRE)

    def _draw_traces(self, painter: Any, plot: Any, last_column: int, column_s: float, width: int) -> None:
        """Draw all channels as one picture."""
        ring = self.state.eeg
        assert ring is not None
        assert self.scale is not None
        ratio = self.devicePixelRatioF()
        height = max(1, int(plot.height() * ratio))
        rows, reasons = self.rows(), self.watch.reasons
        colour = QtGui.QColor(self.theme.trace)
        look = Look(
            width=width,
            height=height,
            centres=tuple(rows.centres(height).tolist()),
            scale=rows.height(height) / self.scale,
            weights=tuple(PALE if name in reasons else 1.0 for name in ring.info.ch_names),
            thickness=THICKNESS * ratio,
            colour=(colour.red(), colour.green(), colour.blue()),
        )
        pixels = self._scroller.draw(ring.outline(column_s, width + SPARE_COLUMNS), last_column, look)
        image = QtGui.QImage(pixels.data, width, height, 4 * width, QtGui.QImage.Format.Format_ARGB32_Premultiplied)
        painter.drawImage(plot, image)
