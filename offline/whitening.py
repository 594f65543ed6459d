"""Whiten epochs by their noise and write them, session by session, so that a killed run goes on: parts -> directory."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, TaskID

from necomimi.console import console, progress
from necomimi.epochs import EpochsWriter, Trial
from necomimi.errors import ConfigError, DatasetError
from necomimi.montage import repair_matrix
from necomimi.preprocessing import Preprocessor, ledoit_wolf, whitening_matrix

from .cutting import MICROVOLTS, Part

__all__ = ["WHITEN", "Whiten", "noise_whitening", "write_epochs"]

logger = logging.getLogger(__name__)

Whiten = Literal["pooled", "session", "transductive", "none"]
WHITEN: tuple[Whiten, ...] = ("pooled", "session", "transductive", "none")
ROWS = 64  # epochs whitened at once: 64 x 63 channels x 250 samples are 4 MB
T = TypeVar("T")
R = TypeVar("R")


def write_epochs(
    out: Path,
    parts: Sequence[Part],
    trials: Mapping[str, Sequence[Trial]],
    preprocessor: Preprocessor,
    *,
    whiten: Whiten,
    source: str,
    subject: str = "",
    scale: float = MICROVOLTS,
    bads: Sequence[str] = (),
    key: Mapping[str, Any] | None = None,
) -> Preprocessor:
    """Make an epochs directory.

    The noise covariance of a session is the mean over its training epochs of each one's Ledoit-Wolf covariance
    (Guggenmos, Sterzer, Cichy 2018, multivariate noise normalisation).

    Parameters
    ----------
    out : Path
    parts : sequence of Part
        At least one of split "train".
    trials : dict of str to sequence of Trial
        The table of each split.
    preprocessor : Preprocessor
        What was done along time.
    whiten : {"pooled", "session", "transductive", "none"}
        One covariance for all sessions (what a live decoder has); one for each session; one for each session, of
        training and test epochs alike, as Gifford et al. (2022) have it; or one scale for all channels.
    source : str
        What the epochs were made from, in words.
    subject : str
        For example "sub-01".
    scale : float
        What the signals were multiplied by before they came here.
    bads : sequence of str
        Channels to interpolate from the others. That is part of the spatial matrix, so a live decoder does it too.
    key : dict, optional
        Everything that decides what is written, as JSON can hold it: what a killed run with the same key has
        done is kept.

    Returns
    -------
    Preprocessor
        With its spatial matrix: what a live decoder will apply.
    """
    repair = repair_matrix(preprocessor.ch_names, bads)
    parts = [part if not bads else _repaired(part, repair) for part in parts if len(part.rows)]
    splits = {split: rows for split, rows in trials.items() if rows}
    transductive = whiten == "transductive"
    if transductive:
        if "test" not in splits:
            raise ConfigError("--whiten transductive without test epochs", "a test set", "--whiten session")
        logger.warning(
            "transductive: the test epochs take part in the whitening that they are judged with, as they cannot in a "
            "live decoder; figures from this directory are no inductive ones"
        )
    shape = (len(preprocessor.ch_names), preprocessor.n_times)
    with EpochsWriter(out, None if key is None else dict(key)) as writer, progress() as bar, _one_blas_thread() as n:
        stores = {split: _Store.of(writer.create(split, rows, *shape)) for split, rows in splits.items()}
        writer.keep()
        notes = _Notes(writer.notes)
        task = bar.add_task("preprocess", total=2 * sum(len(part.rows) for part in parts))
        run = _Run(parts, stores, notes, bar, task, n, need_test=transductive)
        covariances = run.cut()
        matrix, by_session = noise_whitening(covariances, whiten)
        run.whiten([by_session.get(part.session, matrix) for part in parts])
        fitted = replace(preprocessor, spatial=(scale * matrix @ repair).astype(np.float32))
        writer.finish(fitted, source, subject=subject, transductive=transductive, whiten=whiten, bads=list(bads))
    counts = ", ".join(f"{len(rows)} {split}" for split, rows in splits.items())
    console.print(f"{out}: {counts} epochs of {shape[0]} channels x {shape[1]} samples at {fitted.sfreq:g} Hz")
    return fitted


def _repaired(part: Part, repair: NDArray[np.float64]) -> Part:
    """Return a part whose bad channels are interpolated when it is cut."""
    matrix = repair.astype(np.float32)
    return replace(part, cut=lambda block: matrix @ part.cut(block))


def noise_whitening(
    covariances: Mapping[tuple[str, int], NDArray[np.float64]], whiten: Whiten
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Return the whitening of all sessions together, and of each session where they differ."""
    sessions: dict[int, list[NDArray[np.float64]]] = {}
    for (_, session), covariance in covariances.items():
        sessions.setdefault(session, []).append(covariance)
    means = {session: np.mean(found, axis=0) for session, found in sessions.items()}
    pooled = np.mean(list(means.values()), axis=0)
    if whiten == "none":
        pooled = np.eye(len(pooled)) * np.trace(pooled) / len(pooled)
    if whiten in ("pooled", "none"):
        means = {}
    return whitening_matrix(pooled), {session: whitening_matrix(mean) for session, mean in means.items()}


@contextmanager
def _one_blas_thread() -> Iterator[int]:
    """Let matrix products use one thread each; yield how many threads may run beside each other instead."""
    from threadpoolctl import threadpool_info, threadpool_limits

    counts = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    with threadpool_limits(limits=1, user_api="blas"):
        yield max(counts, default=os.cpu_count() or 1)


