"""Our encoders are models of braindecode: its sizes, its classifiers, its configs; what docs/api.md shows decodes."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.errors import ConfigError

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
MODULE = "necomimi.encoders.for_braindecode"
NAMES = ["ATMS", "MUSE", "MultiBlur", "NERV", "NICE", "NervFormer"]
INFO = mne.create_info([f"E{i}" for i in range(6)], 250.0, "eeg")


@pytest.fixture(scope="module")
def models() -> ModuleType:
    pytest.importorskip("braindecode")
    return importlib.import_module(MODULE)


@pytest.fixture(scope="module")
def shown() -> tuple[mne.EpochsArray, np.ndarray]:
    """Return epochs of three classes, each with a slow pattern under noise three times as large, and the classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 280)
    patterns = np.cumsum(rng.normal(size=(3, 6, 200)), axis=-1)
    patterns -= patterns.mean(axis=-1, keepdims=True)
    patterns /= patterns.std(axis=-1, keepdims=True)
    data = 1e-6 * (patterns[y] + 3 * rng.normal(size=(280, 6, 200)))
    return mne.EpochsArray(data, INFO, tmin=-0.1, verbose="error"), y


@pytest.mark.parametrize("name", NAMES)
def test_takes_the_sizes_of_braindecode_and_gives_what_build_does(models: ModuleType, name: str) -> None:
    torch.manual_seed(0)
    model = getattr(models, name)(chs_info=INFO["chs"], sfreq=250, input_window_seconds=0.8, n_outputs=24).eval()
    encoder = build(name.lower(), n_chans=6, n_times=200, n_outputs=24).eval()
    assert model.encoder_config == {"name": name.lower(), "n_chans": 6, "n_times": 200, "n_outputs": 24}
    encoder.load_state_dict(model.encoder.state_dict())
    x = torch.randn(4, 6, 200)
    with torch.no_grad():
        np.testing.assert_array_equal(model(x), encoder(x))
        assert model.get_output_shape() == (1, 24)
        rebuilt = type(model).from_config(json.loads(json.dumps(model.get_config()))).eval()
        assert (rebuilt(x) - model(x)).abs().max() > 1e-3
        rebuilt.load_state_dict(model.state_dict())
        np.testing.assert_array_equal(rebuilt(x), model(x))
    assert model.get_torchinfo_statistics().total_params == sum(p.numel() for p in model.parameters())


def test_the_head_is_replaced_and_the_rest_stays(models: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    model = models.MultiBlur(n_chans=6, n_times=40, n_outputs=3, n_filters=4, dropout=(0.1, 0.2))
    model.save_pretrained(tmp_path)
    wider = models.MultiBlur.from_pretrained(tmp_path, n_outputs=7)
    assert wider.eval()(torch.randn(2, 6, 40)).shape == (2, 7)
    assert (wider.n_outputs, wider.get_config()["n_outputs"], wider.get_config()["n_filters"]) == (7, 7, 4)
    old, new = model.encoder.state_dict(), wider.encoder.state_dict()
    assert {key for key in old if old[key].shape != new[key].shape} == {"head.weight", "head.bias"}
    for key in old.keys() - {"head.weight", "head.bias"}:
        torch.testing.assert_close(new[key], old[key])
    weights = wider.encoder.head.weight.clone()
    wider.reset_head(7)
    torch.testing.assert_close(wider.encoder.head.weight, weights)


def test_regresses_and_is_cloned_with_its_options(models: ModuleType) -> None:
    from braindecode import EEGRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(192, 6, 40)).astype(np.float32)
    y = x[:, :2].mean(axis=-1) * 6  # (n, 2)
    torch.manual_seed(0)
    regressor = clone(
        EEGRegressor(
            models.MultiBlur, module__n_filters=12, module__dropout=(0.0, 0.0), optimizer=torch.optim.AdamW,
            optimizer__lr=3e-3, batch_size=32, max_epochs=30, train_split=None, verbose=0,
        )
    )  # fmt: skip
    assert regressor.get_params()["module__n_filters"] == 12
    regressor.fit(x[:128], y[:128])
    assert regressor.module_.encoder.spatial.out_channels == 12
    assert regressor.module_.n_outputs == 2
    assert np.corrcoef(regressor.predict(x[128:]).ravel(), y[128:].ravel())[0, 1] > 0.5


def test_the_page_s_classifier_learns_and_its_decoder_answers_the_same(
    models: ModuleType, shown: tuple[mne.EpochsArray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, decode = (block for block in _blocks() if "classifier" in block)
    epochs, y = shown
    names: dict[str, Any] = {"epochs": epochs, "y": y, "Decoder": Decoder}
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(train.replace("classifier.fit", "classifier.set_params(verbose=0)\nclassifier.fit"), names)
    classifier = names["classifier"]
    assert classifier.score(epochs[200:], y[200:]) > 0.7  # chance is a third
    assert (classifier.module_.sfreq, len(classifier.module_.chs_info)) == (250, 6)
    exec(decode, names)
    decoder = Decoder.from_pretrained("from-braindecode")
    expected = [("cat", "dog", "owl")[i] for i in classifier.predict(epochs[200:])]
    assert decoder.predict(epochs[200:]) == expected


def _blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"n_chans": 6, "n_outputs": 3}, "n_times could not be inferred"),
        ({"n_chans": 6, "n_outputs": 3, "n_times": 200, "sfreq": 100, "input_window_seconds": 1.0}, "different from"),
        ({"n_chans": 6, "n_outputs": 3, "n_times": 40}, "too short for this encoder"),
        ({"n_chans": 6, "n_outputs": 3, "n_times": 200, "colour": 1}, "'nice' was given options"),
        ({"n_chans": 6, "n_outputs": 3, "n_times": 200, "n_subjects": 2}, "model for one person"),
    ],
)
def test_misuse_is_told_in_words(models: ModuleType, sizes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        models.NICE(**sizes)


def test_without_braindecode_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setitem(sys.modules, "braindecode.models.base", None)
    with pytest.raises(ConfigError, match=r"necomimi\[braindecode\]"):
        importlib.import_module(MODULE)
