"""Epochs of MNE-Python go into a decoder as they are: channels by name, the window cut out, misfits refused."""

from __future__ import annotations

from typing import Any

import mne
import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.errors import ChannelMismatchError, ConfigError
from necomimi.gallery import Gallery
from necomimi.mne_epochs import volts_of
from necomimi.preprocessing import Preprocessor

SFREQ = 1000.0
NAMES = ("Oz", "POz", "Pz")


def decoder() -> Decoder:
    torch.manual_seed(1)
    gallery = Gallery.from_labels(["cat", "dog", "hut", "sea"])
    config = {"name": "multiblur", "n_chans": 3, "n_times": 150, "n_outputs": 4}
    preprocessor = Preprocessor(
        ch_names=NAMES, sfreq=250.0, tmin=-0.1, tmax=0.6, baseline=(-0.1, 0.0), start=0.0, n_times=150,
        spatial=np.diag([1e5, 2e5, 3e5]).astype(np.float32),
    )  # fmt: skip
    return Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space,
        logit_scale=7.0, gallery=gallery,
    )  # fmt: skip


def epochs(names: tuple[str, ...] = ("EEG Pz", "oz", "Fz", "POz"), tmin: float = -0.2, sfreq: float = SFREQ) -> Any:
    data = np.random.default_rng(0).normal(scale=1e-5, size=(6, len(names), round((0.8 - tmin) * sfreq)))
    events = np.column_stack([np.arange(6) * 2000, np.zeros(6, int), np.ones(6, int)])
    return mne.EpochsArray(data, mne.create_info(list(names), sfreq, "eeg"), events, tmin, verbose="error")


def test_channels_are_found_by_name_and_the_window_is_cut_out() -> None:
    model, given = decoder(), epochs(("pz", "Oz", "Fz", "POZ"))
    data, sfreq = volts_of(given, model.preprocessor)
    assert sfreq == SFREQ
    assert data.shape == (6, 3, model.preprocessor.window(SFREQ)[1])
    np.testing.assert_array_equal(
        data, given.get_data(copy=False)[:, [1, 3, 0], 100 : 100 + data.shape[2]].astype("f4")
    )


def test_predictions_are_those_of_the_same_epochs_as_arrays() -> None:
    model, given = decoder(), epochs(("pz", "Oz", "Fz", "POZ"))
    data, _ = volts_of(given, model.preprocessor)
    expected = model.embed(model.preprocessor(data, SFREQ))
    np.testing.assert_allclose(model.embed_epochs(given), expected, atol=1e-5)
    labels, scores = model.retrieve(expected, k=4)
    assert model.predict(given) == [row[0] for row in labels]
    probabilities = model.predict_proba(given)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    for row, names, values in zip(probabilities, labels, scores, strict=True):
        np.testing.assert_allclose([row[model.classes.index(name)] for name in names], values, rtol=1e-4)


def test_a_baseline_that_mne_has_subtracted_changes_nothing() -> None:
    model, given = decoder(), epochs(("pz", "Oz", "Fz", "POZ"))
    before = model.embed_epochs(given)
    given.apply_baseline((-0.2, 0.0), verbose="error")
    np.testing.assert_allclose(model.embed_epochs(given), before, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (epochs(("Pz", "Oz")), ChannelMismatchError, "lacks 1 of 3 channels: POz"),
        (epochs(("Pz", "Oz", "POz"), sfreq=100.0), ChannelMismatchError, "100"),
        (epochs(("Pz", "Oz", "POz"), tmin=0.0), ConfigError, "epochs from 0 to"),
        (np.zeros((2, 3, 700)), ConfigError, "ndarray"),
    ],
    ids=["channels", "rate", "window", "array"],
)
def test_misfits_are_refused_in_words(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        decoder().predict(given)


def test_no_epochs_are_refused_in_words() -> None:
    given = epochs(("Pz", "Oz", "POz"))
    given.drop(range(6), verbose="error")
    with pytest.raises(ConfigError, match="no epochs"):
        decoder().predict(given)
