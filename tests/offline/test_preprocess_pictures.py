"""A recording of presented pictures becomes epochs of them; bad channels are interpolated, there and live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest

from necomimi.epochs import Epochs
from necomimi.errors import ChannelMismatchError, ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.montage import repair_matrix
from necomimi.offline.recorded import preprocess_recording

CH_NAMES = ["Fz", "Cz", "Pz", "Oz", "P3", "P4", "P7", "P8", "O1", "O2"]
EVENTS = ["cat_01", "present/rest", "dog_01", "00002_dog/dog_02.jpg", "cat_01", "moon"]


@pytest.fixture
def gallery() -> Gallery:
    files = ("00001_cat/cat_01.jpg", "00002_dog/dog_01.jpg", "00002_dog/dog_02.jpg")
    return Gallery(labels=("cat", "dog", "dog"), files=files, embeddings=np.eye(3, dtype=np.float32), space="test:3")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    data = rng.normal(scale=1e-5, size=(len(CH_NAMES), 250 * 20))
    data[CH_NAMES.index("Pz")] *= 50
    raw = mne.io.RawArray(data, mne.create_info(CH_NAMES, 250.0, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations(1.0 + 3.0 * np.arange(len(EVENTS)), 0, EVENTS))
    raw.save(tmp_path / "r_raw.fif", verbose="error")
    return tmp_path / "r_raw.fif"


def test_events_become_pictures_and_others_are_left_out(recording: Path, gallery: Gallery, tmp_path: Path) -> None:
    preprocess_recording(recording, tmp_path / "e", gallery=gallery)
    part = Epochs.load(tmp_path / "e").train
    assert part.labels == ("cat", "dog", "dog", "cat")
    assert part.pictures == (gallery.files[0], gallery.files[1], gallery.files[2], gallery.files[0])
    assert part.repetitions.tolist() == [1, 1, 1, 2]
    np.testing.assert_allclose(part.onsets, [1, 7, 10, 13])
    other = replace(gallery, labels=("sun",) * 3, files=("sun_1.jpg", "sun_2.jpg", "sun_3.jpg"))
    with pytest.raises(DatasetError, match=r"none of the 5 events[\s\S]*'sun_1.jpg'"):
        preprocess_recording(recording, tmp_path / "e", gallery=other)


def test_a_bad_channel_counts_nowhere_and_the_live_decoder_does_the_same(recording: Path, tmp_path: Path) -> None:
    fitted = preprocess_recording(recording, tmp_path / "e", bads=["pz"])
    epochs = Epochs.load(tmp_path / "e")
    assert epochs.bads == ("pz",)
    assert epochs.whiten == "pooled"
    assert not fitted.spatial[:, CH_NAMES.index("Pz")].any()
    raw = mne.io.read_raw_fif(recording, preload=True, verbose="error")
    tmin, n_in = fitted.window(250.0)
    first = round((1.0 + tmin) * 250)
    live = raw.get_data()[:, first : first + n_in]
    np.testing.assert_allclose(fitted(live, 250.0), epochs.train.data[0], atol=1e-3)
    live[CH_NAMES.index("Pz")] = 0.3  # whatever it does
    np.testing.assert_allclose(fitted(live, 250.0), epochs.train.data[0], atol=1e-3)
    whole = preprocess_recording(recording, tmp_path / "whole")
    assert whole.spatial[:, CH_NAMES.index("Pz")].any()
    with pytest.raises(ConfigError, match="bad channel Xx"):
        preprocess_recording(recording, tmp_path / "e", bads=["Xx"])


def test_interpolation_is_the_one_of_missing_channels() -> None:
    matrix = repair_matrix(CH_NAMES, ["Pz"])
    good = [name != "Pz" for name in CH_NAMES]
    np.testing.assert_array_equal(matrix[good], np.eye(len(CH_NAMES))[good])
    assert matrix[CH_NAMES.index("Pz")].sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-6)
    np.testing.assert_array_equal(repair_matrix(CH_NAMES, []), np.eye(len(CH_NAMES)))


def test_channels_window_and_rate_are_those_of_a_decoder(recording: Path, tmp_path: Path) -> None:
    like = replace(
        preprocess_recording(recording, tmp_path / "first"), ch_names=("Oz", "Fz", "T7"),
        spatial=np.eye(3, dtype=np.float32), sfreq=125.0, n_times=125,
    )  # fmt: skip
    with pytest.raises(ChannelMismatchError, match="lacks 1 of 3 channels: T7"):
        preprocess_recording(recording, tmp_path / "e", like=like)
    fitted = preprocess_recording(recording, tmp_path / "e", like=replace(like, ch_names=("oz", "Fz", "P8")))
    assert fitted.to_config() == {**like.to_config(), "ch_names": ["oz", "Fz", "P8"]}
    assert Epochs.load(tmp_path / "e").train.data.shape == (5, 3, 125)
