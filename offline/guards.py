"""Checks that run with every evaluation: decoder, epochs -> what holds, what does not, what cannot be known.

A figure is worth what the way to it is worth. Each check would have caught a mistake that was made somewhere: answers
that depend on the other queries, a gallery in another order, test pictures among the training pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from necomimi.decoder import Decoder
from necomimi.epochs import Epochs, EpochSet

from .judgement import give_answers, searched
from .scoring import expectation, ranks
from .targets import find_targets

__all__ = ["Guard", "check_decoder", "describe"]

N_CHECKED = 1024  # epochs, evenly spaced: the checks take a part of an evaluation's time
N_ALONE, N_PERMUTED = 8, 256  # of them, embedded one by one, and in another order
N_SHUFFLES = 200
TOLERANCE = {"cuda": 2e-2}  # of an embedding's values: half precision there
EXACT = 1e-3


@dataclass(frozen=True, slots=True)
class Guard:
    """What one check found.

    Parameters
    ----------
    name : str
        What should hold.
    passed : bool or None
        None where it cannot be known, or where the data say by their name that it does not.
    detail : str
        What was found.
    """

    name: str
    passed: bool | None
    detail: str


def check_decoder(decoder: Decoder, epochs: Epochs, part: EpochSet) -> list[Guard]:
    """Return what each check found.

    Parameters
    ----------
    decoder : Decoder
        With the gallery to search; it decodes the epochs' person already (`necomimi.offline.matching`).
    epochs : Epochs
    part : EpochSet
        Its test or training epochs, which are judged.

    Raises
    ------
    ConfigError
        The decoder has no gallery.
    DatasetError
        An epoch's picture is not in the gallery.
    """
    rows = np.unique(np.linspace(0, len(part) - 1, min(len(part), N_CHECKED)).astype(np.int64))
    guards = [*_check_batches(decoder, part, rows), _check_shuffled(decoder, part, rows), _check_gallery(decoder, part)]
    guards.append(_check_whitening(epochs))
    if part is epochs.test and any(searched(decoder).files):
        guards.append(_check_concepts(decoder, epochs, part))
    return guards


def describe(guards: Sequence[Mapping[str, Any]]) -> str:
    """Return one line: what failed, or that all passed, and what is not claimed.

    Parameters
    ----------
    guards : sequence of mapping
        The fields of each `Guard`, as ``necomimi evaluate --json`` prints them.
    """
    held = [guard["name"] for guard in guards if guard["passed"]]
    parts = [f"CHECK FAILED: {guard['name']}: {guard['detail']}" for guard in guards if guard["passed"] is False]
    if not parts:
        parts.append(f"{len(held)} checks passed ({', '.join(held)})")
    parts += [f"not claimed: {guard['name']}: {guard['detail']}" for guard in guards if guard["passed"] is None]
    return "; ".join(parts)


def _check_batches(decoder: Decoder, part: EpochSet, rows: np.ndarray) -> list[Guard]:
    """Compare one batch with batches of one, and with the same epochs in another order."""
    gallery = searched(decoder)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), N_PERMUTED)).astype(np.int64))]
    limit = TOLERANCE.get(decoder.device.type, EXACT)
    data = np.asarray(part.data[rows])
    vectors = decoder.embed(data)
    alone = np.unique(np.linspace(0, len(rows) - 1, N_ALONE).astype(np.int64))
    apart = float(max(np.abs(decoder.embed(data[i : i + 1])[0] - vectors[i]).max() for i in alone))
    order = np.random.default_rng(0).permutation(len(rows))
    moved = gallery.similarities(decoder.embed(data[order])) - gallery.similarities(vectors)[order]
    shift = float(np.abs(moved).max())
    return [
        Guard("batch of one = batch of many", apart <= limit, f"embeddings differ by {apart:.1e} at most"),
        Guard("permuted queries permute the answers", shift <= limit, f"similarities differ by {shift:.1e} at most"),
    ]


def _check_shuffled(decoder: Decoder, part: EpochSet, rows: np.ndarray) -> Guard:
    """Judge epochs whose labels were shuffled, single and averaged: they must fare as any shuffling of answers does."""
    rng = np.random.default_rng(0)
    names = rng.permutation(rows)
    shuffled = replace(
        part, data=np.asarray(part.data[rows]), labels=tuple(part.labels[i] for i in names),
        pictures=tuple(part.pictures[i] for i in names), sessions=part.sessions[rows],
        repetitions=part.repetitions[rows], onsets=part.onsets[rows],
    )  # fmt: skip
    passed, words = True, []
    for answers in give_answers(decoder, shuffled, [1, None] if any(searched(decoder).files) else [1]):
        n = len(answers.targets)
        found = expectation(*ranks(answers.scores, answers.targets)).mean()
        best = answers.scores == answers.scores.max(axis=1, keepdims=True)
        hits = best / best.sum(axis=1, keepdims=True)  # of each query, whatever its target were
        chance = np.array([hits[np.arange(n), rng.permutation(answers.targets)].mean() for _ in range(N_SHUFFLES)])
        passed &= bool(abs(found - chance.mean()) <= 5 * chance.std() + 1.5 / n)
        words.append(f"{found:.1%} of {n} (chance {chance.mean():.1%})")
    return Guard("shuffled labels give chance", passed, f"top-1 {', '.join(words)}")


def _check_gallery(decoder: Decoder, part: EpochSet) -> Guard:
    """Compare the label of each epoch with that of the candidate its picture leads to."""
    gallery = searched(decoder)
    pairs = set(zip(part.labels, find_targets(part, gallery).tolist(), strict=True))
    foreign = [(label, item) for label, item in sorted(pairs) if label in gallery.classes]
    foreign = [(label, item) for label, item in foreign if gallery.labels[item] != label]
    detail = f"{len(gallery)} candidates, file list {gallery.file_hash[:8]}"
    if foreign:
        label, item = foreign[0]
        detail = (
            f"the picture of {label!r} is {gallery.labels[item]!r} in the gallery, file list {gallery.file_hash[:8]}"
        )
    return Guard("gallery in the order of its files", not foreign, detail)


def _check_whitening(epochs: Epochs) -> Guard:
    """Say what the epochs directory says of its whitening."""
    name = "whitening saw training data only"
    if epochs.transductive:
        return Guard(name, None, "the epochs are transductive: test epochs were looked at")
    if "whiten" in epochs.preprocessor.applied:
        return Guard(name, None, "whitened by somebody else")
    return Guard(name, True, "as the epochs directory says")


def _check_concepts(decoder: Decoder, epochs: Epochs, part: EpochSet) -> Guard:
    """Look for test concepts and test pictures among those of training and validation."""
    held = set(decoder.training.get("val_concepts", ()))
    shown, trained = set(part.labels), set(epochs.train.labels)
    pictures = {picture for picture in part.pictures if picture} & set(epochs.train.pictures)
    found = [
        f"{len(both)} of {len(shown)} test concepts are {kind} concepts"
        for kind, both in (("training", shown & (trained - held)), ("validation", shown & held))
        if both
    ]
    if pictures:
        found.append(f"{len(pictures)} test pictures are training pictures")
    detail = f"{len(trained - held)}, {len(held)} and {len(shown)} concepts"
    return Guard("training, validation and test concepts are disjoint", not found, "; ".join(found) or detail)
