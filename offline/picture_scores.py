"""Score one condition of painted pictures by all metrics: true and painted pictures, networks -> scores by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import DatasetError
from necomimi.picture_metrics import correlation_distance, frechet_distance, pixel_correlation, ssim, two_way

from .vision_networks import VisionNetwork

__all__ = ["Score", "picture_features", "score_pictures"]


@dataclass(frozen=True, slots=True)
class Score:
    """What one metric says of one condition.

    Parameters
    ----------
    label : str
        As tables name it, such as "AlexNet(2)".
    measure : {"pixels", "two-way", "distance", "fid"}
    is_higher_better : bool
    chance : float, optional
        What pictures of nothing in particular get; absent where that depends on the pictures (paint a floor).
    mean : float
        Over pictures and seeds; for "fid" over seeds.
    by_seed : ndarray of float64, shape (n_seeds,)
        The mean of each seed.
    by_picture : ndarray of float64, shape (n,), or None
        The mean over seeds of each picture; None for "fid", which belongs to a set of pictures.
    """

    label: str
    measure: str
    is_higher_better: bool
    chance: float | None
    mean: float
    by_seed: NDArray[np.float64]
    by_picture: NDArray[np.float64] | None


def picture_features(pictures: NDArray[np.uint8], networks: Sequence[VisionNetwork]) -> dict[str, NDArray[np.float32]]:
    """Return what each network makes of pictures, by the network's name.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, size, size, 3)
    networks : sequence of VisionNetwork

    Returns
    -------
    dict of str to ndarray of float32, shape (n, n_features)
    """
    return {network.name: network.features(pictures) for network in networks}


def score_pictures(
    truth: NDArray[np.uint8],
    painted: NDArray[np.uint8],
    networks: Sequence[VisionNetwork],
    truth_features: dict[str, NDArray[np.float32]] | None = None,
) -> dict[str, Score]:
    """Score painted pictures by pixels and by every network.

    Parameters
    ----------
    truth : ndarray of uint8, shape (n, size, size, 3)
    painted : ndarray of uint8, shape (n_seeds, n, other size, other size, 3)
        Picture i of each seed is of the same stimulus as true picture i.
    networks : sequence of VisionNetwork
        As `load_networks` gives them.
    truth_features : dict, optional
        What `picture_features` made of `truth` by the same networks, so that several conditions need not repeat it.

    Returns
    -------
    dict of str to Score
        "pixcorr", "ssim", then each network by its name, in the order given.

    Raises
    ------
    DatasetError
        The pictures are not pairs, or there is no seed, or fewer than two pictures.
    """
    if painted.ndim != 5 or not len(painted) or len(truth) < 2:
        raise DatasetError(
            f"{len(truth)} true pictures with painted ones of shape {painted.shape}",
            "two or more, and (n_seeds, n, size, size, 3)",
        )
    scores = {
        "pixcorr": _paired("PixCorr", "pixels", [pixel_correlation(truth, pictures) for pictures in painted]),
        "ssim": _paired("SSIM", "pixels", [ssim(truth, pictures) for pictures in painted]),
    }
    for network in networks:
        known = network.features(truth) if truth_features is None else truth_features[network.name]
        seen = [network.features(pictures) for pictures in painted]
        if network.measure == "fid":
            values = np.array([frechet_distance(known, features) for features in seen])
            scores[network.name] = Score(network.label, "fid", False, None, float(values.mean()), values, None)
        else:
            compare = two_way if network.measure == "two-way" else correlation_distance
            scores[network.name] = _paired(network.label, network.measure, [compare(known, each) for each in seen])
    return scores


def _paired(label: str, measure: str, values: list[NDArray[np.float64]]) -> Score:
    """Return the score of a metric that has a value for each picture: one array (n,) for each seed."""
    table = np.stack(values)
    return Score(
        label,
        measure,
        is_higher_better=measure != "distance",
        chance=0.5 if measure == "two-way" else None,
        mean=float(table.mean()),
        by_seed=table.mean(axis=1),
        by_picture=table.mean(axis=0),
    )
