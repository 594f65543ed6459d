"""What there is to play: signals, events and seams on one clock of samples -> Timeline."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError, DatasetError

__all__ = ["Timeline", "concatenate", "duration_text", "lay_end_to_end", "positions"]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A recording, ready to be played.

    Parameters
    ----------
    name : str
        What it is called on the network.
    source : str
        What it was made from: the same text gives the same LSL source_id.
    description : str
        What was found, in words.
    ch_names, ch_types : tuple of str, length n_channels
        Types in capitals: "EEG", "EOG", "STIM", ...
    units : tuple of str, length n_channels
        Unit on the wire: "microvolts" (the signal is in volts and will be scaled), or another (sent as it is).
    sfreq : float
        Hz.
    n_times : int
        Samples.
    events : tuple of (float, str)
        (position, label), in order of time. A position is a number of samples; it may lie between two samples, and,
        where the recording has stamps, before the first and after the last.
    read : callable
        ``read(start, stop)`` gives samples `start` to `stop` (exclusive), shape (n_channels, stop - start), in volts.
    applied : tuple of str
        Preprocessing steps already done.
    seams : tuple of int
        Samples before which the recording was interrupted for an unknown time.
    stamps : ndarray of float64, shape (n_times,), optional
        Seconds of each sample from the first, where they are known: holes and jitter are played as they were.
    """

    name: str
    source: str
    description: str
    ch_names: tuple[str, ...]
    ch_types: tuple[str, ...]
    units: tuple[str, ...]
    sfreq: float
    n_times: int
    events: tuple[tuple[float, str], ...]
    read: Callable[[int, int], NDArray[np.floating]] = field(repr=False)
    applied: tuple[str, ...] = ()
    seams: tuple[int, ...] = ()
    stamps: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def duration(self) -> float:
        """Length in seconds of the recording."""
        return self.time_of(self.n_times)

    def time_of(self, position: float) -> float:
        """Return the seconds from the first sample to a position, which need not be a whole number of samples."""
        if self.stamps is None:
            return position / self.sfreq
        k = min(max(math.floor(position), 0), self.n_times - 1)
        if position < 0 or k == self.n_times - 1:
            return float(self.stamps[k]) + (position - k) / self.sfreq
        return float(self.stamps[k] + (position - k) * (self.stamps[k + 1] - self.stamps[k]))

    def segments(self) -> list[tuple[int, int]]:
        """Return the uninterrupted stretches, as (first sample, one after the last)."""
        return list(pairwise((0, *self.seams, self.n_times)))

    def crop(self, start: float | None, stop: float | None) -> Timeline:
        """Return the part from `start` to `stop` seconds, without the events outside.

        Raises
        ------
        ConfigError
            The part is empty or outside of the recording.
        DatasetError
            No event is left.
        """
        begin = 0 if start is None else self._sample_at(start)
        end = self.n_times if stop is None else min(self._sample_at(stop), self.n_times)
        if not 0 <= begin < end:
            raise ConfigError(
                f"--start {start if start is not None else 0:g} --stop {stop if stop is not None else self.duration:g}",
                f"seconds with 0 <= start < stop, in a recording of {self.duration:.1f} s",
            )
        lowest = -math.inf if start is None else begin
        highest = math.inf if end == self.n_times else end
        events = tuple((position - begin, label) for position, label in self.events if lowest <= position < highest)
        if not events:
            onsets = [self.time_of(position) for position, _ in self.events]
            raise DatasetError(
                f"no event from {self.time_of(begin):.1f} to {self.time_of(end):.1f} s",
                f"some of the recording's {len(onsets)} events"
                + (f", which lie from {min(onsets):.1f} to {max(onsets):.1f} s" if onsets else ""),
                "move --start and --stop",
            )
        read = self.read
        return replace(
            self,
            n_times=end - begin,
            events=events,
            read=lambda first, last: read(first + begin, last + begin),
            seams=tuple(seam - begin for seam in self.seams if begin < seam < end),
            stamps=None if self.stamps is None else self.stamps[begin:end] - self.stamps[begin],
        )

    def _sample_at(self, time: float) -> int:
        """Return the first sample at or after a time in seconds."""
        if self.stamps is None:
            return round(time * self.sfreq)
        return int(np.searchsorted(np.maximum.accumulate(self.stamps), time)) if time >= 0 else -1


