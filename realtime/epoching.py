"""Cut an epoch around each event: Chunk, Event -> Epoch or Refusal.

Each event ends in exactly one verdict. Markers may come before or after the data they point at, and in any order.
Unfinished epochs for provisional answers come before the verdict, and change nothing about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from necomimi.clock import Cause, SampleClock, Segment
from necomimi.preprocessing import Preprocessor
from necomimi.records import Chunk, Epoch, Event, Reason, Refusal, StreamInfo

from .ring import Ring
from .signal_check import Limits, check_signal

__all__ = ["Epocher", "last_sample_time"]

RING_S = 30.0
PATIENCE_S = 30.0  # samples that have not come so long after an epoch's end will not come
MAX_PENDING = 4096
MAX_AHEAD_S = 60.0  # a marker further in the future than this points at no data of this run


def last_sample_time(epoch: Epoch) -> float:
    """Return when the last sample of an epoch was taken, in seconds on the local clock."""
    n_times: int = epoch.data.shape[1]
    return epoch.event.onset + (epoch.tmin + (n_times - 1) / epoch.sfreq) / epoch.info.speed


@dataclass(slots=True)
class _Waiting:
    """An event that waits for its samples.

    Parameters
    ----------
    event : Event
    due : float
        When its next samples can be there at the earliest, in seconds on the local clock.
    known : int
        The clock's `end` when the event came.
    n_early : int
        Unfinished epochs that were given or passed over.
    """

    event: Event
    due: float
    known: int
    n_early: int = 0


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
    early : sequence of float
        Ends of unfinished epochs that are wanted, in ascending seconds from the onset.
    """

    def __init__(
        self,
        preprocessor: Preprocessor,
        info: StreamInfo,
        limits: Limits | None = None,
        early: Sequence[float] = (),
    ) -> None:
        self.limits = limits or Limits()
        self.info = info
        self.sfreq = info.sfreq / info.speed
        self.tmin, self.n_times = preprocessor.window(self.sfreq, info.applied)
        self.early = tuple((until, preprocessor.window(self.sfreq, info.applied, until)[1]) for until in early)
        self._offset = round(self.tmin * self.sfreq)
        self.ring = Ring(len(info.ch_names), max(round(RING_S * info.sfreq), 4 * self.n_times))
        self.clock = SampleClock(info.sfreq)
        self._pending: list[_Waiting] = []

    @property
    def n_pending(self) -> int:
        """Events that wait for their data."""
        return len(self._pending)

    @property
    def tmax(self) -> float:
        """Time of an epoch's last sample, in seconds of the recording from the onset."""
        return self.tmin + (self.n_times - 1) / self.sfreq

    def add_chunk(self, chunk: Chunk, cause: Cause = "gap") -> None:
        """Take in samples; any `cause` but "gap" draws a border that no epoch may cross before them."""
        before = self.clock.segments[-1] if self.clock.segments else None
        self.clock.add(self.ring.end, chunk.timestamps, cause)
        self.ring.write(chunk.data)
        if self.clock.segments[-1] is not before:  # what waits across the border can be refused at once
            for waiting in self._pending:
                waiting.due = -math.inf
        self.clock.forget_before(self.ring.first)

    def add_event(self, event: Event) -> list[Refusal]:
        """Take in an event; returns its refusal at once where there can be no other verdict."""
        if len(self._pending) >= MAX_PENDING:
            return [Refusal(event=event, reason="overrun", detail=f"{MAX_PENDING} events wait already")]
        if event.onset > max(self.clock.newest, 0.0) + MAX_AHEAD_S and self.ring.end:
            ahead = event.onset - self.clock.newest
            return [Refusal(event=event, reason="incomplete", detail=f"the marker points {ahead:.1f} s ahead")]
        if self.clock.is_twofold(event.onset):
            detail = "the sender's clock was set back: two stretches of signal bear this time"
            return [Refusal(event=event, reason="seam", detail=detail)]
        self._pending.append(_Waiting(event, -math.inf, self.clock.end))
        return []

    def poll(self, now: float = -math.inf) -> list[Epoch | Refusal]:
        """Return the verdicts that are due, in the order of the events, and the unfinished epochs.

        Parameters
        ----------
        now : float
            Seconds on the local clock. Events whose samples are overdue by `PATIENCE_S` are refused.
        """
        verdicts: list[Epoch | Refusal] = []
        pending = []
        newest = self.clock.newest
        for waiting in self._pending:
            if newest < waiting.due and now < waiting.due + PATIENCE_S:
                pending.append(waiting)
                continue
            found = self._judge(waiting, now)
            if found is not None:
                verdicts.append(found)
            if found is None or (isinstance(found, Epoch) and found.until is not None):
                pending.append(waiting)
        self._pending = pending
        return verdicts

    def flush(self, detail: str) -> list[Refusal]:
        """Refuse every event that still waits."""
        refusals = [Refusal(event=waiting.event, reason="incomplete", detail=detail) for waiting in self._pending]
        self._pending = []
        return refusals

    def _judge(self, waiting: _Waiting, now: float) -> Epoch | Refusal | None:
        """Return the verdict on one event, an unfinished epoch, or None while samples are still to come."""
        event = waiting.event
        overdue = now - event.onset - self.tmax / self.info.speed - PATIENCE_S
        if overdue > 0 and self.clock.newest < event.onset + self.tmax / self.info.speed:
            return Refusal(event=event, reason="incomplete", detail=f"its samples did not come within {PATIENCE_S:g} s")
        if not self.clock.segments:
            return None
        found = self.clock.segment_at(event.onset, waiting.known)
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
                return self._begin(waiting, segment, start)
            assert after.cause != "start"
            return Refusal(event=event, reason=after.cause, detail=_hole(after.n_missing))
        if start < self.ring.first:
            late = (self.ring.first - start) / self.info.sfreq
            return Refusal(event=event, reason="late", detail=f"its samples left the ring {late:.2f} s ago")
        return self._cut(event, start, stop)

    def _begin(self, waiting: _Waiting, segment: Segment, start: int) -> Epoch | None:
        """Return the longest unfinished epoch that is wanted and there, or None; say when to look again."""
        stops = [start + n_times for _, n_times in self.early] + [start + self.n_times]
        n_there = sum(stop <= segment.end for stop in stops)
        # Half a sample early: `newest` moves with the fit, and looking once too often is cheap.
        waiting.due = segment.time_of(stops[n_there] - 1.5)
        if n_there <= waiting.n_early or start < self.ring.first:
            return None
        waiting.n_early = n_there
        found = self._cut(waiting.event, start, stops[n_there - 1], self.early[n_there - 1][0])
        return found if isinstance(found, Epoch) else None  # its refusal comes with the whole epoch

    def _cut(self, event: Event, start: int, stop: int, until: float | None = None) -> Epoch | Refusal:
        """Return samples `start` to `stop` as an epoch, or the refusal of a signal that cannot be decoded."""
        data = self.ring.read(start, stop)
        problem = check_signal(data, self.limits)
        if problem is not None:
            return Refusal(event=event, reason=problem[0], detail=problem[1])
        data.flags.writeable = False
        return Epoch(event=event, data=data, tmin=self.tmin, sfreq=self.sfreq, info=self.info, until=until)


def _hole(n_missing: int) -> str:
    return f"{n_missing} samples are missing" if n_missing else "the signal breaks off"
