"""Encoder of the multi-level blur recipe: non-negative spatial filters, layers along time, head: epoch -> embedding."""

from __future__ import annotations

from torch import Tensor, nn

from .base import Encoder
from .blocks import mix
from .dropout import Dropout

__all__ = ["MultiBlur"]


class MultiBlur(Encoder):
    """Spatial filters with non-negative weights, two linear layers along time, one linear layer: epoch -> embedding.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    n_subjects : int
        People it learns from.
    n_filters : int
        Spatial filters.
    n_hidden : int
        Width of the layers along time.
    dropout : tuple of float
        Dropout after the first and the second layer along time.
    """

    def __init__(
        self,
        *,
        n_chans: int,
        n_times: int,
        n_outputs: int,
        n_subjects: int = 1,
        n_filters: int = 25,
        n_hidden: int = 200,
        dropout: tuple[float, float] = (0.25, 0.65),
    ) -> None:
        super().__init__(n_chans, n_times, n_outputs, n_subjects)
        self.spatial = nn.Conv2d(1, n_filters, (n_chans, 1), bias=False)
        self.norm = nn.BatchNorm2d(n_filters)
        self.temporal = nn.Sequential(
            nn.Linear(n_times, n_hidden),
            nn.ELU(inplace=True),
            Dropout(dropout[0]),
            nn.Linear(n_hidden, n_hidden),
            nn.ELU(inplace=True),
            Dropout(dropout[1]),
        )
        self.head = nn.Linear(n_filters * n_hidden, n_outputs)

    @property
    def output_bias(self) -> nn.Parameter:
        """The bias of the last layer, shape (n_outputs,)."""
        return self.head.bias

    def encode(self, x: Tensor) -> Tensor:
        """Encode (B, n_chans, n_times) to (B, n_outputs) with what all people share."""
        x = mix(self.spatial.weight.abs().flatten(1), x)  # (B, n_filters, n_times)
        x = self.norm(x.unsqueeze(2)).squeeze(2)
        vectors: Tensor = self.head(self.temporal(x).flatten(1))
        return vectors
