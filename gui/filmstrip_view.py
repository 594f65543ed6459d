"""Show the last decisions, the newest at the right, and choose one of them: History -> frames, a chosen Mark."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtGui

from necomimi.records import Refusal, Retrieval

from .display_state import DisplayState
from .language import current_language, tr
from .mark import Mark
from .panel import CENTRE, RADIUS, Panel, Wheel, draw_picture, draw_text, readable
from .reasons import reason_words
from .theme import Theme, font

__all__ = ["FilmstripView"]

GAP = 10  # between frames
INNER = 2  # between the pictures of a frame
CAPTION = 18
TICK = 3
STACKED = 36  # pixels that each picture of a frame must have for them to stand one above the other
LEAST_WIDTH = 60  # of a frame: a label must be legible
WHEEL_STEP = 60  # eighths of a degree per frame: half a click
DRAG = 4  # pixels, below which a press is a click


class FilmstripView(Panel):
    """The last decisions as small frames: shown picture, painted pictures, best label, verdict.

    The wheel and a drag scroll; a click, Left and Right choose a past decision (`chosen`), and so do the keys that the
    window passes on (`key_help`). While the strip is scrolled back or a decision is chosen, new frames come without
    moving the view.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Last decisions", state, theme)
        self.chosen: Mark | None = None
        self.now = 0.0
        self._last: int | None = None  # place of the frame at the right; None follows the newest
        self._wheel = Wheel(WHEEL_STEP)
        self._press: tuple[float, int] | None = None  # where the button went down, and the frame at the right then
        self._is_drag = False
        self._pixmaps: dict[int, tuple[Any, Any]] = {}  # by place: what is drawn, the pixmap
        self._drawn: Any = None
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(220, 108)

    @property
    def title(self) -> str:
        """Return the title in the language that is spoken."""
        return tr("Last decisions")

    # -- scrolling and choosing

    @property
    def is_live(self) -> bool:
        """Whether the newest frame stands at the right, and comes by itself."""
        return self._last is None

    def choose(self, place: int) -> None:
        """Choose a decision by its place in the history; the view moves only as far as it must to show it."""
        history = self.state.history
        if not len(history):
            return
        place = min(max(place, history.begin), history.end - 1)
        last, n = self._shown_last(), self._n_frames()
        self._last = min(max(last, place), place + n - 1)
        self.chosen = history[place]
        self.update()

    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Return the keys and what each does."""
        return (
            ("PgUp PgDn", tr("the decision before, or after")),
            ("Home", tr("the first decision")),
            ("End Esc", tr("what is live")),
        )

    def choose_first(self) -> None:
        """Choose the oldest decision that is kept."""
        self.choose(self.state.history.begin)

    def step(self, n: int) -> None:
        """Choose the decision `n` later than the chosen one, or than the newest; beyond the newest is live."""
        end = self.state.history.end
        place = end - 1 if self.chosen is None or self.chosen.place is None else self.chosen.place
        if place + n >= end:
            self.return_to_live()
        else:
            self.choose(place + n)

    def scroll(self, n: int) -> None:
        """Move the view by `n` frames, to older ones where it is negative."""
        last = self._clamped(self._shown_last() + n)
        self._last = None if last == self.state.history.end - 1 and self.chosen is None else last
        self.update()

    def return_to_live(self) -> None:
        """Let go of the past."""
        self.chosen = self._last = None
        self.update()

    def _shown_last(self) -> int:
        """Return the place of the frame at the right."""
        return self._clamped(self.state.history.end - 1 if self._last is None else self._last)

    def _clamped(self, last: int) -> int:
        """Return a place for the right end such that the strip is full, where there are enough frames."""
        history = self.state.history
        return min(max(last, history.begin + self._n_frames() - 1), history.end - 1)

    # -- geometry

    def _stages(self) -> tuple[str, ...]:
        """Return the stages of which there are pictures in the history."""
        return tuple(sorted({stage for mark in self.state.history for stage in mark.pictures}))

    def _arrange(self, n_pictures: int) -> tuple[list[Any], int]:
        """Return the QRectF of each picture within a frame, the shown one first, and the width of the frame.

        They stand one above the other; where that made them too small, the painted ones at the right of the shown one.
        """
        height = int(self.body().height() - CAPTION - TICK)
        side = (height - (n_pictures - 1) * INNER) // n_pictures
        if side >= STACKED or n_pictures == 1:
            width = max(side, LEAST_WIDTH)
            left, pitch = (width - side) // 2, side + INNER
            return [QtCore.QRectF(left, i * pitch, side, side) for i in range(n_pictures)], width
        n_painted = n_pictures - 1
        side = (height - (n_painted - 1) * INNER) // n_painted
        painted = [QtCore.QRectF(height + INNER, i * (side + INNER), side, side) for i in range(n_painted)]
        return [QtCore.QRectF(0, 0, height, height), *painted], height + INNER + side

    def _pitch(self) -> int:
        return self._arrange(1 + len(self._stages()))[1] + GAP

    def _n_frames(self) -> int:
        """Return how many frames have room."""
        return max(1, int((self.body().width() + GAP) // self._pitch()))

    def frame_rects(self) -> dict[int, Any]:
        """Return the QRectF of each frame in view by its place in the history, the newest at the right."""
        history, body, pitch = self.state.history, self.body(), self._pitch()
        last = self._shown_last()
        places = range(last, max(history.begin - 1, last - self._n_frames()), -1)
        width = pitch - GAP
        return {
            place: QtCore.QRectF(int(body.right()) - i * pitch - width, int(body.top()), width, int(body.height()))
            for i, place in enumerate(places)
        }

    # -- drawing

    def advance(self, now: float) -> None:
        """Move on to `now` (s, LSL clock); what is on show is drawn anew only where it has changed."""
        self.now = now
        rects = self.frame_rects()
        looks = (self.subtitle(), tuple(rects), [self._look(self.state.history[place]) for place in rects])
        if looks != self._drawn:
            self._drawn = looks
            self.update()

    def subtitle(self) -> str:
        """Return which past event is chosen, or how far the strip is scrolled back, and how to return."""
        history = self.state.history
        if self.chosen is not None:
            age = max(0.0, self.now - self.chosen.answered_at)
            text = tr("event {code} · {n:.0f} s ago", code=self.chosen.event.code, n=age)
            return self.fitting(text + tr(" — End or Esc returns to live"), text)
        if self._last is not None:
            text = tr("{n} newer ones", n=history.end - 1 - self._shown_last())
            return self.fitting(text + tr(" — End or Esc returns to live"), text)
        hint = tr("scroll, or click one to see it again")
        return self.fitting(hint, "") if len(history) else ""

    def _look(self, mark: Mark) -> tuple[Any, ...]:
        """Return what changes with the look of a frame."""
        previews = tuple((stage, image.preview) for stage, image in mark.pictures.items())
        return mark.event, mark.verdict, mark.answered_at, mark.painted_at, previews

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the frames from their pixmaps, the border of the chosen one, and where another run began."""
        rects = self.frame_rects()
        if not rects:
            painter.setFont(font(12))
            draw_text(painter, body, tr("nothing decoded yet"), self.theme.color("muted"), CENTRE)
            return
        stages, ratio = self._stages(), self.devicePixelRatioF()
        fresh = {}
        for place, rect in rects.items():
            mark = self.state.history[place]
            key = (self._look(mark), rect.size(), ratio, stages, self.theme, current_language())
            known = self._pixmaps.get(place)
            fresh[place] = known if known is not None and known[0] == key else (key, self._frame(mark, rect, stages))
            painter.drawPixmap(rect.topLeft(), fresh[place][1])
            if mark is self.chosen:
                painter.setPen(QtGui.QPen(self.theme.color("accent"), 2))
                painter.drawRoundedRect(rect.adjusted(-4, -4, 4, 4), RADIUS, RADIUS)
            if place in self.state.history.run_starts:
                painter.setPen(QtGui.QPen(self.theme.color("muted"), 1, QtCore.Qt.PenStyle.DashLine))
                x = rect.left() - GAP / 2 + 0.5
                painter.drawLine(QtCore.QPointF(x, rect.top()), QtCore.QPointF(x, rect.bottom()))
        self._pixmaps = fresh
        if self._last is not None:
            self._draw_position(painter, body)

    def _draw_position(self, painter: Any, body: Any) -> None:
        """Draw a thin line below the frames: where in the history the view is."""
        history, places = self.state.history, self.frame_rects()
        line = QtCore.QRectF(body.left(), body.bottom() + 6, body.width(), 3)
        painter.fillRect(line, self.theme.color("line"))
        part = line.width() / len(history)
        left = line.left() + (min(places) - history.begin) * part
        painter.fillRect(QtCore.QRectF(left, line.top(), max(len(places) * part, 6), 3), self.theme.color("muted"))

    def _frame(self, mark: Mark, rect: Any, stages: tuple[str, ...]) -> Any:
        """Return the QPixmap of a frame."""
        ratio = self.devicePixelRatioF()
        pixmap = QtGui.QPixmap((rect.size() * ratio).toSize())
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(self.theme.color("panel"))
        painter = QtGui.QPainter(pixmap)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        places, width = self._arrange(1 + len(stages))
        pictures = [self.state.thumbnail(mark.event.label)]
        pictures += [mark.pictures[stage].pixels if stage in mark.pictures else None for stage in stages]
        is_refused = isinstance(mark.answer, Refusal)
        for place, pixels in zip(places, pictures, strict=True):
            painter.setOpacity(0.35 if is_refused else 1.0)
            if pixels is not None:
                draw_picture(painter, place, pixels)
                continue
            painter.setPen(QtCore.Qt.PenStyle.NoPen)
            painter.setBrush(self.theme.blend("line", 0.5))
            painter.drawRoundedRect(place, 4, 4)
            painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
            if place is places[0] and mark.event.label:
                painter.setFont(font(10))
                words = readable(self.state.class_of(mark.event.label))
                draw_text(painter, place.adjusted(2, 0, -2, 0), words, self.theme.color("text"), CENTRE)
        painter.setOpacity(1.0)
        self._draw_caption(painter, QtCore.QRectF(0, rect.height() - CAPTION - TICK, width, CAPTION + TICK), mark)
        painter.end()
        return pixmap

    def _draw_caption(self, painter: Any, place: Any, mark: Mark) -> None:
        """Write what was read, or why it was refused; below, the verdict as a line: long and strong for a hit."""
        theme, role, text = self.theme, "muted", ""
        if isinstance(mark.answer, Refusal):
            role, text = "trouble", reason_words(mark.answer.reason)
        elif isinstance(mark.answer, Retrieval) and mark.answer.labels:
            role, text = "accent" if mark.verdict == "hit" else "muted", readable(mark.answer.labels[0])
        painter.setFont(font(11))
        draw_text(painter, QtCore.QRectF(0, place.top(), place.width(), CAPTION), text, theme.color(role), CENTRE)
        share, color = {
            "hit": (1.0, theme.color("accent")),
            "five": (0.5, theme.blend("accent", 0.7)),
            "refused": (1.0, theme.color("trouble")),
            "miss": (0.25, theme.color("faint")),
        }.get(mark.verdict, (0.0, theme.color("faint")))
        length = share * place.width()
        painter.fillRect(QtCore.QRectF((place.width() - length) / 2, place.bottom() - TICK, length, TICK), color)

    # -- events

    def wheelEvent(self, event: Any) -> None:
        """Scroll: up and left to the past."""
        n = self._wheel.turn(event.angleDelta().y() or event.angleDelta().x())
        if n:
            self.scroll(-n)
        event.accept()

    def mousePressEvent(self, event: Any) -> None:
        """Begin a drag, or a click."""
        if event.button() == QtCore.Qt.MouseButton.LeftButton:
            self._press, self._is_drag = (event.position().x(), self._shown_last()), False

    def mouseMoveEvent(self, event: Any) -> None:
        """Scroll with the pointer: to the right, to the past."""
        if self._press is None:
            return
        moved = event.position().x() - self._press[0]
        self._is_drag = self._is_drag or abs(moved) > DRAG
        n = self._press[1] - round(moved / self._pitch()) - self._shown_last()
        if self._is_drag and n:
            self.scroll(n)

    def mouseReleaseEvent(self, event: Any) -> None:
        """Choose the frame that was clicked; a second click on it returns to live."""
        if self._press is None or event.button() != QtCore.Qt.MouseButton.LeftButton:
            return
        self._press = None
        if self._is_drag:
            return
        for place, rect in self.frame_rects().items():
            if rect.adjusted(-GAP / 2, 0, GAP / 2, 0).contains(event.position()):
                if self.state.history[place] is self.chosen:
                    self.return_to_live()
                else:
                    self.choose(place)

    def keyPressEvent(self, event: Any) -> None:
        """Left and Right choose; other keys are the window's."""
        steps = {QtCore.Qt.Key.Key_Left: -1, QtCore.Qt.Key.Key_Right: 1}
        if event.key() in steps:
            self.step(steps[event.key()])
        else:
            super().keyPressEvent(event)
