"""The source notices what becomes of its senders: real processes that are killed, frozen, thawed and restarted."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
import pylsl
import pytest

from necomimi import lsl
from necomimi.errors import ChannelMismatchError, StreamNotFoundError
from necomimi.lsl import inlets, local_clock
from necomimi.realtime.source import LSLSource, Pulled, StreamChoice
from necomimi.records import SourceState, StreamInfo

pytestmark = [
    pytest.mark.lsl,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that freezes a process"),
]

CH_NAMES = ("Fp1", "Cz", "Oz")  # see signal() in sender.py
SFREQ = 500.0
Spawn = Callable[[], Any]


class Watched:
    """A source that is pulled until something happens; remembers all that came."""

    def __init__(self, source: LSLSource) -> None:
        self.source = source
        self.pulled: list[Pulled] = []
        self.markers: list[tuple[str, float]] = []
        self.states: list[tuple[SourceState, str, float]] = []
        self.longest_pull = 0.0
        source.on_state = lambda state, message: self.states.append((state, message, local_clock()))

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 20.0) -> float:
        """Pull until a condition holds; return the local clock then."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen; {self.states}, {self.source.warnings}"
            started = time.monotonic()
            pulled = self.source.pull(0.05)
            self.longest_pull = max(self.longest_pull, time.monotonic() - started)
            self.markers += pulled.markers
            if pulled.chunk is not None:
                self.pulled.append(pulled)
        return local_clock()

    def when(self, state: SourceState) -> float:
        """Return when a state was last entered."""
        return next(at for entered, _, at in reversed(self.states) if entered == state)

    def fresh(self) -> None:
        """Forget what came, so that `until_data` waits for new samples."""
        self.pulled.clear()

    def until_data(self, n: int = 1) -> float:
        return self.until(lambda: sum(p.chunk.data.shape[1] for p in self.pulled if p.chunk) >= n, f"{n} samples")

    def data(self) -> np.ndarray:
        return np.concatenate([p.chunk.data for p in self.pulled if p.chunk], axis=1)

    def stamps(self) -> np.ndarray:
        return np.concatenate([p.chunk.timestamps for p in self.pulled if p.chunk])


def serves(info: StreamInfo) -> None:
    if info.sfreq < SFREQ / 2:
        raise ChannelMismatchError(f"the stream has {info.sfreq:g} Hz", "at least 250 Hz")


@contextmanager
def opened(name: str, **changes: Any) -> Iterator[Watched]:
    options: dict[str, Any] = {"eeg": StreamChoice(source_id=f"{name}-id"), "markers": None, "check": serves}
    source = LSLSource(ch_names=CH_NAMES, **{**options, **changes})
    watched = Watched(source)
    try:
        source.open(10.0)
        yield watched
    finally:
        source.close()


def assert_whole(data: np.ndarray) -> None:
    """Check that consecutive samples came, each channel in its place; the first holds the sample's number."""
    numbers = data[0].astype(np.int64)
    np.testing.assert_array_equal(numbers, np.arange(numbers[0], numbers[0] + data.shape[1]))
    np.testing.assert_array_equal(data[1], numbers * 7919 % 1009 + 1 / 8)
    np.testing.assert_array_equal(data[2], numbers * 104729 % 1013 + 2 / 8)


