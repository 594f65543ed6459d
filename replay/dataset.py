"""Open a THINGS-EEG2 subject, raw or as epochs, or an epochs directory of our own -> Timeline."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from necomimi.epochs import Epochs
from necomimi.errors import DatasetError
from necomimi.safe_pickle import load, release_pages
from necomimi.things_eeg2 import (
    Split,
    load_metadata,
    load_preprocessed,
    load_raw,
    metadata_path,
    preprocessed_path,
    raw_events,
    raw_path,
    sessions,
    subjects,
)

from .timeline import Timeline, concatenate, lay_end_to_end

__all__ = ["dataset_timeline", "is_dataset"]

FOLDERS_ABOVE = 3  # root/sub-01/ses-01/raw_eeg_test.npy: the picture list lies in the root


def is_dataset(path: Path) -> bool:
    """Return whether `path` is a data set, a subject of one, one of its files, or an epochs directory."""
    if path.is_dir():
        return (path / "config.json").is_file() or bool(subjects(path)) or path.resolve().name.startswith("sub-")
    return path.suffix == ".npy"


def dataset_timeline(path: Path, *, subject: int | None, session: int | None, split: Split) -> Timeline:
    """Return one split of one subject, its sessions one after another.

    Where a subject has both, raw recordings are played rather than published epochs.

    Parameters
    ----------
    path : Path
        A root with folders sub-XX, one such folder, one .npy file, or an epochs directory of `necomimi preprocess`.
    subject : int, optional
        The first by default; only a root holds several.
    session : int, optional
        All by default.
    split : {"test", "training"}
        A file that says by its name which split it holds has only that one.

    Raises
    ------
    DatasetError
        What was asked for is not there, or cannot be read.
    """
    if path.is_file():
        return _file_timeline(path, split)
    if (path / "config.json").is_file():
        return _epochs_timeline(path, session, split)
    if not subjects(path):  # a subject's own folder
        path = path.resolve()
        number = path.name.removeprefix("sub-")
        if not number.isdigit():
            raise DatasetError(f"{path} is a folder without a subject's number", "a folder called sub-01")
        path, subject = path.parent, int(number)
    subject = subjects(path)[0] if subject is None else subject
    published = preprocessed_path(path, subject, split)
    if published.is_file() and not any(published.parent.glob("ses-*/raw_eeg_*.npy")):
        if session is not None:
            raise DatasetError(f"{published} holds all sessions together", remedy="leave out --session")
        return _published_timeline(published, split)
    there = sessions(path, subject)
    if session is not None and session not in there:
        found = ", ".join(map(str, there))
        raise DatasetError(f"subject {subject} in {path} has no session {session}", found, "choose one with --session")
    parts = [
        _raw_timeline(raw_path(path, subject, n, split), split) for n in (there if session is None else (session,))
    ]
    if len(parts) == 1:
        return parts[0]
    return concatenate(
        parts,
        name=f"sub-{subject:02d} {split}",
        source=f"{path.resolve()} sub-{subject:02d} {split}",
        description=f"subject {subject} of THINGS-EEG2, {len(parts)} sessions: "
        + "; ".join(part.description for part in parts),
    )


def _file_timeline(path: Path, split: Split) -> Timeline:
    """Open one .npy file by what it holds."""
    if "train" in path.stem or "test" in path.stem:
        split = "training" if "train" in path.stem else "test"
    value, form = load(path)
    if isinstance(value, dict) and "raw_eeg_data" in value:
        return _raw_timeline(path, split)
    if isinstance(value, dict | np.ndarray):
        return _published_timeline(path, split)
    raise DatasetError(f"{path} is {form} of a {type(value).__name__}", "raw recordings or epochs of THINGS-EEG2")


def _markers(path: Path, split: Split) -> tuple[str, ...]:
    """Return what each code of a file sends, from the picture list in the folders above it."""
    return load_metadata(metadata_path(path.resolve().parent, FOLDERS_ABOVE)).markers(split)


def _raw_timeline(path: Path, split: Split) -> Timeline:
    raw = load_raw(path)
    markers = _markers(path, split)
    samples, codes, n_catch = raw_events(raw.stim(), split)
    if not len(codes):
        raise DatasetError(f"{path} has no events: its stimulus channel is silent", "codes in the stimulus channel")
    if codes.max() > len(markers):
        raise DatasetError(
            f"{path} has stimulus code {codes.max()}, and the picture list {len(markers)} {split} pictures",
            "the picture list of this recording",
        )
    name = f"{path.resolve().parent.parent.name} {path.resolve().parent.name} {split}"
    return Timeline(
        name=name,
        source=str(path.resolve()),
        description=f"raw recording {name}, {len(codes)} stimuli ({n_catch} catch trials left out)",
        ch_names=raw.eeg_names,
        ch_types=tuple(kind.upper() for kind in raw.ch_types if kind != "stim"),
        units=("microvolts",) * len(raw.eeg_names),
        sfreq=raw.sfreq,
        n_times=raw.n_times,
        events=tuple(
            (sample, markers[code - 1]) for sample, code in zip(samples.tolist(), codes.tolist(), strict=True)
        ),
        read=raw.read,
    )


def _published_timeline(path: Path, split: Split) -> Timeline:
    """Lay published epochs end to end, all pictures once, then all again, as in a session."""
    epochs = load_preprocessed(path)
    markers = _markers(path, split)
    n_conditions, n_repetitions, _, n_times = epochs.data.shape
    if n_conditions != len(markers):
        raise DatasetError(
            f"{path} holds {n_conditions} pictures, and the picture list {len(markers)} {split} pictures",
            "as many of each",
        )

    def epoch(i: int) -> np.ndarray:
        repetition, condition = divmod(i, n_conditions)
        block = np.array(epochs.data[condition, repetition], dtype=np.float32)
        release_pages(epochs.data)
        return block

    name = f"{path.resolve().parent.name} {split} epochs"
    return lay_end_to_end(
        epoch,
        markers * n_repetitions,
        n_times=n_times,
        start=float(epochs.times[0]),
        name=name,
        source=str(path.resolve()),
        description=f"preprocessed epochs {path.name} ({epochs.layout}), laid end to end",
        ch_names=epochs.ch_names,
        sfreq=epochs.sfreq,
    )


def _epochs_timeline(path: Path, session: int | None, split: Split) -> Timeline:
    """Lay an epochs directory end to end, all pictures once, then all again, as in a session."""
    epochs = Epochs.load(path)
    part = epochs.train if split == "training" else epochs.test
    if part is None:
        raise DatasetError(f"{path} has no test epochs", "test.npy", "play its training epochs: --split training")
    order = [
        i
        for i in np.lexsort((np.arange(len(part)), part.repetitions)).tolist()
        if session is None or part.sessions[i] == session
    ]
    if not order:
        found = ", ".join(map(str, np.unique(part.sessions).tolist())) or "none"
        raise DatasetError(
            f"{path} has no epochs of session {session}", f"sessions {found}", "choose one with --session"
        )
    # A training presentation is called by its picture's file, a test presentation by its concept.
    labels = [
        PurePosixPath(part.pictures[i]).stem if split == "training" and part.pictures[i] else part.labels[i]
        for i in order
    ]
    return lay_end_to_end(
        lambda i: part.data[order[i]],
        labels,
        n_times=epochs.preprocessor.n_times,
        start=epochs.preprocessor.start,
        name=f"{path.resolve().name} {split} epochs",
        source=f"{path.resolve()} {split} {session or ''}",
        description=f"preprocessed epochs {path.name}, made from {epochs.source}, laid end to end",
        ch_names=epochs.preprocessor.ch_names,
        sfreq=epochs.preprocessor.sfreq,
    )
