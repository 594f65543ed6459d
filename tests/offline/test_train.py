"""`necomimi train encoder` makes a decoder that loads, and tells the user in words what to change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from necomimi.decoder import Decoder
from necomimi.epochs import EpochsWriter, Trial
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor

PREPROCESSOR = Preprocessor(
    ch_names=("A", "B", "C"), sfreq=100.0, tmin=0.0, tmax=0.15, baseline=None, start=0.0, n_times=16,
    spatial=np.eye(3, dtype=np.float32),
)  # fmt: skip
FILES = tuple(f"{c:05d}_c{c}/c{c}_{p}.jpg" for c in range(8) for p in range(2))


def train_apart(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own."""
    command = [sys.executable, "-m", "necomimi", "train", "encoder", *map(str, arguments), "--device", "cpu"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def make_gallery(space: str, n_items: int = len(FILES)) -> Gallery:
    vectors = np.random.default_rng(0).normal(size=(n_items, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = tuple(Path(file).parent.name[6:] for file in FILES[:n_items])
    return Gallery(labels=labels, files=FILES[:n_items], embeddings=vectors, space=space)


def write(path: Path, trials: list[Trial], subject: str = "") -> None:
    with EpochsWriter(path) as writer:
        data = np.random.default_rng(0).normal(size=(len(trials), 3, 16))
        writer.create("train", trials, 3, 16)[:] = data
        writer.finish(PREPROCESSOR, "a test", subject=subject)


@pytest.fixture
def train(here: Any) -> Any:
    """Return what trains in this process."""
    return lambda *arguments: here("train", "encoder", *arguments, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with epochs of pictures and of labels, and galleries of two embedders."""
    path = tmp_path_factory.mktemp("train")
    pictures = [
        Trial(label=Path(file).parent.name[6:], picture=file, onset=float(i)) for i, file in enumerate(FILES * 4)
    ]
    write(path / "pictures", pictures)
    for i in (1, 2):
        write(path / f"person-{i}", pictures, subject=f"sub-{i:02d}")
    write(path / "labels", [Trial(label=("left", "right")[i % 2], onset=float(i)) for i in range(60)])
    make_gallery("random:4").save(path / "gallery")
    make_gallery("random:4", 6).save(path / "search")
    make_gallery("other:4").save(path / "foreign")
    return path


def test_pictures_make_a_decoder_that_loads(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("epochs = 50\nseed = 7\n[options]\nn_filters = 4\nn_hidden = 8\n")
    done = train_apart(
        folder / "pictures", tmp_path / "d", "--gallery", folder / "gallery", "--test-gallery", folder / "search",
        "--config", tmp_path / "settings.toml", "--epochs", 2, "--val-concepts", 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    decoder = Decoder.load(tmp_path / "d")
    assert decoder.encoder_config == {
        "name": "multiblur", "n_chans": 3, "n_times": 16, "n_outputs": 4, "n_filters": 4, "n_hidden": 8,
    }  # fmt: skip
    assert decoder.space == "random:4"
    assert decoder.gallery is not None
    assert decoder.gallery.files == FILES[:6]
    assert decoder.preprocessor.to_config() == PREPROCESSOR.to_config()
    assert decoder.training["settings"]["epochs"] == 2  # the option wins over the file
    assert decoder.training["settings"]["seed"] == 7
    assert len(decoder.training["val_concepts"]) == 3
    assert len(decoder.training["history"]) == 2
    last = load_file(tmp_path / "d" / "last.safetensors")
    decoder.encoder.load_state_dict(last)
    assert decoder.embed(np.zeros((2, 3, 16), np.float32)).shape == (2, 4)
    for words in ("validation, best (pass ", "validation, last: ", "of 3; chance 33.3%"):
        assert words in done.stderr


def test_several_people_train_one_encoder_and_curves_stay_beside_it(train: Any, folder: Path, tmp_path: Path) -> None:
    done = train(
        folder / "person-1", folder / "person-2", tmp_path / "d", "--gallery", folder / "gallery", "--epochs", 2,
        "--val-concepts", 3, "--micro-batch", 8,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    decoder = Decoder.load(tmp_path / "d")
    assert tuple(decoder.subjects) == ("sub-01", "sub-02")
    assert decoder.encoder_config["n_subjects"] == 2
    assert decoder.training["settings"]["micro_batch"] == 8
    assert list((tmp_path / "d.training" / "logs").glob("events.out.tfevents.*"))
    assert [path.name for path in (tmp_path / "d.training").iterdir()] == ["logs"]
    alike = train(folder / "person-1", folder / "person-1", tmp_path / "e", "--gallery", folder / "gallery")
    assert alike.returncode == 2
    assert "another person in each" in alike.stderr


def test_labels_need_no_gallery(train: Any, folder: Path, tmp_path: Path) -> None:
    done = train(folder / "labels", tmp_path / "d", "--epochs", 1, "--shuffle-labels")
    assert done.returncode == 0, done.stderr
    decoder = Decoder.load(tmp_path / "d")
    assert decoder.classes == ("left", "right")
    assert decoder.training["settings"]["shuffle_labels"]
    assert "AUC" in done.stderr
    last = load_file(tmp_path / "d" / "last.safetensors")
    for name, tensor in decoder.encoder.state_dict().items():  # the only pass is the best and the last
        torch.testing.assert_close(last[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pictures"], ["no gallery of them is given", "necomimi embed"]),
        (["pictures", "--gallery", "gallery", "--test-gallery", "foreign"], ["other:4", "random:4"]),
        (["pictures", "--gallery", "gallery", "--val-concepts", "7"], ["7 validation concepts of 8", "--val-concepts"]),
        (["labels", "--config", "settings.toml"], ["epoch", "unknown key", "epochs is the nearest"]),
        (["gallery"], ["necomimi-gallery"]),
        (["pictures", "--gallery", "gallery", "--adapter"], ["no blur levels", "--levels"]),
    ],
)
def test_mistakes_are_answered_in_words(
    train: Any, folder: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    (folder / "settings.toml").write_text("epoch = 3\n")
    paths = [folder / argument if argument[0].isalpha() else argument for argument in arguments]
    done = train(paths[0], tmp_path / "d", *paths[1:])
    assert done.returncode == 2, done.stderr
    assert done.stderr.lstrip().startswith("necomimi: ") or "\nnecomimi: " in done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "d").exists()


def test_directory_of_something_else_is_refused_before_the_training(train: Any, folder: Path) -> None:
    done = train(folder / "person-1", folder / "person-2", "--gallery", folder / "gallery")  # the decoder is forgotten
    assert done.returncode == 2
    assert "necomimi-epochs" in done.stderr
    assert not (folder / "person-2.training").exists()
