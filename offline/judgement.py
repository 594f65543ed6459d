"""Judge queries against candidates: scores, targets -> accuracies, k-way expectations and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.epochs import EpochSet
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import Gallery

from .averaging import average_groups, group_repetitions
from .confidence import judge_confidence, softmax
from .scoring import area_under_curve, expectation, interval_of, ranks
from .targets import find_targets
from .truncation import truncate

__all__ = ["gallery_kind", "judge_decoder", "judge_scores", "judge_windows", "load_scores"]

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
        "n_queries", "n_classes", "top1" and "top5" with intervals and chance, "kway" per k, "auc" for two classes.
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
    found["kway"] = {
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


def judge_decoder(
    decoder: Decoder,
    part: EpochSet,
    repetitions: Sequence[int | None] | None = None,
    *,
    evidence: bool = False,
    sure: float | None = None,
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
    seed : int
        Of the groups drawn.

    Raises
    ------
    ConfigError
        The decoder has no gallery, or no picture has that many repetitions.
    DatasetError
        An epoch's picture is not in the gallery.
    """
    gallery = _searched(decoder)
    classes = gallery.item_classes[find_targets(part, gallery)]
    most = int(np.unique(np.asarray(part.names), return_counts=True)[1].max())
    if repetitions is None:
        repetitions = [n for n in (1, 2, 4, 10, 20, 40, 80) if n <= most] if any(gallery.files) else [1]
    vectors = decoder.embed(part.data) if evidence else None
    rows = []
    for n_averaged in repetitions:
        groups = group_repetitions(part.names, n_averaged, seed)
        if not groups:
            raise ConfigError(f"--repetitions {n_averaged}", f"at most {most}, as the epochs have")
        if vectors is not None:
            scores = _add_up(decoder, vectors, groups)
        else:
            data = part.data if n_averaged == 1 else average_groups(part.data, groups)
            scores = gallery.class_scores(decoder.embed(data), decoder.logit_scale)
        firsts = np.array([group[0] for group in groups])
        targets = classes if vectors is None and n_averaged == 1 else classes[firsts]
        rows.append({"repetitions": n_averaged or "all", **_judge_answers(scores, targets, sure)})
    return {
        "gallery": {
            "kind": gallery_kind(gallery, part),
            "n_items": len(gallery),
            "n_classes": len(gallery.classes),
            "file_hash": gallery.file_hash,
        },
        "space": decoder.space,
        "rows": rows,
    }


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
    gallery = _searched(decoder)
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


def _searched(decoder: Decoder) -> Gallery:
    """Return the gallery of a decoder, which must be there."""
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
    gallery = _searched(decoder)
    scores = np.empty((len(groups), len(gallery.classes)))
    sizes = np.array([len(group) for group in groups])
    for size in np.unique(sizes):
        chosen = np.flatnonzero(sizes == size)
        rows = np.stack([groups[int(i)] for i in chosen])
        scores[chosen] = decoder.averaging.class_scores(vectors[rows], gallery, decoder.logit_scale)
    return scores


def load_scores(scores: Path, targets: Path | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read a score matrix and its targets (the diagonal where none are given), refusing pickled objects.

    Raises
    ------
    DatasetError
        A file is not a plain numeric array, or the shapes do not fit.
    """
    matrix = _load_array(scores, "a numeric matrix (n_queries, n_candidates)")
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise DatasetError(
            f"{scores} holds {matrix.dtype} of shape {matrix.shape}", "numbers (n_queries, n_candidates)"
        )
    if targets is not None:
        chosen = _load_array(targets, "whole numbers (n_queries,)")
        if chosen.shape != matrix.shape[:1] or chosen.dtype.kind not in "iu":
            raise DatasetError(
                f"{targets} holds {chosen.dtype} of shape {chosen.shape}", f"whole numbers ({len(matrix)},)"
            )
        return matrix.astype(np.float64), chosen.astype(np.int64)
    if matrix.shape[0] > matrix.shape[1]:
        raise DatasetError(
            f"{scores} has {matrix.shape[0]} queries and {matrix.shape[1]} candidates: the diagonal is no target",
            "at least as many candidates as queries",
            "give the column of each query's target with --targets FILE.npy",
        )
    return matrix.astype(np.float64), np.arange(len(matrix))


def _load_array(path: Path, expected: str) -> NDArray[Any]:
    """Read a .npy file without ever unpickling."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", expected, "save it with numpy.save") from error
    if not isinstance(array, np.ndarray):
        raise DatasetError(f"{path} is an archive of arrays", expected, "save one array with numpy.save")
    return array
