from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from necomimi.gui.channel_watch import BETTER_AFTER, BY_HAND, WORSE_AFTER, ChannelWatch, SteadyVerdict
from necomimi.gui.eeg_ring import EEGRing
from necomimi.records import Chunk, StreamInfo

SFREQ = 250.0
NAMES = tuple(f"E{i}" for i in range(12))
FLAT, NOISY, MAINS = "E2", "E5", "E7"


def make_ring(**changes: object) -> EEGRing:
    info = StreamInfo(
        name="amp", type="EEG", source_id="a", uid="u", ch_names=NAMES, sfreq=SFREQ, units=("V",) * len(NAMES)
    )
    return EEGRing(replace(info, **changes), 21.0)  # type: ignore[arg-type]


def background(n: int, seed: int = 0) -> np.ndarray:
    """Return 10 µV of smooth noise in volts."""
    white = np.random.default_rng(seed).normal(size=(len(NAMES), n + 24))
    smooth = np.apply_along_axis(lambda row: np.convolve(row, np.ones(25) / 5, "valid"), 1, white)
    return 10e-6 * smooth


def worn(n: int, start: float, seed: int = 0) -> np.ndarray:
    """Return background with one electrode that is flat, one that rubs, one that hums."""
    data = background(n, seed)
    data[NAMES.index(FLAT)] = 0
    data[NAMES.index(NOISY)] += 150e-6 * np.random.default_rng(seed + 1).normal(size=n)
    data[NAMES.index(MAINS)] += 40e-6 * np.sin(2 * np.pi * 50 * (start + np.arange(n) / SFREQ))
    return data


def play(watch: ChannelWatch, ring: EEGRing, start: float, seconds: float, make: object = worn) -> None:
    """Enter signal second by second, waiting for each verdict."""
    n = round(SFREQ)
    for i in range(round(seconds)):
        at = start + i
        data = make(n, at, seed=i)  # type: ignore[operator]
        ring.add(Chunk(data=data.astype(np.float32), timestamps=at + np.arange(n) / SFREQ, info=ring.info))
        watch.advance(ring, at + 1.0)
        watch.wait()
    watch.advance(ring, start + seconds + 0.01)


def fine(n: int, start: float, seed: int = 0) -> np.ndarray:
    return background(n, seed)


def test_bad_electrodes_are_found_by_their_signal() -> None:
    watch, ring = ChannelWatch(), make_ring()
    play(watch, ring, 100.0, 8)
    assert watch.reasons == {FLAT: "flat", NOISY: "noisy", MAINS: "mains"}
    assert watch.qualities[FLAT].rms == pytest.approx(0.0, abs=1e-9)
    assert watch.qualities[MAINS].mains == pytest.approx(40e-6 / np.sqrt(2), rel=0.1)
    play(watch, ring, 108.0, 9, fine)  # the electrodes are mended
    assert watch.reasons == {}


def test_what_is_drawn_does_not_change_what_is_judged() -> None:
    from necomimi.gui.display_filter import AVERAGE, DisplaySettings

    watch, ring = ChannelWatch(), make_ring()
    ring.show(DisplaySettings(AVERAGE, 1.0, 30.0, 50.0))
    ring.outline(0.01, 1000)
    play(watch, ring, 100.0, 8)
    assert watch.reasons == {FLAT: "flat", NOISY: "noisy", MAINS: "mains"}


def test_a_verdict_needs_several_judgements() -> None:
    steady = SteadyVerdict()
    for judged in ("noisy", "good", "mains", "good", "flat", "good"):
        steady.add(judged)  # type: ignore[arg-type]
        assert steady.verdict == "good"
    for judged in ("noisy", "mains")[:WORSE_AFTER]:  # bad in two ways is bad
        steady.add(judged)  # type: ignore[arg-type]
    assert steady.verdict == "mains"
    for judged in ("good", "mains", "good", "good", "noisy", "mains"):
        steady.add(judged)  # type: ignore[arg-type]
        assert steady.verdict == "mains"
    for i in range(BETTER_AFTER):
        assert steady.verdict == "mains"
        steady.add("good")
        assert (steady.verdict == "good") == (i == BETTER_AFTER - 1)


def test_a_channel_is_bad_by_hand_until_it_is_taken_back() -> None:
    watch, ring = ChannelWatch(), make_ring()
    watch.advance(ring, 0.0)
    watch.toggle("E0")
    assert watch.reasons == {"E0": BY_HAND}
    play(watch, ring, 100.0, 8)
    assert watch.reasons == {"E0": BY_HAND, FLAT: "flat", NOISY: "noisy", MAINS: "mains"}
    watch.toggle(FLAT)
    assert watch.reasons[FLAT] == BY_HAND
    watch.toggle(FLAT)
    watch.toggle("E0")
    assert watch.reasons == {FLAT: "flat", NOISY: "noisy", MAINS: "mains"}


def test_another_stream_is_judged_anew_and_hands_stay() -> None:
    watch = ChannelWatch()
    play(watch, make_ring(), 100.0, 8)
    watch.toggle("E1")
    other = make_ring(ch_names=("E1", *(f"F{i}" for i in range(11))))
    watch.advance(other, 200.0)
    assert watch.reasons == {"E1": BY_HAND}
    assert not watch.qualities
    watch.advance(None, 201.0)
    assert not watch.reasons


def test_the_signal_is_asked_once_a_second_and_only_when_it_is_long_enough() -> None:
    watch, ring = ChannelWatch(), make_ring()
    data = worn(1250, 100.0).astype(np.float32)
    times = 100.0 + np.arange(1250) / SFREQ
    asked = []
    for i in range(0, 1250, 25):
        ring.add(Chunk(data=data[:, i : i + 25], timestamps=times[i : i + 25], info=ring.info))
        n_before = ring.n_seen
        watch.advance(ring, float(times[i + 24]))
        if watch._judgement is not None and watch._n_seen == n_before:
            asked.append(float(times[i + 24]))
            watch.wait()
    assert 2 <= len(asked) <= 3
    assert asked[0] >= 102.0
    assert min(np.diff(asked)) >= 1.0


def test_after_a_hole_only_what_came_since_is_judged() -> None:
    watch, ring = ChannelWatch(), make_ring()
    play(watch, ring, 100.0, 8, fine)
    ring_time = 120.0
    n = round(1.5 * SFREQ)
    ring.add(Chunk(data=worn(n, 0.0).astype(np.float32), timestamps=ring_time + np.arange(n) / SFREQ, info=ring.info))
    before = dict(watch.qualities)
    watch.advance(ring, 130.0)
    watch.wait()
    watch.advance(ring, 131.1)
    assert watch.qualities == before  # too short to say anything


def test_whitened_signals_are_not_judged() -> None:
    watch, ring = ChannelWatch(), make_ring(applied=("whiten",))
    play(watch, ring, 100.0, 6)
    assert not watch.qualities
    assert not watch.reasons
