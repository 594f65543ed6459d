"""Preprocessing is MNE's and scikit-learn's to rounding error, and one code path for every rate."""

from __future__ import annotations

import mne
import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf

from necomimi.errors import ChannelMismatchError, CheckpointError, ConfigError
from necomimi.preprocessing import Preprocessor, ledoit_wolf, n_samples, temporal_operator, whitening_matrix


def make_preprocessor(n_channels: int = 4, **changes: object) -> Preprocessor:
    rng = np.random.default_rng(3)
    fields: dict = {
        "ch_names": tuple(f"C{i}" for i in range(n_channels)),
        "sfreq": 250.0,
        "tmin": -0.2,
        "tmax": 1.0,
        "baseline": (-0.2, 0.0),
        "start": 0.0,
        "n_times": 250,
        "spatial": rng.normal(size=(n_channels, n_channels)).astype(np.float32),
    }
    return Preprocessor(**{**fields, **changes})


@pytest.mark.parametrize("sfreq", [250.0, 500.0, 512.0, 1000.0, 2048.0])
def test_temporal_operator_is_mne(sfreq: float) -> None:
    rng = np.random.default_rng(0)
    n_in = n_samples(-0.2, 1.0, sfreq)
    data = np.cumsum(rng.normal(size=(3, 5, n_in)), axis=-1) * 1e-6 + 1e-3
    epochs = mne.EpochsArray(data, mne.create_info(5, sfreq, "eeg"), tmin=-0.2, verbose="error")
    epochs.apply_baseline((None, 0), verbose="error").resample(250.0, verbose="error")
    expected = epochs.get_data()[..., 50:300]
    got = make_preprocessor(5, spatial=np.eye(5, dtype=np.float32))(data, sfreq)
    assert got.shape == (3, 5, 250)
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()


def test_a_large_electrode_offset_costs_no_digits() -> None:
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(1, 4, 1201)) * 1e-5
    preprocessor = make_preprocessor()
    plain, offset = preprocessor(signal, 1000.0), preprocessor(signal + 0.2, 1000.0)
    assert np.abs(plain - offset).max() < 1e-5 * np.abs(plain).max()


