"""The networks of the embedded generator: embedding -> coarse picture; embedding, coarse picture -> finer one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PictureDecoder", "PictureRefiner"]

GROUPS = 8  # of each normalisation
SHARPNESS = 100.0  # of the choice among prototypes: EEG embeddings lie so far from all that a softer one paints a blur
HIDDEN = 512  # units that an embedding is first seen by
PATCH = 4  # pixels along each side that the refiner sees as one


class _Block(nn.Module):
    """Two convolutions around a shortcut; the embedding scales and shifts what the first one gives."""

    def __init__(self, n_in: int, n_out: int, n_dims: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.shortcut = nn.Conv2d(n_in, n_out, 1)
        self.first_norm = nn.GroupNorm(GROUPS, n_out)
        self.second_norm = nn.GroupNorm(GROUPS, n_out)
        self.condition = nn.Linear(n_dims, 2 * n_out)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = functional.silu(self.first_norm(self.first(x)) * (1 + scale) + shift)
        return functional.silu(self.second_norm(self.second(hidden)) + self.shortcut(x))


class PictureDecoder(nn.Module):
    """Paint a picture in one pass.

    The first layer compares an embedding with prototypes, one of each concept that it was trained on, and takes a
    mixture of what it has learned of them; what else the embedding says comes in beside it. Where there is little time
    to learn in, this makes the difference between a picture and a blur.

    Parameters
    ----------
    n_dims : int
        Of the embeddings.
    n_prototypes : int
    size : int
        Height and width of the pictures in pixels; divisible by two as often as there are widths.
    widths : sequence of int
        Channels at each resolution, the coarsest first; multiples of 8.

    Attributes
    ----------
    prototypes : Tensor, shape (n_prototypes, n_dims)
        Unit norm.
    """

    prototypes: Tensor

    def __init__(self, n_dims: int, n_prototypes: int, size: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.n_dims, self.widths = n_dims, tuple(widths)
        self.start = size >> len(self.widths)
        self.register_buffer("prototypes", torch.zeros(n_prototypes, n_dims))
        self.codes = nn.Parameter(0.5 * torch.randn(n_prototypes, HIDDEN))
        self.meaning = nn.Sequential(nn.Linear(n_dims, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU())
        self.first = nn.Linear(HIDDEN, self.widths[0] * self.start**2)
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        self.blocks = nn.ModuleList(_Block(n_in, n_out, HIDDEN) for n_in, n_out in pairs)
        self.last = nn.Conv2d(self.widths[-1], 3 * 2 * 2, 3, padding=1)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return pictures.

        Parameters
        ----------
        embeddings : Tensor, shape (n, n_dims)
            Unit norm.

        Returns
        -------
        Tensor, shape (n, 3, size, size)
            RGB about -1 to 1.
        """
        mixture = functional.softmax(SHARPNESS * embeddings @ self.prototypes.T, dim=1)
        meaning = self.meaning(embeddings * self.n_dims**0.5) + mixture @ self.codes  # entries of about unit variance
        x = self.first(meaning).unflatten(1, (self.widths[0], self.start, self.start))
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(functional.interpolate(x, scale_factor=2.0, mode="nearest"), meaning)
        return functional.pixel_shuffle(self.last(x), 2)


class PictureRefiner(nn.Module):
    """Predict the clean picture from a noisy one, the coarse picture beside it, and the embedding.

    Pictures and noise lie on straight paths, x = t * picture + (1 - t) * noise (Liu et al. 2022, arXiv:2209.03003).
    The coarse picture comes as input channels: with the embedding alone, such a network learns too little in the time
    that one has.

    Parameters
    ----------
    n_dims : int
        Of the embeddings.
    widths : sequence of two int
        Channels at a quarter and at an eighth of the picture's resolution; multiples of 8.
    """

    def __init__(self, n_dims: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.n_dims, self.widths = n_dims, tuple(widths)
        wide, deep = self.widths
        n_pixels = 3 * PATCH**2
        self.first = nn.Conv2d(2 * n_pixels, wide, 3, padding=1)
        n_conditions = n_dims + 1
        self.down = nn.ModuleList([_Block(wide, wide, n_conditions), _Block(wide, wide, n_conditions)])
        self.middle = nn.ModuleList([_Block(wide, deep, n_conditions), _Block(deep, deep, n_conditions)])
        self.up = nn.ModuleList([_Block(deep + wide, wide, n_conditions), _Block(wide, wide, n_conditions)])
        self.last = nn.Conv2d(wide, n_pixels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)  # what it knows before training is the coarse picture

    def forward(self, noisy: Tensor, coarse: Tensor, embeddings: Tensor, times: Tensor) -> Tensor:
        """Return clean pictures.

        Parameters
        ----------
        noisy, coarse : Tensor, shape (n, 3, size, size)
        embeddings : Tensor, shape (n, n_dims)
            Unit norm.
        times : Tensor, shape (n,)
            From 0, nothing but noise, to 1, the picture.

        Returns
        -------
        Tensor, shape (n, 3, size, size)
        """
        condition = torch.cat([embeddings * self.n_dims**0.5, 2 * times[:, None] - 1], dim=1)
        x = functional.pixel_unshuffle(torch.cat([noisy, coarse], dim=1), PATCH)
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        for block in self.down:
            x = block(x, condition)
        deep = functional.avg_pool2d(x, 2)
        for block in self.middle:
            deep = block(deep, condition)
        x = torch.cat([functional.interpolate(deep, scale_factor=2.0, mode="nearest"), x], dim=1)
        for block in self.up:
            x = block(x, condition)
        return coarse + functional.pixel_shuffle(self.last(x), PATCH)

    def sample(self, noise: Tensor, coarse: Tensor, embeddings: Tensor, steps: int) -> Tensor:
        """Return pictures in `steps` passes.

        Parameters
        ----------
        noise : Tensor, shape (n, 3, size, size)
            Of unit variance.
        coarse, embeddings
            As `forward` takes them.
        steps : int

        Returns
        -------
        Tensor, shape (n, 3, size, size)
        """
        x = noise
        for step in range(steps):
            time = step / steps
            clean = self(x, coarse, embeddings, torch.full((len(x),), time, device=x.device))
            rest = (x - time * clean) / (1 - time)  # the noise, as far as this pass can tell
            time += 1 / steps
            x = time * clean + (1 - time) * rest
        return x
