"""Judge queries against candidates: scores, targets -> accuracies, k-way expectations and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.epochs import EpochSet
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.search import softmax

from .averaging import average_groups, group_repetitions
from .categories import confuse
from .confidence import judge_confidence
from .scoring import area_under_curve, expectation, interval_of, ranks
from .targets import find_targets
from .transductive import judge_as_a_set, rewhiten
from .truncation import truncate

__all__ = ["Answers", "gallery_kind", "give_answers", "judge_decoder", "judge_scores", "judge_windows", "searched"]

WAYS = (2, 4, 10, 50, 100, 200)
BLOCK = 4096  # epochs cut short at once


def judge_scores(scores: NDArray[Any], targets: NDArray[Any], clusters: NDArray[Any] | None = None) -> dict[str, Any]:
    """Return every figure that a score matrix gives.

    Parameters
    ----------
    scores : ndarray, shape (n_queries, n_candidates)
        Higher is better.
    targets : ndarray of int, shape (n_queries,)
        Column of each query's target.
    clusters : ndarray, shape (n_queries,), optional
        Queries that share one are not independent; the targets where absent.

    Returns
    -------
    dict
        "n_queries", "n_classes", "top1" and "top5" with intervals and chance, "k_way" per k, "auc" for two classes.
    """
    best, ties, sizes = ranks(scores, targets)
    n_classes = scores.shape[1]
    clusters = targets if clusters is None else clusters
    found: dict[str, Any] = {"n_queries": len(scores), "n_classes": n_classes}
    for top in (1, 5):
        hits = expectation(best, ties, sizes, top=min(top, n_classes))
        low, high, kind = interval_of(hits, clusters)
        found[f"top{top}"] = float(hits.mean())
        found[f"top{top}_interval"] = [low, high]
        found[f"chance_top{top}"] = min(top, n_classes) / n_classes
        found["interval"] = kind
    found["k_way"] = {
        str(k): float(expectation(best, ties, sizes, k).mean()) for k in WAYS if k <= n_classes
    }  # fmt: skip
    if n_classes == 2 and len(np.unique(targets)) == 2:
        found["auc"] = area_under_curve(scores[:, 1] - scores[:, 0], np.asarray(targets) == 1)
    return found


def gallery_kind(gallery: Gallery, part: EpochSet) -> str:
    """Return in words what a query is compared with: these are different tasks."""
    if not any(gallery.files):
        return "labels"
    if all(picture and gallery.index_of(picture) is not None for picture in set(part.pictures)):
        return "exact picture"
    return "other pictures of the concept"


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a decoder says to queries of one number of repetitions.

    Parameters
    ----------
    repetitions : int or None
        Presentations behind each query; None stands for all.
    scores : ndarray of float64, shape (n_queries, n_classes)
        Log probabilities, up to a constant for each query.
    targets : ndarray of int, shape (n_queries,)
        The right class of each.
    """

    repetitions: int | None
    scores: NDArray[np.float64]
    targets: NDArray[np.intp]


def give_answers(
    decoder: Decoder,
    part: EpochSet,
    repetitions: Sequence[int | None] | None = None,
    *,
    evidence: bool = False,
    seed: int = 0,
) -> Iterator[Answers]:
    """Yield what a decoder says, for each number of repetitions.

    Parameters
    ----------
    decoder, part, repetitions, evidence, seed
        As in `judge_decoder`, which see for the errors.
    """
    gallery = searched(decoder)
    classes = gallery.item_classes[find_targets(part, gallery)]
    most = int(np.unique(np.asarray(part.names), return_counts=True)[1].max())
    if repetitions is None:
        repetitions = [n for n in (1, 2, 4, 10, 20, 40, 80) if n <= most] if any(gallery.files) else [1]
    each = decoder.embed(part.data) if evidence else None
    for n_averaged in repetitions:
        groups = group_repetitions(part.names, n_averaged, seed)
        if not groups:
            raise ConfigError(f"--repetitions {n_averaged}", f"at most {most}, as the epochs have")
        targets = classes[[group[0] for group in groups]]
        if each is not None:
            scores = _add_up(decoder, each, groups)
        elif n_averaged == 1:  # in the order of the table: nothing is copied
            scores, targets = gallery.class_scores(decoder.embed(part.data), decoder.logit_scale), classes
        else:
            averages = average_groups(part.data, groups)
            scores = gallery.class_scores(decoder.embed(averages), decoder.logit_scale)
        yield Answers(repetitions=n_averaged, scores=scores, targets=targets)


