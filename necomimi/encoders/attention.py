"""Attention that encoders share, over time steps and over tokens: epoch -> epoch, tokens -> tokens."""

from __future__ import annotations

import math
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import N_FILTERS, STConv, TSConv, n_tokens
from .dropout import Dropout, dropout

__all__ = ["ChannelAttention", "DualBlock", "attend"]


def attend(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Let each token attend to all tokens of its epoch: (B, n_tokens, n_dims) -> the same.

    Equal to ``attention(x, x, x, need_weights=False)[0]`` of a layer that takes the batch first, and faster in training
    on the CPU, where torch has no fused attention with dropout.

    Parameters
    ----------
    attention : nn.MultiheadAttention
        The layer that holds the weights.
    x : Tensor, shape (B, n_tokens, n_dims)
    """
    parts = F.linear(x, cast(Tensor, attention.in_proj_weight), attention.in_proj_bias)
    query, key, value = rearrange(parts, "B T (part heads D) -> part B heads T D", part=3, heads=attention.num_heads)
    if attention.training and x.device.type == "cpu":
        weights = (query * attention.head_dim**-0.5) @ key.mT
        found = dropout(weights.softmax(dim=-1), attention.dropout, attention.training) @ value
    else:
        p = attention.dropout if attention.training else 0.0
        found = F.scaled_dot_product_attention(query, key, value, dropout_p=p)
    attended: Tensor = attention.out_proj(rearrange(found, "B heads T D -> B T (heads D)"))
    return attended


class PositionCode(nn.Module):
    """Add the sinusoidal position code: (B, n_times, n_dims) -> the same.

    Parameters
    ----------
    n_dims, n_times : int
        Dimensions and positions.
    """

    pe: Tensor

    def __init__(self, n_dims: int, n_times: int) -> None:
        super().__init__()
        position = torch.arange(n_times, dtype=torch.float32)[:, None]
        div = torch.exp(torch.arange(0, n_dims + 1, 2, dtype=torch.float32) * (-math.log(10000.0) / n_dims))
        pe = torch.zeros(n_times, n_dims)
        pe[:, 0::2] = torch.sin(position * div[: (n_dims + 1) // 2])
        pe[:, 1::2] = torch.cos(position * div[: n_dims // 2])
        self.register_buffer("pe", pe[:, None], persistent=False)  # (n_times, 1, n_dims): computed, so never stored

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, shape (B, n_times, n_chans), plus the code of each position."""
        return x + self.pe[:, 0]


class ChannelAttention(nn.Module):
    """One transformer layer over time steps whose features are the channels: (B, n_chans, n_times) -> the same.

    Parameters
    ----------
    n_chans, n_times : int
        Channels and samples of an epoch.
    """

    def __init__(self, n_chans: int, n_times: int) -> None:
        super().__init__()
        self.pos_encoder = PositionCode(n_chans, n_times)
        layer = nn.TransformerEncoderLayer(d_model=n_chans, nhead=1, dim_feedforward=2048, dropout=0.1)
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """Do what ``transformer_encoder`` does, with the batch first and the masks of `dropout`."""
        layer = cast(nn.TransformerEncoderLayer, self.transformer_encoder.layers[0])
        x = self.pos_encoder(x.transpose(1, 2).contiguous())  # (B, n_times, n_chans)
        x = layer.norm1(x + dropout(attend(layer.self_attn, x), layer.dropout1.p, self.training))
        hidden = dropout(layer.linear1(x), layer.dropout.p, self.training).relu_()  # a ReLU may come after dropout
        x = layer.norm2(x + dropout(layer.linear2(hidden), layer.dropout2.p, self.training))
        return x.transpose(1, 2)


class DualBlock(nn.Module):
    """Both convolution blocks, each with self-attention, and attention over both: epochs -> (B, n_tokens * 40).

    Parameters
    ----------
    n_chans, n_times : int
        Channels and samples of an epoch.
    """

    def __init__(self, n_chans: int, n_times: int) -> None:
        super().__init__()
        tokens = n_tokens(n_times)
        self.tsconv = TSConv(n_chans)
        self.stconv = STConv(n_chans)
        self.self_attn_ts = nn.MultiheadAttention(N_FILTERS, 5, batch_first=True)
        self.self_attn_st = nn.MultiheadAttention(N_FILTERS, 5, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(N_FILTERS, 8, dropout=0.75, batch_first=True)
        self.norm1 = nn.LayerNorm(N_FILTERS)
        self.norm2 = nn.LayerNorm(N_FILTERS)
        self.norm3 = nn.LayerNorm(N_FILTERS)
        self.feed_forward = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2 * tokens * N_FILTERS, 2048),
            nn.ReLU(),
            Dropout(0.5),
            nn.Linear(2048, tokens * N_FILTERS),
        )

    @staticmethod
    def _attend(attention: nn.MultiheadAttention, norm: nn.Module, x: Tensor) -> Tensor:
        """Attend, add the input, normalise."""
        normed: Tensor = norm(x + attend(attention, x))
        return normed

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens of both paths, mixed: (B, n_chans, n_times) -> (B, n_tokens * 40)."""
        x = F.layer_norm(x, x.shape[1:]).unsqueeze(1)  # (B, 1, n_chans, n_times): each epoch as a whole
        ts = self.tsconv(x).squeeze(2).transpose(1, 2)  # (B, n_tokens, 40)
        st = self.stconv(x).squeeze(2).transpose(1, 2)
        ts = self._attend(self.self_attn_ts, self.norm1, ts)
        st = self._attend(self.self_attn_st, self.norm2, st)
        both = self._attend(self.cross_attn, self.norm3, torch.cat([ts, st], dim=1))  # (B, 2 * n_tokens, 40)
        tokens: Tensor = self.feed_forward(both)
        return tokens
