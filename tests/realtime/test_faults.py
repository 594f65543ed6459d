"""What can go wrong between an amplifier and an epoch: real senders, real LSL, and every event accounted for.

The first channel holds the sample's number, so that any loss or shift shows. Samples are stamped in the past, so that
no test waits for time to pass.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from necomimi.lsl import local_clock
from necomimi.preprocessing import Preprocessor
from necomimi.realtime.epoching import Epocher
from necomimi.realtime.source import LSLSource, StreamChoice
from necomimi.records import Epoch, Event, Refusal

pytestmark = [
    pytest.mark.lsl,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that freezes a process"),
]

CH_NAMES = ("number", "Cz", "Oz")
SFREQ = 250.0
N_BEFORE, N_IN = 50, 251
PREPROCESSOR = Preprocessor(
    ch_names=CH_NAMES, sfreq=SFREQ, tmin=-0.2, tmax=0.8, baseline=(-0.2, 0.0), start=0.0, n_times=200,
    spatial=np.eye(3, dtype=np.float32),
)  # fmt: skip
PIECE = 2500  # samples in flight at most: liblsl keeps 20 s


class Chain:
    """A sender in another process, the source, and the epocher, pumped by the test."""

    def __init__(self, spawn: Callable[[], Any], name: str) -> None:
        self.name = name
        self.sender, self.marker_sender = spawn(), spawn()
        self.sender("open", name=name, ch_names=CH_NAMES, sfreq=SFREQ, unit="V")
        self.marker_sender("open_markers", name=f"{name}-marks")
        self.source = LSLSource(
            ch_names=CH_NAMES,
            check=lambda info: None,
            eeg=StreamChoice(source_id=f"{name}-id"),
            markers=StreamChoice(name=f"{name}-marks"),
        )
        self.source.open(10.0)
        self.epocher = Epocher(PREPROCESSOR, self.source.info)
        self.t0 = local_clock() - 300.0
        self.n_sent = self.n_events = self.n_marked = 0
        self.verdicts: list[Epoch | Refusal] = []

    def pump(self, condition: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen"
            pulled = self.source.pull(0.05)
            if pulled.chunk is not None:
                self.epocher.add_chunk(pulled.chunk, pulled.cause)
            for label, onset in pulled.markers:
                self.verdicts += self.epocher.add_event(Event(onset=onset, label=label, code=self.n_events))
                self.n_events += 1
            self.verdicts += self.epocher.poll()

    def send(self, numbers: np.ndarray, stamps: np.ndarray | None = None) -> None:
        """Send samples of these numbers, which may skip some, and wait until they are there."""
        if stamps is None:
            stamps = self.t0 + numbers / SFREQ
        borders = np.flatnonzero(np.diff(numbers) != 1) + 1
        for part, times in zip(np.split(numbers, borders), np.split(stamps, borders), strict=True):
            for i in range(0, len(part), PIECE):
                n = len(part[i : i + PIECE])
                self.sender("send", first=int(part[i]), n=n, chunk=20, stamps=list(times[i : i + n]))
                self.n_sent += n
                self.pump(lambda: self.epocher.ring.end >= self.n_sent, "the samples arrive")
        assert self.epocher.ring.end == self.n_sent

    def mark(self, *samples: int) -> None:
        """Send one marker for each sample number, labelled by it."""
        for sample in samples:
            self.marker_sender("mark", label=str(sample), at=self.t0 + sample / SFREQ)
        self.n_marked += len(samples)
        self.pump(lambda: self.n_events >= self.n_marked, "the markers arrive")

    def finish(self) -> dict[int, Epoch | Refusal]:
        """End the run; check that each event has exactly one verdict; return the verdicts by sample number."""
        self.verdicts += self.epocher.flush("over")
        assert sorted(verdict.event.code for verdict in self.verdicts) == list(range(self.n_marked))
        return {int(verdict.event.label): verdict for verdict in self.verdicts}


@pytest.fixture
def chain(spawn: Callable[[], Any], request: pytest.FixtureRequest) -> Iterator[Chain]:
    chain = Chain(spawn, request.node.name)
    yield chain
    chain.source.close()


def reasons(verdicts: dict[int, Epoch | Refusal]) -> dict[int, str]:
    return {sample: v.reason if isinstance(v, Refusal) else "epoch" for sample, v in verdicts.items()}


def shift_of(epoch: Epoch | Refusal) -> int:
    """Return how many samples too late an epoch was cut; its samples are consecutive and in their channels."""
    assert isinstance(epoch, Epoch), epoch
    numbers = epoch.data[0].astype(np.int64)
    np.testing.assert_array_equal(numbers, np.arange(numbers[0], numbers[0] + N_IN))
    np.testing.assert_array_equal(epoch.data[1], numbers * 7919 % 1009 + 1 / 8)
    np.testing.assert_array_equal(epoch.data[2], numbers * 104729 % 1013 + 2 / 8)
    return int(numbers[0]) - (int(epoch.event.label) - N_BEFORE)


def test_a_hole_of_two_seconds(chain: Chain) -> None:
    chain.mark(300, 749, 800, 1500)
    chain.send(np.concatenate((np.arange(1000), np.arange(1500, 4000))))
    chain.mark(1200, 1549, 1550, 2500)
    verdicts = chain.finish()
    assert reasons(verdicts) == {
        300: "epoch", 749: "epoch", 800: "gap", 1500: "gap", 1200: "gap", 1549: "gap", 1550: "epoch", 2500: "epoch",
    }  # fmt: skip
    assert all(shift_of(v) == 0 for v in verdicts.values() if isinstance(v, Epoch))
    assert "500 samples are missing" in getattr(verdicts[800], "detail", "")
    assert chain.epocher.clock.n_missing == 500


def test_markers_early_late_never_twice_out_of_order_and_at_the_rings_edge(chain: Chain) -> None:
    n = chain.epocher.ring.capacity
    chain.mark(-10, 400, 200, 200, 100, n + 3000)  # before their data; twice; out of order; never
    chain.send(np.arange(2000))
    chain.mark(700, 600)  # after their data
    chain.send(np.arange(2000, n + 1000))
    oldest = 1000 + N_BEFORE
    chain.mark(oldest, oldest - 1, 900)
    verdicts = chain.finish()
    assert reasons(verdicts) == {
        -10: "incomplete", 400: "epoch", 200: "epoch", 100: "epoch", n + 3000: "incomplete",
        700: "epoch", 600: "epoch", oldest: "epoch", oldest - 1: "late", 900: "late",
    }  # fmt: skip
    assert sum(v.event.label == "200" for v in chain.verdicts) == 2
    assert all(shift_of(v) == 0 for v in chain.verdicts if isinstance(v, Epoch))


def test_a_consumer_that_stalls_longer_than_the_buffers_loses_samples_openly(chain: Chain) -> None:
    chain.send(np.arange(1000))
    chain.sender("send", first=1000, n=9000, chunk=20, at=chain.t0)  # 36 s at once, and nobody pulls
    inlet = chain.source._inlet
    assert inlet is not None
    deadline = time.monotonic() + 10.0
    available, before = 1, 0
    while available != before or not available:  # until it holds what it can
        assert time.monotonic() < deadline
        before = available
        time.sleep(0.1)
        available = inlet._inlet.samples_available()
    assert available < 9000
    chain.marker_sender("mark", label="5000", at=chain.t0 + 5000 / SFREQ)
    chain.n_marked += 1
    chain.mark(600, 950, 2000, 9000)
    chain.pump(lambda: chain.epocher.ring.end >= 1000 + available, "what is left arrives")
    newest = chain.epocher.ring.read(chain.epocher.ring.end - 1, chain.epocher.ring.end)[0, 0]
    assert newest == 9999
    verdicts = chain.finish()
    lost = 9000 - (chain.epocher.ring.end - 1000)
    assert lost > 0
    assert chain.epocher.clock.n_missing == lost
    expected = {600: "epoch", 950: "gap", 2000: "gap", 5000: "epoch" if lost < 4000 - N_BEFORE else "gap"}
    assert reasons(verdicts) == {**expected, 9000: "epoch"}
    assert all(shift_of(v) == 0 for v in verdicts.values() if isinstance(v, Epoch))


def test_a_killed_sender_ends_its_epochs_and_its_heir_serves_others(chain: Chain, spawn: Callable[[], Any]) -> None:
    heir = spawn()
    chain.send(np.arange(1000))
    chain.mark(500, 900, 1500)
    chain.sender.kill()
    chain.pump(lambda: chain.source.state == "LOST", "the loss is noticed")
    chain.mark(1100)
    chain.sender = heir
    heir("open", name=chain.name, ch_names=("Oz", "number", "Cz"), order=(2, 0, 1), sfreq=SFREQ, unit="V")
    chain.pump(lambda: chain.source.state == "LIVE", "it comes back")
    chain.send(np.arange(1450, 3000))
    chain.mark(2000)
    verdicts = chain.finish()
    assert reasons(verdicts) == {
        500: "epoch", 900: "reconnect", 1100: "reconnect", 1500: "epoch", 2000: "epoch"
    }  # fmt: skip
    assert all(shift_of(v) == 0 for v in verdicts.values() if isinstance(v, Epoch))


RNG = np.random.default_rng(4)
N = 15000  # a minute


TRUE = np.arange(N) / SFREQ


def drift(ppm: float) -> tuple[np.ndarray, np.ndarray]:
    return (TRUE / (1 + ppm * 1e-6),) * 2


def jitter() -> tuple[np.ndarray, np.ndarray]:
    return TRUE, TRUE + RNG.normal(scale=0.005, size=N)


def bursts() -> tuple[np.ndarray, np.ndarray]:
    """Nine samples at a time are stamped when they arrive, 10 us apart, then there is nothing for 36 ms."""
    n = 9
    last = np.arange(N) // n * n + n - 1
    return TRUE, last / SFREQ - 1e-5 * (last - np.arange(N))


def duplicates() -> tuple[np.ndarray, np.ndarray]:
    """Return stamps, of which one now and then is the one before it, or goes back by 30 ms."""
    stamps = TRUE.copy()
    stamps[1000::700] = stamps[999:-1:700]
    stamps[1300::900] -= 0.03
    return TRUE, stamps


@pytest.mark.parametrize(
    ("times", "tolerance"),
    [(drift(50.0), 0), (drift(-50.0), 0), (jitter(), 1), (bursts(), 0), (duplicates(), 0)],
    ids=["fast", "slow", "jitter", "bursts", "duplicates"],
)
def test_stamps_that_are_not_even(chain: Chain, times: tuple[np.ndarray, np.ndarray], tolerance: int) -> None:
    """Drift, jitter, bursts, duplicate and backward stamps: nothing is missing and nothing is shifted."""
    true, stamps = times
    for start in range(0, N, 5000):
        part = slice(start, start + 5000)
        chain.send(np.arange(N)[part], chain.t0 + stamps[part])
        wanted = range(start + 300, start + 4700, 200)
        for sample in wanted:
            chain.marker_sender("mark", label=str(sample), at=chain.t0 + float(true[sample]))
        chain.n_marked += len(wanted)
        chain.pump(lambda: chain.n_events >= chain.n_marked, "the markers arrive")
    verdicts = chain.finish()
    shifts = np.array([shift_of(verdict) for verdict in verdicts.values()])
    assert len(shifts) == 66
    assert np.abs(shifts).max() <= tolerance
    assert chain.epocher.clock.n_missing == 0
    assert [segment.cause for segment in chain.epocher.clock.segments] == ["start"]


def test_a_clock_that_is_set_back_and_forth(chain: Chain) -> None:
    numbers = np.arange(6000)
    stamps = chain.t0 + numbers / SFREQ
    stamps[2000:] -= 5.0
    stamps[4000:] += 400.0  # ahead of everybody
    for start, shift in ((0, 0.0), (2000, -5.0), (4000, 395.0)):
        part = slice(start, start + 2000)
        chain.send(numbers[part], stamps[part])
        chain.t0 += shift
        chain.mark(start + 100, start + 1400, start + 1900)
        chain.t0 -= shift
    chain.mark(1200)  # its time has come twice by now, as has that of 2100
    verdicts = chain.finish()
    assert reasons(verdicts) == {
        100: "epoch", 1400: "epoch", 1900: "seam", 1200: "seam", 2100: "seam", 3400: "epoch", 3900: "seam",
        4100: "epoch", 5400: "epoch", 5900: "incomplete",
    }  # fmt: skip
    assert all(shift_of(v) == 0 for v in verdicts.values() if isinstance(v, Epoch))
    assert chain.epocher.clock.n_missing == 0