def judge_decoder(
    decoder: Decoder,
    part: EpochSet,
    repetitions: Sequence[int | None] | None = None,
    *,
    evidence: bool = False,
    sure: float | None = None,
    transductive: EpochSet | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the retrieval figures of a decoder, one row per number of repetitions.

    Parameters
    ----------
    decoder : Decoder
        With the gallery to search.
    part : EpochSet
    repetitions : sequence of int or None, optional
        Presentations behind one answer; None stands for all. By default 1, 2, 4, 10, 20, 40, 80 as far as they go;
        1 where there are only labels.
    evidence : bool
        Add up what each presentation says, as live decoding does (`Decoder.averaging`); else the epochs are averaged
        before encoding.
    sure : float, optional
        Confidence from which an answer is announced.
    transductive : EpochSet, optional
        The training epochs: adds "transductive", rows of answers that look at `part` as a set
        (`transductive.judge_as_a_set`).
    categories : mapping of str to sequence of str, optional
        The categories of each concept: adds "confusion" of the last row's answers, `categories.confuse`.
    seed : int
        Of the groups drawn.

    Raises
    ------
    ConfigError
        The decoder has no gallery, no picture has that many repetitions, or what is transductive is asked of added
        evidence or of labels.
    DatasetError
        An epoch's picture is not in the gallery.
    """
    gallery = searched(decoder)
    if transductive is not None and (evidence or not any(gallery.files)):
        raise ConfigError(
            "--transductive with " + ("--evidence" if evidence else "a gallery of labels"),
            "pictures, each shown as often as the others, and epochs averaged before encoding",
        )
    rows: list[dict[str, Any]] = []
    as_a_set: list[dict[str, Any]] = []
    again: Iterator[Answers] | None = None
    if transductive is not None:
        whitened = replace(part, data=rewhiten(part.data, transductive.data))
        again = give_answers(decoder, whitened, repetitions, seed=seed)
    for answers in give_answers(decoder, part, repetitions, evidence=evidence, seed=seed):
        what = {"repetitions": answers.repetitions or "all"}
        rows.append({**what, **_judge_answers(answers.scores, answers.targets, sure)})
        if again is not None:
            found = judge_as_a_set(answers.scores, next(again).scores, answers.targets, judge_scores)
            as_a_set += [{**what, **row} for row in found]
    result: dict[str, Any] = {
        "gallery": {
            "kind": gallery_kind(gallery, part),
            "n_items": len(gallery),
            "n_classes": len(gallery.classes),
            "file_hash": gallery.file_hash,
        },
        "space": decoder.space,
        "rows": rows,
    }
    if again is not None:
        result["transductive"] = as_a_set
    if categories is not None:
        shown = [gallery.classes[i] for i in answers.targets]
        answered = [gallery.classes[i] for i in answers.scores.argmax(axis=1)]
        result["confusion"] = {"repetitions": rows[-1]["repetitions"], **confuse(shown, answered, categories)}
    return result


def judge_windows(
    decoder: Decoder, part: EpochSet, windows: Sequence[float], sure: float | None = None
) -> list[dict[str, Any]]:
    """Return the retrieval figures of single presentations of which only the beginning has arrived.

    The preprocessed epochs are set to zero after each time. A live decoder preprocesses what has arrived of the raw
    epoch instead: where the amplifier's rate is another than the model's, resampling then has its edge there rather
    than at the end, which changes the last sample by about 20 % of the signal's standard deviation and those before
    it ever less (embeddings: cosine over .999). At the model's rate both are the same.

    Parameters
    ----------
    decoder : Decoder
        With the gallery to search.
    part : EpochSet
    windows : sequence of float
        Seconds from the onset at which the epochs end; from the window's end on they are whole.
    sure : float, optional
        Confidence from which an answer is announced.

    Returns
    -------
    list of dict
        One row per window, as those of `judge_decoder`, with "until" in place of "repetitions".

    Raises
    ------
    ConfigError
        The decoder has no gallery, or a window ends before the model's first sample.
    """
    gallery = searched(decoder)
    targets = gallery.item_classes[find_targets(part, gallery)]
    rows = []
    for until in windows:
        n_times = decoder.preprocessor.n_times_until(until)
        if not n_times:
            raise ConfigError(
                f"a window that ends {1e3 * until:g} ms after the onset",
                f"an end after {1e3 * decoder.preprocessor.start:g} ms, where the decoder's window begins",
            )
        blocks = np.array_split(part.data, range(BLOCK, len(part), BLOCK))
        vectors = np.concatenate([decoder.embed(truncate(block, n_times)) for block in blocks])
        scores = gallery.class_scores(vectors, decoder.scale_at(until))
        rows.append({"until": until, **_judge_answers(scores, targets, sure)})
    return rows


def searched(decoder: Decoder) -> Gallery:
    """Return the gallery of a decoder.

    Raises
    ------
    ConfigError
        There is none.
    """
    if decoder.gallery is None:
        raise ConfigError("the decoder has no gallery", "one to search", "give --gallery DIR (necomimi embed)")
    return decoder.gallery


def _judge_answers(scores: NDArray[np.float64], targets: NDArray[np.intp], sure: float | None) -> dict[str, Any]:
    """Return every figure of class scores that are log probabilities."""
    best, ties, sizes = ranks(scores, targets)
    hits = expectation(best, ties, sizes)
    confidence = softmax(scores).max(axis=1)
    return {**judge_scores(scores, targets), **judge_confidence(confidence, hits, targets, sure)}


def _add_up(decoder: Decoder, vectors: NDArray[np.float32], groups: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return class scores of groups of presentations, shape (n_groups, n_classes)."""
    gallery = searched(decoder)
    scores = np.empty((len(groups), len(gallery.classes)))
    sizes = np.array([len(group) for group in groups])
    for size in np.unique(sizes):
        chosen = np.flatnonzero(sizes == size)
        rows = np.stack([groups[int(i)] for i in chosen])
        scores[chosen] = decoder.averaging.class_scores(vectors[rows], gallery, decoder.logit_scale)
    return scores
