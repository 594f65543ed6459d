"""Play a timeline as an amplifier would, never ahead of the clock: Timeline -> LSL streams EEG and Markers."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from necomimi.lsl import local_clock
from necomimi.markers import REPLAY_PREFIX
from necomimi.records import StreamInfo

from .timeline import Timeline

__all__ = ["GAP_S", "LOOP_MARKER", "MICROVOLTS_PER_VOLT", "Player", "SampleSink", "Summary", "stream_info"]

LOOP_MARKER = f"{REPLAY_PREFIX}loop"
GAP_S = 1.0  # recording time without samples at a seam of unknown length, so that no epoch crosses it unseen
LEAD_S = 0.2  # from the start of playing to the first sample: time to read it
BLOCK_S = 1.0  # recording time read ahead, in another thread: a slow disk delays nobody
MAX_OFF_BEAT_S = 1e-6
MAX_SLEEP_S = 0.05  # how soon a request to stop is heard
MICROVOLTS_PER_VOLT = 1e6


def stream_info(timeline: Timeline, name: str | None = None, speed: float = 1.0) -> StreamInfo:
    """Return the header of a timeline's EEG stream.

    Parameters
    ----------
    timeline : Timeline
    name : str, optional
        The timeline's own name by default.
    speed : float
        Its rate on the wire is ``sfreq * speed``, as the stamps say.
    """
    identity = hashlib.sha256(timeline.source.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return StreamInfo(
        name=name or timeline.name,
        type="EEG",
        source_id=f"necomimi-replay-{identity}",
        uid="",
        ch_names=timeline.ch_names,
        sfreq=timeline.sfreq * speed,
        units=timeline.units,
        ch_types=timeline.ch_types,
        applied=timeline.applied,
        speed=speed,
    )


@dataclass(slots=True)
class Summary:
    """What was sent.

    Parameters
    ----------
    n_samples, n_events, n_passes : int
        Samples, markers of the recording, and whole passes through it.
    worst_lateness : float
        Seconds by which a packet left after the stamp of its last sample, at worst.
    """

    n_samples: int = 0
    n_events: int = 0
    n_passes: int = 0
    worst_lateness: float = 0.0


class SampleSink(Protocol):
    """Takes samples: `necomimi.lsl.EEGOutlet`."""

    def push(self, samples: NDArray[np.float32], last_timestamp: float) -> None:
        """Send samples, shape (n_times, n_channels), the last one stamped."""


class MarkerSink(Protocol):
    """Takes markers: `necomimi.lsl.MarkerOutlet`."""

    def push(self, label: str, timestamp: float) -> None:
        """Send one marker."""


class Player:
    """Send a timeline at the pace of its own clock.

    A packet leaves when the stamp of its last sample has come, a marker when its own has. After a stall, all that is
    due leaves at once, with the stamps it would have had.

    Parameters
    ----------
    timeline : Timeline
    eeg : SampleSink
    markers : MarkerSink
    speed : float
        Seconds of the recording per second of the clock.
    chunk : int
        Samples a packet.
    loop : bool
        Begin again at the end, announced by the marker "replay/loop".
    should_stop : callable
        Asked all the time; true ends the playing.
    on_progress : callable
        Told the number of samples of each packet.
    clock, sleep : callable
        The clock of the stamps, and how to wait on it.
    """

    def __init__(
        self,
        timeline: Timeline,
        eeg: SampleSink,
        markers: MarkerSink,
        *,
        speed: float = 1.0,
        chunk: int = 1,
        loop: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int], None] = lambda n_samples: None,
        clock: Callable[[], float] = local_clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.timeline = timeline
        self.summary = Summary()
        self._eeg = eeg
        self._markers = markers
        self._speed = speed
        self._gap = GAP_S / speed
        self._chunk = chunk
        self._loop = loop
        self._should_stop = should_stop
        self._on_progress = on_progress
        self._clock = clock
        self._sleep = sleep
        is_scaled = np.array([unit == "microvolts" for unit in timeline.units])
        self._scale = np.where(is_scaled, MICROVOLTS_PER_VOLT, 1.0)

    def run(self) -> Summary:
        """Play to the end, or until asked to stop."""
        early = min([0.0, *(self.timeline.time_of(position) for position, _ in self.timeline.events[:1])])
        begin = self._clock() + LEAD_S - early / self._speed
        segments = self.timeline.segments()
        while True:
            for first, last in segments:
                lowest = -math.inf if first == 0 else first
                highest = math.inf if last == self.timeline.n_times else last
                events = [event for event in self.timeline.events if lowest <= event[0] < highest]
                if not self._play(first, last, events, begin):
                    return self.summary
                end = begin + (self.timeline.time_of(last) - self.timeline.time_of(first)) / self._speed
                begin = end + self._gap
            self.summary.n_passes += 1
            if not self._loop or not self._wait(end):
                return self.summary
            self._markers.push(LOOP_MARKER, end)

    def _play(self, first: int, last: int, events: list[tuple[float, str]], begin: float) -> bool:
        """Send the samples `first` to `last`, the first one stamped `begin`; return False when asked to stop."""
        start = self.timeline.time_of(first)
        n_sent_events = 0

        def stamp(position: float) -> float:
            return begin + (self.timeline.time_of(position) - start) / self._speed

        def send_events(stop: float) -> bool:
            nonlocal n_sent_events
            while n_sent_events < len(events) and events[n_sent_events][0] < stop:
                position, label = events[n_sent_events]
                if not self._wait(stamp(position)):
                    return False
                self._markers.push(label, stamp(position))
                self.summary.n_events += 1
                n_sent_events += 1
            return True

        for block_start, block in self._blocks(first, last):
            block_stop = block_start + len(block)
            position = block_start
            while position < block_stop:
                stop = self._packet_end(position, min(position + self._chunk, block_stop))
                if not send_events(stop) or not self._wait(stamp(stop - 1)):
                    return False
                self._eeg.push(block[position - block_start : stop - block_start], stamp(stop - 1))
                self.summary.n_samples += stop - position
                self.summary.worst_lateness = max(self.summary.worst_lateness, self._clock() - stamp(stop - 1))
                self._on_progress(stop - position)
                position = stop
        return send_events(math.inf)

    def _packet_end(self, start: int, stop: int) -> int:
        """Return where a packet from `start` must end: at `stop`, or before the first stamp that leaves the beat.

        A packet carries one stamp, its last sample's; the receiver counts back from it by the rate.
        """
        if self.timeline.stamps is None:
            return stop
        stamps = self.timeline.stamps[start:stop]
        off = np.abs(stamps - stamps[0] - np.arange(stop - start) / self.timeline.sfreq) > MAX_OFF_BEAT_S
        return start + int(np.argmax(off)) if off.any() else stop

    def _wait(self, until: float) -> bool:
        """Wait for a time on the clock; return False when asked to stop."""
        while not self._should_stop():
            remaining = until - self._clock()
            if remaining <= 0:
                return True
            self._sleep(min(remaining, MAX_SLEEP_S))
        return False

    def _blocks(self, first: int, last: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (first sample, samples on the wire, shape (n_times, n_channels)), one block read ahead."""
        n_packets = max(1, round(BLOCK_S * self.timeline.sfreq / self._chunk))
        starts = range(first, last, n_packets * self._chunk)
        with ThreadPoolExecutor(1, "replay-read") as executor:
            pending = executor.submit(self._read, first, min(first + starts.step, last))
            for start in starts:
                block = pending.result()
                ahead = start + starts.step
                if ahead < last:
                    pending = executor.submit(self._read, ahead, min(ahead + starts.step, last))
                yield start, block

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return samples as they go on the wire, shape (stop - start, n_channels)."""
        return np.ascontiguousarray((self.timeline.read(start, stop) * self._scale[:, None]).T, dtype=np.float32)
