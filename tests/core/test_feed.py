"""Records cross the feed unchanged; anything else is refused without harm."""

from __future__ import annotations

import time
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from necomimi.errors import FeedError
from necomimi.feed import MAX_BYTES, Publisher, Subscriber, decode, encode
from necomimi.records import Chunk, Embedding, Epoch, Event, GeneratedImage, Refusal, Retrieval, Status, StreamInfo

INFO = StreamInfo(
    name="ämp", type="EEG", source_id="s", uid="u", ch_names=("A", "B"), sfreq=250.0, units=("V", "V"),
    applied=("whiten",),
)  # fmt: skip
EVENT = Event(onset=12.5, label="猫", code=3)
RNG = np.random.default_rng(0)
RECORDS = [
    Chunk(data=RNG.normal(size=(2, 5)), timestamps=np.arange(5) / 250, info=INFO),
    EVENT,
    Epoch(event=EVENT, data=RNG.normal(size=(2, 9)), tmin=-0.2, sfreq=250.0, info=INFO),
    Refusal(event=EVENT, reason="gap", detail="7 samples are missing"),
    Embedding(event=EVENT, vector=RNG.normal(size=8), space="s"),
    Retrieval(event=EVENT, labels=("a", "b"), scores=np.array([0.7, 0.2]), latency_ms={"total": 3.5}),
    GeneratedImage(event=EVENT, pixels=np.zeros((4, 6, 3), np.uint8), seed=1, stage="one-stage"),
    Status(
        state="LIVE", message="live", sfreq=250.0, n_samples=10, n_missing=0, n_events=3, n_retrievals=1, n_refusals=1,
        n_pending=1, refusals={"gap": 1}, lag_s=0.01, latency_ms={"total": {"p50": 1.0}}, n_classes=200,
    ),
]  # fmt: skip


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)  # type: ignore[attr-defined]
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__)
    return a == b


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_round_trip(record: object) -> None:
    back = decode(*encode(record))
    assert same(record, back)


def test_records_own_their_arrays() -> None:
    data = np.ones((2, 3), np.float32)
    chunk = Chunk(data=data, timestamps=np.arange(3.0), info=INFO)
    data[:] = 5
    assert (chunk.data == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        chunk.data[0, 0] = 2
    with pytest.raises(ValueError, match="expected"):
        Chunk(data=np.ones((3, 3)), timestamps=np.arange(3.0), info=INFO)
    with pytest.raises(ValueError, match="descend"):
        Retrieval(event=EVENT, labels=("a", "b"), scores=np.array([0.1, 0.9]))
    with pytest.raises(ValueError, match="reason"):
        Refusal(event=EVENT, reason="tired")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "frames",
    [
        (b"Nonsense", b""),
        (b"Event", b"\xc1"),
        (b"Event", msgpack.packb([1, 2])),
        (b"Event", msgpack.packb({"onset": 1.0, "label": "x", "code": 1, "extra": 2})),
        (b"Refusal", msgpack.packb({"event": {"onset": 1.0, "label": "x", "code": 1}, "reason": "because"})),
        (b"Embedding", msgpack.packb({"event": {"onset": 1.0, "label": "x", "code": 1}, "space": "s",
                                      "vector": {"dtype": "object", "shape": [1], "data": b"12345678"}})),
        (b"Embedding", msgpack.packb({"event": {"onset": 1.0, "label": "x", "code": 1}, "space": "s",
                                      "vector": {"dtype": "float32", "shape": [-1, 2], "data": b"12345678"}})),
        (b"Embedding", msgpack.packb({"event": {"onset": 1.0, "label": "x", "code": 1}, "space": "s",
                                      "vector": {"dtype": "float32", "shape": [3], "data": b"12345678"}})),
    ],
)  # fmt: skip
def test_malformed_messages_are_refused(frames: tuple[bytes, bytes]) -> None:
    with pytest.raises(FeedError):
        decode(*frames)


def test_messages_are_bounded() -> None:
    huge = GeneratedImage(event=EVENT, pixels=np.zeros((2000, 2000, 3), np.uint8), seed=1, stage="one-stage")
    with pytest.raises(FeedError, match="at most"):
        encode(huge)
    with pytest.raises(FeedError, match="bytes"):
        decode(b"Event", b"0" * (MAX_BYTES + 1))


def receive(subscriber: Subscriber, publisher: Publisher, record: object) -> object:
    """Send until a subscription that is still being made takes hold."""
    for _ in range(200):
        publisher.send(record)
        got = subscriber.receive(0.05)
        if got is not None:
            return got
    raise AssertionError("nothing arrived")


def bind_again(address: str, **options: Any) -> Publisher:
    """Publish where a publisher of this process has just closed: its port is free a moment later."""
    for _ in range(500):
        try:
            return Publisher(address, **options)
        except FeedError:
            time.sleep(0.01)
    raise AssertionError(f"{address} does not become free")


def test_over_a_socket_late_attach_and_restart() -> None:
    publisher = Publisher("tcp://127.0.0.1:*")
    address = publisher.address
    subscriber = Subscriber(address, (Event, Refusal))
    assert receive(subscriber, publisher, EVENT) == EVENT
    publisher.close()
    publisher = bind_again(address)  # the decoder restarts; the viewer does nothing
    assert receive(subscriber, publisher, EVENT) == EVENT
    with pytest.raises(FeedError, match="cannot be bound"):
        Publisher(address)
    subscriber.close()
    publisher.close()


def test_a_hostile_publisher_does_no_harm() -> None:
    socket = zmq.Context.instance().socket(zmq.PUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    subscriber = Subscriber(f"tcp://127.0.0.1:{port}")
    for _ in range(200):
        socket.send_multipart([b"Event", b"junk"])
        socket.send_multipart([b"Event"])
        socket.send_multipart(list(encode(EVENT)))
        if subscriber.receive(0.05) == EVENT and subscriber.n_refused:
            break
    else:
        raise AssertionError("the good record never came through")
    subscriber.close()
    socket.close(0)


def test_the_feed_stays_on_this_machine() -> None:
    with pytest.raises(FeedError, match=r"127\.0\.0\.1"):
        Publisher("tcp://0.0.0.0:5999")
