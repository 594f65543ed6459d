"""The second stage, back to where image embeddings lie: EEG embedding -> Prior -> unit-norm image embedding.

An encoder's output is nearest to the right picture, yet it is no embedding that a picture could have: noise pulls it
towards the mean of all pictures, and a generator paints that mean. A prior cannot add anything about what was seen. It
gives each dimension the mean and the spread that pictures have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from necomimi.errors import ConfigError
from necomimi.prior_networks import DDPMNetwork, FlowNetwork, PriorNetwork

__all__ = ["KINDS", "Kind", "Prior"]

Kind = Literal["regression", "flow", "ddpm"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NETWORKS: dict[str, type[FlowNetwork] | type[DDPMNetwork]] = {"flow": FlowNetwork, "ddpm": DDPMNetwork}
DEFAULTS = {"regression": (1, 1.0), "flow": (2, 2.5), "ddpm": (50, 5.0)}  # steps, guidance
MAX_STEPS = 1000
BLOCK = 256  # vectors brought over at once


class Prior(nn.Module):
    """What brings EEG embeddings to where the embeddings of pictures lie.

    Each dimension is first standardised by `source_mean` and `source_std`, the statistics of EEG embeddings that the
    encoder was not trained on. The kind says what follows: "regression" takes this for the standardised image
    embedding; "flow" and "ddpm" draw one that fits it. At the end each dimension gets the mean and the standard
    deviation that it has over pictures, and the vector unit norm.

    Parameters
    ----------
    kind : {"regression", "flow", "ddpm"}
        Calibrated regression; a flow of few steps; the published diffusion.
    n_dims : int
        Dimensions of both spaces.
    source_space, space : str
        The embedder whose space EEG embeddings are in, and that of the image embeddings.
    mapped : bool
        Whether a matrix leads from the one space to the other, before anything else.
    steps : int, optional
        Forward passes for one embedding.
    guidance : float, optional
        How much the EEG embedding counts, in what is drawn; 1 as it was learned.
    training : dict, optional
        What it was fitted on and what held-out concepts said of it; facts for the reader.

    Attributes
    ----------
    source_mean, source_std, image_mean, image_std : Tensor, shape (n_dims,)
    matrix : Tensor, shape (n_dims, n_dims), or None
        ``vectors @ matrix``.

    Raises
    ------
    ConfigError
        The kind is unknown, or it cannot take so many steps.
    """

    source_mean: Tensor
    source_std: Tensor
    image_mean: Tensor
    image_std: Tensor
    matrix: Tensor | None
    network: PriorNetwork | None

    def __init__(
        self,
        kind: Kind,
        n_dims: int,
        *,
        source_space: str,
        space: str,
        mapped: bool = False,
        steps: int | None = None,
        guidance: float | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ConfigError(f"prior {kind!r}", f"one of {', '.join(KINDS)}")
        usual = DEFAULTS[kind]
        self.steps, self.guidance = usual[0] if steps is None else steps, usual[1] if guidance is None else guidance
        if not 1 <= self.steps <= MAX_STEPS or (kind == "regression" and (self.steps, self.guidance) != usual):
            raise ConfigError(
                f"a {kind} prior with {self.steps} steps and guidance {self.guidance:g}",
                "1 step without guidance" if kind == "regression" else f"1 to {MAX_STEPS} steps",
            )
        self.kind, self.n_dims, self.source_space, self.space = kind, n_dims, source_space, space
        self.mapped = mapped
        self.training_facts = dict(training or {})
        for name in ("source_mean", "image_mean"):
            self.register_buffer(name, torch.zeros(n_dims))
        for name in ("source_std", "image_std"):
            self.register_buffer(name, torch.ones(n_dims))
        self.register_buffer("matrix", torch.eye(n_dims) if mapped else None)
        self.network = NETWORKS[kind](n_dims) if kind in NETWORKS else None

    @property
    def config(self) -> dict[str, Any]:
        """The arguments, for JSON: ``Prior(**config)`` takes these weights."""
        names = ("kind", "n_dims", "source_space", "space", "mapped", "steps", "guidance")
        return {**{name: getattr(self, name) for name in names}, "training": self.training_facts}

    def mapped_vectors(self, vectors: Tensor) -> Tensor:
        """Return EEG embeddings (n, n_dims) in the dimensions of the image space; as they are without a matrix."""
        return vectors if self.matrix is None else vectors @ self.matrix

    def standardised(self, vectors: Tensor) -> Tensor:
        """Return EEG embeddings (n, n_dims) of zero mean and unit variance in each dimension."""
        return (self.mapped_vectors(vectors) - self.source_mean) / self.source_std

    def forward(self, vectors: Tensor, noise: Tensor) -> Tensor:
        """Return image embeddings.

        Parameters
        ----------
        vectors : Tensor, shape (n, n_dims)
            EEG embeddings of unit norm.
        noise : Tensor, shape (n, n_draws, n_dims)
            Of unit variance; no draws for a regression.

        Returns
        -------
        Tensor of float32, shape (n, n_dims)
            Unit norm.
        """
        found = self.standardised(vectors)
        if self.network is not None:
            found = self.network.sample(noise, found, self.steps, self.guidance)
        return nn.functional.normalize(self.image_mean + found * self.image_std, dim=-1)

    def to_image_space(self, vectors: NDArray[np.float32], seeds: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Return image embeddings; the same vector and seed give the same one, whatever comes beside it.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, n_dims)
            EEG embeddings of unit norm, of `source_space`.
        seeds : sequence of int, optional
            One for each vector, of what is drawn; 0 for each by default. A regression draws nothing.

        Returns
        -------
        ndarray of float32, shape (n, n_dims)
            Unit norm, of `space`.

        Raises
        ------
        ConfigError
            The vectors are of another size, not finite, or not as many as the seeds.
        """
        seeds = [0] * len(vectors) if seeds is None else seeds
        if vectors.ndim != 2 or vectors.shape[1] != self.n_dims or len(seeds) != len(vectors):
            raise ConfigError(
                f"embeddings of shape {vectors.shape} with {len(seeds)} seeds", f"(n, {self.n_dims}), and n seeds"
            )
        if not np.isfinite(vectors).all():
            raise ConfigError("embeddings that are not finite", f"unit-norm vectors of {self.source_space}")
        device = self.source_mean.device
        out = np.empty((len(vectors), self.n_dims), np.float32)
        with torch.inference_mode():
            for start in range(0, len(vectors), BLOCK):
                rows = slice(start, start + BLOCK)
                block = torch.tensor(vectors[rows], dtype=torch.float32, device=device)
                out[rows] = self(block, self._noise(seeds[rows]).to(device)).cpu().numpy()
        return out

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        """Return the noise of each seed, shape (n, n_draws, n_dims): drawn on the CPU, so the same on every device."""
        n_draws = 0 if self.network is None else self.network.n_draws(self.steps)
        noise = torch.empty(len(seeds), n_draws, self.n_dims)
        if n_draws:
            for row, seed in zip(noise, seeds, strict=True):
                row.normal_(generator=torch.Generator().manual_seed(int(seed)))
        return noise
