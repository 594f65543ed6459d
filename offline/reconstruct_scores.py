"""Score every condition of a reconstruction: true and painted pictures, networks -> rows of figures with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.intervals import bootstrap_interval

from .picture_scores import Score, picture_features, score_pictures
from .scoring import sign_test, units_of
from .vision_networks import VisionNetwork

__all__ = ["cat_rows", "compare_stages", "mispair", "rows_of", "score_conditions"]

STAGES = ("two-stage", "one-stage")  # the better guess first
Row = dict[str, Any]


def mispair(concepts: Sequence[str]) -> NDArray[np.intp] | None:
    """Return for each picture another one, of another concept; each is taken once.

    Parameters
    ----------
    concepts : sequence of str, length n

    Returns
    -------
    ndarray of int, shape (n,), or None
        None where more than half of the pictures are of one concept.
    """
    order = np.argsort(np.asarray(concepts), kind="stable")
    most = int(np.unique(np.asarray(concepts), return_counts=True)[1].max())
    if 2 * most > len(concepts):
        return None
    others = np.empty(len(order), dtype=np.intp)
    others[order] = np.roll(order, len(order) // 2)  # a shift of `most` to n - `most` leads out of every concept
    return others


def score_conditions(
    truth: NDArray[np.uint8],
    painted: Mapping[str, NDArray[np.uint8]],
    networks: Sequence[VisionNetwork],
    concepts: Sequence[str],
) -> dict[str, dict[str, Score]]:
    """Return the scores of every condition, and of "shuffled": what EEG gave, set against pictures of other concepts.

    Parameters
    ----------
    truth : ndarray of uint8, shape (n, size, size, 3)
    painted : mapping of str to ndarray of uint8, shape (n_seeds, n, other size, other size, 3)
        By condition, floor first; two or more pictures.
    networks : sequence of VisionNetwork
    concepts : sequence of str, length n

    Returns
    -------
    dict of str to dict of str to Score
        Condition -> metric -> score; "shuffled" comes after the floor, and is absent where `mispair` finds nothing.
    """
    features = picture_features(truth, networks)
    found = {name: score_pictures(truth, pictures, networks, features) for name, pictures in painted.items()}
    others = mispair(concepts)
    stage = next(name for name in STAGES if name in painted)
    if others is not None:
        moved = {name: values[others] for name, values in features.items()}
        paired = [network for network in networks if network.measure != "fid"]  # which pairs nothing
        found["shuffled"] = score_pictures(truth[others], painted[stage], paired, moved)
    order = ["floor", "shuffled", *painted]
    return {name: found[name] for name in dict.fromkeys(order) if name in found}


def rows_of(scores: Mapping[str, Mapping[str, Score]], concepts: Sequence[str]) -> list[Row]:
    """Return one row per metric and condition.

    Parameters
    ----------
    scores : mapping
        Of `score_conditions`.
    concepts : sequence of str, length n

    Returns
    -------
    list of dict
        "metric", "label" and "measure" (`necomimi.offline.picture_scores.Score`), "condition", "value", "value_sd"
        (over seeds; None for one), "value_interval" (95 %, bootstrap over concepts; None where the figure belongs to
        the whole set), "chance" (or None), "higher_is_better".
    """
    units, rows = units_of(np.asarray(concepts)), []
    for condition, found in scores.items():
        for metric, score in found.items():
            each = score.by_picture
            rows.append(
                {
                    "metric": metric,
                    "label": score.label,
                    "measure": score.measure,
                    "condition": condition,
                    "value": float(score.mean),
                    "value_sd": float(score.by_seed.std(ddof=1)) if len(score.by_seed) > 1 else None,
                    "value_interval": None if each is None else list(bootstrap_interval(each, units)),
                    "chance": score.chance,
                    "higher_is_better": score.is_higher_better,
                }
            )
    return rows


def cat_rows(cat: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return rows as `rows_of` does, of the share of matched tags by condition."""
    return [
        {
            "metric": "cat",
            "label": "CAT, matched tags",
            "measure": "share",
            "condition": condition,
            "value": found["share"],
            "value_sd": None,
            "value_interval": list(found["share_interval"]),
            "chance": found["chance"],
            "higher_is_better": True,
        }
        for condition, found in cat.items()
    ]


def compare_stages(scores: Mapping[str, Mapping[str, Score]], concepts: Sequence[str]) -> list[Row]:
    """Return what the second stage changes, picture by picture; nothing where there is one stage only.

    Parameters
    ----------
    scores : mapping
        Of `score_conditions`.
    concepts : sequence of str, length n

    Returns
    -------
    list of dict
        "metric", "label", "conditions" (two-stage, one-stage), "value" (the first less the second), "value_interval"
        (95 %, bootstrap over concepts) and "p" (`necomimi.offline.scoring.sign_test` over concepts, or over pictures
        where there are fewer than ten concepts).
    """
    if not all(stage in scores for stage in STAGES):
        return []
    units, rows = units_of(np.asarray(concepts)), []
    two, one = (scores[stage] for stage in STAGES)
    for metric, score in two.items():
        before, after = one[metric].by_picture, score.by_picture
        if before is None or after is None:
            continue
        change = after - before
        rows.append(
            {
                "metric": metric,
                "label": score.label,
                "conditions": list(STAGES),
                "value": float(change.mean()),
                "value_interval": list(bootstrap_interval(change, units)),
                "p": sign_test(change, units),
            }
        )
    return rows
