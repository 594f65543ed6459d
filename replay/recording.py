"""Open a recording that MNE or pyxdf reads: FIF, BrainVision, EDF, SET, XDF file -> Timeline."""

from __future__ import annotations

from pathlib import Path

from necomimi.recordings import open_recording

from .timeline import Timeline, positions

__all__ = ["recording_timeline"]


def recording_timeline(path: Path, stream: str | None = None) -> Timeline:
    """Return a recording with its annotations, the onsets in its stim channel or its markers as events.

    All channels are sent, each with its type; a channel that is neither voltage nor field has no unit. A recording
    whose samples have stamps (XDF) is played by them: holes keep their length, and markers their distance from the
    samples.

    Parameters
    ----------
    path : Path
    stream : str, optional
        XDF: name or source_id of the EEG stream, where there is not just one of type EEG.

    Raises
    ------
    DatasetError
        It cannot be read, or holds no EEG or no events.
    """
    recording = open_recording(path, stream)
    events: tuple[tuple[float, str], ...] = recording.events
    if recording.stamps is not None and recording.onsets is not None:
        places = positions(recording.stamps, recording.sfreq, recording.onsets).tolist()
        events = tuple((place, label) for place, (_, label) in zip(places, recording.events, strict=True))
    labels = {label for _, label in recording.events}
    listing = ", ".join(sorted(labels)[:6]) + (", ..." if len(labels) > 6 else "")
    return Timeline(
        name=recording.name,
        source=str(path.resolve()),
        description=f"recording {path.name}, {len(labels)} kinds of event ({listing})",
        ch_names=recording.ch_names,
        ch_types=tuple(kind.upper() for kind in recording.ch_types),
        units=tuple("microvolts" if unit == "V" else unit for unit in recording.units),
        sfreq=recording.sfreq,
        n_times=recording.n_times,
        events=events,
        read=recording.read,
        applied=recording.applied,
        seams=recording.seams if recording.stamps is None else (),  # stamps say how long each of them lasted
        stamps=recording.stamps,
    )
