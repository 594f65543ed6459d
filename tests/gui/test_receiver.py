from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from necomimi.errors import FeedError
from necomimi.feed import Publisher
from necomimi.gui.receiver import Receiver
from necomimi.records import Event

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


def test_it_stops_whether_or_not_it_was_started(publisher: Publisher) -> None:
    before = threading.active_count()
    Receiver(publisher.address).stop()
    receiver = Receiver(publisher.address)
    receiver.start()
    assert threading.active_count() == before + 1
    receiver.stop()
    receiver.stop()
    assert threading.active_count() == before
