"""Convolution blocks and head that encoders share: epoch -> tokens -> embedding, convolution and pooling as one.

A convolution of 25 samples followed by an average over 51 samples with stride 5 is one convolution of 75 samples with
stride 5, because nothing nonlinear stands between them. The stored parameters stay those of the published layers (their
state dicts load); the wide kernel is formed in ``forward``. Every convolution block is an `nn.Sequential` of the
published layers with a faster ``forward``, so ``nn.Sequential.forward(block, x)`` is its plain reference.
"""

from __future__ import annotations

from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from necomimi.errors import ConfigError

from .base import Encoder
from .dropout import Dropout

__all__ = [
    "PatchEmbedding",
    "ProjectedEncoder",
    "ResidualAdd",
    "STConv",
    "TSConv",
    "mix",
    "n_tokens",
    "projection_head",
]

N_FILTERS = 40
KERNEL = 25  # samples
POOL = 51  # samples
STRIDE = 5  # samples
WIDE = KERNEL + POOL - 1  # samples


def n_tokens(n_times: int) -> int:
    """Return how many tokens a convolution block makes of `n_times` samples.

    Parameters
    ----------
    n_times : int
        Samples in an epoch.

    Raises
    ------
    ConfigError
        If the epoch is shorter than one window of 75 samples.
    """
    if n_times < WIDE:
        raise ConfigError(
            f"n_times is {n_times}: an epoch of {n_times} samples is too short for this encoder",
            f"at least {WIDE} samples (a window of {KERNEL} + {POOL} - 1)",
            "use a longer epoch or a higher rate in `necomimi preprocess`, or the encoder multiblur",
        )
    return (n_times - WIDE) // STRIDE + 1


def wide_kernel(weight: Tensor) -> Tensor:
    """Convolve kernels along their last axis with the averaging window.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in, 1, 25)

    Returns
    -------
    Tensor, shape (n_out, n_in, 1, 75)
    """
    window = torch.ones(KERNEL, WIDE, dtype=weight.dtype, device=weight.device).triu().tril(POOL - 1)
    return weight @ window / POOL


def pooled_convolution(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Convolve along time and average: (B, n_in, n_times) -> (B, n_out, 1, n_tokens).

    The samples between two steps of the wide kernel count as channels, so that a convolution of 75 samples with stride
    5 becomes one of 15 steps with stride 1: several times faster on the CPU, above all backwards.

    Parameters
    ----------
    x : Tensor, shape (B, n_in, n_times)
    convolution : nn.Conv2d
        Holds the kernels of 25 samples and the bias.
    """
    steps = WIDE // STRIDE
    n_steps = n_tokens(x.shape[-1]) + steps - 1
    x = rearrange(x[..., : n_steps * STRIDE], "B n_in (steps stride) -> B (n_in stride) 1 steps", stride=STRIDE)
    kernel = rearrange(
        wide_kernel(convolution.weight), "n_out n_in 1 (steps stride) -> n_out (n_in stride) 1 steps", stride=STRIDE
    )
    return F.conv2d(x, kernel, convolution.bias)


def mix(weight: Tensor, x: Tensor) -> Tensor:
    """Mix channels, without the copies that a broadcast matrix product makes: (n_out, n_in) @ (B, n_in, n_times).

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in)
    x : Tensor, shape (B, n_in, n_times)
    """
    return torch.bmm(weight.expand(x.shape[0], *weight.shape), x)


class TSConv(nn.Sequential):
    """Temporal, then spatial convolution: (B, 1, n_chans, n_times) -> (B, 40, 1, n_tokens).

    Parameters
    ----------
    n_chans : int
        Channels of an epoch.
    """

    def __init__(self, n_chans: int) -> None:
        super().__init__(
            nn.Conv2d(1, N_FILTERS, (1, KERNEL)),
            nn.AvgPool2d((1, POOL), (1, STRIDE)),
            nn.BatchNorm2d(N_FILTERS),
            nn.ELU(),
            nn.Conv2d(N_FILTERS, N_FILTERS, (n_chans, 1)),
            nn.BatchNorm2d(N_FILTERS),
            nn.ELU(),
            Dropout(0.5),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute temporal convolution and pooling as one, the spatial convolution as a matrix product."""
        temporal, spatial = cast(nn.Conv2d, self[0]), cast(nn.Conv2d, self[4])
        n_epochs, _, n_chans, n_times = x.shape
        x = pooled_convolution(x.reshape(-1, 1, n_times), temporal)  # (B * C, 40, 1, n_tokens)
        x = x.squeeze(2).unflatten(0, (n_epochs, n_chans)).transpose(1, 2).contiguous()  # (B, 40, C, n_tokens)
        x = F.elu_(self[2](x)).flatten(1, 2)  # (B, 40 * C, n_tokens)
        x = mix(spatial.weight.flatten(1), x) + cast(Tensor, spatial.bias)[:, None]  # (B, 40, n_tokens)
        tokens: Tensor = self[7](F.elu_(self[5](x.unsqueeze(2))))
        return tokens


