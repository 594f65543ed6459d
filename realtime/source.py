"""Find, open, check and watch the streams of one session: LSL -> Chunk, markers, SourceState.

::

    SEARCHING -> OPENING -> CHECKING -> LIVE <-> STALE
                    ^          |          |        |
                    +--------- | - LOST <-+--------+

A stream that was lost, and one that has fallen silent while another instance of its device is there, is replaced in the
background: it is opened by its source_id and checked again, because a sender may come back with other channels.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from necomimi.clock import Cause
from necomimi.errors import StreamLostError
from necomimi.lsl import EEGInlet, MarkerReader, StreamChoice, describe, find_stream, finder, local_clock
from necomimi.montage import ChannelMap, match_channels, needs_samples
from necomimi.records import Chunk, SourceState, StreamInfo

from .search import Opened, Opener, Tell, first_second

__all__ = ["LSLSource", "Pulled", "Source", "StreamChoice"]

logger = logging.getLogger(__name__)

STALE_S = 0.5
MAX_STALE_S = 5.0
STALE_BEATS = 10  # an amplifier that sends rarely is stale after so many of its packets' intervals
OPEN_TIMEOUT_S = 5.0
AHEAD_S = 0.5  # stamps that jump further than this ahead of our clock tell of a clock that was set, not of a hole

_Piece = tuple[NDArray[Any], NDArray[np.float64], Cause]  # wire samples (n_times, n_stream_channels), stamps in s


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What one pull brought.

    Parameters
    ----------
    chunk : Chunk or None
        Samples in the model's channels, in volts.
    cause : str
        "reconnect" where the chunk is the first one after the stream came back, "seam" where it is the first one after
        the sender's clock was set forward; else "gap": the stamps say whether something is missing before it.
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

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the streams needs a person, in words; what concerns the signal itself stands in ``info.warnings``."""

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
    eeg : StreamChoice
    markers : StreamChoice or None
        None where no marker stream is wanted.
    unit : str or None
        Overrides the header's units.
    max_interpolated : int
        How many of the model's channels may be missing from the stream, and are interpolated.
    on_state : callable
        Told (state, message) at each change, in the thread that pulls.
    """

    ch_names: tuple[str, ...]
    check: Callable[[StreamInfo], None]
    eeg: StreamChoice = field(default_factory=lambda: StreamChoice(type="EEG"))
    markers: StreamChoice | None = field(default_factory=lambda: StreamChoice(type="Markers"))
    unit: str | None = None
    max_interpolated: int = 0
    on_state: Callable[[SourceState, str], None] = lambda state, message: None

    def __post_init__(self) -> None:
        self.state: SourceState = "SEARCHING"
        self.message = "looking for the streams"
        self._inlet: EEGInlet | None = None
        self._wire: StreamInfo | None = None
        self._channels: ChannelMap | None = None
        self._held: list[_Piece] = []  # samples that go out before any that are pulled
        self._opener: Opener | None = None
        self._cause: Cause = "gap"
        self._last_arrival = time.monotonic()
        self._beat = 0.0
        self._newest = self._ahead = math.inf  # newest stamp, and how far it lay ahead of our clock
        self._marker_reader: MarkerReader | None = None

    @property
    def info(self) -> StreamInfo:
        """The stream in the model's channels."""
        assert self._channels is not None, "open() first"
        return self._channels.info

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The streams as their senders describe them now, for a recorder."""
        assert self._wire is not None, "open() first"
        return (self._wire, self._marker_reader.info) if self._marker_reader else (self._wire,)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the streams needs a person, in words; what concerns the signal itself stands in ``info.warnings``."""
        return self._marker_reader.warnings if self._marker_reader else ()

    def open(self, timeout: float, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Find, open and check both streams.

        Raises
        ------
        StreamNotFoundError
            A stream is not in reach within `timeout` seconds, or several match.
        StreamLostError
            A stream was found but does not answer.
        ChannelMismatchError
            The EEG stream does not serve the model, or a marker is several values.
        """
        self._enter("SEARCHING", "looking for the streams")
        reader = self._marker_reader = MarkerReader(self.markers) if self.markers is not None else None
        with ThreadPoolExecutor(1) as beside:  # both searches take their time
            markers = beside.submit(reader.open, timeout, should_stop) if reader is not None else None
            handle = find_stream(finder(self.eeg), timeout, should_stop)
            if markers is not None:
                markers.result()
        if reader is not None:
            reader.start()
        self._take_up(self._prepare(handle, OPEN_TIMEOUT_S, self._enter))  # last: from here on samples wait for us

    def pull(self, timeout: float) -> Pulled:
        """Return what has come, waiting up to `timeout` seconds for the first sample; never longer for a lost stream.

        A stream that was lost is looked for and opened in the background.
        """
        chunk, cause = self._pull_chunk(timeout)
        markers = self._marker_reader.take() if self._marker_reader else ()
        return Pulled(chunk=chunk, cause=cause, markers=markers)

    def _pull_chunk(self, timeout: float) -> tuple[Chunk | None, Cause]:
        if not self._held:
            if self._inlet is None:
                self._follow_opener(timeout)
            else:
                try:
                    samples, stamps = self._inlet.pull(timeout)
                    self._arrive(samples, stamps)
                except StreamLostError as error:
                    self._lose(error.found)
        if not self._held:
            return None, "gap"
        samples, stamps, cause = self._held.pop(0)
        if self._cause != "gap":
            cause, self._cause = self._cause, "gap"
        assert self._channels is not None
        return Chunk(data=self._channels(samples), timestamps=stamps, info=self._channels.info), cause

    def _arrive(self, samples: NDArray[Any], stamps: NDArray[np.float64]) -> None:
        """Take what a pull of the open stream brought; notice a sender that has stopped sending."""
        now = time.monotonic()
        silence = now - self._last_arrival
        if not len(stamps):
            if self.state == "LIVE" and silence > min(max(STALE_S, STALE_BEATS * self._beat), MAX_STALE_S):
                self._enter("STALE", f"no sample for {silence:.1f} s; the connection is open")
                self._open_again(silent=self.info.uid)
            elif self.state != "LIVE":
                self._follow_opener(0.0)
            return
        self._last_arrival = now
        self._beat += 0.2 * (min(silence, 1.0) - self._beat)
        if self.state != "LIVE":
            self._drop_opener()
            self._enter("LIVE", "live again: samples have come")
        ahead = float(stamps[-1]) - local_clock()
        n = self._clock_was_set(stamps) if ahead > AHEAD_S >= self._ahead else len(stamps)
        if n:
            self._held.append((samples[:n], stamps[:n], "gap"))
        if n < len(stamps):
            self._held.append((samples[n:].copy(), stamps[n:], "seam"))
        self._newest, self._ahead = float(stamps[-1]), ahead

    def _clock_was_set(self, stamps: NDArray[np.float64]) -> int:
        """Return how many of these samples, whose stamps run ahead of our clock, came before the jump."""
        steps = np.diff(stamps, prepend=self._newest)
        n = int(steps.argmax())
        if steps[n] <= AHEAD_S:
            return len(stamps)
        logger.warning("the sender's clock was set forward by %.3f s", steps[n])
        return n

    # -- opening -------------------------------------------------------------------------------------------------

    def _prepare(self, handle: Any, timeout: float, tell: Tell) -> Opened:
        """Open and check a stream that was found; runs in the opener's thread after a loss."""
        tell("OPENING", "connecting to the EEG stream")
        inlet = EEGInlet(handle, timeout)
        try:
            tell("CHECKING", f"checking {describe(inlet.info)}")
            first = None
            if self.unit is None and needs_samples(inlet.info, self.ch_names):
                first = first_second(inlet)
            channels = match_channels(
                inlet.info,
                self.ch_names,
                self.unit,
                samples=first[0] if first else None,
                max_interpolated=self.max_interpolated,
            )
            self.check(channels.info)
        except BaseException:
            inlet.close()
            raise
        return Opened(inlet, channels, first)

    def _take_up(self, opened: Opened) -> None:
        """Read from a stream that was opened."""
        self._inlet, self._wire, self._channels = opened.inlet, opened.inlet.info, opened.channels
        self._held = [(*opened.first, "gap")] if opened.first else []
        self._last_arrival = time.monotonic()
        self._newest = self._ahead = math.inf
        self._enter("LIVE", f"live: {describe(opened.inlet.info)}")
        for warning in self.info.warnings:
            logger.warning("%s", warning)

    def _lose(self, message: str) -> None:
        assert self._inlet is not None
        self._inlet.close()
        self._inlet = None
        self._enter("LOST", f"{message}; waiting for {self.info.source_id or self.info.name!r} to come back")
        if self._opener is None:
            self._open_again(silent="")

    def _open_again(self, silent: str) -> None:
        self._opener = Opener(self.eeg.again(self.info), silent, self._prepare)
        self._opener.start()

    def _drop_opener(self) -> None:
        if self._opener is not None:
            self._opener.cancel()
            self._opener = None

    def _follow_opener(self, timeout: float) -> None:
        """Take the opener's news, waiting up to `timeout` seconds for the first; switch to the stream it has opened."""
        assert self._opener is not None
        try:
            news = self._opener.news.get(timeout > 0, timeout)
        except queue.Empty:
            return
        if isinstance(news, Opened):
            if self._inlet is not None:
                self._inlet.close()
            self._opener, self._cause = None, "reconnect"
            self._take_up(news)
        elif isinstance(news, Exception):
            raise news
        else:
            state, message = news
            self._enter(state or ("LOST" if self._inlet is None else "STALE"), message)

    def _enter(self, state: SourceState, message: str) -> None:
        if (state, message) == (self.state, self.message):
            return
        self.state, self.message = state, message
        (logger.warning if state in ("STALE", "LOST") else logger.info)("EEG %s: %s", state, message)
        self.on_state(state, message)

    def close(self) -> None:
        """Let go of the streams."""
        self._drop_opener()
        if self._marker_reader:
            self._marker_reader.stop()
        if self._inlet:
            self._inlet.close()
            self._inlet = None
