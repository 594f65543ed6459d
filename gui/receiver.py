"""Listen to the decoder in a thread of its own: feed -> records with their time of arrival."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from necomimi.errors import ConfigError
from necomimi.feed import DEFAULT_ADDRESS, Record, Subscriber
from necomimi.feed_file import FeedRecorder, Message
from necomimi.lsl import local_clock
from necomimi.records import Chunk, Event, GeneratedImage, Refusal, Retrieval, Status

from .history import CAPACITY as DECISIONS
from .history import reduced

__all__ = ["LARGE_PICTURES", "PICTURES", "Receiver"]

logger = logging.getLogger(__name__)

SHOWN = (Chunk, Event, Retrieval, Refusal, GeneratedImage, Status)
CAPACITY = 3000  # over a minute of 63 channels at 20 chunks and 15 decisions a second
LARGE_PICTURES = 16  # each may be as large as a message of the feed
PICTURES = 2 * DECISIONS  # with those that have been made small: 32 MiB, and two for each frame of the strip
POLL_S = 0.1


class Receiver:
    """Read the feed in a thread and keep the records until the GUI takes them.

    The GUI thread is never woken per record: it takes what has come, when it is ready. A window that hangs loses the
    oldest records (counted in `n_dropped`); the decoder loses nothing. Of generated pictures, which are large, only the
    newest wait as they came, and older ones in the small size in which the history keeps them.

    Parameters
    ----------
    address : str
        The decoder's feed; it need not exist yet, and may come and go.
    capacity : int
        Records kept at most.
    clock : callable
        Seconds, on the clock of the records' time stamps.
    keys : Path, optional
        Folder of the keys for an encrypted feed.
    record : Path, optional
        A new file that keeps every message of the feed, those that no window shows too.

    Raises
    ------
    FeedError
        The address is not one that ZeroMQ can connect to.
    ConfigError
        The keys are not there, or the file is, or cannot be written.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = local_clock,
        *,
        keys: Path | None = None,
        record: Path | None = None,
    ) -> None:
        self._subscriber = Subscriber(address, SHOWN if record is None else (), keys=keys)
        self._recorder: FeedRecorder | None = None
        if record is not None:
            try:
                self._recorder = FeedRecorder(record)
            except ConfigError:
                self._subscriber.close()
                raise
        self._recording_problem = ""
        self.address = address
        self.n_dropped = 0
        self._clock = clock
        self._lock = threading.Lock()  # of the three queues
        self._records: deque[tuple[float, Record]] = deque(maxlen=capacity)
        self._small: deque[tuple[float, Record]] = deque(maxlen=PICTURES - LARGE_PICTURES)
        self._large: deque[tuple[float, GeneratedImage]] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="necomimi-receiver", daemon=True)

    @property
    def n_refused(self) -> int:
        """Messages passed over because they were malformed."""
        return self._subscriber.n_refused

    @property
    def problem(self) -> str:
        """Why the decoder is there but not for us, or is not recorded, in words; "" while nothing is wrong."""
        return self._subscriber.problem or self._recording_problem

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def _run(self) -> None:
        """Move records from the socket to the queue until `stop`."""
        try:
            while not self._stopping.is_set():
                record = self._subscriber.receive(POLL_S)
                if record is None:
                    continue
                arrived = self._clock()
                self._record(arrived)
                with self._lock:
                    self._keep(arrived, record)
        finally:
            self._close()

    def _keep(self, arrived: float, record: Record) -> None:
        """Put a record into its queue, and let the oldest go where that is full."""
        if isinstance(record, GeneratedImage):
            self._large.append((arrived, record))
            if len(self._large) > LARGE_PICTURES:
                before, image = self._large.popleft()
                self._small.append((before, reduced(image)))
        elif isinstance(record, SHOWN):
            if len(self._records) == self._records.maxlen:
                self.n_dropped += 1
                if self.n_dropped == 1:
                    logger.warning("the window does not keep up: the oldest records are dropped")
            self._records.append((arrived, record))

    def _record(self, arrived: float) -> None:
        """Keep the message that was received last, until the disk is full."""
        if self._recorder is None or self._recording_problem:
            return
        try:
            self._recorder.write(Message(arrived, *self._subscriber.frames))
        except OSError as error:
            self._recording_problem = f"{self._recorder.path} is not recorded any more: {error.strerror}"
            logger.warning("%s", self._recording_problem)

    def _close(self) -> None:
        """Close the connection and the recording."""
        self._subscriber.close()
        if self._recorder is not None:
            self._recorder.close()

    def take(self) -> list[tuple[float, Record]]:
        """Return what has come since the last call, oldest first, each with its time of arrival (s); pictures last."""
        with self._lock:
            taken = [*self._records, *self._small, *self._large]
            for queue in (self._records, self._small, self._large):
                queue.clear()
        return taken

    def stop(self) -> None:
        """End the thread and close the connection."""
        self._stopping.set()
        if self._thread.ident is None:
            self._close()
        else:
            self._thread.join(timeout=5.0)
