"""Judge how honest confidence is: confidences, hits -> calibration error, what is sure and right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.reliability import N_BINS, bins_of, calibration_error

from .scoring import interval_of

__all__ = ["judge_confidence"]

N_DRAWS = 1000


def judge_confidence(
    confidence: NDArray[Any], hits: NDArray[Any], clusters: NDArray[Any], sure: float | None = None
) -> dict[str, Any]:
    """Return figures of confidence, to stand beside an accuracy.

    Parameters
    ----------
    confidence : ndarray, shape (n_queries,)
        Probability of each best answer.
    hits : ndarray, shape (n_queries,)
        1 where it was right, 0 where it was not; between for ties.
    clusters : ndarray, shape (n_queries,)
        Queries that share one are not independent.
    sure : float, optional
        Confidence from which an answer is announced.

    Returns
    -------
    dict
        "confidence" (its mean), "ece" (expected calibration error), "ece_if_calibrated" (what the error of answers as
        confident as these stays below in 95 of 100 cases when each is right with just that probability: with few
        queries it is not 0), and with `sure`: "sure" (share announced), "right_when_sure" (None where none is) with
        its interval.
    """
    confidence, hits = np.asarray(confidence, dtype=np.float64), np.asarray(hits, dtype=np.float64)
    found: dict[str, Any] = {
        "confidence": float(confidence.mean()),
        "ece": calibration_error(confidence, hits),
        "ece_if_calibrated": _error_if_calibrated(confidence),
    }
    if sure is not None:
        announced = confidence >= sure
        found["sure"] = float(announced.mean())
        found["right_when_sure"], found["right_when_sure_interval"] = None, [0.0, 1.0]
        if announced.any():
            found["right_when_sure"] = float(hits[announced].mean())
            found["right_when_sure_interval"] = list(interval_of(hits[announced], clusters[announced])[:2])
    return found


def _error_if_calibrated(confidence: NDArray[np.float64]) -> float:
    """Return the 95 % quantile of the calibration error where each answer is right with its confidence; seeded."""
    confidence = np.sort(confidence)  # the order of the queries shall not matter
    rng, bins = np.random.default_rng(0), bins_of(confidence, N_BINS)
    errors = np.zeros(N_DRAWS)
    for number in np.unique(bins):
        chances = confidence[bins == number]
        for i in range(N_DRAWS):
            errors[i] += abs((rng.random(len(chances)) < chances).sum() - chances.sum())
    return float(np.quantile(errors, 0.95) / len(confidence))
