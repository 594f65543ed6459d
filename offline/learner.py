"""Encode, and compare with pictures: epochs -> embeddings -> loss, by an encoder and the adapter of its targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from necomimi.adapter import ImageAdapter
from necomimi.device import choose_device
from necomimi.encoders import Encoder, build
from necomimi.gallery import Gallery

from .distributed import own_device
from .fine_tuning import has_people
from .objective import Judge, fit_temperature, info_nce
from .run import Weights
from .settings import TrainSettings
from .stack import Stack

__all__ = ["BLOCK", "Learner"]

BLOCK = 512  # epochs, or pictures, embedded at once
MAX_SCALE = 100.0  # of similarities in the loss (Radford et al. 2021)
START_NORM = 4.2  # embeddings start near the gallery's mean at this norm, where the loss is well conditioned


def cpu_has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 matrices itself, which is then about twice as fast as float32."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not in every version of torch
    return probe is not None and bool(probe())


class Learner:
    """What is learned, the targets it is compared with, and the arithmetic between them.

    Parameters
    ----------
    n_chans, n_times : int
        Channels and samples of an epoch.
    n_people : int
        Whose epochs it learns from.
    gallery : Gallery
    settings : TrainSettings
        Resolved.
    start : Weights, optional
        What to begin with; fresh weights where absent.
    """

    def __init__(
        self,
        n_chans: int,
        n_times: int,
        n_people: int,
        gallery: Gallery,
        settings: TrainSettings,
        start: Weights | None = None,
    ) -> None:
        self.start = start
        self.settings = settings
        self.device = own_device(choose_device(settings.device))
        self.pictures = any(gallery.files)
        self.config: dict[str, Any] = {
            "name": settings.encoder,
            "n_chans": n_chans,
            "n_times": n_times,
            "n_outputs": gallery.n_dims,
            **({"n_subjects": n_people} if n_people > 1 else {}),
            **({"personal_layer": True} if n_people == 1 and start is not None and has_people(start) else {}),
            **settings.options,
        }
        self.embeddings = torch.tensor(gallery.embeddings, device=self.device)
        self.levels: Tensor | None = None
        if settings.adapter:
            self.levels = torch.tensor(gallery.levels, dtype=self.dtype, device=self.device)
        self.begin()

    @property
    def dtype(self) -> torch.dtype:
        """The type of matrix products, and of epochs and blur levels in memory."""
        auto = self.device.type == "cuda" or (self.device.type == "cpu" and cpu_has_bfloat16())
        bfloat16 = auto if self.settings.precision == "auto" else self.settings.precision == "bfloat16"
        return torch.bfloat16 if bfloat16 else torch.float32

    @property
    def encoder(self) -> Encoder:
        """The encoder, under its present weights."""
        return cast(Encoder, self.modules["encoder"])

    @property
    def adapter(self) -> ImageAdapter | None:
        """The image adapter, under its present weights; None where pictures have no blur levels."""
        return cast(ImageAdapter, self.modules["adapter"]) if "adapter" in self.modules else None

    def begin(self) -> None:
        """Take the weights to begin with, or draw fresh ones, whose embeddings start near the mean of their targets."""
        torch.manual_seed(self.settings.seed)
        self.modules = nn.ModuleDict({"encoder": build(**self.config)})
        if self.levels is not None:
            self.modules["adapter"] = ImageAdapter(self.levels.shape[1], self.levels.shape[2])
        self.modules.to(self.device)
        if self.start is not None:
            self.load(self.start)
            return
        center = self.targets(torch.arange(len(self.embeddings))).mean(dim=0)
        with torch.no_grad():
            self.encoder.output_bias.add_(START_NORM * F.normalize(center, dim=0))

    def load(self, weights: Weights) -> None:
        """Make some weights the present ones."""
        for part, state in weights.items():
            self.modules[part].load_state_dict(state)

    @torch.no_grad()
    def targets(self, items: Tensor) -> Tensor:
        """Return the unit-norm embeddings of gallery items, as the image adapter, if there is one, now makes them."""
        items = items.to(self.device)
        if self.adapter is None or self.levels is None:
            return self.embeddings.index_select(0, items)
        self.adapter.eval()
        return torch.cat([self.adapter(self.levels.index_select(0, part).float()) for part in items.split(BLOCK)])

    def encode(self, data: Tensor, people: Tensor | None, encoder: nn.Module | None = None) -> Tensor:
        """Return embeddings (B, n_dims) in float32; by a compiled form of the encoder, if one is given."""
        module = self.encoder if encoder is None else encoder
        with self._autocast():
            vectors: Tensor = module(data, people)
        return vectors.float()

    @torch.no_grad()
    def embed(self, stack: Stack, rows: NDArray[np.int64], n_times: int | None = None) -> NDArray[np.float32]:
        """Return unit-norm embeddings of some epochs under the present weights.

        Parameters
        ----------
        stack : Stack
        rows : ndarray of int, shape (n,)
        n_times : int, optional
            Samples that have arrived; all of them where absent.

        Returns
        -------
        ndarray of float32, shape (n, n_dims)
        """
        self.encoder.eval()
        vectors = []
        for part in torch.from_numpy(rows).split(BLOCK):
            data = stack.take(part)
            if n_times is not None:
                data[..., n_times:] = 0
            vectors.append(F.normalize(self.encode(data, stack.people(part)), dim=-1))
        return torch.cat(vectors).cpu().numpy()

    def judge(self, judge: Judge, vectors: NDArray[np.float32]) -> tuple[dict[str, float], float, float]:
        """Judge embeddings of held-out epochs against the present targets.

        Parameters
        ----------
        judge : Judge
        vectors : ndarray of float32, shape (n, n_dims)

        Returns
        -------
        found : dict
            What the judge says and, where targets are labels, "log_loss".
        merit : float
            By which passes are compared, the higher the better.
        margin : float
            How far chance may have moved it: one standard error, where there are few held-out epochs.
        """
        if self.adapter is not None and judge.items is not None:
            judge = replace(judge, candidates=self.targets(torch.from_numpy(judge.items)).cpu().numpy())
        found = judge(vectors)
        if self.pictures:
            return found, found["top1"] + found["top5"], 0.0
        losses = fit_temperature(judge, vectors)[1]
        found["log_loss"] = float(losses.mean())
        return found, -found["log_loss"], float(losses.std() / np.sqrt(len(losses)))

    def loss(self, estimates: Tensor, targets: Tensor, seed: int) -> Tensor:
        """Return the loss of the embeddings of one batch.

        Parameters
        ----------
        estimates : Tensor, shape (B, n_dims)
        targets : Tensor of int, shape (B,)
            The gallery item of each.
        seed : int
            Of what the image adapter drops out.
        """
        if self.settings.normalize:
            estimates = F.normalize(estimates, dim=-1)
        items = torch.arange(len(self.embeddings), device=self.device)
        if self.pictures:
            items, targets = torch.unique(targets, return_inverse=True)
        scale: Tensor | float
        if self.settings.temperature == "learned":
            scale = self.encoder.logit_scale.exp().clamp(max=MAX_SCALE)
        else:
            scale = 1.0 / self.settings.temperature
        with self._autocast():
            if self.adapter is not None and self.levels is not None:
                with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
                    torch.manual_seed(seed)
                    candidates = self.adapter(self.levels.index_select(0, items))
            else:
                candidates = self.embeddings.index_select(0, items)
            smoothing = self.settings.smoothing
            return info_nce(estimates, candidates, targets, scale, both=self.pictures, smoothing=smoothing)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)
