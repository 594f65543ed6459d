"""Dropout whose masks are drawn four to a random number: tensor -> tensor with some values zero, the others scaled.

On CPUs torch draws one random number for each value, which takes longer than the matrix products of a small encoder.
Here 64 random bits decide over four values, so probabilities are exact to 1 / 65536.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Dropout", "dropout"]

LEVELS = 2**16


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Set values to zero at random while training, and scale the others up.

    Parameters
    ----------
    x : Tensor, any shape
    p : float
        Probability of zero.
    training : bool
        Whether to do anything at all.
    """
    threshold = round(p * LEVELS) - LEVELS // 2
    if not training or p == 0 or threshold >= LEVELS // 2 or x.device.type != "cpu":
        return F.dropout(x, p, training)
    n = x.numel()
    bits = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
    kept = bits.view(torch.int16)[:n].ge_(threshold)
    return x * kept.to(x.dtype).mul_(1 / (1 - p)).view(x.shape)


class Dropout(nn.Dropout):
    """`nn.Dropout` with the masks of `dropout`.

    Parameters
    ----------
    p : float
        Probability of zero.
    inplace : bool
        Without effect.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`."""
        return dropout(x, self.p, self.training)
