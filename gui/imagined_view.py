"""Show the pictures painted from the EEG: Mark -> one-stage and two-stage picture, generator, age."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore

from .display_state import DisplayState
from .image_view import ATTRIBUTION_HEIGHT, LABEL_HEIGHT, MAX_SIDE
from .language import tr
from .mark import Mark
from .panel import CENTRE, RADIUS, Panel, draw_picture, draw_text, draw_words
from .theme import Theme, font

__all__ = ["ImaginedView", "stage_words"]

SPACE = 8  # between two pictures
OLD_S = 2.0
PATIENCE_S = 1.0  # from an answer until its picture is missed
MANY = 5  # decisions of a run without a picture: there is no painter


class ImaginedView(Panel):
    """What a generator made of the embedding, of the same event as the picture and the answer beside it.

    A preview gives way to the finer picture of its stage. An event without a picture leaves its place empty.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("Imagined", state, theme)
        self.mark: Mark | None = None
        self.now = 0.0
        self.setMinimumSize(228, 180)  # the words for the embedded generator must be legible, the pictures seen

    @property
    def title(self) -> str:
        """Return the title in the language that is spoken."""
        return tr("Imagined")

    def show_mark(self, mark: Mark | None) -> None:
        """Show what was painted of an event so far."""
        self.mark = mark
        self.update()

    def advance(self, now: float) -> None:
        """Move on to `now` (s, LSL clock)."""
        before = self.words(), self.age()
        self.now = now
        if (self.words(), self.age()) != before:
            self.update()

    def words(self) -> str:
        """Return why there is no picture, where one is missed."""
        mark, state = self.mark, self.state
        if mark is not None and mark.pictures:
            return ""
        if not state.stages and state.n_decisions >= MANY:
            return tr("no pictures come: start them with\nnecomimi decode DECODER\n--generator embedded")
        missed = mark is not None and self.now - mark.answered_at > PATIENCE_S
        return tr("no picture of this event") if missed else ""

    def age(self) -> str:
        """Return how old the pictures are, once they are old."""
        past = self.now - self.mark.painted_at if self.mark is not None and self.mark.pictures else 0.0
        return tr("{n:.0f} s ago", n=past) if past > OLD_S else ""

    def subtitle(self) -> str:
        """Return the number of the event."""
        return "" if self.mark is None else tr("event {code}", code=self.mark.event.code)

    def picture_rects(self) -> dict[str, Any]:
        """Return the QRectF of the square of each stage that comes in this run, or came of this event.

        They stand side by side in the middle.
        """
        body = self.body()
        stages = sorted({*self.state.stages, *(self.mark.pictures if self.mark is not None else ())})
        if not stages:
            return {}
        width = (body.width() - (len(stages) - 1) * SPACE) / len(stages)
        height = body.height() - LABEL_HEIGHT - ATTRIBUTION_HEIGHT
        side = int(min(width, height, MAX_SIDE))
        left = int(body.center().x() - (len(stages) * side + (len(stages) - 1) * SPACE) / 2)
        top = int(body.top() + (height - side) / 2)
        return {stage: QtCore.QRectF(left + i * (side + SPACE), top, side, side) for i, stage in enumerate(stages)}

    def caption(self, stage: str) -> tuple[str, str]:
        """Return what a picture comes from; and that it is old or a preview, or its milliseconds from the answer."""
        assert self.mark is not None
        image = self.mark.pictures[stage]
        delay = image.latency_ms.get("after_retrieval")
        note = self.age() or (tr("preview") if image.preview else "" if delay is None else f"{delay:.0f} ms")
        return stage_words(stage), note

    def paint(self, painter: Any, body: Any) -> None:
        """Draw the pictures, what each comes from, and by what they were painted."""
        theme = self.theme
        pictures = {} if self.mark is None else self.mark.pictures
        for stage, rect in self.picture_rects().items():
            if stage in pictures:
                draw_picture(painter, rect, pictures[stage].pixels)
                self._draw_caption(painter, rect, stage)
            else:
                painter.setPen(QtCore.Qt.PenStyle.NoPen)
                painter.setBrush(theme.blend("line", 0.5))
                painter.drawRoundedRect(rect, RADIUS, RADIUS)
                painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        painter.setFont(font(12))
        place = body.adjusted(0, 0, 0, -LABEL_HEIGHT - ATTRIBUTION_HEIGHT)
        draw_words(painter, place, self.words(), theme.color("muted"))
        for image in list(pictures.values())[:1]:
            painter.setFont(font(10))
            line = QtCore.QRectF(body.left(), body.bottom() - ATTRIBUTION_HEIGHT + 4, body.width(), ATTRIBUTION_HEIGHT)
            name = tr("a small decoder of a small picture world") if image.generator == "embedded" else image.generator
            draw_text(painter, line, name, theme.color("muted"), CENTRE)

    def _draw_caption(self, painter: Any, picture: Any, stage: str) -> None:
        """Write the caption below a picture, its second part where there is room; a preview's is paler."""
        assert self.mark is not None
        text, note = self.caption(stage)
        painter.setFont(font(12))
        line = QtCore.QRectF(picture.left(), picture.bottom() + 6, picture.width(), LABEL_HEIGHT - 6)
        both = f"{text} · {note}" if note else text
        if painter.fontMetrics().horizontalAdvance(both) > line.width():
            both = text
        color = self.theme.color("muted" if self.mark.pictures[stage].preview else "text")
        draw_text(painter, line, both, color, CENTRE)


def stage_words(stage: str) -> str:
    """Return in words what a picture was painted from."""
    return tr("one stage") if stage == "one-stage" else tr("two stages")
