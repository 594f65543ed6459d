"""Run the passes of a training: epochs, targets, settings -> best and last weights."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from necomimi.errors import ConfigError
from necomimi.gallery import Gallery

from .compilation import compiled
from .contrast import backward_whole
from .distributed import Processes, share_batch_norm
from .disturbance import Disturbance, Disturber
from .learner import BLOCK, Learner
from .memory import keep_freed_memory
from .objective import Judge
from .resume import RunFile
from .run import Run, Weights
from .settings import TrainSettings
from .stack import Stack

__all__ = ["Fit", "TrainStep", "Trainer", "seeded"]

ALONE = Processes()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch and ask it for deterministic algorithms; afterwards all is as it was."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deterministic")
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False  # a fifth of the time, for memory that nobody reads
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            memory.fill_uninitialized_memory = filled


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """What one pass over the data gave, for progress displays and logs.

    Parameters
    ----------
    done, total : int
        Passes.
    loss : float
        Mean training loss.
    validation : dict
        "top1" and "top5"; for labels "log_loss", for two classes "auc"; empty while refitting on all data.
    lr : float
        Learning rate after the pass.
    samples_s : float
        Epochs learned from in a second, without the validation.
    """

    done: int
    total: int
    loss: float
    validation: dict[str, float]
    lr: float
    samples_s: float


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training left.

    Parameters
    ----------
    best, last : dict
        Weights of the chosen and of the last pass: state dicts by module, "encoder" and, where there is one, "adapter".
    epoch : int
        The chosen pass, from 1; 0 where none was better than what it started from.
    history : list of dict
        Loss and validation of each pass.
    start : dict
        Validation before the first pass, where that started from somebody's weights; else empty.
    """

    best: Weights
    last: Weights
    epoch: int
    history: list[dict[str, float]]
    start: dict[str, float]

    @property
    def found(self) -> dict[str, float]:
        """What validation said of the chosen weights."""
        return self.history[self.epoch - 1] if self.epoch else self.start


Report = Callable[[TrainStep], None]


