"""ATM-S (Li et al. 2024): attention over time, subject layer, then as NICE: epoch -> embedding."""

from __future__ import annotations

from torch import Tensor, nn

from .attention import ChannelAttention, subject_layer
from .blocks import PatchEmbedding, ProjectedEncoder

__all__ = ["ATMS"]


class ATMS(ProjectedEncoder):
    """Attention over time, subject layer, temporal then spatial convolution, token projection, projection head.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    """

    def __init__(self, *, n_chans: int, n_times: int, n_outputs: int) -> None:
        super().__init__(n_chans, n_times, n_outputs, nn.Sequential(PatchEmbedding(n_chans, "tsconv")))
        self.attention_model = ChannelAttention(n_chans, n_times)
        self.subject_wise_linear = subject_layer(n_times)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, n_chans, n_times) to (B, n_outputs)."""
        return super().forward(self.subject_wise_linear[0](self.attention_model(x)))
