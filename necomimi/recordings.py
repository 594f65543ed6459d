"""Any recording that MNE reads: FIF, BrainVision, EDF, SET file -> samples in volts, and its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import DatasetError

__all__ = ["Recording", "open_recording"]

SUFFIXES = (".fif", ".fif.gz", ".vhdr", ".edf", ".bdf", ".set", ".gdf", ".cnt", ".mff")
# Annotations that software writes for itself rather than for a stimulus.
HOUSEKEEPING = r"^(?!bad|edge|new segment|boundary|sync status|(?:.*)/boundary).*$"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording on disk, read as needed.

    Parameters
    ----------
    name : str
        The file's stem.
    ch_names, ch_types : tuple of str
        In file order; types in MNE's words ("eeg", "eog", "stim", ...).
    sfreq : float
        Hz.
    n_times : int
        Samples.
    events : tuple of (int, str)
        (sample, label), in order of time.
    """

    name: str
    ch_names: tuple[str, ...]
    ch_types: tuple[str, ...]
    sfreq: float
    n_times: int
    events: tuple[tuple[int, str], ...]
    _raw: Any = field(repr=False)

    def picks(self, ch_type: str = "eeg") -> list[int]:
        """Return the indices of the channels of one type."""
        return [i for i, kind in enumerate(self.ch_types) if kind == ch_type]

    def read(self, start: int, stop: int, picks: list[int] | None = None) -> NDArray[np.float64]:
        """Return samples `start` to `stop` (exclusive), shape (n_channels, stop - start), in volts."""
        return self._raw.get_data(picks=picks, start=start, stop=stop, verbose="error")


def open_recording(path: Path | str) -> Recording:
    """Open a recording and find its events, in its annotations or else in its stim channel.

    Parameters
    ----------
    path : Path
        A file that `mne.io.read_raw` reads.

    Raises
    ------
    DatasetError
        It is not a readable recording, or has no EEG channel, or no events.
    """
    import mne

    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path} does not exist", f"a recording ({', '.join(SUFFIXES)})")
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
        _raw=raw,
    )


def _annotated_events(mne: Any, raw: Any) -> list[tuple[int, str]]:
    """Return (sample, description) of the annotations that mark stimuli."""
    try:
        table, codes = mne.events_from_annotations(raw, regexp=f"(?i){HOUSEKEEPING}", verbose="error")
    except ValueError:  # MNE's way to say that none matches
        return []
    labels = {code: str(label) for label, code in codes.items()}
    return [(int(row[0]) - raw.first_samp, labels[int(row[2])]) for row in table]


def _stim_events(mne: Any, raw: Any) -> list[tuple[int, str]]:
    """Return (sample, code) of the onsets in the first stim channel."""
    names = [name for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind == "stim"]
    if not names:
        return []
    table = mne.find_events(raw, stim_channel=names[0], shortest_event=1, verbose="error")
    return [(int(row[0]) - raw.first_samp, str(row[2])) for row in table]