class Trainer:
    """Epochs, what each of them stands for, and the learner that is trained on them.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times), or a sequence of them
        Preprocessed; several arrays are of several people, whose rows are numbered on.
    targets : ndarray of int, shape (n_epochs,)
        Gallery item of each epoch.
    gallery : Gallery
    settings : TrainSettings
        Resolved.
    earliest : int
        Fewest samples that truncation leaves of an epoch.
    processes : Processes
        Those that train together.
    start : Weights, optional
        What every training begins with; fresh weights where absent.

    Raises
    ------
    ConfigError
        A batch has fewer epochs than there are processes.
    """

    def __init__(
        self,
        data: NDArray[np.float32] | Sequence[NDArray[np.float32]],
        targets: NDArray[np.intp],
        gallery: Gallery,
        settings: TrainSettings,
        earliest: int = 1,
        processes: Processes = ALONE,
        start: Weights | None = None,
    ) -> None:
        parts = [data] if isinstance(data, np.ndarray) else list(data)
        self.settings = settings
        self.batch_size = min(settings.batch_size or len(targets), len(targets))
        if self.batch_size < processes.size:
            raise ConfigError(
                f"a batch of {self.batch_size} epochs for {processes.size} processes", "at least one epoch for each"
            )
        self.earliest = earliest
        self.processes = processes
        self.learner = Learner(parts[0].shape[1], parts[0].shape[2], len(parts), gallery, settings, start)
        self.device = self.learner.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.data = Stack(parts, self.device, self.learner.dtype)
        self.targets = torch.from_numpy(targets).to(self.device)
        sample = self.data.take(torch.arange(0, len(self.data), max(1, len(self.data) // BLOCK)))
        self.noise = settings.noise * float(sample.float().std())

    def fit(
        self,
        rows: NDArray[np.int64],
        held: NDArray[np.int64],
        judge: Judge,
        report: Report,
        file: RunFile | None = None,
    ) -> Fit:
        """Train on `rows`, and choose the pass that is best on the held-out rows.

        Pictures: the highest sum of top-1 and top-5. Labels: the calibrated log loss; as a few hundred trials tell
        passes apart poorly, the latest pass within one standard error of the best. Weights that it started from count
        as a pass 0.

        Parameters
        ----------
        rows, held : ndarray of int
            Row numbers of training and validation epochs.
        judge : Judge
            Knows the targets of the held-out rows, and the gallery items they are chosen from.
        report : callable
            Called after each pass.
        file : RunFile, optional
            Where to keep the run, and what to go on with.
        """
        total = self.settings.epochs * (1 if self.learner.pictures else 2)

        def validate(run: Run) -> dict[str, float]:
            found, merit, margin = self.processes.once(
                lambda: self.learner.judge(judge, self.learner.embed(self.data, held))
            )
            if merit >= run.merit - margin:
                run.best, run.epoch, run.merit = run.weights(), run.done, max(merit, run.merit)
            return found

        def after_pass(run: Run, step: TrainStep) -> None:
            found = validate(run)
            run.history.append({"loss": step.loss, **found})
            report(replace(step, total=total, validation=found))

        def before(run: Run) -> None:
            run.start = validate(run)

        return self._train(rows, after_pass, file, before if self.learner.start is not None else None)

    def refit(self, rows: NDArray[np.int64], epoch: int, report: Report, file: RunFile | None = None) -> Fit:
        """Train on `rows` from the beginning, and keep the pass that was chosen before.

        Parameters
        ----------
        rows : ndarray of int
            Row numbers of training epochs.
        epoch : int
            The pass to keep, from 1; 0 for what it started from.
        report, file
            As for `fit`; the passes are counted on.
        """
        n = self.settings.epochs

        def after_pass(run: Run, step: TrainStep) -> None:
            run.history.append({"loss": step.loss})
            if run.done == epoch:
                run.best, run.epoch = run.weights(), epoch
            report(replace(step, done=n + run.done, total=2 * n))

        def before(run: Run) -> None:
            run.best = run.weights()

        return self._train(rows, after_pass, file, None if epoch else before)

    def _train(
        self,
        rows: NDArray[np.int64],
        after_pass: Callable[[Run, TrainStep], None],
        file: RunFile | None,
        before: Callable[[Run], None] | None,
    ) -> Fit:
        """Run all passes from the beginning, or those that a killed run has left."""
        run = self._begin(len(rows))
        kept = self.processes.once(lambda: file.load() if file else None)
        if kept is not None:
            run.restore(kept, self.processes, self.device)
        elif before is not None:
            before(run)
        with compiled(self.learner.encoder, wanted=self.settings.compile) as encoder:
            while run.done < self.settings.epochs:
                after_pass(run, self._pass(run, encoder, torch.from_numpy(rows)))
                if file and self.processes.once(partial(file.due, last=run.done == self.settings.epochs)):
                    state = run.state(self.processes, self.device)
                    if self.processes.rank == 0:
                        file.save(state)
        return Fit(best=run.best, last=run.weights(), epoch=run.epoch, history=run.history, start=run.start)

    def _begin(self, n_rows: int) -> Run:
        """Return a run before its first pass."""
        settings = self.settings
        assert settings.lr is not None
        assert settings.truncation is not None
        self.learner.begin()
        if self.processes.size > 1:
            share_batch_norm(self.learner.encoder)
            torch.manual_seed(settings.seed + self.processes.rank)  # each drops out other units
        modules = self.learner.modules
        optimizer = torch.optim.AdamW(
            modules.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
        )
        n_steps = settings.epochs * max(1, n_rows // self.batch_size)
        shape = (self.batch_size, *self.data.shape)
        like = torch.empty(0, dtype=self.data.dtype, device=self.device)
        return Run(
            modules=modules,
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps),
            order=torch.Generator().manual_seed(settings.seed),
            disturber=Disturber(shape, self.noise, settings.truncation, self.earliest, like, settings.seed),
        )

    def _pass(self, run: Run, encoder: nn.Module, rows: Tensor) -> TrainStep:
        """Learn once from each batch of epochs in a new order; what is left over waits for the next pass."""
        begin = time.perf_counter()
        self.learner.modules.train()
        run.disturber.begin_pass()
        losses = []
        shuffled = rows[torch.randperm(len(rows), generator=run.order)]
        n = max(1, len(rows) // self.batch_size) * self.batch_size
        for batch in shuffled[:n].split(self.batch_size):
            run.optimizer.zero_grad(set_to_none=True)
            seed = int(torch.randint(2**62, (), generator=run.order))
            losses.append(self._backward(encoder, batch, run.disturber.draw(), seed))
            self.processes.add_gradients(self.learner.modules.parameters())
            run.optimizer.step()
            run.schedule.step()
        loss = float(torch.stack(losses).mean())
        run.done += 1
        return TrainStep(
            done=run.done,
            total=self.settings.epochs,
            loss=loss,
            validation={},
            lr=float(run.schedule.get_last_lr()[0]),
            samples_s=len(shuffled[:n]) / (time.perf_counter() - begin),
        )

    def _backward(self, encoder: nn.Module, batch: Tensor, disturbance: Disturbance, seed: int) -> Tensor:
        """Find the gradients of one batch of rows, this process's part of them; return the loss."""
        targets = self.targets.index_select(0, batch.to(self.device))

        def encode(places: range) -> Tensor:
            rows = batch[places.start : places.stop]
            data = self.data.take(rows)
            disturbance.apply(data, places.start)
            return self.learner.encode(data, self.data.people(rows), encoder)

        return backward_whole(
            self.learner.encoder,
            encode,
            lambda estimates: self.learner.loss(estimates, targets, seed),
            len(batch),
            self.settings.micro_batch,
            self.processes,
        )
