"""The player keeps its recording's clock: every sample, in order, never ahead of time; over real LSL too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.lsl import EEGInlet, EEGOutlet, Finder, MarkerInlet, MarkerOutlet, find_stream, local_clock
from necomimi.records import StreamInfo
from necomimi.replay.outlet import GAP_S, LOOP_MARKER, Player, stream_info
from necomimi.replay.timeline import Timeline, concatenate, positions

CLOCK_SYNC_S = 0.5e-3  # what liblsl's estimate of the offset between two clocks of one machine may be wrong by


def counting(n_times: int = 1000, events: tuple[int, ...] = (0, 3, 500, 999), name: str = "counting") -> Timeline:
    """Return three channels at 1000 Hz that count samples: two in microvolts, one without a unit."""

    def read(start: int, stop: int) -> np.ndarray:
        row = np.arange(start, stop, dtype=np.float64)
        return np.stack([row * 1e-6, -row * 1e-6, row])

    return Timeline(
        name=name,
        source=name,
        description=name,
        ch_names=("Oz", "O1", "STI"),
        ch_types=("EEG", "EEG", "STIM"),
        units=("microvolts", "microvolts", ""),
        sfreq=1000.0,
        n_times=n_times,
        events=tuple((sample, str(sample)) for sample in events),
        read=read,
    )


class Clock:
    """A clock that only sleeping moves, by a little too much."""

    def __init__(self, *oversleep: float) -> None:
        self.now = 50.0
        self.oversleep = iter(oversleep)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + next(self.oversleep, 1e-6)


class Sink:
    """Keeps what is pushed, with its stamp and when it came."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pushed: list[tuple[float, float, Any]] = []

    def push(self, what: Any, stamp: float) -> None:
        self.pushed.append((self.clock.now, stamp, what))

    def samples(self) -> np.ndarray:
        return np.concatenate([block for _, _, block in self.pushed])

    def stamps(self, rate: float) -> np.ndarray:
        return np.concatenate([last - np.arange(len(block))[::-1] / rate for _, last, block in self.pushed])


