"""Fit a prior: embeddings of held-out epochs, embeddings of the training pictures -> Prior.

What the encoder says of pictures that it was trained on is much nearer to them than what it will say of new ones. So
regression and flow know EEG embeddings from held-out concepts alone. Those are few, and a flow needs many: it learns
from all training pictures, each with an embedding such as the EEG of a new picture would give, made from the picture's
own by the share of it that held-out embeddings keep in each dimension, and by errors as large as theirs. The published
diffusion learns, as published, from pairs that the encoder was trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from necomimi.config import Settings
from necomimi.errors import DatasetError
from necomimi.prior import Kind, Prior

from .trainer import seeded

__all__ = ["PriorData", "PriorSettings", "cross_fit", "fit_prior", "n_folds", "n_updates", "ridge"]

N_FOLDS = {"regression": 5, "flow": 2}  # the published diffusion sees nothing that is held out
MIN_CONCEPTS = 4
LEAST_STD = 1e-6  # of dimensions that do not vary
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # relative to the mean variance of a dimension
EMA = 0.99


class PriorSettings(Settings):
    """How to fit a prior; None stands for what suits its kind.

    Parameters
    ----------
    prior : {"regression", "flow", "ddpm"}
    steps, guidance : int, float, optional
        See `necomimi.prior.Prior`.
    updates : int, optional
        Of the weights; 300 for a flow, 2550 for the published diffusion (150 passes over THINGS-EEG2).
    batch_size : int, optional
        Pictures for one update; 256 and 1024.
    lr : float
        Peak learning rate, which falls to zero as a cosine.
    seed : int
        Of weights, batches and folds.
    """

    prior: Kind = "regression"
    steps: int | None = Field(default=None, ge=1)
    guidance: float | None = Field(default=None, ge=0)
    updates: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=2)
    lr: float = Field(default=1e-3, gt=0)
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class PriorData:
    """Pairs of EEG embeddings and pictures, and the pictures to learn from.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, n_dims)
        EEG embeddings of unit norm: of held-out concepts; for the published diffusion, of all others.
    truth : ndarray of float32, shape (n, n_dims)
        The embedding of the picture behind each.
    concepts : ndarray of str, shape (n,)
    images : ndarray of float32, shape (n_pictures, n_dims)
        The training pictures of all other concepts, in the image space, and
    sources : ndarray of float32, shape (n_pictures, n_dims)
        in the space of the EEG embeddings.
    source_space, space : str
        The names of both.
    """

    vectors: NDArray[np.float32]
    truth: NDArray[np.float32]
    concepts: NDArray[np.str_]
    images: NDArray[np.float32]
    sources: NDArray[np.float32]
    source_space: str
    space: str

    def take(self, rows: NDArray[np.bool_]) -> PriorData:
        """Return the same with some of the pairs."""
        return replace(self, vectors=self.vectors[rows], truth=self.truth[rows], concepts=self.concepts[rows])


def fit_prior(
    data: PriorData,
    settings: PriorSettings,
    device: torch.device,
    on_update: Callable[[], None] = lambda: None,
    training: dict[str, Any] | None = None,
) -> Prior:
    """Fit a prior.

    Parameters
    ----------
    data : PriorData
    settings : PriorSettings
    device : torch.device
        Where a network learns; the prior comes back on it.
    on_update : callable
        Called after each update of a network.
    training : dict, optional
        Facts to be kept with the prior.
    """
    kind = settings.prior
    mapped = kind != "ddpm" and data.source_space != data.space
    with seeded(settings.seed):
        prior = Prior(
            kind, data.images.shape[1], source_space=data.source_space, space=data.space, mapped=mapped,
            steps=settings.steps, guidance=settings.guidance, training=training,
        ).to(device)  # fmt: skip
        vectors, truth, images = (
            torch.tensor(values, device=device) for values in (data.vectors, data.truth, data.images)
        )
        if mapped:
            assert prior.matrix is not None
            prior.matrix.copy_(torch.tensor(ridge(data), device=device))
        answers = prior.mapped_vectors(vectors)
        prior.source_mean.copy_(answers.mean(dim=0))
        prior.source_std.copy_(answers.std(dim=0).clamp_min(LEAST_STD))
        prior.image_mean.copy_(images.mean(dim=0))
        prior.image_std.copy_(images.std(dim=0).clamp_min(LEAST_STD))
        goals = (truth - prior.image_mean) / prior.image_std
        conditions = prior.standardised(vectors)
        if kind == "flow":
            pictures = (images - prior.image_mean) / prior.image_std
            kept = ((conditions * goals).mean(dim=0) / (goals**2).mean(dim=0)).clamp(0, 1)
            errors = (conditions - kept * goals).std(dim=0)

            def as_new(rows: Tensor) -> tuple[Tensor, Tensor]:
                return pictures[rows], kept * pictures[rows] + errors * torch.randn_like(pictures[rows])

            _learn(prior, settings, len(pictures), as_new, on_update, EMA)
        elif kind == "ddpm":
            _learn(prior, settings, len(goals), lambda rows: (goals[rows], conditions[rows]), on_update, 0.0)
    return prior.eval().requires_grad_(False)


def n_updates(settings: PriorSettings) -> int:
    """Return how many updates of weights one fit takes."""
    if settings.prior == "regression":
        return 0
    return settings.updates or (300 if settings.prior == "flow" else 2550)


def _learn(
    prior: Prior,
    settings: PriorSettings,
    n_items: int,
    draw: Callable[[Tensor], tuple[Tensor, Tensor]],
    on_update: Callable[[], None],
    decay: float,
) -> None:
    """Train the network on what `draw` makes of rows: image embeddings and conditions; keep its running mean."""
    network = prior.network
    assert network is not None
    device = prior.source_mean.device
    total, batch_size = n_updates(settings), min(n_items, settings.batch_size or (256 if decay else 1024))
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=0.01 if decay else 0.0)
    warm = max(1, min(500, total // 5))

    def rate(update: int) -> float:
        return min((update + 1) / warm, 0.5 * (1 + float(np.cos(np.pi * max(0, update - warm) / max(1, total - warm)))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    mean = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    network.train()
    for update in range(total):
        loss = network.loss(*draw(torch.randint(n_items, (batch_size,), device=device)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        now = min(decay, update / (update + 10))  # at first the mean forgets quickly what the weights were
        for name, weight in network.named_parameters():
            mean[name].lerp_(weight.detach(), 1 - now)
        on_update()
    network.load_state_dict({**network.state_dict(), **mean})


def ridge(data: PriorData) -> NDArray[np.float32]:
    """Return the matrix from the space of EEG embeddings to that of pictures, shape (n_dims, n_dims).

    Fitted on pictures, which are known in both spaces; how far it is held back is chosen on the EEG embeddings, by
    the correlation of what it makes of them with the truth.
    """
    sources, images = (values - values.mean(axis=0) for values in (data.sources, data.images))
    variances, axes = np.linalg.eigh(sources.T.astype(np.float64) @ sources)
    products = axes.T @ (sources.T.astype(np.float64) @ images)
    truth = data.truth - data.images.mean(axis=0)
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    found: list[tuple[float, NDArray[np.float32]]] = []
    for share in RIDGES:
        matrix = (axes @ (products / (variances + share * variances.mean())[:, None])).astype(np.float32)
        answers = data.vectors @ matrix
        answers = answers - answers.mean(axis=0)
        norms = np.maximum(np.linalg.norm(answers, axis=1, keepdims=True), 1e-12)
        found.append((float((answers / norms * truth).sum(axis=1).mean()), matrix))
    return max(found, key=lambda pair: pair[0])[1]


def n_folds(kind: Kind, concepts: NDArray[np.str_]) -> int:
    """Return how many priors `cross_fit` fits: none where nothing that is held out is learned from.

    Raises
    ------
    DatasetError
        There are too few concepts.
    """
    n_concepts = len(np.unique(concepts))
    if n_concepts < MIN_CONCEPTS:
        raise DatasetError(
            f"epochs of {n_concepts} held-out concepts",
            f"at least {MIN_CONCEPTS}, to fit a prior and judge it",
            "train the encoder with more --val-concepts",
        )
    return min(N_FOLDS.get(kind, 0), n_concepts)


def cross_fit(
    data: PriorData, settings: PriorSettings, device: torch.device, on_update: Callable[[], None] = lambda: None
) -> NDArray[np.float32]:
    """Return what priors make of held-out EEG embeddings, each fitted on concepts other than those it is asked about.

    Parameters
    ----------
    data, settings, device, on_update
        As in `fit_prior`; of a kind that learns from held-out concepts.

    Returns
    -------
    ndarray of float32, shape (n, n_dims)
        Image embeddings of unit norm; the seed of each is its row number.
    """
    names, index = np.unique(data.concepts, return_inverse=True)
    folds = np.random.default_rng(settings.seed).permutation(len(names)) % n_folds(settings.prior, data.concepts)
    out = np.empty_like(data.vectors)
    for fold in np.unique(folds):
        asked = folds[index] == fold
        prior = fit_prior(data.take(~asked), settings, device, on_update)
        out[asked] = prior.to_image_space(data.vectors[asked], np.flatnonzero(asked).tolist())
    return out
