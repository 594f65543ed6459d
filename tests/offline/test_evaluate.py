"""Judgements are honest: order does not matter, shuffled labels give chance, misfits are refused in words."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

from necomimi.decoder import Decoder
from necomimi.encoders import Encoder, build
from necomimi.epochs import Epochs, EpochSet, EpochsWriter, Trial
from necomimi.errors import CheckpointError, ConfigError, DatasetError
from necomimi.evidence import METHODS, Averaging
from necomimi.gallery import Gallery
from necomimi.offline.evaluate import command, evaluate, parse_repetitions, parse_windows
from necomimi.offline.judgement import judge_decoder, judge_scores, judge_windows
from necomimi.offline.score_files import load_scores
from necomimi.offline.transductive import METHODS as TRANSDUCTIVE
from necomimi.preprocessing import Preprocessor

N_ITEMS, N_DIMS, N_TIMES, N_REPETITIONS = 40, 12, 10, 8
PREPROCESSOR = Preprocessor(
    ch_names=tuple(f"E{i}" for i in range(N_DIMS)), sfreq=100.0, tmin=0.0, tmax=0.09, baseline=None, start=0.0,
    n_times=N_TIMES, spatial=np.eye(N_DIMS, dtype=np.float32),
)  # fmt: skip
CONFIDENCE = {"confidence", "ece", "ece_if_calibrated"}
FIGURES = {
    "n_queries", "n_classes", "top1", "top1_interval", "chance_top1", "top5", "top5_interval", "chance_top5",
    "interval", "k_way",
}  # fmt: skip


class MeanOverTime(Encoder):
    """The right answer for epochs whose channels hold the embedding: no training stands between test and judge."""

    def __init__(self) -> None:
        super().__init__(N_DIMS, N_TIMES, N_DIMS)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=2)


def make_gallery(n_labels: int = N_ITEMS, space: str = "random:12") -> Gallery:
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, N_DIMS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = [f"c{i % n_labels}" for i in range(N_ITEMS)]
    files = [f"{label}/{i:02d}.jpg" for i, label in enumerate(labels)]
    return Gallery(labels=tuple(labels), files=tuple(files), embeddings=vectors, space=space)


def make_trials(gallery: Gallery) -> list[Trial]:
    return [
        Trial(label=gallery.labels[i], picture=gallery.files[i], repetition=r + 1, onset=float(r * N_ITEMS + i))
        for r in range(N_REPETITIONS)
        for i in range(N_ITEMS)
    ]


def make_data(gallery: Gallery, noise: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    data = np.tile(gallery.embeddings, (N_REPETITIONS, 1))[:, :, None] + noise * rng.normal(
        size=(N_REPETITIONS * N_ITEMS, N_DIMS, N_TIMES)
    )
    return data.astype(np.float32)


def make_part(gallery: Gallery, noise: float = 1.5) -> EpochSet:
    trials = make_trials(gallery)
    return EpochSet(
        data=make_data(gallery, noise),
        labels=tuple(trial.label for trial in trials),
        pictures=tuple(trial.picture for trial in trials),
        sessions=np.ones(len(trials), dtype=np.int64),
        repetitions=np.array([trial.repetition for trial in trials]),
        onsets=np.array([trial.onset for trial in trials]),
    )


def make_decoder(gallery: Gallery) -> Decoder:
    return Decoder(
        encoder_config={"name": "mean", "n_chans": N_DIMS, "n_times": N_TIMES, "n_outputs": N_DIMS},
        encoder=MeanOverTime(), preprocessor=PREPROCESSOR, space=gallery.space, logit_scale=20.0, gallery=gallery,
    )  # fmt: skip


def reordered(part: EpochSet, rows: np.ndarray) -> EpochSet:
    return replace(
        part, data=part.data[rows], labels=tuple(part.labels[i] for i in rows),
        pictures=tuple(part.pictures[i] for i in rows), sessions=part.sessions[rows],
        repetitions=part.repetitions[rows], onsets=part.onsets[rows],
    )  # fmt: skip


def test_averaging_more_repetitions_judges_fewer_and_better_queries() -> None:
    gallery = make_gallery()
    result = judge_decoder(make_decoder(gallery), make_part(gallery))
    rows = result["rows"]
    assert [row["repetitions"] for row in rows] == [1, 2, 4]
    assert [row["n_queries"] for row in rows] == [320, 160, 80]
    assert rows[0]["top1"] + 0.1 < rows[1]["top1"] < rows[2]["top1"]
    assert [row["interval"] for row in rows] == ["bootstrap over concepts"] * 3
    whole = judge_decoder(make_decoder(gallery), make_part(gallery), [None])["rows"][0]
    assert (whole["repetitions"], whole["n_queries"], whole["interval"]) == ("all", 40, "Wilson")
    assert whole["top1"] > rows[2]["top1"]
    assert result["gallery"] == {
        "kind": "exact picture", "n_items": 40, "n_classes": 40, "file_hash": gallery.file_hash,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"--repetitions 9[\s\S]*at most 8"):
        judge_decoder(make_decoder(gallery), make_part(gallery), [9])


@pytest.mark.parametrize("n_labels", [40, 10])
def test_permuting_the_queries_permutes_the_answers(n_labels: int) -> None:
    gallery = make_gallery(n_labels)
    decoder, part = make_decoder(gallery), make_part(gallery)
    rows = np.random.default_rng(2).permutation(len(part))
    scores = gallery.class_scores(decoder.embed(part.data), decoder.logit_scale)
    again = gallery.class_scores(decoder.embed(part.data[rows]), decoder.logit_scale)
    np.testing.assert_allclose(again, scores[rows], rtol=1e-5, atol=1e-5)
    first, second = (judge_decoder(decoder, each, [1])["rows"][0] for each in (part, reordered(part, rows)))
    assert second["top1"] == pytest.approx(first["top1"], abs=1e-9)
    assert second["k_way"] == pytest.approx(first["k_way"], abs=1e-9)


def test_shuffled_labels_give_chance() -> None:
    gallery = make_gallery()
    part = make_part(gallery, noise=0.1)
    assert judge_decoder(make_decoder(gallery), part, [1])["rows"][0]["top1"] == 1.0
    rows = np.random.default_rng(2).permutation(len(part))
    row = judge_decoder(make_decoder(gallery), replace(reordered(part, rows), data=part.data), [1])["rows"][0]
    assert row["top1"] == pytest.approx(row["chance_top1"], abs=0.035)
    assert row["top5"] == pytest.approx(row["chance_top5"], abs=0.07)
    assert row["k_way"]["2"] == pytest.approx(0.5, abs=0.06)


def test_scores_rank_classes_as_retrieval_does() -> None:
    gallery = make_gallery(n_labels=10)
    vectors = make_decoder(gallery).embed(make_part(gallery).data)
    scores = gallery.class_scores(vectors, 20.0)
    labels, probabilities = gallery.retrieve(vectors, 10, 20.0)
    order = np.argsort(-scores, axis=1)
    assert [tuple(gallery.classes[i] for i in row) for row in order] == labels
    ours = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.take_along_axis(ours, order, axis=1), probabilities, rtol=1e-3, atol=1e-6)


def test_what_is_searched_is_named() -> None:
    gallery = make_gallery(n_labels=10)
    part = make_part(gallery)
    others = gallery.select(range(20, 40))  # other pictures of the same ten concepts
    assert judge_decoder(make_decoder(others), part, [1])["gallery"]["kind"] == "other pictures of the concept"
    labels = Gallery.from_labels([f"c{i}" for i in range(N_DIMS)])
    plain = replace(reordered(part, np.arange(10)), pictures=("",) * 10)
    found = judge_decoder(make_decoder(labels), plain)
    assert found["gallery"]["kind"] == "labels"
    assert [row["repetitions"] for row in found["rows"]] == [1]
    with pytest.raises(DatasetError, match="not in the gallery"):
        judge_decoder(make_decoder(gallery.select(range(5))), part)


def write_epochs(path: Path, gallery: Gallery, preprocessor: Preprocessor = PREPROCESSOR, test: bool = True) -> Path:
    trials, data = make_trials(gallery), make_data(gallery, 0.5)
    strangers = [replace(trial, label=f"other {trial.label}", picture="") for trial in trials]
    with EpochsWriter(path) as writer:
        writer.create("train", strangers, N_DIMS, N_TIMES)[:] = data
        if test:
            writer.create("test", trials, N_DIMS, N_TIMES)[:] = data
        writer.finish(preprocessor, "a test")
    return path


def save_decoder(path: Path, gallery: Gallery) -> Path:
    torch.manual_seed(0)
    config = {"name": "multiblur", "n_chans": N_DIMS, "n_times": N_TIMES, "n_outputs": N_DIMS, "n_hidden": 8}
    Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=PREPROCESSOR, space=gallery.space,
        logit_scale=20.0, gallery=gallery,
    ).save(path)  # fmt: skip
    return path


def test_a_decoder_directory_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = make_gallery()
    decoder, epochs = save_decoder(tmp_path / "d", gallery), write_epochs(tmp_path / "e", gallery)
    command(decoder, epochs, repetitions="1,all", device="cpu", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {
        "decoder", "epochs", "split", "subject", "subject_known", "transductive_epochs", "gallery", "space", "rows",
        "guards",
    }  # fmt: skip
    assert [guard["passed"] for guard in found["guards"]] == [True] * 6
    assert (found["split"], found["space"]) == ("test", "random:12")
    assert [row["repetitions"] for row in found["rows"]] == [1, "all"]
    for row in found["rows"]:
        assert set(row) == FIGURES | CONFIDENCE | {"repetitions"}
        assert list(row["k_way"]) == ["2", "4", "10"]
        assert row["top1_interval"][0] <= row["top1"] <= row["top1_interval"][1]
    model = Decoder.load(decoder)
    expected = judge_decoder(model, Epochs.load(epochs).test, [1, None])  # type: ignore[arg-type]
    assert found["rows"] == json.loads(json.dumps(expected["rows"]))


@pytest.mark.parametrize("method", METHODS)
def test_evidence_is_what_retrieve_averaged_answers(method: str) -> None:
    gallery = make_gallery()
    decoder, part = make_decoder(gallery), make_part(gallery, noise=3.0)
    decoder.averaging = Averaging(method, 0.6, True)  # type: ignore[arg-type]
    single, *_, whole = judge_decoder(decoder, part, [1, 4, None], evidence=True, sure=0.5)["rows"]
    plain = judge_decoder(decoder, part, [1], sure=0.5)["rows"][0]
    for key in ("n_queries", "top1", "top5", "confidence", "ece", "ece_if_calibrated", "sure", "right_when_sure"):
        assert single[key] == pytest.approx(plain[key], abs=1e-6)
    vectors = decoder.embed(part.data).reshape(N_REPETITIONS, N_ITEMS, N_DIMS)  # all repetitions: one group an item
    answers = [decoder.retrieve_averaged(vectors[:, i], 5) for i in range(N_ITEMS)]
    right = np.array([labels[0] == gallery.labels[i] for i, (labels, _) in enumerate(answers)])
    confidence = np.array([scores[0] for _, scores in answers])
    assert (whole["repetitions"], whole["n_queries"]) == ("all", N_ITEMS)
    assert whole["top1"] == pytest.approx(right.mean())
    assert whole["confidence"] == pytest.approx(confidence.mean(), rel=1e-5)
    assert whole["sure"] == pytest.approx((confidence >= 0.5).mean())
    assert whole["right_when_sure"] == pytest.approx(right[confidence >= 0.5].mean())
    assert whole["top1"] > single["top1"]


def test_names_with_other_counts_are_added_up_too() -> None:
    gallery = make_gallery()
    part = reordered(make_part(gallery), np.r_[0:100, 120:200])  # two to five repetitions
    whole = judge_decoder(make_decoder(gallery), part, [None], evidence=True)["rows"][0]
    assert (whole["n_queries"], whole["repetitions"]) == (N_ITEMS, "all")


def test_windows_are_judged_from_what_had_arrived() -> None:
    gallery = make_gallery()
    decoder, part = make_decoder(gallery), make_part(gallery)
    early, late, whole = judge_windows(decoder, part, [0.02, 0.05, 0.2], sure=0.9)
    assert [row["until"] for row in (early, late, whole)] == [0.02, 0.05, 0.2]
    assert early["top1"] < late["top1"] < whole["top1"]
    full = judge_decoder(decoder, part, [1], sure=0.9)["rows"][0]
    assert {**whole, "until": 1} == {**{key: full[key] for key in full if key != "repetitions"}, "until": 1}
    cut = part.data.copy()
    cut[..., 2:] = 0.0
    same = judge_decoder(decoder, replace(part, data=cut), [1], sure=0.9)["rows"][0]
    assert early["top1"] == same["top1"]
    decoder.early_scales = ((0.02, 2.0),)
    flatter = judge_windows(decoder, part, [0.02])[0]
    assert flatter["top1"] == early["top1"]
    assert flatter["confidence"] < early["confidence"]
    with pytest.raises(ConfigError, match=r"ends 5 ms[\s\S]*after 0 ms"):
        judge_windows(decoder, part, [0.005])


def test_the_command_shows_windows_and_what_is_sure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    gallery = make_gallery()
    decoder, epochs = save_decoder(tmp_path / "d", gallery), write_epochs(tmp_path / "e", gallery)
    options: dict[str, Any] = {"repetitions": "1,2", "device": "cpu", "evidence": True, "windows": "50,30", "sure": 0.5}
    command(decoder, epochs, **options, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [row["until"] for row in found["windows"]] == [0.03, 0.05]
    for row in (*found["rows"], *found["windows"]):
        assert {"sure", "right_when_sure", "ece"} < set(row)
    for words in ("not calibrated", "whole epochs only"):
        assert words in caplog.text
    command(decoder, epochs, **options)
    printed = capsys.readouterr().out
    for words in ("ECE", "right when", "30 ms", "50 ms", "that had arrived"):
        assert words in printed


def test_misfits_are_refused_in_words(tmp_path: Path) -> None:
    gallery = make_gallery()
    decoder, epochs = save_decoder(tmp_path / "d", gallery), write_epochs(tmp_path / "e", gallery)
    make_gallery(space="other:12").save(tmp_path / "g")
    rows: list[int | None] = [1]
    with pytest.raises(ConfigError, match="'validation'"):
        evaluate(decoder, epochs, None, "validation", rows, "cpu")
    with pytest.raises(CheckpointError, match="other:12"):
        evaluate(decoder, epochs, tmp_path / "g", "test", rows, "cpu")
    with pytest.raises(ConfigError, match="no test epochs"):
        evaluate(decoder, write_epochs(tmp_path / "no", gallery, test=False), None, "test", rows, "cpu")
    for i, changed in enumerate([{"tmax": 0.1}, {"spatial": 2 * PREPROCESSOR.spatial}]):
        other = write_epochs(tmp_path / f"o{i}", gallery, replace(PREPROCESSOR, **changed))
        with pytest.raises(ConfigError, match="preprocessed in another way"):
            evaluate(decoder, other, None, "test", rows, "cpu")


def write_leaky_epochs(path: Path, gallery: Gallery) -> Path:
    """Write epochs of which three test concepts are training concepts."""
    trials, data = make_trials(gallery), make_data(gallery, 0.5)
    with EpochsWriter(path) as writer:
        writer.create("train", trials[:3], N_DIMS, N_TIMES)[:] = data[:3]
        writer.create("test", trials, N_DIMS, N_TIMES)[:] = data
        writer.finish(PREPROCESSOR, "a test")
    return path


def test_a_failed_check_is_named_and_the_exit_status_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = make_gallery()
    decoder = save_decoder(tmp_path / "d", gallery)
    command(decoder, write_epochs(tmp_path / "clean", gallery), repetitions="1", device="cpu", as_json=True)
    found = capsys.readouterr()
    assert "6 checks passed" in found.err
    leaky = write_leaky_epochs(tmp_path / "e", gallery)
    with pytest.raises(typer.Exit) as left:
        command(decoder, leaky, repetitions="1", device="cpu", as_json=True)
    assert left.value.exit_code == 1
    found = capsys.readouterr()
    failed = [guard for guard in json.loads(found.out)["guards"] if guard["passed"] is False]
    assert [guard["name"] for guard in failed] == ["training, validation and test concepts are disjoint"]
    assert "CHECK FAILED" in found.err
    assert "3 of 40 test concepts are training concepts" in " ".join(found.err.split())
    command(decoder, leaky, split="train", repetitions="1", device="cpu", as_json=True)  # no test concept is judged


def test_transductive_answers_stand_in_a_table_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = make_gallery()
    decoder, epochs = save_decoder(tmp_path / "d", gallery), write_epochs(tmp_path / "e", gallery)
    plain = evaluate(decoder, epochs, None, "test", [1, 4], "cpu")
    found = evaluate(decoder, epochs, None, "test", [1, 4], "cpu", transductive=True)
    rows = found.pop("transductive")
    assert found == plain
    assert [(row["repetitions"], row["method"]) for row in rows] == [
        (n, method) for n in (1, 4) for method in TRANSDUCTIVE
    ]
    assert [row["n_queries"] for row in rows] == [320] * 3 + [80] * 3
    command(decoder, epochs, repetitions="1", device="cpu", transductive=True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "each answer depends on the other queries" in printed
    assert printed.index("not to be compared") > printed.index("50.0%")  # after the inductive tables
    with pytest.raises(ConfigError, match="--transductive with --evidence"):
        evaluate(decoder, epochs, None, "test", [1], "cpu", transductive=True, evidence=True)


def test_transductive_epochs_mark_every_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = make_gallery()
    decoder = save_decoder(tmp_path / "d", gallery)
    with EpochsWriter(tmp_path / "e") as writer:
        trials, data = make_trials(gallery), make_data(gallery, 0.5)
        strangers = [replace(trial, label="other", picture="") for trial in trials[:9]]
        writer.create("train", strangers, N_DIMS, N_TIMES)[:] = data[:9]
        writer.create("test", trials, N_DIMS, N_TIMES)[:] = data
        writer.finish(PREPROCESSOR, "a test", transductive=True)
    options: dict[str, Any] = {"repetitions": "1", "device": "cpu", "windows": "50", "transductive": True}
    command(decoder, tmp_path / "e", **options)
    printed = capsys.readouterr()
    n_tables = printed.out.count("┏")
    assert n_tables == 4
    assert printed.out.count("TRANSDUCTIVE: the test epochs were looked at") == n_tables
    assert "whitening saw training data only: the epochs are transductive" in " ".join(printed.err.split())


def test_a_person_the_decoder_has_not_seen_gets_the_mean_layer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    gallery = make_gallery()
    config = {
        "name": "multiblur", "n_chans": N_DIMS, "n_times": N_TIMES, "n_outputs": N_DIMS, "n_hidden": 8, "n_subjects": 2,
    }  # fmt: skip
    encoder = build(**config)
    for i, layer in enumerate(encoder.subject_wise_linear):  # people who differ
        layer.weight.data += 0.3 * (i + 1) * torch.randn_like(layer.weight)
    own = {name: np.eye(N_DIMS, dtype=np.float32) * scale for name, scale in (("sub-01", 1.0), ("sub-02", 2.0))}
    Decoder(
        encoder_config=config, encoder=encoder, preprocessor=PREPROCESSOR, space=gallery.space, logit_scale=20.0,
        gallery=gallery, subjects=own,
    ).save(tmp_path / "d")  # fmt: skip
    vectors = {}
    for name, spatial in {**own, "sub-03": 3 * own["sub-01"]}.items():
        trials, data = make_trials(gallery), make_data(gallery, 0.5)
        with EpochsWriter(tmp_path / name) as writer:
            strangers = [replace(trial, label=f"other {trial.label}", picture="") for trial in trials]
            for split, rows in (("train", strangers), ("test", trials)):
                writer.create(split, rows, N_DIMS, N_TIMES)[:] = data
            writer.finish(replace(PREPROCESSOR, spatial=spatial), "a test", subject=name)
        caplog.clear()
        found = evaluate(tmp_path / "d", tmp_path / name, None, "test", [1], "cpu")
        assert (found["subject"], found["subject_known"]) == (name, name != "sub-03")
        assert ("has not seen sub-03: mean of the subject layers" in caplog.text) == (name == "sub-03")
        model = Decoder.load(tmp_path / "d")
        model.use_subject(name if name in own else None)
        vectors[name] = model.embed(data)
        assert found["rows"] == json.loads(
            json.dumps(judge_decoder(model, Epochs.load(tmp_path / name).test, [1])["rows"])
        )
    assert np.abs(vectors["sub-01"] - vectors["sub-02"]).max() > 0.1
    assert np.abs(vectors["sub-01"] - vectors["sub-03"]).max() > 0.05
    with EpochsWriter(tmp_path / "other") as writer:
        writer.create("train", make_trials(gallery), N_DIMS, N_TIMES)[:] = make_data(gallery, 0.5)
        writer.create("test", make_trials(gallery), N_DIMS, N_TIMES)[:] = make_data(gallery, 0.5)
        writer.finish(replace(PREPROCESSOR, spatial=5 * PREPROCESSOR.spatial), "a test", subject="sub-02")
    with pytest.raises(ConfigError, match="preprocessed in another way"):
        evaluate(tmp_path / "d", tmp_path / "other", None, "test", [1], "cpu")


def test_categories_come_from_a_table_or_from_the_embedded_picture_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = make_gallery()
    epochs = write_epochs(tmp_path / "e", plain)
    decoder = save_decoder(tmp_path / "d", plain)
    assert "confusion" not in evaluate(decoder, epochs, None, "test", [1], "cpu")  # c0 is no concept of the set
    lines = ["uniqueID\teven\todd", *(f"c{i}\t{1 - i % 2}\t{i % 2}" for i in range(N_ITEMS))]
    (tmp_path / "t.tsv").write_text("\n".join(lines))
    found = evaluate(decoder, epochs, None, "test", [1, None], "cpu", categories=tmp_path / "t.tsv")["confusion"]
    assert (found["categories"], found["repetitions"]) == (["even", "odd"], "all")
    np.testing.assert_allclose(np.sum(found["matrix"], axis=1), 1.0)
    command(decoder, epochs, repetitions="1", device="cpu", categories=tmp_path / "t.tsv")
    assert "answered alike" in capsys.readouterr().out

    names = tuple(("accordion", "avocado", "bear", "brick")[i % 4] for i in range(N_ITEMS))
    files = tuple(f"{name}/{i}.jpg" for i, name in enumerate(names))
    emoji = Gallery(labels=names, files=files, embeddings=plain.embeddings, space=plain.space)
    decoder, epochs = save_decoder(tmp_path / "k", emoji), write_epochs(tmp_path / "ke", emoji)
    known = evaluate(decoder, epochs, None, "test", [1], "cpu")
    assert known["confusion"]["categories"] == ["food", "nature", "object", "travel"]


def test_published_figures_stand_beside_those_of_things_eeg2_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    shown = ["aircraft_carrier", *(f"b{i}" for i in range(199))]
    vectors = rng.normal(size=(200, N_DIMS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery = Gallery(
        labels=tuple(shown), files=tuple(f"{x}/x.jpg" for x in shown), embeddings=vectors, space="random:12"
    )
    decoder = save_decoder(tmp_path / "d", gallery)
    for name, first in (("things", "aardvark"), ("simulated", "abacus")):
        with EpochsWriter(tmp_path / name) as writer:
            trained = [Trial(label=label) for label in (first, *(f"a{i}" for i in range(1653)))]
            tested = [Trial(label=label, picture=f"{label}/x.jpg") for label in shown]
            for split, rows in (("train", trained), ("test", tested)):
                array = writer.create(split, rows, N_DIMS, N_TIMES)
                array[:] = rng.normal(size=array.shape)
            writer.finish(PREPROCESSOR, "a test", subject="sub-08")
    found = evaluate(decoder, tmp_path / "things", None, "test", [1], "cpu")["published"]
    assert found["protocol"] == "within subject"
    assert len(found["rows"]) == 10
    assert found["subject_rows"][0]["top1"] == 0.408
    command(decoder, tmp_path / "things", repetitions="1", device="cpu")
    assert "NeuroBridge" in capsys.readouterr().out
    assert "published" not in evaluate(decoder, tmp_path / "simulated", None, "test", [1], "cpu")


def test_the_report_holds_the_tables_and_the_checks(tmp_path: Path) -> None:
    gallery = make_gallery()
    decoder, epochs = save_decoder(tmp_path / "d", gallery), write_epochs(tmp_path / "e", gallery)
    lines = ["uniqueID\teven\todd", *(f"c{i}\t{1 - i % 2}\t{i % 2}" for i in range(N_ITEMS))]
    (tmp_path / "t.tsv").write_text("\n".join(lines))
    command(
        decoder, epochs, repetitions="1,4", windows="30,50", transductive=True, categories=tmp_path / "t.tsv",
        device="cpu", report=tmp_path / "r.html", csv=tmp_path / "f.csv", as_json=True,
    )  # fmt: skip
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("6 checks passed", "one-to-one assignment", "answered alike", "that had arrived", "<svg"):
        assert words in page
    assert "transductive,4,,CSLS,top1," in (tmp_path / "f.csv").read_text()


def test_what_validation_said_is_shown_with_the_last_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = make_gallery()
    model = Decoder.load(save_decoder(tmp_path / "d", gallery))
    best, last = {"loss": 1.0, "top1": 0.5, "top5": 0.75}, {"loss": 0.5, "top1": 0.25, "top5": 0.75}
    model.training = {"n_ways": 10, "best_epoch": 2, "best": best, "last": last, "history": [last, best, last]}
    model.save(tmp_path / "d")
    epochs = write_epochs(tmp_path / "e", gallery)
    found = evaluate(tmp_path / "d", epochs, None, "test", [1], "cpu")
    assert found["validation"] == {"n_ways": 10, "best_epoch": 2, "best": best, "last": last, "last_epoch": 3}
    command(tmp_path / "d", epochs, repetitions="1", device="cpu")
    assert "top-1 50.0% in pass 2, which was chosen, 25.0% in the last, 3" in " ".join(capsys.readouterr().out.split())


def test_figures_of_a_score_matrix() -> None:
    perfect = judge_scores(np.eye(200), np.arange(200))
    assert set(perfect) == FIGURES
    assert perfect["k_way"] == dict.fromkeys(("2", "4", "10", "50", "100", "200"), 1.0)
    nothing = judge_scores(np.zeros((200, 200)), np.arange(200))
    assert nothing["k_way"] == pytest.approx({k: 1 / int(k) for k in ("2", "4", "10", "50", "100", "200")})
    assert nothing["top5"] == pytest.approx(nothing["chance_top5"]) == 0.025
    two = judge_scores(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.25], [0.75, 0.5]]), np.array([0, 1, 1, 0]))
    assert two["auc"] == pytest.approx(0.875)  # three pairs in order, one tied
    assert two["top5"] == two["chance_top5"] == 1.0


def save(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def test_targets_stand_on_the_diagonal_or_in_a_file(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    path = save(tmp_path / "s.npy", matrix)
    scores, targets = load_scores(path, None)
    np.testing.assert_array_equal(scores, matrix)
    assert targets.tolist() == [0, 1, 2, 3]
    assert load_scores(path, save(tmp_path / "t.npy", np.array([5, 0, 0, 1])))[1].tolist() == [5, 0, 0, 1]
    tall = save(tmp_path / "tall.npy", matrix.T)
    assert load_scores(tall, save(tmp_path / "t.npy", np.zeros(6, int)))[0].shape == (6, 4)
    with pytest.raises(DatasetError, match=r"diagonal is no target[\s\S]*--targets"):
        load_scores(tall, None)


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = np.empty((1, 1), dtype=object)
    trap[0, 0] = Trap(tmp_path / "sprung")
    path = save(tmp_path / "s.npy", trap)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_scores(path, None)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_scores(save(tmp_path / "ok.npy", np.eye(2)), path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("scores", "targets", "words"),
    [
        (np.zeros(3), None, r"float64 of shape \(3,\)"),
        (np.array([["a", "b"]]), None, "<U1"),
        (np.eye(3), np.zeros(2, int), r"int64 of shape \(2,\)"),
        (np.eye(3), np.zeros(3), r"float64 of shape \(3,\)"),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, scores: Any, targets: Any, words: str) -> None:
    path = None if targets is None else save(tmp_path / "t.npy", targets)
    with pytest.raises(DatasetError, match=words):
        load_scores(save(tmp_path / "s.npy", scores), path)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", np.eye(2))
    (tmp_path / "s.txt").write_text("1 0\n0 1\n")
    (tmp_path / "empty.npy").touch()
    with pytest.raises(DatasetError, match="archive of arrays"):
        load_scores(tmp_path / "s.npz", None)
    for name in ("s.txt", "empty.npy", "absent.npy"):
        with pytest.raises(DatasetError, match="cannot be read"):
            load_scores(tmp_path / name, None)


def test_the_command_prints_one_json_object(here: Any, tmp_path: Path) -> None:
    start = [sys.executable, "-m", "necomimi", "evaluate", "--scores"]
    path = save(tmp_path / "s.npy", np.eye(12))
    done = subprocess.run([*start, str(path), "--json"], capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    (row,) = found["rows"]
    assert set(row) == FIGURES
    assert {key: found[key] for key in row} == row
    assert (found["top1"], found["top5"], found["n"], found["chance_top1"]) == (1.0, 1.0, 12, 1 / 12)
    assert found["k_way"] == {"2": 1.0, "4": 1.0, "10": 1.0}
    save(path, np.array([[{}]], dtype=object))
    done = here("evaluate", "--scores", path, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "necomimi: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_table_shows_chance_beside_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a short name: the title is wrapped to the width of the table
    command(scores=save(Path("s.npy"), np.zeros((20, 20))))
    printed = capsys.readouterr().out
    first, second = (line for line in printed.splitlines() if "chance" in line)
    assert [word for word in first.split() if "%" in word] == ["5.0%", "25.0%"]  # top-1 and top-5 of 20
    assert [word for word in second.split() if "%" in word] == ["50.0%", "25.0%", "10.0%"]  # 2, 4 and 10 ways
    assert "exact expectation" in printed


def test_a_live_log_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = {"type": "retrieval", "label": "a", "labels": ["a", "b"], "scores": [0.7, 0.3]}
    (tmp_path / "log.jsonl").write_text(f"{json.dumps(verdict)}\n" * 4)
    command(decisions=tmp_path / "log.jsonl", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["n_queries"], found["n_refusals"], found["top1"]) == (4, 0, 1.0)
    command(decisions=tmp_path / "log.jsonl")
    assert "0 refusals" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no DECODER and EPOCHS"),
        ({"decoder": Path("d")}, "no DECODER and EPOCHS"),
        ({"scores": Path("s"), "decisions": Path("l")}, "more than one thing"),
        ({"scores": Path("s"), "decoder": Path("d")}, "more than one thing"),
        ({"decoder": Path("d"), "epochs": Path("e"), "targets": Path("t")}, "--targets without --scores"),
        ({"scores": Path("s"), "evidence": True}, "--evidence"),
        ({"scores": Path("s"), "sure": 0.5}, "--sure"),
        ({"decisions": Path("l"), "windows": "200"}, "--windows"),
        ({"scores": Path("s"), "transductive": True}, "--transductive"),
        ({"decisions": Path("l"), "categories": Path("c")}, "--categories"),
        ({"scores": Path("s"), "csv": Path("absent/f.csv")}, "no folder absent"),
        ({"scores": Path("s"), "report": Path("absent/f.html")}, "no folder absent"),
    ],
)
def test_contradicting_options_are_refused(given: dict[str, Path], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        command(**given)


def test_repetitions_are_read() -> None:
    assert parse_repetitions("1, 4,all") == [1, 4, None]
    for text in ("", "0", "-1", "1,,2", "many", "²"):
        with pytest.raises(ConfigError, match="--repetitions"):
            parse_repetitions(text)


def test_windows_are_read_in_milliseconds() -> None:
    assert parse_windows("300, 200,300") == [0.2, 0.3]
    for text in ("", "0", "-100", "200,,300", "soon", "nan", "inf"):
        with pytest.raises(ConfigError, match="--windows"):
            parse_windows(text)
