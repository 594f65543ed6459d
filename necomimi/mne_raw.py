"""Give a recorded session to MNE-Python: XDF file -> mne.io.Raw with stimuli and decisions as annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from necomimi.recordings import VOLT_TYPES
from necomimi.xdf import open_xdf

if TYPE_CHECKING:
    from mne.io import RawArray

__all__ = ["read_raw"]

MNE_TYPES = (*VOLT_TYPES, "stim", "resp")


def read_raw(path: Path | str, stream: str | None = None) -> RawArray:
    """Read an XDF file of `necomimi decode --record` or `necomimi record`.

    A stimulus is an annotation without duration. A decision ("decision/LABEL", "provisional/LABEL" or "refusal/REASON")
    begins with the event that it answers, and ends when the answer came. A hole in the samples is closed, as in MNE,
    and marked by "BAD boundary", which keeps epochs from crossing.

    Parameters
    ----------
    path : Path
    stream : str, optional
        Name or source_id of the EEG stream, where there is not just one of type EEG.

    Returns
    -------
    mne.io.RawArray
        In volts; channels of types that MNE does not know are "misc".

    Raises
    ------
    DatasetError
        It cannot be read, or holds no such stream or several.
    """
    import mne

    recording = open_xdf(Path(path), stream, needs_events=False)
    types = [kind if kind in MNE_TYPES else "misc" for kind in recording.ch_types]
    info = mne.create_info(list(recording.ch_names), recording.sfreq, types)
    raw = mne.io.RawArray(recording.read(0, recording.n_times), info, verbose="error")
    notes = [(sample, sample, label) for sample, label in recording.events]
    notes += [*recording.decisions, *((seam, seam, "BAD boundary") for seam in recording.seams)]
    last = recording.n_times - 1  # MNE keeps none beyond it
    notes = [(begin, min(end, last), words) for begin, end, words in notes if 0 <= begin <= last]
    raw.set_annotations(
        mne.Annotations(
            onset=[begin / recording.sfreq for begin, _, _ in notes],
            duration=[(end - begin) / recording.sfreq for begin, end, _ in notes],
            description=[words for _, _, words in notes],
        )
    )
    return raw
