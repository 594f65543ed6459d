"""Cut, resample and whiten recordings: THINGS-EEG2 raw files, or any other recording -> epochs directory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from rich.progress import Progress, TaskID

from necomimi.console import console, progress
from necomimi.epochs import EpochsWriter, Trial
from necomimi.errors import ConfigError, DatasetError
from necomimi.preprocessing import Preprocessor, apply_operators, ledoit_wolf, whitening_matrix
from necomimi.recordings import open_recording
from necomimi.things_eeg2 import (
    MODEL_CH_NAMES,
    Split,
    concept_label,
    is_raw_root,
    load_metadata,
    load_raw,
    metadata_path,
    raw_events,
    raw_path,
    sessions,
)

__all__ = ["Window", "preprocess_recording", "preprocess_things"]

logger = logging.getLogger(__name__)

REPETITION_SEED = 20200220  # Gifford et al. 2022: which of the surplus repetitions are dropped
BLOCK = 64  # epochs cut at once: 64 x 63 channels x 1201 samples are 19 MB

Whiten = Literal["pooled", "session", "none"]
SPLITS: tuple[tuple[str, Split], ...] = (("train", "training"), ("test", "test"))  # ours, and the data set's


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


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The epochs of one file: where they lie in it, and which rows of the split's array they fill."""

    split: str
    session: int
    read: Callable[[int, int], NDArray[Any]]  # (start, stop) -> (n_channels, n) volts, model order
    sfreq: float
    samples: NDArray[np.int64]
    rows: NDArray[np.int64]


