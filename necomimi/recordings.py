"""Any recording that MNE or pyxdf reads: FIF, BrainVision, EDF, SET, XDF file -> samples in volts, and its events."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError, DatasetError
from necomimi.markers import is_control

__all__ = ["Recording", "open_recording"]

SUFFIXES = (".fif", ".fif.gz", ".vhdr", ".edf", ".bdf", ".set", ".gdf", ".cnt", ".mff", ".xdf", ".xdfz", ".xdf.gz")
XDF_SUFFIXES = (".xdf", ".xdfz", ".xdf.gz")
# Annotations that software writes for itself rather than for a stimulus.
HOUSEKEEPING = r"^(?!bad|edge|new segment|boundary|sync status|(?:.*)/boundary).*$"
# And those of them that say the signal does not go on from the sample before.
SKIPPED = "bad_acq_skip"  # a stretch of zeros that FIF keeps in the place of what was not recorded
INTERRUPTION = re.compile(rf"new segment|boundary|edge boundary|{SKIPPED}|.*/boundary")
VOLT_TYPES = ("eeg", "eog", "ecg", "emg", "bio", "seeg", "ecog", "dbs")
OTHER_UNITS = {"mag": "T", "ref_meg": "T", "grad": "T/m"}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording on disk, read as needed.

    Parameters
    ----------
    name : str
        The file's stem.
    ch_names, ch_types : tuple of str
        In file order; types in MNE's words ("eeg", "eog", "stim", ...).
    units : tuple of str
        What `read` gives each channel in: "V", or another ("" where there is none).
    sfreq : float
        Hz.
    n_times : int
        Samples.
    events : tuple of (int, str)
        (nearest sample, label), in order of time.
    reader : callable
        ``reader(start, stop, picks)``: see `read`.
    decisions : tuple of (int, int, str)
        What a decoder said of them, if it was recorded beside them: (sample of the event, sample at which the answer
        came, "decision/LABEL", "provisional/LABEL" or "refusal/REASON").
    seams : tuple of int
        Samples before which the recording was interrupted.
    stamps : ndarray of float64, shape (n_times,), or None
        Seconds from the first sample, as the amplifier's stamps say, holes and jitter included; None where the file
        knows but a rate.
    onsets : ndarray of float64, shape (n_events,), or None
        Seconds from the first sample of each event, on the clock of `stamps`.
    applied : tuple of str
        Preprocessing steps already done.
    """

    name: str
    ch_names: tuple[str, ...]
    ch_types: tuple[str, ...]
    units: tuple[str, ...]
    sfreq: float
    n_times: int
    events: tuple[tuple[int, str], ...]
    reader: Callable[[int, int, list[int] | None], NDArray[np.float64]] = field(repr=False)
    decisions: tuple[tuple[int, int, str], ...] = ()
    seams: tuple[int, ...] = ()
    stamps: NDArray[np.float64] | None = field(default=None, repr=False)
    onsets: NDArray[np.float64] | None = field(default=None, repr=False)
    applied: tuple[str, ...] = ()

    def picks(self, ch_type: str = "eeg") -> list[int]:
        """Return the indices of the channels of one type."""
        return [i for i, kind in enumerate(self.ch_types) if kind == ch_type]

    def read(self, start: int, stop: int, picks: list[int] | None = None) -> NDArray[np.float64]:
        """Return samples `start` to `stop` (exclusive), shape (n_channels, stop - start), in volts."""
        return self.reader(start, stop, picks)

    def is_whole(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which stretches, from sample `first` to `last` (inclusive), no interruption cuts.

        Parameters
        ----------
        first, last : ndarray of int64, shape (n_epochs,)
        """
        seams = np.array(self.seams, dtype=np.int64)
        before, after = (np.searchsorted(seams, samples, side="right") for samples in (first, last))
        uncut: NDArray[np.bool_] = before == after
        return uncut


def open_recording(path: Path | str, stream: str | None = None) -> Recording:
    """Open a recording and find its events: in its annotations, or else in its stim channel; in XDF, its markers.

    Parameters
    ----------
    path : Path
        A file that `mne.io.read_raw` reads, or an XDF file.
    stream : str, optional
        XDF: name or source_id of the EEG stream, where there is not just one of type EEG.

    Raises
    ------
    DatasetError
        It is not a readable recording, or has no EEG channel, or no events.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path} does not exist", f"a recording ({', '.join(SUFFIXES)})")
    if path.name.lower().endswith(XDF_SUFFIXES):
        from necomimi.xdf import open_xdf

        return open_xdf(path, stream)
    if stream is not None:
        raise ConfigError(f"--stream {stream!r} with {path}", "an XDF file: others hold one recording")
    import mne

    try:
        raw = mne.io.read_raw(path, preload=False, verbose="error")
    except Exception as error:  # MNE's readers raise whatever their format's parser does
        raise DatasetError(
            f"{path} is not a recording that MNE can read: {' '.join(str(error).split())[:200]}",
            f"one of {', '.join(SUFFIXES)}",
        ) from error
    kinds = tuple(raw.get_channel_types())
    if "eeg" not in kinds:
        raise DatasetError(
            f"{path} has no EEG channel, only {', '.join(sorted(set(kinds)))}",
            "channels of type eeg",
            "set the channel types with MNE and save the file again",
        )
    events = _annotated_events(mne, raw) or _stim_events(mne, raw)
    if not events:
        raise DatasetError(
            f"{path} has no events: {len(raw.annotations)} annotations, {kinds.count('stim')} stim channels",
            "annotations that name what was shown, or a stim channel",
            "add annotations with MNE (raw.set_annotations) and save the file again",
        )
    return Recording(
        name=path.stem,
        ch_names=tuple(raw.ch_names),
        ch_types=kinds,
        sfreq=float(raw.info["sfreq"]),
        n_times=int(raw.n_times),
        events=tuple(events),
        units=tuple("V" if kind in VOLT_TYPES else OTHER_UNITS.get(kind, "") for kind in kinds),
        seams=_interruptions(raw),
        reader=lambda start, stop, picks: raw.get_data(picks=picks, start=start, stop=stop, verbose="error"),
    )


def _interruptions(raw: Any) -> tuple[int, ...]:
    """Return the samples before which the recording was interrupted, by its annotations."""
    seams = set()
    for note in raw.annotations:
        what, onset = str(note["description"]).lower(), float(note["onset"])
        if INTERRUPTION.match(what):
            ends = (onset, onset + float(note["duration"])) if what == SKIPPED else (onset,)
            seams |= {round(end * float(raw.info["sfreq"])) - raw.first_samp for end in ends}
    return tuple(sorted(seam for seam in seams if 0 < seam < raw.n_times))


def _annotated_events(mne: Any, raw: Any) -> list[tuple[int, str]]:
    """Return (sample, description) of the annotations that mark stimuli."""
    try:
        table, codes = mne.events_from_annotations(raw, regexp=f"(?i){HOUSEKEEPING}", verbose="error")
    except ValueError:  # MNE's way to say that none matches
        return []
    labels = {code: str(label) for label, code in codes.items()}
    return [(int(row[0]) - raw.first_samp, labels[int(row[2])]) for row in table if not is_control(labels[int(row[2])])]


def _stim_events(mne: Any, raw: Any) -> list[tuple[int, str]]:
    """Return (sample, code) of the onsets in the first stim channel."""
    names = [name for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind == "stim"]
    if not names:
        return []
    table = mne.find_events(raw, stim_channel=names[0], shortest_event=1, verbose="error")
    return [(int(row[0]) - raw.first_samp, str(row[2])) for row in table]
