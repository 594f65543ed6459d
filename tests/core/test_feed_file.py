"""A recording of a feed holds every message byte for byte, however it ends, and nothing else passes for one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from necomimi.errors import ConfigError, FeedError
from necomimi.feed import MAX_BYTES, Publisher, Subscriber, decode, encode
from necomimi.feed_file import HEAD_BYTES, HEADER, LENGTHS, FeedFile, FeedRecorder, Message
from necomimi.records import Event

RNG = np.random.default_rng(0)
MESSAGES = [Message(100.0 + 0.25 * i, b"Event", RNG.bytes(int(RNG.integers(1, 3000)))) for i in range(200)]


def record(path: Path, messages: list[Message] = MESSAGES) -> Path:
    recorder = FeedRecorder(path)
    for message in messages:
        recorder.write(message)
    recorder.close()
    return path


def read(path: Path) -> list[Message]:
    with closing(FeedFile(path)) as file:
        return list(file.read(np.inf))


@pytest.fixture
def opened() -> Iterator[Callable[[Path], FeedFile]]:
    """Open files that are closed after the test."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(FeedFile(path)))


def test_what_is_written_is_read(tmp_path: Path, opened: Callable[[Path], FeedFile]) -> None:
    path = record(tmp_path / "a.feed")
    assert read(path) == MESSAGES
    file = opened(path)
    assert list(file.read(110.0)) == MESSAGES[:41]
    assert list(file.read(110.0)) == []
    assert list(file.read(111.0)) == MESSAGES[41:45]
    assert (file.begin, file.end) == (100.0, 111.0)
    file.scan(threading.Event())
    assert (file.end, file.n_cut) == (MESSAGES[-1].arrived, 0)


def test_the_feeds_own_frames_are_kept(tmp_path: Path) -> None:
    publisher = Publisher("tcp://127.0.0.1:*")
    subscriber = Subscriber(publisher.address)
    event, received = Event(onset=1.5, label="猫", code=7), None
    while received is None:
        publisher.send(event)
        received = subscriber.receive(0.05)
    assert subscriber.frames == encode(event)
    path = record(tmp_path / "a.feed", [Message(3.0, *subscriber.frames)])
    publisher.close()
    subscriber.close()
    (message,) = read(path)
    assert decode(message.topic, message.body) == event


@pytest.mark.parametrize("scanned", [False, True])
def test_it_can_be_read_from_any_time(tmp_path: Path, scanned: bool, opened: Callable[[Path], FeedFile]) -> None:
    file = opened(record(tmp_path / "a.feed"))
    if scanned:
        file.scan(threading.Event())
    for time in [*RNG.uniform(95.0, 155.0, 40), 100.0, 100.25, MESSAGES[-1].arrived]:
        file.seek(time)
        assert list(file.read(np.inf)) == [message for message in MESSAGES if message.arrived >= time]


def test_two_threads_may_index_it_at_once(tmp_path: Path, opened: Callable[[Path], FeedFile]) -> None:
    file = opened(record(tmp_path / "a.feed"))
    thread = threading.Thread(target=file.scan, args=(threading.Event(),))
    thread.start()
    assert list(file.read(np.inf)) == MESSAGES
    thread.join()
    assert file._times == sorted(set(file._times))
    file.seek(120.0)
    assert next(file.read(np.inf)).arrived == 120.0


@pytest.mark.parametrize("n_lost", [1, HEAD_BYTES, len(MESSAGES[-1].body) + 3, len(MESSAGES[-1].body) + HEAD_BYTES])
def test_a_last_message_that_is_cut_off_is_left_out(
    tmp_path: Path, n_lost: int, opened: Callable[[Path], FeedFile]
) -> None:
    path = record(tmp_path / "a.feed")
    size = path.stat().st_size
    os.truncate(path, size - n_lost)
    last = HEAD_BYTES + len(b"Event") + len(MESSAGES[-1].body)
    file = opened(path)
    file.scan(threading.Event())
    assert (file.end, file.n_cut) == (MESSAGES[-2].arrived, last - n_lost)
    file = opened(path)
    assert list(file.read(np.inf)) == MESSAGES[:-1]
    assert file.n_cut == last - n_lost


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes otherwise")
def test_a_killed_recorder_leaves_every_message(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from necomimi.feed_file import FeedRecorder, Message\n"
        "recorder = FeedRecorder(Path(sys.argv[1]))\n"
        "for i in range(10): recorder.write(Message(float(i), b'Event', bytes(i)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "a.feed"
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
    assert read(path) == [Message(float(i), b"Event", bytes(i)) for i in range(10)]


@pytest.mark.parametrize("place", range(0, HEAD_BYTES + 40, 3))
def test_a_changed_byte_is_found_where_it_is(tmp_path: Path, place: int, opened: Callable[[Path], FeedFile]) -> None:
    path = record(tmp_path / "a.feed")
    content = bytearray(path.read_bytes())
    size = HEAD_BYTES + len(b"Event") + len(MESSAGES[0].body)
    content[len(HEADER) + size + place] ^= 0x55  # in the second message
    path.write_bytes(content)
    file = opened(path)
    good = file.read(np.inf)
    assert next(good) == MESSAGES[0]
    with pytest.raises(FeedError, match=f"damaged at byte {len(HEADER) + size}"):
        list(good)


def test_a_length_beyond_the_feeds_bound_is_damage_and_takes_no_memory(tmp_path: Path) -> None:
    path = record(tmp_path / "a.feed", MESSAGES[:2])
    content = bytearray(path.read_bytes())
    content[len(HEADER) : len(HEADER) + LENGTHS.size] = LENGTHS.pack(100.0, 5, MAX_BYTES + 1)
    path.write_bytes(content)
    with pytest.raises(FeedError, match=f"damaged at byte {len(HEADER)}"):
        FeedFile(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no recording of a feed"),
        (b"\x80\x04K\x01.", "no recording of a feed"),
        (b"necomimi feed 2\n" + bytes(100), "version 2"),
        (HEADER, "no messages"),
        (HEADER + bytes(3), "no messages"),
    ],
)
def test_what_is_foreign_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.feed").write_bytes(content)
    with pytest.raises(FeedError, match=words):
        FeedFile(tmp_path / "a.feed")
    with pytest.raises(ConfigError, match="cannot be read"):
        FeedFile(tmp_path / "b.feed")


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = record(tmp_path / "a.feed")
    with pytest.raises(ConfigError, match="exists"):
        FeedRecorder(path)
    assert read(path) == MESSAGES
    with pytest.raises(ConfigError, match="cannot be written"):
        FeedRecorder(tmp_path / "nowhere" / "a.feed")


def test_a_large_file_takes_little_memory(tmp_path: Path, opened: Callable[[Path], FeedFile]) -> None:
    body = bytes(2**20)
    path = record(tmp_path / "a.feed", [Message(float(i), b"Chunk", body) for i in range(64)])
    file = opened(path)
    tracemalloc.start()
    file.scan(threading.Event())
    n_read = sum(len(message.body) for message in file.read(np.inf))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_read == 64 * 2**20
    assert peak < 8 * 2**20