def positions(stamps: NDArray[np.float64], sfreq: float, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions between samples that `Timeline.time_of` turns back into `times`.

    Parameters
    ----------
    stamps : ndarray of float64, shape (n_times,)
        Seconds from the first sample.
    sfreq : float
        Hz, by which to go on beyond the first and the last sample.
    times : ndarray of float64, shape (n_events,)
        Seconds from the first sample.
    """
    latest = np.searchsorted(np.maximum.accumulate(stamps), times, side="right") - 1
    k = np.clip(latest, 0, len(stamps) - 1)
    after = np.minimum(k + 1, len(stamps) - 1)
    inside = (latest >= 0) & (after > k)
    step = np.where(inside, stamps[after] - stamps[k], 1.0 / sfreq)
    return k + (times - stamps[k]) / step


def concatenate(parts: Sequence[Timeline], *, name: str, source: str, description: str) -> Timeline:
    """Return recordings of the same channels, without stamps, one after another, with a seam between each two.

    Raises
    ------
    DatasetError
        Channels or rates differ.
    """
    first = parts[0]
    for part in parts[1:]:
        if (part.ch_names, part.sfreq) != (first.ch_names, first.sfreq):
            raise DatasetError(
                f"{part.name} has {len(part.ch_names)} channels at {part.sfreq:g} Hz in another order or rate than "
                f"{first.name} ({len(first.ch_names)} at {first.sfreq:g} Hz)",
                "the same channels in every session",
                "choose one with --session",
            )
    starts = [0, *np.cumsum([part.n_times for part in parts]).tolist()]

    def read(start: int, stop: int) -> NDArray[np.floating]:
        i = bisect_right(starts, start) - 1
        blocks = []
        while start < stop:
            end = min(stop, starts[i + 1])
            blocks.append(parts[i].read(start - starts[i], end - starts[i]))
            start, i = end, i + 1
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    return replace(
        first,
        name=name,
        source=source,
        description=description,
        n_times=starts[-1],
        events=tuple(
            (s + begin, label) for part, begin in zip(parts, starts, strict=False) for s, label in part.events
        ),
        read=read,
        seams=tuple(starts[1:-1]),
    )


def lay_end_to_end(
    epoch: Callable[[int], NDArray[np.floating]],
    labels: Sequence[str],
    *,
    n_times: int,
    start: float,
    name: str,
    source: str,
    description: str,
    ch_names: tuple[str, ...],
    sfreq: float,
) -> Timeline:
    """Return whitened epochs as one signal, the marker at each epoch's onset.

    Parameters
    ----------
    epoch : callable
        ``epoch(i)`` gives epoch `i`, shape (n_channels, n_times).
    labels : sequence of str
        One per epoch.
    n_times : int
        Samples an epoch.
    start : float
        Time of an epoch's first sample, in seconds from its onset.
    name, source, description, ch_names, sfreq
        As in `Timeline`.
    """
    offset = round(start * sfreq)
    lead_in = max(0, offset)  # silence, where the first onset lies before the first epoch

    def read(begin: int, end: int) -> NDArray[np.floating]:
        block = np.zeros((len(ch_names), end - begin), dtype=np.float32)
        for i in range(max(0, begin - lead_in) // n_times, min(len(labels), -((lead_in - end) // n_times))):
            first = lead_in + i * n_times
            a, b = max(begin, first), min(end, first + n_times)
            if a < b:
                block[:, a - begin : b - begin] = epoch(i)[:, a - first : b - first]
        return block

    return Timeline(
        name=name,
        source=source,
        description=description,
        ch_names=ch_names,
        ch_types=("EEG",) * len(ch_names),
        units=("volts",) * len(ch_names),  # whitened signals have no unit: this one lets nobody scale them
        sfreq=sfreq,
        n_times=lead_in + len(labels) * n_times,
        events=tuple((lead_in + i * n_times - offset, label) for i, label in enumerate(labels)),
        read=read,
        applied=("baseline", "resample", "whiten"),
    )


def duration_text(seconds: float) -> str:
    """Return a length of time for people: 4.2 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
