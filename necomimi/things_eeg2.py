"""The THINGS-EEG2 data set on disk: raw recordings, published epochs, picture lists -> arrays and events.

Gifford, Dwivedi, Roig, Cichy (2022), "A large and rich EEG dataset for modeling human visual object recognition".
63 channels and a stimulus channel at 1000 Hz; rapid serial presentation, 200 ms from onset to onset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from necomimi.dict_writer import DictWriter
from necomimi.errors import DatasetError
from necomimi.picture_list import (
    ImageMetadata,
    Split,
    concept_label,
    load_metadata,
    metadata_path,
    save_metadata,
)
from necomimi.published_epochs import MODEL_CH_NAMES, PreprocessedSet, load_preprocessed
from necomimi.safe_pickle import load_dict, names_in, release_pages

__all__ = [
    "CATCH_CODE",
    "MODEL_CH_NAMES",
    "RAW_CH_NAMES",
    "VISUAL_CORTEX",
    "ImageMetadata",
    "PreprocessedSet",
    "RawRecording",
    "RawWriter",
    "Split",
    "concept_label",
    "is_raw_root",
    "load_metadata",
    "load_preprocessed",
    "load_raw",
    "metadata_path",
    "preprocessed_path",
    "raw_events",
    "raw_path",
    "save_metadata",
    "sessions",
    "subjects",
]

FILTER = {"highpass": 0.01, "lowpass": 100.0}  # Hz, of the amplifier, as the headers state it
CATCH_CODE = 99999  # a target that the subject had to report: never a stimulus
MAX_CODES: dict[Split, int] = {"training": 16540, "test": 200}
_RAW_ORDER = """
Fp1 F3 F7 FT9 FC5 FC1 C3 T7 TP9 CP5 CP1 Pz P3 P7 O1 Oz O2 P4 P8 TP10 CP6 CP2 Cz C4 T8 FT10 FC6 FC2 F4 F8 Fp2 AF7
AF3 AFz F1 F5 FT7 FC3 FCz C1 C5 TP7 CP3 P1 P5 PO7 PO3 POz PO4 PO8 P6 P2 CPz CP4 TP8 C6 C2 FC4 FT8 F6 F2 AF4 AF8
stim
"""
RAW_CH_NAMES: tuple[str, ...] = tuple(_RAW_ORDER.split())
VISUAL_CORTEX: tuple[str, ...] = tuple(MODEL_CH_NAMES[i] for i in (50, 56, 57, 58, 60, 61, 62))


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecording:
    """One session's file: signals and stimulus channel.

    Parameters
    ----------
    data : ndarray, shape (n_channels + 1, n_times)
        Volts, and codes in the stimulus channel; a view of the mapped file.
    ch_names, ch_types : tuple of str, length n_channels + 1
        In the file's order; the stimulus channel's type is "stim".
    sfreq : float
        Hz.
    path : Path
    """

    data: NDArray[np.floating[Any]]
    ch_names: tuple[str, ...]
    ch_types: tuple[str, ...]
    sfreq: float
    path: Path

    @property
    def n_times(self) -> int:
        """Samples in the recording."""
        return int(self.data.shape[1])

    @property
    def eeg_names(self) -> tuple[str, ...]:
        """Channel names without the stimulus channel."""
        return tuple(name for name, kind in zip(self.ch_names, self.ch_types, strict=True) if kind != "stim")

    def read(self, start: int, stop: int, ch_names: Sequence[str] | None = None) -> NDArray[np.floating[Any]]:
        """Copy some samples into memory, and no more than that.

        Parameters
        ----------
        start, stop : int
            First sample, and the one after the last.
        ch_names : sequence of str, optional
            Channels wanted, in this order; all but the stimulus channel by default.

        Returns
        -------
        ndarray, shape (n_channels, stop - start)
            Volts, in the file's precision.
        """
        rows = [self.ch_names.index(name) for name in (self.eeg_names if ch_names is None else ch_names)]
        block = np.stack([self.data[row, start:stop] for row in rows])
        release_pages(self.data)
        return block

    def stim(self) -> NDArray[np.floating[Any]]:
        """Copy the stimulus channel into memory, shape (n_times,)."""
        stim = np.array(self.data[self.ch_types.index("stim")])
        release_pages(self.data)
        return stim


class RawWriter(DictWriter):
    """Write a raw session file in the published form, streamed.

    ``np.load(path, allow_pickle=True).item()`` reads it, as does `load_raw`. Use it as a context manager and call
    ``write(block, start)`` with blocks of shape (len(ch_names), n) in volts (codes in the row "stim"), in any order.

    Parameters
    ----------
    path : Path
        The file to write; it appears when the with block ends without an error.
    n_samples : int
        Samples a channel.
    ch_names : sequence of str
        All rows; the stimulus channel is last in published files.
    sfreq : float
        Hz.
    ch_types : sequence of str
        Of all rows; that of the stimulus channel is "stim".
    dtype : dtype
        float32 (codes up to 99999 are exact) or float64 (as published).
    """

    def __init__(
        self,
        path: Path,
        n_samples: int,
        ch_names: list[str] | tuple[str, ...],
        sfreq: float,
        ch_types: list[str] | tuple[str, ...],
        dtype: DTypeLike = np.float32,
    ) -> None:
        values = {"ch_names": list(ch_names), "ch_types": list(ch_types)}
        numbers = {"sfreq": float(sfreq), **FILTER}
        super().__init__(path, {**values, **numbers}, "raw_eeg_data", (len(ch_names), n_samples), dtype)


def load_raw(path: Path) -> RawRecording:
    """Open a raw session file; nothing in it is executed and its signals stay on disk until they are read.

    Parameters
    ----------
    path : Path
        ``raw_eeg_training.npy`` or ``raw_eeg_test.npy``.

    Raises
    ------
    DatasetError
        The file is missing, damaged, holds other things, or its parts disagree.
    """
    values = load_dict(path, ("raw_eeg_data", "ch_names", "sfreq"))
    data = values["raw_eeg_data"]
    names = names_in(path, "ch_names", values["ch_names"])
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.dtype.kind != "f" or len(data) != len(names):
        found = f"shape {data.shape}, {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__
        raise DatasetError(f"{path}: raw_eeg_data is {found} for {len(names)} names", "floats, channels x samples")
    kinds = names_in(path, "ch_types", values.get("ch_types", ["eeg"] * len(names)))
    kinds = tuple("stim" if name.lower() in ("stim", "sti") else kind for name, kind in zip(names, kinds, strict=False))
    sfreq = values["sfreq"]
    if not isinstance(sfreq, int | float | np.number) or not 0 < float(sfreq) < 1e6:
        found = f"{float(sfreq):g}" if isinstance(sfreq, int | float | np.number) else f"a {type(sfreq).__name__}"
        raise DatasetError(f"{path}: sfreq is {found}", "a rate in Hz")
    if len(kinds) != len(names) or kinds.count("stim") != 1 or len(names) < 2:
        raise DatasetError(
            f"{path}: {kinds.count('stim')} stimulus channels among {', '.join(names)[:100]}", "signals and one stim"
        )
    return RawRecording(data=data, ch_names=names, ch_types=kinds, sfreq=float(sfreq), path=path)


def raw_events(stim: NDArray[Any], split: Split) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Find the stimuli in a stimulus channel.

    Parameters
    ----------
    stim : ndarray, shape (n_times,)
        Zero, or the code of the stimulus that begins at this sample.
    split : {"training", "test"}
        Which pictures the codes number.

    Returns
    -------
    samples : ndarray of int, shape (n_events,)
        First sample of each stimulus.
    codes : ndarray of int, shape (n_events,)
        Number of the picture, from 1: item ``code - 1`` of the metadata.
    n_catch : int
        Catch trials (99999), which are left out.

    Raises
    ------
    DatasetError
        A code is no picture of this split.
    """
    (samples,) = np.nonzero((stim != 0) & (np.diff(stim, prepend=0) != 0))
    values = np.asarray(stim, dtype=np.float64)[samples]
    catch = values == CATCH_CODE
    highest = MAX_CODES[split]
    foreign = ~catch & ~((values >= 1) & (values <= highest) & (values == np.round(values)))
    if np.any(foreign):
        i = int(np.flatnonzero(foreign)[0])
        raise DatasetError(
            f"{np.count_nonzero(foreign)} codes of the stimulus channel are no pictures: first {values[i]:g} at sample "
            f"{samples[i]}",
            f"1 to {highest} ({split}), or {CATCH_CODE} (catch trial)",
        )
    return samples[~catch].astype(np.int64), values[~catch].astype(np.int64), int(np.count_nonzero(catch))


