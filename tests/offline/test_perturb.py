"""One run disturbs everybody's channels, pairs people with their decoders, and writes what it found."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from necomimi.offline.engine import TrainSettings, train_encoder
from necomimi.offline.perturb import command, find_cases, perturb
from necomimi.offline.perturbation import choose_channels
from necomimi.offline.train import galleries_for
from necomimi.preprocessing import Preprocessor

CH_NAMES = ("Fz", "F3", "Cz", "O1", "Oz", "O2")
N_TIMES, N_DIMS, BACK = 10, 6, [3, 4, 5]
PEOPLE = ("sub-01", "sub-02", "sub-03")
SETTINGS = TrainSettings(
    options={"n_filters": 8, "n_hidden": 16, "dropout": [0.0, 0.0]},
    epochs=30, batch_size=50, lr=1e-2, noise=0, smoothing=0, val_concepts=20, device="cpu", precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with epochs and decoders of three people, who see with the back of the head alone."""
    path, rng = tmp_path_factory.mktemp("perturb"), np.random.default_rng(0)
    galleries = {}
    for split, n in (("train", 120), ("test", 24)):
        vectors = rng.normal(size=(n, N_DIMS))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        labels = tuple(f"{split}{i}" for i in range(n))
        files = tuple(f"{name}/{name}.jpg" for name in labels)
        galleries[split] = Gallery(
            labels=labels, files=files, embeddings=vectors.astype(np.float32), space="random:6"
        )  # fmt: skip
    galleries["test"].save(path / "gallery")
    for number, name in enumerate(PEOPLE):
        mixing = rng.normal(size=(N_DIMS, len(BACK), N_TIMES))
        preprocessor = Preprocessor(
            ch_names=CH_NAMES, sfreq=100.0, tmin=0.0, tmax=0.09, baseline=None, start=0.0, n_times=N_TIMES,
            spatial=(1 + number) * np.eye(len(CH_NAMES), dtype=np.float32),
        )  # fmt: skip
        with EpochsWriter(path / "epochs" / name) as writer:
            for split, gallery in galleries.items():
                items = np.tile(np.arange(len(gallery)), 3)
                trials = [
                    Trial(label=gallery.labels[item], picture=gallery.files[item], repetition=1 + i // len(gallery))
                    for i, item in enumerate(items)
                ]
                data = 0.3 * rng.normal(size=(len(items), len(CH_NAMES), N_TIMES))
                data[:, BACK] += np.einsum("nd,dct->nct", gallery.embeddings[items], mixing)
                writer.create(split, trials, len(CH_NAMES), N_TIMES)[:] = data
            writer.finish(preprocessor, "a test", subject=name)
        epochs = Epochs.load(path / "epochs" / name)
        trained = train_encoder(epochs, galleries["train"], SETTINGS, search=galleries["test"])
        trained.decoder.save(path / "decoders" / name)
    return path


def test_one_run_does_everybody(here: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "perturb", folder / "decoders", folder / "epochs", "--device", "cpu"
    done = here(*words, "--seeds", 2, "--json", "--csv", "p.csv", "--report", "p.html", "--features", "f")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {
        "split", "channels", "name", "repetitions", "seeds", "gallery", "transductive_epochs", "people", "rows", "means"
    }  # fmt: skip
    assert (result["name"], result["channels"]) == ("visual cortex", ["O1", "Oz", "O2"])
    assert (result["repetitions"], result["seeds"], result["gallery"]) == ("all", 2, "exact picture")
    assert [person["subject"] for person in result["people"]] == list(PEOPLE)
    assert all(person["decoder"].endswith(person["subject"]) for person in result["people"])
    rows = {(row["subject"], row["kind"], row["name"]): row for row in result["rows"]}
    assert len(rows) == 3 * (2 + 3 + 6)  # undisturbed and chosen, regions, channels
    for name in PEOPLE:
        before, after = rows[name, "before", "undisturbed"], rows[name, "chosen", "visual cortex"]
        assert before["top1"] > 0.7
        assert after["top1"] < 0.25
        assert before["loss_two_way"] == 0
        assert after["loss_two_way_p"] < 0.01
        assert max(abs(rows[name, "channel", front]["loss_two_way"]) for front in CH_NAMES[:3]) < 0.05
    means = {(mean["kind"], mean["name"]): mean for mean in result["means"]}
    chosen = means["chosen", "visual cortex"]
    assert chosen["n_subjects"] == 3
    assert chosen["loss_top1"] == pytest.approx(
        np.mean([rows[name, "chosen", "visual cortex"]["loss_top1"] for name in PEOPLE])
    )
    assert chosen["loss_top1_interval"][0] > 0
    assert 0 < chosen["loss_top1_p"] < 0.05
    with (tmp_path / "p.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * 11
    assert [line["subject"] for line in lines[::11]] == [*PEOPLE, "mean"]
    assert lines[1]["channels"] == "O1 Oz O2"
    assert float(lines[34]["loss_top1"]) == chosen["loss_top1"]
    page = (tmp_path / "p.html").read_text()
    assert page.count("<svg") == 4  # people, regions, two topographies
    for words in ("standard deviation over the test epochs", "visual cortex", "occipital", "paired t test", "sub-03"):
        assert words in page
    assert "TRANSDUCTIVE" not in page
    features = tmp_path / "f" / "sub-02"
    assert sorted(file.name for file in features.glob("*.safetensors")) == [
        "disturbed-0.safetensors", "disturbed-1.safetensors", "undisturbed.safetensors"
    ]  # fmt: skip
    vectors = [load_file(features / f"{name}.safetensors")["embeddings"] for name in ("undisturbed", "disturbed-1")]
    assert [found.shape for found in vectors] == [(24, N_DIMS)] * 2
    with safe_open(features / "disturbed-1.safetensors", framework="numpy") as file:
        facts = file.metadata()
    assert (facts["disturbed"], facts["seed"]) == ("O1,Oz,O2", "1")
    assert (facts["subject"], facts["split"]) == ("sub-02", "test")
    assert len((features / "disturbed-1.tsv").read_text().splitlines()) == 25


def test_tables_are_for_people(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoders, epochs, report = folder / "decoders", folder / "epochs", tmp_path / "p.html"
    command(decoders, epochs, channels="Fz", seeds=1, device="cpu")
    printed = capsys.readouterr().out
    assert "Fz (1 channel) replaced by noise; test epochs, all averaged" in " ".join(printed.split())
    assert [line.split()[1] for line in printed.splitlines() if "│ sub-" in line] == list(PEOPLE)
    for words in ("mean", "chance", "paired t test", "occipital", "not corrected"):
        assert words in printed
    command(decoders, epochs, channels="Fz", seeds=1, each=False, device="cpu", report=report)
    assert "occipital" not in capsys.readouterr().out
    assert report.read_text().count("<svg") == 1


def test_noise_is_put_in_after_averaging(folder: Path) -> None:
    cases = find_cases(folder / "decoders" / "sub-01", folder / "epochs" / "sub-01", None, "test", "cpu")
    embedded: list[np.ndarray] = []
    embed = cases[0].decoder.embed
    cases[0].decoder.embed = lambda data: (embedded.append(data.copy()), embed(data))[1]  # type: ignore[method-assign]
    result = perturb(cases, choose_channels(CH_NAMES, "O1"), repetitions=None, n_seeds=1, each=False)
    averaged = cases[0].part.averaged()
    before, after = embedded
    assert before.shape == (24, 6, 10)
    np.testing.assert_allclose(before[:, 3].std(), averaged.data[:, 3].std(), rtol=1e-5)
    np.testing.assert_array_equal(np.delete(before, 3, axis=1), np.delete(after, 3, axis=1))
    assert np.abs(after[:, 3] - before[:, 3]).mean() > 0.1
    assert after[:, 3].std() == pytest.approx(before[:, 3].std(), rel=0.2)  # of 240 draws
    assert result["means"] == []
    assert result["rows"][1]["n_queries"] == 24
    single = perturb(cases, choose_channels(CH_NAMES, "O1"), repetitions=1, n_seeds=1, each=False)
    assert [row["n_queries"] for row in single["rows"]] == [72, 72]


def test_people_and_decoders_that_do_not_belong_together_are_named(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    decoders, epochs = folder / "decoders", folder / "epochs"
    with pytest.raises(ConfigError, match="preprocessed in another way"):
        find_cases(decoders / "sub-01", epochs, None, "test", "cpu")
    with caplog.at_level(logging.WARNING):
        (case,) = find_cases(decoders, epochs / "sub-02", None, "test", "cpu")
    assert case.path == decoders / "sub-02"
    assert "no epochs for the decoders sub-01, sub-03: left out" in caplog.text
    some = tmp_path / "some"
    some.mkdir()
    (some / "sub-01").symlink_to(decoders / "sub-01")
    with pytest.raises(DatasetError, match=r"has no decoder for sub-02, sub-03; it holds sub-01\n"):
        find_cases(some, epochs, None, "test", "cpu")
    with pytest.raises(ConfigError, match="--split 'all'"):
        find_cases(decoders, epochs, None, "all", "cpu")
    two, gallery = tmp_path / "two", Gallery.load(folder / "gallery")
    model = Decoder.load(decoders / "sub-02")
    half = {"labels": gallery.labels[:12], "files": gallery.files[:12], "embeddings": gallery.embeddings[:12]}
    model.use_gallery(Gallery(**half, space=gallery.space))
    model.save(two / "sub-02")
    for name in ("sub-01", "sub-03"):
        (two / name).symlink_to(decoders / name)
    with pytest.raises(ConfigError, match=r"sub-01 and sub-02 have other galleries\n(.*\n)*.*--gallery DIR"):
        find_cases(two, epochs, None, "test", "cpu")
    assert len(find_cases(two, epochs, folder / "gallery", "test", "cpu")) == 3


def test_a_decoder_of_several_people_serves_all_and_says_whom_it_has_not_seen(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    single = Decoder.load(folder / "decoders" / "sub-01")
    spatial = {name: Epochs.load(folder / "epochs" / name).preprocessor.spatial for name in PEOPLE[:2]}
    torch.manual_seed(0)
    config = {**single.encoder_config, "n_subjects": 2}
    pooled = replace(single, encoder_config=config, encoder=build(**config), subjects=spatial)
    pooled.save(tmp_path / "pooled")
    with caplog.at_level(logging.WARNING):
        command(
            tmp_path / "pooled", folder / "epochs", region="occipital", seeds=1, each=False, device="cpu", as_json=True,
            csv=None, report=tmp_path / "p.html",
        )  # fmt: skip
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [person["subject_known"] for person in result["people"]] == [True, True, False]
    assert result["name"] == "occipital"
    assert "sub-03: the decoder has not seen sub-03" in caplog.text
    assert "was not trained on sub-03" in (tmp_path / "p.html").read_text()


def test_mistakes_are_told_in_words(folder: Path, tmp_path: Path) -> None:
    decoders, epochs = folder / "decoders", folder / "epochs"
    for options, words in (
        ({"repetitions": "1,2"}, "one number, or all"),
        ({"repetitions": "9"}, "--repetitions 9"),
        ({"channels": "XX"}, "no XX among the channels"),
        ({"report": tmp_path / "none" / "p.html"}, "there is no folder"),
    ):
        with pytest.raises(ConfigError, match=words):
            command(decoders, epochs, device="cpu", **options)
    with pytest.raises(DatasetError, match="not in the gallery"):
        command(decoders, epochs, split="train", device="cpu")


def test_labels_are_judged_trial_by_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(len(BACK), N_TIMES))
    preprocessor = Preprocessor(
        ch_names=CH_NAMES, sfreq=100.0, tmin=0.0, tmax=0.09, baseline=None, start=0.0, n_times=N_TIMES,
        spatial=np.eye(len(CH_NAMES), dtype=np.float32),
    )  # fmt: skip
    with EpochsWriter(tmp_path / "epochs") as writer:
        for split in ("train", "test"):
            trials = [Trial(label=("left", "right")[i % 2], onset=float(i)) for i in range(80)]
            data = writer.create(split, trials, len(CH_NAMES), N_TIMES)
            data[:] = rng.normal(size=data.shape)
            data[::2, BACK] += pattern
        writer.finish(preprocessor, "a test")
    epochs = Epochs.load(tmp_path / "epochs")
    settings = SETTINGS.model_copy(update={"val_concepts": None, "epochs": 20, "batch_size": 24})
    train_encoder(epochs, galleries_for(epochs, None, None)[0], settings).decoder.save(tmp_path / "decoder")
    command(tmp_path / "decoder", tmp_path / "epochs", seeds=2, device="cpu", csv=tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        before, after = list(csv.DictReader(file))[:2]
    assert (before["n_queries"], before["n_classes"], before["chance_top1"]) == ("80", "2", "0.5")
    assert before["top1"] == before["two_way"]
    assert float(before["top1"]) > 0.9
    assert float(after["top1"]) < 0.75
    assert (before["units"], after["units"]) == ("queries", "queries")
    printed = capsys.readouterr().out
    assert "1 averaged; gallery: labels, 2 classes" in " ".join(printed.split())
    assert "top-5" not in printed
