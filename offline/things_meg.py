"""Preprocess a subject of THINGS-MEG: its published epochs (FIF) -> epochs directory without catch trials and leaks.

Hebart, Contier, Teichmann et al. (2023), "THINGS-data, a multimodal collection of large-scale datasets for
investigating object representations in human brain and behavior". OpenNeuro ds004212. The published epochs are filtered
(0.1-40 Hz), in units of each channel's deviation before the onset (z-scores), and at 200 Hz.
"""

from __future__ import annotations

import csv
import logging
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi import __version__
from necomimi.epochs import Trial
from necomimi.errors import DatasetError
from necomimi.preprocessing import Preprocessor, n_samples

from .cutting import BLOCK, Part
from .whitening import Whiten, write_epochs

__all__ = ["meg_subjects", "preprocess_meg"]

logger = logging.getLogger(__name__)

CATCH_EVENT = 999999
RECORDED_SFREQ = 1200.0  # Hz; the events keep the samples of the recording
N_TEST_REPETITIONS = 12
N_PICTURES = 12  # of each concept, shown once each
TMIN, TMAX = 0.0, 1.0
FOLDER = Path("derivatives", "preprocessed")


def meg_subjects(root: Path) -> tuple[int, ...]:
    """Return the numbers of the subjects whose published epochs lie in a data set."""
    names = (path.name for path in (root / FOLDER).glob("preprocessed_P*-epo.fif"))
    matches = (re.fullmatch(r"preprocessed_P(\d+)-epo\.fif", name) for name in names)
    return tuple(sorted(int(match[1]) for match in matches if match))


