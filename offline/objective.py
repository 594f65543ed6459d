"""What training minimises and validation measures: embeddings, candidates, targets -> loss, accuracy, temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .scoring import area_under_curve, expectation, ranks

__all__ = ["Judge", "fit_temperature", "info_nce"]


def info_nce(
    estimates: Tensor,
    candidates: Tensor,
    targets: Tensor,
    scale: Tensor | float,
    *,
    both: bool = True,
    smoothing: float = 0.0,
) -> Tensor:
    """Contrast estimates [B, F] with candidates [B', F]: logits [B, B'] -> scalar.

    The candidates are distinct, so that no picture is its own distractor. From EEG to image this is a softmax over the
    candidates; from image to EEG a softmax over the estimates, averaged over the positives of each candidate.

    Parameters
    ----------
    estimates : Tensor, shape (B, F)
    candidates : Tensor, shape (B', F)
        Unit norm.
    targets : Tensor of int, shape (B,)
        The candidate of each estimate.
    scale : Tensor, scalar, or float
        Factor on the inner products.
    both : bool
        Mean of the two directions; else EEG to image only, as fits a fixed set of classes.
    smoothing : float
        Label smoothing of the softmax over the candidates.

    References
    ----------
    Radford et al. (2021), Learning transferable visual models from natural language supervision.
    """
    logits = scale * (estimates @ candidates.T).to(estimates.dtype)  # [B, B']; autocast multiplies in bfloat16
    forward = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    if not both:
        return forward
    own = F.log_softmax(logits, dim=0).gather(1, targets[:, None]).squeeze(1)  # [B]: each estimate for its candidate
    counts = torch.bincount(targets, minlength=len(candidates)).to(own.dtype)
    backward = -(own / counts[targets]).sum() / (counts > 0).sum()
    return (forward + backward) / 2


@dataclass(frozen=True)
class Judge:
    """Held-out targets, and how well unit-norm embeddings find them.

    Parameters
    ----------
    candidates : ndarray of float32, shape (n_candidates, n_dims)
        Distinct items, unit norm.
    classes : ndarray of int, shape (n_candidates,)
        The concept of each candidate: items of one concept are no distractors of each other.
    targets : ndarray of int, shape (n_epochs,)
        The candidate of each held-out epoch.
    items : ndarray of int, shape (n_candidates,), optional
        The gallery item that each candidate is, where candidates are to change with an image adapter.
    """

    candidates: NDArray[np.float32]
    classes: NDArray[np.intp]
    targets: NDArray[np.intp]
    items: NDArray[np.intp] | None = None

    @property
    def n_ways(self) -> int:
        """How many concepts an answer is chosen from: one item of each."""
        return len(np.unique(self.classes))

    def __call__(self, vectors: NDArray[np.float32]) -> dict[str, float]:
        """Return exact expectations of top-1 and top-5 among `n_ways`, and the AUC where there are two classes.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n_epochs, n_dims)
            Unit norm, in the order of `targets`.
        """
        scores = vectors @ self.candidates.T
        others = self.classes[self.targets][:, None] != self.classes[None]
        best, ties, sizes = ranks(scores, self.targets, others)
        k = min(self.n_ways, int(sizes.min()))
        result = {
            "top1": float(expectation(best, ties, sizes, k).mean()),
            "top5": float(expectation(best, ties, sizes, k, top=min(5, k)).mean()),
        }
        if len(self.candidates) == 2:
            result["auc"] = area_under_curve(scores[:, 1] - scores[:, 0], self.targets == 1)
        return result

    def log_losses(self, scores: NDArray[np.float32], scale: float) -> NDArray[np.float64]:
        """Return the negative log probability of each epoch's concept, items of one concept summed."""
        logits = scale * scores.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        right = np.where(self.classes[self.targets][:, None] == self.classes[None], weights, 0.0).sum(axis=1)
        losses: NDArray[np.float64] = -np.log(np.maximum(right, 1e-300) / weights.sum(axis=1))
        return losses


def fit_temperature(judge: Judge, vectors: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
    """Find the factor on cosine similarities that makes held-out probabilities most likely (temperature scaling).

    Parameters
    ----------
    judge : Judge
    vectors : ndarray of float32, shape (n_epochs, n_dims)
        Unit norm, in the order of the judge's targets.

    Returns
    -------
    scale : float
        The factor.
    losses : ndarray of float64, shape (n_epochs,)
        The negative log probability of the right concept under it.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks.
    """
    scores = vectors @ judge.candidates.T
    grid = np.geomspace(0.5, 200.0, 121)
    best = grid[np.argmin([judge.log_losses(scores, scale).mean() for scale in grid])]
    return float(best), judge.log_losses(scores, best)
