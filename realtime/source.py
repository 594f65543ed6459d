"""Find, open, check and watch the streams of one session: LSL -> Chunk, markers, SourceState.

::

    SEARCHING -> OPENING -> CHECKING -> LIVE <-> STALE
        ^                      |          |        |
        +-------- LOST <-------+----------+--------+

A stream that comes back is opened by its source_id and checked again, because a sender may return with other channels.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from necomimi.errors import NecomimiError, StreamLostError, StreamNotFoundError
from necomimi.lsl import EEGInlet, Finder, MarkerInlet, describe, find_stream
from necomimi.montage import ChannelMap, match_channels
from necomimi.records import Chunk, SourceState, StreamInfo

from .clock import Cause
from .outlets import DECISIONS_SOURCE_ID

__all__ = ["LSLSource", "Pulled", "Source", "StreamChoice"]

logger = logging.getLogger(__name__)

STALE_S = 0.5
CLOCK_REFRESH_S = 5.0
MAX_MARKERS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChoice:
    """Which stream to take; None matches anything."""

    type: str | None = None
    name: str | None = None
    source_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What one pull brought.

    Parameters
    ----------
    chunk : Chunk or None
        Samples in the model's channels, in volts.
    cause : str
        "reconnect" where the chunk is the first one after the stream came back.
    markers : tuple of (str, float)
        Labels and their times on the local clock.
    """

    chunk: Chunk | None = None
    cause: Cause = "gap"
    markers: tuple[tuple[str, float], ...] = ()


class Source(Protocol):
    """Where signal and markers come from; the one seam at which the world is swapped."""

    state: SourceState
    message: str

    @property
    def info(self) -> StreamInfo:
        """The stream in the model's channels."""

    def pull(self, timeout: float) -> Pulled:
        """Return what has come, waiting up to `timeout` seconds for the first sample."""

    def close(self) -> None:
        """Let go of the streams."""


