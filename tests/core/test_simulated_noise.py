"""The noise has the spectrum, the places and the size of EEG, and comes from its seeds alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import welch

from necomimi import simulated_noise as module
from necomimi.simulated_noise import BLOCK, Noise
from necomimi.things_eeg2 import RAW_CH_NAMES

EEG_NAMES = RAW_CH_NAMES[:-1]
SFREQ = 1000.0


def make(session: int = 1, recording: int = 2) -> Noise:
    return Noise(EEG_NAMES, *(np.random.SeedSequence(seed) for seed in (0, session, recording)))


def record(noise: Noise, n_samples: int) -> NDArray[np.float32]:
    return np.concatenate([block for _, block in noise.blocks(n_samples)], axis=1)


@pytest.fixture(scope="module")
def good() -> NDArray[np.float32]:
    """Return two minutes of a session without a bad channel, in volts."""
    session = next(seed for seed in range(100) if make(seed).bad_channel is None)
    return record(make(session), 4 * BLOCK)


def spectrum(data: NDArray[np.float32], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    frequencies, power = welch(data[EEG_NAMES.index(name)].astype(np.float64), SFREQ, nperseg=4000)
    return frequencies, power


def band(data: NDArray[np.float32], name: str, low: float, high: float) -> float:
    frequencies, power = spectrum(data, name)
    return float(power[(frequencies >= low) & (frequencies < high)].mean())


def test_blocks_follow_one_another_in_float32() -> None:
    blocks = list(make().blocks(2 * BLOCK + 5))
    assert [start for start, _ in blocks] == [0, BLOCK, 2 * BLOCK]
    assert [block.shape for _, block in blocks] == [(63, BLOCK), (63, BLOCK), (63, 5)]
    assert all(block.dtype == np.float32 for _, block in blocks)


def test_seeds_decide() -> None:
    first = record(make(), 1000)
    np.testing.assert_array_equal(record(make(), 1000), first)
    assert not np.allclose(record(make(recording=3), 1000), first)


def test_there_is_no_seam_between_blocks(good: NDArray[np.float32]) -> None:
    steps = np.abs(np.diff(good.astype(np.float64), axis=1))
    seams = steps[:, BLOCK - 1 :: BLOCK]
    assert seams.mean() < 2 * steps.mean()
    halves = good[:, : 3 * BLOCK].reshape(63, 6, BLOCK // 2)
    power = np.diff(halves, axis=2).var(axis=2).mean(axis=0)  # as strong at the seams as between them
    assert power.max() < 1.2 * power.min()


def test_spectrum_falls_as_one_over_f(good: NDArray[np.float32]) -> None:
    frequencies, power = spectrum(good, "C3")
    inside = ((frequencies > 5) & (frequencies < 8)) | ((frequencies > 14) & (frequencies < 45))
    slope = np.polyfit(np.log(frequencies[inside]), np.log(power[inside]), 1)[0]
    assert -2.0 < slope < -0.6


def test_alpha_is_occipital(good: NDArray[np.float32]) -> None:
    peak = {name: band(good, name, 9, 11) / band(good, name, 14, 17) for name in ("Oz", "FC1")}
    assert peak["Oz"] > 10
    assert peak["Oz"] > 3 * peak["FC1"]


def test_mains_is_one_line(good: NDArray[np.float32]) -> None:
    assert band(good, "Cz", 49.9, 50.1) > 5 * band(good, "Cz", 45, 49)


def test_amplifier_ends_at_100_hz(good: NDArray[np.float32]) -> None:
    assert band(good, "Oz", 140, 400) < 0.05 * band(good, "Oz", 60, 90)


def test_size_is_that_of_eeg_and_neighbours_are_alike(good: NDArray[np.float32]) -> None:
    quick = good[:, 500:] - good[:, :-500]  # without offsets and drift
    rms = quick.std(axis=1) / np.sqrt(2)
    assert 5e-6 < np.median(rms) < 25e-6
    correlation = np.corrcoef(quick)
    i, j, k = (EEG_NAMES.index(name) for name in ("P3", "P1", "T8"))
    assert correlation[i, j] > 0.8
    assert correlation[i, j] > correlation[i, k]


def test_blinks_are_frontal(monkeypatch: pytest.MonkeyPatch) -> None:
    with_blinks = record(make(), 30000)
    monkeypatch.setattr(module, "BLINKS_PER_S", 0.0)
    blinks = np.abs(with_blinks - record(make(), 30000)).max(axis=1)
    assert EEG_NAMES[int(blinks.argmax())] in ("Fp1", "Fp2", "AF7", "AF8")
    assert 50e-6 < blinks.max() < 300e-6


def test_an_occasional_session_has_one_bad_channel() -> None:
    sessions = [make(seed) for seed in range(8)]
    bad = [noise for noise in sessions if noise.bad_channel is not None]
    assert 1 <= len(bad) <= 5  # three of ten are expected
    data = record(bad[0], 5000)
    worst = np.diff(data, axis=1).std(axis=1).argmax()
    assert EEG_NAMES[worst] == bad[0].bad_channel


def test_endless_noise_is_that_of_a_recording_but_for_its_blinks(monkeypatch: pytest.MonkeyPatch) -> None:
    with_blinks = np.concatenate(list(itertools.islice(make().endless(), 2)), axis=1)
    monkeypatch.setattr(module, "BLINKS_PER_S", 0.0)
    quiet = list(itertools.islice(make().endless(), 2))
    assert [block.shape for block in quiet] == [(63, BLOCK)] * 2
    np.testing.assert_array_equal(np.concatenate(quiet, axis=1), record(make(), 2 * BLOCK))
    assert np.abs(with_blinks - np.concatenate(quiet, axis=1)).max() > 50e-6


def test_an_endless_blink_goes_on_in_the_next_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 256)  # shorter than a blink
    monkeypatch.setattr(module, "BLINKS_PER_S", 2.0)
    blinks = np.concatenate(list(itertools.islice(make().endless(), 40)), axis=1)
    monkeypatch.setattr(module, "BLINKS_PER_S", 0.0)
    blinks -= np.concatenate(list(itertools.islice(make().endless(), 40)), axis=1)
    course = np.abs(blinks).max(axis=0)
    assert course.max() > 50e-6
    assert np.abs(np.diff(course)).max() < 0.03 * course.max()  # none breaks off
