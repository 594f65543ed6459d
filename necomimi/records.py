"""The records that flow from amplifier to screen: Chunk, Event -> Epoch -> Embedding -> Retrieval | Refusal.

Arrays are owned by their record and read-only. Signals are channels first, in volts; times are seconds on the local LSL
clock. Everything from Epoch on carries its Event, so that no rejection, batching or drop can mislabel a decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "STEPS",
    "Chunk",
    "Embedding",
    "Epoch",
    "Event",
    "GeneratedImage",
    "Reason",
    "Refusal",
    "Retrieval",
    "SourceState",
    "Status",
    "StreamInfo",
    "stated_speed",
    "stated_steps",
]

STEPS = ("baseline", "resample", "whiten")  # of preprocessing, in their order

Reason = Literal[
    "gap", "reconnect", "seam", "overrun", "late", "incomplete", "flat", "non-finite", "amplitude", "reference lost"
]
SourceState = Literal["SEARCHING", "OPENING", "CHECKING", "LIVE", "STALE", "LOST"]


def _own(record: object, name: str, dtype: type, ndim: int) -> NDArray[Any]:
    """Check an array field's rank, cast it to `dtype`, and make it read-only."""
    array = np.asarray(getattr(record, name))
    if array.ndim != ndim:
        raise ValueError(f"{type(record).__name__}.{name} has shape {array.shape}, expected {ndim} dimension(s)")
    if array.dtype != dtype or array.flags.writeable:
        array = np.array(array, dtype=dtype)
        array.flags.writeable = False
    object.__setattr__(record, name, array)
    return array


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What an LSL stream says of itself.

    Parameters
    ----------
    name, type, source_id, uid : str
        LSL identity: `source_id` is the device, `uid` the running instance.
    ch_names : tuple of str
        Channel labels, in stream order.
    sfreq : float
        Nominal sampling rate in Hz, in samples a second of the local clock; 0 for irregular streams.
    units : tuple of str
        One unit per channel as the header spells it ("" where it is silent).
    ch_types : tuple of str
        One type per channel as the header spells it ("" where it is silent).
    applied : tuple of str
        Preprocessing steps already done to the data ("baseline", "resample", "whiten"); see
        `necomimi.preprocessing`. A decoder does none of them twice.
    speed : float
        How many times faster than life a player sends a recording; 1 for an amplifier. Stamps and `sfreq` are true of
        the wire, so the recording's own rate is ``sfreq / speed``.
    warnings : tuple of str
        What a reader of decisions must know of the signal: channels that are interpolated, a unit that was guessed.
    """

    name: str
    type: str
    source_id: str
    uid: str
    ch_names: tuple[str, ...]
    sfreq: float
    units: tuple[str, ...]
    ch_types: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    speed: float = 1.0
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("units", "ch_types"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.ch_names):
                raise ValueError(
                    f"StreamInfo.{name} has {len(getattr(self, name))} entries for {len(self.ch_names)} channels"
                )


def stated_steps(text: str) -> tuple[str, ...]:
    """Return the preprocessing steps that a header states as done; other words are passed over."""
    return tuple(step for step in text.split() if step in STEPS)


def stated_speed(text: str) -> float:
    """Return the speed that a player's header states; 1 where it is silent or makes no sense."""
    try:
        speed = float(text)
    except ValueError:
        return 1.0
    return speed if 0 < speed < math.inf else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Consecutive samples of one stream.

    Parameters
    ----------
    data : ndarray of float32, shape (n_channels, n_times)
        Samples in volts.
    timestamps : ndarray of float64, shape (n_times,)
        Seconds on the local LSL clock.
    info : StreamInfo
        The stream they came from.
    """

    data: NDArray[np.float32]
    timestamps: NDArray[np.float64]
    info: StreamInfo

    def __post_init__(self) -> None:
        data = _own(self, "data", np.float32, 2)
        timestamps = _own(self, "timestamps", np.float64, 1)
        if data.shape != (len(self.info.ch_names), len(timestamps)):
            raise ValueError(
                f"Chunk.data has shape {data.shape}, expected ({len(self.info.ch_names)} channels, "
                f"{len(timestamps)} timestamps)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One stimulus onset.

    Parameters
    ----------
    onset : float
        Seconds on the local LSL clock.
    label : str
        What the marker said.
    code : int
        Running number of the event in this run, from 0; unique.
    """

    onset: float
    label: str
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """The signal around one event.

    Parameters
    ----------
    event : Event
    data : ndarray of float32, shape (n_channels, n_times)
        Samples in volts, first sample at ``event.onset + tmin``.
    tmin : float
        Seconds from the onset to the first sample.
    sfreq : float
        Sampling rate in Hz.
    info : StreamInfo
    until : float or None
        Seconds from the onset at which an unfinished epoch ends; None for a whole one.
    """

    event: Event
    data: NDArray[np.float32]
    tmin: float
    sfreq: float
    info: StreamInfo
    until: float | None = None

    def __post_init__(self) -> None:
        _own(self, "data", np.float32, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An event that was not decoded, and why.

    Parameters
    ----------
    event : Event
    reason : str
        One of `Reason`.
    detail : str
        The figures behind the reason, in words.
    """

    event: Event
    reason: Reason
    detail: str = ""

    def __post_init__(self) -> None:
        if self.reason not in get_args(Reason):
            raise ValueError(f"Refusal.reason is {self.reason!r}, expected one of {', '.join(get_args(Reason))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One event in an embedder's space.

    Parameters
    ----------
    event : Event
    vector : ndarray of float32, shape (n_dims,)
    space : str
        The embedder whose space this is, for example "open_clip:ViT-H-14/laion2b_s32b_b79k".
    """

    event: Event
    vector: NDArray[np.float32]
    space: str

    def __post_init__(self) -> None:
        _own(self, "vector", np.float32, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """What the gallery answers for one event.

    Parameters
    ----------
    event : Event
    labels : tuple of str, length k
        Best first.
    scores : ndarray of float32, shape (k,)
        Probabilities, descending.
    n_averaged : int
        Presentations behind this answer.
    until : float or None
        Seconds from the onset of the signal behind a provisional answer, which a later one replaces; None for the
        final answer.
    sure : bool
        Whether the best label's probability has reached the threshold at which it may be announced.
    warnings : tuple of str
        As in `StreamInfo`.
    latency_ms : mapping of str to float
        Milliseconds per step; "total" runs from the stamp of the last needed sample to the published decision.
    """

    event: Event
    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    n_averaged: int = 1
    until: float | None = None
    sure: bool = False
    warnings: tuple[str, ...] = ()
    latency_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scores = _own(self, "scores", np.float32, 1)
        if len(scores) != len(self.labels):
            raise ValueError(f"Retrieval has {len(self.labels)} labels and {len(scores)} scores")
        if np.any(np.diff(scores) > 0):
            raise ValueError("Retrieval.scores must descend")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedImage:
    """A picture painted from one event.

    Parameters
    ----------
    event : Event
    pixels : ndarray of uint8, shape (height, width, 3)
        RGB.
    seed : int
    stage : {"one-stage", "two-stage"}
        Whether the generator was given the EEG embedding itself, or what the prior makes of it.
    generator : str
        Its name.
    preview : bool
        Whether a finer picture of the same event may follow.
    n_averaged : int
        Presentations behind the embedding.
    latency_ms : mapping of str to float
        Milliseconds per step: "wait" until the painter was free, "paint", "after_retrieval" from the published
        decision, and "total" from the stamp of the last needed sample.
    """

    event: Event
    pixels: NDArray[np.uint8]
    seed: int
    stage: Literal["one-stage", "two-stage"]
    generator: str = ""
    preview: bool = False
    n_averaged: int = 1
    latency_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pixels = _own(self, "pixels", np.uint8, 3)
        if not pixels.size or pixels.shape[2] != 3:
            raise ValueError(f"GeneratedImage.pixels has shape {pixels.shape}, expected (height, width, 3)")
        if self.stage not in ("one-stage", "two-stage"):
            raise ValueError(f"GeneratedImage.stage is {self.stage!r}, expected 'one-stage' or 'two-stage'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """State of the live chain, published about once a second and at each change of state.

    Parameters
    ----------
    state : str
        State of the EEG source, one of `SourceState`.
    message : str
        The state in words.
    sfreq : float
        Nominal rate in Hz.
    n_samples, n_missing : int
        Samples received, and samples known to be missing.
    n_events, n_retrievals, n_refusals, n_pending : int
        ``n_events == n_retrievals + n_refusals + n_pending``; provisional answers are not counted.
    refusals : mapping of str to int
        Count per reason.
    lag_s : float
        Age of the newest sample in seconds.
    latency_ms : mapping of str to mapping of str to float
        Per step: {"p50", "p95", "p99"}; "preview" and "picture" run from the published decision.
    n_classes : int
        Size of the gallery in labels.
    n_pictures, n_pictures_dropped : int
        Final answers that were painted, and those that were not, or only coarsely, because a newer one came or the
        painter failed.
    tmin, tmax : float
        First and last second of an epoch, from the onset.
    drift_ppm : float
        How much faster than its nominal rate the amplifier runs, in parts per million.
    jitter_ms : float
        Mean distance of the stamps from an even beat.
    cpu_percent : mapping of str to float
        Share of a core per thread ("acquisition", "decode", "paint") since the last status.
    warnings : tuple of str
        What needs a person: an old newest sample, a marker stream that is away, and the stream's own warnings.
    """

    state: SourceState
    message: str
    sfreq: float
    n_samples: int
    n_missing: int
    n_events: int
    n_retrievals: int
    n_refusals: int
    n_pending: int
    refusals: Mapping[str, int]
    lag_s: float
    latency_ms: Mapping[str, Mapping[str, float]]
    n_classes: int
    n_pictures: int = 0
    n_pictures_dropped: int = 0
    tmin: float = 0.0
    tmax: float = 0.0
    drift_ppm: float = 0.0
    jitter_ms: float = 0.0
    cpu_percent: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
