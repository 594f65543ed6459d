"""The estimator does what scikit-learn expects, on made-up and on real EEG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import StratifiedKFold, cross_val_score

from necomimi.decoder import Decoder
from necomimi.errors import ConfigError
from necomimi.offline.estimator import EpochsClassifier

NAMES = ["Fz", "Cz", "Pz", "Oz", "PO7", "PO8"]
SFREQ = 250.0
KINDS = np.array(["cat", "dog", "hut"])


def simulated(n: int = 120, seed: int = 0) -> tuple[Any, np.ndarray]:
    """Return epochs in which each label has a wave of its own, and the labels."""
    rng = np.random.default_rng(seed)
    labels = KINDS[rng.permutation(np.arange(n) % 3)]
    times = np.arange(-0.2, 0.8, 1 / SFREQ)
    data = rng.normal(scale=8e-6, size=(n, len(NAMES), len(times)))
    wave = 12e-6 * np.exp(-(((times - 0.25) / 0.06) ** 2))
    for i, label in enumerate(labels):
        data[i, 2 * list(KINDS).index(label)] += wave
    events = np.column_stack([np.arange(n) * 300, np.zeros(n, int), np.ones(n, int)])
    return mne.EpochsArray(data, mne.create_info(NAMES, SFREQ, "eeg"), events, -0.2, verbose="error"), labels


def test_it_learns_what_tells_labels_apart_and_saves_a_decoder(tmp_path: Path) -> None:
    epochs, labels = simulated()
    test, truth = simulated(60, seed=1)
    model = EpochsClassifier(epochs=20, settings={"batch_size": 32}).fit(epochs, labels)
    assert list(model.classes_) == sorted(KINDS)
    assert model.score(test, truth) > 0.7  # chance is a third
    probabilities = model.predict_proba(test)
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(test))
    model.decoder_.save(tmp_path / "decoder")
    assert Decoder.load(tmp_path / "decoder").predict(test) == list(model.predict(test))


def test_scikit_learn_cross_validates_and_clones_it() -> None:
    epochs, labels = simulated(180)
    model = EpochsClassifier(epochs=20, settings={"batch_size": 32}, seed=3)
    assert clone(model).get_params() == model.get_params()
    shuffled = StratifiedKFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(model, [epochs[i] for i in range(len(epochs))], labels, cv=shuffled)
    assert scores.shape == (3,)
    assert scores.mean() > 0.5  # chance is a third


def test_misuse_is_refused_in_words() -> None:
    epochs, labels = simulated(12)
    with pytest.raises(ConfigError, match="11 labels for 12 epochs"):
        EpochsClassifier().fit(epochs, labels[1:])
    with pytest.raises(NotFittedError, match="fit"):
        EpochsClassifier().predict(epochs)


def test_real_p300_epochs_are_told_apart(shared_data: Path) -> None:
    raw = mne.io.read_raw(shared_data / "p300" / "sub-01_task-p300_raw.fif", verbose="error")
    events, codes = mne.events_from_annotations(raw, verbose="error")
    epochs = mne.Epochs(raw, events, codes, -0.1, 0.7, baseline=None, preload=True, verbose="error")
    names = {code: name for name, code in codes.items()}
    labels = np.array([names[code] for code in epochs.events[:, 2]])
    half = len(epochs) // 2
    gap = 6  # epochs that share signal with the other half
    model = EpochsClassifier(epochs=20).fit(epochs[: half - gap], labels[: half - gap])
    scores = model.predict_proba(epochs[half:])[:, list(model.classes_).index("target")]
    truth = labels[half:] == "target"
    above = scores[truth][:, None] > scores[~truth][None]
    assert above.mean() > 0.8  # area under the ROC curve; chance is one half
