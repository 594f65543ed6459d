"""The live chain: Source -> ring -> Epoch -> Embedding -> Retrieval -> outlets, each event answered once.

Two threads: acquisition (pull, cut, refuse) and decoding (embed, retrieve, publish). Epochs that wait are decoded as
one batch, so overload costs latency before it costs events. Always, n_events = n_retrievals + n_refusals + n_pending.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from necomimi.decoder import Decoder
from necomimi.lsl import CONTROL_PREFIX, local_clock
from necomimi.records import Chunk, Embedding, Epoch, Event, Refusal, Retrieval, SourceState, Status

from .clock import Cause
from .epoching import Epocher, Limits, last_sample_time
from .latency import LatencyMeter
from .outlets import Outlets
from .source import Source

__all__ = ["Pipeline"]

logger = logging.getLogger(__name__)

MAX_WAITING = 1024
MAX_BATCH = 64
PULL_TIMEOUT_S = 0.05
FEED_CHUNK_S = 0.05  # EEG goes to the viewer in pieces of this length
STATUS_S = 1.0


_Stream = tuple[float, tuple[str, ...]]  # rate in Hz, steps applied: what epochs of one batch share


@dataclass(frozen=True, slots=True)
class _Ready:
    """A verdict of the epocher and when it was ready, in seconds on the local clock."""

    verdict: Epoch | Refusal
    at: float


class Pipeline:
    """Decode a source until told to stop.

    Parameters
    ----------
    decoder : Decoder
        With a gallery.
    source : Source
        Open and checked.
    outlets : Outlets
    limits : Limits
        When an epoch's signal is refused.
    top_k : int
        Labels in each answer.
    """

    def __init__(
        self, decoder: Decoder, source: Source, outlets: Outlets, limits: Limits | None = None, top_k: int = 5
    ) -> None:
        self.decoder = decoder
        self.source = source
        self.outlets = outlets
        self.limits = limits or Limits()
        self.top_k = top_k
        self.latency = LatencyMeter()
        self.epocher = Epocher(decoder.preprocessor, source.info, self.limits)
        self._waiting: queue.Queue[_Ready | None] = queue.Queue(maxsize=MAX_WAITING)
        self._lock = threading.Lock()
        self._n_events = 0
        self._n_retrievals = 0
        self._refusals: Counter[str] = Counter()
        self._n_samples = 0
        self._n_missing = 0
        self._viewer_chunks: list[Chunk] = []
        self._stopping = threading.Event()
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guard, args=(run,), name=name, daemon=True)
            for name, run in (("acquisition", self._acquire), ("decode", self._decode))
        ]

    def start(self) -> None:
        """Decode one batch of zeros, so that the first event does not pay for it, and start both threads."""
        blank = np.zeros((1, len(self.decoder.preprocessor.ch_names), self.epocher.n_times), dtype=np.float32)
        for _ in range(3):
            self.decoder.retrieve(
                self.decoder.embed_raw(blank, self.epocher.sfreq, self.source.info.applied), self.top_k
            )
        for thread in self._threads:
            thread.start()

    def stop(self) -> Status:
        """Stop both threads, give every waiting event its verdict, and return the final count."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=10.0)
        for refusal in self.epocher.flush("the run ended before its data came"):
            self._decide(refusal)
        return self.status()

    @property
    def is_running(self) -> bool:
        """Whether both threads live."""
        return all(thread.is_alive() for thread in self._threads)

    def status(self) -> Status:
        """Return the state of the chain and its counters."""
        with self._lock:
            refusals = dict(self._refusals)
            n_refusals = sum(refusals.values())
            newest = self.epocher.clock.newest
            return Status(
                state=self.source.state,
                message=self.source.message,
                sfreq=self.source.info.sfreq,
                n_samples=self._n_samples,
                n_missing=self._n_missing + self.epocher.clock.n_missing,
                n_events=self._n_events,
                n_retrievals=self._n_retrievals,
                n_refusals=n_refusals,
                n_pending=self._n_events - self._n_retrievals - n_refusals,
                refusals=refusals,
                lag_s=max(0.0, local_clock() - newest) if np.isfinite(newest) else 0.0,
                latency_ms=self.latency.percentiles(),
                n_classes=len(self.decoder.classes),
            )

    def announce(self, state: SourceState, message: str) -> None:
        """Publish the status at a change of state."""
        self.outlets.publish(self.status())

    def _guard(self, run: object) -> None:
        """Run a thread's function; a fault in it ends the run and is told."""
        try:
            run()  # type: ignore[operator]
        except BaseException as error:
            self.failure = error
            self._stopping.set()
            logger.exception("the %s thread failed", threading.current_thread().name)

    # -- acquisition thread --------------------------------------------------------------------------------------

    def _acquire(self) -> None:
        next_status = time.monotonic()
        while not self._stopping.is_set():
            pulled = self.source.pull(PULL_TIMEOUT_S)
            if pulled.chunk is not None:
                self._take_chunk(pulled.chunk, pulled.cause)
            for label, onset in pulled.markers:
                self._take_marker(label, onset)
            for verdict in self.epocher.poll():
                self._enqueue(verdict)
            if time.monotonic() >= next_status:
                next_status = time.monotonic() + STATUS_S
                self.outlets.publish(self.status())
        self._waiting.put(None)

    def _take_chunk(self, chunk: Chunk, cause: Cause) -> None:
        if chunk.info.sfreq != self.epocher.info.sfreq or chunk.info.applied != self.epocher.info.applied:
            for refusal in self.epocher.flush("the stream came back with another rate"):
                self._enqueue(Refusal(event=refusal.event, reason="reconnect", detail=refusal.detail))
            with self._lock:
                self._n_missing += self.epocher.clock.n_missing
                self.epocher = Epocher(self.decoder.preprocessor, chunk.info, self.limits)
        self.epocher.add_chunk(chunk, cause)
        self._n_samples += chunk.data.shape[1]
        self._viewer_chunks.append(chunk)
        if sum(c.data.shape[1] for c in self._viewer_chunks) >= FEED_CHUNK_S * chunk.info.sfreq:
            self._show_chunks()

    def _show_chunks(self) -> None:
        """Send the collected EEG to the viewers as one chunk."""
        chunks, self._viewer_chunks = self._viewer_chunks, []
        self.outlets.publish(
            Chunk(
                data=np.concatenate([chunk.data for chunk in chunks], axis=1),
                timestamps=np.concatenate([chunk.timestamps for chunk in chunks]),
                info=chunks[-1].info,
            )
        )

    def _take_marker(self, label: str, onset: float) -> None:
        if label.startswith(CONTROL_PREFIX):
            logger.info("marker %r at %.3f s", label, onset)
            return
        with self._lock:
            event = Event(onset=onset, label=label, code=self._n_events)
            self._n_events += 1
        self.outlets.publish(event)
        for refusal in self.epocher.add_event(event):
            self._enqueue(refusal)

    def _enqueue(self, verdict: Epoch | Refusal) -> None:
        try:
            self._waiting.put_nowait(_Ready(verdict, local_clock()))
        except queue.Full:
            self._decide(
                Refusal(event=verdict.event, reason="overrun", detail=f"{MAX_WAITING} epochs wait to be decoded")
            )

    # -- decode thread -------------------------------------------------------------------------------------------

    def _decode(self) -> None:
        while True:
            batch, ended = self._next_batch()
            epochs: dict[_Stream, list[tuple[Epoch, float]]] = {}
            for ready in batch:
                verdict = ready.verdict
                if isinstance(verdict, Refusal):
                    self._decide(verdict)
                else:  # apart where the stream came back with another rate or processing
                    epochs.setdefault((verdict.sfreq, verdict.info.applied), []).append((verdict, ready.at))
            for (sfreq, applied), together in epochs.items():
                self._decode_batch(together, sfreq, applied)
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
            item = self._waiting.get_nowait()
        return batch, True

    def _decode_batch(self, epochs: list[tuple[Epoch, float]], sfreq: float, applied: tuple[str, ...]) -> None:
        """Embed and retrieve epochs of one rate and processing together, and publish each."""
        started = local_clock()
        vectors = self.decoder.embed_raw(np.stack([epoch.data for epoch, _ in epochs]), sfreq, applied)
        embedded = local_clock()
        labels, scores = self.decoder.retrieve(vectors, self.top_k)
        retrieved = local_clock()
        for (epoch, ready), vector, names, probabilities in zip(epochs, vectors, labels, scores, strict=True):
            last = last_sample_time(epoch)
            latency_ms = {
                "epoch": 1e3 * (ready - last),
                "wait": 1e3 * (started - ready),
                "embed": 1e3 * (embedded - started),
                "retrieve": 1e3 * (retrieved - embedded),
                "total": 1e3 * (local_clock() - last),
            }
            retrieval = Retrieval(event=epoch.event, labels=names, scores=probabilities, latency_ms=latency_ms)
            self._decide(retrieval, Embedding(event=epoch.event, vector=vector, space=self.decoder.space))

    def _decide(self, verdict: Retrieval | Refusal, embedding: Embedding | None = None) -> None:
        """Publish a verdict and count it."""
        self.outlets.decide(verdict, embedding)
        with self._lock:
            if isinstance(verdict, Refusal):
                self._refusals[verdict.reason] += 1
                logger.debug("event %d refused: %s (%s)", verdict.event.code, verdict.reason, verdict.detail)
            else:
                self._n_retrievals += 1
                self.latency.add(verdict.latency_ms)
