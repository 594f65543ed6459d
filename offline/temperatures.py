"""Make confidence honest: held-out presentations, what they showed -> temperatures, Averaging."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.evidence import METHODS, Averaging
from necomimi.gallery import Gallery

from .averaging import group_repetitions
from .objective import Judge, fit_temperature

__all__ = ["Temperatures", "fit_averaging", "fit_temperatures"]

EXPONENTS = np.round(np.linspace(0.0, 1.0, 21), 2)  # 1: presentations that share no error
MIN_GROUPS = 10  # fewer say little
ENOUGH_GROUPS = 500  # with fewer, they are drawn again: which presentations meet should not matter
MAX_EARLY = 1000  # presentations behind the temperature of each end
MIN_SHARE = 0.9  # of the stimuli that must have a group, or the rare ones would not count


@dataclass(frozen=True, kw_only=True)
class Temperatures:
    """What makes a decoder's probabilities honest.

    Parameters
    ----------
    logit_scale : float
        Inverse temperature of a single presentation.
    early_scales : tuple of (float, float)
        Seconds from the onset, and the inverse temperature of epochs that end there.
    averaging : Averaging
        How presentations add up; uncalibrated where nothing was presented twice.
    facts : dict
        What the averaging rests on, for the reader: "n_presentations"; "unit" ("item" or "class": what was grouped);
        "sizes" of the groups; "log_loss" of each method at its best exponent, in nats.
    """

    logit_scale: float
    early_scales: tuple[tuple[float, float], ...]
    averaging: Averaging
    facts: dict[str, Any]


def fit_temperatures(
    embed: Callable[[NDArray[np.int64], int | None], NDArray[np.float32]],
    items: NDArray[np.intp],
    gallery: Gallery,
    *,
    ends: Mapping[float, int],
    seed: int,
) -> Temperatures:
    """Fit temperatures and averaging on held-out single presentations.

    Parameters
    ----------
    embed : callable
        Numbers of held-out presentations, and how many samples of each have arrived (None: all) -> unit-norm
        embeddings, shape (n, n_dims).
    items : ndarray of int, shape (n_presentations,)
        The item of `gallery` that each presentation showed.
    gallery : Gallery
        What the answers are chosen from: the held-out items.
    ends : mapping of float to int
        Where unfinished epochs end: seconds from the onset, and samples that have arrived by then.
    seed : int
        Of the groups drawn.
    """
    judge = Judge(gallery.embeddings, gallery.item_classes, items)
    vectors = embed(np.arange(len(items)), None)
    logit_scale, _ = fit_temperature(judge, vectors)
    some = np.arange(0, len(items), -(-len(items) // MAX_EARLY))
    judge_part = replace(judge, targets=items[some])
    early_scales = tuple(
        (until, fit_temperature(judge_part, embed(some, n_times))[0]) for until, n_times in ends.items()
    )
    averaging, facts = fit_averaging(vectors, items, gallery, logit_scale, seed)
    return Temperatures(
        logit_scale=logit_scale,
        early_scales=early_scales,
        averaging=averaging,
        facts={"n_presentations": len(items), **facts},
    )


def fit_averaging(
    vectors: NDArray[np.float32], items: NDArray[np.intp], gallery: Gallery, logit_scale: float, seed: int
) -> tuple[Averaging, dict[str, Any]]:
    """Choose the method and the exponent under which averages of held-out presentations are likeliest right.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, n_dims)
        The unit-norm embedding of each held-out presentation.
    items : ndarray of int, shape (n,)
        The item of `gallery` that each presentation showed.
    gallery : Gallery
        What the answers are chosen from: the held-out items.
    logit_scale : float
        Inverse temperature of a single presentation.
    seed : int
        Of the groups drawn.

    Returns
    -------
    averaging : Averaging
        Of the lowest log loss, the mean over groups of 2, 4, 8, ... presentations of one item; where items have too
        few, of one class; where those have too few, the default, uncalibrated.
    facts : dict
        "unit", "sizes" and "log_loss", as in `Temperatures`.
    """
    classes = gallery.item_classes[items]
    unit, groups = "item", _groups(items, seed)
    if not groups:
        unit, groups = "class", _groups(classes, seed)
    if not groups:
        return Averaging(), {"unit": "", "sizes": [], "log_loss": {}}
    best: dict[str, tuple[float, Averaging]] = {}
    for method in METHODS:
        candidates = [Averaging(method, float(exponent), True) for exponent in EXPONENTS]
        losses = np.zeros(len(candidates))
        for n, rows in groups.items():
            pooled = candidates[0].pool(vectors[rows], gallery, logit_scale)
            targets = classes[rows[:, 0]]
            for i, candidate in enumerate(candidates):
                losses[i] += _log_loss(candidate.weigh(pooled, n, gallery, logit_scale), targets) / len(groups)
        best[method] = (float(losses.min()), candidates[int(losses.argmin())])
    log_loss = {method: loss for method, (loss, _) in best.items()}
    averaging = best[min(log_loss, key=lambda method: log_loss[method])][1]
    return averaging, {"unit": unit, "sizes": list(groups), "log_loss": log_loss}


def _groups(stimuli: NDArray[np.intp], seed: int) -> dict[int, NDArray[np.int64]]:
    """Return groups of 2, 4, 8, ... presentations of one stimulus, as far as there are enough; shape (n_groups, n)."""
    names: Sequence[Any] = stimuli.tolist()
    groups: dict[int, NDArray[np.int64]] = {}
    n = 2
    while True:
        drawn = group_repetitions(names, n, seed)
        covered = len({names[group[0]] for group in drawn})
        if len(drawn) < MIN_GROUPS or covered < MIN_SHARE * len(set(names)):
            return groups
        for again in range(1, -(-ENOUGH_GROUPS // len(drawn))):
            drawn = drawn + group_repetitions(names, n, seed + again)
        groups[n] = np.stack(drawn)
        n *= 2


def _log_loss(scores: NDArray[np.float64], targets: NDArray[np.intp]) -> float:
    """Return the mean negative log probability of the targets under a softmax of each row, in nats."""
    top = scores.max(axis=1)
    total = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return float((total - scores[np.arange(len(targets)), targets]).mean())
