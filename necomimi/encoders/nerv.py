"""NERV, that is NervFormer V2: attention over time, subject layer, dual block, head: epoch -> embedding."""

from __future__ import annotations

from torch import Tensor

from .attention import ChannelAttention, DualBlock, subject_layer
from .blocks import ProjectedEncoder

__all__ = ["NERV"]


class NERV(ProjectedEncoder):
    """Attention over time, subject layer, dual convolution block with attention, projection head.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    """

    def __init__(self, *, n_chans: int, n_times: int, n_outputs: int) -> None:
        super().__init__(n_chans, n_times, n_outputs, DualBlock(n_chans, n_times))
        self.attention_model = ChannelAttention(n_chans, n_times)
        self.subject_wise_linear = subject_layer(n_times)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, n_chans, n_times) to (B, n_outputs)."""
        return super().forward(self.subject_wise_linear[0](self.attention_model(x)))
