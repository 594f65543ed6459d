"""Every concept is answered once, by an encoder that never saw it: what is there is found, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.epochs import Epochs, EpochsWriter, Trial
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.offline import cross_validation
from necomimi.offline.cross_validation import Whitener, cross_validate, guessing_p, split_concepts
from necomimi.offline.engine import TrainSettings, train_encoder
from necomimi.offline.verdict import judge_use
from necomimi.preprocessing import Preprocessor, ledoit_wolf, whitening_matrix

N_CONCEPTS, N_REPETITIONS, N_TIMES, N_DIMS = 41, 4, 30, 8
CH_NAMES = ("Fz", "Cz", "Pz", "Oz", "P7", "P8", "P3", "P4", "O1", "O2")
SETTINGS = TrainSettings(
    options={"n_filters": 8, "n_hidden": 16, "dropout": [0.0, 0.0]}, epochs=15, batch_size=32, lr=3e-3, noise=0,
    smoothing=0, val_concepts=6, average=False, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Epochs, Gallery, np.ndarray]:
    """Return epochs whose signal is a linear function of the picture's embedding, and their volts before whitening."""
    folder = tmp_path_factory.mktemp("recorded")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_CONCEPTS, N_DIMS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = tuple(f"c{i:02d}" for i in range(N_CONCEPTS))
    files = tuple(f"{i:05d}_{label}/{label}.jpg" for i, label in enumerate(labels))
    gallery = Gallery(labels=labels, files=files, embeddings=vectors.astype(np.float32), space="random:8")
    items = np.tile(np.arange(N_CONCEPTS), N_REPETITIONS)
    signal = np.einsum("nd,dct->nct", vectors[items], rng.normal(size=(N_DIMS, len(CH_NAMES), N_TIMES)))
    mixing = np.eye(len(CH_NAMES)) + 0.4 * rng.normal(size=(len(CH_NAMES), len(CH_NAMES)))
    volts = 1e-5 * (mixing @ (signal + 0.5 * rng.normal(size=signal.shape)))
    spatial = whitening_matrix(ledoit_wolf(1e6 * volts).mean(axis=0)) * 1e6
    preprocessor = Preprocessor(
        ch_names=CH_NAMES, sfreq=100.0, tmin=0.0, tmax=0.29, baseline=None, start=0.0, n_times=N_TIMES,
        spatial=spatial.astype(np.float32),
    )  # fmt: skip
    trials = [
        Trial(label=labels[item], picture=files[item], repetition=1 + i // N_CONCEPTS, onset=float(i))
        for i, item in enumerate(items)
    ]
    with EpochsWriter(folder / "epochs") as writer:
        writer.create("train", trials, len(CH_NAMES), N_TIMES)[:] = spatial @ volts
        writer.finish(preprocessor, "a test", whiten="pooled")
    gallery.save(folder / "gallery")
    return Epochs.load(folder / "epochs"), gallery, volts


def test_every_concept_is_in_one_fold() -> None:
    concepts = [f"c{i}" for i in range(11)] * 3
    folds = split_concepts(concepts, 3, seed=0)
    assert sorted(name for fold in folds for name in fold) == sorted(set(concepts))
    assert [len(fold) for fold in folds] == [4, 4, 3]
    assert folds != split_concepts(concepts, 3, seed=1)
    for n_folds in (1, 6):
        with pytest.raises(ConfigError, match="at least 2 folds"):
            split_concepts(concepts, n_folds, seed=0)


def test_the_right_concept_is_found_and_none_is_on_both_sides(
    recorded: tuple[Epochs, Gallery, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs, gallery, _ = recorded
    trained: list[set[str]] = []
    searched: list[set[str]] = []

    def spy(chosen: Epochs, *rest: object, **options: object) -> object:
        trained.append(set(chosen.train.labels))
        assert chosen.test is None
        result = train_encoder(chosen, *rest, **options)  # type: ignore[arg-type]
        use = result.decoder.use_gallery
        result.decoder.use_gallery = lambda given: (searched.append(set(given.labels)), use(given))[1]  # type: ignore[method-assign]
        return result

    monkeypatch.setattr(cross_validation, "train_encoder", spy)
    found = cross_validate(epochs, gallery, SETTINGS, 4)
    assert [len(names) for names in searched] == [11, 10, 10, 10]
    assert sorted(name for names in searched for name in names) == sorted(gallery.labels)
    for seen, asked in zip(trained, searched, strict=True):
        assert seen == set(gallery.labels) - asked
    single, mean = found["rows"]
    assert (single["repetitions"], mean["repetitions"]) == (1, "all")
    assert (single["n_queries"], mean["n_queries"]) == (N_CONCEPTS * N_REPETITIONS, N_CONCEPTS)
    assert found["n_ways"] == single["n_classes"] == 10
    assert (single["chance_top1"], single["chance_top5"]) == (0.1, 0.5)
    assert mean["top1"] > 0.4
    assert mean["top1_interval"][0] <= mean["top1"] <= mean["top1_interval"][1]
    assert mean["top5"] >= single["top5"] > 0.6
    assert found["p"] < 0.001
    assert (found["n_epochs"], found["presentations"], found["known_to_base"]) == (164, 4, 0)
    assert found["usable"]
    assert found["sentence"].startswith("usable: with 4 presentations the right picture is among the five best of 10")


def test_targets_that_mean_nothing_give_chance(recorded: tuple[Epochs, Gallery, np.ndarray]) -> None:
    epochs, gallery, _ = recorded
    found = cross_validate(epochs, gallery, SETTINGS.model_copy(update={"shuffle_labels": True, "epochs": 5}), 4)
    for row in found["rows"]:
        assert abs(row["top1"] - 0.1) < 0.12
        assert row["top5_interval"][0] < 0.55
    assert found["verdict"] != "usable"


def test_held_out_epochs_have_no_part_in_the_whitening(recorded: tuple[Epochs, Gallery, np.ndarray]) -> None:
    epochs, _, volts = recorded
    whitener = Whitener(epochs)
    np.testing.assert_allclose(whitener.data, 1e6 * volts, atol=1e-3 * 1e6 * volts.std())
    rows = np.arange(100)
    chosen, spatial = whitener.fit(rows)
    expected = whitening_matrix(ledoit_wolf(1e6 * volts[rows]).mean(axis=0))
    np.testing.assert_allclose(spatial, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_allclose(chosen.train.data, chosen.preprocessor.spatial @ volts[rows], atol=1e-2)
    np.testing.assert_allclose(
        whitener.part(np.arange(100, 164), spatial).data, expected @ (1e6 * volts[100:]), atol=0.1
    )
    data = np.array(epochs.train.data)
    data[100:] *= 3
    again = Whitener(replace(epochs, train=replace(epochs.train, data=data))).fit(rows)[1]
    np.testing.assert_array_equal(again, spatial)


def test_an_interpolated_channel_stays_so(recorded: tuple[Epochs, Gallery, np.ndarray]) -> None:
    epochs, _, volts = recorded
    from necomimi.montage import repair_matrix

    repair = repair_matrix(CH_NAMES, ["Pz"])
    spatial = epochs.preprocessor.spatial @ repair
    repaired = replace(
        epochs,
        bads=("Pz",),
        preprocessor=replace(epochs.preprocessor, spatial=spatial.astype(np.float32)),
        train=replace(epochs.train, data=(spatial @ volts).astype(np.float32)),
    )
    whitener = Whitener(repaired)
    np.testing.assert_allclose(whitener.data, 1e6 * repair @ volts, atol=2e-3 * 1e6 * volts.std())
    fitted = whitener.fit(np.arange(100))[0].preprocessor.spatial
    assert not fitted[:, CH_NAMES.index("Pz")].any()


def test_guessing_is_told_from_knowing() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(12), 5)
    noise = rng.normal(size=(200, len(targets), 12))
    ps = [guessing_p([(scores, targets)], seed=0, n_draws=200) for scores in noise]
    assert 0.01 < np.mean(np.array(ps) < 0.05) < 0.1  # as often as it says
    hint = noise[0] + 1.5 * (targets[:, None] == np.arange(12))
    assert guessing_p([(hint, targets)] * 2, seed=0) < 0.001
    shared = rng.normal(size=(12, 12))[targets]  # presentations of one concept alike: no evidence of its own
    assert np.mean([guessing_p([(rng.permuted(shared, axis=1), targets)], 0, 200) for _ in range(50)]) > 0.3


@pytest.mark.parametrize(
    ("top5", "interval", "p", "words"),
    [
        (
            0.62,
            [0.51, 0.72],
            0.001,
            "usable: with 4 presentations the right picture is among the five best of 40 in 62 %",
        ),
        (0.62, [0.51, 0.72], 0.001, " in 62 % (51–72 %; chance 12.5 %)"),
        (0.25, [0.16, 0.34], 0.001, "weak: better than guessing (p = 0.001), but with 4"),
        (0.40, [0.10, 0.60], 0.001, "weak: "),
        (0.62, [0.51, 0.72], 0.06, "not usable: not distinguishable from guessing (p = 0.06)"),
    ],
)
def test_the_verdict_is_plain(top5: float, interval: list[float], p: float, words: str) -> None:
    row = {"n_classes": 40, "top5": top5, "top5_interval": interval, "chance_top5": 0.125}
    verdict, sentence = judge_use(row, p, 4)
    assert sentence.startswith(f"{verdict}: ")
    assert words in sentence


def test_few_concepts_are_judged_by_the_best_alone() -> None:
    row = {"n_classes": 8, "top1": 0.5, "top1_interval": [0.3, 0.7], "chance_top1": 0.125}
    assert judge_use(row, 0.001, 1)[1] == (
        "usable: with 1 presentation the right picture is the best of 8 in 50 % (30–70 %; chance 12.5 %)"
    )


def test_what_cannot_be_cross_validated_is_refused(recorded: tuple[Epochs, Gallery, np.ndarray]) -> None:
    epochs, gallery, _ = recorded
    with pytest.raises(ConfigError, match=r"was whitened session[\s\S]*--whiten pooled"):
        cross_validate(replace(epochs, whiten="session"), gallery, SETTINGS, 4)
    labels = replace(epochs, train=replace(epochs.train, pictures=("",) * len(epochs.train)))
    with pytest.raises(ConfigError, match="epochs of pictures"):
        cross_validate(labels, gallery, SETTINGS, 4)


def test_the_command_trains_as_the_decoder_was(
    here: Any, recorded: tuple[Epochs, Gallery, np.ndarray], tmp_path: Path
) -> None:
    epochs, gallery, _ = recorded
    train_encoder(epochs, gallery, SETTINGS.model_copy(update={"epochs": 2})).decoder.save(tmp_path / "d")
    words = "evaluate", tmp_path / "d", epochs.path, "--cross-validate", 4, "--device", "cpu"
    done = here(*words, "--json")
    assert done.returncode == 0, done.stderr
    expected = cross_validate(epochs, gallery, SETTINGS.model_copy(update={"epochs": 2}), 4)
    found = json.loads(done.stdout)
    assert found["rows"] == expected["rows"]
    assert found["sentence"] == expected["sentence"]
    refused = here(*words, "--evidence")
    assert refused.returncode == 2
    assert "expected: DECODER, EPOCHS" in refused.stderr
