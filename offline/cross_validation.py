"""Judge a training by concepts it never saw, each once: epochs, gallery, settings, folds -> accuracies and a verdict.

The concepts are split into folds. For each fold an encoder is trained on the other concepts alone: they choose its
pass, and their noise is whitened away, so that nothing of a fold's epochs or pictures is known to the encoder that
answers them. It chooses among the concepts of its fold; where folds differ by one, accuracies are exact expectations
for the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.epochs import Epochs, EpochSet
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.montage import repair_matrix
from necomimi.preprocessing import ledoit_wolf

from .cutting import MICROVOLTS
from .engine import TrainSettings, TrainStep, train_encoder
from .fine_tuning import Base
from .judgement import give_answers
from .scoring import expectation, interval_of, ranks
from .targets import find_targets
from .verdict import judge_use
from .whitening import WHITEN, noise_whitening

__all__ = ["Whitener", "cross_validate", "guessing_p", "split_concepts"]

LEAST = 2  # concepts in a fold
N_DRAWS = 10000
BLOCK = 256  # epochs whose covariance is found at once


def split_concepts(concepts: Sequence[str], n_folds: int, seed: int) -> list[tuple[str, ...]]:
    """Return the concepts of each fold: each concept is in one of them.

    Raises
    ------
    ConfigError
        There are fewer than two folds, or fewer than two concepts in one.
    """
    known = sorted(set(concepts))
    if not 2 <= n_folds <= len(known) // LEAST:
        raise ConfigError(
            f"{n_folds} folds of {len(known)} concepts", f"at least 2 folds, and {LEAST} concepts in each",
            "fewer folds, or record more concepts",
        )  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(known))
    return [tuple(sorted(known[i] for i in part)) for part in np.array_split(order, n_folds)]


class Whitener:
    """Take the whitening off epochs, and put on one that some of them have chosen.

    Parameters
    ----------
    epochs : Epochs

    Raises
    ------
    ConfigError
        They were whitened in a way that cannot be taken off.
    """

    def __init__(self, epochs: Epochs) -> None:
        if epochs.whiten not in ("pooled", "none") or epochs.preprocessor.applied:
            raise ConfigError(
                f"{epochs.path} was whitened {epochs.whiten or 'by somebody else'}",
                "one whitening for all epochs, which can be fitted again without those that are held out",
                "necomimi preprocess --whiten pooled",
            )
        self.epochs = epochs
        self._whiten = WHITEN[WHITEN.index(epochs.whiten)]
        preprocessor = epochs.preprocessor
        self._repair = MICROVOLTS * repair_matrix(preprocessor.ch_names, epochs.bads)
        spatial = preprocessor.spatial.astype(np.float64)
        values = np.linalg.svd(spatial, compute_uv=False)
        rank = len(values) - len(epochs.bads)  # what is interpolated is no information
        undo = np.linalg.pinv(spatial, rcond=0.5 * float(values[rank - 1] / values[0]))
        self.data = (self._repair @ undo).astype(np.float32) @ epochs.train.data  # µV

    def fit(self, rows: NDArray[np.int64]) -> tuple[Epochs, NDArray[np.float32]]:
        """Whiten by the noise of some epochs.

        Returns
        -------
        chosen : Epochs
            These epochs alone, as training epochs.
        spatial : ndarray of float32, shape (n_channels, n_channels)
            Makes model input of `data`.
        """
        train = self.epochs.train
        sessions = train.sessions[rows]
        covariances = {
            ("train", int(session)): self._covariance(rows[sessions == session]) for session in np.unique(sessions)
        }
        matrix, _ = noise_whitening(covariances, self._whiten)
        spatial = matrix.astype(np.float32)
        preprocessor = replace(self.epochs.preprocessor, spatial=(matrix @ self._repair).astype(np.float32))
        chosen = train.rows(rows, spatial @ self.data[rows])
        return replace(self.epochs, train=chosen, test=None, preprocessor=preprocessor), spatial

    def part(self, rows: NDArray[np.int64], spatial: NDArray[np.float32]) -> EpochSet:
        """Return other epochs under that whitening."""
        return self.epochs.train.rows(rows, spatial @ self.data[rows])

    def _covariance(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = np.array_split(rows, -(-len(rows) // BLOCK))
        sums = [ledoit_wolf(self.data[part]).sum(axis=0) for part in parts]
        mean: NDArray[np.float64] = np.sum(sums, axis=0) / len(rows)
        return mean


@dataclass(frozen=True, kw_only=True, eq=False)
class _Told:
    """What the encoder of one fold said to queries of one number of presentations."""

    scores: NDArray[np.float64]
    targets: NDArray[np.intp]
    concepts: NDArray[np.str_]


def cross_validate(
    epochs: Epochs,
    gallery: Gallery,
    settings: TrainSettings,
    n_folds: int,
    *,
    base: Base | None = None,
    on_epoch: Callable[[int, TrainStep], None] = lambda fold, step: None,
) -> dict[str, Any]:
    """Judge how well encoders trained in this way tell concepts apart that they have never seen.

    Parameters
    ----------
    epochs : Epochs
        Of one person. Only the training epochs are looked at.
    gallery : Gallery
        The embeddings of the pictures seen.
    settings : TrainSettings
    n_folds : int
    base : Base, optional
        What each encoder starts from.
    on_epoch : callable
        (fold from 0, step): called after each pass.

    Returns
    -------
    dict
        "rows", of single presentations and of the mean over all of a picture: "n_queries", "n_classes", "top1" and
        "top5" with 95 % intervals over concepts and chance, "two_way"; "n_folds", "n_ways", "n_concepts", "n_epochs",
        "presentations" (of a picture, the median), "p" (see `guessing_p`), "known_to_base" (tested concepts that the
        base has learned from other people; None where it does not say), "verdict", "usable" and "sentence".

    Raises
    ------
    ConfigError
        The epochs are of labels, were whitened in another way, or the concepts do not suffice for the folds.
    """
    part = epochs.train
    if not any(part.pictures):
        raise ConfigError(f"{epochs.path} holds epochs of labels", "epochs of pictures, to hold out concepts of them")
    items = find_targets(part, gallery)
    concepts = np.array([gallery.labels[item] for item in items])
    folds = split_concepts(concepts.tolist(), n_folds, settings.seed)
    whitener = Whitener(epochs)
    told: dict[int | None, list[_Told]] = {1: [], None: []}
    for number, held in enumerate(folds):
        tested = np.isin(concepts, held)
        chosen, spatial = whitener.fit(np.flatnonzero(~tested))

        def report(step: TrainStep, fold: int = number) -> None:
            on_epoch(fold, step)

        decoder = train_encoder(chosen, gallery, settings, base=base, on_epoch=report).decoder
        learned = {*decoder.training["train_concepts"], *decoder.training["val_concepts"]}
        assert not learned & set(held), f"{learned & set(held)} are on both sides of fold {number}"
        rows = np.flatnonzero(tested)
        decoder.use_gallery(gallery.select(np.flatnonzero(np.isin(gallery.labels, held))))
        for answers in give_answers(decoder, whitener.part(rows, spatial), [1, None]):
            shown = np.array([decoder.classes[i] for i in answers.targets])
            told[answers.repetitions].append(_Told(scores=answers.scores, targets=answers.targets, concepts=shown))
    ways = min(len(held) for held in folds)
    presentations = int(np.median(np.unique(np.asarray(part.names), return_counts=True)[1]))
    judged = [{"repetitions": count or "all", **_judge(told[count], ways)} for count in (1, None)]
    p = guessing_p([(one.scores, one.targets) for one in told[1]], settings.seed)
    verdict, sentence = judge_use(judged[-1], p, presentations)
    return {
        "n_folds": n_folds,
        "n_ways": ways,
        "n_concepts": len(set(concepts.tolist())),
        "n_epochs": len(part),
        "presentations": presentations,
        "rows": judged,
        "p": p,
        "known_to_base": _known(base, concepts.tolist()),
        "verdict": verdict,
        "usable": verdict == "usable",
        "sentence": sentence,
    }


def guessing_p(
    answers: Sequence[tuple[NDArray[np.float64], NDArray[np.intp]]], seed: int, n_draws: int = N_DRAWS
) -> float:
    """Return the p value of guessing: how often permuted concepts are found as well, by pairwise comparisons.

    Within each fold the concepts that were shown are permuted, all presentations of one together, so that they need not
    be independent. What is compared is the mean over concepts of the two-way accuracy: the share of other concepts that
    the right one outranks.

    Parameters
    ----------
    answers : sequence of (scores, targets)
        Of each fold: scores, shape (n_queries, n_classes), and the right class of each query, shape (n_queries,).
    seed : int
        Of the permutations drawn.
    n_draws : int
        Permutations.
    """
    rng = np.random.default_rng(seed)
    found, drawn, n = 0.0, np.zeros(n_draws), 0
    for scores, targets in answers:
        shown, index = np.unique(targets, return_inverse=True)
        means = np.zeros((len(shown), scores.shape[1]))
        np.add.at(means, index, two_way(scores))
        means /= np.bincount(index)[:, None]
        rows = np.arange(len(shown))
        found += means[rows, shown].sum()
        orders = rng.permuted(np.tile(shown, (n_draws, 1)), axis=1)
        drawn += means[rows, orders].sum(axis=1)
        n += len(shown)
    return float((1 + (drawn >= found - 1e-9 * n).sum()) / (1 + n_draws))


def two_way(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each query and class the share of the other classes that it outranks, ties half; the same shape."""
    from scipy.stats import rankdata

    shares: NDArray[np.float64] = (rankdata(scores, axis=1) - 1) / (scores.shape[1] - 1)
    return shares


def _judge(told: Sequence[_Told], ways: int) -> dict[str, Any]:
    """Return the figures of all folds together."""
    concepts = np.concatenate([one.concepts for one in told])
    row: dict[str, Any] = {"n_queries": len(concepts), "n_classes": ways}
    for top in (1, 5):
        k = min(top, ways)
        hits = np.concatenate([expectation(*ranks(one.scores, one.targets), ways, k) for one in told])
        low, high, kind = interval_of(hits, concepts)
        row |= {f"top{top}": float(hits.mean()), f"top{top}_interval": [low, high], f"chance_top{top}": k / ways}
        row["interval"] = kind
    right = [two_way(one.scores)[np.arange(len(one.targets)), one.targets] for one in told]
    return {**row, "two_way": float(np.concatenate(right).mean())}


def _known(base: Base | None, concepts: Sequence[str]) -> int | None:
    """Return how many of the concepts a base has learned; 0 without one, None where it does not say."""
    if base is None:
        return 0
    learned = base.decoder.training.get("train_concepts")
    return None if learned is None else len(set(learned) & set(concepts))
