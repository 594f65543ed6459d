"""A signal that cannot be decoded is refused with the reason; clean EEG is not."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np

from necomimi.realtime.signal_check import Limits, check_signal


def test_signals_that_cannot_be_decoded() -> None:
    good = np.random.default_rng(0).normal(scale=1e-5, size=(8, 100)).astype(np.float32)
    assert check_signal(good, Limits()) is None
    for value in (np.nan, np.inf, -np.inf):
        bad = good.copy()
        bad[3, 50] = value
        found = check_signal(bad, Limits())
        assert found is not None
        assert found[0] == "non-finite"
    flat = good.copy()
    flat[:2] = 4.0
    assert check_signal(flat, Limits()) is None
    flat[:3] = 4.0
    assert check_signal(flat, Limits())[0] == "flat"  # type: ignore[index]
    big = good.copy()
    big[0, 3] = 300e-6
    assert check_signal(big, Limits(amplitude=200e-6))[0] == "amplitude"  # type: ignore[index]


def test_a_lost_reference_shows_the_same_in_all_channels() -> None:
    rng = np.random.default_rng(1)
    own = rng.normal(scale=10e-6, size=(8, 500))
    hum = 400e-6 * np.sin(np.linspace(0, 60 * np.pi, 500))
    lost = (own + hum).astype(np.float32)
    reason, detail = check_signal(lost, Limits())  # type: ignore[misc]
    assert reason == "reference lost"
    assert "all 8 channels" in detail
    assert check_signal((own + hum / 4).astype(np.float32), Limits()) is None  # strong hum is no lost reference
    blink = own.copy()
    blink[:2] += 800e-6 * np.hanning(500)
    assert check_signal(blink.astype(np.float32), Limits()) is None
    apart = own + hum * rng.normal(size=(8, 1))  # large, and another thing in each channel
    assert check_signal(apart.astype(np.float32), Limits()) is None
    assert check_signal(lost[:1], Limits()) is None  # one channel shares nothing


def test_real_eeg_keeps_its_reference(shared_data: Path) -> None:
    for path in sorted((shared_data / "p300").glob("*_raw.fif")):
        data = mne.io.read_raw(path, preload=True, verbose="error").get_data("eeg").astype(np.float32)
        found = [check_signal(data[:, i : i + 250], Limits()) for i in range(0, data.shape[1] - 250, 250)]
        assert found.count(None) == len(found)
