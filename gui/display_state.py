"""Turn records into what is on the screen: record, time of arrival -> DisplayState."""

from __future__ import annotations

import logging
from collections import deque

import numpy as np
from numpy.typing import NDArray

from necomimi.feed import Record
from necomimi.gallery import Gallery
from necomimi.records import Chunk, Event, GeneratedImage, Refusal, Retrieval, Status

from .accuracy import TOP_K, Accuracy
from .eeg_ring import EEGRing
from .history import History, reduced
from .language import tr
from .latency import LatencyHistory
from .mark import Mark, Verdict
from .source import SILENT_S, Source, describe_source

__all__ = ["DisplayState"]

logger = logging.getLogger(__name__)

MAX_WINDOW_S = 20.0
MAX_MARKS = 512
MAX_PICTURED = 16  # events whose pictures are kept as they came: more than come while one event is on show
NEW_RUN_S = 1.0  # a later event with a lower number is of another run
BACKWARD_S = 1.0  # stamps that step back further than this begin another recording


class DisplayState:
    """Everything that is drawn, without Qt.

    Parameters
    ----------
    gallery : Gallery, optional
        Pictures and classes; without it labels only.
    address : str
        The feed, for the words about it.

    Attributes
    ----------
    eeg : EEGRing or None
    marks : deque of Mark
        The newest events, in order of arrival.
    history : History
        The newest decisions, with small pictures; it outlives a run of the decoder.
    newest : Mark or None
        The newest event that has, or had, an answer.
    accuracy : Accuracy
        Of this run of the decoder, as far as this process has seen it; final answers only.
    latency : LatencyHistory
    status : Status or None
        What the decoder last said of itself.
    n_decisions : int
        Final retrievals and refusals seen in this run.
    stages : tuple of str
        Stages of which pictures have come in this run, "one-stage" first.
    version : int
        Grows with every record that changes more than the traces.
    """

    def __init__(self, gallery: Gallery | None = None, address: str = "") -> None:
        self.gallery = gallery
        self.address = address
        self.eeg: EEGRing | None = None
        self.marks: deque[Mark] = deque(maxlen=MAX_MARKS)
        self.history = History()
        self._pictured: deque[Mark] = deque()  # in order of arrival of their first picture
        self.version = 0
        self._heard_at: float | None = None
        self._eeg_at: float | None = None
        self._begin_run()

    def _begin_run(self) -> None:
        """Forget what belongs to one run of the decoder; the signal, the marks and the history go on."""
        self.newest: Mark | None = None
        self.accuracy = Accuracy(self.gallery.classes if self.gallery is not None else ())
        self.latency = LatencyHistory()
        self.status: Status | None = None
        self._warnings: tuple[str, ...] = ()
        self.n_decisions = 0
        self.stages: tuple[str, ...] = ()
        self.history.begin_run()
        while self._pictured:
            self._put_away(self._pictured.popleft())
        self._by_code: dict[int, Mark] = {}
        self._last: Event | None = None  # the event with the highest code
        self._last_retrieved = -1  # the highest code with a final answer

    def begin_again(self) -> None:
        """Forget everything that was ever entered: a recording is shown from another place."""
        version = self.version
        DisplayState.__init__(self, self.gallery, self.address)
        self.version = version + 1

    def update(self, record: Record, arrived: float) -> None:
        """Enter a record that arrived at `arrived` (s, LSL clock)."""
        self._heard_at = arrived
        match record:
            case Chunk():
                self._update_eeg(record, arrived)
                return
            case Event():
                self._mark(record)
            case Retrieval():
                self._update_decision(record, arrived)
            case Refusal():
                mark = self._mark(record.event)
                mark.answer, mark.answered_at = record, arrived
                self._settle(mark, "refused")
            case GeneratedImage():
                self._update_picture(record, arrived)
            case Status():
                self._update_status(record)
            case _:
                return
        self.version += 1

    def _update_eeg(self, chunk: Chunk, arrived: float) -> None:
        """Enter samples; another layout or another time line begins another ring."""
        if not len(chunk.timestamps) or not np.isfinite(chunk.timestamps).all():
            return
        ring = self.eeg
        stepped_back = ring is not None and ring.newest is not None and chunk.timestamps[0] < ring.newest - BACKWARD_S
        if ring is None or stepped_back or not ring.serves(chunk.info):
            ring = self.eeg = EEGRing(chunk.info, MAX_WINDOW_S + 1.0)
            self.version += 1
        ring.add(chunk)
        self._eeg_at = arrived

    def _mark(self, event: Event) -> Mark:
        """Return the mark of an event, made if this is the first that is heard of it."""
        mark = self._by_code.get(event.code)
        if mark is not None and mark.event == event:
            return mark
        last = self._last
        counts_anew = last is not None and event.code < last.code and event.onset > last.onset + NEW_RUN_S
        if mark is not None or counts_anew:
            logger.info("the decoder counts its events from the beginning: a new run")
            self._begin_run()
        mark = Mark(event)
        if len(self.marks) == MAX_MARKS and self._by_code.get(self.marks[0].event.code) is self.marks[0]:
            del self._by_code[self.marks[0].event.code]
        self.marks.append(mark)
        self._by_code[event.code] = mark
        if self._last is None or event.code > self._last.code:
            self._last = event
        return mark

    def _update_decision(self, decision: Retrieval, arrived: float) -> None:
        """Enter an answer; a provisional one gives way to any that knows more of its event."""
        mark = self._mark(decision.event)
        if not mark.yields_to(decision):
            return
        mark.answer, mark.answered_at = decision, arrived
        if self.newest is None or mark.event.code > self.newest.event.code:
            self.newest = mark
        self._warnings = tuple(dict.fromkeys((*self._warnings, *decision.warnings)))
        if decision.until is None:
            self._score(mark, decision)

    def _score(self, mark: Mark, decision: Retrieval) -> None:
        """Enter a final answer: judge it where the truth is known, and remember how long it took."""
        self.latency.add(mark.answered_at, decision.latency_ms)
        self._last_retrieved = max(self._last_retrieved, mark.event.code)
        truth = self.class_of(mark.event.label)
        if truth:
            confidence = float(decision.scores[0]) if decision.labels else 0.0
            self.accuracy.add(truth, decision.labels, confidence, decision.n_averaged)
        if not truth or not self.accuracy.knows(truth):
            self._settle(mark, "unscored")
        elif truth in decision.labels[:1]:
            self._settle(mark, "hit")
        else:
            self._settle(mark, "five" if self.accuracy.has_five and truth in decision.labels[:TOP_K] else "miss")

    def _settle(self, mark: Mark, verdict: Verdict) -> None:
        """Enter what became of an event."""
        mark.verdict = verdict
        self.n_decisions += 1
        if mark.place is None:
            self.history.add(mark)

    def _update_picture(self, image: GeneratedImage, arrived: float) -> None:
        """Enter a picture of an event that is known; others are of a run that is over, or older than this window."""
        mark = self._by_code.get(image.event.code)
        if mark is None or mark.event != image.event:
            return
        if mark not in self._pictured:
            self._pictured.append(mark)
            if len(self._pictured) > MAX_PICTURED:
                self._put_away(self._pictured.popleft())
        mark.take_picture(image, arrived)
        self.stages = tuple(sorted({*self.stages, image.stage}))

    def _put_away(self, mark: Mark) -> None:
        """Keep small pictures of an event that is no longer among the newest; none if it was never decided."""
        decided = mark.place is not None
        mark.pictures = {stage: reduced(image) for stage, image in mark.pictures.items()} if decided else {}

    def _update_status(self, status: Status) -> None:
        """Enter the decoder's own account; counters that went back mean that it was started again."""
        old = self.status
        if old is not None and (status.n_samples < old.n_samples or status.n_events < old.n_events):
            logger.info("the decoder's counters began again: a new run")
            self._begin_run()
        self.status = status
        self._warnings = tuple(status.warnings)
        self.accuracy.n_classes = status.n_classes

    def awaits(self, mark: Mark) -> bool:
        """Return whether the final word on an event of this run is still to come: answers come in order."""
        is_current = self._by_code.get(mark.event.code) is mark
        return mark.verdict == "pending" and is_current and self._last_retrieved < mark.event.code

    @property
    def newest_pictured(self) -> Mark | None:
        """The newest event that has both its final answer and a picture."""
        decided = (mark for mark in self._pictured if mark.verdict not in ("pending", "refused"))
        return max(decided, key=lambda mark: mark.event.code, default=None)

    @property
    def is_unmarked(self) -> bool:
        """Whether the decoder works without markers, so that nothing is known of what was seen."""
        return self.newest is not None and not self.newest.event.label

    @property
    def epoch_s(self) -> tuple[float, float] | None:
        """First and last second of an epoch from the onset, on the LSL clock; None where the decoder does not say."""
        if self.status is None or self.status.tmin == self.status.tmax:
            return None
        speed = self.eeg.info.speed if self.eeg is not None else 1.0
        return self.status.tmin / speed, self.status.tmax / speed

    def class_of(self, label: str) -> str:
        """Return the class that an event's label stands for: a picture's file stem stands for the picture's class."""
        item = self.item_of(label)
        return label if item is None or self.gallery is None else self.gallery.labels[item]

    def item_of(self, label: str) -> int | None:
        """Return the gallery's item for a label, file or file stem, if there is one."""
        return None if self.gallery is None else self.gallery.index_of(label)

    def thumbnail(self, label: str) -> NDArray[np.uint8] | None:
        """Return the picture for a label, uint8 of shape (96, 96, 3), if the gallery has one."""
        item = self.item_of(label)
        if item is None or self.gallery is None or self.gallery.thumbnails is None:
            return None
        picture: NDArray[np.uint8] = self.gallery.thumbnails[item]
        return picture

    @property
    def attribution(self) -> str:
        """Whose pictures these are, where the licence asks for it."""
        gallery = self.gallery
        embedded = gallery is not None and gallery.thumbnails is not None and gallery.space.startswith("embedded")
        return tr("Graphics: Twemoji, CC BY 4.0") if embedded else ""

    def warnings(self, now: float) -> list[str]:
        """Return what needs a person at `now` (s, LSL clock): the decoder's warnings, and a gallery that is not its."""
        is_silent = self._heard_at is None or now - self._heard_at > SILENT_S
        found = [] if is_silent else list(self._warnings)
        n_classes = self.status.n_classes if self.status is not None else 0
        if self.gallery is not None and n_classes not in (0, len(self.gallery.classes)):
            n = len(self.gallery.classes)
            found.append(tr("this gallery has {n} classes, the decoder's {m}", n=n, m=n_classes))
        return found

    def eeg_silence(self, now: float) -> float | None:
        """Return the seconds since EEG last arrived; None before the first."""
        return None if self._eeg_at is None else max(0.0, now - self._eeg_at)

    def source(self, now: float) -> Source:
        """Return the state of what is watched at `now` (s, LSL clock), in words."""
        silence = None if self._heard_at is None else now - self._heard_at
        return describe_source(now, silence, self.eeg_silence(now), self.status, self.eeg)