def play(line: Timeline, clock: Clock, stop_at: float = 1e9, **options: Any) -> tuple[Sink, Sink, Player]:
    eeg, markers = Sink(clock), Sink(clock)
    player = Player(
        line, eeg, markers, clock=clock, sleep=clock.sleep, should_stop=lambda: clock.now > stop_at, **options
    )
    player.run()
    return eeg, markers, player


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("chunk", [1, 5, 7, 100, 5000])
def test_every_sample_once_in_order_and_on_time(chunk: int, speed: float) -> None:
    eeg, _, player = play(counting(2500), Clock(), chunk=chunk, speed=speed)
    row = np.arange(2500, dtype=np.float32)
    np.testing.assert_array_equal(eeg.samples(), np.stack([row, -row, row], axis=1))
    assert eeg.samples().dtype == np.float32
    assert max(len(block) for _, _, block in eeg.pushed) == min(chunk, 1000 // chunk * chunk or chunk, 2500)
    np.testing.assert_allclose(np.diff(eeg.stamps(1000 * speed)), 1e-3 / speed, atol=1e-9)
    assert all(0 <= now - stamp < 1e-4 for now, stamp, _ in eeg.pushed)
    assert player.summary.n_samples == 2500
    assert 0 < player.summary.worst_lateness < 1e-4


def test_markers_carry_the_stamps_of_their_samples_and_leave_on_time() -> None:
    eeg, markers, player = play(counting(), Clock(), chunk=64)
    stamps = eeg.stamps(1000)
    assert [label for _, _, label in markers.pushed] == ["0", "3", "500", "999"]
    assert player.summary.n_events == 4
    for now, stamp, label in markers.pushed:
        assert abs(stamp - stamps[int(label)]) < 1e-9
        assert 0 <= now - stamp < 1e-4


@pytest.mark.parametrize("speed", [1.0, 3.0])
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_a_recording_with_stamps_is_played_by_them(chunk: int, speed: float) -> None:
    """A hole of 2 s, one stamp late by 5 ms, a burst, a step back; markers between samples, before and after them."""
    stamps = np.arange(1000) / 1000
    stamps[300:] += 2.0
    stamps[500] += 5e-3
    stamps[600:635] = stamps[635]
    stamps[800:] -= 0.05
    times = [-1.5, 0.1004, 1.7, 2.7201, 4.0]
    line = counting(1000, events=())
    line = replace(
        line, stamps=stamps, events=tuple(zip(positions(stamps, 1000.0, np.array(times)), "abcde", strict=True))
    )
    eeg, markers, player = play(line, Clock(), chunk=chunk, speed=speed)
    np.testing.assert_array_equal(eeg.samples()[:, 0], np.arange(1000))
    sent = eeg.stamps(1000 * speed)
    np.testing.assert_allclose(sent - sent[0], stamps / speed, atol=1e-6)
    assert [label for _, _, label in markers.pushed] == list("abcde")
    np.testing.assert_allclose([stamp - sent[0] for _, stamp, _ in markers.pushed], np.array(times) / speed, atol=1e-9)
    assert all(now >= stamp for now, stamp, _ in [*eeg.pushed, *markers.pushed])
    assert player.summary.n_events == 5


def test_after_a_stall_all_that_is_due_leaves_at_once_with_its_own_stamps() -> None:
    eeg, markers, player = play(counting(), Clock(0, 0, 0, 0, 0, 0.3), chunk=5)
    np.testing.assert_array_equal(eeg.samples()[:, 0], np.arange(1000))
    np.testing.assert_allclose(np.diff(eeg.stamps(1000)), 1e-3, atol=1e-9)
    moments = [now for now, _, _ in eeg.pushed]
    assert max(moments.count(now) for now in set(moments)) >= 59
    assert player.summary.worst_lateness == pytest.approx(0.3, abs=0.01)
    assert len(markers.pushed) == 4
    assert eeg.pushed[-1][0] - eeg.pushed[-1][1] < 1e-4  # and is on time again


@given(
    oversleep=st.lists(st.floats(0, 0.2), max_size=60),
    chunk=st.integers(1, 300),
    events=st.sets(st.integers(0, 599), min_size=1, max_size=20),
    cut=st.integers(1, 599),
    speed=st.sampled_from([0.3, 1.0, 3.7]),
)
def test_nothing_is_ever_early_lost_or_moved(
    oversleep: list[float], chunk: int, events: set[int], cut: int, speed: float
) -> None:
    whole = counting(600, tuple(sorted(events)))
    parts = [
        whole.crop(0, cut / 1000) if min(events) < cut else None,
        whole.crop(cut / 1000, None) if max(events) >= cut else None,
    ]
    line = concatenate([part for part in parts if part], name="", source="", description="")
    eeg, markers, _ = play(line, Clock(*oversleep), chunk=chunk, speed=speed)
    stamps, sent = eeg.stamps(1000 * speed), eeg.samples()[:, 0].tolist()
    assert all(now >= stamp for sink in (eeg, markers) for now, stamp, _ in sink.pushed)
    assert sent == line.read(0, line.n_times)[2].tolist()
    assert [int(label) for _, _, label in markers.pushed] == sorted(events)
    for _, stamp, label in markers.pushed:
        assert abs(stamp - stamps[sent.index(int(label))]) < 1e-9


def test_a_seam_is_a_gap_in_the_stamps() -> None:
    line = concatenate([counting(300, (5,)), counting(200, (7,))], name="", source="", description="")
    eeg, markers, _ = play(line, Clock(), chunk=5, speed=2.0)
    steps = np.diff(eeg.stamps(2000))
    assert np.flatnonzero(steps > 1e-3).tolist() == [299]
    assert steps[299] == pytest.approx((GAP_S + 1e-3) / 2)
    assert [label for _, _, label in markers.pushed] == ["5", "7"]


def test_a_loop_is_announced_and_leaves_a_gap() -> None:
    clock = Clock()
    eeg, markers, player = play(counting(300, (5,)), clock, stop_at=clock.now + 3.5, chunk=5, loop=True)
    assert player.summary.n_passes == 3
    assert eeg.samples()[:, 0].tolist() == [*range(300)] * 3
    stamps = eeg.stamps(1000)
    steps = np.diff(stamps)
    assert np.flatnonzero(steps > 2e-3).tolist() == [299, 599]
    assert steps[299] == pytest.approx(GAP_S + 1e-3)
    assert [label for _, _, label in markers.pushed] == ["5", LOOP_MARKER, "5", LOOP_MARKER, "5", LOOP_MARKER]
    assert markers.pushed[1][1] == pytest.approx(stamps[299] + 1e-3)
    assert player.summary.n_events == 3


def test_stops_when_asked_to() -> None:
    clock = Clock()
    eeg, _, player = play(counting(100_000), clock, stop_at=clock.now + 1.0, chunk=5)
    assert clock.now < 51.01
    assert player.summary.n_samples == len(eeg.samples()) > 700


def test_a_reader_that_fails_is_heard() -> None:
    def broken(start: int, stop: int) -> np.ndarray:
        raise OSError("disk gone")

    line = counting()
    object.__setattr__(line, "read", broken)
    with pytest.raises(OSError, match="disk gone"):
        play(line, Clock())


def test_header() -> None:
    info = stream_info(counting(), None, 4.0)
    assert (info.name, info.type, info.sfreq, info.speed) == ("counting", "EEG", 4000.0, 4.0)
    assert info.units == ("microvolts", "microvolts", "")
    assert info.ch_types == ("EEG", "EEG", "STIM")
    assert stream_info(counting(), "other").name == "other"
    assert info.source_id == stream_info(counting(), "other").source_id != stream_info(counting(name="b")).source_id


# Over LSL


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Timeline:
    """Return a timeline of this test's own name: no stream of another test can be meant."""
    events = (0, 3, 500, 777, 1999)
    name = request.node.name
    return concatenate([counting(2000, events), counting(500, (10,))], name=name, source=name, description="")


class Listener:
    """Pulls both streams in a thread until it is stopped."""

    def __init__(self, info: StreamInfo, markers_id: str) -> None:
        self.eeg = EEGInlet(find_stream(Finder(source_id=info.source_id)))
        self.markers = MarkerInlet(find_stream(Finder(source_id=markers_id)))
        self.samples: list[np.ndarray] = []
        self.stamps: list[np.ndarray] = []
        self.events: list[tuple[str, float]] = []
        self.earliest = np.inf  # arrival less stamp
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pull)
        self._thread.start()

    def _pull(self) -> None:
        while not self._stop.is_set():
            data, stamps = self.eeg.pull(0.02)
            now = local_clock()
            if len(stamps):
                self.samples.append(data.copy())
                self.stamps.append(stamps.copy())
                self.earliest = min(self.earliest, now - stamps[-1])
            for label, stamp in self.markers.pull(0.0):
                self.events.append((label, stamp))
                self.earliest = min(self.earliest, local_clock() - stamp)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.eeg.close()
        self.markers.close()

    def n_samples(self) -> int:
        return sum(map(len, self.stamps))


