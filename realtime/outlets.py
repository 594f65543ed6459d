"""The doors by which results leave: Retrieval, Refusal, similarities, pictures -> feed, LSL outlets, log."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi import __version__
from necomimi.errors import ConfigError
from necomimi.feed import Publisher, Record
from necomimi.lsl import MarkerOutlet, SimilarityOutlet, local_clock
from necomimi.records import Embedding, GeneratedImage, Refusal, Retrieval, StreamInfo

from .decision_log import DecisionLog

__all__ = ["DECISIONS_SOURCE_ID", "SIMILARITIES_SOURCE_ID", "Outlets", "to_json"]

DECISIONS_SOURCE_ID = "necomimi-decisions"
SIMILARITIES_SOURCE_ID = "necomimi-similarities"
SIMILARITIES_MEANING = (
    "cosine similarity, from -1 to 1, of the embedding of one epoch with the nearest picture of each class; "
    "stamped as the decision of the same epoch on the stream necomimi-decisions"
)
COMPACT = (",", ":")


def to_json(verdict: Retrieval | Refusal | GeneratedImage, embedding: Embedding | None = None) -> dict[str, Any]:
    """Return a verdict as the JSON object of the log and the LSL outlet, or what the log says of a picture."""
    head = {"code": verdict.event.code, "onset": verdict.event.onset, "label": verdict.event.label}
    if isinstance(verdict, Refusal):
        return {"type": "refusal", **head, "reason": verdict.reason, "detail": verdict.detail}
    if isinstance(verdict, GeneratedImage):
        return {
            "type": "picture",
            **head,
            "stage": verdict.stage,
            "generator": verdict.generator,
            "preview": verdict.preview,
            "seed": verdict.seed,
            "size": verdict.pixels.shape[0],
            "n_averaged": verdict.n_averaged,
            "latency_ms": _rounded(verdict.latency_ms),
        }
    answer = {
        "type": "retrieval" if verdict.until is None else "provisional",
        **head,
        "labels": list(verdict.labels),
        "scores": [round(float(score), 6) for score in verdict.scores],
        "n_averaged": verdict.n_averaged,
    }
    if verdict.until is not None:
        answer["until"] = verdict.until
    if verdict.sure:
        answer["sure"] = True
    if verdict.warnings:
        answer["warnings"] = list(verdict.warnings)
    answer["latency_ms"] = _rounded(verdict.latency_ms)
    if embedding is not None:
        answer["embedding"] = [float(f"{x:.7g}") for x in embedding.vector]
    return answer


def _rounded(latency_ms: Mapping[str, float]) -> dict[str, float]:
    return {step: round(ms, 3) for step, ms in latency_ms.items()}


class Outlets:
    """Publish records; may be called from any thread.

    Parameters
    ----------
    feed : str
        ZeroMQ address on 127.0.0.1; with keys, any.
    log : Path or None
        JSON Lines file, one verdict or picture a line: a `DecisionLog`. While it cannot be written (a full disk), the
        decisions go on through the other doors.
    source_id : str
        The EEG stream's, so that the LSL outlets keep their identity across restarts.
    log_embeddings : bool
        Write each embedding into the log as well.
    keys : Path, optional
        Folder of keys that guard the feed (see `necomimi.curve`).
    classes : tuple of str, optional
        The classes whose similarities are offered as a numeric LSL stream; none by default.
    run : mapping, optional
        What the log's first line says of this run, besides when it began.

    Attributes
    ----------
    address : str
        Where the feed is, its port included.

    Raises
    ------
    ConfigError
        The log cannot be written, or the keys are not there.
    FeedError
        The address is taken, or reaches beyond this machine without keys.
    """

    def __init__(
        self,
        feed: str,
        log: Path | None,
        source_id: str,
        log_embeddings: bool = False,
        *,
        keys: Path | None = None,
        classes: tuple[str, ...] = (),
        run: Mapping[str, Any] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._log_embeddings = log_embeddings
        self._publisher = Publisher(feed, keys=keys)
        self.address = self._publisher.address
        try:
            self._log = None if log is None else DecisionLog(log)
        except ConfigError:
            self._publisher.close()
            raise
        self._decisions = MarkerOutlet(DECISIONS_SOURCE_ID, f"{DECISIONS_SOURCE_ID}-{source_id}")
        self._similarities = None
        if classes:
            self._similarities = SimilarityOutlet(
                SIMILARITIES_SOURCE_ID, f"{SIMILARITIES_SOURCE_ID}-{source_id}", classes, SIMILARITIES_MEANING
            )
        if self._log is not None:
            self._log.write(
                {
                    "type": "run",
                    "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "clock": local_clock(),
                    "version": __version__,
                    "source_id": source_id,
                    "feed": self.address,
                    **(run or {}),
                }
            )
            if self._log.warning:
                self._publisher.close()
                self._log.close()
                raise ConfigError(self._log.warning, "room for the log", "--log FILE on another disk")

    @property
    def warning(self) -> str:
        """Why the log is not written, in words; "" while it is."""
        return "" if self._log is None else self._log.warning

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Our LSL streams, for a recorder."""
        similarities = () if self._similarities is None else (self._similarities.stream,)
        return (self._decisions.stream, *similarities)

    def publish(self, record: Record) -> None:
        """Send a record on the feed."""
        with self._lock:
            self._publisher.send(record)

    def decide(
        self,
        verdict: Retrieval | Refusal,
        embedding: Embedding | None = None,
        similarities: NDArray[np.float32] | None = None,
    ) -> None:
        """Send a verdict through all doors.

        Parameters
        ----------
        verdict : Retrieval or Refusal
        embedding : Embedding, optional
            Of the same event.
        similarities : ndarray of float32, shape (n_classes,), optional
            Of the same event; sent where the outlets were given the classes, with the stamp of the verdict's JSON.
        """
        with self._lock:
            self._publisher.send(verdict)  # first: those who wait for it in real time are here
            entry = to_json(verdict)
            line = json.dumps(entry, ensure_ascii=False, separators=COMPACT)
            now = local_clock()
            self._decisions.push(line, now)
            if self._similarities is not None and similarities is not None:
                self._similarities.push(similarities, now)
            if embedding is not None:
                self._publisher.send(embedding)
            if self._log is not None:
                self._log.write(to_json(verdict, embedding) if self._log_embeddings else entry)

    def show(self, picture: GeneratedImage) -> None:
        """Send a picture on the feed, and write a line of it, without its pixels, into the log."""
        with self._lock:
            self._publisher.send(picture)
            if self._log is not None:
                self._log.write(to_json(picture))

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write the summary as the log's last line, and close."""
        with self._lock:
            if self._log is not None:
                self._log.write({"type": "summary", **summary})
                self._log.close()
            self._publisher.close()
