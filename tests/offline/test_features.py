"""Feature files hold what the decoder says, in the order of their table, and what it should have said."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.epochs import Epochs, EpochsWriter, Trial
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.offline.features import command, write_features
from necomimi.preprocessing import Preprocessor

N_ITEMS, N_REPETITIONS, N_CHANNELS, N_TIMES, N_DIMS = 6, 3, 4, 16, 8
PREPROCESSOR = Preprocessor(
    ch_names=tuple(f"E{i}" for i in range(N_CHANNELS)), sfreq=100.0, tmin=0.0, tmax=0.15, baseline=None, start=0.0,
    n_times=N_TIMES, spatial=np.eye(N_CHANNELS, dtype=np.float32),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with decoder, epochs and gallery; the gallery's order is not that of the epochs."""
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(N_ITEMS)]
    trials = [Trial(label=name, picture=f"{name}/{name}.jpg", repetition=r) for r in range(3) for name in names]
    with EpochsWriter(tmp_path / "e") as writer:
        for split, prefix in (("train", "t"), ("test", "")):
            rows = [replace(trial, label=prefix + trial.label, picture=prefix + trial.picture) for trial in trials]
            data = rng.normal(size=(len(rows), N_CHANNELS, N_TIMES))
            writer.create(split, rows, N_CHANNELS, N_TIMES)[:] = data
        writer.finish(PREPROCESSOR, "a test", subject="sub-07")
    vectors = rng.normal(size=(N_ITEMS, N_DIMS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names.reverse()
    gallery = Gallery(
        labels=tuple(names), files=tuple(f"{name}/{name}.jpg" for name in names), embeddings=vectors, space="random:8"
    )
    gallery.save(tmp_path / "g")
    torch.manual_seed(0)
    config = {"name": "multiblur", "n_chans": N_CHANNELS, "n_times": N_TIMES, "n_outputs": N_DIMS, "n_hidden": 8}
    Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=PREPROCESSOR, space="random:8", logit_scale=20.0,
        gallery=gallery,
    ).save(tmp_path / "d")  # fmt: skip
    return tmp_path


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_single_presentations_come_in_the_order_of_the_epochs(folder: Path) -> None:
    command(folder / "d", folder / "e", folder / "out" / "f.safetensors", device="cpu")
    epochs = Epochs.load(folder / "e")
    assert epochs.test is not None
    arrays = load_file(folder / "out" / "f.safetensors")
    assert set(arrays) == {"embeddings"}
    np.testing.assert_allclose(arrays["embeddings"], Decoder.load(folder / "d").embed(epochs.test.data), atol=1e-6)
    rows = read_table(folder / "out" / "f.tsv")
    assert [row["label"] for row in rows] == list(epochs.test.labels)
    assert [row["epochs"] for row in rows] == [str(i) for i in range(18)]
    with safe_open(folder / "out" / "f.safetensors", framework="numpy") as file:
        facts = file.metadata()
    assert (facts["space"], facts["split"], facts["subject"]) == ("random:8", "test", "sub-07")
    assert facts["transductive"] == "false"


def test_averages_name_the_epochs_behind_them_and_find_their_candidates(folder: Path) -> None:
    write_features(
        folder / "d", folder / "e", folder / "f.safetensors", repetitions=None, gallery=folder / "g", device="cpu"
    )
    arrays, rows = load_file(folder / "f.safetensors"), read_table(folder / "f.tsv")
    epochs, model = Epochs.load(folder / "e"), Decoder.load(folder / "d")
    assert epochs.test is not None
    assert len(rows) == N_ITEMS
    behind = [[int(number) for number in row["epochs"].split(",")] for row in rows]
    assert sorted(np.concatenate(behind).tolist()) == list(range(18))
    for vector, row, numbers in zip(arrays["embeddings"], rows, behind, strict=True):
        assert {epochs.test.labels[i] for i in numbers} == {row["label"]}
        assert row["picture"] == f"{row['label']}/{row['label']}.jpg"
        np.testing.assert_allclose(vector, model.embed(epochs.test.data[numbers].mean(axis=0)[None])[0], atol=1e-5)
    candidates = read_table(folder / "f.candidates.tsv")
    assert [candidates[i]["label"] for i in arrays["targets"]] == [row["label"] for row in rows]
    np.testing.assert_array_equal(arrays["candidates"], Gallery.load(folder / "g").embeddings)


def test_npy_holds_the_embeddings_alone(folder: Path) -> None:
    n, n_dims, words = write_features(folder / "d", folder / "e", folder / "f.npy", split="train", device="cpu")
    found = np.load(folder / "f.npy")
    assert (found.shape, n, n_dims, words) == ((18, 8), 18, 8, "")
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert read_table(folder / "f.tsv")[0]["label"] == "tc0"


def test_what_cannot_be_written_is_refused_in_words(folder: Path) -> None:
    decoder, epochs = folder / "d", folder / "e"
    with pytest.raises(ConfigError, match=r"f\.h5"):
        command(decoder, epochs, folder / "f.h5")
    with pytest.raises(ConfigError, match=r"--gallery with a \.npy"):
        command(decoder, epochs, folder / "f.npy", gallery=folder / "g")
    with pytest.raises(ConfigError, match="one number, or all"):
        command(decoder, epochs, folder / "f.npy", repetitions="1,2")
    with pytest.raises(ConfigError, match="--repetitions 9"):
        command(decoder, epochs, folder / "f.npy", repetitions="9", device="cpu")
    with pytest.raises(ConfigError, match="--split 'all'"):
        command(decoder, epochs, folder / "f.npy", split="all", device="cpu")
    with pytest.raises(DatasetError, match="not in the gallery"):
        command(decoder, epochs, folder / "f.safetensors", split="train", gallery=folder / "g", device="cpu")
    assert not [path for path in folder.iterdir() if path.suffix]
