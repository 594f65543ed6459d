"""Look through an XDF file before anything is read from it: file of any origin -> stream headers, whole chunks.

A recorder that was killed leaves a chunk cut in two, and pyxdf trusts every length and count that a file states. So
the chunks are walked first, without their samples, and pyxdf is shown only those that are whole and add up.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from necomimi.errors import DatasetError

__all__ = ["Contents", "XDFStream", "read_contents", "whole_chunks"]

MAGIC = b"XDF:"
GZIP_MAGIC = b"\x1f\x8b"
FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, BOUNDARY, FOOTER = range(1, 7)
STREAM_TAGS = (STREAM_HEADER, SAMPLES, CLOCK_OFFSET, FOOTER)
VALUE_BYTES = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "float32": 4, "double64": 8}
STRING = "string"
STAMP_BYTES = 8
MAX_CHUNK_BYTES = 2**30
MAX_XML_BYTES = 2**25
MAX_BYTES = 2**37  # of a compressed file when it is unpacked
MAX_STREAMS = 1000
MAX_CHANNELS = 10_000


class _Damaged(Exception):
    """A chunk is cut off, or what it states does not add up."""


@dataclass(kw_only=True)
class XDFStream:
    """A stream as its header describes it.

    Parameters
    ----------
    id : int
        Its number in the file.
    name, type, source_id, hostname, channel_format : str
        As on the wire; "" where the header is silent.
    n_channels : int
    sfreq : float
        Nominal rate in Hz; 0 for an irregular stream.
    desc : Element
        The header's free part, empty where there is none.
    n_samples : int
        Samples in whole chunks.
    """

    id: int
    name: str
    type: str
    source_id: str
    hostname: str
    channel_format: str
    n_channels: int
    sfreq: float
    desc: ElementTree.Element
    n_samples: int = 0

    @property
    def is_text(self) -> bool:
        """Whether its samples are strings."""
        return self.channel_format == STRING

    @property
    def is_markers(self) -> bool:
        """Whether its samples name events: text, or the codes of a stream of type Markers."""
        return self.is_text or self.type.lower() == "markers"

    def describe(self) -> str:
        """Return one line that tells the stream from its neighbours."""
        rate = f"{self.sfreq:g} Hz" if self.sfreq else "irregular"
        return (
            f"{self.name!r} (type {self.type}, {self.n_channels} channels of {self.channel_format}, {rate}, "
            f"{self.n_samples} samples)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a file holds.

    Parameters
    ----------
    streams : tuple of XDFStream
        In the order of their headers.
    end : int
        Bytes up to the end of the last whole chunk, unpacked.
    is_cut : bool
        Something follows that is no whole chunk.
    """

    streams: tuple[XDFStream, ...]
    end: int
    is_cut: bool


def read_contents(path: Path) -> Contents:
    """Walk through the chunks of an XDF file, up to the first that is cut off or does not add up.

    Parameters
    ----------
    path : Path
        An .xdf file, or one packed by gzip.

    Raises
    ------
    DatasetError
        It is no XDF file, or cannot be read, or is too large to be one.
    """
    try:
        with _open(path) as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DatasetError(f"{path} is not an XDF file", "a file that LabRecorder or --record wrote")
            return _walk(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "an XDF file") from error


@contextmanager
def whole_chunks(path: Path, contents: Contents) -> Iterator[IO[bytes]]:
    """Open a file so that it seems to end after its last whole chunk."""
    with _open(path) as file, io.BufferedReader(_Head(file, contents.end), 2**20) as view:
        yield view


