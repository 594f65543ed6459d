"""Cut an epoch around each event: Chunk, Event -> Epoch or Refusal.

Each event ends in exactly one verdict. Markers may come before or after the data they point at, and in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from necomimi.preprocessing import Preprocessor
from necomimi.records import Chunk, Epoch, Event, Reason, Refusal, StreamInfo

from .clock import Cause, SampleClock
from .ring import Ring

__all__ = ["Epocher", "Limits", "check_signal", "last_sample_time"]

RING_S = 30.0
MAX_PENDING = 4096
MAX_AHEAD_S = 60.0  # a marker further in the future than this points at no data of this run


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a whole epoch is refused for its signal.

    Parameters
    ----------
    amplitude : float
        Largest peak-to-peak in volts of any channel; infinite by default.
    flat : float
        A channel whose peak-to-peak in volts is at most this is flat.
    max_flat : float
        Largest share of flat channels.
    """

    amplitude: float = float("inf")
    flat: float = 0.0
    max_flat: float = 0.25


def check_signal(data: NDArray[np.float32], limits: Limits) -> tuple[Reason, str] | None:
    """Return why an epoch's signal cannot be decoded, or None.

    Parameters
    ----------
    data : ndarray of float32, shape (n_channels, n_times)
        Volts.
    limits : Limits
    """
    low, high = data.min(axis=1), data.max(axis=1)
    span = high - low
    bad = ~np.isfinite(span)  # an infinity or NaN anywhere in the channel shows in its extremes
    if bad.any():
        return "non-finite", f"{bad.sum()} of {len(span)} channels hold samples that are not finite"
    n_flat = int((span <= limits.flat).sum())
    if n_flat > limits.max_flat * len(span):
        return "flat", f"{n_flat} of {len(span)} channels are flat"
    if span.max() > limits.amplitude:
        return "amplitude", f"{span.max() * 1e6:.0f} µV peak to peak, limit {limits.amplitude * 1e6:.0f} µV"
    return None


def last_sample_time(epoch: Epoch) -> float:
    """Return when the last sample of an epoch was taken, in seconds on the local clock."""
    return epoch.event.onset + (epoch.tmin + (epoch.data.shape[1] - 1) / epoch.sfreq) / epoch.info.speed


class Epocher:
    """Hold the signal and the events that wait for it.

    Parameters
    ----------
    preprocessor : Preprocessor
        Says what to cut.
    info : StreamInfo
        The stream in the model's channels. Its rate is samples a second on the wire; a replay at another speed than 1
        covers ``sfreq / speed`` samples a second of the recording.
    limits : Limits
    """

    def __init__(self, preprocessor: Preprocessor, info: StreamInfo, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.info = info
        self.sfreq = info.sfreq / info.speed
        self.tmin, self.n_times = preprocessor.window(self.sfreq, info.applied)
        self._offset = round(self.tmin * self.sfreq)
        self.ring = Ring(len(info.ch_names), max(round(RING_S * info.sfreq), 4 * self.n_times))
        self.clock = SampleClock(info.sfreq)
        self._pending: list[Event] = []

    @property
    def n_pending(self) -> int:
        """Events that wait for their data."""
        return len(self._pending)

    def add_chunk(self, chunk: Chunk, cause: Cause = "gap") -> None:
        """Take in samples; any `cause` but "gap" draws a border that no epoch may cross before them."""
        self.clock.add(self.ring.end, chunk.timestamps, cause)
        self.ring.write(chunk.data)
        self.clock.forget_before(self.ring.first)

    def add_event(self, event: Event) -> list[Refusal]:
        """Take in an event; returns its refusal at once where there can be no other verdict."""
        if len(self._pending) >= MAX_PENDING:
            return [Refusal(event=event, reason="overrun", detail=f"{MAX_PENDING} events wait already")]
        if event.onset > max(self.clock.newest, 0.0) + MAX_AHEAD_S and self.ring.end:
            ahead = event.onset - self.clock.newest
            return [Refusal(event=event, reason="incomplete", detail=f"the marker points {ahead:.1f} s ahead")]
        self._pending.append(event)
        return []

    def poll(self) -> list[Epoch | Refusal]:
        """Return the verdicts that are due, in the order of the events."""
        verdicts: list[Epoch | Refusal] = []
        waiting = []
        for event in self._pending:
            verdict = self._judge(event)
            if verdict is None:
                waiting.append(event)
            else:
                verdicts.append(verdict)
        self._pending = waiting
        return verdicts

    def flush(self, detail: str) -> list[Refusal]:
        """Refuse every event that still waits."""
        refusals = [Refusal(event=event, reason="incomplete", detail=detail) for event in self._pending]
        self._pending = []
        return refusals

    def _judge(self, event: Event) -> Epoch | Refusal | None:
        """Return the verdict on one event, or None while its data are still to come."""
        if not self.clock.segments:
            return None
        found = self.clock.segment_at(event.onset)
        if found is None:
            oldest = self.clock.segments[0]
            if oldest.cause == "start":
                return Refusal(event=event, reason="incomplete", detail="the onset lies before the stream began")
            return Refusal(event=event, reason="late", detail="the onset is older than the ring")
        segment, after = found
        start = segment.index_of(event.onset) + self._offset
        stop = start + self.n_times
        if start < segment.first:
            reason: Reason = "incomplete" if segment.cause == "start" else segment.cause
            return Refusal(event=event, reason=reason, detail="the epoch begins before the signal does")
        if stop > segment.end:
            if after is None:
                return None
            assert after.cause != "start"
            return Refusal(event=event, reason=after.cause, detail=_hole(after.n_missing))
        if start < self.ring.first:
            late = (self.ring.first - start) / self.info.sfreq
            return Refusal(event=event, reason="late", detail=f"its samples left the ring {late:.2f} s ago")
        data = self.ring.read(start, stop)
        problem = check_signal(data, self.limits)
        if problem is not None:
            return Refusal(event=event, reason=problem[0], detail=problem[1])
        data.flags.writeable = False
        return Epoch(event=event, data=data, tmin=self.tmin, sfreq=self.sfreq, info=self.info)


def _hole(n_missing: int) -> str:
    return f"{n_missing} samples are missing" if n_missing else "the signal breaks off"
