"""Preprocess any recording with annotations or a stim channel: recording file -> epochs directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from necomimi.epochs import Trial
from necomimi.errors import ChannelMismatchError, DatasetError
from necomimi.gallery import Gallery
from necomimi.montage import canonical_name
from necomimi.preprocessing import Preprocessor
from necomimi.recordings import Recording, open_recording

from .cutting import DEFAULT_WINDOW, Part, Window, inside, signal_part
from .whitening import Whiten, write_epochs

__all__ = ["preprocess_recording"]

logger = logging.getLogger(__name__)


def preprocess_recording(
    path: Path,
    out: Path,
    *,
    window: Window = DEFAULT_WINDOW,
    whiten: Whiten = "pooled",
    test_from: float | None = None,
    gallery: Gallery | None = None,
    bads: Sequence[str] = (),
    like: Preprocessor | None = None,
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
    gallery : Gallery, optional
        What the events name: a file, its stem, a label, or a marker. Events that name none of its items are left out.
    bads : sequence of str
        Channels to interpolate from the others.
    like : Preprocessor, optional
        Take its channels, in its order, its window and rate, in place of all EEG channels and `window`.

    Returns
    -------
    Preprocessor
        What the live decoder will apply.
    """
    recording = open_recording(path)
    picks = recording.picks("eeg") if like is None else _picks_of(recording, like.ch_names)
    preprocessor = like or window.preprocessor([recording.ch_names[i] for i in picks])
    if recording.applied:
        raise DatasetError(
            f"{path} records a stream that has been through {', '.join(recording.applied)} already",
            "a recording of raw EEG",
            "preprocess the recording that was played instead",
        )
    preprocessor.check_stream(recording.sfreq, ())
    events = recording.events if gallery is None else _of_gallery(recording, gallery)
    samples = np.array([sample for sample, _ in events], dtype=np.int64)
    labels = [label for _, label in events]
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
            label, picture = labels[i], ""
            if gallery is not None:
                item = gallery.index_of(label)
                assert item is not None  # the others are left out
                label, picture = gallery.labels[item], gallery.files[item]
            trials[split].append(Trial(label=label, picture=picture, repetition=counts[labels[i]], onset=onset))
        rows = np.arange(mask.sum())
        parts.append(signal_part(split, 1, rows, samples[mask], recording.sfreq, preprocessor, read))
    return write_epochs(out, parts, trials, preprocessor, whiten=whiten, source=f"recording {path.name}", bads=bads)


def _picks_of(recording: Recording, ch_names: Sequence[str]) -> list[int]:
    """Return where the channels of a decoder stand in a recording."""
    places = {canonical_name(recording.ch_names[i]): i for i in recording.picks("eeg")}
    missing = [name for name in ch_names if canonical_name(name) not in places]
    if missing:
        raise ChannelMismatchError(
            f"{recording.name} lacks {len(missing)} of {len(ch_names)} channels: {', '.join(missing)}",
            "the channels of the decoder to be like",
            "record with the same cap, or train from fresh weights",
        )
    return [places[canonical_name(name)] for name in ch_names]


def _of_gallery(recording: Recording, gallery: Gallery) -> tuple[tuple[int, str], ...]:
    """Return the events that name an item of the gallery."""
    events = tuple(event for event in recording.events if gallery.index_of(event[1]) is not None)
    if not events:
        raise DatasetError(
            f"none of the {len(recording.events)} events names an item of the gallery, such as "
            f"{recording.events[0][1]!r}",
            f"names such as {gallery.files[0] or gallery.labels[0]!r}, their stems or their labels",
            "give the gallery of the pictures that were shown, and what codes mean: "
            "necomimi embed PICTURES OUT --markers TABLE",
        )
    if len(events) < len(recording.events):
        logger.info("%d events name no item of the gallery", len(recording.events) - len(events))
    return events
