"""Epochs of one or more people as one numbered set: row numbers -> (n, n_channels, n_times) on a device, and whose."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Stack"]

MAX_SHARE = 0.6  # of the free memory of a device that epochs may fill


class Stack:
    """Epochs of several people, numbered one person after the other.

    Parameters
    ----------
    parts : sequence of ndarray of float32, each of shape (n_epochs, n_channels, n_times)
        Preprocessed; one per person; may be mapped from disk.
    device : torch.device
        Where epochs are wanted.
    dtype : torch.dtype, optional
        Bring all of them to the device in this type, if they fit there; else they stay where they are until they are
        taken. Absent: they stay.
    """

    def __init__(
        self, parts: Sequence[NDArray[np.float32]], device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable")  # nothing writes to them
            self.parts = [torch.from_numpy(np.asarray(part)) for part in parts]
        self.device = device
        self.dtype = dtype or torch.float32
        self.shape: tuple[int, int] = (self.parts[0].shape[1], self.parts[0].shape[2])
        self.starts = torch.tensor(np.cumsum([0] + [len(part) for part in parts]))
        size = sum(part.numel() for part in self.parts) * self.dtype.itemsize
        if dtype is not None and size < MAX_SHARE * _free_bytes(device):
            self.parts = [part.to(device, dtype) for part in self.parts]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, rows: Tensor) -> Tensor:
        """Return a copy of some epochs, on the device, shape (n, n_channels, n_times)."""
        if len(self.parts) == 1:
            return self._part(0, rows)
        people = self._people(rows)
        taken = torch.empty((len(rows), *self.shape), dtype=self.dtype, device=self.device)
        for person in people.unique().tolist():
            own = (people == person).nonzero().squeeze(1)
            taken[own.to(self.device)] = self._part(person, rows[own] - self.starts[person])
        return taken

    def people(self, rows: Tensor) -> Tensor | None:
        """Return whose some epochs are, on the device, shape (n,), from 0; None where there is one person."""
        return self._people(rows).to(self.device) if len(self.parts) > 1 else None

    def _people(self, rows: Tensor) -> Tensor:
        return torch.bucketize(rows, self.starts[1:], right=True)

    def _part(self, person: int, rows: Tensor) -> Tensor:
        """Return a copy of some epochs of one person."""
        part = self.parts[person]
        return part.index_select(0, rows.to(part.device)).to(self.device, self.dtype)


def _free_bytes(device: torch.device) -> int:
    """Return how much memory a device has left."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
