"""Keep a feed in a file and read it again: arrival time, topic, body <-> .feed file.

A file is the line ``necomimi feed 1`` and then one block a message: arrival in seconds on the LSL clock (float64),
length of the topic (uint8), length of the body (uint32), CRC-32 of all the rest of the block (uint32), topic, body;
numbers are little-endian. Topic and body are the frames of `necomimi.feed`. A block goes to the system as soon as it is
there, so that a recorder that is killed loses at most the last one.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from necomimi.errors import ConfigError, FeedError
from necomimi.feed import MAX_BYTES

__all__ = ["FeedFile", "FeedRecorder", "Message"]

MAGIC = b"necomimi feed "
HEADER = MAGIC + b"1\n"
LENGTHS = struct.Struct("<dBI")  # arrival, bytes of the topic, bytes of the body
CHECK = struct.Struct("<I")
HEAD_BYTES = LENGTHS.size + CHECK.size
MAX_TOPIC_BYTES = 64
INDEX_S = 1.0  # between two places to begin to read from


class Message(NamedTuple):
    """One message of a feed.

    Parameters
    ----------
    arrived : float
        Seconds on the LSL clock of the machine that recorded.
    topic, body : bytes
        For `necomimi.feed.decode`.
    """

    arrived: float
    topic: bytes
    body: bytes


class _Head(NamedTuple):
    """What stands before a message: its place in the file, its arrival, two lengths, and the bytes themselves."""

    offset: int
    arrived: float
    n_topic: int
    n_body: int
    bytes: bytes


class FeedRecorder:
    """Write messages to a new file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ConfigError
        The file exists, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("xb")
        except FileExistsError as error:
            raise ConfigError(f"{path} exists", "a new file: recordings are not overwritten") from error
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}", "a file in a folder that exists"
            ) from error
        self._file.write(HEADER)
        self._file.flush()

    def write(self, message: Message) -> None:
        """Add a message.

        Raises
        ------
        OSError
            The disk is full or gone.
        """
        lengths = LENGTHS.pack(message.arrived, len(message.topic), len(message.body))
        check = CHECK.pack(_check(lengths, message.topic, message.body))
        self._file.write(b"".join((lengths, check, message.topic, message.body)))
        self._file.flush()

    def close(self) -> None:
        """Close the file; what could not be written is lost."""
        with contextlib.suppress(OSError):
            self._file.close()


class FeedFile:
    """Read messages in their order, from any time on.

    Nothing but the message in hand and one entry a second of an index is kept in memory. The index grows as far as the
    file has been read, or, in a thread of its own, by `scan`.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    begin : float
        Arrival of the first message, in seconds.
    end : float
        Arrival of the last message known so far.
    n_cut : int
        Bytes at the end that are no whole message, as far as known: the recorder was killed.

    Raises
    ------
    FeedError
        This is not a recording of a feed, of a newer version, or empty.
    ConfigError
        The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_cut = 0
        self._file = self._open()
        self._head: _Head | None = None  # of the next message, once it has been looked at
        try:
            first = self._peek()
        except FeedError:
            self._file.close()
            raise
        if first is None:
            self._file.close()
            raise FeedError(f"{path} holds no messages", "a recording of a feed (necomimi view --record)")
        self.begin = self.end = first.arrived
        self._times, self._offsets = [self.begin], [first.offset]
        self._lock = threading.Lock()  # two threads may enter what they find

    def _open(self) -> BinaryIO:
        """Open the file behind its first line."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}", "a recording of a feed") from error
        found = file.read(len(HEADER))
        if found == HEADER:
            return file
        file.close()
        if found.startswith(MAGIC):
            version = found.removeprefix(MAGIC).decode("ascii", "replace").strip()
            raise FeedError(f"{self.path} is of version {version}", "version 1", "update necomimi")
        raise FeedError(f"{self.path} is no recording of a feed", "a file that necomimi view --record has written")

    def _read_head(self, file: BinaryIO) -> _Head | None:
        """Return the head of the message at the file's position; None at the end of the file."""
        offset = file.tell()
        head = file.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            self.n_cut = len(head) or self.n_cut
            return None
        arrived, n_topic, n_body = LENGTHS.unpack_from(head)
        if not math.isfinite(arrived) or not 0 < n_topic <= MAX_TOPIC_BYTES or n_body > MAX_BYTES:
            raise FeedError(f"{self.path} is damaged at byte {offset}", "a message of the feed")
        return _Head(offset, arrived, n_topic, n_body, head)

    def scan(self, stopping: threading.Event) -> None:
        """Go through the whole file, or until told to stop, and find out where it ends.

        Raises
        ------
        FeedError
            The file is damaged; `end` is the last message before that.
        """
        size = self.path.stat().st_size
        with self._open() as file:
            while not stopping.is_set() and (head := self._read_head(file)) is not None:
                if size - file.tell() < head.n_topic + head.n_body:
                    self.n_cut = size - head.offset
                    return
                self._enter(head)
                file.seek(head.n_topic + head.n_body, 1)

    def _enter(self, head: _Head) -> None:
        """Enter a message into the index, if it is a second past the last entry."""
        with self._lock:
            self.end = max(self.end, head.arrived)
            if head.arrived >= self._times[-1] + INDEX_S:
                self._times.append(head.arrived)
                self._offsets.append(head.offset)

    def seek(self, time: float) -> None:
        """Go to the first message that arrived at `time` (s) or later.

        Raises
        ------
        FeedError
            The file is damaged on the way.
        """
        with self._lock:
            place = bisect.bisect_right(self._times, time) - 1
            self._file.seek(self._offsets[max(place, 0)])
        self._head = None
        while (head := self._peek()) is not None and head.arrived < time:
            self._next(head)

    def _peek(self) -> _Head | None:
        """Return the head of the next message; None at the end."""
        if self._head is None:
            self._head = self._read_head(self._file)
        return self._head

    def _next(self, head: _Head) -> Message | None:
        """Return the message whose head is in hand; None if it is not whole."""
        content = self._file.read(head.n_topic + head.n_body)
        self._head = None
        if len(content) < head.n_topic + head.n_body:
            self.n_cut = HEAD_BYTES + len(content)
            return None
        if CHECK.pack(_check(head.bytes[: LENGTHS.size], content)) != head.bytes[LENGTHS.size :]:
            raise FeedError(f"{self.path} is damaged at byte {head.offset}", "a message as it was recorded")
        self._enter(head)
        return Message(head.arrived, content[: head.n_topic], content[head.n_topic :])

    def read(self, until: float) -> Iterator[Message]:
        """Give the messages that arrived until `until` (s) and have not been given.

        Raises
        ------
        FeedError
            The file is damaged here; another call goes on behind it, where that can be found.
        """
        while (head := self._peek()) is not None and head.arrived <= until:
            message = self._next(head)
            if message is not None:
                yield message

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _check(*parts: bytes) -> int:
    """Return the CRC-32 of some bytes in succession."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value
