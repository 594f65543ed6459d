"""Say in words what is being watched: silences, Status, EEGRing -> Source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from necomimi.records import SourceState, Status

from .eeg_ring import EEGRing
from .language import tr

__all__ = ["NO_EEG_S", "SILENT_S", "Source", "describe_source"]

SILENT_S = 2.5  # the decoder sends a Status every second
NO_EEG_S = 1.0
LATE_S = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """The state of what is being watched, in words.

    Parameters
    ----------
    level : {"waiting", "live", "trouble"}
    headline, detail : str
    """

    level: Literal["waiting", "live", "trouble"]
    headline: str
    detail: str


def describe_source(
    now: float, silence: float | None, eeg_silence: float | None, status: Status | None, eeg: EEGRing | None
) -> Source:
    """Return the state of what is watched.

    Parameters
    ----------
    now : float
        Seconds on the LSL clock.
    silence, eeg_silence : float or None
        Seconds since anything, and since EEG, has come from the decoder; None before the first.
    status : Status or None
        What the decoder last said of itself.
    eeg : EEGRing or None
    """
    if silence is None:
        detail = tr("start one with: necomimi decode DECODER")
        return Source("waiting", tr("waiting for the decoder"), detail)
    if silence > SILENT_S:
        detail = tr("the decoder is silent; waiting for it to come back")
        return Source("trouble", tr("no data for {n:.0f} s", n=silence), detail)
    if status is not None and status.state != "LIVE":
        return Source("waiting" if eeg_silence is None else "trouble", _state_words(status.state), status.message)
    if eeg_silence is None or eeg is None or eeg.newest is None:
        return Source("waiting", tr("waiting for EEG"), tr("the decoder is there, no samples yet"))
    if eeg_silence > NO_EEG_S:
        detail = tr("the decoder is there, its source is silent")
        return Source("trouble", tr("no EEG for {n:.0f} s", n=eeg_silence), detail)
    age = now - eeg.newest
    if age > LATE_S:
        detail = tr("the decoder or this window does not keep up")
        return Source("trouble", tr("EEG is {n:.1f} s old", n=age), detail)
    info = eeg.info
    detail = tr("{name} · {n} channels · {sfreq:g} Hz", name=info.name, n=len(info.ch_names), sfreq=info.sfreq)
    if status is not None and (status.drift_ppm or status.jitter_ms):
        drift = f"{round(status.drift_ppm):+d}".replace("-", "−")  # of a whole number: there is no −0
        detail += tr(" · drift {drift} ppm · jitter {jitter:.1f} ms", drift=drift, jitter=status.jitter_ms)
    return Source("live", tr("live"), detail)


def _state_words(state: SourceState) -> str:
    """Return the state of a source that is not live, in words."""
    match state:
        case "SEARCHING":
            return tr("source searching")
        case "OPENING":
            return tr("source opening")
        case "CHECKING":
            return tr("source checking")
        case "STALE":
            return tr("source stale")
        case _:
            return tr("source lost")
