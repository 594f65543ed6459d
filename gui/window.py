"""Lay out the views and keep them up to date: Receiver, DisplayState -> main window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pyqtgraph.Qt import QtCore, QtWidgets

from necomimi.lsl import local_clock
from necomimi.records import GeneratedImage, Refusal, Retrieval

from .accuracy_view import AccuracyView
from .arrangement import GAP, splitter
from .display_state import DisplayState
from .exhibition import ExhibitionView
from .filmstrip_view import FilmstripView
from .head_view import HeadView
from .header_view import HeaderView
from .image_view import ATTRIBUTION_HEIGHT, LABEL_HEIGHT, MAX_SIDE, ImageView
from .imagined_view import SPACE, ImaginedView
from .language import LanguageChoice
from .latency_view import LatencyView
from .mark import Mark
from .panel import MARGIN, Panel
from .playback import PlaybackReceiver
from .playback_bar import PlaybackBar
from .receiver import Receiver
from .retrieval_view import RetrievalView
from .screenshot import save_png
from .session_report import Session, write_session_report
from .shell import Shell
from .theme import Theme
from .trace_view import TraceView

__all__ = ["ViewerWindow"]

PULL_MS = 20
DRAW_MS = 33
SLOW_S = 0.2  # the header and the latency strip need no more than five frames a second
DWELL_S = 0.6  # an answer stays at least this long: five a second could not be read
PICTURE_WAIT_S = 1.0  # an event with a picture stays this long while no newer one has one
BESIDE = 0.74  # side of two painted pictures beside the one that was shown
WIDE = 1520  # pixels of a window that has room for the head
RIGHT_SHARE = 0.45  # of the window, at most, that the right column takes for the sake of pictures
NO_PICTURES: Mapping[str, GeneratedImage] = {}


class ViewerWindow(Shell):
    """The live viewer.

    One timer takes records from the receiver, another draws: a burst of records costs no frames, and a slow frame
    loses no records.

    Parameters
    ----------
    state : DisplayState
    receiver : Receiver
        Started by `start`, stopped when the window closes.
    theme : Theme
    clock : callable
        Seconds on the LSL clock; a recording has one of its own.
    """

    def __init__(
        self,
        state: DisplayState,
        receiver: Receiver | PlaybackReceiver,
        theme: Theme,
        clock: Callable[[], float] = local_clock,
    ) -> None:
        super().__init__(theme, receiver if isinstance(receiver, PlaybackReceiver) else None)
        self.state = state
        self.receiver = receiver
        self._clock = clock if self.playback is None else self.playback.clock
        self._opened = datetime.now()
        self._drawn_version = -1
        self._slow_at = -SLOW_S
        self._mark: Mark | None = None  # the event on show, and what had been said of it then
        self._answer: Retrieval | Refusal | None = None
        self._pictures = NO_PICTURES
        self._seen: Mark | None = None  # the newest event of which a picture has been on show
        self._shown_at = -DWELL_S
        self._is_past = False  # whether what is on show has been chosen from the last decisions
        self._before: tuple[Any, Any] = (self.windowState(), None)  # and focus, before the exhibition
        self.resize(1520, 920)

        self.header = HeaderView(state, theme)
        self.traces = TraceView(state, theme)
        self.latency = LatencyView(state, theme)
        self.head = HeadView(state, theme)
        self.image = ImageView(state, theme)
        self.imagined = ImaginedView(state, theme)
        self.imagined.hide()
        self.retrieval = RetrievalView(state, theme)
        self.accuracy = AccuracyView(state, theme)
        self.filmstrip = FilmstripView(state, theme)
        self.exhibition = ExhibitionView(state)
        self.views = (
            *(self.header, self.traces, self.latency, self.head, self.filmstrip),
            *(self.image, self.imagined, self.retrieval, self.accuracy),
        )
        self._lay_out()
        self.finish()
        self.traces.setFocus()

        self._pull_timer = QtCore.QTimer(self, interval=PULL_MS, timeout=self.pull)
        self._draw_timer = QtCore.QTimer(self, interval=DRAW_MS, timeout=self.draw)
        self._draw_timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)

    def _lay_out(self) -> None:
        """Put traces, latency, head and the last decisions at the left; pictures, answer and accuracy at the right.

        All borders are movable. The exhibition lies behind.
        """
        horizontal, vertical = QtCore.Qt.Orientation.Horizontal, QtCore.Qt.Orientation.Vertical
        below = splitter("below", horizontal, (self.latency, self.head), (640, 320))
        left = splitter("left", vertical, (self.traces, below, self.filmstrip), (500, 180, 152))
        pair = splitter("pair", horizontal, (self.image, self.imagined), (1, 1))
        right = splitter("right", vertical, (pair, self.retrieval, self.accuracy), (296, 340, 180))
        whole = splitter("whole", horizontal, (left, right), (940, 500))
        self._pair, self._right, self._whole = pair, right, whole
        left.setStretchFactor(0, 1)
        right.setStretchFactor(0, 1)
        right.setStretchFactor(1, 1)
        whole.setStretchFactor(0, 5)
        whole.setStretchFactor(1, 2)
        page = QtWidgets.QWidget()
        rows = QtWidgets.QVBoxLayout(page)
        rows.setContentsMargins(MARGIN // 2, 0, MARGIN // 2, MARGIN // 2)
        rows.setSpacing(0)
        rows.addWidget(self.header)
        rows.addWidget(whole, 1)
        if self.playback is not None:
            self._bar = PlaybackBar(self.playback, self.theme, self.seek)
            self.views += (self._bar,)
            rows.addWidget(self._bar)
        self._stack = QtWidgets.QStackedWidget()
        self._stack.addWidget(page)
        self._stack.addWidget(self.exhibition)
        self.setCentralWidget(self._stack)

    def is_ready(self, panel: Panel) -> bool:
        """Return whether a panel has something to show, and room: painted pictures wait for the first of them."""
        if panel is self.head:
            return bool(self.width() >= WIDE)
        return panel is not self.imagined or self.n_places > 0

    def resizeEvent(self, event: Any) -> None:
        """Show the head where there is room beside the latency."""
        super().resizeEvent(event)
        if self.head.isHidden() == self.is_ready(self.head):
            self.show_panel(self.head.name, self.head.name not in self.hidden)

    def make_room(self, n_places: int) -> None:
        """Open the panel of painted pictures, or widen it; the right column grows as far as the window allows.

        One painted picture gets the size of the one shown, two get less. A window that is too small for it grows.
        """
        self.n_places = n_places
        if self.imagined.name in self.hidden:
            return
        self.imagined.show()
        if self._arrangement.has_room(self._pair, n_places):
            return
        for part in (self._pair, self._right, self._whole):
            part.refresh()  # else the least size of each is known to the next one only later
        self.resize(self.size().expandedTo(self.centralWidget().minimumSizeHint()))
        side = int(min(self.image.body().height() - LABEL_HEIGHT - ATTRIBUTION_HEIGHT, MAX_SIDE))
        painted = side if n_places == 1 else 2 * round(BESIDE * side) + SPACE
        wanted = [max(n + 2 * MARGIN, m.minimumWidth()) for n, m in ((side, self.image), (painted, self.imagined))]
        total = sum(self._whole.sizes())
        least = self.image.minimumWidth() + self.imagined.minimumWidth()
        width = max(self._whole.sizes()[1], least + GAP, min(sum(wanted) + GAP, int(RIGHT_SHARE * total)))
        self._whole.setSizes([total - width, width])
        self._pair.setSizes(wanted)
        for i, part in enumerate(wanted):
            self._pair.setStretchFactor(i, part)

    def start(self) -> None:
        """Begin to listen and to draw."""
        self.receiver.start()
        self._pull_timer.start()
        self._draw_timer.start()

    def pull(self) -> None:
        """Enter what the receiver has."""
        for arrived, record in self.receiver.take():
            self.state.update(record, arrived)

    def draw(self) -> None:
        """Draw a frame: the traces always, the other views when they have changed."""
        now = self._clock()
        self.traces.advance(now)
        if now - self._slow_at >= SLOW_S:
            self._slow_at = now
            self.header.advance(now, self.receiver.n_dropped + self.receiver.n_refused, self.receiver.problem)
            self.latency.advance(now)
            self.head.leave_out(self.traces.watch.reasons)
            self.head.advance(now)
            self.image.advance(now)
            self.imagined.advance(now)
            self.filmstrip.advance(now)
            if self.state.version != self._drawn_version:
                self._drawn_version = self.state.version
                self.accuracy.update()
        if self.playback is not None:
            self._bar.update()
        if len(self.state.stages) > self.n_places:
            self.make_room(len(self.state.stages))
        self._show(self._choose(now), now)
        self.exhibition.advance(now)

    def _choose(self, now: float) -> Mark | None:
        """Return the event to show: one that has begun to be answered to its end, and for a while; then a newer one.

        That is the newest of which a picture has come, though others have been answered since: pictures that take long
        are then seen with the answer they belong to. Where no more pictures come, it is the newest; so it is where that
        one has a provisional answer, if pictures have had their turn. A person's choice goes before all that.
        """
        if self.filmstrip.chosen is not None:
            return self.filmstrip.chosen
        shown = None if self._is_past else self._mark
        newest, pictured = self.state.newest, self.state.newest_pictured
        if shown is None or newest is None:
            return newest
        has_news = shown.answer is not self._answer
        shown_s = now - self._shown_at
        if has_news or self.state.awaits(shown) or shown_s < DWELL_S:
            return shown
        has_turn = not shown.pictures or newest.verdict != "pending"
        if pictured is not None and pictured is not self._seen and has_turn:
            return pictured
        return shown if shown.pictures and has_turn and shown_s < PICTURE_WAIT_S else newest

    def _show(self, mark: Mark | None, now: float) -> None:
        """Show an event, its answer and its pictures, where that is not what is shown already."""
        answer = None if mark is None else mark.answer
        pictures = NO_PICTURES if mark is None else mark.pictures
        self._is_past = self.filmstrip.chosen is not None
        for view in (self.image, self.imagined, self.retrieval):
            view.set_past(self._is_past)
        if mark is not self._mark or answer is not self._answer:
            self._mark, self._answer, self._shown_at, self._pictures = mark, answer, now, NO_PICTURES
            self.image.show_mark(mark)
            self.retrieval.show_mark(mark)
            self.imagined.show_mark(mark)
            self.exhibition.show_mark(mark)
        if pictures is not self._pictures:
            if pictures and not self._pictures:
                self._shown_at, self._seen = now, mark
            self._pictures = pictures
            self.imagined.show_mark(mark)
            self.exhibition.show_mark(mark)

    def set_language_choice(self, choice: LanguageChoice) -> None:
        """Say everything in a language, what the clock decides included."""
        super().set_language_choice(choice)
        self._slow_at = -math.inf

    def seek(self, position: float) -> None:
        """Go to a place in the recording, in seconds from its beginning."""
        if self.playback is not None and self.playback.seek(position):
            self.state.begin_again()
            self._show(None, -math.inf)
            self._seen, self._slow_at = None, -math.inf
        self.pull()

    @property
    def is_exhibiting(self) -> bool:
        """Whether the pictures have the screen for themselves."""
        return self._stack.currentWidget() is self.exhibition

    def exhibit(self, on: bool) -> None:
        """Show nothing but the pictures, full screen; or return to all views, and the window to what it was."""
        if on == self.is_exhibiting:
            return
        full = QtCore.Qt.WindowState.WindowFullScreen
        if on:
            self._before = self.windowState(), self.focusWidget()
            self._stack.setCurrentWidget(self.exhibition)
            self.setWindowState(self.windowState() | full)
            self.exhibition.setFocus()
        else:
            state, focus = self._before
            self._stack.setCurrentIndex(0)
            self.setWindowState(state)
            (focus or self.traces).setFocus()

    def toggle_exhibition(self) -> None:
        """Show nothing but the pictures, or all views again."""
        self.exhibit(not self.is_exhibiting)

    def keyPressEvent(self, event: Any) -> None:
        """Do what the `key_help` of the panels says, wherever the focus is; the traces, which have it, take others."""
        key = QtCore.Qt.Key
        actions: dict[Any, Callable[[], None]] = {
            key.Key_C: self.accuracy.turn,
            key.Key_B: self.head.toggle_alpha,
            key.Key_E: lambda: self.head.choose_latency(None),
            key.Key_Less: lambda: self.head.move(-1),
            key.Key_Greater: lambda: self.head.move(1),
            key.Key_PageUp: lambda: self.filmstrip.step(-1),
            key.Key_PageDown: lambda: self.filmstrip.step(1),
            key.Key_Home: self.filmstrip.choose_first,
            key.Key_End: self.filmstrip.return_to_live,
            key.Key_Escape: self._go_back,
        }
        if event.key() in actions:
            actions[event.key()]()
        else:
            super().keyPressEvent(event)

    def _go_back(self) -> None:
        """Leave the exhibition, or else the past."""
        if self.is_exhibiting:
            self.exhibit(False)
        else:
            self.filmstrip.return_to_live()

    # -- files

    def save_screenshot(self, path: Path) -> None:
        """Write what the window shows now as a PNG.

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        self.pull()
        self.draw()
        save_png(self, path)

    def save_report(self, path: Path) -> None:
        """Write a report of what was watched, with a picture of the window, as HTML.

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        self.pull()
        self.draw()
        buffer = QtCore.QBuffer()
        self.grab().save(buffer, "PNG")
        session = Session(
            began=self._opened,
            seconds=(datetime.now() - self._opened).total_seconds(),
            recording="" if self.playback is None else self.playback.file.path.name,
            place=0.0 if self.playback is None else self.playback.position,
            n_lost=self.receiver.n_dropped + self.receiver.n_refused,
        )
        write_session_report(path, self.state, session, buffer.data().data())

    def closeEvent(self, event: Any) -> None:
        """Keep the layout; stop the timers and the receiver."""
        self._arrangement.keep()
        self._pull_timer.stop()
        self._draw_timer.stop()
        self.receiver.stop()
        event.accept()