def _numbers(folder: Path, prefix: str) -> tuple[int, ...]:
    """Return the numbers of the folders called prefix-01, prefix-02, ..."""
    names = (path.name.removeprefix(f"{prefix}-") for path in folder.glob(f"{prefix}-*") if path.is_dir())
    return tuple(sorted(int(name) for name in names if name.isdigit()))


def subjects(root: Path) -> tuple[int, ...]:
    """Return the numbers of the subjects in a data set: of its folders sub-01, sub-02, ..."""
    return _numbers(root, "sub")


def sessions(root: Path, subject: int) -> tuple[int, ...]:
    """Return the numbers of a subject's sessions: of the folders ses-01, ses-02, ...

    Raises
    ------
    DatasetError
        There is no such subject, or it has no sessions.
    """
    if subject not in subjects(root):
        found = ", ".join(map(str, subjects(root))) or "no subjects"
        raise DatasetError(f"{root} has no subject {subject}", found, "choose one of them with --subject")
    if found_sessions := _numbers(root / f"sub-{subject:02d}", "ses"):
        return found_sessions
    raise DatasetError(f"{root / f'sub-{subject:02d}'} has no sessions", "folders ses-01, ses-02, ...")


def raw_path(root: Path, subject: int, session: int, split: str) -> Path:
    """Return where the raw file of a session and split ("training" or "test") lies."""
    return root / f"sub-{subject:02d}" / f"ses-{session:02d}" / f"raw_eeg_{split}.npy"


def preprocessed_path(root: Path, subject: int, split: str) -> Path:
    """Return where the published epochs of a split ("training" or "test") lie."""
    return root / f"sub-{subject:02d}" / f"preprocessed_eeg_{split}.npy"


def is_raw_root(root: Path) -> bool:
    """Return whether a folder holds raw recordings in the layout of the data set."""
    return any(root.glob("sub-*/ses-*/raw_eeg_*.npy"))
