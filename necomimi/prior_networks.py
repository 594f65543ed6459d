"""Networks that paint an image embedding out of noise: noise, EEG embedding -> standardised image embedding.

Both work at zero mean and unit variance in each dimension. Both take a condition that may be absent, which is what
guidance needs: what is said without the condition, and `guidance` times the difference that the condition makes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

__all__ = ["DDPMNetwork", "FlowNetwork", "PriorNetwork"]

DROPPED = 0.1  # share of the conditions left out in training
N_TIMESTEPS = 1000  # of the published diffusion
BETAS = (1e-4, 0.02)  # of its noise schedule, which is linear
WIDTHS = (1024, 512, 256, 128, 64)  # of the published network, down and up again
N_TIME = 512  # features of the time there


class PriorNetwork(nn.Module, ABC):
    """What `necomimi.prior.Prior` asks of a generative network."""

    @abstractmethod
    def forward(self, x: Tensor, time: Tensor, condition: Tensor, given: Tensor) -> Tensor:
        """Return what the network makes of noisy embeddings.

        Parameters
        ----------
        x : Tensor, shape (B, n_dims)
            Noisy image embeddings.
        time : Tensor, shape (B,)
        condition : Tensor, shape (B, n_dims)
            EEG embeddings.
        given : Tensor of bool, shape (B,)
            Whether the network may look at the condition.
        """

    @abstractmethod
    def loss(self, clean: Tensor, condition: Tensor) -> Tensor:
        """Return the squared error on image embeddings (B, n_dims) and their EEG embeddings (B, n_dims), a scalar."""

    @staticmethod
    @abstractmethod
    def n_draws(steps: int) -> int:
        """Return how many vectors of noise one sample of `steps` steps takes."""

    @abstractmethod
    def sample(self, noise: Tensor, condition: Tensor, steps: int, guidance: float) -> Tensor:
        """Return image embeddings.

        Parameters
        ----------
        noise : Tensor, shape (B, n_draws(steps), n_dims)
            Of unit variance.
        condition : Tensor, shape (B, n_dims)
            EEG embeddings.
        steps : int
        guidance : float
            1 for none.

        Returns
        -------
        Tensor, shape (B, n_dims)
        """

    def guided(self, x: Tensor, time: float, condition: Tensor, guidance: float) -> Tensor:
        """Return `forward` with guidance, shape (B, n_dims), of both halves of one batch (Ho and Salimans 2022)."""
        n = len(x)
        times = torch.full((2 * n,), time, device=x.device)
        given = torch.arange(2 * n, device=x.device) < n
        if guidance == 1.0:
            out: Tensor = self(x, times[:n], condition, given[:n])
            return out
        both: Tensor = self(x.repeat(2, 1), times, condition.repeat(2, 1), given)
        known, without = both.chunk(2)
        return without + guidance * (known - without)


class FlowNetwork(PriorNetwork):
    """Straight paths from noise to embeddings, few steps; a residual network that predicts where the path ends.

    The end, rather than the velocity (Lipman et al. 2023), is what is predicted: one step is then already the best
    guess, and the last of several ends on the embeddings. It begins as a mixture of what it is given, of the EEG
    embedding early on the path and of the noisy embedding late, and learns what to add: without this short way it
    knows the pictures that it learned from and forgets what it is shown of others.

    Parameters
    ----------
    n_dims : int
        Dimensions of the embeddings.
    n_hidden, n_blocks : int
        Width and depth of the network.
    """

    def __init__(self, n_dims: int, n_hidden: int = 256, n_blocks: int = 3) -> None:
        super().__init__()
        self.n_time = n_hidden // 2
        self.unknown = nn.Parameter(torch.zeros(n_dims))  # stands for a condition that is not given
        self.share = nn.Parameter(torch.full((n_dims,), 0.5))  # of the condition in the mixture
        self.enter = nn.Linear(2 * n_dims, n_hidden)
        self.time = nn.Linear(self.n_time, n_hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(n_hidden), nn.Linear(n_hidden, n_hidden), nn.SiLU(), nn.Linear(n_hidden, n_hidden)
            )
            for _ in range(n_blocks)
        )
        self.settle = nn.LayerNorm(n_hidden)
        self.leave = nn.Linear(n_hidden, n_dims)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, given: Tensor) -> Tensor:
        """Return the end of the path of each `x`; `time` is 0 at the noise and 1 at the end."""
        condition = torch.where(given[:, None], condition, self.unknown)
        hidden = self.enter(torch.cat([x, condition], dim=1)) + self.time(waves(N_TIMESTEPS * time, self.n_time))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        ends: Tensor = torch.lerp(self.share * condition, x, time[:, None]) + self.leave(self.settle(hidden))
        return ends

    def loss(self, clean: Tensor, condition: Tensor) -> Tensor:
        """Return the squared error of the predicted ends, from random times; conditions are dropped one by one."""
        time = torch.rand(len(clean), device=clean.device)
        given = torch.rand(len(clean), device=clean.device) >= DROPPED
        x = torch.lerp(torch.randn_like(clean), clean, time[:, None])
        return nn.functional.mse_loss(self(x, time, condition, given), clean)

    @staticmethod
    def n_draws(steps: int) -> int:
        """Return 1: nothing is drawn on the way."""
        return 1

    def sample(self, noise: Tensor, condition: Tensor, steps: int, guidance: float) -> Tensor:
        """Return where the noise ends after `steps` equal steps in time."""
        x = noise[:, 0]
        for step in range(steps):
            end = self.guided(x, step / steps, condition, guidance)
            x = x + (end - x) / (steps - step)
        return x


class DDPMNetwork(PriorNetwork):
    """The published prior: a narrowing and widening network that predicts the noise of a diffusion of 1000 steps.

    Li et al. (2024), Visual decoding and reconstruction via EEG embeddings with guided diffusion; the diffusion is that
    of Ho et al. (2020). Predicted embeddings are not clipped: the published code clips them to -1 to 1, which at unit
    variance would cut off a third of every picture.

    Parameters
    ----------
    n_dims : int
        Dimensions of the embeddings.
    """

    survival: Tensor

    def __init__(self, n_dims: int) -> None:
        super().__init__()
        down, up = WIDTHS[:-1], WIDTHS[:0:-1]
        self.enter = _layer(n_dims, WIDTHS[0])
        self.times = nn.ModuleList(
            nn.Sequential(nn.Linear(N_TIME, width), nn.SiLU(), nn.Linear(width, width)) for width in (*down, *up)
        )
        self.conditions = nn.ModuleList(nn.Linear(n_dims, width) for width in (*down, *up))
        self.layers = nn.ModuleList(
            _layer(width, following) for width, following in zip((*down, *up), (*WIDTHS[1:], *down[::-1]), strict=True)
        )
        self.leave = nn.Linear(WIDTHS[0], n_dims)
        survival = torch.cumprod(1 - torch.linspace(*BETAS, N_TIMESTEPS), dim=0)  # of the signal's variance
        self.register_buffer("survival", survival, persistent=False)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, given: Tensor) -> Tensor:
        """Return the noise in each `x`; `time` counts from 0, hardly any noise, to 999, nothing but noise."""
        features, x, skipped = waves(time, N_TIME), self.enter(x), list[Tensor]()
        n_down = len(self.layers) // 2
        for i, (in_time, of, layer) in enumerate(zip(self.times, self.conditions, self.layers, strict=True)):
            if i < n_down:
                skipped.append(x)
            x = layer(x + in_time(features) + of(condition) * given[:, None])
            if i >= n_down:
                x = x + skipped.pop()
        out: Tensor = self.leave(x)
        return out

    def loss(self, clean: Tensor, condition: Tensor) -> Tensor:
        """Return the squared error of the predicted noise, at random times; a batch has conditions or none."""
        time = torch.randint(N_TIMESTEPS, (len(clean),), device=clean.device)
        given = (torch.rand(1, device=clean.device) >= DROPPED).expand(len(clean))
        noise, kept = torch.randn_like(clean), self.survival[time][:, None]
        x = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        return nn.functional.mse_loss(self(x, time, condition, given), noise)

    @staticmethod
    def n_draws(steps: int) -> int:
        """Return `steps`: one to begin with, and one after each step but the last."""
        return steps

    def sample(self, noise: Tensor, condition: Tensor, steps: int, guidance: float) -> Tensor:
        """Return the embeddings after `steps` of the 1000 steps, equally spaced."""
        x, stride = noise[:, 0], N_TIMESTEPS // steps
        for step in range(steps):
            time = (steps - 1 - step) * stride
            kept, before = self.survival[time], self.survival[time - stride] if time >= stride else x.new_ones(())
            beta = 1 - kept / before  # of this stride
            clean = (x - (1 - kept).sqrt() * self.guided(x, float(time), condition, guidance)) / kept.sqrt()
            x = (before.sqrt() * beta * clean + (1 - beta).sqrt() * (1 - before) * x) / (1 - kept)
            if step < steps - 1:
                x = x + ((1 - before) / (1 - kept) * beta).sqrt() * noise[:, step + 1]
        return x


def waves(time: Tensor, n_features: int) -> Tensor:
    """Return cosines and sines of times (B,), of wavelengths from 2 pi to 20000 pi; shape (B, n_features)."""
    half = n_features // 2
    rates = torch.exp(torch.arange(half, device=time.device) * (-math.log(1e4) / half))
    angles = time.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _layer(n_in: int, n_out: int) -> nn.Sequential:
    """Return one layer of the published network."""
    return nn.Sequential(nn.Linear(n_in, n_out), nn.LayerNorm(n_out), nn.SiLU())
