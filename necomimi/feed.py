"""Records from one process to another over ZeroMQ: record -> bytes -> record.

Each message has two frames: the topic (the record's class name, ASCII) and a msgpack map of its fields. Arrays travel
as {"dtype", "shape", "data"} of a fixed set of dtypes. No pickle; a message over `MAX_BYTES` is refused on both sides.
A publisher never blocks: a subscriber that does not keep up loses messages, the decoder loses nothing.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq
from zmq.utils.monitor import parse_monitor_message

from necomimi.curve import Doorkeeper, protect_client
from necomimi.errors import FeedError
from necomimi.records import (
    Chunk,
    Embedding,
    Epoch,
    Event,
    GeneratedImage,
    Refusal,
    Retrieval,
    Status,
    StreamInfo,
)

__all__ = ["DEFAULT_ADDRESS", "MAX_BYTES", "Publisher", "Record", "Subscriber", "decode", "encode"]

logger = logging.getLogger(__name__)

DEFAULT_ADDRESS = "tcp://127.0.0.1:5790"
MAX_BYTES = 8 * 2**20
HIGH_WATER_MARK = 500
RETRY_S = 1.0
_HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
)

Record = Chunk | Event | Epoch | Refusal | Embedding | Retrieval | GeneratedImage | Status
_RECORDS: dict[str, type] = {
    cls.__name__: cls for cls in (Chunk, Event, Epoch, Refusal, Embedding, Retrieval, GeneratedImage, Status)
}
_NESTED: dict[str, type] = {"event": Event, "info": StreamInfo}
_DTYPES = {"float32", "float64", "uint8"}


def _pack(value: Any) -> Any:
    """Return `value` in msgpack's own types."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _pack(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "shape": value.shape, "data": np.ascontiguousarray(value).tobytes()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _pack(item) for key, item in value.items()}
    return value


def _unpack_array(value: dict[str, Any]) -> np.ndarray:
    """Return the array that a {"dtype", "shape", "data"} map holds."""
    dtype, shape, data = value["dtype"], value["shape"], value["data"]
    if dtype not in _DTYPES or not isinstance(data, bytes) or not isinstance(shape, list) or len(shape) > 4:
        raise ValueError(f"array of dtype {dtype!r}")
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"array of shape {shape!r}")
    array = np.frombuffer(data, dtype=dtype).reshape(shape)  # read-only: bytes are
    if sys.byteorder == "big":
        array = array.byteswap()
    return array


def _unpack_fields(cls: type, value: Any) -> Any:
    """Return a record of class `cls` from the map of its fields; unknown fields are refused."""
    if not isinstance(value, dict):
        raise ValueError(f"{cls.__name__} is not a map")
    arguments = {}
    for name, item in value.items():
        if name in _NESTED:
            item = _unpack_fields(_NESTED[name], item)
        elif isinstance(item, dict) and item.keys() == {"dtype", "shape", "data"}:
            item = _unpack_array(item)
        elif isinstance(item, list):
            item = tuple(item)
        arguments[name] = item
    return cls(**arguments)


def encode(record: Record) -> tuple[bytes, bytes]:
    """Return the two frames of a record.

    Raises
    ------
    FeedError
        The record is larger than `MAX_BYTES`.
    """
    topic = type(record).__name__
    body = msgpack.packb(_pack(record), use_bin_type=True)
    if len(body) > MAX_BYTES:
        raise FeedError(f"a {topic} of {len(body)} bytes", f"at most {MAX_BYTES}", "send shorter chunks")
    return topic.encode("ascii"), body


def decode(topic: bytes, body: bytes) -> Any:
    """Return the record in two frames.

    Raises
    ------
    FeedError
        The message is too large, of an unknown topic, or malformed.
    """
    cls = _RECORDS.get(topic.decode("ascii", "replace"))
    if cls is None:
        raise FeedError(f"a message of topic {topic[:40]!r}", f"one of {', '.join(_RECORDS)}", "update both programs")
    if len(body) > MAX_BYTES:
        raise FeedError(f"a {cls.__name__} of {len(body)} bytes", f"at most {MAX_BYTES}")
    try:
        return _unpack_fields(cls, msgpack.unpackb(body, raw=False, max_bin_len=MAX_BYTES, strict_map_key=True))
    except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException) as error:
        raise FeedError(f"a malformed {cls.__name__}: {error}", "a record of this version") from error


