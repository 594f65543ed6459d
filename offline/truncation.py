"""Cut epochs short, as an unfinished epoch is decoded: epochs, samples that have arrived -> epochs, zero after them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from necomimi.preprocessing import Preprocessor

__all__ = ["cut_short", "earliest_sample", "ends", "random_lengths", "truncate"]

EARLIEST_S = 0.1  # after the onset: before it, no picture has reached the visual cortex
STEP_S = 0.1


def earliest_sample(preprocessor: Preprocessor) -> int:
    """Return the fewest samples of an epoch that a random truncation leaves: those of the first 0.1 s."""
    return int(np.clip(preprocessor.n_times_until(max(preprocessor.start, 0.0) + EARLIEST_S), 1, preprocessor.n_times))


def ends(preprocessor: Preprocessor) -> dict[float, int]:
    """Return times within the window, every 0.1 s from the earliest, and how many samples have arrived by then."""
    first, duration = max(preprocessor.start, 0.0) + EARLIEST_S, preprocessor.n_times / preprocessor.sfreq
    times = [round(first + i * STEP_S, 6) for i in range(int(duration / STEP_S) + 1)]
    lengths = {time: preprocessor.n_times_until(time) for time in times}
    return {time: length for time, length in lengths.items() if 0 < length < preprocessor.n_times}


def truncate(data: NDArray[Any], n_times: int) -> NDArray[np.float32]:
    """Return a copy of epochs that is zero from sample `n_times` on.

    Parameters
    ----------
    data : ndarray, shape (n_epochs, n_channels, n_times)
    n_times : int
        Samples that have arrived.
    """
    cut = np.array(data, dtype=np.float32)
    cut[..., n_times:] = 0.0
    return cut


def random_lengths(
    n: int, n_times: int, share: float, earliest: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Draw after how many samples epochs are cut.

    Parameters
    ----------
    n, n_times : int
        Epochs, and samples of each.
    share : float
        Probability that an epoch is cut; the others keep `n_times`.
    earliest : int
        Fewest samples left of a cut epoch; up to all of them, each number is as likely.
    generator : torch.Generator
        On `device`.
    device : torch.device

    Returns
    -------
    Tensor of int, shape (n,)
    """
    lengths = torch.randint(earliest, n_times + 1, (n,), generator=generator, device=device)
    return lengths.masked_fill_(torch.rand(n, generator=generator, device=device) >= share, n_times)


def cut_short(data: Tensor, lengths: Tensor) -> None:
    """Set epochs to zero, in place, each after its own number of samples.

    Parameters
    ----------
    data : Tensor, shape (B, C, T)
    lengths : Tensor of int, shape (B,)
    """
    arrived = torch.arange(data.shape[2], device=data.device) < lengths[:, None]  # (B, T)
    data.mul_(arrived[:, None].to(data.dtype))
