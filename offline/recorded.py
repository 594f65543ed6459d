"""Preprocess any recording with annotations or a stim channel: recording file -> epochs directory."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from necomimi.epochs import Trial
from necomimi.errors import DatasetError
from necomimi.preprocessing import Preprocessor
from necomimi.recordings import open_recording

from .cutting import DEFAULT_WINDOW, Part, Window, inside, signal_part
from .whitening import Whiten, write_epochs

__all__ = ["preprocess_recording"]

logger = logging.getLogger(__name__)


def preprocess_recording(
    path: Path, out: Path, *, window: Window = DEFAULT_WINDOW, whiten: Whiten = "pooled", test_from: float | None = None
) -> Preprocessor:
    """Preprocess one recording with annotations or a stim channel.

    Parameters
    ----------
    path : Path
        Anything `mne.io.read_raw` reads, or XDF.
    out : Path
        The epochs directory to make.
    window : Window
    whiten : {"pooled", "session", "transductive", "none"}
        As `write_epochs` has it; a recording is one session.
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
    whole = inside(samples, recording.sfreq, recording.n_times, preprocessor)
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
    lock = Lock()  # of all readers that there are, not every one may be called from two threads at once

    def read(start: int, stop: int) -> NDArray[np.float64]:
        with lock:
            return recording.read(start, stop, picks)

    parts: list[Part] = []
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
        rows = np.arange(mask.sum())
        parts.append(signal_part(split, 1, rows, samples[mask], recording.sfreq, preprocessor, read))
    return write_epochs(out, parts, trials, preprocessor, whiten=whiten, source=f"recording {path.name}")
