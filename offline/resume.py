"""Go on with a training that was killed: the state of a run <-> a file that is whole or not there."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from necomimi import __version__

__all__ = ["RunFile", "fingerprint"]

logger = logging.getLogger(__name__)

MAX_SHARE = 0.05  # of the time that writing may take


@dataclass
class RunFile:
    """Where a run is kept, so that it survives the end of its process; a file is there whole or not at all.

    Parameters
    ----------
    path : Path
    key : str
        The `fingerprint` of all that the run is made from: a file of another key is no use.
    """

    path: Path
    key: str
    _written: float = field(default_factory=time.monotonic)
    _cost: float = 0.0

    def load(self) -> dict[str, Any] | None:
        """Return the state that was kept, if it can be gone on with."""
        if not self.path.is_file():
            return None
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            key: str = kept["key"]
            state: dict[str, Any] = kept["state"]
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
            what = " ".join(str(error).split())[:100] or type(error).__name__
            logger.warning("%s cannot be read, so training starts afresh: %s", self.path, what)
            return None
        if key != self.key:
            logger.warning("%s was left by other settings, data or versions: training starts afresh", self.path)
            return None
        logger.info("going on after pass %d, from %s", state["done"], self.path)
        return state

    def due(self, *, last: bool) -> bool:
        """Return whether to write now: after the last pass, and as often as writing stays a small part of the time."""
        return last or self._cost <= MAX_SHARE * (time.monotonic() - self._written)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file."""
        begin = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save({"key": self.key, "state": state}, partial)
        os.replace(partial, self.path)
        self._written = time.monotonic()
        self._cost = self._written - begin


def fingerprint(*facts: object, arrays: Iterable[NDArray[Any]] = ()) -> str:
    """Return the SHA-256 of some facts, by their text, of arrays, by their bytes, and of versions; 64 hex digits."""
    digest = hashlib.sha256(repr((__version__, torch.__version__, facts)).encode())
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        for block in np.array_split(array, max(1, array.nbytes // 2**26)):
            digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()
