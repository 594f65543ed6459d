"""Read what an XDF file says of events: its marker streams -> stimuli and decisions on the clock of the EEG."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import DatasetError
from necomimi.markers import OUR_SOURCE_IDS, is_control, label_of
from necomimi.xdf_chunks import XDFStream

__all__ = ["read_markers"]

logger = logging.getLogger(__name__)

MAX_OUTSIDE_S = 10.0  # a marker further from the signal than this is not about it
MAX_BACK_S = 5.0
SAME_CLOCK_S = 0.05  # clocks of two machines differ by more: each counts from its own start


def read_markers(
    path: Path,
    eeg: XDFStream,
    streams: Sequence[XDFStream],
    loaded: dict[int, Any],
    raw: dict[int, NDArray[np.float64]],
) -> tuple[NDArray[np.float64], list[tuple[float, str]], list[tuple[float, float, str]]]:
    """Return the EEG's stamps, the stimuli and the decisions, all in seconds of one clock.

    Streams of one machine share its clock, and the measured offset between them is nothing but noise (tens of
    microseconds on a local network): their stamps are compared as they are. Others are brought together by pyxdf.

    Parameters
    ----------
    path : Path
    eeg : XDFStream
    streams : sequence of XDFStream
        Of one channel each.
    loaded : dict
        pyxdf's streams by number.
    raw : dict of ndarray of float64, shape (n_samples,)
        Their stamps on their own clocks.

    Returns
    -------
    stamps : ndarray of float64, shape (n_times,)
    stimuli : list of (float, str)
        (onset, label), in order of time.
    decisions : list of (float, float, str)
        (onset of the event, when the answer came, what it was), in order of the events.

    Raises
    ------
    DatasetError
        The stamps of the EEG step back.
    """
    synced = loaded[eeg.id]["time_stamps"]
    shares = {s.id: _same_clock(eeg, s, loaded) for s in streams}
    if not _is_forward(raw[eeg.id]):  # the computer was started anew: its clock too
        shares = dict.fromkeys(shares, False)
    ours = {stream.id for stream in streams if stream.source_id.startswith(OUR_SOURCE_IDS)}
    stamps = raw[eeg.id] if all(share for number, share in shares.items() if number not in ours) else synced
    if not _is_forward(stamps):
        back = -float(np.diff(stamps).min())
        raise DatasetError(
            f"{path}: the stamps of the EEG step back by {back:.1f} s, and no clock offsets say by how much",
            f"steps back of at most {MAX_BACK_S:g} s",
            "record each start of the amplifier's computer in a file of its own",
        )
    stimuli: list[tuple[float, str]] = []
    decisions: list[tuple[float, float, str]] = []
    for stream in streams:
        times = raw[stream.id] if shares[stream.id] else loaded[stream.id]["time_stamps"]
        if shares[stream.id] and stamps is synced:
            times = times + np.interp(times, raw[eeg.id], synced - raw[eeg.id])
        elif not shares[stream.id] and stamps is not synced:
            times = times - np.interp(times, synced, synced - raw[eeg.id])
        values = [row[0] for row in loaded[stream.id]["time_series"]]
        if stream.id not in ours:
            stimuli += zip(times.tolist(), map(label_of, values), strict=True)
            continue
        for time, own, value in zip(times.tolist(), raw[stream.id].tolist(), values, strict=True):
            if (verdict := _verdict(value)) is not None:  # its onset is on the decoder's clock, as its own stamp is
                decisions.append((time - (own - verdict[0]), time, verdict[1]))
    if n_resets := sum(not label for _, label in stimuli):
        logger.info("%s: %d markers of 0, or empty, are no stimuli: a trigger line that goes back", path, n_resets)
    first, last = stamps[0] - MAX_OUTSIDE_S, stamps[-1] + MAX_OUTSIDE_S
    return (
        stamps,
        sorted((s for s in stimuli if not is_control(s[1]) and first < s[0] < last), key=lambda stimulus: stimulus[0]),
        sorted(decision for decision in decisions if first < decision[0] < last),
    )


def _verdict(text: str) -> tuple[float, str] | None:
    """Return the onset and the words of what a decoder said in JSON; None for anything else."""
    try:
        said = json.loads(text)
        onset = float(said["onset"])
        if said["type"] == "refusal":
            return onset, f"refusal/{said['reason']}"
        kind = {"retrieval": "decision", "provisional": "provisional"}[said["type"]]
        return onset, f"{kind}/{said['labels'][0]}"
    except (ValueError, TypeError, LookupError):
        return None


def _is_forward(stamps: NDArray[np.float64]) -> bool:
    return bool((np.diff(stamps) > -MAX_BACK_S).all())


def _same_clock(one: XDFStream, other: XDFStream, loaded: dict[int, Any]) -> bool:
    """Return whether two streams were stamped by one machine: one host name, and no other offset."""
    values = [loaded[stream.id]["clock_values"] for stream in (one, other)]
    apart = abs(np.median(values[0]) - np.median(values[1])) if all(values) else 0.0
    return bool(one.hostname) and one.hostname == other.hostname and bool(apart < SAME_CLOCK_S)
