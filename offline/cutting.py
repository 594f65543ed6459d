"""Cut epochs out of a continuous signal: signal and events -> epochs through every step along time, in microvolts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError
from necomimi.preprocessing import Preprocessor

__all__ = ["BLOCK", "DEFAULT_WINDOW", "MICROVOLTS", "Part", "Window", "inside", "signal_part"]

BLOCK = 32  # epochs cut at once: 32 x 63 channels x 1201 samples are 10 MB
MICROVOLTS = 1e6  # squares of volts would lose digits in float32


@dataclass(frozen=True, kw_only=True)
class Window:
    """What is cut around an event and what of it the model sees.

    Parameters
    ----------
    tmin, tmax : float
        First and last sample, in seconds from the onset; the model sees `start` to `tmax` (exclusive).
    start : float
        First sample of the model's input, in seconds from the onset.
    sfreq : float
        The model's rate in Hz.
    baseline : bool
        Subtract each channel's mean from `tmin` to the onset.
    """

    tmin: float = -0.2
    tmax: float = 1.0
    start: float = 0.0
    sfreq: float = 250.0
    baseline: bool = True

    def preprocessor(self, ch_names: Sequence[str]) -> Preprocessor:
        """Return a preprocessor for these channels that does not whiten yet."""
        if not self.tmin <= self.start < self.tmax:
            raise ConfigError(f"tmin {self.tmin:g}, start {self.start:g}, tmax {self.tmax:g} s", "tmin <= start < tmax")
        if self.baseline and self.tmin >= 0:
            raise ConfigError(
                f"a baseline needs signal before the onset, and tmin is {self.tmin:g} s",
                "tmin below 0",
                "--tmin -0.2, or --no-baseline",
            )
        return Preprocessor(
            ch_names=tuple(ch_names),
            sfreq=self.sfreq,
            tmin=self.tmin,
            tmax=self.tmax,
            baseline=(self.tmin, 0.0) if self.baseline else None,
            start=self.start,
            n_times=round((self.tmax - self.start) * self.sfreq),
            spatial=np.eye(len(ch_names), dtype=np.float32),
        )


DEFAULT_WINDOW = Window()


@dataclass(frozen=True, kw_only=True)
class Part:
    """The epochs of one split and session: how to have them, and which rows of the split's array they fill.

    Parameters
    ----------
    split : str
        "train" or "test".
    session : int
    rows : ndarray of int, shape (n_epochs,)
    blocks : tuple of ndarray of int
        Which epochs are read together, in the order in which reading them is quick.
    cut : callable
        From one of `blocks` to the epochs, a new array of float32, shape (n, n_channels, n_times); safe in threads.
    """

    split: str
    session: int
    rows: NDArray[np.int64]
    blocks: tuple[NDArray[np.int64], ...]
    cut: Callable[[NDArray[np.int64]], NDArray[np.float32]]


def inside(samples: NDArray[np.int64], sfreq: float, n_times: int, preprocessor: Preprocessor) -> NDArray[np.bool_]:
    """Return which events have their whole epoch inside the signal.

    Parameters
    ----------
    samples : ndarray of int, shape (n_events,)
        Sample of each onset.
    sfreq : float
        The signal's rate in Hz.
    n_times : int
        Samples of the signal.
    preprocessor : Preprocessor
    """
    tmin, n_in = preprocessor.window(sfreq)
    first = samples + round(tmin * sfreq)
    return (first >= 0) & (first + n_in <= n_times)


def signal_part(
    split: str,
    session: int,
    rows: NDArray[np.int64],
    samples: NDArray[np.int64],
    sfreq: float,
    preprocessor: Preprocessor,
    read: Callable[[int, int], NDArray[Any]],
) -> Part:
    """Return the epochs of a continuous signal.

    Parameters
    ----------
    split, session, rows
        As in `Part`.
    samples : ndarray of int, shape (n_epochs,)
        Sample of each onset.
    sfreq : float
        The signal's rate in Hz.
    preprocessor : Preprocessor
        Its steps along time are done; its spatial matrix is not used.
    read : callable
        (start, stop) -> (n_channels, stop - start) volts, channels in model order.
    """
    tmin, n_in = preprocessor.window(sfreq)
    _, temporal = preprocessor.operators(sfreq)
    assert temporal is not None
    first = samples + round(tmin * sfreq)
    order = np.argsort(first, kind="stable")
    centre = preprocessor.baseline is not None
    return Part(
        split=split,
        session=session,
        rows=rows,
        blocks=tuple(np.array_split(order, max(1, -(-len(order) // BLOCK)))),
        cut=partial(_cut, first=first, n_in=n_in, temporal=temporal, centre=centre, read=read),
    )


def _cut(
    block: NDArray[np.int64],
    *,
    first: NDArray[np.int64],
    n_in: int,
    temporal: NDArray[np.float32],
    centre: bool,
    read: Callable[[int, int], NDArray[Any]],
) -> NDArray[np.float32]:
    """Return some epochs in microvolts, reading each stretch of signal once."""
    starts = first[block]
    n_read = int(starts[-1]) + n_in - int(starts[0])
    if n_read > 4 * len(block) * n_in:  # far apart: reading between them costs more than reading twice
        signals = [_microvolts(read(int(start), int(start) + n_in), centre) for start in starts]
        epochs = np.stack(signals)
    else:
        signal = _microvolts(read(int(starts[0]), int(starts[0]) + n_read), centre)
        epochs = np.empty((len(block), len(signal), n_in), dtype=np.float32)
        for epoch, start in zip(epochs, starts - starts[0], strict=True):
            epoch[:] = signal[:, start : start + n_in]
    # One product of two matrices is several times faster than one for each epoch.
    flat = epochs.reshape(-1, n_in) @ temporal
    return flat.reshape(*epochs.shape[:2], -1)


def _microvolts(signal: NDArray[Any], centre: bool) -> NDArray[np.float32]:
    """Return volts as microvolts in float32, less each channel's first sample where a baseline is subtracted anyway.

    An electrode's offset would eat the digits of the signal.
    """
    if centre:
        signal = signal - signal[:, :1]
    scaled: NDArray[np.float32] = np.multiply(signal, MICROVOLTS, dtype=np.float32, casting="same_kind")
    return scaled
