"""NervFormer V1: dual convolution block with attention, head: epoch -> embedding."""

from __future__ import annotations

from .attention import DualBlock
from .blocks import ProjectedEncoder

__all__ = ["NervFormer"]


class NervFormer(ProjectedEncoder):
    """Dual convolution block with attention, projection head.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    n_subjects : int
        People it learns from.
    """

    def __init__(self, *, n_chans: int, n_times: int, n_outputs: int, n_subjects: int = 1) -> None:
        super().__init__(n_chans, n_times, n_outputs, n_subjects, DualBlock(n_chans, n_times))
