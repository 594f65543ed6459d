"""Show the scalp, now and after an event: EEGRing, marks -> two topographies, field power."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import QtCore, QtGui

from .display_state import DisplayState
from .eeg_ring import EEGRing
from .evoked import TMAX, TMIN, Evoked, band_amplitude
from .evoked_strip import AXIS_HEIGHT, draw_strip, latency_at
from .head import draw_head, draw_scale, field_size
from .language import tr
from .latency import LatencyHistory
from .panel import CENTRE, Panel, Wheel, draw_text, draw_words
from .theme import Theme, font
from .topography import MIN_PLACED, Topography, round_up

__all__ = ["HeadView"]

UPDATE_S = 0.2
WINDOW_S = 0.5  # of the signal that is shown as "now"
LEVEL_S = 2.0  # against whose mean it is shown: electrodes have offsets of millivolts
ALPHA_HZ = (8.0, 12.0)
CAPTION = 16
STRIP_HEIGHT = 40
STRIP_FROM = 170  # height of the body from which on there is room for the strip
SCALE_WIDTH = 40
SPACE = 12
MAX_STRIP_WIDTH = 640
SHRINK = 0.4  # a scale shrinks only when so little of it is used: it shall not flicker
MIN_LIMIT = 0.5
NEW_RUN_S = 1.0  # before a new run is noticed, its first event has been


class HeadView(Panel):
    """At the left the scalp of the last half second, at the right the mean response to the events of this run.

    A click on the left head changes between mean potential and alpha; on the strip below, a click chooses a latency,
    and the pointer shows others as it passes; a click on the right head goes back to the largest response. The wheel
    moves the latency by one sample.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Scalp", state, theme)
        self.shows_alpha = False
        self.latency: float | None = None  # s from the onset; None follows the largest response
        self._hovered: float | None = None
        self._topography: Topography | None = None
        self._evoked: Evoked | None = None
        self._run: LatencyHistory | None = None
        self._bad: frozenset[str] = frozenset()
        self._now_values: NDArray[np.floating] | None = None
        self._limits = {"now": MIN_LIMIT, "alpha": MIN_LIMIT, "evoked": MIN_LIMIT}
        self._updated_at = -np.inf
        self._wheel = Wheel()
        self.setMinimumSize(1, 160)  # a window without room for it hides it
        self.setMouseTracking(True)

    @property
    def title(self) -> str:
        """What stands at the left end of the title line, in the language in use."""
        return tr("Scalp")

    @property
    def evoked(self) -> Evoked | None:
        """The average of this run, once there is a signal."""
        return self._evoked

    @property
    def bad_channels(self) -> tuple[str, ...]:
        """Channels that take no part now."""
        ring = self.state.eeg
        names = () if ring is None else ring.info.ch_names
        return tuple(name for name in names if name in self._bad)

    def advance(self, now: float) -> None:
        """Take in what has come until `now` (s, LSL clock); it does so five times a second at most."""
        if now - self._updated_at < UPDATE_S:
            return
        self._updated_at = now
        ring = self.state.eeg
        if ring is None or not self.isVisible():
            return
        # The state keeps a history of latencies for each run: another one means another run.
        if self._evoked is None or self._evoked.ring is not ring or self._run is not self.state.latency:
            self._begin(ring)
        assert self._evoked is not None
        self._evoked.collect(self.state.marks, self._is_good(ring))
        self._now_values = self._measure(ring)
        self.update()

    def _begin(self, ring: EEGRing) -> None:
        """Begin another average, and another map where the channels are others."""
        if self._topography is None or self._evoked is None or self._evoked.ring.info.ch_names != ring.info.ch_names:
            self._topography = Topography(ring.info.ch_names)
        since = -np.inf
        if self._evoked is not None and self._evoked.ring is ring and ring.newest is not None:
            since = ring.newest - NEW_RUN_S
        self._evoked, self._run = Evoked(ring, since), self.state.latency
        self._limits = dict.fromkeys(self._limits, MIN_LIMIT)
        self._describe()

    def _is_good(self, ring: EEGRing) -> NDArray[np.bool_]:
        """Return which channels take part, shape (n_channels,)."""
        return np.array([name not in self._bad for name in ring.info.ch_names])

    def leave_out(self, names: Collection[str]) -> None:
        """Say which channels are bad now: they take no part in the maps, nor in the epochs that come."""
        if set(names) != self._bad:
            self._bad = frozenset(names)
            self._describe()

    def _describe(self) -> None:
        """Name in the tool tip what is left out."""
        lines = [tr("Potentials against the mean of all channels.")]
        if self._topography is not None and self._topography.unplaced:
            lines.append(tr("No place is known for: {names}", names=", ".join(self._topography.unplaced)))
        if self.bad_channels:
            lines.append(tr("Left out for their signal: {names}", names=", ".join(self.bad_channels)))
        self.setToolTip("\n".join(lines))

    def _measure(self, ring: EEGRing) -> NDArray[np.floating] | None:
        """Return what the left head shows, shape (n_channels,), NaN for bad channels; None without a signal."""
        _, data = ring.latest(WINDOW_S if self.shows_alpha else LEVEL_S)
        n = round(WINDOW_S * ring.info.sfreq)
        if data.shape[1] < max(n, 2):
            return None
        if self.shows_alpha:
            values = band_amplitude(data[:, -n:], ring.info.sfreq / ring.info.speed, ALPHA_HZ)
        else:
            values = data[:, -n:].mean(axis=1) - data.mean(axis=1)
        values = np.where(self._is_good(ring), values, np.nan)
        known = np.isfinite(values)
        if known.any() and not self.shows_alpha:
            values -= values[known].mean()
        return values

    def subtitle(self) -> str:
        """Return how many channels are left out."""
        if self._topography is None:
            return ""
        n_bad = len(self.bad_channels)
        return tr("left out: {n}", n=n_bad) if n_bad else ""

    def shown_latency(self) -> float | None:
        """Return the latency of the right head in seconds: under the pointer, chosen, or the largest response's."""
        if self._hovered is not None:
            return self._hovered
        if self.latency is not None or self._evoked is None:
            return self.latency
        return self._evoked.peak()

    def toggle_alpha(self) -> None:
        """Change the left head between mean potential and alpha."""
        self.shows_alpha = not self.shows_alpha
        if self.state.eeg is not None:
            self._now_values = self._measure(self.state.eeg)
        self.update()

    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Return the keys and what each does."""
        return (
            ("B", tr("left head: mean potential, or alpha")),
            ("< >", tr("right head: earlier, or later")),
            ("E", tr("right head: the largest response")),
        )

    def move(self, n_samples: int) -> None:
        """Show the response some samples later (positive) or earlier."""
        shown, evoked = self.shown_latency(), self._evoked
        if shown is None or evoked is None or len(evoked.times) < 2:
            return
        self._hovered = None
        self.choose_latency(shown + n_samples * float(evoked.times[1] - evoked.times[0]))

    def choose_latency(self, latency: float | None) -> None:
        """Show the response at a latency in seconds, or at its largest (None)."""
        self.latency = None if latency is None else min(max(latency, TMIN), TMAX)
        self.update()

    def head_rects(self) -> tuple[Any, Any]:
        """Return the QRectF of the left and of the right head with their scales, below their captions."""
        body = self.body()
        height = body.height() - (self.strip_rect().height() + AXIS_HEIGHT + SPACE / 2 if self._has_strip() else 0)
        width = (body.width() - SPACE) / 2
        top = body.top() - 4 + CAPTION
        left = QtCore.QRectF(body.left(), top, width, height - CAPTION + 4)
        return left, left.translated(width + SPACE, 0)

    def _has_strip(self) -> bool:
        return bool(self.body().height() >= STRIP_FROM)

    def strip_rect(self) -> Any:
        """Return the QRectF of the course of the field power; empty where there is no room."""
        body = self.body()
        if not self._has_strip():
            return QtCore.QRectF()
        height = max(STRIP_HEIGHT, 0.16 * body.height())
        width = min(body.width(), MAX_STRIP_WIDTH)
        left = body.center().x() - width / 2
        return QtCore.QRectF(left, body.bottom() - AXIS_HEIGHT - height + 6, width, height)

    def paint(self, painter: Any, body: Any) -> None:
        """Draw both heads and the strip, or say in words why not."""
        theme, words = self.theme, self.words()
        if words:
            painter.setFont(font(13))
            draw_words(painter, body, words, theme.color("muted"))
            return
        left, right = self.head_rects()
        name = tr("alpha, now") if self.shows_alpha else tr("mean, now")
        self._draw_map(painter, left, name, "alpha" if self.shows_alpha else "now", self._now_values)
        latency, evoked = self.shown_latency(), self._evoked
        n = evoked.n_epochs if evoked is not None else 0
        if evoked is None or latency is None:
            self._draw_map(painter, right, tr("evoked"), "evoked", None, tr("no events yet"))
        else:
            ms = f"{round(1e3 * latency)}".replace("-", "−")
            caption = tr("evoked at {ms} ms, mean of {n}", ms=ms, n=n)
            if QtGui.QFontMetrics(font(11)).horizontalAdvance(caption) > right.width():
                caption = tr("{ms} ms, mean of {n}", ms=ms, n=n)
            self._draw_map(painter, right, caption, "evoked", evoked.at(latency))
        if self._has_strip():
            draw_strip(painter, self.strip_rect(), theme, evoked, latency)

    def words(self) -> str:
        """Return what is shown in place of the heads, if anything."""
        if self._topography is None or self.state.eeg is None:
            return tr("no signal yet")
        if len(self._topography.places) < MIN_PLACED:
            return tr(
                "a map needs {least} channels with names of the 10-20 system; there are {n}",
                least=MIN_PLACED,
                n=len(self._topography.places),
            )
        return ""

    def _draw_map(
        self, painter: Any, rect: Any, caption: str, kind: str, values: NDArray[np.floating] | None, words: str = ""
    ) -> None:
        """Draw one head with its caption above and its scale beside it."""
        theme, topography = self.theme, self._topography
        assert topography is not None
        painter.setFont(font(11))
        top = QtCore.QRectF(rect.left(), rect.top() - CAPTION, rect.width(), CAPTION)
        draw_text(painter, top, caption, theme.color("muted"), CENTRE)
        place = rect.adjusted(0 if rect.width() < 220 else SCALE_WIDTH, 2, -SCALE_WIDTH, 0)
        field = None
        if values is not None:
            field = topography.field(values, field_size(place, self.devicePixelRatioF()))
        if field is None or values is None:
            disc = draw_head(painter, place, theme)
            if not words:
                words = tr("too few good channels") if values is not None else ""
            painter.setFont(font(11))
            draw_words(painter, disc.adjusted(8, 0, -8, 0), words, theme.color("muted"))
            return
        limit = self._limit(kind, values[list(topography.places)])
        good = [spot for i, spot in topography.places.items() if np.isfinite(values[i])]
        disc = draw_head(painter, place, theme, field, limit, good)
        height = min(disc.height() * 0.6, 90)
        bar = QtCore.QRectF(disc.right() + 16, disc.center().y() - height / 2, SCALE_WIDTH - 8, height)
        unit = self.state.eeg.unit if self.state.eeg is not None else ""
        draw_scale(painter, bar, theme, limit, unit, one_sided=kind == "alpha")

    def _limit(self, kind: str, values: NDArray[np.floating]) -> float:
        """Return the end of a scale: a round number that holds nearly all, and changes seldom."""
        largest = float(np.nanpercentile(np.abs(values), 97))
        if kind == "evoked" and self._evoked is not None:  # one scale for all latencies
            power = self._evoked.field_power()
            assert power is not None
            largest = 2.0 * float(power.max())
        known = self._limits[kind]
        if largest > known or largest < SHRINK * known:
            self._limits[kind] = max(round_up(largest), MIN_LIMIT)
        return self._limits[kind]

    def _latency_at(self, position: Any) -> float | None:
        """Return the latency under a QPointF, if it lies on the strip."""
        strip = self.strip_rect()
        if not self._has_strip() or not strip.adjusted(-2, -4, 2, AXIS_HEIGHT).contains(position):
            return None
        return latency_at(strip, position.x())

    def mousePressEvent(self, event: Any) -> None:
        """Choose a latency, or what a head shows."""
        position = event.position()
        latency = self._latency_at(position)
        left, right = self.head_rects()
        if latency is not None:
            self.choose_latency(latency)
        elif left.contains(position):
            self.toggle_alpha()
        elif right.contains(position):
            self.choose_latency(None)
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: Any) -> None:
        """Show the response at the latency under the pointer; with a button down, keep it."""
        self._hovered = self._latency_at(event.position())
        if self._hovered is not None and event.buttons():
            self.choose_latency(self._hovered)
        self.update()

    def leaveEvent(self, event: Any) -> None:
        """Go back to the chosen latency."""
        self._hovered = None
        self.update()

    def wheelEvent(self, event: Any) -> None:
        """Move the latency, one sample a notch."""
        notches = self._wheel.turn(event.angleDelta().y())
        if notches:
            self.move(notches)
        event.accept()
