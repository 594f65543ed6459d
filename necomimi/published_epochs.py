"""Published THINGS-EEG2 epochs, in whichever layout they come: preprocessed_eeg_*.npy -> PreprocessedSet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import DatasetError
from necomimi.safe_pickle import load, load_dict, names_in

__all__ = ["MODEL_CH_NAMES", "PreprocessedSet", "load_preprocessed"]

_MODEL_ORDER = """
Fp1 Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 F2 F4 F6 F8 FT9 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 FT10 T7 C5 C3 C1 Cz
C2 C4 C6 T8 TP9 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 TP10 P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO3 POz PO4 PO8 O1 Oz O2
"""
MODEL_CH_NAMES: tuple[str, ...] = tuple(_MODEL_ORDER.split())
N_OFFICIAL_CHANNELS = 17  # the published 100 Hz epochs hold the last 17 of the model order


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessedSet:
    """Published epochs of one subject.

    Parameters
    ----------
    data : ndarray, shape (n_conditions, n_repetitions, n_channels, n_times)
        Whitened signals without a unit; a view of the mapped file.
    ch_names : tuple of str, length n_channels
    times : ndarray of float, shape (n_times,)
        Seconds from the onset.
    layout : str
        Which of the published layouts was found, in words.
    """

    data: NDArray[np.floating[Any]]
    ch_names: tuple[str, ...]
    times: NDArray[np.float64]
    layout: str

    @property
    def sfreq(self) -> float:
        """Sampling rate in Hz."""
        return float(np.round((len(self.times) - 1) / (self.times[-1] - self.times[0]), 6))


def _numbers(path: Path, key: str, value: Any) -> NDArray[np.float64]:
    """Return a sequence of numbers as a flat array."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        return value.astype(np.float64).ravel()
    if isinstance(value, list | tuple) and all(isinstance(item, int | float | np.number) for item in value):
        return np.array(value, dtype=np.float64)
    raise DatasetError(f"{path}: {key} is a {type(value).__name__}", "a list of numbers")


def load_preprocessed(path: Path) -> PreprocessedSet:
    """Open published epochs, in whichever of the layouts in use.

    Known: `np.save` of a dict, a bare pickle, a plain array; (conditions, repetitions, channels, times) or
    (concepts, pictures, repetitions, channels, times); 63 channels x 250 samples at 250 Hz or 17 x 100 at 100 Hz;
    `times` may begin before the first sample (the last entries count) or be missing.

    Raises
    ------
    DatasetError
        The file is missing, damaged, holds other things, or its parts disagree.
    """
    value, form = load(path)
    if not isinstance(value, np.ndarray):
        value = load_dict(path, ("preprocessed_eeg_data",))
    values: dict[str, Any] = value if isinstance(value, dict) else {}
    data = values["preprocessed_eeg_data"] if values else value
    if not isinstance(data, np.ndarray) or data.dtype.kind != "f" or data.ndim not in (4, 5) or 0 in data.shape:
        found = f"an array of shape {data.shape}, {data.dtype}" if isinstance(data, np.ndarray) else "no array"
        raise DatasetError(
            f"{path} is {form} and holds {found}",
            "floats (conditions, repetitions, channels, times) or (concepts, pictures, repetitions, channels, times)",
        )
    shape = " x ".join(map(str, data.shape))
    axes = ("concepts x pictures" if data.ndim == 5 else "conditions") + " x repetitions x channels x times"
    data = data.reshape(-1, *data.shape[-3:])
    n_channels, n_times = data.shape[2:]
    if "ch_names" in values:
        names = tuple(name for name in names_in(path, "ch_names", values["ch_names"]) if name.lower() != "stim")
    else:
        names = MODEL_CH_NAMES if n_channels != N_OFFICIAL_CHANNELS else MODEL_CH_NAMES[-N_OFFICIAL_CHANNELS:]
    if len(names) != n_channels:
        raise DatasetError(f"{path}: {len(names)} channel names for {n_channels} channels", "as many of each")
    if "times" in values:
        times = _numbers(path, "times", values["times"])
        if len(times) < n_times or n_times < 2 or not np.all(np.diff(times) > 0):
            raise DatasetError(f"{path}: {len(times)} times for {n_times} samples", f"at least {n_times}, ascending")
        extra = f", the last {n_times} of {len(times)} times" if len(times) > n_times else ""
        times = times[-n_times:]
    elif n_times in (100, 250):
        times = np.arange(n_times) / n_times - (0.2 if n_times == 100 else 0.0)
        extra = ", times assumed"
    else:
        raise DatasetError(f"{path}: {n_times} samples without `times`", "250 at 250 Hz, or 100 at 100 Hz")
    layout = f"{form}, {axes} ({shape}){extra}"
    return PreprocessedSet(data=data, ch_names=names, times=times, layout=layout)
