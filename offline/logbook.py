"""Log how a training goes: figures of each pass -> TensorBoard and, where it is asked for, Weights & Biases."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from necomimi.errors import ConfigError

from .settings import TrainSettings
from .trainer import TrainStep

__all__ = ["Logbook"]


class Logbook:
    """Curves of a training, in a folder that ``tensorboard --logdir`` shows.

    Weights & Biases gets them as well where a project is named; without a name nothing leaves this machine.

    Parameters
    ----------
    folder : Path
        Where the event files go.
    settings : TrainSettings
        What the training is made with; `wandb`, or else the variable WANDB_PROJECT, names the project.

    Raises
    ------
    ConfigError
        A project is named and `wandb` is not installed.
    """

    def __init__(self, folder: Path, settings: TrainSettings) -> None:
        self._folder = folder
        self._settings = settings.model_dump()
        self._project = settings.wandb or os.environ.get("WANDB_PROJECT")
        self._wandb = _import_wandb(self._project) if self._project else None
        self._writer: Any = None
        self._run: Any = None

    def write(self, step: TrainStep) -> None:
        """Log one pass. If the first one is not number 1, an earlier process logged those before it."""
        if self._writer is None:
            self._open(step.done)
        figures = {"loss": step.loss, "lr": step.lr, "samples_s": step.samples_s}
        figures |= {f"validation/{name}": value for name, value in step.validation.items()}
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step.done)
        if self._run is not None:
            self._run.log(figures, step=step.done)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
        if self._run is not None:
            self._run.finish()

    def _open(self, first: int) -> None:
        """Begin to log at pass `first`: afresh at the first one, else after what is there."""
        from torch.utils.tensorboard import SummaryWriter

        if first == 1 and self._folder.is_dir():
            for file in self._folder.glob("events.out.tfevents.*"):
                file.unlink()
        self._writer = SummaryWriter(self._folder, purge_step=first if first > 1 else None)
        if self._wandb is not None:
            name = _run_name(self._folder, new=first == 1)
            self._run = self._wandb.init(
                project=self._project, config=self._settings, dir=str(self._folder), id=name, resume="allow"
            )


def _import_wandb(project: str) -> Any:
    """Return the module `wandb`."""
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise ConfigError(
            f"the Weights & Biases project {project!r} is named, and wandb is not installed",
            "pip install wandb, or no project",
            "leave out --wandb, and unset WANDB_PROJECT",
        ) from error


def _run_name(folder: Path, *, new: bool) -> str:
    """Return the name of the run, which a training that goes on shares with the one that was killed."""
    path = folder / "wandb-run.txt"
    if new or not path.is_file():
        path.write_text(f"{os.urandom(8).hex()}\n", encoding="ascii")
    return path.read_text(encoding="ascii").strip()