class Publisher:
    """Publish records, on this machine or, with keys, beyond it; never blocks.

    Parameters
    ----------
    address : str
        A ZeroMQ address on 127.0.0.1 (or ``ipc://``, ``inproc://``); with keys any, such as ``tcp://0.0.0.0:5790``.
    keys : Path, optional
        Folder of keys (see `necomimi.curve`): the feed is encrypted, and only listeners whose public key is in its
        ``clients`` hear it.

    Raises
    ------
    FeedError
        The address is taken, or reaches beyond this machine without keys.
    ConfigError
        The keys are not there.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, keys: Path | None = None) -> None:
        if keys is None and not address.startswith(("tcp://127.0.0.1:", "ipc://", "inproc://")):
            raise FeedError(
                f"feed address {address!r}",
                "an address on 127.0.0.1: without keys the feed is not encrypted",
                "--keys DIR (necomimi keys DIR makes them)",
            )
        self._doorkeeper = None if keys is None else Doorkeeper(keys)
        context = zmq.Context.instance() if self._doorkeeper is None else self._doorkeeper.context
        self._socket: zmq.Socket[bytes] = context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.LINGER, 500)
        if self._doorkeeper is not None:
            self._doorkeeper.protect(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise FeedError(
                f"feed address {address} cannot be bound: {error.strerror}", "a free port", "choose another with --feed"
            ) from error
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def send(self, record: Record) -> None:
        """Publish one record from one thread at a time."""
        self._socket.send_multipart(encode(record), flags=zmq.NOBLOCK)

    def close(self) -> None:
        """Send what is waiting (half a second at most) and close."""
        self._socket.close()
        if self._doorkeeper is not None:
            self._doorkeeper.close()
            self._doorkeeper = None


class Subscriber:
    """Receive records; reconnects by itself and can attach at any time.

    Parameters
    ----------
    address : str
        The publisher's address.
    topics : sequence of type
        Record classes wanted; all by default.
    keys : Path, optional
        Folder with the publisher's ``server.key`` and one's own ``*.key_secret`` (see `necomimi.curve`).

    Attributes
    ----------
    n_refused : int
        Messages passed over because they were malformed.
    frames : tuple of bytes
        Topic and body of the record that was received last, as they came.
    problem : str
        Why the publisher and we do not come together though it is there, in words; "" while nothing is wrong.

    Raises
    ------
    FeedError
        The address is not one that ZeroMQ can connect to.
    ConfigError
        The keys are not there.
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, topics: tuple[type, ...] = (), *, keys: Path | None = None
    ) -> None:
        self.n_refused = 0
        self.frames = (b"", b"")
        self.problem = ""
        self._address = address
        self._keys = keys
        self._n_closed = 0
        self._retry_at = float("inf")
        self._monitor: Any = None
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        try:
            self._socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
            self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
            self._socket.setsockopt(zmq.LINGER, 0)
            for topic in topics or tuple(_RECORDS.values()):
                self._socket.setsockopt(zmq.SUBSCRIBE, topic.__name__.encode("ascii"))
            if keys is not None:
                protect_client(self._socket, keys)
            self._monitor = self._socket.get_monitor_socket(sum(_HANDSHAKES))
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise FeedError(f"feed address {address!r}: {error.strerror}", f"one like {DEFAULT_ADDRESS}") from error
        except BaseException:
            self.close()
            raise

    def receive(self, timeout: float) -> Any | None:
        """Return the next record, or None when none comes within `timeout` seconds.

        A malformed message is counted in `n_refused`, logged, and passed over.
        """
        while self._socket.poll(max(0, int(timeout * 1000))):
            frames = self._socket.recv_multipart()
            try:
                if len(frames) != 2:
                    raise FeedError(f"a message of {len(frames)} frames", "two")
                record = decode(*frames)
                self.frames = (frames[0], frames[1])
                return record
            except FeedError as error:
                self.n_refused += 1
                logger.warning("refused message %d on the feed: %s", self.n_refused, error)
        self._watch_handshakes()
        return None

    def _watch_handshakes(self) -> None:
        """Put into words why no connection comes about; ask again where ZeroMQ has given up."""
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.problem, self._n_closed = "", 0
                continue
            problem = ""
            if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._n_closed += 1  # once may be a publisher that just ended
                if self._n_closed > 1 and self._keys is not None:
                    problem = f"what listens at {self._address} does not have the secret of {self._keys}/server.key"
            else:
                self._retry_at = time.monotonic() + RETRY_S  # ZeroMQ does not try again by itself
                if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    problem = f"the decoder at {self._address} does not admit the key in {self._keys}"
                elif self._keys is None:
                    problem = f"what listens at {self._address} asks for keys: --keys DIR"
                else:
                    problem = f"what listens at {self._address} uses no keys: leave --keys away"
            if problem and problem != self.problem:
                self.problem = problem
                logger.warning("%s", problem)
        if time.monotonic() >= self._retry_at:
            self._retry_at = float("inf")
            self._socket.disconnect(self._address)
            self._socket.connect(self._address)

    def close(self) -> None:
        """Close the connection."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._socket.close()
            if self._monitor is not None:
                self._monitor.close(0)
