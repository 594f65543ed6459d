"""The three doors by which results leave: Retrieval, Refusal -> feed, LSL outlet, JSON Lines log."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, TextIO

from necomimi.errors import ConfigError
from necomimi.feed import Publisher, Record
from necomimi.lsl import MarkerOutlet, local_clock
from necomimi.records import Embedding, Refusal, Retrieval

__all__ = ["DECISIONS_SOURCE_ID", "Outlets", "to_json"]

DECISIONS_SOURCE_ID = "necomimi-decisions"


def to_json(verdict: Retrieval | Refusal, embedding: Embedding | None = None) -> dict[str, Any]:
    """Return a verdict as the JSON object of the log and the LSL outlet."""
    head = {"code": verdict.event.code, "onset": verdict.event.onset, "label": verdict.event.label}
    if isinstance(verdict, Refusal):
        return {"type": "refusal", **head, "reason": verdict.reason, "detail": verdict.detail}
    answer = {
        "type": "retrieval",
        **head,
        "labels": list(verdict.labels),
        "scores": [round(float(score), 6) for score in verdict.scores],
        "n_averaged": verdict.n_averaged,
        "latency_ms": {step: round(ms, 3) for step, ms in verdict.latency_ms.items()},
    }
    if embedding is not None:
        answer["embedding"] = [float(f"{x:.7g}") for x in embedding.vector]
    return answer


class Outlets:
    """Publish records; may be called from any thread.

    Parameters
    ----------
    feed : str
        ZeroMQ address on 127.0.0.1.
    log : Path or None
        JSON Lines file, one verdict a line, written through at each line; an existing file is continued.
    source_id : str
        The EEG stream's, so that the LSL outlet keeps its identity across restarts.
    log_embeddings : bool
        Write each embedding into the log as well.
    """

    def __init__(self, feed: str, log: Path | None, source_id: str, log_embeddings: bool = False) -> None:
        self._lock = threading.Lock()
        self._log_embeddings = log_embeddings
        self._log: TextIO | None = None
        if log is not None:
            try:
                log.parent.mkdir(parents=True, exist_ok=True)
                self._log = log.open("a", encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"--log {log} cannot be written: {error.strerror}", "a writable file") from error
        self._publisher = Publisher(feed)
        self.address = self._publisher.address
        self._outlet = MarkerOutlet(DECISIONS_SOURCE_ID, f"{DECISIONS_SOURCE_ID}-{source_id}")

    def publish(self, record: Record) -> None:
        """Send a record on the feed."""
        with self._lock:
            self._publisher.send(record)

    def decide(self, verdict: Retrieval | Refusal, embedding: Embedding | None = None) -> None:
        """Send a verdict through all three doors."""
        line = json.dumps(to_json(verdict), ensure_ascii=False)
        with self._lock:
            self._publisher.send(verdict)
            if embedding is not None:
                self._publisher.send(embedding)
            self._outlet.push(line, local_clock())
            if self._log is not None:
                if self._log_embeddings and embedding is not None:
                    line = json.dumps(to_json(verdict, embedding), ensure_ascii=False)
                self._log.write(line + "\n")
                self._log.flush()

    def close(self, summary: dict[str, Any]) -> None:
        """Write the summary as the log's last line, and close."""
        with self._lock:
            if self._log is not None:
                self._log.write(json.dumps({"type": "summary", **summary}, ensure_ascii=False) + "\n")
                self._log.close()
            self._publisher.close()
