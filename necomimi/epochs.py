"""The epochs directory on disk: preprocessed epochs and what was seen in each <-> arrays mapped from disk."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.checkpoint import check_overwritable, read_config, write_config
from necomimi.errors import DatasetError, NecomimiError
from necomimi.preprocessing import Preprocessor
from necomimi.safe_pickle import release_pages

__all__ = ["EpochSet", "Epochs", "EpochsWriter", "Trial"]

COLUMNS = ("label", "picture", "session", "repetition", "onset")
BLOCK_BYTES = 2**26  # of epochs averaged at once
NOTES = "unfinished"  # the folder of what a writer must remember until it is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One row of an epochs table.

    Parameters
    ----------
    label : str
        The concept, or the annotation's description.
    picture : str
        Path of the picture below its image folder, with forward slashes; "" where there is none.
    session, repetition : int
        From 1.
    onset : float
        Seconds from the start of the recording (of the session).
    """

    label: str
    picture: str = ""
    session: int = 1
    repetition: int = 1
    onset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EpochSet:
    """Epochs of one split, and what was seen in each.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times)
        Preprocessed; mapped from disk.
    labels, pictures : tuple of str, length n_epochs
    sessions, repetitions : ndarray of int, shape (n_epochs,)
    onsets : ndarray of float64, shape (n_epochs,)
        Seconds in the recording.
    """

    data: NDArray[np.float32]
    labels: tuple[str, ...]
    pictures: tuple[str, ...]
    sessions: NDArray[np.int64]
    repetitions: NDArray[np.int64]
    onsets: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The picture where there is one, else the label: what an epoch is an answer to."""
        return tuple(picture or label for picture, label in zip(self.pictures, self.labels, strict=True))

    def averaged(self) -> EpochSet:
        """Return one epoch per picture (or label): the mean over its repetitions, in order of first appearance."""
        row_of: dict[str, int] = {}
        rows = np.array([row_of.setdefault(name, len(row_of)) for name in self.names], dtype=np.int64)
        first, counts = np.unique(rows, return_index=True, return_counts=True)[1:]
        order = np.argsort(rows, kind="stable")
        ranks = np.empty(len(rows), dtype=np.int64)  # how often the picture came before
        ranks[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        data = np.zeros((len(first), *self.data.shape[1:]), dtype=np.float32)
        size = max(1, BLOCK_BYTES // max(1, data[:1].nbytes))
        for begin in range(0, len(rows), size):
            part = slice(begin, begin + size)
            block = np.asarray(self.data[part])
            for rank in np.unique(ranks[part]):  # no picture twice among epochs of one rank
                (chosen,) = np.nonzero(ranks[part] == rank)
                data[rows[part][chosen]] += block[chosen]
            release_pages(self.data)
        data /= counts[:, None, None].astype(np.float32)
        return self.rows(first, data)

    def rows(self, rows: NDArray[np.int64], data: NDArray[np.float32]) -> EpochSet:
        """Return some epochs, with these data in place of theirs."""
        return replace(
            self,
            data=data,
            labels=tuple(self.labels[i] for i in rows),
            pictures=tuple(self.pictures[i] for i in rows),
            sessions=self.sessions[rows],
            repetitions=self.repetitions[rows],
            onsets=self.onsets[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """An epochs directory: training and test epochs, and the preprocessing that made them.

    Parameters
    ----------
    train : EpochSet
    test : EpochSet or None
    preprocessor : Preprocessor
    source : str
        What they were made from, in words.
    path : Path
    subject : str
        Whose they are, for example "sub-01"; "" where that is not known.
    transductive : bool
        Whether the whitening has seen the test epochs.
    whiten : str
        How the noise was whitened, as `necomimi preprocess --whiten` calls it; "" where somebody else did it.
    bads : tuple of str
        Channels that were interpolated from the others.
    """

    train: EpochSet
    test: EpochSet | None
    preprocessor: Preprocessor
    source: str
    path: Path
    subject: str = ""
    transductive: bool = False
    whiten: str = ""
    bads: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path | str) -> Epochs:
        """Map an epochs directory.

        Raises
        ------
        CheckpointError
            It is not an epochs directory, or its preprocessing is damaged.
        DatasetError
            A table and its array disagree.
        """
        path = Path(path)
        config = read_config(path, "epochs")
        preprocessor = Preprocessor.from_config(config.get("preprocessing", {}), path / "preprocessing.safetensors")
        sets = {split: _load_split(path, split, preprocessor) for split in config.get("splits", [])}
        if "train" not in sets:
            raise DatasetError(f"{path} holds no training epochs", "train.npy and train.tsv")
        return cls(
            train=sets["train"],
            test=sets.get("test"),
            preprocessor=preprocessor,
            source=str(config.get("source", "")),
            path=path,
            subject=str(config.get("subject", "")),
            transductive=config.get("transductive") is True,
            whiten=str(config.get("whiten", "")),
            bads=tuple(str(name) for name in config.get("bads", ())),
        )


def _load_split(path: Path, split: str, preprocessor: Preprocessor) -> EpochSet:
    """Map one split's array and read its table."""
    array, table = path / f"{split}.npy", path / f"{split}.tsv"
    try:
        data = np.load(array, mmap_mode="r", allow_pickle=False)
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        columns = {name: [row[name] for row in rows] for name in COLUMNS}
        sessions = np.array(columns["session"], dtype=np.int64)
        repetitions = np.array(columns["repetition"], dtype=np.int64)
        onsets = np.array(columns["onset"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DatasetError(
            f"the {split} epochs in {path} cannot be read: {error!r}",
            f"{array.name} and {table.name} as written by necomimi preprocess",
            "run necomimi preprocess again",
        ) from error
    expected = (len(rows), len(preprocessor.ch_names), preprocessor.n_times)
    if data.shape != expected or data.dtype != np.float32:
        raise DatasetError(
            f"{array} has shape {data.shape} of {data.dtype}", f"{expected} of float32, as its table says"
        )
    return EpochSet(
        data=data,
        labels=tuple(columns["label"]),
        pictures=tuple(columns["picture"]),
        sessions=sessions,
        repetitions=repetitions,
        onsets=onsets,
    )


class EpochsWriter:
    """Write an epochs directory; it appears under its name only when it is whole.

    Use in a with block: `create` an array per split, fill it, then `finish`. Left without `finish`, nothing remains;
    but with a `key`, what an interruption or a kill leaves stays, and the next writer with the same key goes on in it.

    Parameters
    ----------
    path : Path
        The directory to make; an epochs directory there is replaced, anything else is refused.
    key : dict
        Everything that decides what is written, as JSON can hold it.

    Attributes
    ----------
    notes : Path
        A folder, gone when the directory is whole, for what the next writer with the same key should know. Empty
        unless this writer goes on.
    """

    def __init__(self, path: Path, key: dict[str, Any] | None = None) -> None:
        check_overwritable(path, "epochs")
        self.path = path.resolve()  # a link stays, what it leads to is replaced
        self.partial = self.path.with_name(f"{self.path.name}.partial")
        self.notes = self.partial / NOTES
        self._key = None if key is None else json.dumps(key, sort_keys=True)
        self._splits: list[str] = []
        self._goes_on = False

    def __enter__(self) -> EpochsWriter:
        key = self.notes / "key.json"
        self._goes_on = self._key is not None and key.is_file() and key.read_text(encoding="utf-8") == self._key
        if not self._goes_on:
            shutil.rmtree(self.partial, ignore_errors=True)
            self.notes.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What stopped at a mistake of the user's starts afresh once that is put right.
        if self._key is None or kind is None or issubclass(kind, NecomimiError):
            shutil.rmtree(self.partial, ignore_errors=True)

    def create(self, split: str, trials: Sequence[Trial], n_channels: int, n_times: int) -> NDArray[np.float32]:
        """Return the mapped array of one split, shape (n_epochs, n_channels, n_times), to be filled in place."""
        self._splits.append(split)
        path = self.partial / f"{split}.npy"
        if self._goes_on:
            return np.lib.format.open_memmap(path, mode="r+")
        with (self.partial / f"{split}.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([getattr(trial, name) for name in COLUMNS] for trial in trials)
        shape = (len(trials), n_channels, n_times)
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)

    def keep(self) -> None:
        """Let what stands so far survive an interruption: the arrays are made, and the key is known."""
        if self._key is not None and not self._goes_on:
            (self.notes / "key.json").write_text(self._key, encoding="utf-8")

    def finish(
        self, preprocessor: Preprocessor, source: str, *, subject: str = "", transductive: bool = False, **facts: Any
    ) -> None:
        """Write the preprocessing and the config, and give the directory its name.

        Parameters
        ----------
        preprocessor : Preprocessor
        source : str
            What the epochs were made from, in words.
        subject : str
            As in `Epochs`.
        transductive : bool
            As in `Epochs`.
        **facts
            Further fields of the config.
        """
        preprocessor.save_matrix(self.partial / "preprocessing.safetensors")
        fields = {"source": source, "subject": subject, "transductive": transductive, "splits": self._splits}
        write_config(self.partial, "epochs", {**fields, "preprocessing": preprocessor.to_config(), **facts})
        shutil.rmtree(self.notes)
        if self.path.exists():
            shutil.rmtree(self.path)
        self.partial.rename(self.path)
