"""The live chain: Source -> ring -> Epoch -> Embedding -> Retrieval -> outlets, each event answered once.

Two threads: acquisition (pull, cut, refuse) and decoding (embed, retrieve, publish); a painter, if there is one, has
its own. Epochs that wait are decoded as one batch, so overload costs latency before it costs events. Always,
n_events = n_retrievals + n_refusals + n_pending.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from necomimi.clock import Cause
from necomimi.decoder import Decoder
from necomimi.lsl import local_clock
from necomimi.markers import is_control
from necomimi.records import Chunk, Epoch, Event, Refusal, SourceState, Status

from .alarms import Alarms
from .amplitude import AmplitudeWatch
from .answering import Answer, Answerer
from .collecting import ChunkCollector
from .epoching import Epocher, last_sample_time
from .latency import LatencyMeter
from .load import LoadMeter
from .outlets import Outlets
from .painting import Painter, PaintRequest
from .signal_check import Limits
from .sliding import Slider
from .source import Source

__all__ = ["Pipeline"]

logger = logging.getLogger(__name__)

MAX_WAITING = 1024
MAX_BATCH = 64
PULL_TIMEOUT_S = 0.05
STATUS_S = 1.0


_Kind = tuple[float, tuple[str, ...], float | None]  # rate in Hz, steps applied, end: what epochs of a batch share


@dataclass(frozen=True, slots=True)
class _Ready:
    """A verdict of the epocher or an unfinished epoch, and when it was ready, in seconds on the local clock."""

    verdict: Epoch | Refusal
    at: float


class Pipeline:
    """Decode a source until told to stop.

    Parameters
    ----------
    answerer : Answerer
    source : Source
        Open and checked.
    outlets : Outlets
    limits : Limits
        When an epoch's signal is refused.
    early : sequence of float
        Ends of unfinished epochs that are answered provisionally, in ascending seconds from the onset.
    every : float or None
        Decode the latest window each so many seconds, without markers.
    notices : callable
        Asked once a second for what else needs a person, in words; "" for nothing.
    painter : Painter, optional
        Paints final answers.
    """

    def __init__(
        self,
        answerer: Answerer,
        source: Source,
        outlets: Outlets,
        limits: Limits | None = None,
        early: Sequence[float] = (),
        every: float | None = None,
        notices: Callable[[], str] = lambda: "",
        painter: Painter | None = None,
    ) -> None:
        self.answerer = answerer
        self.decoder: Decoder = answerer.decoder
        self.source = source
        self.outlets = outlets
        self.painter = painter
        self.limits = limits or Limits()
        self.early = tuple(early)
        self.latency = LatencyMeter()
        self.load = LoadMeter()
        self.epocher = Epocher(self.decoder.preprocessor, source.info, self.limits, self.early)
        speed = source.info.speed
        self.slider = Slider(every, (self.epocher.tmax - self.epocher.tmin) / speed) if every is not None else None
        self._alarms = Alarms(notices)
        self._amplitude = AmplitudeWatch()
        self._collector = ChunkCollector()
        self._waiting: queue.SimpleQueue[_Ready | None] = queue.SimpleQueue()  # bounded by `_enqueue`
        self._lock = threading.Lock()
        self._n_events = 0
        self._unanswered: dict[int, Event] = {}  # by code
        self._n_retrievals = 0
        self._refusals: Counter[str] = Counter()
        self._n_samples = 0
        self._n_missing = 0
        self._cpu_percent: dict[str, float] = {}
        self._stopping = threading.Event()
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guard, args=(run,), name=name, daemon=True)
            for name, run in (("acquisition", self._acquire), ("decode", self._decode))
        ]

    def start(self) -> None:
        """Answer epochs of zeros, so that the first event does not pay for it, and start both threads."""
        info, sfreq = self.source.info, self.epocher.sfreq
        for until, n_times in 3 * (*self.epocher.early, (None, self.epocher.n_times)):
            self.answerer.warm_up(n_times, sfreq, info.applied, until)
        if self.painter is not None:
            self.painter.start(self.outlets.show, self.load.report)
        for thread in self._threads:
            thread.start()

    def stop(self) -> Status:
        """Stop both threads, give every waiting event its verdict, and return the final count."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=10.0)
        if self.painter is not None:
            self.painter.stop()
        for refusal in self.epocher.flush("the run ended before its data came"):
            self._refuse(refusal)
        for event in list(self._unanswered.values()):  # a thread has failed
            self._refuse(Refusal(event=event, reason="incomplete", detail="the run broke off before its answer"))
        return self.status()

    @property
    def is_running(self) -> bool:
        """Whether both threads live."""
        return all(thread.is_alive() for thread in self._threads)

    def status(self) -> Status:
        """Return the state of the chain and its counters."""
        latency_ms = self.latency.percentiles()
        painter = self.painter
        if painter is not None:
            latency_ms |= painter.latency.percentiles()
        with self._lock:
            refusals = dict(self._refusals)
            n_refusals = sum(refusals.values())
            clock = self.epocher.clock
            segment = clock.segments[-1] if clock.segments else None
            lag = local_clock() - clock.newest
            return Status(
                state=self.source.state,
                message=self.source.message,
                sfreq=self.source.info.sfreq,
                n_samples=self._n_samples,
                n_missing=self._n_missing + clock.n_missing,
                n_events=self._n_events,
                n_retrievals=self._n_retrievals,
                n_refusals=n_refusals,
                n_pending=len(self._unanswered),
                refusals=refusals,
                lag_s=max(0.0, lag) if np.isfinite(lag) else 0.0,
                latency_ms=latency_ms,
                n_classes=len(self.decoder.classes),
                n_pictures=painter.n_pictures if painter is not None else 0,
                n_pictures_dropped=painter.n_dropped if painter is not None else 0,
                tmin=self.epocher.tmin,
                tmax=self.epocher.tmax,
                drift_ppm=round(segment.drift_ppm, 2) if segment else 0.0,
                jitter_ms=round(1e3 * segment.jitter_s, 4) if segment else 0.0,
                cpu_percent=self._cpu_percent,
                warnings=(
                    *self._alarms.warnings,
                    *self.source.warnings,
                    *self.source.info.warnings,
                    *filter(None, (self._amplitude.warning, self.outlets.warning, painter.warning if painter else "")),
                ),
            )

    def announce(self, state: SourceState, message: str) -> None:
        """Publish the status at a change of state."""
        self.outlets.publish(self.status())

    def _guard(self, run: Callable[[], None]) -> None:
        """Run a thread's function; a fault in it ends the run and is told."""
        try:
            run()
        except BaseException as error:
            self.failure = error
            self._stopping.set()
            logger.exception("the %s thread failed", threading.current_thread().name)

    # -- acquisition thread --------------------------------------------------------------------------------------

    def _acquire(self) -> None:
        try:
            self._pull_and_cut()
        finally:
            self._waiting.put(None)  # the decoding thread waits for nothing more

    def _pull_and_cut(self) -> None:
        next_status = time.monotonic()
        while not self._stopping.is_set():
            pulled = self.source.pull(PULL_TIMEOUT_S)
            if pulled.chunk is not None:
                age = local_clock() - float(pulled.chunk.timestamps[-1])
                self._take_chunk(pulled.chunk, pulled.cause)
            events = [self._take_event(*marker) for marker in pulled.markers if not self._is_control(*marker)]
            if pulled.chunk is not None and self.slider is not None:
                events += self._slide(self.slider)
            for verdict in self.epocher.poll(local_clock()):
                self._enqueue(verdict)
            for event in events:  # what nobody waits for comes after the verdicts
                self.outlets.publish(event)
            if pulled.chunk is not None:
                self.latency.add({"sample_age": 1e3 * age})
                self._alarms.watch_age(age)
                self._amplitude.add(pulled.chunk)
                collected = self._collector.add(pulled.chunk)
                if collected is not None:
                    self.outlets.publish(collected)
            if time.monotonic() >= next_status:
                next_status = time.monotonic() + STATUS_S
                self.load.report("acquisition")
                self._cpu_percent = self.load.percent()
                self._alarms.ask()
                self.outlets.publish(self.status())

    def _take_chunk(self, chunk: Chunk, cause: Cause) -> None:
        if chunk.info.sfreq != self.epocher.info.sfreq or chunk.info.applied != self.epocher.info.applied:
            for refusal in self.epocher.flush("the stream came back with another rate"):
                self._enqueue(Refusal(event=refusal.event, reason="reconnect", detail=refusal.detail))
            with self._lock:
                self._n_missing += self.epocher.clock.n_missing
                self.epocher = Epocher(self.decoder.preprocessor, chunk.info, self.limits, self.early)
        self.epocher.add_chunk(chunk, cause)
        self._n_samples += chunk.data.shape[1]

    def _is_control(self, label: str, onset: float) -> bool:
        """Return whether a marker announces something of player or presenter, rather than a stimulus."""
        if not is_control(label):
            return False
        if label:
            logger.info("marker %r at %.3f s", label, onset)
        return True

    def _slide(self, slider: Slider) -> list[Event]:
        """Return an event for the latest window, where one has become whole."""
        segment = self.epocher.clock.segments[-1]
        end = slider.end(segment.time_of(segment.first + 1), segment.time_of(segment.end - 1))
        return [] if end is None else [self._take_event("", end - self.epocher.tmax / self.epocher.info.speed)]

    def _take_event(self, label: str, onset: float) -> Event:
        with self._lock:
            event = Event(onset=onset, label=label, code=self._n_events)
            self._n_events += 1
            self._unanswered[event.code] = event
        for refusal in self.epocher.add_event(event):
            self._enqueue(refusal)
        return event

    def _enqueue(self, verdict: Epoch | Refusal) -> None:
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(_Ready(verdict, local_clock()))
        elif isinstance(verdict, Refusal) or verdict.until is None:
            detail = f"{MAX_WAITING} epochs wait to be decoded"
            self._refuse(Refusal(event=verdict.event, reason="overrun", detail=detail))

    # -- decode thread -------------------------------------------------------------------------------------------

    def _decode(self) -> None:
        while True:
            batch, ended = self._next_batch()
            epochs: dict[_Kind, list[tuple[Epoch, float]]] = {}
            for ready in batch:
                verdict = ready.verdict
                if isinstance(verdict, Refusal):
                    self._refuse(verdict)
                else:  # apart where the stream came back with another rate or processing
                    kind = (verdict.sfreq, verdict.info.applied, verdict.until)
                    epochs.setdefault(kind, []).append((verdict, ready.at))
            for together in epochs.values():
                started = local_clock()
                answers = self.answerer([epoch for epoch, _ in together])
                for (epoch, ready_at), answer in zip(together, answers, strict=True):
                    self._publish(epoch, answer, ready_at, started)
            self.load.report("decode")
            if ended:
                return

    def _next_batch(self) -> tuple[list[_Ready], bool]:
        """Wait for a verdict, take what else waits, and say whether the acquisition thread has ended."""
        batch: list[_Ready] = []
        item = self._waiting.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= MAX_BATCH or self._waiting.empty():
                return batch, False
            item = self._waiting.get()
        return batch, True

    def _publish(self, epoch: Epoch, answer: Answer, ready_at: float, started: float) -> None:
        """Send an answer through all doors with the milliseconds of each step, and count it if it is final."""
        last = last_sample_time(epoch)
        latency_ms = {
            "epoch": 1e3 * (ready_at - last),
            "wait": 1e3 * (started - ready_at),
            **answer.retrieval.latency_ms,
            "total": 1e3 * (local_clock() - last),
        }
        retrieval = replace(answer.retrieval, latency_ms=latency_ms)
        self.outlets.decide(retrieval, answer.embedding, answer.similarities)
        if retrieval.until is None:
            decided = local_clock()
            self.latency.add(latency_ms)
            with self._lock:
                self._n_retrievals += 1
                del self._unanswered[epoch.event.code]
            if self.painter is not None:
                self.painter.submit(PaintRequest(epoch.event, answer.mean, retrieval.n_averaged, last, decided))

    def _refuse(self, refusal: Refusal) -> None:
        """Send a refusal through all doors, and count it."""
        self.outlets.decide(refusal)
        with self._lock:
            self._refusals[refusal.reason] += 1
            del self._unanswered[refusal.event.code]
        logger.debug("event %d refused: %s (%s)", refusal.event.code, refusal.reason, refusal.detail)
