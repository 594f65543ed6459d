"""Answer epochs by labels: Epoch -> Embedding -> Retrieval, alone or with the earlier presentations of the stimulus."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.lsl import local_clock
from necomimi.records import Embedding, Epoch, Retrieval

__all__ = ["Answer", "Answerer"]

logger = logging.getLogger(__name__)

MAX_STIMULI = 4096  # whose evidence is kept; the one presented longest ago is forgotten first


@dataclass(frozen=True, slots=True)
class Answer:
    """What one epoch gives.

    Parameters
    ----------
    retrieval : Retrieval
    embedding : Embedding
        Of this epoch alone.
    mean : ndarray of float32, shape (n_dims,)
        Unit norm: the mean direction of the presentations behind the retrieval; of one, its embedding.
    similarities : ndarray of float32, shape (n_classes,), or None
        Cosine with the nearest item of each class, of this epoch alone.
    """

    retrieval: Retrieval
    embedding: Embedding
    mean: NDArray[np.float32]
    similarities: NDArray[np.float32] | None


class Answerer:
    """Embed and retrieve; remember the presentations of each stimulus where evidence is to be accumulated.

    Parameters
    ----------
    decoder : Decoder
        With a gallery.
    top_k : int
        Labels in each answer.
    average : int
        An answer takes in the last so many presentations of a stimulus, that is, events of the same label.
    sure : float
        Probability of the best label from which on it may be announced.
    similarities : bool
        Whether each answer has its similarities.
    """

    def __init__(
        self, decoder: Decoder, top_k: int = 5, average: int = 1, sure: float = float("inf"), similarities: bool = False
    ) -> None:
        self.decoder = decoder
        self.top_k = top_k
        self.average = average
        self.sure = sure
        self.similarities = similarities
        self._evidence: OrderedDict[str, deque[NDArray[np.float32]]] = OrderedDict()
        self._announced: dict[str, str] = {}

    def warm_up(self, n_times: int, sfreq: float, applied: Sequence[str], until: float | None = None) -> None:
        """Answer an epoch of zeros, `n_times` samples at `sfreq` Hz, so that the first event does not pay for it."""
        blank = np.zeros((1, len(self.decoder.preprocessor.ch_names), n_times), dtype=np.float32)
        vectors = self.decoder.embed_raw(blank, sfreq, applied, until)
        self.decoder.retrieve(vectors, self.top_k, until)
        if self.average > 1:
            self.decoder.retrieve_averaged(np.repeat(vectors, 2, axis=0), self.top_k)

    def __call__(self, epochs: Sequence[Epoch]) -> list[Answer]:
        """Return the answers to epochs of the same rate, processing and end.

        The retrievals' milliseconds are "embed" and "retrieve"; both are the batch's.
        """
        first = epochs[0]
        started = local_clock()
        data = np.stack([epoch.data for epoch in epochs]) if len(epochs) > 1 else first.data[None]
        vectors = self.decoder.embed_raw(data, first.sfreq, first.info.applied, first.until)
        embedded = local_clock()
        labels, scores = self.decoder.retrieve(vectors, self.top_k, first.until)
        counts, means = [1] * len(epochs), list(vectors)
        if self.average > 1:
            for i, epoch in enumerate(epochs):
                presentations = self._presentations(epoch, vectors[i])
                counts[i] = len(presentations)
                if counts[i] > 1:
                    means[i] = _direction(np.mean(presentations, axis=0))
                    labels[i], scores[i] = self.decoder.retrieve_averaged(np.stack(presentations), self.top_k)
        similarities = self.decoder.similarities(vectors) if self.similarities else [None] * len(epochs)
        retrieved = local_clock()
        latency_ms = {"embed": 1e3 * (embedded - started), "retrieve": 1e3 * (retrieved - embedded)}
        answers = []
        for i, epoch in enumerate(epochs):
            retrieval = Retrieval(
                event=epoch.event,
                labels=labels[i],
                scores=scores[i],
                n_averaged=counts[i],
                until=epoch.until,
                sure=bool(scores[i][0] >= self.sure),
                warnings=epoch.info.warnings,
                latency_ms=latency_ms,
            )
            self._announce(retrieval)
            embedding = Embedding(event=epoch.event, vector=vectors[i], space=self.decoder.space)
            answers.append(Answer(retrieval, embedding, means[i], similarities[i]))
        return answers

    def _presentations(self, epoch: Epoch, vector: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the embeddings of the last presentations of a stimulus, this one included; keep it if it is whole."""
        label = epoch.event.label
        kept = self._evidence.pop(label, None) or deque(maxlen=self.average)
        self._evidence[label] = kept
        if len(self._evidence) > MAX_STIMULI:
            self._announced.pop(self._evidence.popitem(last=False)[0], None)
        if epoch.until is None:
            kept.append(vector)
            return list(kept)
        return [*list(kept)[-(self.average - 1) :], vector]

    def _announce(self, retrieval: Retrieval) -> None:
        """Tell in the log when a stimulus has an answer that is sure enough, and when that changes."""
        label, answer = retrieval.event.label, retrieval.labels[0]
        if retrieval.sure and retrieval.until is None and self._announced.get(label) != answer:
            self._announced[label] = answer
            confidence = 100 * float(retrieval.scores[0])
            logger.info("sure: %r is %r (%.0f %% after %d)", label, answer, confidence, retrieval.n_averaged)


def _direction(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a vector at unit norm."""
    return vector / np.float32(np.linalg.norm(vector))
