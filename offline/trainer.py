"""Run the passes of a training: epochs on a device, targets, settings -> best and last weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from necomimi.decoder import choose_device
from necomimi.encoders import build
from necomimi.gallery import Gallery

from .objective import Judge, fit_temperature, info_nce
from .settings import TrainSettings
from .truncation import truncate_at_random

__all__ = ["Fit", "State", "Trainer", "seeded"]

MAX_SCALE = 100.0  # of similarities in the loss (Radford et al. 2021)
START_NORM = 4.2  # embeddings start near the gallery's mean at this norm, where the loss is well conditioned
State = dict[str, Tensor]
Report = Callable[[int, float, dict[str, float]], None]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch and ask it for deterministic algorithms; afterwards all is as it was."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deterministic")
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def to_device(data: NDArray[np.float32], device: torch.device) -> Tensor:
    """Return epochs as one tensor, on the device where they fit there; else on the CPU, mapped from disk."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")  # nothing writes to it
        tensor = torch.from_numpy(np.asarray(data))
    if device.type == "cuda" and data.nbytes > 0.6 * torch.cuda.mem_get_info(device)[0]:
        return tensor
    return tensor.to(device)


def cpu_has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 matrices itself, which is then about twice as fast as float32."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not in every version of torch
    return probe is not None and bool(probe())


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training left.

    Parameters
    ----------
    best, last : dict of Tensor
        State dicts of the chosen and of the last pass.
    epoch : int
        The chosen pass, from 1.
    history : list of dict
        Loss and validation of each pass.
    """

    best: State
    last: State
    epoch: int
    history: list[dict[str, float]]


class Trainer:
    """An encoder, the epochs it learns from, and what each epoch stands for.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times)
        Preprocessed.
    targets : ndarray of int, shape (n_epochs,)
        Gallery item of each epoch.
    gallery : Gallery
    settings : TrainSettings
        Resolved.
    earliest : int
        Fewest samples that truncation leaves of an epoch.
    """

    def __init__(
        self,
        data: NDArray[np.float32],
        targets: NDArray[np.intp],
        gallery: Gallery,
        settings: TrainSettings,
        earliest: int = 1,
    ) -> None:
        self.settings = settings
        self.earliest = earliest
        self.device = choose_device(settings.device)
        self.pictures = any(gallery.files)
        self.data = to_device(data, self.device)
        self.targets = torch.from_numpy(targets).to(self.device)
        self.embeddings = torch.tensor(gallery.embeddings, device=self.device)
        self.noise = settings.noise * float(self.data[:: max(1, len(data) // 512)].std())
        self.config: dict[str, Any] = {
            "name": settings.encoder,
            "n_chans": data.shape[1],
            "n_times": data.shape[2],
            "n_outputs": gallery.n_dims,
            **settings.options,
        }
        self.encoder = build(**self.config)

    def fit(self, rows: NDArray[np.int64], held: NDArray[np.int64], judge: Judge, report: Report) -> Fit:
        """Train on `rows` from fresh weights, and choose the pass that is best on the held-out rows.

        Pictures: the highest sum of top-1 and top-5. Labels: the calibrated log loss; as a few hundred trials tell
        passes apart poorly, the latest pass within one standard error of the best.

        Parameters
        ----------
        rows, held : ndarray of int
            Row numbers of training and validation epochs.
        judge : Judge
            Knows the targets of the held-out rows.
        report : callable
            Called after each pass with its number, its loss and its validation.
        """
        history: list[dict[str, float]] = []
        best, epoch, best_merit = self._state(), 0, -np.inf
        for done, loss in self._passes(rows):
            vectors = self._embed(held)
            found = judge(vectors)
            merit, margin = found["top1"] + found["top5"], 0.0
            if not self.pictures:
                losses = fit_temperature(judge, vectors)[1]
                found["log_loss"] = float(losses.mean())
                merit, margin = -found["log_loss"], float(losses.std() / np.sqrt(len(losses)))
            history.append({"loss": loss, **found})
            report(done, loss, found)
            if merit >= best_merit - margin:
                best, epoch, best_merit = self._state(), done, max(merit, best_merit)
        return Fit(best=best, last=self._state(), epoch=epoch, history=history)

    def refit(self, rows: NDArray[np.int64], epoch: int, report: Report) -> Fit:
        """Train on `rows` from fresh weights, and keep the pass that was chosen before.

        Parameters
        ----------
        rows : ndarray of int
            Row numbers of training epochs.
        epoch : int
            The pass to keep, from 1.
        report : callable
            As for `fit`; the passes are counted on.
        """
        history: list[dict[str, float]] = []
        best = self._state()
        for done, loss in self._passes(rows):
            history.append({"loss": loss})
            report(self.settings.epochs + done, loss, {})
            if done == epoch:
                best = self._state()
        return Fit(best=best, last=self._state(), epoch=epoch, history=history)

    def embed(self, state: State, data: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return unit-norm embeddings of epochs under some weights, shape (n_epochs, n_dims)."""
        self.encoder.load_state_dict(state)
        with torch.no_grad():
            self.encoder.eval()
            blocks = np.array_split(data, range(512, len(data), 512))
            vectors = [F.normalize(self._encode(torch.tensor(block, device=self.device)), dim=-1) for block in blocks]
        return torch.cat(vectors).cpu().numpy()

    def _passes(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, float]]:
        """Train from fresh weights; yield the number and the mean loss of each pass."""
        settings = self.settings
        assert settings.batch_size is not None
        assert settings.lr is not None
        torch.manual_seed(settings.seed)
        order = torch.Generator().manual_seed(settings.seed)
        self.encoder = build(**self.config).to(self.device)
        with torch.no_grad():
            self.encoder.output_bias.add_(START_NORM * F.normalize(self.embeddings.mean(dim=0), dim=0))
        n_batches = max(1, len(rows) // settings.batch_size)
        optimizer = torch.optim.AdamW(self.encoder.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * n_batches)
        for done in range(1, settings.epochs + 1):
            self.encoder.train()
            losses = []
            shuffled = torch.from_numpy(rows)[torch.randperm(len(rows), generator=order)]
            for batch in shuffled[: n_batches * settings.batch_size].split(settings.batch_size):
                optimizer.zero_grad(set_to_none=True)
                loss = self._loss(batch)
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.detach())
            yield done, float(torch.stack(losses).mean())

    def _loss(self, batch: Tensor) -> Tensor:
        """Return the loss of one batch of rows."""
        settings = self.settings
        data = self._rows(batch)
        if self.noise:
            data = data + self.noise * torch.randn_like(data)
        if settings.truncation:
            truncate_at_random(data, settings.truncation, self.earliest)  # `_rows` has made a copy
        estimates = self._encode(data)
        if settings.normalize:
            estimates = F.normalize(estimates, dim=-1)
        targets = self.targets.index_select(0, batch.to(self.device))
        candidates = self.embeddings
        if self.pictures:
            items, targets = torch.unique(targets, return_inverse=True)
            candidates = candidates.index_select(0, items)
        return info_nce(estimates, candidates, targets, self._scale(), both=self.pictures, smoothing=settings.smoothing)

    def _rows(self, rows: Tensor) -> Tensor:
        """Return some epochs, on the device."""
        return self.data.index_select(0, rows.to(self.data.device)).to(self.device)

    def _encode(self, data: Tensor) -> Tensor:
        """Return embeddings (B, n_dims) in float32."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bfloat16):
            vectors = self.encoder(data)
        return vectors.float()

    @property
    def _bfloat16(self) -> bool:
        """Whether matrix products run in bfloat16."""
        if self.settings.precision != "auto":
            return self.settings.precision == "bfloat16"
        return self.device.type == "cuda" or (self.device.type == "cpu" and cpu_has_bfloat16())

    @torch.no_grad()
    def _embed(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return unit-norm embeddings of some epochs under the present weights."""
        self.encoder.eval()
        blocks = [F.normalize(self._encode(self._rows(part)), dim=-1) for part in torch.from_numpy(rows).split(512)]
        return torch.cat(blocks).cpu().numpy()

    def _scale(self) -> Tensor:
        """Return the factor on similarities."""
        return self.encoder.logit_scale.exp().clamp(max=MAX_SCALE)

    def _state(self) -> State:
        """Return a copy of the present weights."""
        return {name: tensor.detach().clone() for name, tensor in self.encoder.state_dict().items()}
