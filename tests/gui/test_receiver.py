from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from necomimi.curve import make_client_keys, make_server_keys
from necomimi.errors import FeedError
from necomimi.feed import Publisher, decode, encode
from necomimi.gui.display_state import DisplayState
from necomimi.gui.receiver import LARGE_PICTURES, PICTURES, Receiver
from necomimi.records import Event, GeneratedImage, Retrieval

from .synthetic import make_status

DEADLINE_S = 20.0


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.01)


def connect(publisher: Publisher, receiver: Receiver) -> None:
    """Send until something arrives: a subscription takes a moment to reach the publisher."""

    def heard() -> bool:
        publisher.send(Event(onset=0.0, label="hello", code=-1))
        return bool(receiver.take())

    until(heard, "the first record")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher("tcp://127.0.0.1:*")
    yield publisher
    publisher.close()


def test_records_arrive_in_order_with_their_time(publisher: Publisher) -> None:
    receiver = Receiver(publisher.address, clock=lambda: 42.0)
    receiver.start()
    connect(publisher, receiver)
    for code in range(50):
        publisher.send(Event(onset=float(code), label="a", code=code))
    taken: list[Any] = []

    def complete() -> bool:
        taken.extend(entry for entry in receiver.take() if entry[1].code >= 0)
        return len(taken) == 50

    until(complete, "50 events")
    assert [record.code for _, record in taken] == list(range(50))
    assert {arrived for arrived, _ in taken} == {42.0}
    receiver.stop()


def test_the_records_of_an_older_decoder_are_understood() -> None:
    event = Event(onset=1.0, label="a", code=0)
    status = make_status(n_samples=1, n_events=1, n_pending=1)
    answer = Retrieval(event=event, labels=("a", "b"), scores=np.array([0.7, 0.3], dtype=np.float32))
    added = ("until", "sure", "warnings", "tmin", "tmax", "drift_ppm", "jitter_ms", "cpu_percent")
    state = DisplayState()
    for record in (event, status, answer):
        topic, body = encode(record)
        fields = {name: value for name, value in msgpack.unpackb(body).items() if name not in added}
        state.update(decode(topic, msgpack.packb(fields)), 2.0)
    assert (state.marks[0].verdict, state.n_decisions) == ("hit", 1)
    assert (state.epoch_s, state.warnings(2.0)) == (None, [])


def test_a_window_that_hangs_loses_the_oldest_and_knows_how_many(publisher: Publisher) -> None:
    receiver = Receiver(publisher.address, capacity=20)
    receiver.start()
    connect(publisher, receiver)
    until(lambda: not receiver.take(), "silence")
    dropped_before = receiver.n_dropped
    for code in range(100):
        publisher.send(Event(onset=float(code), label="a", code=code))
    until(lambda: receiver.n_dropped - dropped_before >= 80, "80 dropped records")
    codes = [record.code for _, record in receiver.take()]
    assert codes == list(range(80, 100))
    receiver.stop()


@pytest.mark.parametrize("most", [LARGE_PICTURES + 8, PICTURES])
def test_the_newest_pictures_wait_whole_older_ones_small_and_each_comes_after_what_it_is_of(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("necomimi.gui.receiver.PICTURES", most)
    receiver = Receiver(publisher.address)
    receiver.start()
    connect(publisher, receiver)
    n = 3 * LARGE_PICTURES
    for code in range(n):
        event = Event(onset=float(code), label="a", code=code)
        publisher.send(event)
        pixels = np.full((256, 512, 3), code, dtype=np.uint8)
        publisher.send(GeneratedImage(event=event, pixels=pixels, seed=0, stage="one-stage"))
    last = Event(onset=0.0, label="last", code=n)
    publisher.send(last)
    until(lambda: receiver._records and receiver._records[-1][1] == last, "the last record")
    taken = [record for _, record in receiver.take() if not (isinstance(record, Event) and record.code < 0)]
    events = [record.code for record in taken if isinstance(record, Event)]
    pictures = [record for record in taken if isinstance(record, GeneratedImage)]
    assert events == list(range(n + 1))
    assert [image.event.code for image in pictures] == list(range(n - min(n, most), n))
    sizes = [image.pixels.shape[:2] for image in pictures]
    assert sizes == [(48, 96)] * (len(pictures) - LARGE_PICTURES) + [(256, 512)] * LARGE_PICTURES
    assert all(image.pixels[0, 0, 0] == image.event.code for image in pictures)
    assert all(taken.index(image.event) < i for i, image in enumerate(taken) if isinstance(image, GeneratedImage))
    assert receiver.n_dropped == 0
    receiver.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": np.zeros((4, 4, 4), dtype=np.uint8)},
        {"pixels": np.zeros((0, 4, 3), dtype=np.uint8)},
        {"stage": "third"},
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused(change: dict[str, Any]) -> None:
    event, pixels = Event(onset=0.0, label="a", code=0), np.zeros((4, 4, 3), dtype=np.uint8)
    topic, body = encode(GeneratedImage(event=event, pixels=pixels, seed=0, stage="one-stage"))
    fields = msgpack.unpackb(body)
    if "stage" in change:
        fields |= change
    else:
        fields["pixels"] |= {"shape": change["pixels"].shape, "data": change["pixels"].tobytes()}
    with pytest.raises(FeedError, match=r"shape|stage"):
        decode(topic, msgpack.packb(fields))


def test_it_finds_the_decoder_again(publisher: Publisher) -> None:
    receiver = Receiver(publisher.address)
    receiver.start()
    connect(publisher, receiver)
    address = publisher.address
    publisher.close()
    again: list[Publisher] = []

    def bound() -> bool:
        try:
            again.append(Publisher(address))
        except FeedError:
            return False  # the old socket lingers
        return True

    until(bound, "the address to be free")
    receiver.take()
    connect(again[0], receiver)
    receiver.stop()
    again[0].close()


def test_what_is_malformed_is_counted_and_passed_over() -> None:
    socket = zmq.Context.instance().socket(zmq.PUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    receiver = Receiver(f"tcp://127.0.0.1:{port}")
    receiver.start()

    def refused() -> bool:
        socket.send_multipart([b"Event", b"not msgpack"])
        return receiver.n_refused > 0

    until(refused, "a refused message")
    assert receiver.take() == []
    receiver.stop()
    socket.close()


def test_an_encrypted_feed_wants_keys(tmp_path: Path) -> None:
    make_server_keys(tmp_path)
    make_client_keys(tmp_path, "viewer")
    publisher = Publisher("tcp://127.0.0.1:*", keys=tmp_path)
    receiver, without = Receiver(publisher.address, keys=tmp_path), Receiver(publisher.address)
    receiver.start()
    without.start()
    connect(publisher, receiver)
    until(lambda: without.problem, "the viewer without keys is told")
    assert "--keys DIR" in without.problem
    assert receiver.problem == ""
    assert without.take() == []
    for listener in (receiver, without):
        listener.stop()
    publisher.close()


def test_it_stops_whether_or_not_it_was_started(publisher: Publisher) -> None:
    before = threading.active_count()
    Receiver(publisher.address).stop()
    receiver = Receiver(publisher.address)
    receiver.start()
    assert threading.active_count() == before + 1
    receiver.stop()
    receiver.stop()
    assert threading.active_count() == before