def _cut(part: _Part, preprocessor: Preprocessor) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield (rows, epochs after every step along time) in blocks, reading each stretch of signal once."""
    tmin, n_in = preprocessor.window(part.sfreq)
    _, temporal = preprocessor.operators(part.sfreq)
    first = part.samples + round(tmin * part.sfreq)
    order = np.argsort(first, kind="stable")
    for block in np.array_split(order, max(1, -(-len(order) // BLOCK))):
        begin, end = int(first[block[0]]), int(first[block[-1]]) + n_in
        if end - begin > 4 * BLOCK * n_in:  # far apart: reading between them costs more than reading twice
            data = np.stack([part.read(int(i), int(i) + n_in) for i in first[block]])
        else:
            windows = sliding_window_view(part.read(begin, end), n_in, axis=1)
            data = windows[:, first[block] - begin].transpose(1, 0, 2)
        yield part.rows[block], apply_operators(preprocessor.centred(data), None, temporal)


def _fill(
    parts: Sequence[_Part],
    arrays: dict[str, NDArray[np.float32]],
    preprocessor: Preprocessor,
    whiten: Whiten,
    bar: Progress,
    task: TaskID,
) -> Preprocessor:
    """Write every epoch of every part, whitened; return the preprocessor with its matrix.

    The noise covariance comes from training epochs only: the mean over epochs of each one's Ledoit-Wolf covariance.
    """
    covariances: dict[int, NDArray[np.float64]] = {}
    for part in parts:
        n_channels = len(preprocessor.ch_names)
        total = np.zeros((n_channels, n_channels))
        for rows, epochs in _cut(part, preprocessor):
            if not np.isfinite(epochs).all():
                raise DatasetError(
                    f"session {part.session} holds samples that are not finite", "finite voltages", "mend the recording"
                )
            if part.split == "train":
                total += ledoit_wolf(epochs * 1e6).sum(axis=0)  # in microvolts: squares keep their digits
            arrays[part.split][rows] = epochs
            bar.advance(task, len(rows))
        if part.split == "train":
            covariances[part.session] = total / len(part.samples)
    pooled = np.mean(list(covariances.values()), axis=0)
    if whiten == "none":
        pooled = np.eye(len(pooled)) * np.trace(pooled) / len(pooled)  # one scale for all channels
        covariances = {}
    matrices = {session: whitening_matrix(c) * 1e6 for session, c in covariances.items()}
    matrix = (whitening_matrix(pooled) * 1e6).astype(np.float32)
    for part in parts:
        spatial = matrices[part.session].astype(np.float32) if whiten == "session" else matrix
        array = arrays[part.split]
        for rows in np.array_split(np.sort(part.rows), max(1, -(-len(part.rows) // (4 * BLOCK)))):
            array[rows] = spatial @ array[rows]
            bar.advance(task, len(rows))
    return replace(preprocessor, spatial=matrix)


def _inside(samples: NDArray[np.int64], sfreq: float, n_times: int, preprocessor: Preprocessor) -> NDArray[np.bool_]:
    """Return which events have their whole epoch inside the file."""
    tmin, n_in = preprocessor.window(sfreq)
    first = samples + round(tmin * sfreq)
    return (first >= 0) & (first + n_in <= n_times)


def preprocess_things(
    root: Path, out: Path, *, subject: int, window: Window = Window(), whiten: Whiten = "pooled"
) -> Preprocessor:
    """Preprocess one subject of a data set in the THINGS-EEG2 raw layout.

    Parameters
    ----------
    root : Path
        Holds ``sub-XX/ses-YY/raw_eeg_{training,test}.npy`` and ``image_set/image_metadata.npy``.
    out : Path
        The epochs directory to make.
    subject : int
        From 1.
    window : Window
    whiten : {"pooled", "session", "none"}
        One noise covariance for all sessions (what a live decoder has), one per session (as published), or none.

    Returns
    -------
    Preprocessor
        What the live decoder will apply.
    """
    metadata = load_metadata(metadata_path(root))
    pictures = {
        "train": [f"{c}/{f}" for c, f in zip(metadata.train_concepts, metadata.train_files, strict=True)],
        "test": [f"{c}/{f}" for c, f in zip(metadata.test_concepts, metadata.test_files, strict=True)],
    }
    preprocessor = window.preprocessor(MODEL_CH_NAMES)
    found: dict[str, list[tuple[_Part, NDArray[np.int64]]]] = {"train": [], "test": []}
    for session in sessions(root, subject):
        for split, name in SPLITS:
            raw = load_raw(raw_path(root, subject, session, name))
            missing = [ch for ch in MODEL_CH_NAMES if ch not in raw.ch_names]
            if missing:
                raise DatasetError(f"{raw.path} has no channels {', '.join(missing)}", "the 63 channels of THINGS-EEG2")
            samples, codes, n_catch = raw_events(raw.stim(), name)
            whole = _inside(samples, raw.sfreq, raw.n_times, preprocessor)
            keep = _equal_repetitions(codes, whole)
            logger.info(
                "session %d, %s: %d epochs (%d catch trials, %d surplus repetitions, %d cut off by the file's ends)",
                session, split, keep.sum(), n_catch, (whole & ~keep).sum(), (~whole).sum(),
            )  # fmt: skip
            if len(codes) and codes.max() > len(pictures[split]):
                raise DatasetError(
                    f"{raw.path} has stimulus code {codes.max()}", f"1..{len(pictures[split])}, as image_metadata.npy"
                )
            part = _Part(
                split=split,
                session=session,
                read=partial(raw.read, ch_names=MODEL_CH_NAMES),
                sfreq=raw.sfreq,
                samples=samples[keep],
                rows=np.empty(0, dtype=np.int64),
            )
            found[split].append((part, codes[keep]))
    parts: list[_Part] = []
    trials: dict[str, list[Trial]] = {}
    for split, pieces in found.items():
        trials[split], rows = _sorted_trials(pieces, pictures[split])
        parts += [replace(part, rows=part_rows) for (part, _), part_rows in zip(pieces, rows, strict=True)]
    source = f"THINGS-EEG2 raw layout, subject {subject}, {len(found['train'])} session(s)"
    return _write(out, parts, trials, preprocessor, whiten, source)


def _equal_repetitions(codes: NDArray[np.int64], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which epochs to keep so that each picture has as many repetitions as the rarest one in the file."""
    usable = np.flatnonzero(whole)
    values, counts = np.unique(codes[usable], return_counts=True)
    keep = np.zeros(len(codes), dtype=bool)
    rng = np.random.default_rng(REPETITION_SEED)
    for value, count in zip(values, counts, strict=True):
        rows = usable[codes[usable] == value]
        keep[rows if count == counts.min() else rng.choice(rows, counts.min(), replace=False)] = True
    return keep


