"""Play a recorded feed as if it came now: .feed file, clock -> records with their time of arrival."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from necomimi.errors import FeedError
from necomimi.feed import Record, decode
from necomimi.feed_file import FeedFile

__all__ = ["REBUILD_S", "SPEEDS", "PlaybackReceiver"]

logger = logging.getLogger(__name__)

SPEEDS = (0.5, 1.0, 2.0, 4.0)
REBUILD_S = 60.0  # of the recording before a place that was jumped to are read, so that there is something to show


class PlaybackReceiver:
    """Give the records of a recording when their time has come.

    It stands in for a `Receiver`: `clock` is the recorder's LSL clock, which this class lets run, stand still or jump.

    Parameters
    ----------
    path : Path
        Written by `necomimi.feed_file.FeedRecorder`.
    wall_clock : callable
        Seconds.

    Attributes
    ----------
    n_refused : int
        Messages passed over because they are not of this version.
    is_playing : bool
    speed : float
        Seconds of the recording per second, one of `SPEEDS`.

    Raises
    ------
    FeedError
        This is not a recording of a feed.
    ConfigError
        The file cannot be read.
    """

    def __init__(self, path: Path, wall_clock: Callable[[], float] = time.monotonic) -> None:
        self.file = FeedFile(path)
        self.n_dropped = 0  # a recording waits for the window
        self.n_refused = 0
        self.is_playing = True
        self.speed = 1.0
        self._wall_clock = wall_clock
        self._time = self.file.begin  # at `_since`
        self._since = wall_clock()
        self._damage = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._scan, name="necomimi-playback", daemon=True)

    @property
    def problem(self) -> str:
        """What is wrong with the recording, in words; "" while nothing is known to be."""
        return self._damage

    @property
    def position(self) -> float:
        """Seconds from the first message of the recording."""
        return self.clock() - self.file.begin

    @property
    def length(self) -> float:
        """Seconds from the first to the last message, as far as known."""
        return self.file.end - self.file.begin

    @property
    def is_at_end(self) -> bool:
        """Whether the last message has been reached."""
        return not self._thread.is_alive() and self.clock() >= self.file.end

    def start(self) -> None:
        """Begin to play, and to find out how long the recording is."""
        self._since = self._wall_clock()
        self._thread.start()

    def wait_for_length(self) -> None:
        """Return when `length` is that of the whole recording."""
        self._thread.join()

    def _scan(self) -> None:
        """Index the file to its end."""
        try:
            self.file.scan(self._stopping)
        except FeedError as error:
            self._note_damage(error)
        if self.file.n_cut:
            logger.warning("the recording was cut off: its last %d bytes are no whole message", self.file.n_cut)

    def _note_damage(self, error: FeedError) -> None:
        """Say what is wrong, once."""
        if not self._damage:
            self._damage = error.found
            logger.warning("%s; the recording is played up to there", error.found)

    def clock(self) -> float:
        """Return the time on the recorder's LSL clock, in seconds; it stands still at the end of the recording."""
        elapsed = self.speed * (self._wall_clock() - self._since) if self.is_playing else 0.0
        if self._thread.is_alive():
            return self._time + elapsed
        return min(self._time + elapsed, self.file.end)

    def _move(self, time: float) -> None:
        """Let the clock go on from a time."""
        self._time = min(max(time, self.file.begin), self.file.end)
        self._since = self._wall_clock()

    def play(self, is_playing: bool) -> None:
        """Play or pause."""
        self._move(self.clock())
        self.is_playing = is_playing

    def turn(self) -> None:
        """Play if paused, pause if playing."""
        self.play(not self.is_playing)

    def change_speed(self, steps: int) -> None:
        """Play faster (positive) or slower by steps of `SPEEDS`."""
        self._move(self.clock())
        place = SPEEDS.index(self.speed) + steps
        self.speed = SPEEDS[min(max(place, 0), len(SPEEDS) - 1)]

    def seek(self, position: float) -> bool:
        """Go to a place, in seconds from the first message.

        Returns
        -------
        bool
            Whether what has been given is void: the next `take` gives the minute before the place. Where the place is
            less than a minute ahead, it gives what lies between, and nothing is void.
        """
        now, wanted = self.clock(), self.file.begin + max(position, 0.0)
        is_void = not now <= wanted <= now + REBUILD_S
        self._move(wanted)
        if is_void:
            try:
                self.file.seek(self._time - REBUILD_S)
            except FeedError as error:
                self._note_damage(error)
        return is_void

    def take(self) -> Iterator[tuple[float, Record]]:
        """Give the records whose time has come since the last call, oldest first, with their time of arrival (s)."""
        if self._stopping.is_set():
            return
        try:
            for message in self.file.read(self.clock()):
                try:
                    yield message.arrived, decode(message.topic, message.body)
                except FeedError as error:
                    self.n_refused += 1
                    logger.warning("passed over message %d of the recording: %s", self.n_refused, error)
        except FeedError as error:
            self._note_damage(error)
            self.play(False)

    def stop(self) -> None:
        """End the thread and close the file."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5.0)
        self.file.close()