def test_a_killed_sender_is_noticed_and_its_successor_matched_again(spawn: Spawn, record_property: Any) -> None:
    sender, heir = spawn(), spawn()
    sender("open", name="killed", ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
    with opened("killed") as watched:
        sender("run", chunk=10)
        watched.until_data(200)
        assert_whole(watched.data())
        first_uid = watched.source.info.uid
        sender.process.kill()
        killed = local_clock()
        watched.until(lambda: watched.source.state == "LOST", "the loss is noticed")
        noticed = watched.when("LOST") - killed
        assert "'killed-id'" in watched.source.message
        watched.fresh()
        heir("open", name="killed", ch_names=("Oz", "Fp1", "Cz"), order=(2, 0, 1), sfreq=SFREQ, unit="V")
        up = heir("run", chunk=10)["at"]
        back = watched.until_data() - up
        watched.until_data(500)
        assert_whole(watched.data())
        assert watched.data()[0, 0] < 0.5 * SFREQ  # what came while the clocks were compared is not lost
        assert [p.cause for p in watched.pulled][:2] == ["reconnect", "gap"]
        assert watched.source.info.uid != first_uid
        assert [state for state, *_ in watched.states[-4:]] == ["LOST", "OPENING", "CHECKING", "LIVE"]
    for name, value in (("kill_to_lost_s", noticed), ("up_to_data_s", back), ("longest_pull_s", watched.longest_pull)):
        record_property(name, round(value, 4))
        print(f"{name} {value:.3f}")
    assert noticed < 1.5  # a third of this on a quiet machine
    assert back < 3.0
    assert watched.longest_pull < 0.3  # events wait for no re-open


def test_a_frozen_sender_is_stale_and_goes_on_when_it_thaws(spawn: Spawn, record_property: Any) -> None:
    sender = spawn()
    sender("open", name="frozen", ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
    with opened("frozen") as watched:
        sender("run", chunk=10)
        watched.until_data(200)
        uid = watched.source.info.uid
        sender.freeze()
        frozen = local_clock()
        watched.until(lambda: watched.source.state == "STALE", "the freeze is noticed")
        noticed = watched.when("STALE") - frozen
        watched.until(lambda: local_clock() - frozen > 3.0, "three seconds pass")
        assert watched.source.state == "STALE"
        n = watched.data().shape[1]
        sender.thaw()
        watched.until_data(n + 1000)
        assert watched.source.state == "LIVE"
        assert watched.source.info.uid == uid
        assert {p.cause for p in watched.pulled} == {"gap"}
        assert_whole(watched.data())
    record_property("freeze_to_stale_s", round(noticed, 4))
    print(f"freeze_to_stale_s {noticed:.3f}")
    assert noticed < 3.0
    assert watched.longest_pull < 0.3


def test_another_instance_takes_the_place_of_a_frozen_one(spawn: Spawn) -> None:
    sender, heir = spawn(), spawn()
    sender("open", name="replaced", ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
    with opened("replaced") as watched:
        sender("run")
        watched.until_data(200)
        sender.freeze()
        watched.until(lambda: watched.source.state == "STALE", "the freeze is noticed")
        watched.fresh()
        heir("open", name="replaced", ch_names=CH_NAMES[::-1], order=(2, 1, 0), sfreq=SFREQ, unit="V")
        heir("run")
        watched.until_data(100)
        assert watched.pulled[0].cause == "reconnect"
        sender.thaw()  # two instances now: the one that serves is kept
        watched.until_data(1000)
        assert_whole(watched.data())
        assert [p.cause for p in watched.pulled].count("reconnect") == 1
        heir.kill()
        watched.until(lambda: watched.source.state == "LOST", "the loss is noticed")
        watched.fresh()
        watched.until_data(100)  # the thawed one is there
        assert_whole(watched.data())
        assert watched.pulled[0].cause == "reconnect"


def test_a_sender_that_comes_back_changed_is_refused_or_matched(spawn: Spawn) -> None:
    first, slow, halved, fast = (spawn() for _ in range(4))
    first("open", name="changed", ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
    with opened("changed") as watched:
        first("run")
        watched.until_data(50)
        first.kill()
        slow("open", name="changed", ch_names=CH_NAMES, sfreq=100.0, unit="V")
        watched.until(lambda: "the stream has 100 Hz" in watched.source.message, "the rate is refused")
        assert watched.source.state == "LOST"
        slow.kill()
        halved("open", name="changed", ch_names=CH_NAMES[:2], sfreq=SFREQ, unit="V")
        watched.until(lambda: "lacks 1 of 3 channels: Oz" in watched.source.message, "the channels are refused")
        halved.kill()
        watched.fresh()
        fast("open", name="changed", ch_names=CH_NAMES, sfreq=1000.0, unit="microvolts")
        fast("run")
        watched.until_data(500)
        assert watched.source.info.sfreq == 1000.0
        np.testing.assert_allclose(np.diff(watched.data()[0]), 1e-6, rtol=1e-2)  # in volts now


def test_microvolts_volts_and_silence_about_units(spawn: Spawn) -> None:
    volts, micro, silent = spawn(), spawn(), spawn()
    volts("open", name="in-volts", ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
    micro("open", name="in-micro", ch_names=CH_NAMES, sfreq=SFREQ, unit="μV")
    silent("open", name="in-silence", ch_names=CH_NAMES, sfreq=SFREQ, unit="")
    silent("send_noise", n=5000, scale=20.0)
    for sender, name, factor in ((volts, "in-volts", 1.0), (micro, "in-micro", 1e-6)):
        with opened(name) as watched:
            sender("send", first=0, n=100)
            watched.until_data(100)
            np.testing.assert_allclose(watched.data()[0], np.arange(100) * factor, rtol=1e-6)
            assert watched.source.info.warnings == ()
    with opened("in-silence") as watched:
        watched.until_data(600)
        assert 5e-6 < watched.data().std() < 80e-6
        assert any("microvolts" in warning for warning in watched.source.info.warnings)
        numbers = np.rint(np.diff(watched.stamps()) * SFREQ)
        np.testing.assert_array_equal(numbers, 1)  # the second that was guessed from is delivered too
    with opened("in-silence", unit="V") as watched:
        watched.until_data(10)
        assert watched.source.info.warnings == ()


def test_names_of_every_kind() -> None:
    def outlet(name: str | bytes, source_id: str, labels: tuple[str, ...] = CH_NAMES) -> pylsl.StreamOutlet:
        if isinstance(name, bytes):  # pylsl sends UTF-8; other senders do not
            info = pylsl.StreamInfo("x", "EEG", len(labels), SFREQ, pylsl.cf_float32, source_id)
            create = pylsl.lib.lib.lsl_create_streaminfo
            info.obj = ctypes.c_void_p(
                create(name, b"EEG", len(labels), ctypes.c_double(SFREQ), pylsl.cf_float32, source_id.encode())
            )
        else:
            info = pylsl.StreamInfo(name, "EEG", len(labels), SFREQ, pylsl.cf_float32, source_id)
        channels = info.desc().append_child("channels")
        for label in labels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", "uV")
        return pylsl.StreamOutlet(info)

    quoted = outlet('it\'s "my" <amp> & co', 'quote\'s "id"')
    with opened("", eeg=StreamChoice(name='it\'s "my" <amp> & co')) as watched:
        assert watched.source.info.source_id == 'quote\'s "id"'
    with opened("", eeg=StreamChoice(source_id='quote\'s "id"')) as watched:
        del quoted
        watched.until(lambda: watched.source.state == "LOST", "the loss is noticed")
        quoted = outlet('it\'s "my" <amp> & co', 'quote\'s "id"')
        watched.until(lambda: watched.source.state == "LIVE", "it comes back")
    latin = outlet(b"caf\xe9", "latin-id")
    with opened("latin") as watched:
        assert watched.source.info.name in ("caf\ufffd", "café")
    empty = outlet("empty", "empty-id", ("", "", ""))
    with pytest.raises(ChannelMismatchError, match=r"lacks 3 of 3 channels: Fp1, Cz, Oz"), opened("empty"):
        pass
    twins = outlet("twin", "twin-1"), outlet("twin", "twin-2")
    several = pytest.raises(StreamNotFoundError, match=r"2 LSL streams match.*twin-1.*twin-2")
    with several, opened("", eeg=StreamChoice(name="twin")):
        pass
    with opened("", eeg=StreamChoice(name="twin", source_id="twin-2")) as watched:
        assert watched.source.info.source_id == "twin-2"
    del quoted, latin, empty, twins


def test_the_marker_stream_may_go_hang_and_come_back(spawn: Spawn) -> None:
    eeg, first, second, third = (spawn() for _ in range(4))
    eeg("open", name="marked", ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
    first("open_markers", name="marked-marks")
    with opened("marked", markers=StreamChoice(name="marked-marks")) as watched:
        eeg("run")

        def arrives(sender: Any, label: str) -> None:
            at = local_clock()
            sender("mark", label=label, at=at)
            watched.until(lambda: any(got == label for got, _ in watched.markers), f"{label} arrives")
            assert dict(watched.markers)[label] == pytest.approx(at, abs=2e-3)
            watched.until(lambda: watched.source.warnings == (), "all is well")

        arrives(first, "one")
        first.kill()
        watched.until(lambda: any("is away" in w for w in watched.source.warnings), "the loss is told")
        second("open_markers", name="marked-marks")
        watched.until(lambda: watched.source.warnings == (), "the marker stream is back")
        arrives(second, "two")
        second.freeze()
        watched.until(lambda: any("does not answer" in w for w in watched.source.warnings), "the freeze is told")
        third("open_markers", name="marked-marks")
        watched.until(lambda: watched.source.warnings == (), "another instance is taken")
        arrives(third, "three")
        second.thaw()
        watched.until(lambda: any("2 LSL streams match" in w for w in watched.source.warnings), "two are told")
        sent_at = local_clock()
        third("mark", label="four", at=sent_at)
        watched.until(lambda: "four" in dict(watched.markers), "the one that was open is kept")
        second.kill()
        watched.until(lambda: watched.source.warnings == (), "one is left")
        assert watched.source.state == "LIVE"
        assert [label for label, _ in watched.markers] == ["one", "two", "three", "four"]
        assert watched.longest_pull < 0.3
        assert_whole(watched.data())


def test_a_sender_whose_clock_is_set_forward_is_told_from_one_that_lost_samples(spawn: Spawn) -> None:
    sender = spawn()
    sender("open", name="clockwork", ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
    with opened("clockwork") as watched:
        now = local_clock()
        stamps = now - 3.0 + np.arange(2000) / SFREQ
        stamps[500:] += 1.0  # a hole: all of it lies in the past
        sender("send", first=0, n=1000, stamps=list(stamps[:1000]))
        watched.until_data(1000)
        assert {p.cause for p in watched.pulled} == {"gap"}
        stamps[1000:] += 3600.0  # an hour ahead of everybody
        sender("send", first=1000, n=1000, stamps=list(stamps[1000:]))
        watched.until_data(2000)
        seams = [p for p in watched.pulled if p.cause == "seam"]
        assert [int(p.chunk.data[0, 0]) for p in seams if p.chunk] == [1000]
        np.testing.assert_allclose(watched.stamps(), stamps, atol=1e-4)
        assert_whole(watched.data())


def test_a_thousand_connections_leave_nothing_behind(record_property: Any) -> None:
    """Opening takes 12 ms and comparing clocks 0.65 s: a thousand of the former here, twenty of both."""
    info = pylsl.StreamInfo("often", "EEG", 8, SFREQ, pylsl.cf_float32, "often-id")
    outlet = pylsl.StreamOutlet(info)
    handle = lsl.find_stream(lsl.Finder(source_id="often-id"), 10.0)
    process = psutil.Process()

    def count() -> tuple[int, int, float]:
        gc.collect()
        return (
            process.num_threads(),
            len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0,
            (process.memory_info().rss / 2**20),
        )

    def cycle() -> None:
        inlet = inlets._Inlet(handle, buffer_s=20, flags=pylsl.proc_clocksync, timeout=10.0)
        assert len(inlet.info.ch_names) == 8
        inlet.close()

    for _ in range(100):
        cycle()
    before = count()
    started = time.monotonic()
    for _ in range(900):
        cycle()
    threads = [threading.Thread(target=lambda: lsl.EEGInlet(handle, timeout=10.0).close()) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = count()
    record_property("cycles", f"{time.monotonic() - started:.1f} s, {before} -> {after} (threads, files, MiB)")
    print(before, after, time.monotonic() - started)
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 4
    assert after[2] <= before[2] + 20
    del outlet
