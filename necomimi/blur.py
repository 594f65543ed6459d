"""Take the fine detail out of pictures by a Gaussian filter: tensor of pictures, kernel size -> blurred tensor."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from necomimi.errors import ConfigError
from necomimi.spaces import SHARP

__all__ = ["blur", "parse_levels"]


def parse_levels(text: str) -> tuple[int, ...]:
    """Return the kernel sizes in a comma-separated list.

    Raises
    ------
    ConfigError
        They are not odd numbers in ascending order, or the first is not 1, the sharp picture.
    """
    try:
        levels = tuple(int(part) for part in text.split(","))
    except ValueError:
        levels = ()
    if levels[:1] != SHARP or list(levels) != sorted(set(levels)) or not all(level % 2 for level in levels):
        raise ConfigError(
            f"blur levels {text!r}", "odd kernel sizes in pixels, ascending, 1 (the sharp picture) first: 1,3,9,15"
        )
    return levels


@lru_cache(maxsize=64)
def _filter_matrix(size: int, kernel: int) -> Tensor:
    """Return the filter along an axis of `size` pixels as a matrix, edges mirrored: what it does to the identity."""
    half = (kernel - 1) // 2
    if half >= size:
        raise ConfigError(f"a blur of {kernel} pixels", f"at most {2 * size - 1} for pictures of {size} pixels")
    sigma = 0.15 * kernel + 0.35  # pixels
    weights = torch.exp(-0.5 * (torch.arange(-half, half + 1, dtype=torch.float64) / sigma) ** 2)
    padded = F.pad(torch.eye(size, dtype=torch.float64)[:, None], (half, half), mode="reflect")
    return F.conv1d(padded, (weights / weights.sum())[None, None])[:, 0].T.float().contiguous()


def blur(pictures: Tensor, kernel: int) -> Tensor:
    """Blur pictures as OpenCV's and torchvision's Gaussian filters do for a kernel size without a deviation.

    Parameters
    ----------
    pictures : Tensor of float32, shape (n, n_colours, height, width)
        Normalised or not: the filter keeps constants.
    kernel : int
        Odd; pixels. The standard deviation is 0.3 ((kernel - 1) / 2 - 1) + 0.8 pixels. 1 leaves the pictures alone.

    Returns
    -------
    Tensor of float32, shape (n, n_colours, height, width)

    Raises
    ------
    ConfigError
        The kernel is wider than mirroring the picture once can fill.
    """
    if kernel == 1:
        return pictures
    vertical, horizontal = (_filter_matrix(size, kernel).to(pictures.device) for size in pictures.shape[-2:])
    return vertical @ pictures @ horizontal.T
