"""CAT score: embeddings of painted pictures, tags of their concepts, a judge -> points, shares, chance, interval.

For each picture and each kind of tag: does the picture lie nearer to the tag of its concept than to the tag of another
concept? The other is any of those scored that has another tag of this kind, each as likely as the next, and the points
are the exact expectation over them, ties half. So whatever looks the same for all pictures gets about half of the
points, however common some tags are.

Never set these points beside the published ones (437 to 440 of 1000): there the tags were never published, people said
whether a picture matched, no foils are reported, so that chance is unknown, and five decoders lay within their
intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError, DatasetError
from necomimi.intervals import bootstrap_interval

from .cat_judges import Judge
from .cat_tags import Tags

__all__ = ["cat_score", "summarise"]

CHANCE = 0.5


def cat_score(
    concepts: Sequence[str], embeddings: NDArray[np.float32], tags: Tags, judge: Judge, *, space: str
) -> dict[str, Any]:
    """Score painted pictures by the tags of the concepts they should show; call it once for each condition.

    Parameters
    ----------
    concepts : sequence of str
        What each picture should show. Several pictures of one concept (seeds) share its points.
    embeddings : ndarray of float32, shape (n_pictures, n_dims)
        Of the painted pictures, embedded as `judge.space` says (`build_embedder(judge.space)`); unit norm.
    tags : Tags
    judge : Judge
    space : str
        Of `embeddings`; must be `judge.space`.

    Returns
    -------
    dict
        As `summarise` returns it; "chance" is 0.5.

    Raises
    ------
    ConfigError
        `space` is not the judge's.
    DatasetError
        A concept has no tags, a vector is not finite, or nothing can be judged.
    """
    if space != judge.space:
        raise ConfigError(
            f"pictures embedded in the space {space}", f"{judge.space}, which the judge {judge.name} needs"
        )
    if embeddings.ndim != 2 or len(embeddings) != len(concepts):
        raise DatasetError(f"embeddings of shape {embeddings.shape} for {len(concepts)} concepts", "one for each")
    if not np.isfinite(embeddings).all():
        bad = int((~np.isfinite(embeddings).all(axis=1)).sum())
        raise DatasetError(f"{bad} of {len(embeddings)} embeddings hold a NaN or an infinite value")
    shares = np.empty((len(concepts), len(tags.columns)))
    for column in range(len(tags.columns)):
        own = tags.column(concepts, column)
        vocabulary, likeness = judge.likeness(concepts, embeddings, tags, column)
        number = {tag: i for i, tag in enumerate(vocabulary)}
        others = tags.column(sorted(set(concepts)), column)
        weights = np.bincount([number[tag] for tag in others], minlength=len(vocabulary)).astype(float)
        shares[:, column] = _beaten(likeness.astype(float), np.array([number[tag] for tag in own]), weights)
    return summarise(concepts, shares, tags, judge.name, CHANCE)


def _beaten(likeness: NDArray[np.float64], own: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted share of other tags to which each picture is less like than to its own; NaN without any."""
    rows = np.arange(len(own))
    mine = likeness[rows, own][:, None]
    foils = np.where(np.isfinite(likeness), weights, 0.0)
    foils[rows, own] = 0.0
    total = foils.sum(axis=1)
    won = (((likeness < mine) + CHANCE * (likeness == mine)) * foils).sum(axis=1)
    judged = np.isfinite(mine[:, 0]) & (total > 0)
    return np.where(judged, won / np.where(total > 0, total, 1.0), np.nan)


def summarise(
    concepts: Sequence[str], shares: NDArray[np.float64], tags: Tags, judge: str, chance: float
) -> dict[str, Any]:
    """Return a score from what a judge said of each picture and kind of tag.

    Parameters
    ----------
    concepts : sequence of str
        Of each picture.
    shares : ndarray of float64, shape (n_pictures, n_columns)
        0 to 1: how far the tag is matched; NaN where that was not judged.
    tags : Tags
    judge : str
    chance : float
        The share that says nothing.

    Returns
    -------
    dict
        "points" (0 to "points_possible"), "points_possible" (n_columns x n_concepts, less what was not judged),
        "points_chance", "points_interval" (low, high: 95 %, bootstrap over concepts), "share" (points /
        points_possible), "share_interval", "chance", "columns" (name -> "share", "interval", both None where nothing
        was judged, "n_judged", "n_not_judged": concepts), "n_concepts", "n_pictures", "n_not_judged" (points that
        could not be had), "judge", "tags" (the table's name), "per_concept" (concept -> share, for paired tests between
        conditions; without those of which nothing was judged).

    Raises
    ------
    DatasetError
        Nothing was judged.
    """
    names, index = np.unique(np.array(concepts), return_inverse=True)
    sums, counts = np.zeros((2, len(names), shares.shape[1]))
    np.add.at(sums, index, np.nan_to_num(shares))
    np.add.at(counts, index, np.isfinite(shares))
    points = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)  # (n_concepts, n_columns)
    judged = np.isfinite(points)
    n_points = int(judged.sum())
    if not n_points:
        raise DatasetError(f"no tag of {len(names)} concepts can be judged", "tags that several concepts share")
    clusters = np.broadcast_to(np.arange(len(names))[:, None], points.shape)
    share, interval = _rate(points[judged], clusters[judged])
    columns = {}
    for i, column in enumerate(tags.columns):
        rows = judged[:, i]
        rate, bounds = _rate(points[rows, i], np.flatnonzero(rows)) if rows.any() else (None, None)
        columns[column] = {
            "share": rate,
            "interval": bounds,
            "n_judged": int(rows.sum()),
            "n_not_judged": int((~rows).sum()),
        }
    return {
        "points": share * n_points,
        "points_possible": n_points,
        "points_chance": chance * n_points,
        "points_interval": (interval[0] * n_points, interval[1] * n_points),
        "share": share,
        "share_interval": interval,
        "chance": chance,
        "columns": columns,
        "n_concepts": len(names),
        "n_pictures": len(concepts),
        "n_not_judged": points.size - n_points,
        "judge": judge,
        "tags": tags.name,
        "per_concept": {
            str(name): float(row[told].mean())
            for name, row, told in zip(names, points, judged, strict=True)
            if told.any()
        },
    }


def _rate(points: NDArray[np.float64], clusters: NDArray[Any]) -> tuple[float, tuple[float, float]]:
    """Return the mean of points with its interval over concepts."""
    return float(points.mean()), bootstrap_interval(points, clusters)