class STConv(nn.Sequential):
    """Spatial, then temporal convolution: (B, 1, n_chans, n_times) -> (B, 40, 1, n_tokens).

    Parameters
    ----------
    n_chans : int
        Channels of an epoch.
    """

    def __init__(self, n_chans: int) -> None:
        super().__init__(
            nn.Conv2d(1, N_FILTERS, (n_chans, 1)),
            nn.BatchNorm2d(N_FILTERS),
            nn.ELU(),
            nn.Conv2d(N_FILTERS, N_FILTERS, (1, KERNEL)),
            nn.AvgPool2d((1, POOL), (1, STRIDE)),
            nn.BatchNorm2d(N_FILTERS),
            nn.ELU(),
            Dropout(0.5),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the spatial convolution as a matrix product, temporal convolution and pooling as one."""
        spatial, temporal = cast(nn.Conv2d, self[0]), cast(nn.Conv2d, self[3])
        x = mix(spatial.weight.flatten(1), x.squeeze(1)) + cast(Tensor, spatial.bias)[:, None]  # (B, 40, n_times)
        x = pooled_convolution(F.elu_(self[1](x.unsqueeze(2))).squeeze(2), temporal)  # (B, 40, 1, n_tokens)
        tokens: Tensor = self[7](F.elu_(self[5](x)))
        return tokens


class PatchEmbedding(nn.Module):
    """A convolution block and the token projection: (B, n_chans, n_times) -> (B, n_tokens * 40).

    Parameters
    ----------
    n_chans : int
        Channels of an epoch.
    first : {"tsconv", "stconv"}
        The block, which is also the attribute's name (and so the key in state dicts).
    """

    def __init__(self, n_chans: int, first: str) -> None:
        super().__init__()
        self.first = first
        setattr(self, first, TSConv(n_chans) if first == "tsconv" else STConv(n_chans))
        self.projection = nn.Sequential(nn.Conv2d(N_FILTERS, N_FILTERS, (1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens, one after the other: (B, n_chans, n_times) -> (B, n_tokens * 40)."""
        x = getattr(self, self.first)(x.unsqueeze(1))  # (B, 40, 1, n_tokens)
        tokens: Tensor = self.projection(x).squeeze(2).transpose(1, 2).flatten(1)
        return tokens


class ResidualAdd(nn.Module):
    """Add a module's input to its output.

    Parameters
    ----------
    fn : Module
        Keeps the shape of its input.
    """

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x + fn(x)``."""
        out: Tensor = x + self.fn(x)
        return out


class Affine(nn.Module):
    """Scale and shift each feature: a LayerNorm that does not normalise, with the same state-dict keys.

    Parameters
    ----------
    n_dims : int
        Features.
    """

    def __init__(self, n_dims: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_dims))
        self.bias = nn.Parameter(torch.zeros(n_dims))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x * weight + bias``."""
        return x * self.weight + self.bias


def projection_head(n_inputs: int, n_outputs: int) -> nn.Sequential:
    """Build the head all published encoders share: (B, n_inputs) -> (B, n_outputs).

    A LayerNorm of two outputs leaves nothing but their order, of a few outputs little more; so with fewer than 16
    (label galleries; the published encoders have 1024) they are scaled and shifted, and not normalised.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Dimensions before and after.
    """
    residual = nn.Sequential(nn.GELU(), nn.Linear(n_outputs, n_outputs), Dropout(0.5))
    last = nn.LayerNorm(n_outputs) if n_outputs >= 16 else Affine(n_outputs)
    return nn.Sequential(nn.Linear(n_inputs, n_outputs), ResidualAdd(residual), last)


class ProjectedEncoder(Encoder):
    """Base of the published encoders: a front end ``enc_eeg`` and the shared head ``proj_eeg``.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    n_subjects : int
        People it learns from.
    enc_eeg : Module
        (B, n_chans, n_times) -> (B, n_tokens * 40).
    """

    def __init__(self, n_chans: int, n_times: int, n_outputs: int, n_subjects: int, enc_eeg: nn.Module) -> None:
        super().__init__(n_chans, n_times, n_outputs, n_subjects)
        self.enc_eeg = enc_eeg
        self.proj_eeg = projection_head(n_tokens(n_times) * N_FILTERS, n_outputs)

    @property
    def output_bias(self) -> nn.Parameter:
        """The bias of the last layer, shape (n_outputs,)."""
        return cast(nn.Parameter, self.proj_eeg[2].bias)

    def encode(self, x: Tensor) -> Tensor:
        """Encode (B, n_chans, n_times) to (B, n_outputs) with what all people share."""
        vectors: Tensor = self.proj_eeg(self.enc_eeg(x))
        return vectors
