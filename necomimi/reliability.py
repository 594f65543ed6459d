"""Compare confidence with accuracy, bin by bin: probabilities of best answers, hits -> expected calibration error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_BINS", "Reliability", "bins_of", "calibration_error"]

N_BINS = 15


class Reliability:
    """What has been answered with which confidence, and how often it was right, in bins of equal width.

    Parameters
    ----------
    n_bins : int
        Of confidence: [0, 1 / n_bins), ..., the last closed.

    Attributes
    ----------
    counts : ndarray of int64, shape (n_bins,)
        Answers.
    confidence, hits : ndarray of float64, shape (n_bins,)
        Sums over the answers of a bin: of their probabilities, and of how right they were.
    """

    def __init__(self, n_bins: int = N_BINS) -> None:
        self.counts = np.zeros(n_bins, dtype=np.int64)
        self.confidence = np.zeros(n_bins)
        self.hits = np.zeros(n_bins)

    def add(self, confidence: NDArray[Any] | float, hits: NDArray[Any] | float) -> None:
        """Enter answers.

        Parameters
        ----------
        confidence : ndarray, shape (n_queries,), or float
            Probability of each best answer.
        hits : ndarray, shape (n_queries,), or float
            1 where it was right, 0 where it was not; between for ties.
        """
        confidence = np.atleast_1d(np.asarray(confidence, dtype=np.float64))
        bins = bins_of(confidence, len(self.counts))
        np.add.at(self.counts, bins, 1)
        np.add.at(self.confidence, bins, confidence)
        np.add.at(self.hits, bins, np.asarray(hits, dtype=np.float64))

    def merge(self, other: Reliability) -> None:
        """Enter the answers of another one with as many bins."""
        self.counts += other.counts
        self.confidence += other.confidence
        self.hits += other.hits

    def pooled(self, n_bins: int) -> Reliability:
        """Return the same answers in fewer bins; `n_bins` divides the number there are."""
        fewer = Reliability(n_bins)
        fewer.counts = self.counts.reshape(n_bins, -1).sum(axis=1)
        fewer.confidence = self.confidence.reshape(n_bins, -1).sum(axis=1)
        fewer.hits = self.hits.reshape(n_bins, -1).sum(axis=1)
        return fewer

    @property
    def n(self) -> int:
        """Answers in all bins."""
        return int(self.counts.sum())

    @property
    def error(self) -> float:
        """Expected calibration error: each bin's distance of accuracy from confidence, weighted by its share."""
        return float(np.abs(self.hits - self.confidence).sum() / self.n)


def calibration_error(confidence: NDArray[Any], hits: NDArray[Any], n_bins: int = N_BINS) -> float:
    """Return the expected calibration error: the mean distance of accuracy from confidence.

    Answers fall into bins of equal width by their confidence; each bin's distance of the mean hit from the mean
    confidence is weighted by its share of the answers.

    Parameters
    ----------
    confidence : ndarray, shape (n_queries,)
        Probability of each best answer.
    hits : ndarray, shape (n_queries,)
        1 where it was right, 0 where it was not.
    n_bins : int

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks.
    """
    reliability = Reliability(n_bins)
    reliability.add(confidence, hits)
    return reliability.error


def bins_of(confidence: NDArray[np.float64], n_bins: int) -> NDArray[np.intp]:
    """Return the bin, from 0, of each confidence, 0 to 1; both of shape (n,)."""
    return np.minimum((confidence * n_bins).astype(np.intp), n_bins - 1)
