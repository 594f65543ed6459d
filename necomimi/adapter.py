"""Mix the blur levels of pictures into targets that EEG can reach: levels -> ImageAdapter -> unit-norm Embedding."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from necomimi.encoders.dropout import Dropout
from necomimi.errors import CheckpointError
from necomimi.gallery import Gallery
from necomimi.spaces import Space

__all__ = ["ImageAdapter"]

BATCH_SIZE = 1024  # pictures adapted at once


class ImageAdapter(nn.Module):
    """The picture side of the multi-level blur recipe, trained together with the encoder.

    Brain signals hold coarse features of a picture better than fine ones. How much of each blur level the target should
    hold is therefore learned, by itself for each dimension; at first all levels count the same.

    Parameters
    ----------
    n_levels : int
        Blur levels of each picture.
    n_dims : int
        Dimensions of the embedding space, of the input and of the output.
    n_hidden : int
        Width of the layer between.
    dropout : float
        Share of the hidden units that are dropped in training.

    Attributes
    ----------
    config : dict
        The four arguments, for JSON: ``ImageAdapter(**config)`` takes these weights.
    """

    def __init__(self, n_levels: int, n_dims: int, n_hidden: int = 768, dropout: float = 0.85) -> None:
        super().__init__()
        self.n_levels, self.n_dims = n_levels, n_dims
        self.config = {"n_levels": n_levels, "n_dims": n_dims, "n_hidden": n_hidden, "dropout": dropout}
        self.level_weights = nn.Parameter(torch.zeros(n_levels, n_dims))  # before the softmax
        self.layers = nn.Sequential(
            nn.Linear(n_dims, n_hidden), nn.ELU(), Dropout(dropout), nn.Linear(n_hidden, n_dims)
        )

    def forward(self, levels: Tensor) -> Tensor:
        """Return the target embeddings of pictures.

        Parameters
        ----------
        levels : Tensor, shape (n, n_levels, n_dims)
            Unit-norm embeddings of each picture at each blur level, as `Gallery.levels` holds them.

        Returns
        -------
        Tensor of float32, shape (n, n_dims)
            Unit norm.
        """
        mixed = torch.einsum("nld,ld->nd", levels, self.level_weights.softmax(dim=0))
        return nn.functional.normalize(self.layers(mixed).float(), dim=-1)

    def gallery(self, gallery: Gallery) -> Gallery:
        """Return `gallery` with adapted embeddings in place of its levels, and a space that names these weights.

        Raises
        ------
        CheckpointError
            The gallery has no blur levels, or not as many of the same size.
        """
        expected = (self.n_levels, self.n_dims)
        if gallery.levels is None or gallery.levels.shape[1:] != expected:
            found = "no blur levels" if gallery.levels is None else f"(levels, dimensions) = {gallery.levels.shape[1:]}"
            raise CheckpointError(
                f"the gallery has {found}",
                f"{expected}, as this decoder's image adapter takes",
                "give a gallery made as the one that the decoder was trained with",
            )
        was_training, device = self.training, self.level_weights.device
        self.eval()
        with torch.inference_mode():
            parts = [
                self(torch.tensor(gallery.levels[start : start + BATCH_SIZE], device=device)).cpu().numpy()
                for start in range(0, len(gallery), BATCH_SIZE)
            ]
        self.train(was_training)
        return replace(
            gallery,
            embeddings=np.concatenate(parts),
            space=self.adapted_space(gallery.space),
            levels=None,
            blur_levels=(),
        )

    def adapted_space(self, space: str) -> str:
        """Return the name of the space that pictures of `space` are in after this adapter, with these weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
        return str(replace(Space.parse(space), adapter=digest.hexdigest()[:8]))
