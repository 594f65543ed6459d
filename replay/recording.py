"""Open a recording that MNE reads: FIF, BrainVision, EDF, SET file -> Timeline."""

from __future__ import annotations

from pathlib import Path

from necomimi.recordings import open_recording

from .timeline import Timeline

__all__ = ["recording_timeline"]

VOLT_TYPES = ("eeg", "eog", "ecg", "emg", "bio", "seeg", "ecog", "dbs")
OTHER_UNITS = {"mag": "T", "ref_meg": "T", "grad": "T/m"}


def recording_timeline(path: Path) -> Timeline:
    """Return a recording with its annotations, or the onsets in its stim channel, as events.

    All channels are sent, each with its type; a channel that is neither voltage nor field has no unit.

    Raises
    ------
    DatasetError
        It cannot be read, or holds no EEG or no events.
    """
    recording = open_recording(path)
    kinds = recording.ch_types
    labels = {label for _, label in recording.events}
    listing = ", ".join(sorted(labels)[:6]) + (", ..." if len(labels) > 6 else "")
    return Timeline(
        name=recording.name,
        source=str(path.resolve()),
        description=f"recording {path.name}, {len(labels)} kinds of event ({listing})",
        ch_names=recording.ch_names,
        ch_types=tuple(kind.upper() for kind in kinds),
        units=tuple("microvolts" if kind in VOLT_TYPES else OTHER_UNITS.get(kind, "") for kind in kinds),
        sfreq=recording.sfreq,
        n_times=recording.n_times,
        events=recording.events,
        read=recording.read,
    )
