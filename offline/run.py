"""A training between two passes: weights, optimiser, random numbers, best so far <-> a state that can be kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .contrast import random_state, set_random_state
from .distributed import Processes
from .disturbance import Disturber

__all__ = ["Run", "Weights"]

KEPT = ("done", "history", "best", "epoch", "merit", "start")
Weights = dict[str, dict[str, Tensor]]  # state dicts by module: "encoder" and, where there is one, "adapter"


@dataclass(kw_only=True)
class Run:
    """A training between two passes.

    Parameters
    ----------
    modules : ModuleDict
        "encoder" and, where there is one, "adapter".
    optimizer, schedule
        Of torch.
    order : torch.Generator
        Of the order of the epochs.
    disturber : Disturber
    done : int
        Passes.
    history : list of dict
        Loss and validation of each of them.
    best : dict
        The chosen weights so far.
    epoch : int
        Their pass, from 1; 0 for those it started from.
    merit : float
        The highest figure by which passes are compared.
    start : dict
        Validation before the first pass, where that started from somebody's weights.
    """

    modules: nn.ModuleDict
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    order: torch.Generator
    disturber: Disturber
    done: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Weights = field(default_factory=dict)
    epoch: int = 0
    merit: float = -np.inf
    start: dict[str, float] = field(default_factory=dict)

    def weights(self) -> Weights:
        """Return a copy of the present weights."""
        return {
            part: {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
            for part, module in self.modules.items()
        }

    def state(self, processes: Processes, device: torch.device) -> dict[str, Any]:
        """Return all that the next pass depends on; to be called by every process."""
        return {
            "weights": {part: module.state_dict() for part, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [generator.get_state() for generator in self._generators()],
            "random": processes.collect(random_state(device)),
            **{name: getattr(self, name) for name in KEPT},
        }

    def restore(self, state: dict[str, Any], processes: Processes, device: torch.device) -> None:
        """Become what `state` was taken of."""
        for part, module in self.modules.items():
            module.load_state_dict(state["weights"][part])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for generator, drawn in zip(self._generators(), state["generators"], strict=True):
            generator.set_state(drawn)
        set_random_state(state["random"][processes.rank], device)
        for name in KEPT:
            setattr(self, name, state[name])

    def _generators(self) -> list[torch.Generator]:
        return [self.order, self.disturber.generator, self.disturber.places]
