"""Draw the EEG as it scrolls by: EEGRing, marks -> stacked traces, events, gaps, refused epochs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pyqtgraph.Qt import QtCore, QtGui

from .display_state import NO_EEG_S, DisplayState
from .event_layer import SHADE_S, Labels, Timeline, draw_gaps, draw_marks, draw_refusals, refused_spans
from .language import tr
from .panel import CENTRE, MARGIN, RIGHT, Panel, draw_text
from .raster import coverage
from .theme import Theme, font

__all__ = ["SCALES", "WINDOWS_S", "TraceView"]

SCALES = tuple(round(m * 10.0**e, 6) for e in range(-2, 5) for m in (1, 2, 5))  # unit per channel row
WINDOWS_S = (5.0, 10.0, 20.0)
DEVIATIONS = (
    2.0,
    4.0,
)  # a fitted row is this many standard deviations high: narrow rows may overlap, high ones need not
HIGH_ROW = 40  # pixels
FIT_AFTER_S = 2.0
AXIS_HEIGHT = 22
THICKNESS = 1.2  # device-independent pixels
SPARE_COLUMNS = 64
MESSAGE_WIDTH = 260


class TraceView(Panel):
    """All channels of the newest seconds, one above the other, around each one's own mean.

    Up and Down or the wheel change the scale, Left and Right the window, A fits the scale to the signal.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("EEG", state, theme)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(320, 220)
        self.window_s = 10.0
        self.scale: float | None = None  # unit per channel row; None until it has been fitted
        self.now = 0.0
        self._wheel = 0
        self._pixels = np.zeros((1, 1), dtype=np.uint32)
        self._labels = Labels(1, 1)

    # -- controls

    def zoom(self, steps: int) -> None:
        """Show the traces larger (positive) or smaller by steps of 1, 2, 5."""
        if self.scale is not None:
            nearest = int(np.argmin([abs(math.log(self.scale / scale)) for scale in SCALES]))
            self.scale = SCALES[min(max(nearest - steps, 0), len(SCALES) - 1)]
            self.update()

    def widen(self, steps: int) -> None:
        """Show more (positive) or fewer seconds."""
        place = WINDOWS_S.index(self.window_s) + steps
        self.window_s = WINDOWS_S[min(max(place, 0), len(WINDOWS_S) - 1)]
        self.update()

    def fit(self) -> None:
        """Choose the scale from the signal of the last seconds."""
        ring = self.state.eeg
        amplitude = None if ring is None else ring.amplitude(FIT_AFTER_S)
        if amplitude is not None:
            deviations = np.interp(self._row_height(), (0, HIGH_ROW), DEVIATIONS)
            self.scale = next((s for s in SCALES if s >= deviations * amplitude), SCALES[-1])
            self.update()

    def keyPressEvent(self, event: Any) -> None:
        """Change scale or window."""
        key = QtCore.Qt.Key
        actions = {
            key.Key_Up: (self.zoom, 1),
            key.Key_Down: (self.zoom, -1),
            key.Key_Left: (self.widen, 1),
            key.Key_Right: (self.widen, -1),
        }
        if event.key() in actions:
            action, steps = actions[event.key()]
            action(steps)
        elif event.key() == key.Key_A:
            self.fit()
        else:
            super().keyPressEvent(event)

    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Return the keys and what each does."""
        return (
            ("↑ ↓", tr("larger or smaller traces (or the wheel)")),
            ("← →", tr("more or fewer seconds")),
            ("A", tr("fit the scale to the signal")),
        )

    def wheelEvent(self, event: Any) -> None:
        """Change the scale, one step a notch."""
        self._wheel += event.angleDelta().y()
        notches = int(self._wheel / 120)
        self._wheel -= 120 * notches
        if notches:
            self.zoom(notches)
        event.accept()

    def advance(self, now: float) -> None:
        """Scroll to `now` (s, LSL clock)."""
        self.now = now
        ring = self.state.eeg
        if ring is None:
            self.scale = None
        elif self.scale is None and ring.n_seen >= FIT_AFTER_S * ring.info.sfreq:
            self.fit()
        self.update()

    # -- geometry

    def subtitle(self) -> str:
        """Return scale, window, and the keys."""
        keys = "↑↓ scale   ←→ window   A fit   T theme"
        if self.scale is None or self.state.eeg is None:
            return keys
        return f"{self.scale:g} {self.state.eeg.unit} per row   ·   {self.window_s:g} s   ·   {keys}"

    def plot_rect(self) -> Any:
        """Return the QRectF of the traces: whole pixels, below the labels, right of the names, above the axis."""
        body = self.body()
        left = MARGIN + self._gutter()
        top = int(body.top()) + self._labels.height
        return QtCore.QRectF(left, top, int(body.right()) - left, int(body.bottom()) - AXIS_HEIGHT - top)

    def _gutter(self) -> int:
        """Return the width of the channel names, in pixels: two columns where the rows are narrow."""
        ring = self.state.eeg
        if ring is None:
            return 0
        metrics = QtGui.QFontMetrics(font(10))
        widest = max(metrics.horizontalAdvance(name) for name in ring.info.ch_names)
        return min(widest, 64) * (2 if self._row_height() < 11 else 1) + 14

    def _row_height(self) -> float:
        """Return pixels per channel, before the labels take theirs."""
        ring = self.state.eeg
        return (self.body().height() - AXIS_HEIGHT) / (len(ring.info.ch_names) if ring is not None else 1)

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
        second = (body.width() - self._gutter()) / self.window_s
        self._labels = Labels.fitting(marks, second, body.height()) or self._labels
        plot = self.plot_rect()
        # The right border is the end of the column that holds `now`; all else is placed from there.
        width = max(1, int(plot.width() * self.devicePixelRatioF()))
        column_s = self.window_s / width
        last_column = math.floor(self.now / column_s)
        timeline = Timeline(plot, (last_column + 1) * column_s, plot.width() / self.window_s)

        self._draw_grid(painter, plot, timeline.second)
        painter.save()
        painter.setClipRect(plot.adjusted(0, -self._labels.height, 0, 0))
        draw_refusals(painter, timeline, refused_spans(recent, epoch_s), self.theme)
        draw_marks(painter, timeline, marks, self._labels, self.theme)
        draw_gaps(painter, timeline, ring.gaps, self.theme)
        painter.restore()
        if self.scale is not None:
            self._draw_traces(painter, plot, last_column, column_s, width)
            self._draw_scale_bar(painter, plot)
        self._draw_names(painter, plot)
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

    def _draw_grid(self, painter: Any, plot: Any, second: float) -> None:
        """Draw a line per second (or two), and the axis: seconds before now."""
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing, False)
        painter.setFont(font(10))
        step = 1 if second >= 40 else 2
        for seconds in range(0, int(self.window_s) + 1, step):
            x = plot.right() - seconds * second
            painter.setPen(self.theme.blend("line", 0.6))
            painter.drawLine(QtCore.QPointF(x, plot.top()), QtCore.QPointF(x, plot.bottom()))
            text = "now" if seconds == 0 else f"−{seconds} s"
            box = QtCore.QRectF(x - 30, plot.bottom() + 4, 60, AXIS_HEIGHT - 4)
            if box.right() > plot.right():
                draw_text(
                    painter, box.translated(plot.right() - box.right(), 0), text, self.theme.color("muted"), RIGHT
                )
            else:
                draw_text(painter, box, text, self.theme.color("muted"), CENTRE)
        painter.setPen(self.theme.color("line"))
        painter.drawLine(plot.bottomLeft(), plot.bottomRight())

    def _draw_traces(self, painter: Any, plot: Any, last_column: int, column_s: float, width: int) -> None:
        """Draw all channels as one picture."""
        ring = self.state.eeg
        assert ring is not None
        assert self.scale is not None
        ratio = self.devicePixelRatioF()
        height = max(1, int(plot.height() * ratio))
        low, high = ring.outline(column_s, width + SPARE_COLUMNS).read(last_column - width + 1, width)
        known = ~np.isnan(low)
        n_known = np.maximum(known.sum(axis=1), 1)
        mean = np.where(known, low + high, 0).sum(axis=1) / (2 * n_known)
        row = height / len(low)
        centre = (np.arange(len(low)) + 0.5)[:, None] * row
        top = centre - (high - mean[:, None]) * (row / self.scale)
        bottom = centre - (low - mean[:, None]) * (row / self.scale)
        colour = QtGui.QColor(self.theme.trace)
        self._pixels = _ramp(colour.red(), colour.green(), colour.blue())[
            coverage(top, bottom, height, THICKNESS * ratio)
        ]
        image = QtGui.QImage(
            self._pixels.data, width, height, 4 * width, QtGui.QImage.Format.Format_ARGB32_Premultiplied
        )
        painter.drawImage(plot, image)

    def _draw_names(self, painter: Any, plot: Any) -> None:
        """Write the channel names beside their rows; narrow rows take turns on two columns, or leave some out."""
        ring = self.state.eeg
        assert ring is not None
        names = ring.info.ch_names
        row = plot.height() / len(names)
        n_columns = 2 if self._row_height() < 11 else 1
        every = max(1, math.ceil(10 / (row * n_columns)))
        width = (plot.left() - MARGIN - 10) / n_columns
        painter.setFont(font(10))
        for i in range(0, len(names), every):
            left = plot.left() - 8 - width * (1 + (i // every) % n_columns)
            box = QtCore.QRectF(left, plot.top() + (i + 0.5) * row - 7, width, 14)
            draw_text(painter, box, names[i], self.theme.color("muted"), RIGHT)

    def _draw_scale_bar(self, painter: Any, plot: Any) -> None:
        """Draw a bar of a round number of units, a few millimetres high, at the right."""
        ring = self.state.eeg
        assert ring is not None
        assert self.scale is not None
        pixels_per_unit = plot.height() / len(ring.info.ch_names) / self.scale
        size = next((s for s in SCALES if s * pixels_per_unit >= 24), SCALES[-1])
        text = f"{size:g} {ring.unit}"
        painter.setFont(font(11, bold=True))
        text_width = painter.fontMetrics().horizontalAdvance(text)
        bottom = plot.bottom() - 10
        box = QtCore.QRectF(plot.right() - text_width - 26, bottom - size * pixels_per_unit - 4, text_width + 22, 0)
        box.setBottom(bottom + 4)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self.theme.color("panel", 0.85))
        painter.drawRoundedRect(box, 4, 4)
        bar = QtCore.QRectF(box.right() - 9, bottom - size * pixels_per_unit, 2.5, size * pixels_per_unit)
        painter.fillRect(bar, self.theme.color("text"))
        draw_text(painter, box.adjusted(0, 0, -14, 0), text, self.theme.color("text"), RIGHT)
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)


def _ramp(red: int, green: int, blue: int) -> np.ndarray:
    """Return the 256 premultiplied ARGB values of a colour from clear to opaque, uint32."""
    alpha = np.arange(256, dtype=np.uint32)
    return (alpha << 24) | (red * alpha // 255 << 16) | (green * alpha // 255 << 8) | (blue * alpha // 255)