@dataclass(kw_only=True)
class LSLSource:
    """An EEG stream and a marker stream on LSL.

    Parameters
    ----------
    ch_names : tuple of str
        The model's channels.
    check : callable
        Given the stream's info, raises where it cannot serve.
    eeg, markers : StreamChoice
    unit : str or None
        Overrides the header's units.
    on_state : callable
        Told (state, message) at each change.
    """

    ch_names: tuple[str, ...]
    check: Callable[[StreamInfo], None]
    eeg: StreamChoice = field(default_factory=lambda: StreamChoice(type="EEG"))
    markers: StreamChoice = field(default_factory=lambda: StreamChoice(type="Markers"))
    unit: str | None = None
    on_state: Callable[[SourceState, str], None] = lambda state, message: None

    def __post_init__(self) -> None:
        self.state: SourceState = "SEARCHING"
        self.message = "looking for the streams"
        self._inlet: EEGInlet | None = None
        self._channels: ChannelMap | None = None
        self._cause: Cause = "gap"
        self._finder: Finder | None = None
        self._refused: set[str] = set()  # instances not to be opened (again)
        self._last_arrival = time.monotonic()
        self._marker_reader: _MarkerReader | None = None

    @property
    def info(self) -> StreamInfo:
        """The stream in the model's channels."""
        assert self._channels is not None, "open() first"
        return self._channels.info

    def open(self, timeout: float, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Find, open and check both streams.

        Raises
        ------
        StreamNotFoundError
            A stream is not in reach within `timeout` seconds, or several match.
        ChannelMismatchError
            The EEG stream does not serve the model.
        """
        self._enter("SEARCHING", "looking for the EEG stream")
        handle = find_stream(_finder(self.eeg), timeout, should_stop)
        reader = _MarkerReader(self.markers)
        reader.open(timeout, should_stop)
        reader.start()
        self._marker_reader = reader
        self._open_eeg(handle)  # last: from here on samples wait for us

    def _open_eeg(self, handle: object) -> None:
        """Open and check a stream that was found."""
        self._enter("OPENING", "connecting to the EEG stream")
        inlet = EEGInlet(handle)
        self._enter("CHECKING", f"checking {describe(inlet.info)}")
        try:
            channels = match_channels(inlet.info, self.ch_names, self.unit)
            self.check(channels.info)
        except NecomimiError:
            inlet.close()
            raise
        self._inlet, self._channels = inlet, channels
        self._last_arrival = time.monotonic()
        self._enter("LIVE", f"live: {describe(inlet.info)}")

    def pull(self, timeout: float) -> Pulled:
        """Return what has come, waiting up to `timeout` seconds for the first sample; reopens a lost stream."""
        chunk, cause = None, self._cause
        if self._inlet is None:
            self._reopen(timeout)
        else:
            try:
                samples, timestamps = self._inlet.pull(timeout)
                chunk = self._to_chunk(samples, timestamps)
            except StreamLostError as error:
                self._lose(str(error).splitlines()[0])
        if chunk is not None:
            self._cause = "gap"
        markers = self._marker_reader.take() if self._marker_reader else ()
        return Pulled(chunk=chunk, cause=cause, markers=markers)

    def _to_chunk(self, samples: np.ndarray, timestamps: np.ndarray) -> Chunk | None:
        """Return the samples as a record, or None; watches for a sender that has stopped sending."""
        now = time.monotonic()
        if not len(timestamps):
            if now - self._last_arrival > STALE_S and self.state == "LIVE":
                self._enter("STALE", f"no sample for {now - self._last_arrival:.1f} s; the connection is open")
            return None
        self._last_arrival = now
        if self.state == "STALE":
            self._enter("LIVE", "live again: samples have come")
        assert self._channels is not None
        return Chunk(data=self._channels(samples), timestamps=timestamps, info=self._channels.info)

    def _lose(self, message: str) -> None:
        assert self._inlet is not None
        self._inlet.close()
        self._inlet, self._cause = None, "reconnect"
        self._refused = {self.info.uid}
        self._enter("LOST", message)

    def _reopen(self, timeout: float) -> None:
        """Look for the same device in another instance, for `timeout` seconds at most."""
        lost = self.info
        if self._finder is None:
            choice = StreamChoice(source_id=lost.source_id) if lost.source_id else self.eeg
            self._finder = _finder(choice, lambda info: info.uid in self._refused)
        try:
            handle = self._finder.poll()
            if handle is None:
                time.sleep(timeout)
                return
            self._refused.add(handle.uid())
            self._open_eeg(handle)
        except NecomimiError as error:
            self._enter("LOST", f"{lost.name!r} came back but does not serve: {error.found}")
        else:
            self._finder = None

    def _enter(self, state: SourceState, message: str) -> None:
        if (state, message) == (self.state, self.message):
            return
        self.state, self.message = state, message
        (logger.warning if state in ("STALE", "LOST") else logger.info)("EEG %s: %s", state, message)
        self.on_state(state, message)

    def close(self) -> None:
        """Let go of the streams."""
        if self._marker_reader:
            self._marker_reader.stop()
        if self._inlet:
            self._inlet.close()


def _finder(choice: StreamChoice, ignore: Callable[[StreamInfo], bool] = lambda info: False) -> Finder:
    """Return a finder for a choice, blind to our own decisions."""
    return Finder(
        name=choice.name,
        type=choice.type,
        source_id=choice.source_id,
        ignore=lambda info: info.source_id.startswith(DECISIONS_SOURCE_ID) or ignore(info),
    )


class _MarkerReader(threading.Thread):
    """Pull markers in a thread of its own, where asking for the clock's offset may block; reopens a lost stream."""

    def __init__(self, choice: StreamChoice) -> None:
        super().__init__(name="markers", daemon=True)
        self._choice = choice
        self._inlet: MarkerInlet | None = None
        self._markers: queue.Queue[tuple[str, float]] = queue.Queue(maxsize=MAX_MARKERS)
        self._stopping = threading.Event()

    def open(self, timeout: float, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Find and open the stream; raises as `find_stream` does."""
        self._inlet = MarkerInlet(find_stream(_finder(self._choice), timeout, should_stop))
        logger.info("markers from %s", describe(self._inlet.info))

    def run(self) -> None:
        """Pull until stopped."""
        finder: Finder | None = None
        refreshed = time.monotonic()
        while not self._stopping.is_set():
            try:
                if self._inlet is None:
                    assert finder is not None
                    handle = finder.poll()
                    if handle is None:
                        self._stopping.wait(0.05)
                        continue
                    self._inlet = MarkerInlet(handle)
                    logger.info("markers are back from %s", describe(self._inlet.info))
                for marker in self._inlet.pull(0.05):
                    self._put(marker)
                if time.monotonic() - refreshed > CLOCK_REFRESH_S:
                    self._inlet.refresh_clock()
                    refreshed = time.monotonic()
            except StreamLostError as error:
                logger.warning("markers LOST: %s", error.found)
                if self._inlet is not None:
                    finder = self._look_again(self._inlet.info)
                    self._inlet.close()
                    self._inlet = None
            except StreamNotFoundError as error:  # several match now: a person must end one
                logger.warning("markers: %s", error.found)
                self._stopping.wait(1.0)
        if self._inlet is not None:
            self._inlet.close()

    def _look_again(self, lost: StreamInfo) -> Finder:
        """Return a finder for another instance of a marker stream."""
        choice = StreamChoice(source_id=lost.source_id) if lost.source_id else self._choice
        return _finder(choice, lambda info: info.uid == lost.uid)

    def _put(self, marker: tuple[str, float]) -> None:
        try:
            self._markers.put_nowait(marker)
        except queue.Full:
            logger.warning("a marker was dropped: %d wait already", MAX_MARKERS)

    def take(self) -> tuple[tuple[str, float], ...]:
        """Return the markers that have come since the last call."""
        taken = []
        while not self._markers.empty():
            taken.append(self._markers.get_nowait())
        return tuple(taken)

    def stop(self) -> None:
        """Stop pulling and close."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=2.0)
