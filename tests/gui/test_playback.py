"""A recording plays as it was: each record at its time, from any place, at any speed, up to where it is whole."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.errors import FeedError
from necomimi.feed import Publisher, encode
from necomimi.feed_file import FeedFile, FeedRecorder, Message
from necomimi.gui.display_state import DisplayState
from necomimi.gui.playback import REBUILD_S, PlaybackReceiver
from necomimi.gui.receiver import Receiver
from necomimi.records import Embedding, Event

DEADLINE_S = 20.0
N = 300
EVENTS = [Event(onset=1000.0 + code, label="a", code=code) for code in range(N)]


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.01)


def record(path: Path) -> Path:
    recorder = FeedRecorder(path)
    for event in EVENTS:
        recorder.write(Message(event.onset, *encode(event)))
    recorder.close()
    return path


class Wall:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def start(tmp_path: Path, wall: Wall) -> Iterator[Callable[..., PlaybackReceiver]]:
    started: list[PlaybackReceiver] = []

    def begin(path: Path | None = None) -> PlaybackReceiver:
        started.append(PlaybackReceiver(path or record(tmp_path / "a.feed"), wall))
        started[-1].start()
        started[-1].wait_for_length()
        return started[-1]

    yield begin
    for playback in started:
        playback.stop()


def codes(playback: PlaybackReceiver) -> list[int]:
    taken = list(playback.take())
    assert all(arrived == record.onset for arrived, record in taken)  # type: ignore[union-attr]
    return [record.code for _, record in taken]  # type: ignore[union-attr]


def test_each_record_comes_at_its_time(start: Callable[..., PlaybackReceiver], wall: Wall) -> None:
    playback = start()
    assert playback.length == N - 1
    assert codes(playback) == [0]
    wall.now += 2.5
    assert playback.clock() == 1002.5
    assert codes(playback) == [1, 2]
    assert codes(playback) == []
    playback.play(False)
    wall.now += 100.0
    assert codes(playback) == []
    playback.play(True)
    wall.now += 1.0
    assert codes(playback) == [3]
    playback.change_speed(2)
    wall.now += 2.0
    assert playback.position == 11.5
    assert codes(playback) == [*range(4, 12)]
    playback.change_speed(-9)
    wall.now += 3.0
    assert codes(playback) == [12, 13]


def test_it_stays_at_the_end(start: Callable[..., PlaybackReceiver], wall: Wall) -> None:
    playback = start()
    assert not playback.is_at_end
    wall.now += 10 * N
    assert codes(playback) == list(range(N))
    assert playback.is_at_end
    assert playback.clock() == EVENTS[-1].onset
    playback.seek(N - 3.0)
    assert not playback.is_at_end
    wall.now += 1.0
    assert playback.position == N - 2.0


def test_a_jump_gives_what_is_needed_to_show_the_place(start: Callable[..., PlaybackReceiver]) -> None:
    playback = start()
    codes(playback)
    assert not playback.seek(30.0)  # a little ahead: all that lies between
    assert codes(playback) == list(range(1, 31))
    assert playback.seek(200.0)  # far ahead: the minute before
    assert codes(playback) == list(range(200 - int(REBUILD_S), 201))
    assert playback.seek(195.0)  # back: the minute before, again
    assert codes(playback) == list(range(195 - int(REBUILD_S), 196))
    assert playback.seek(-10.0)
    assert playback.position == 0.0
    assert codes(playback) == [0]
    assert playback.seek(1e9)
    assert codes(playback) == list(range(N - 1 - int(REBUILD_S), N))


def test_it_plays_up_to_the_damage_and_on_behind_it(
    start: Callable[..., PlaybackReceiver], wall: Wall, tmp_path: Path
) -> None:
    path = record(tmp_path / "damaged.feed")
    content = bytearray(path.read_bytes())
    place = content.index(encode(EVENTS[5])[1])
    content[place + 3] ^= 1
    path.write_bytes(content)
    playback = start(path)
    wall.now += 8.0
    assert codes(playback) == [0, 1, 2, 3, 4]
    assert "damaged at byte" in playback.problem
    assert not playback.is_playing
    playback.play(True)
    assert codes(playback) == [6, 7, 8]


def test_the_length_ends_where_a_length_is_damaged(
    start: Callable[..., PlaybackReceiver], wall: Wall, tmp_path: Path
) -> None:
    path = record(tmp_path / "damaged.feed")
    with path.open("ab") as file:
        file.write(b"\xff" * 100)
    playback = start(path)
    assert "damaged at byte" in playback.problem
    assert playback.length == N - 1
    wall.now += 2 * N
    assert codes(playback) == list(range(N))
    assert playback.is_at_end


def test_a_message_of_another_version_is_passed_over_and_counted(
    start: Callable[..., PlaybackReceiver], tmp_path: Path
) -> None:
    recorder = FeedRecorder(tmp_path / "new.feed")
    for topic, body in (encode(EVENTS[0]), (b"Novelty", b"?"), encode(EVENTS[1])):
        recorder.write(Message(1000.0, topic, body))
    recorder.close()
    playback = start(tmp_path / "new.feed")
    assert [record for _, record in playback.take()] == EVENTS[:2]
    assert playback.n_refused == 1


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.feed").write_text("hello")
    with pytest.raises(FeedError, match="no recording"):
        PlaybackReceiver(tmp_path / "a.feed")
    record(tmp_path / "b.feed")
    PlaybackReceiver(tmp_path / "b.feed").stop()  # never started


def test_what_a_receiver_records_is_what_it_gave(start: Callable[..., PlaybackReceiver], tmp_path: Path) -> None:
    publisher = Publisher("tcp://127.0.0.1:*")
    times = iter(np.arange(1000.0, 2000.0))
    path = tmp_path / "live.feed"
    receiver = Receiver(publisher.address, clock=lambda: float(next(times)), record=path)
    receiver.start()
    heard: list[Any] = []
    embedding = Embedding(event=EVENTS[0], vector=np.ones(3), space="s")

    def arrived() -> bool:
        publisher.send(embedding)  # shown nowhere, recorded all the same
        publisher.send(EVENTS[3])
        heard.extend(receiver.take())
        return len(heard) >= 5

    until(arrived, "five events")
    publisher.close()
    receiver.stop()
    heard.extend(receiver.take())
    playback = start(path)
    playback.seek(playback.length)
    played = list(playback.take())
    assert [entry for entry in played if isinstance(entry[1], Event)] == heard
    assert any(isinstance(record, Embedding) for _, record in played)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a bound on the size of files")
def test_a_full_disk_ends_the_recording_not_the_watching(tmp_path: Path) -> None:
    import resource
    import signal

    publisher = Publisher("tcp://127.0.0.1:*")
    path = tmp_path / "live.feed"
    receiver = Receiver(publisher.address, record=path)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
        receiver.start()
        long = Event(onset=1.0, label=300 * "a", code=0)

        def is_full() -> bool:
            publisher.send(long)
            return "not recorded any more" in receiver.problem

        until(is_full, "a full disk")
        receiver.take()
        until(lambda: publisher.send(long) or list(receiver.take()), "a record after that")
        receiver.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
        publisher.close()
    file = FeedFile(path)
    file.scan(threading.Event())
    assert list(file.read(np.inf))
    assert file.n_cut
    file.close()


def test_a_recording_makes_a_window_s_state(start: Callable[..., PlaybackReceiver], wall: Wall) -> None:
    playback, state = start(), DisplayState()
    wall.now += 12.0
    for arrived, given in playback.take():
        state.update(given, arrived)
    assert [mark.event.code for mark in state.marks] == list(range(13))