def _each(function: Callable[[T], R], items: Iterable[T], n_threads: int) -> Iterator[R]:
    """Yield the results in order; after an error or an interruption start no further item."""
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Store:
    """An array file that is read and written by rows: quicker than through a map, whose pages are made one by one."""

    path: Path
    offset: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, array: NDArray[np.float32]) -> _Store:
        assert isinstance(array, np.memmap)
        assert array.filename is not None
        return cls(Path(array.filename), int(array.offset), (array.shape[1], array.shape[2]))

    def runs(self, rows: NDArray[np.int64]) -> Iterator[tuple[slice, int]]:
        """Yield (which of the rows, byte in the file) for each run of rows that lie one after the other."""
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for begin, end in zip((0, *breaks), (*breaks, len(rows)), strict=True):
            yield slice(int(begin), int(end)), self.offset + int(rows[begin]) * 4 * self.shape[0] * self.shape[1]

    def write(self, rows: NDArray[np.int64], epochs: NDArray[np.float32]) -> None:
        with self.path.open("r+b", buffering=0) as file:
            for part, start in self.runs(rows):
                file.seek(start)
                _whole(file.write, np.ascontiguousarray(epochs[part]))

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        epochs = np.empty((len(rows), *self.shape), dtype=np.float32)
        with self.path.open("rb", buffering=0) as file:
            for part, start in self.runs(rows):
                file.seek(start)
                _whole(file.readinto, epochs[part])
        return epochs


def _whole(move: Callable[[memoryview], int | None], array: NDArray[np.float32]) -> None:
    """Read or write all bytes of an array: the system may move fewer at a time."""
    rest = memoryview(array.data).cast("B")
    while rest:
        moved = move(rest)
        if not moved:
            raise OSError("the epochs file ended before its last row")
        rest = rest[moved:]


class _Notes:
    """What is done, on disk: the covariance of each part that was cut, and which parts are being or have been whitened.

    A part that was being whitened when the run was killed is cut again: whitening happens in place.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "state.json"
        self.stage: dict[str, str] = {}
        if self._state.is_file():
            self.stage = json.loads(self._state.read_text(encoding="utf-8"))
            logger.info("going on with what an interrupted run has done")

    def set(self, name: str, stage: str) -> None:
        self.stage[name] = stage
        self._replace(self._state, json.dumps(self.stage).encode())

    def save(self, name: str, covariance: NDArray[np.float64]) -> None:
        self._replace(self._folder / f"{name}.covariance", np.ascontiguousarray(covariance).tobytes())

    def load(self, name: str) -> NDArray[np.float64]:
        flat = np.frombuffer((self._folder / f"{name}.covariance").read_bytes())
        return flat.reshape(round(len(flat) ** 0.5), -1)

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        temporary = path.with_suffix(".new")
        temporary.write_bytes(content)
        temporary.replace(path)


@dataclass(frozen=True)
class _Run:
    """The two passes over all parts."""

    parts: Sequence[Part]
    stores: Mapping[str, _Store]
    notes: _Notes
    bar: Progress
    task: TaskID
    n_threads: int
    need_test: bool

    def cut(self) -> dict[tuple[str, int], NDArray[np.float64]]:
        """Write the epochs of every part that is not cut yet; return the noise covariances."""
        covariances = {}
        for part in self.parts:
            name = f"{part.split}-{part.session}"
            if name in self.notes.stage:
                self.bar.advance(self.task, len(part.rows))
            else:
                self.notes.save(name, self._cut_part(part))
                self.notes.set(name, "cut")
            if self.need_test or part.split == "train":
                covariances[part.split, part.session] = self.notes.load(name)
        return covariances

    def _cut_part(self, part: Part) -> NDArray[np.float64]:
        """Write the epochs of one part; return their mean covariance, zero where it is not needed."""
        store = self.stores[part.split]
        n_channels = store.shape[0]
        wanted = self.need_test or part.split == "train"

        def work(block: NDArray[np.int64]) -> tuple[int, NDArray[np.float64] | None]:
            with np.errstate(invalid="ignore", over="ignore"):
                epochs = part.cut(block)
                finite = bool(np.isfinite(epochs.sum()))
            if not finite:
                raise DatasetError(
                    f"session {part.session} holds samples that are not finite", "finite voltages", "mend the recording"
                )
            store.write(part.rows[block], epochs)
            return len(block), ledoit_wolf(epochs).sum(axis=0) if wanted else None

        total = np.zeros((n_channels, n_channels))
        for n, covariance in _each(work, part.blocks, self.n_threads):
            if covariance is not None:
                total += covariance
            self.bar.advance(self.task, n)
        return total / len(part.rows)

    def whiten(self, matrices: Sequence[NDArray[np.float64]]) -> None:
        """Whiten every part in place."""
        for part, matrix in zip(self.parts, matrices, strict=True):
            name = f"{part.split}-{part.session}"
            stage = self.notes.stage[name]
            if stage == "whitened":
                self.bar.advance(self.task, len(part.rows))
                continue
            if stage == "whitening":
                self.bar.advance(self.task, -len(part.rows))
                self._cut_part(part)
            self.notes.set(name, "whitening")
            store, spatial = self.stores[part.split], matrix.astype(np.float32)

            def work(rows: NDArray[np.int64], store: _Store = store, spatial: NDArray[np.float32] = spatial) -> int:
                store.write(rows, spatial @ store.read(rows))
                return len(rows)

            blocks = np.array_split(np.sort(part.rows), max(1, -(-len(part.rows) // ROWS)))
            for n in _each(work, blocks, self.n_threads):
                self.bar.advance(self.task, n)
            self.notes.set(name, "whitened")
