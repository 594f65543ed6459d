"""Published epochs, in each layout, become an epochs directory that says what was done to them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from necomimi.cli import app
from necomimi.epochs import Epochs
from necomimi.errors import DatasetError
from necomimi.offline.published_set import convert_published
from necomimi.things_eeg2 import MODEL_CH_NAMES, ImageMetadata, preprocessed_path, raw_path, save_metadata

N_TRAIN, N_TEST = 4, 2


def write(root: Path, layout: str) -> dict[str, np.ndarray]:
    """Write published files of 2 concepts x 2 pictures x 3 repetitions; return (conditions, repetitions, ...)."""
    rng = np.random.default_rng(0)
    n_channels, n_times = (17, 100) if layout == "official" else (63, 250)
    arrays = {}
    for split, n, repetitions in (("training", N_TRAIN, 3), ("test", N_TEST, 5)):
        data = rng.normal(size=(n, repetitions, n_channels, n_times)).astype(
            np.float64 if layout == "official" else np.float32
        )
        arrays[split] = data
        names = list(MODEL_CH_NAMES[-n_channels:])
        stored = data.reshape(-1, 2 if split == "training" else 1, *data.shape[1:]) if layout == "concepts" else data
        times = np.arange(300) / 250 - 0.2 if layout == "pickle" else np.arange(n_times) / n_times - 0.2
        values = {"preprocessed_eeg_data": stored, "ch_names": names, "times": times}
        path = preprocessed_path(root, 1, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        if layout == "pickle":
            path.write_bytes(pickle.dumps(values, protocol=4))
        elif layout == "concepts":
            np.save(path, stored)
        else:
            np.save(path, np.array(values, dtype=object), allow_pickle=True)
    (root / "image_set").mkdir()
    save_metadata(
        root / "image_set" / "image_metadata.npy",
        ImageMetadata(
            train_concepts=("00001_cat", "00001_cat", "00002_dog", "00002_dog"),
            train_files=("cat_1.jpg", "cat_2.jpg", "dog_1.jpg", "dog_2.jpg"),
            test_concepts=("00001_left", "00002_right"),
            test_files=("left.jpg", "right.jpg"),
        ),
    )
    return arrays


@pytest.mark.parametrize(
    ("layout", "words", "start", "sfreq"),
    [
        ("official", "np.save of a dict", -0.2, 100.0),
        ("pickle", "a bare pickle, conditions x repetitions x channels x times (4 x 3 x 63 x 250), the last 250", 0,
         250),
        ("concepts", "an array of np.save, concepts x pictures", 0, 250),
    ],
)  # fmt: skip
def test_every_layout(tmp_path: Path, layout: str, words: str, start: float, sfreq: float) -> None:
    arrays = write(tmp_path / "d", layout)
    result = CliRunner().invoke(app, ["preprocess", str(tmp_path / "d"), str(tmp_path / "e")])
    assert result.exit_code == 0, result.stderr
    epochs = Epochs.load(tmp_path / "e")
    assert epochs.test is not None
    assert words in epochs.source
    assert (epochs.subject, epochs.transductive) == ("sub-01", True)
    assert epochs.preprocessor.applied == ("baseline", "resample", "whiten")
    assert epochs.preprocessor.sfreq == sfreq
    assert epochs.preprocessor.start == pytest.approx(start)
    assert epochs.preprocessor.window(sfreq, epochs.preprocessor.applied) == (
        pytest.approx(start),
        arrays["training"].shape[-1],
    )
    for part, split in ((epochs.train, "training"), (epochs.test, "test")):
        expected = arrays[split].astype(np.float32)
        np.testing.assert_array_equal(part.data, expected.reshape(-1, *expected.shape[2:]))
    assert epochs.train.pictures[:4] == ("00001_cat/cat_1.jpg",) * 3 + ("00001_cat/cat_2.jpg",)
    assert epochs.train.labels[-1] == "dog"
    assert list(epochs.test.repetitions) == [1, 2, 3, 4, 5] * 2
    assert epochs.test.labels == ("left",) * 5 + ("right",) * 5


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    root = tmp_path / "d"
    arrays = write(root, "concepts")
    options = CliRunner().invoke(app, ["preprocess", str(root), str(tmp_path / "e"), "--whiten", "session"])
    assert "already" in str(options.exception)
    path = preprocessed_path(root, 1, "training")
    np.save(path, arrays["training"][:3])
    with pytest.raises(DatasetError, match=r"3 conditions\nexpected: 4"):
        convert_published(root, tmp_path / "e", subject=1)
    np.save(path, arrays["training"][:, :, :17, :100])
    with pytest.raises(DatasetError, match="63 channels x 250"):
        convert_published(root, tmp_path / "e", subject=1)
    broken = arrays["training"].copy()
    broken[2, 1, 5, 7] = np.nan
    np.save(path, broken)
    with pytest.raises(DatasetError, match="not finite"):
        convert_published(root, tmp_path / "e", subject=1)
    path.write_bytes(pickle.dumps({"preprocessed_eeg_data": print}))
    with pytest.raises(DatasetError, match="print"):
        convert_published(root, tmp_path / "e", subject=1)
    assert not list(tmp_path.glob("e*"))


def test_raw_files_come_first_unless_asked_otherwise(tmp_path: Path) -> None:
    root = tmp_path / "d"
    write(root, "concepts")
    raw = raw_path(root, 1, 1, "training")
    raw.parent.mkdir()
    raw.touch()
    first = CliRunner().invoke(app, ["preprocess", str(root), str(tmp_path / "e")])
    assert isinstance(first.exception, DatasetError)
    assert raw.name in str(first.exception)
    assert CliRunner().invoke(app, ["preprocess", str(root), str(tmp_path / "e"), "--published"]).exit_code == 0
    assert Epochs.load(tmp_path / "e").transductive
    nothing = CliRunner().invoke(app, ["preprocess", str(root / "image_set"), str(tmp_path / "f")])
    assert "THINGS-MEG" in str(nothing.exception)