def preprocess_meg(root: Path, out: Path, *, subject: int, whiten: Whiten = "pooled") -> Preprocessor:
    """Cut 0 to 1 s out of the published epochs of one subject, part test from training, and whiten.

    The test set are the pictures shown exactly 12 times; every other picture of their concepts is left out of training.
    Which picture an event is, the table in the epochs file tells, or ``sourcedata/sample_attributes_PX.csv``; without
    either, pictures go by their numbers.

    Parameters
    ----------
    root : Path
        Holds ``derivatives/preprocessed/preprocessed_PX-epo.fif`` and the files that it goes on in.
    out : Path
        The epochs directory to make.
    subject : int
        From 1.
    whiten : {"pooled", "session", "transductive", "none"}
        As `write_epochs` has it.

    Returns
    -------
    Preprocessor
        Of the spatial matrix; everything along time has been applied.

    Raises
    ------
    DatasetError
        The file is missing or damaged, or holds other epochs than THINGS-MEG's.
    """
    path = root / FOLDER / f"preprocessed_P{subject}-epo.fif"
    epochs = _read(path)
    sfreq = float(epochs.info["sfreq"])
    first, n_times = int(np.searchsorted(epochs.times, TMIN - 0.5 / sfreq)), n_samples(TMIN, TMAX, sfreq)
    picks = [i for i, kind in enumerate(epochs.get_channel_types()) if kind in ("mag", "grad")]
    if not picks or first + n_times > len(epochs.times) or epochs.times[first] > TMIN + 0.5 / sfreq:
        raise DatasetError(
            f"{path} holds {len(picks)} MEG channels, {epochs.times[0]:g} to {epochs.times[-1]:g} s",
            f"MEG, at least {TMIN:g} to {TMAX:g} s",
        )
    codes = epochs.events[:, 2].astype(np.int64)
    table, origin = _table(epochs, root, subject)
    pictures = _pictures(table)
    sessions = _sessions(table, len(codes))
    train, test = _splits(path, codes, pictures)
    logger.info(
        "subject %d: %d training and %d test epochs, %d catch trials, %d epochs of the test pictures' concepts left "
        "out; names of pictures: %s",
        subject, train.sum(), test.sum(), (codes == CATCH_EVENT).sum(),
        (~train & ~test & (codes != CATCH_EVENT)).sum(), origin,
    )  # fmt: skip
    preprocessor = Preprocessor(
        ch_names=tuple(epochs.ch_names[i] for i in picks),
        sfreq=sfreq,
        tmin=TMIN,
        tmax=TMAX,
        baseline=None,
        start=TMIN,
        n_times=n_times,
        spatial=np.eye(len(picks), dtype=np.float32),
        applied=("baseline", "resample"),
    )
    lock = Lock()

    def cut(block: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        with lock:  # MNE reads one file at a time
            data = epochs.get_data(picks=picks, item=chosen[block], copy=False, verbose="error")
        return np.ascontiguousarray(data[..., first : first + n_times], dtype=np.float32)

    parts: list[Part] = []
    trials: dict[str, list[Trial]] = {}
    for split, mask in (("train", train), ("test", test)):
        (chosen,) = np.nonzero(mask)
        order = chosen[np.argsort(codes[chosen], kind="stable")]
        row_of = np.empty(len(codes), dtype=np.int64)
        row_of[order] = np.arange(len(order))
        trials[split] = _trials(codes[order], sessions[order], epochs.events[order, 0] / RECORDED_SFREQ, pictures)
        for session in np.unique(sessions[chosen]).tolist():
            own = chosen[sessions[chosen] == session]
            blocks = np.array_split(np.arange(len(own)), -(-len(own) // BLOCK))
            part = Part(
                split=split, session=session, rows=row_of[own], blocks=tuple(blocks), cut=partial(cut, chosen=own)
            )
            parts.append(part)
    found = sorted(path.parent.glob(f"preprocessed_P{subject}-epo*.fif"))
    files = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in found]
    return write_epochs(
        out,
        parts,
        trials,
        preprocessor,
        whiten=whiten,
        source=f"THINGS-MEG published epochs, subject {subject}; names of pictures: {origin}",
        subject=f"sub-{subject:02d}",
        scale=1.0,
        key={"necomimi": __version__, "whiten": whiten, "files": files, "pictures": sorted(pictures.items())},
    )


def _read(path: Path) -> Any:
    """Open an epochs file, and those it goes on in, without their signals."""
    if not path.is_file():
        raise DatasetError(f"{path} does not exist", "epochs of THINGS-MEG", "necomimi download things-meg")
    import mne

    try:
        return mne.read_epochs(path, proj=False, preload=False, verbose="error")
    except Exception as error:  # MNE's reader raises whatever its parser does
        raise DatasetError(
            f"{path} cannot be read: {' '.join(str(error).split())[:200]}",
            "whole files as published, all the parts of the subject beside each other",
            "necomimi download things-meg fetches what is missing",
        ) from error


def _table(epochs: Any, root: Path, subject: int) -> tuple[list[Mapping[str, Any]], str]:
    """Return the data set's own table of what was shown, one row for each epoch, and where it was found."""
    if epochs.metadata is not None:  # a list where pandas is not installed
        metadata = epochs.metadata
        return list(metadata if isinstance(metadata, list) else metadata.to_dict("records")), "the epochs file's table"
    path = root / "sourcedata" / f"sample_attributes_P{subject}.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file)), path.name
    return [], "none, numbers only"


def _pictures(table: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Return the path of each picture by its number, as THINGS has it: concept/file."""
    pictures = {}
    for row in table:
        try:
            number = float(row["things_image_nr"])
            name = PurePosixPath(str(row["image_path"]).replace("\\", "/")).name
        except (KeyError, TypeError, ValueError):
            continue
        concept = name.rpartition("_")[0]
        if math.isfinite(number) and concept:
            pictures[int(number)] = f"{concept}/{name}"
    return pictures


def _sessions(table: Sequence[Mapping[str, Any]], n_epochs: int) -> NDArray[np.int64]:
    """Return the session of each epoch; one for all where the table does not tell."""
    try:
        sessions = np.array([int(row["session_nr"]) for row in table], dtype=np.int64)
    except (KeyError, TypeError, ValueError):
        sessions = np.empty(0, dtype=np.int64)
    return sessions if len(sessions) == n_epochs else np.ones(n_epochs, dtype=np.int64)


def _concept(picture: str) -> str:
    return picture.partition("/")[0]


def _splits(
    path: Path, codes: NDArray[np.int64], pictures: Mapping[int, str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which epochs train and which test.

    Where a picture has no name its concept is not known. THINGS numbers the pictures concept by concept, and 12 of each
    were shown, so the test picture's concept lies within the 12 shown before it and the 12 after it: all go.
    """
    shown, counts = np.unique(codes[codes != CATCH_EVENT], return_counts=True)
    tests = shown[counts == N_TEST_REPETITIONS]
    if not len(tests) or len(tests) == len(shown):
        raise DatasetError(
            f"{path} holds {len(shown)} pictures, {len(tests)} of them shown {N_TEST_REPETITIONS} times",
            f"some shown {N_TEST_REPETITIONS} times (test) and some not (training)",
        )
    if unnamed := [int(code) for code in shown if int(code) not in pictures]:
        if len(unnamed) < len(shown):
            raise DatasetError(
                f"{path}: the table of pictures has no picture {unnamed[0]}, nor {len(unnamed) - 1} more",
                "every picture that was shown",
            )
        others = np.setdiff1d(shown, tests)
        places = np.searchsorted(others, tests)[:, None] + np.arange(-N_PICTURES, N_PICTURES)
        left_out = others[np.unique(places[(places >= 0) & (places < len(others))])]
        logger.warning(
            "no table of pictures: they are named by number, and for want of their concepts %d "
            "pictures are left out of training, so that no test concept can be in it",
            len(left_out),
        )
    else:
        concepts = {_concept(pictures[int(code)]) for code in tests}
        left_out = np.array([code for code in shown if _concept(pictures[int(code)]) in concepts])
    test = np.isin(codes, tests)
    train = ~test & (codes != CATCH_EVENT) & ~np.isin(codes, left_out)
    if not train.any():
        raise DatasetError(f"{path} holds no picture of a concept that is not tested", "training pictures")
    return train, test


def _trials(
    codes: NDArray[np.int64], sessions: NDArray[np.int64], onsets: NDArray[np.float64], pictures: Mapping[int, str]
) -> list[Trial]:
    """Return the table of one split, in order of the pictures' numbers."""
    trials: list[Trial] = []
    repetition, previous = 0, -1
    for code, session, onset in zip(codes.tolist(), sessions.tolist(), onsets.tolist(), strict=True):
        repetition = repetition + 1 if code == previous else 1
        previous = code
        picture = pictures.get(code, "")
        label = _concept(picture) if picture else f"picture {code}"
        trials.append(Trial(label=label, picture=picture, session=session, repetition=repetition, onset=onset))
    return trials