def _sorted_trials(
    pieces: Sequence[tuple[_Part, NDArray[np.int64]]], pictures: Sequence[str]
) -> tuple[list[Trial], list[NDArray[np.int64]]]:
    """Return the split's table, by picture, then session, then time; and the rows that each file's epochs fill."""
    keys = [
        (int(code), part.session, int(sample), i, j)
        for i, (part, codes) in enumerate(pieces)
        for j, (code, sample) in enumerate(zip(codes, part.samples, strict=True))
    ]
    keys.sort()
    rows = [np.empty(len(codes), dtype=np.int64) for _, codes in pieces]
    trials, repetition, previous = [], 0, 0
    for row, (code, session, sample, i, j) in enumerate(keys):
        repetition = repetition + 1 if code == previous else 1
        previous = code
        rows[i][j] = row
        picture = pictures[code - 1]
        onset = sample / pieces[i][0].sfreq
        trials.append(
            Trial(
                label=concept_label(picture.split("/")[0]),
                picture=picture,
                session=session,
                repetition=repetition,
                onset=onset,
            )
        )
    return trials, rows


def preprocess_recording(
    path: Path, out: Path, *, window: Window = Window(), whiten: Whiten = "pooled", test_from: float | None = None
) -> Preprocessor:
    """Preprocess one recording with annotations or a stim channel.

    Parameters
    ----------
    path : Path
        Anything `mne.io.read_raw` reads, or XDF.
    out : Path
        The epochs directory to make.
    window : Window
    whiten : {"pooled", "session", "none"}
        "none" scales all channels alike.
    test_from : float, optional
        Seconds in the recording: events from here on are the test set. An epoch that touches both sides belongs to
        neither.

    Returns
    -------
    Preprocessor
        What the live decoder will apply.
    """
    recording = open_recording(path)
    picks = recording.picks("eeg")
    preprocessor = window.preprocessor([recording.ch_names[i] for i in picks])
    if recording.applied:
        raise DatasetError(
            f"{path} records a stream that has been through {', '.join(recording.applied)} already",
            "a recording of raw EEG",
            "preprocess the recording that was played instead",
        )
    preprocessor.check_stream(recording.sfreq, ())
    samples = np.array([sample for sample, _ in recording.events], dtype=np.int64)
    labels = [label for _, label in recording.events]
    whole = _inside(samples, recording.sfreq, recording.n_times, preprocessor)
    boundary = recording.n_times if test_from is None else round(test_from * recording.sfreq)
    tmin, n_in = preprocessor.window(recording.sfreq)
    begin = samples + round(tmin * recording.sfreq)
    whole &= recording.is_whole(np.minimum(begin, samples), np.maximum(begin + n_in - 1, samples))
    masks = {"train": whole & (begin + n_in <= boundary), "test": whole & (begin >= boundary)}
    n_left_out = len(samples) - masks["train"].sum() - masks["test"].sum()
    if n_left_out:
        logger.info(
            "%d of %d events left out: at the recording's ends, across a hole or the split", n_left_out, len(samples)
        )
    if not masks["train"].any() or (test_from is not None and not masks["test"].any()):
        raise DatasetError(
            f"{path} gives {masks['train'].sum()} training and {masks['test'].sum()} test epochs",
            "some of each",
            f"events lie from {samples.min() / recording.sfreq:.1f} to {samples.max() / recording.sfreq:.1f} s; "
            "move --test-from",
        )
    parts: list[_Part] = []
    trials: dict[str, list[Trial]] = {}
    for split, mask in masks.items():
        if not mask.any():
            continue
        counts: dict[str, int] = {}
        trials[split] = []
        for i in np.flatnonzero(mask):
            counts[labels[i]] = counts.get(labels[i], 0) + 1
            onset = samples[i] / recording.sfreq
            trials[split].append(Trial(label=labels[i], repetition=counts[labels[i]], onset=onset))
        parts.append(
            _Part(
                split=split,
                session=1,
                read=partial(recording.read, picks=picks),
                sfreq=recording.sfreq,
                samples=samples[mask],
                rows=np.arange(mask.sum()),
            )
        )
    return _write(out, parts, trials, preprocessor, whiten, f"recording {path.name}")


