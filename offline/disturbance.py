"""Disturb training epochs, the same whoever encodes which part of a batch: epochs -> noisy, and some cut short."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .truncation import cut_short, random_lengths

__all__ = ["Disturbance", "Disturber"]

SLACK = 4  # the table of noise is a batch and a quarter long


@dataclass(frozen=True)
class Disturbance:
    """What happens to one batch.

    Parameters
    ----------
    noise : Tensor, shape (batch_size, n_channels, n_times), or None
        To be added.
    lengths : Tensor of int, shape (batch_size,), or None
        Samples left of each epoch.
    """

    noise: Tensor | None
    lengths: Tensor | None

    def apply(self, data: Tensor, first: int) -> None:
        """Disturb, in place, the epochs of a batch from number `first` on.

        Parameters
        ----------
        data : Tensor, shape (n, n_channels, n_times)
        first : int
            The place in the batch of the first of them.
        """
        if self.noise is not None:
            data.add_(self.noise[first : first + len(data)])
        if self.lengths is not None:
            cut_short(data, self.lengths[first : first + len(data)])


class Disturber:
    """Draws what happens to each batch, from a generator of its own.

    Normal noise is slow to draw, so a table of it is drawn for each pass, and each batch takes a stretch of the table
    that begins at random (Salimans et al. 2017 share a table in this way).

    Parameters
    ----------
    shape : tuple of int
        (batch_size, n_channels, n_times).
    noise : float
        Standard deviation of the noise, in the units of the data.
    truncation : float
        Probability that an epoch is cut short.
    earliest : int
        Fewest samples left of a cut epoch.
    like : Tensor
        Of the type, and on the device, of the data.
    seed : int
    """

    def __init__(
        self, shape: tuple[int, int, int], noise: float, truncation: float, earliest: int, like: Tensor, seed: int
    ) -> None:
        self.shape, self.noise, self.truncation, self.earliest = shape, noise, truncation, earliest
        self.generator = torch.Generator(like.device).manual_seed(seed)
        self.places = torch.Generator().manual_seed(seed)  # of stretches of the table; on the CPU, to wait for no GPU
        self.slack = torch.Size(shape).numel() // SLACK
        self.table = like.new_empty(torch.Size(shape).numel() + self.slack if noise else 0)

    def begin_pass(self) -> None:
        """Draw a new table of noise."""
        if self.noise:
            drawn = torch.randn(len(self.table), generator=self.generator, device=self.table.device)
            self.table.copy_(drawn.mul_(self.noise))

    def draw(self) -> Disturbance:
        """Return what happens to the next batch."""
        noise, lengths = None, None
        if self.noise:
            begin = int(torch.randint(self.slack + 1, (), generator=self.places))
            noise = self.table[begin : len(self.table) - self.slack + begin].view(self.shape)
        if self.truncation:
            n, _, n_times = self.shape
            device = self.table.device
            lengths = random_lengths(n, n_times, self.truncation, self.earliest, self.generator, device)
        return Disturbance(noise, lengths)