def _open(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return gzip.open(path) if packed else path.open("rb")


class _Head(io.RawIOBase):
    """The first `end` bytes of a file."""

    def __init__(self, file: io.BufferedIOBase, end: int) -> None:
        self._file = file
        self._end = end

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be wound."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._end}[whence]
        return self._file.seek(max(0, base + offset))

    def tell(self) -> int:
        """Return the byte it stands at."""
        return self._file.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # io hands it no other
        """Fill a buffer with what is left, as far as it goes."""
        data = self._file.read(max(0, min(len(buffer), self._end - self._file.tell())))
        buffer[: len(data)] = data
        return len(data)


def _walk(path: Path, file: io.BufferedIOBase) -> Contents:
    streams: dict[int, XDFStream] = {}
    end = file.tell()
    try:
        while _next_chunk(file, streams):
            end = file.tell()
            if end > MAX_BYTES or len(streams) > MAX_STREAMS:
                raise DatasetError(
                    f"{path} holds {len(streams)} streams in {end / 2**30:.0f} GiB and more",
                    f"at most {MAX_STREAMS} streams in {MAX_BYTES >> 30} GiB",
                )
    except (_Damaged, EOFError, zlib.error):
        return Contents(streams=tuple(streams.values()), end=end, is_cut=True)
    return Contents(streams=tuple(streams.values()), end=end, is_cut=False)


def _next_chunk(file: io.BufferedIOBase, streams: dict[int, XDFStream]) -> bool:
    """Step over one chunk, taking note of it; return False at the end of the file."""
    first = file.read(1)
    if not first:
        return False
    length = _varlen(file, first)
    if not 2 <= length <= MAX_CHUNK_BYTES:
        raise _Damaged
    begin = file.tell()
    (tag,) = struct.unpack("<H", _exactly(file, 2))
    if tag in STREAM_TAGS:
        (number,) = struct.unpack("<I", _exactly(file, 4))
        rest = length - 6
        if tag == STREAM_HEADER:
            if number in streams:
                raise _Damaged
            streams[number] = _stream(number, _xml(file, rest))
        elif number not in streams:
            raise _Damaged
        elif tag == SAMPLES:
            streams[number].n_samples += _count(file, rest, streams[number])
        elif tag == CLOCK_OFFSET and rest != 2 * STAMP_BYTES:
            raise _Damaged
        elif tag == FOOTER:
            _xml(file, rest)
    elif tag == FILE_HEADER:
        _xml(file, length - 2)
    file.seek(begin + length - 1)
    if file.tell() != begin + length - 1:  # a packed file cannot be wound past its end,
        raise _Damaged
    _exactly(file, 1)  # any other can
    return True


def _exactly(file: io.BufferedIOBase, n: int) -> bytes:
    data = file.read(n)
    if len(data) != n:
        raise _Damaged
    return data


def _varlen(file: io.BufferedIOBase, first: bytes) -> int:
    """Return an integer whose own length in bytes is `first`."""
    form = {1: "<B", 4: "<I", 8: "<Q"}.get(first[0])
    if form is None:
        raise _Damaged
    return int(struct.unpack(form, _exactly(file, first[0]))[0])


def _xml(file: io.BufferedIOBase, n: int) -> ElementTree.Element:
    """Read `n` bytes of XML; expat, which parses them, follows no reference out of the file and bounds entities."""
    if not 0 < n <= MAX_XML_BYTES:
        raise _Damaged
    try:
        return ElementTree.fromstring(_exactly(file, n).decode("utf-8", "replace"))
    except ElementTree.ParseError as error:
        raise _Damaged from error


def _stream(number: int, header: ElementTree.Element) -> XDFStream:
    """Return a stream from its header, checked."""

    def text(key: str) -> str:
        return (header.findtext(key) or "").strip()

    try:
        n_channels, sfreq = int(text("channel_count")), float(text("nominal_srate"))
    except ValueError as error:
        raise _Damaged from error
    form = text("channel_format")
    if not (0 < n_channels <= MAX_CHANNELS and 0 <= sfreq < math.inf and (form in VALUE_BYTES or form == STRING)):
        raise _Damaged
    desc = header.find("desc")
    return XDFStream(
        id=number, name=text("name"), type=text("type"), source_id=text("source_id"), hostname=text("hostname"),
        channel_format=form, n_channels=n_channels, sfreq=sfreq,
        desc=ElementTree.Element("desc") if desc is None else desc,
    )  # fmt: skip


def _count(file: io.BufferedIOBase, rest: int, stream: XDFStream) -> int:
    """Return how many samples a chunk of `rest` bytes states, where they can fit."""
    begin = file.tell()
    n = _varlen(file, _exactly(file, 1))
    rest -= file.tell() - begin
    if stream.is_text:
        fits = n * (1 + 2 * stream.n_channels) <= rest
    else:
        row = 1 + stream.n_channels * VALUE_BYTES[stream.channel_format]
        fits = n * row <= rest <= n * (row + STAMP_BYTES)
    if not fits:
        raise _Damaged
    return n