def _write(
    out: Path,
    parts: Sequence[_Part],
    trials: dict[str, list[Trial]],
    preprocessor: Preprocessor,
    whiten: Whiten,
    source: str,
) -> Preprocessor:
    """Make the epochs directory."""
    with EpochsWriter(out) as writer, progress() as bar:
        shape = (len(preprocessor.ch_names), preprocessor.n_times)
        arrays = {split: writer.create(split, rows, *shape) for split, rows in trials.items() if rows}
        task = bar.add_task("preprocess", total=2 * sum(len(rows) for rows in trials.values()))
        parts = [part for part in parts if len(part.samples)]
        fitted = _fill(parts, arrays, preprocessor, whiten, bar, task)
        for array in arrays.values():
            array.flush()  # type: ignore[attr-defined]
        writer.finish(fitted, source, whiten=whiten)
    counts = ", ".join(f"{len(rows)} {split}" for split, rows in trials.items() if rows)
    console.print(f"{out}: {counts} epochs of {shape[0]} channels x {shape[1]} samples at {fitted.sfreq:g} Hz")
    return fitted


def command(
    source: Annotated[Path, typer.Argument(metavar="RAW", help="A THINGS-EEG2 raw root, or a recording file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The epochs directory to make.")],
    subject: Annotated[int, typer.Option(help="THINGS-EEG2: which subject.")] = 1,
    tmin: Annotated[float, typer.Option(help="First sample, s from the onset.")] = -0.2,
    tmax: Annotated[float, typer.Option(help="Last sample, s from the onset.")] = 1.0,
    start: Annotated[float, typer.Option(help="First sample the model sees, s from the onset.")] = 0.0,
    sfreq: Annotated[float, typer.Option(help="The model's rate in Hz; at most the recording's.")] = 250.0,
    baseline: Annotated[bool, typer.Option(help="Subtract each channel's mean before the onset.")] = True,
    whiten: Annotated[str, typer.Option(help="pooled, session (as published), or none.")] = "pooled",
    test_from: Annotated[
        float | None, typer.Option(help="Recording: events from this second on are the test set.")
    ] = None,
) -> None:
    """Cut, resample and whiten recordings into an epochs directory.

    Example: necomimi preprocess recording.fif epochs/ --test-from 120
    """
    if whiten not in ("pooled", "session", "none"):
        raise ConfigError(f"--whiten {whiten!r}", "pooled, session or none")
    window = Window(tmin=tmin, tmax=tmax, start=start, sfreq=sfreq, baseline=baseline)
    if is_raw_root(source):
        if test_from is not None:
            raise ConfigError("--test-from is for recordings", "THINGS-EEG2 has its own test set")
        preprocess_things(source, out, subject=subject, window=window, whiten=whiten)  # type: ignore[arg-type]
    elif source.is_dir():
        raise DatasetError(
            f"{source} holds no sub-XX/ses-YY/raw_eeg_training.npy", "a THINGS-EEG2 raw root, or a recording file"
        )
    else:
        preprocess_recording(source, out, window=window, whiten=whiten, test_from=test_from)  # type: ignore[arg-type]
