"""MUSE (Chen and Wei 2024): spatial then temporal convolution, token projection, head: epoch -> embedding."""

from __future__ import annotations

from .blocks import PatchEmbedding, ProjectedEncoder

__all__ = ["MUSE"]


class MUSE(ProjectedEncoder):
    """Spatial then temporal convolution, token projection, projection head.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    n_subjects : int
        People it learns from.
    """

    def __init__(self, *, n_chans: int, n_times: int, n_outputs: int, n_subjects: int = 1) -> None:
        super().__init__(n_chans, n_times, n_outputs, n_subjects, PatchEmbedding(n_chans, "stconv"))
