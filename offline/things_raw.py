"""Preprocess a subject of THINGS-EEG2 from the raw files: sessions and stimulus codes -> epochs directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi import __version__
from necomimi.epochs import Trial
from necomimi.errors import DatasetError
from necomimi.preprocessing import Preprocessor
from necomimi.things_eeg2 import (
    MODEL_CH_NAMES,
    RawRecording,
    Split,
    concept_label,
    load_metadata,
    load_raw,
    metadata_path,
    raw_events,
    raw_path,
    sessions,
)

from .cutting import DEFAULT_WINDOW, Part, Window, inside, signal_part
from .whitening import Whiten, write_epochs

__all__ = ["SPLITS", "preprocess_things"]

logger = logging.getLogger(__name__)

REPETITION_SEED = 20200220  # Gifford et al. 2022: which of the surplus repetitions are dropped
SPLITS: tuple[tuple[str, Split], ...] = (("train", "training"), ("test", "test"))  # ours, and the data set's


def preprocess_things(
    root: Path, out: Path, *, subject: int, window: Window = DEFAULT_WINDOW, whiten: Whiten = "pooled"
) -> Preprocessor:
    """Preprocess one subject of a data set in the THINGS-EEG2 raw layout.

    A run that was killed goes on with the sessions that it had done, if neither the files nor the settings changed.

    Parameters
    ----------
    root : Path
        Holds ``sub-XX/ses-YY/raw_eeg_{training,test}.npy`` and ``image_set/image_metadata.npy``.
    out : Path
        The epochs directory to make.
    subject : int
        From 1.
    window : Window
    whiten : {"pooled", "session", "transductive", "none"}
        As `write_epochs` has it.

    Returns
    -------
    Preprocessor
        What the live decoder will apply.
    """
    metadata = load_metadata(metadata_path(root))
    pictures = {split: metadata.pictures(name) for split, name in SPLITS}
    preprocessor = window.preprocessor(MODEL_CH_NAMES)
    numbers = sessions(root, subject)
    folders = (path.name.removeprefix("ses-") for path in root.glob("sub-*/ses-*"))
    if missing := sorted({int(name) for name in folders if name.isdigit()} - set(numbers)):
        raise DatasetError(
            f"{root / f'sub-{subject:02d}'} has no {', '.join(f'ses-{session:02d}' for session in missing)}",
            "the sessions that the other subjects have",
            f"necomimi download things-eeg2 {root} --subjects {subject} --kind raw",
        )
    parts: list[Part] = []
    trials: dict[str, list[Trial]] = {}
    files: list[list[Any]] = []
    for split, name in SPLITS:
        found = []
        for session in numbers:
            raw = load_raw(raw_path(root, subject, session, name))
            stat = raw.path.stat()
            files.append([str(raw.path.resolve()), stat.st_size, stat.st_mtime_ns])
            found.append((session, raw, *_events(raw, session, name, preprocessor, len(pictures[split]))))
        trials[split], rows = _sorted_trials(found, pictures[split])
        for (session, raw, samples, _), part_rows in zip(found, rows, strict=True):
            read = partial(raw.read, ch_names=MODEL_CH_NAMES)
            parts.append(signal_part(split, session, part_rows, samples, raw.sfreq, preprocessor, read))
    key = {"necomimi": __version__, "window": asdict(window), "whiten": whiten, "files": files, "pictures": pictures}
    source = f"THINGS-EEG2 raw layout, subject {subject}, {len(numbers)} session(s)"
    person = f"sub-{subject:02d}"
    return write_epochs(out, parts, trials, preprocessor, whiten=whiten, source=source, subject=person, key=key)


def _events(
    raw: RawRecording, session: int, split: Split, preprocessor: Preprocessor, n_pictures: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (samples, codes) of the epochs to keep."""
    missing = [ch for ch in MODEL_CH_NAMES if ch not in raw.ch_names]
    if missing:
        raise DatasetError(f"{raw.path} has no channels {', '.join(missing)}", "the 63 channels of THINGS-EEG2")
    samples, codes, n_catch = raw_events(raw.stim(), split)
    whole = inside(samples, raw.sfreq, raw.n_times, preprocessor)
    if not whole.any():
        raise DatasetError(f"{raw.path} holds {len(samples)} stimuli, none with its whole epoch", "at least one")
    keep = _equal_repetitions(codes, whole)
    logger.info(
        "session %d, %s: %d epochs (%d catch trials, %d surplus repetitions, %d cut off by the file's ends)",
        session, split, keep.sum(), n_catch, (whole & ~keep).sum(), (~whole).sum(),
    )  # fmt: skip
    if codes.max() > n_pictures:
        raise DatasetError(f"{raw.path} has stimulus code {codes.max()}", f"1..{n_pictures}, as image_metadata.npy")
    return samples[keep], codes[keep]


def _equal_repetitions(codes: NDArray[np.int64], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which epochs to keep so that each picture has as many repetitions as the rarest one in the file."""
    usable = np.flatnonzero(whole)
    order = usable[np.argsort(codes[usable], kind="stable")]
    counts = np.unique(codes[usable], return_counts=True)[1]
    fewest = counts.min()
    keep = np.zeros(len(codes), dtype=bool)
    keep[usable] = True
    rng = np.random.default_rng(REPETITION_SEED)
    ends = np.cumsum(counts)
    for i in np.flatnonzero(counts > fewest):
        rows = order[ends[i] - counts[i] : ends[i]]
        keep[rows] = False
        keep[rng.choice(rows, fewest, replace=False)] = True
    return keep


def _sorted_trials(
    found: Sequence[tuple[int, RawRecording, NDArray[np.int64], NDArray[np.int64]]], pictures: Sequence[str]
) -> tuple[list[Trial], list[NDArray[np.int64]]]:
    """Return the split's table, by picture, then session, then time; and the rows that each file's epochs fill."""
    codes = np.concatenate([piece[3] for piece in found])
    samples = np.concatenate([piece[2] for piece in found])
    counts = [len(piece[3]) for piece in found]
    numbers = np.repeat([piece[0] for piece in found], counts)
    onsets = samples / np.repeat([piece[1].sfreq for piece in found], counts)
    order = np.lexsort((samples, numbers, codes))
    rows = np.empty(len(order), dtype=np.int64)
    rows[order] = np.arange(len(order))
    labels = [concept_label(picture.split("/")[0]) for picture in pictures]
    trials, repetition, previous = [], 0, 0
    for code, session, onset in zip(
        codes[order].tolist(), numbers[order].tolist(), onsets[order].tolist(), strict=True
    ):
        repetition = repetition + 1 if code == previous else 1
        previous = code
        trials.append(
            Trial(
                label=labels[code - 1],
                picture=pictures[code - 1],
                session=session,
                repetition=repetition,
                onset=onset,
            )
        )
    return trials, np.split(rows, np.cumsum(counts)[:-1])
