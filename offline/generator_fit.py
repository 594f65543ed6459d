"""Learn to paint: pictures with their embeddings, settings -> PictureDecoder, PictureRefiner."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from necomimi.config import Settings
from necomimi.device import channels_last
from necomimi.picture_networks import PictureDecoder, PictureRefiner
from necomimi.picture_world import PictureWorld

from .learner import cpu_has_bfloat16
from .memory import keep_freed_memory
from .resume import RunFile

__all__ = ["Fitted", "GeneratorSettings", "Report", "fit_decoder", "fit_refiner"]

logger = logging.getLogger(__name__)

Report = Callable[[dict[str, float]], None]
Loss = Callable[[nn.Module, NDArray[np.intp], torch.Generator], Tensor]


class GeneratorSettings(Settings):
    """How to train a generator.

    Parameters
    ----------
    size : int
        Height and width of the pictures in pixels.
    exemplars : int
        Training pictures of each known concept.
    unseen : int
        Concepts that are held out whole, to judge by.
    concepts : int, optional
        Take so many concepts; all by default.
    passes : int
        Over the training pictures, for the decoder.
    refiner_passes : int
        The same for the refiner; 0 for none.
    steps : int
        Passes through the refiner for each picture.
    widths, refiner_widths : tuple of int
        Channels of the networks.
    batch_size : int
    lr : float
        Peak learning rate of AdamW, which falls to zero as a cosine.
    noise : float
        Length of the noise added to unit-norm embeddings in training: for each picture drawn from a half-normal
        distribution of this scale, so that the generator bears what EEG gets wrong.
    edges : float
        Weight of the differences between neighbouring pixels in the decoder's loss.
    average : float
        Decay of the moving average of the weights, which is what is kept.
    seed : int
    device : str
        "auto", "cuda", "mps" or "cpu".
    """

    size: int = Field(default=96, ge=32, multiple_of=32)
    exemplars: int = Field(default=20, ge=1)
    unseen: int = Field(default=70, ge=2)
    concepts: int | None = Field(default=None, ge=8)
    passes: int = Field(default=16, ge=1)
    refiner_passes: int = Field(default=4, ge=0)
    steps: int = Field(default=4, ge=1)
    widths: tuple[int, ...] = (256, 192, 96, 48)
    refiner_widths: tuple[int, int] = (96, 160)
    batch_size: int = Field(default=32, ge=1)
    lr: float = Field(default=2e-3, gt=0)
    noise: float = Field(default=1.0, ge=0)
    edges: float = Field(default=1.0, ge=0)
    average: float = Field(default=0.999, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"

    @model_validator(mode="after")
    def _check_widths(self) -> GeneratorSettings:
        if any(width < 8 or width % 8 for width in (*self.widths, *self.refiner_widths)):
            raise ValueError(f"widths {self.widths} and {self.refiner_widths}; multiples of 8")
        if not 2 <= len(self.widths) <= 6 or self.size % 2 ** len(self.widths):
            raise ValueError(f"{len(self.widths)} widths for {self.size} pixels, which that many doublings must reach")
        return self


@dataclass(frozen=True)
class Fitted:
    """A trained network and its curves: one dict of figures for each pass."""

    network: Any
    history: list[dict[str, float]]


@dataclass(frozen=True, eq=False)
class _Data:
    """What is learned from, on the device."""

    embeddings: Tensor
    pixels: Tensor

    def pictures(self, rows: NDArray[np.intp]) -> Tensor:
        """Return pictures, shape (n, 3, size, size), from -1 to 1."""
        return self.pixels[rows].permute(0, 3, 1, 2).float() / 127.5 - 1


def disturbed(embeddings: Tensor, noise: float, random: torch.Generator) -> Tensor:
    """Return unit-norm embeddings with noise of random length; see `GeneratorSettings.noise`."""
    lengths = noise * torch.randn(len(embeddings), 1, generator=random).abs().to(embeddings.device)
    directions = torch.randn(embeddings.shape, generator=random).to(embeddings.device) / embeddings.shape[1] ** 0.5
    return functional.normalize(embeddings + lengths * directions, dim=1)


def picture_loss(painted: Tensor, truth: Tensor, edges: float) -> Tensor:
    """Return the mean absolute error of pixels and, weighted, of the differences between neighbouring pixels."""
    error = painted.float() - truth
    return error.abs().mean() + edges * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())


def fit_decoder(
    world: PictureWorld, settings: GeneratorSettings, device: torch.device, report: Report, file: RunFile | None
) -> Fitted:
    """Train the network that paints in one pass.

    Parameters
    ----------
    world : PictureWorld
    settings : GeneratorSettings
    device : torch.device
    report : callable
        Told the figures of each pass: "pass", "loss", "held_loss" (of new pictures of known concepts), "lr",
        "pictures_s".
    file : RunFile or None
        Where to keep the run, and what to go on with.
    """
    torch.manual_seed(settings.seed)
    prototypes = torch.tensor(world.prototypes())
    network = PictureDecoder(prototypes.shape[1], len(prototypes), settings.size, settings.widths)
    network.prototypes.copy_(prototypes)
    data = _to_device(world, device)

    def loss(module: nn.Module, rows: NDArray[np.intp], random: torch.Generator) -> Tensor:
        embeddings = data.embeddings[rows]
        if module.training:
            embeddings = disturbed(embeddings, settings.noise, random)
        return picture_loss(module(embeddings), data.pictures(rows), settings.edges)

    return _fit(network, loss, world, settings, settings.passes, device, report, file)


def fit_refiner(
    world: PictureWorld,
    settings: GeneratorSettings,
    device: torch.device,
    report: Report,
    file: RunFile | None,
    *,
    decoder: PictureDecoder,
) -> Fitted:
    """Train the network that makes pictures of a decoder finer; the parameters are those of `fit_decoder`."""
    torch.manual_seed(settings.seed + 1)
    network = PictureRefiner(world.embeddings.shape[1], settings.refiner_widths)
    data = _to_device(world, device)
    decoder.to(device).eval()

    def loss(module: nn.Module, rows: NDArray[np.intp], random: torch.Generator) -> Tensor:
        embeddings, truth = data.embeddings[rows], data.pictures(rows)
        if module.training:
            embeddings = disturbed(embeddings, settings.noise, random)
        times = torch.rand(len(rows), generator=random).to(device)
        noise = torch.randn(truth.shape, generator=random).to(device)
        with torch.no_grad():
            coarse = decoder(embeddings).float()
        share = times[:, None, None, None]
        clean = module(share * truth + (1 - share) * noise, coarse, embeddings, times)
        return functional.mse_loss(clean.float(), truth)

    return _fit(network, loss, world, settings, settings.refiner_passes, device, report, file)


def _to_device(world: PictureWorld, device: torch.device) -> _Data:
    return _Data(torch.tensor(world.embeddings, device=device), torch.tensor(world.pixels, device=device))


def _fit(
    network: nn.Module,
    loss: Loss,
    world: PictureWorld,
    settings: GeneratorSettings,
    passes: int,
    device: torch.device,
    report: Report,
    file: RunFile | None,
) -> Fitted:
    """Train a network on the training pictures, and return the moving average of its weights."""
    if device.type == "cpu":
        keep_freed_memory()
    channels_last(network.to(device))
    kept = copy.deepcopy(network).eval().requires_grad_(False)
    rows, held = world.training, world.judging["known"]
    n_batches = max(1, len(rows) // settings.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.lr, total_steps=passes * n_batches + 1, pct_start=0.05
    )
    random = torch.Generator().manual_seed(settings.seed)
    parts: dict[str, Any] = {
        "network": network, "kept": kept, "optimizer": optimizer, "schedule": schedule,
    }  # fmt: skip
    history: list[dict[str, float]] = []
    state = file.load() if file is not None else None
    if state is not None:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        random.set_state(state["random"])
        history = state["history"]
    lower = torch.autocast(
        device.type,
        dtype=torch.bfloat16,
        enabled=device.type == "cuda" or (device.type == "cpu" and cpu_has_bfloat16()),
    )
    while len(history) < passes:
        started, losses = time.perf_counter(), []
        network.train()
        order = rows[torch.randperm(len(rows), generator=random).numpy()]
        for batch in np.array_split(order[: n_batches * settings.batch_size], n_batches):
            with lower:
                value = loss(network, batch, random)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            _average(kept, network, max(1 - settings.average, 1 / schedule.last_epoch))  # sooner while it is young
            losses.append(value.detach())
        seconds = time.perf_counter() - started
        figures = {
            "pass": len(history) + 1,
            "loss": float(torch.stack(losses).mean()),
            "held_loss": _held_loss(kept, loss, held, settings, lower),
            "lr": float(schedule.get_last_lr()[0]),
            "pictures_s": len(order) / seconds,
        }
        history.append(figures)
        report(figures)
        if file is not None and file.due(last=len(history) == passes):
            states = {name: part.state_dict() for name, part in parts.items()}
            file.save({**states, "random": random.get_state(), "history": history, "done": len(history)})
    return Fitted(kept, history)


@torch.no_grad()
def _average(kept: nn.Module, network: nn.Module, share: float) -> None:
    """Take so much of the newest weights into the moving average."""
    torch._foreach_lerp_(list(kept.parameters()), list(network.parameters()), share)


def _held_loss(
    network: nn.Module, loss: Loss, rows: NDArray[np.intp], settings: GeneratorSettings, lower: Any
) -> float:
    """Return the loss over held-out pictures, with the same noise each time."""
    random = torch.Generator().manual_seed(settings.seed)
    with torch.inference_mode(), lower:
        batches = np.array_split(rows, max(1, len(rows) // settings.batch_size))
        return float(np.mean([float(loss(network, batch, random)) for batch in batches]))
