"""ATM-S (Li et al. 2024): attention over time, subject layer, then as NICE: epoch -> embedding."""

from __future__ import annotations

from torch import Tensor, nn

from .attention import ChannelAttention
from .base import SubjectLayers
from .blocks import PatchEmbedding, ProjectedEncoder

__all__ = ["ATMS"]


class ATMS(ProjectedEncoder):
    """Attention over time, subject layer, temporal then spatial convolution, token projection, projection head.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    n_subjects : int
        People it learns from.
    """

    def __init__(self, *, n_chans: int, n_times: int, n_outputs: int, n_subjects: int = 1) -> None:
        super().__init__(n_chans, n_times, n_outputs, n_subjects, nn.Sequential(PatchEmbedding(n_chans, "tsconv")))
        self.attention_model = ChannelAttention(n_chans, n_times)
        self.subject_wise_linear = SubjectLayers(n_times, n_subjects)

    def before(self, x: Tensor) -> Tensor:
        """Attend over time: (B, n_chans, n_times) -> the same."""
        attended: Tensor = self.attention_model(x)
        return attended