def test_one_epoch_is_many() -> None:
    data = np.random.default_rng(2).normal(size=(7, 4, 1201)).astype(np.float32)
    before = data.copy()
    preprocessor = make_preprocessor()
    many = preprocessor(data, 1000.0)
    for one, epoch in zip(many, data, strict=True):
        np.testing.assert_allclose(preprocessor(epoch, 1000.0), one, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(data, before)


def test_nothing_is_done_twice() -> None:
    data = np.random.default_rng(4).normal(size=(2, 4, 250)).astype(np.float32)
    preprocessor = make_preprocessor()
    steps = ("baseline", "resample", "whiten")
    assert preprocessor.window(250.0, steps) == (0.0, 250)
    np.testing.assert_array_equal(preprocessor(data, 250.0, steps), data)
    np.testing.assert_allclose(preprocessor(data, 250.0, steps[:2]), preprocessor.spatial @ data, rtol=1e-5, atol=1e-5)


def test_streams_that_cannot_serve_are_refused_in_words() -> None:
    preprocessor = make_preprocessor()
    preprocessor.check_stream(1000.0, ())
    with pytest.raises(ChannelMismatchError, match="128 Hz"):
        preprocessor.check_stream(128.0, ())
    with pytest.raises(ChannelMismatchError, match="resampled to 100 Hz"):
        preprocessor.check_stream(100.0, ("resample",))
    with pytest.raises(ChannelMismatchError, match="baseline, whiten"):
        make_preprocessor(applied=("baseline", "whiten")).check_stream(1000.0, ())
    with pytest.raises(ChannelMismatchError, match="expected"):
        preprocessor(np.zeros((1, 4, 7)), 1000.0)


def test_impossible_windows_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        temporal_operator(250.0, 250.0, -0.2, 0.5, None, 0.0, 250)
    with pytest.raises(ConfigError, match="holds no sample"):
        temporal_operator(250.0, 250.0, -0.2, 0.5, (-0.9, -0.8), 0.0, 100)


def test_ledoit_wolf_is_sklearns() -> None:
    rng = np.random.default_rng(5)
    data = rng.normal(size=(6, 8, 50)) * rng.uniform(0.1, 3, size=(6, 8, 1)) + 5
    expected = [sklearn_ledoit_wolf(epoch.T)[0] for epoch in data]
    np.testing.assert_allclose(ledoit_wolf(data), expected, rtol=1e-9)
    single = ledoit_wolf(data.astype(np.float32))
    assert single.dtype == np.float64
    assert np.abs(single - expected).max() < 1e-5 * np.abs(expected).max()


def test_whitening_whitens() -> None:
    rng = np.random.default_rng(6)
    mixing = rng.normal(size=(5, 5))
    matrix = whitening_matrix(mixing @ mixing.T)
    np.testing.assert_allclose(matrix @ mixing @ mixing.T @ matrix.T, np.eye(5), atol=1e-6)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    with pytest.raises(ConfigError, match="zero or not finite"):
        whitening_matrix(np.zeros((3, 3)))


def test_saved_and_read_back(tmp_path) -> None:
    preprocessor = make_preprocessor(applied=("baseline",))
    preprocessor.save_matrix(tmp_path / "m.safetensors")
    back = Preprocessor.from_config(preprocessor.to_config(), tmp_path / "m.safetensors")
    assert back.to_config() == preprocessor.to_config()
    np.testing.assert_array_equal(back.spatial, preprocessor.spatial)
    for damage in ({"sfreq": None}, {"ch_names": ["A"]}, {"baseline": "x"}):
        with pytest.raises(CheckpointError, match="cannot be read"):
            Preprocessor.from_config({**preprocessor.to_config(), **damage}, tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match="cannot be read"):
        Preprocessor.from_config(preprocessor.to_config(), tmp_path / "m.safetensors")


def smooth(n_times: int, sfreq: float) -> np.ndarray:
    """Return a random walk without power above 100 Hz, shape (6, 4, n_times): like EEG, most of it is slow."""
    walk = np.cumsum(np.random.default_rng(7).normal(size=(6, 4, n_times)), axis=-1) * 1e-6
    return mne.filter.filter_data(walk, sfreq, None, 100.0, verbose="error") if sfreq > 250 else walk


@pytest.mark.parametrize("until", [0.1, 0.3, 0.3004, 0.996])
def test_at_the_models_rate_an_unfinished_epoch_is_the_whole_one_with_zeros(until: float) -> None:
    preprocessor = make_preprocessor()
    data = smooth(301, 250.0)
    whole, (tmin, n_in) = preprocessor(data, 250.0), preprocessor.window(250.0, (), until)
    assert (tmin, n_in) == (-0.2, round((until + 0.2) * 250) + 1)
    got = preprocessor(data[..., :n_in], 250.0, until=until)
    n = preprocessor.n_times_until(until)
    assert n == int(until * 250 + 1e-6)
    np.testing.assert_allclose(got[..., :n], whole[..., :n], rtol=1e-4, atol=1e-4 * np.abs(whole).max())
    assert not got[..., n:].any()


@pytest.mark.parametrize("sfreq", [500.0, 512.0, 1000.0, 2048.0])
@pytest.mark.parametrize("until", [0.2, 0.3, 0.411, 0.7])
def test_an_unfinished_epoch_differs_from_the_whole_one_at_its_edge_only(sfreq: float, until: float) -> None:
    preprocessor = make_preprocessor(spatial=np.eye(4, dtype=np.float32))
    data = smooth(preprocessor.window(sfreq)[1], sfreq)
    whole, n = preprocessor(data, sfreq), preprocessor.n_times_until(until)
    got = preprocessor(data[..., : preprocessor.window(sfreq, (), until)[1]], sfreq, until=until)
    assert got.shape == whole.shape
    assert not got[..., n:].any()
    error = np.sqrt(((got - whole) ** 2).mean(axis=(0, 1)))[:n] / whole[..., :n].std()
    assert error.max() < 0.1
    assert error[: n - 10].max() < 0.01


def test_a_stream_at_the_models_rate_is_cut_without_resampling() -> None:
    preprocessor = make_preprocessor(spatial=np.eye(4, dtype=np.float32))
    steps = ("baseline", "resample")
    assert preprocessor.window(250.0, steps, 0.3) == (0.0, 75)
    data = np.random.default_rng(4).normal(size=(2, 4, 75)).astype(np.float32)
    got = preprocessor(data, 250.0, steps, 0.3)
    np.testing.assert_array_equal(got[..., :75], data)
    assert not got[..., 75:].any()
    assert got.shape == (2, 4, 250)


def test_ends_outside_the_window_are_refused_in_words() -> None:
    preprocessor = make_preprocessor()
    for until in (-0.3, 0.0, 0.003, 1.0, 2.0):
        with pytest.raises(ConfigError, match=r"unfinished epoch[\s\S]*between 0 s and 1 s"):
            preprocessor.window(1000.0, (), until)
        with pytest.raises(ConfigError, match="unfinished epoch"):
            preprocessor.operators(1000.0, ("resample",), until)
    assert preprocessor.n_times_until(None) == preprocessor.n_times_until(5.0) == 250
    assert preprocessor.n_times_until(-1.0) == 0
