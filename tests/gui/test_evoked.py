from __future__ import annotations

import numpy as np
import pytest

from necomimi.gui.eeg_ring import EEGRing
from necomimi.gui.evoked import TMAX, TMIN, Evoked, band_amplitude
from necomimi.gui.mark import Mark, Verdict
from necomimi.records import Chunk, Event, StreamInfo

N_CHANNELS = 6
START = 100.0
WEIGHTS = np.array([3.0, 2.0, 1.0, -1.0, -2.0, -3.0])  # µV: their mean is 0
GOOD = np.ones(N_CHANNELS, dtype=bool)


def info(sfreq: float, speed: float = 1.0) -> StreamInfo:
    names = ("Fz", "Cz", "Pz", "Oz", "C3", "C4")
    return StreamInfo(
        name="eeg",
        type="EEG",
        source_id="s",
        uid="u",
        ch_names=names,
        sfreq=sfreq * speed,
        units=("V",) * 6,
        speed=speed,
    )


def course(latency: np.ndarray) -> np.ndarray:
    """Return the response: a bump at 170 ms."""
    return np.exp(-(((latency - 0.17) / 0.03) ** 2))


def play(
    sfreq: float, onsets: list[float], seconds: float = 12.0, speed: float = 1.0, gap: float | None = None
) -> tuple[EEGRing, np.ndarray]:
    """Return a ring that holds a response to each onset (s of the recording), on offsets of millivolts."""
    ring = EEGRing(info(sfreq, speed), 21.0)
    t = np.arange(round(seconds * sfreq)) / sfreq
    data = 1e-6 * WEIGHTS[:, None] * sum(course(t - onset) for onset in onsets)
    data = data + np.linspace(-4e-3, 4e-3, N_CHANNELS)[:, None]
    for part in np.array_split(np.arange(len(t)), 40):
        if gap is not None:
            part = part[np.abs(t[part] - gap) > 0.05]
        ring.add(Chunk(data=data[:, part].astype(np.float32), timestamps=START + t[part] / speed, info=ring.info))
    return ring, t


def marks(onsets: list[float], verdict: Verdict = "hit", speed: float = 1.0, label: str = "cat") -> list[Mark]:
    return [Mark(Event(onset=START + s / speed, label=label, code=i), verdict) for i, s in enumerate(onsets)]


@pytest.mark.parametrize("sfreq", [100.0, 250.0, 256.0, 512.0, 1000.0, 2048.0])
@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_the_response_is_found_at_its_latency(sfreq: float, speed: float) -> None:
    onsets = [1.0, 3.0, 5.003, 7.4]
    evoked = Evoked(play(sfreq, onsets, speed=speed)[0])
    evoked.collect(marks(onsets, speed=speed), GOOD)
    assert evoked.n_epochs == 4
    assert evoked.peak() == pytest.approx(0.17, abs=1.5 / min(sfreq, 250))
    average = evoked.average()
    assert average is not None
    np.testing.assert_allclose(average, WEIGHTS[:, None] * course(evoked.times), atol=0.25)
    power = evoked.field_power()
    assert power is not None
    assert power.max() == pytest.approx(WEIGHTS.std(), rel=0.05)
    np.testing.assert_allclose(evoked.at(0.17), WEIGHTS, atol=0.25)
    assert evoked.times[0] >= TMIN - 1 / sfreq
    assert evoked.times[-1] <= TMAX


def test_an_event_is_taken_once_when_its_epoch_is_over_and_answered() -> None:
    onsets = [1.0, 3.0]
    ring, _ = play(250.0, onsets, seconds=3.5)
    evoked, events = Evoked(ring), marks(onsets)
    evoked.collect(events, GOOD)
    evoked.collect(events, GOOD)
    assert evoked.n_epochs == 1
    later, _ = play(250.0, onsets, seconds=4.0)
    evoked.ring = later
    events[1].verdict = "pending"
    evoked.collect(events, GOOD)
    assert evoked.n_epochs == 1
    events[1].verdict = "miss"
    evoked.collect(events, GOOD)
    assert evoked.n_epochs == 2


def test_refused_events_and_those_without_a_label_are_left_out() -> None:
    onsets = [1.0, 3.0]
    for events in (marks(onsets, "refused"), marks(onsets, label="")):
        evoked = Evoked(play(250.0, onsets)[0])
        evoked.collect(events, GOOD)
        assert evoked.n_epochs == 0
        assert evoked.average() is evoked.peak() is evoked.at(0.1) is None


def test_an_epoch_with_a_hole_or_before_the_ring_is_left_out() -> None:
    evoked = Evoked(play(250.0, [1.0, 3.0, 6.0], gap=3.3)[0])
    evoked.collect(marks([0.1, 1.0, 3.0, 6.0]), GOOD)
    assert evoked.n_epochs == 2


def test_bad_channels_take_no_part() -> None:
    onsets = [1.0, 3.0, 5.0]
    ring, _ = play(250.0, onsets)
    evoked, is_good = Evoked(ring), GOOD.copy()
    is_good[2] = False
    evoked.collect(marks(onsets), is_good)
    average = evoked.average()
    assert average is not None
    assert np.isnan(average[2]).all()
    rest = np.delete(WEIGHTS, 2)
    np.testing.assert_allclose(np.delete(evoked.at(0.17), 2), rest - rest.mean(), atol=0.25)
    assert np.isfinite(evoked.field_power()).all()


def test_events_of_an_earlier_run_are_left_out() -> None:
    onsets = [1.0, 3.0, 5.0]
    evoked = Evoked(play(250.0, onsets)[0], since=START + 2.0)
    evoked.collect(marks(onsets), GOOD)
    assert evoked.n_epochs == 2


def test_many_events_take_no_more_room() -> None:
    ring, _ = play(250.0, [1.0])
    evoked = Evoked(ring)
    for first in range(0, 400, 100):
        events = [Mark(Event(onset=START + 1 + i / 100, label="x", code=i), "hit") for i in range(first, first + 100)]
        for _ in range(20):
            evoked.collect(events, GOOD)
        assert evoked._done <= {mark.event.code for mark in events}
    assert evoked.n_epochs == 400


def test_band_amplitude_is_that_of_the_rhythm() -> None:
    t = np.arange(500) / 1000
    data = np.stack([np.sin(2 * np.pi * 10 * t), np.sin(2 * np.pi * 30 * t), np.full(500, 4e3)])
    alpha = band_amplitude(data, 1000.0, (8.0, 12.0))
    assert alpha[0] == pytest.approx(np.sqrt(0.5), rel=0.05)
    assert alpha[1:].max() < 0.02
