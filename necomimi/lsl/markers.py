"""Pull markers in a thread of its own, through every loss: marker stream -> (label, local time)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from necomimi.errors import ChannelMismatchError, StreamLostError, StreamNotFoundError
from necomimi.records import StreamInfo

from .choosing import StreamChoice, finder, search
from .finding import find_stream
from .headers import describe
from .inlets import MarkerInlet

__all__ = ["MarkerReader"]

logger = logging.getLogger(__name__)

MAX_MARKERS = 4096
PULL_S = 0.05
CLOCK_REFRESH_S = 5.0
WATCH_S = 0.5
SILENT_S = 3.0  # liblsl itself takes two seconds to forget a stream
RETRY_S = 0.2


class MarkerReader(threading.Thread):
    """Read a marker stream, where asking for the clock's offset may block.

    Opened before it is started, it follows the device that it found; else it waits for one, however long that takes.
    Markers are rare, so their absence says nothing. A sender that hangs, or whose machine lost its power, is noticed as
    it no longer answers on the network; another instance of the same source_id then takes its place.

    Parameters
    ----------
    choice : StreamChoice
    """

    def __init__(self, choice: StreamChoice) -> None:
        super().__init__(name="markers", daemon=True)
        self._choice = choice
        self._inlet: MarkerInlet | None = None
        self._info: StreamInfo | None = None
        self._markers: queue.Queue[tuple[str, float]] = queue.Queue(maxsize=MAX_MARKERS)
        self._n_dropped = 0
        self._has_reset = False
        self._warning = ""
        self._stopping = threading.Event()

    def open(self, timeout: float, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Find the stream, waiting up to `timeout` seconds, and open it.

        Raises as `find_stream` and inlets do, and ChannelMismatchError where a marker is several values.
        """
        self._take_up(MarkerInlet(find_stream(finder(self._choice), timeout, should_stop)))

    @property
    def info(self) -> StreamInfo:
        """The stream; the last one while it is away."""
        assert self._info is not None, "open() first"
        return self._info

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is amiss with the markers, in words."""
        dropped = f"{self._n_dropped} markers were dropped: {MAX_MARKERS} waited already" if self._n_dropped else ""
        return tuple(text for text in (self._warning, dropped) if text)

    def run(self) -> None:
        """Pull until stopped."""
        while not self._stopping.is_set():
            if self._inlet is None:
                self._reopen()
            else:
                self._read(self._inlet)
        if self._inlet is not None:
            self._inlet.close()

    def _take_up(self, inlet: MarkerInlet) -> None:
        if len(inlet.info.ch_names) != 1:
            inlet.close()
            raise ChannelMismatchError(
                f"the marker stream {inlet.info.name!r} has {len(inlet.info.ch_names)} channels",
                "one channel, which names the stimulus",
                "let the program send that value alone, or choose another stream: --markers-name NAME",
            )
        self._inlet, self._info = inlet, inlet.info
        self._warn("")
        logger.info("markers from %s", describe(inlet.info))

    def _read(self, inlet: MarkerInlet) -> None:
        """Read one inlet until its stream is lost or replaced."""
        info = inlet.info
        watch = finder(self._choice.again(info))
        refreshed = watched = answered = time.monotonic()
        while not self._stopping.is_set():
            try:
                for marker in inlet.pull(PULL_S):
                    self._put(marker)
            except StreamLostError as error:
                self._lose(f"the marker stream is away: {error.found}")
                return
            now = time.monotonic()
            if now - refreshed > CLOCK_REFRESH_S:
                inlet.refresh_clock()
                refreshed = now
            if now - watched < WATCH_S:
                continue
            watched = now
            try:
                handle = watch.poll()
            except StreamNotFoundError as error:
                answered = now
                self._warn(f"markers come from the stream that was open first, but {error.found}")
                continue
            if handle is not None and handle.uid() != info.uid:
                self._lose(f"the marker stream {info.name!r} does not answer, but another instance of it does")
                return
            if handle is not None:
                answered = now
                self._warn("")
            elif now - answered > SILENT_S:
                self._warn(f"the marker stream {info.name!r} does not answer: it hangs, or the network is cut")

    def _lose(self, warning: str) -> None:
        assert self._inlet is not None
        self._inlet.close()
        self._inlet = None
        self._warn(warning)

    def _reopen(self) -> None:
        """Wait for the stream, or for another instance of the one that was lost."""
        choice = self._choice if self._info is None else self._choice.again(self._info)
        handle = search(choice, lambda info: False, self._stopping, lambda found: self._warn(f"markers: {found}"))
        if handle is None:
            return
        try:
            self._take_up(MarkerInlet(handle, timeout=2.0))
        except (StreamLostError, ChannelMismatchError) as error:
            self._warn(f"the marker stream is away: {error.found}")
            self._stopping.wait(RETRY_S)

    def _warn(self, warning: str) -> None:
        if warning and warning != self._warning:
            logger.warning("%s", warning)
        elif self._warning and not warning:
            logger.info("the marker stream is well again")
        self._warning = warning

    def _put(self, marker: tuple[str, float]) -> None:
        if not marker[0] and not self._has_reset:
            self._has_reset = True
            logger.info("0 and empty markers are no stimuli: a trigger line that goes back")
        try:
            self._markers.put_nowait(marker)
        except queue.Full:
            self._n_dropped += 1
            if self._n_dropped == 1:
                logger.warning("markers are dropped: %d wait already", MAX_MARKERS)

    def take(self) -> tuple[tuple[str, float], ...]:
        """Return the (label, seconds on the local clock) that have come since the last call."""
        taken = []
        while not self._markers.empty():
            taken.append(self._markers.get_nowait())
        return tuple(taken)

    def stop(self) -> None:
        """Stop pulling and close."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout=3.0)
        elif self._inlet is not None:
            self._inlet.close()
