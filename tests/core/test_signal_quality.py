from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from necomimi.signal_quality import ChannelQuality, judge_channels
from necomimi.simulated_noise import Noise
from necomimi.synthetic import Synthetic

SFREQ = 1000.0


def make_noise(seed: int) -> Noise:
    names = Synthetic.parse("synthetic:63x1000x5").ch_names
    return Noise(names, *(np.random.SeedSequence([seed, part]) for part in range(3)))


def make_eeg(n_channels: int, sfreq: float, seconds: float, seed: int = 1) -> np.ndarray:
    """Return 1/f noise of 10 µV (rms), a little hiss and offsets of millivolts, shape (n_channels, n_times)."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sfreq)
    frequencies = np.fft.rfftfreq(n, 1 / sfreq)
    shape = np.where(frequencies > 0, frequencies, np.inf) ** -0.5
    slow = np.fft.irfft(shape * np.exp(2j * np.pi * rng.uniform(size=(n_channels, len(frequencies)))), n)
    slow *= 10e-6 / slow.std(axis=1, keepdims=True)
    return slow + rng.normal(0, 1e-6, slow.shape) + rng.normal(0, 5e-3, (n_channels, 1))


def names(n: int) -> list[str]:
    return [f"E{i}" for i in range(n)]


def verdicts(qualities: tuple[ChannelQuality, ...]) -> list[str]:
    return [quality.verdict for quality in qualities]


def test_the_simulated_bad_channel_is_found_and_no_other() -> None:
    """Blinks, alpha, drift and mains of a normal size are in there."""
    n_bad = 0
    for seed in range(5, 11):
        noise = make_noise(seed)
        block = next(iter(noise.blocks(20000)))[1]
        names = Synthetic.parse("synthetic:63x1000x5").ch_names
        found: Counter[tuple[str, str]] = Counter()
        for start in range(0, 16001, 2000):
            qualities = judge_channels(block[:, start : start + 4000], SFREQ, names)
            found.update((q.name, q.verdict) for q in qualities if q.verdict != "good")
        assert found == ({} if noise.bad_channel is None else {(noise.bad_channel, "noisy"): 9})
        n_bad += noise.bad_channel is not None
    assert n_bad >= 2  # else the test would test nothing


@pytest.mark.parametrize("seconds", [1.0, 4.0, 10.0])
@pytest.mark.parametrize("person", [1, 2])
def test_real_eeg_is_good(shared_data: Path, person: int, seconds: float) -> None:
    import mne

    raw = mne.io.read_raw_fif(shared_data / "p300" / f"sub-{person:02d}_task-p300_raw.fif", verbose="error").pick("eeg")
    data, n = raw.get_data(), round(seconds * raw.info["sfreq"])
    found = [
        verdict
        for start in range(0, data.shape[1] - n, n)
        for verdict in verdicts(judge_channels(data[:, start : start + n], raw.info["sfreq"], raw.ch_names))
    ]
    assert found.count("good") >= 0.98 * len(found)


@pytest.mark.parametrize("sfreq", [250.0, 500.0, 1000.0, 2048.0])
@pytest.mark.parametrize(("n_channels", "seconds"), [(8, 1.0), (8, 10.0), (63, 1.0), (63, 2.5), (63, 4.0), (256, 4.0)])
def test_each_fault_has_its_verdict(n_channels: int, sfreq: float, seconds: float) -> None:
    data = make_eeg(n_channels, sfreq, seconds)
    times = np.arange(data.shape[1]) / sfreq
    rng = np.random.default_rng(2)
    data[1] = 3e-3
    data[2] += 20e-6 * np.sqrt(2) * np.sin(2 * np.pi * 50 * times + 1)
    data[3] += 20e-6 * np.sqrt(2) * np.sin(2 * np.pi * 60 * times + 2)
    data[4] += rng.normal(0, 60e-6, len(times))
    data[5] += 600e-6 * times / seconds
    data[6, : int(0.6 * len(times))] = np.nan
    qualities = judge_channels(data, sfreq, names(n_channels))
    assert verdicts(qualities) == ["good", "flat", "mains", "mains", "noisy", "drift", "flat"] + ["good"] * (
        n_channels - 7
    )
    assert [qualities[2].mains_hz, qualities[3].mains_hz] == [50.0, 60.0]
    assert qualities[2].mains == pytest.approx(20e-6, rel=0.1)
    assert qualities[5].drift == pytest.approx(300e-6, rel=0.1)
    assert qualities[1].rms < 1e-12


def test_figures_are_volts() -> None:
    """White noise of known size, and no mains in it."""
    rng = np.random.default_rng(3)
    data = rng.normal(0, 20e-6, (63, 4000))
    qualities = judge_channels(data, SFREQ, names(63))
    assert np.mean([q.rms for q in qualities]) == pytest.approx(20e-6 * np.sqrt(39 / 500), rel=0.05)
    lines = [(98, 102), (118, 122), (148, 152), (178, 182)]
    width = 200 - 65 - sum(high - low for low, high in lines)
    assert np.mean([q.high for q in qualities]) == pytest.approx(20e-6 * np.sqrt(width / 500), rel=0.05)
    assert np.median([q.mains for q in qualities]) < 2e-6


@pytest.mark.parametrize("peak", [100e-6, 150e-6, 250e-6])
def test_blinks_leave_frontal_channels_good(peak: float) -> None:
    data = make_eeg(8, SFREQ, 4.0)
    blink = peak * np.hanning(300)
    for start in (400, 1600, 3000):
        data[:2, start : start + 300] += blink
    assert verdicts(judge_channels(data, SFREQ, names(8))) == ["good"] * 8


def test_a_channel_that_loses_contact_at_moments_is_noisy() -> None:
    data = make_eeg(8, SFREQ, 4.0)
    data[3, 2000:2100] += 2e-3
    assert verdicts(judge_channels(data, SFREQ, names(8))) == ["good"] * 3 + ["noisy"] + ["good"] * 4


def test_a_cap_that_is_bad_as_a_whole_is_bad() -> None:
    data = make_eeg(32, SFREQ, 4.0)
    times = np.arange(4000) / SFREQ
    assert set(verdicts(judge_channels(data + 30e-6 * np.sin(2 * np.pi * 50 * times), SFREQ, names(32)))) == {"mains"}
    assert set(verdicts(judge_channels(20 * data, SFREQ, names(32)))) == {"noisy"}
    assert set(verdicts(judge_channels(np.zeros((32, 4000)), SFREQ, names(32)))) == {"flat"}
    assert set(verdicts(judge_channels(np.full((32, 4000), np.nan), SFREQ, names(32)))) == {"flat"}


def test_holes_are_bridged_and_the_input_is_left_alone() -> None:
    data = make_eeg(8, SFREQ, 4.0).astype(np.float32)
    data[:, 1000:1200] = np.nan
    data[2, 100] = np.inf
    before = data.copy()
    assert verdicts(judge_channels(data, SFREQ, names(8))) == ["good"] * 8
    np.testing.assert_array_equal(data, before)


def test_a_channel_is_judged_the_same_whatever_its_offset() -> None:
    data = make_eeg(8, SFREQ, 4.0)
    here, there = (judge_channels(data + offset, SFREQ, names(8)) for offset in (0.0, 0.3))
    for a, b in zip(here, there, strict=True):
        assert a.rms == pytest.approx(b.rms, rel=1e-3)
        assert a.verdict == b.verdict == "good"


@pytest.mark.parametrize("shape", [(7, 4000), (8, 999), (4000,)])
def test_what_cannot_be_judged_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        judge_channels(np.zeros(shape), SFREQ, names(8))


def test_import_needs_no_mne() -> None:
    script = (
        "import sys, necomimi.signal_quality; print([m for m in ('mne', 'torch', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"