@pytest.fixture
def connected(line: Timeline) -> Iterator[Any]:
    """Return a function that opens both ends of a timeline's streams."""
    opened: list[tuple[Listener, EEGOutlet, MarkerOutlet]] = []  # outlets outlive their listeners

    def connect(speed: float = 1.0) -> tuple[EEGOutlet, MarkerOutlet, Listener]:
        info = stream_info(line, None, speed)
        eeg, markers = EEGOutlet(info), MarkerOutlet(f"{info.name}-markers", f"{info.source_id}-markers")
        listener = Listener(info, f"{info.source_id}-markers")
        opened.append((listener, eeg, markers))
        assert eeg.wait_for_consumers(5)
        assert markers.wait_for_consumers(5)
        return eeg, markers, listener

    yield connect
    for listener, *_ in opened:
        listener.close()


def wait_for(condition: Any, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.mark.lsl
@pytest.mark.parametrize(("speed", "chunk"), [(1.0, 5), (4.0, 20), (4.0, 1)])
def test_over_lsl_every_sample_arrives_exactly_and_never_early(
    line: Timeline, connected: Any, speed: float, chunk: int
) -> None:
    eeg, markers, listener = connected(speed)
    assert (listener.eeg.info.speed, listener.eeg.info.sfreq) == (speed, 1000 * speed)
    assert listener.eeg.info.units == line.units
    assert listener.eeg.info.ch_types == line.ch_types
    assert listener.eeg.info.ch_names == line.ch_names
    began = local_clock()
    summary = Player(line, eeg, markers, speed=speed, chunk=chunk).run()
    took = local_clock() - began
    wait_for(lambda: listener.n_samples() >= 2500 and len(listener.events) >= 6)
    samples, stamps = np.concatenate(listener.samples), np.concatenate(listener.stamps)
    row = np.concatenate([np.arange(2000), np.arange(500)]).astype(np.float32)
    np.testing.assert_array_equal(samples, np.stack([row, -row, row], axis=1))
    assert listener.earliest > -CLOCK_SYNC_S
    assert took == pytest.approx((2.5 + GAP_S) / speed, abs=0.5)
    assert summary.n_events == len(listener.events) == len(line.events)
    for (sample, label), (received, stamp) in zip(line.events, listener.events, strict=True):
        assert received == label
        assert abs(stamp - stamps[sample]) < 0.1e-3 + CLOCK_SYNC_S


@pytest.mark.lsl
def test_over_lsl_a_loop_leaves_its_mark(line: Timeline, connected: Any) -> None:
    eeg, markers, listener = connected(4.0)
    player = Player(line, eeg, markers, speed=4.0, chunk=20, loop=True, should_stop=lambda: listener.n_samples() > 3000)
    player.run()
    assert player.summary.n_passes == 1
    wait_for(lambda: listener.n_samples() >= player.summary.n_samples)
    samples, stamps = np.concatenate(listener.samples)[:, 2], np.concatenate(listener.stamps)
    assert samples[:3000].tolist() == [*range(2000), *range(500), *range(500)]
    assert stamps[2500] - stamps[2499] == pytest.approx((GAP_S + 1e-3) / 4, abs=CLOCK_SYNC_S)
    (announced,) = [stamp for label, stamp in listener.events if label == LOOP_MARKER]
    assert stamps[2499] < announced < stamps[2500]
