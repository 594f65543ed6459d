"""Training finds a signal that is there, finds none that is not, repeats itself, and looks only at what it may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.epochs import Epochs, EpochsWriter, Trial
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.offline.engine import TrainSettings, TrainStep, train_encoder
from necomimi.offline.scoring import area_under_curve
from necomimi.offline.truncation import truncate
from necomimi.preprocessing import Preprocessor

N_CHANNELS, N_TIMES, N_DIMS = 6, 20, 8
SMALL = {"n_filters": 8, "n_hidden": 16, "dropout": [0.0, 0.0]}
SETTINGS = TrainSettings(
    options=SMALL, epochs=15, batch_size=32, lr=3e-3, noise=0, smoothing=0, val_concepts=20, device="cpu"
)
LABEL_SETTINGS = TrainSettings(options=SMALL, epochs=20, batch_size=16, lr=3e-3, device="cpu")
PREPROCESSOR = Preprocessor(
    ch_names=tuple("ABCDEF"), sfreq=100.0, tmin=0.0, tmax=0.19, baseline=None, start=0.0, n_times=N_TIMES,
    spatial=np.eye(N_CHANNELS, dtype=np.float32),
)  # fmt: skip


def write(path: Path, trials: Sequence[Trial], data: np.ndarray, test: np.ndarray | None = None) -> Epochs:
    with EpochsWriter(path) as writer:
        writer.create("train", trials, N_CHANNELS, N_TIMES)[:] = data
        if test is not None:
            writer.create("test", [Trial(label="unseen", picture="9_unseen/a.jpg")] * len(test), N_CHANNELS, N_TIMES)[
                :
            ] = test
        writer.finish(PREPROCESSOR, "a test")
    return Epochs.load(path)


def picture_set(path: Path, seed: int = 0) -> tuple[Epochs, Gallery]:
    """Write epochs whose signal is a linear function of the picture's embedding; the test epochs are NaN."""
    rng = np.random.default_rng(seed)
    files = [f"{c:03d}_c{c}/c{c}_{p}.jpg" for c in range(120) for p in range(2)]
    embeddings = rng.normal(size=(len(files), N_DIMS))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = tuple(Path(file).parent.name[4:] for file in files)
    gallery = Gallery(labels=labels, files=tuple(files), embeddings=embeddings, space="random:8")
    mixing = rng.normal(size=(N_DIMS, N_CHANNELS, N_TIMES))
    items = np.repeat(np.arange(len(files)), 2)
    trials = [
        Trial(label=labels[item], picture=files[item], repetition=i % 2 + 1, onset=float(i))
        for i, item in enumerate(items)
    ]
    data = np.einsum("nd,dct->nct", embeddings[items], mixing) + 0.1 * rng.normal(
        size=(len(items), N_CHANNELS, N_TIMES)
    )
    return write(path, trials, data, test=np.full((3, N_CHANNELS, N_TIMES), np.nan)), gallery


def label_set(path: Path, n: int = 200) -> tuple[Epochs, np.ndarray, np.ndarray]:
    """Write trials of a rare and a frequent class that a pattern tells apart; return fresh ones as well."""
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(N_CHANNELS, N_TIMES))

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        rare = rng.random(count) < 0.15
        noise = rng.normal(size=(count, N_CHANNELS, N_TIMES))
        return rare, (noise + 0.5 * rare[:, None, None] * pattern).astype(np.float32)

    rare, data = draw(n)
    trials = [Trial(label="target" if r else "standard", onset=float(i)) for i, r in enumerate(rare)]
    return write(path, trials, data), *draw(400)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Epochs, Gallery]:
    return picture_set(tmp_path_factory.mktemp("pictures") / "e")


def test_concepts_never_trained_on_are_found(pictures: tuple[Epochs, Gallery]) -> None:
    epochs, gallery = pictures  # its test epochs are NaN: whoever read them would end with NaN
    steps: list[TrainStep] = []
    result = train_encoder(epochs, replace(gallery, clip_norm=21.5), SETTINGS, on_epoch=steps.append)
    assert result.decoder.clip_norm == 21.5
    assert result.n_ways == 20
    assert result.best_validation["top1"] > 0.6
    assert result.best_validation["top5"] > 0.95
    assert [step.done for step in steps] == list(range(1, SETTINGS.epochs + 1))
    assert {step.total for step in steps} == {SETTINGS.epochs}
    assert steps[-1].loss < steps[0].loss
    assert steps[-1].validation == {key: result.last_validation[key] for key in ("top1", "top5")}
    merits = [step.validation["top1"] + step.validation["top5"] for step in steps]
    assert merits[result.best_epoch - 1] == max(merits)
    facts = result.decoder.training
    held = set(facts["val_concepts"])
    assert len(held) == 20
    assert (facts["n_train"], facts["n_validation"]) == (200, 40)  # means over the two repetitions
    assert facts["settings"]["lr"] == 3e-3
    assert not facts["refit_on_all"]
    assert all(torch.isfinite(tensor).all() for tensor in result.last["encoder"].values())
    rows = [i for i, label in enumerate(epochs.train.labels) if label in held]
    answers = result.decoder.retrieve(result.decoder.embed(epochs.train.data[rows]), k=5)[0]
    assert np.mean([epochs.train.labels[row] in found for row, found in zip(rows, answers, strict=True)]) > 0.5


def test_shuffled_labels_give_chance(pictures: tuple[Epochs, Gallery]) -> None:
    result = train_encoder(*pictures, SETTINGS.model_copy(update={"shuffle_labels": True}))
    assert result.last_validation["top1"] < 0.2  # chance is 1 of 20
    assert result.last_validation["top5"] < 0.45  # chance is 5 of 20


def test_two_runs_give_identical_weights_whatever_the_global_seed(pictures: tuple[Epochs, Gallery]) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2, "noise": 0.5, "options": {}})  # noise and dropout are drawn
    torch.manual_seed(1)
    first = train_encoder(*pictures, settings)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = train_encoder(*pictures, settings)
    assert equal(first.last["encoder"], second.last["encoder"])
    assert first.decoder.logit_scale == second.decoder.logit_scale
    assert not equal(
        first.last["encoder"], train_encoder(*pictures, settings.model_copy(update={"seed": 1})).last["encoder"]
    )
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's generator is left alone
    assert not torch.are_deterministic_algorithms_enabled()


def test_weights_do_not_depend_on_validation_epochs(pictures: tuple[Epochs, Gallery]) -> None:
    epochs, gallery = pictures
    settings = SETTINGS.model_copy(update={"epochs": 2})
    expected = train_encoder(epochs, gallery, settings)
    held = np.isin(epochs.train.labels, expected.decoder.training["val_concepts"])
    data = np.array(epochs.train.data)
    data[held] = np.random.default_rng(1).normal(size=data[held].shape)
    found = train_encoder(replace(epochs, train=replace(epochs.train, data=data)), gallery, settings)
    assert equal(found.last["encoder"], expected.last["encoder"])
    assert found.last_validation["top5"] != expected.last_validation["top5"]
    data[~held] = 0.5 * data[~held]
    changed = train_encoder(replace(epochs, train=replace(epochs.train, data=data)), gallery, settings)
    assert not equal(changed.last["encoder"], expected.last["encoder"])


def test_single_trials_where_asked(pictures: tuple[Epochs, Gallery]) -> None:
    result = train_encoder(*pictures, SETTINGS.model_copy(update={"epochs": 1, "average": False}))
    assert result.decoder.training["n_train"] == 400


def test_the_decoder_searches_the_gallery_it_is_given(pictures: tuple[Epochs, Gallery]) -> None:
    epochs, gallery = pictures
    search = gallery.select(range(10))
    result = train_encoder(epochs, gallery, SETTINGS.model_copy(update={"epochs": 1}), search=search)
    assert result.decoder.classes == search.classes
    assert result.n_ways == 20


def test_confidence_is_fitted_on_single_presentations(pictures: tuple[Epochs, Gallery]) -> None:
    epochs, gallery = pictures
    decoder = train_encoder(epochs, gallery, SETTINGS).decoder  # trained on means over two repetitions
    facts = decoder.training["calibration"]
    assert (facts["n_presentations"], facts["unit"], facts["sizes"]) == (80, "item", [2])
    assert decoder.averaging.calibrated
    rows = [i for i, label in enumerate(epochs.train.labels) if label in decoder.training["val_concepts"]]
    held = gallery.select(np.unique(gallery.indices(np.array(epochs.train.pictures)[rows])))
    decoder.use_gallery(held)
    labels, scores = decoder.retrieve(decoder.embed(epochs.train.data[rows]), 1)
    right = np.mean([epochs.train.labels[row] == found[0] for row, found in zip(rows, labels, strict=True)])
    assert scores.mean() == pytest.approx(right, abs=0.1)


def test_truncation_makes_unfinished_epochs_readable(pictures: tuple[Epochs, Gallery]) -> None:
    epochs, gallery = pictures
    accuracy = {}
    for share in (0.0, 0.8):
        settings = SETTINGS.model_copy(update={"truncation": share, "epochs": 25})
        decoder = train_encoder(epochs, gallery, settings).decoder
        assert decoder.training["truncated"] == (share > 0)
        held = set(decoder.training["val_concepts"])
        rows = [i for i, label in enumerate(epochs.train.labels) if label in held]
        vectors = decoder.embed(truncate(epochs.train.data[rows], 12))
        answers = decoder.retrieve(vectors, 5)[0]
        accuracy[share] = np.mean([epochs.train.labels[row] in found for row, found in zip(rows, answers, strict=True)])
        assert [until for until, _ in decoder.early_scales] == [0.1]
    assert accuracy[0.8] > accuracy[0.0]


def test_truncation_is_the_default_for_pictures_only() -> None:
    assert TrainSettings().resolved(100, 20, pictures=True).truncation == 0.5
    assert TrainSettings().resolved(100, 2, pictures=False).truncation == 0.0
    assert TrainSettings(truncation=0.2).resolved(100, 2, pictures=False).truncation == 0.2


@pytest.mark.parametrize("encoder", ["nice", "nerv", "braindecode:EEGNet"])
def test_other_encoders_train(tmp_path: Path, encoder: str) -> None:
    rng = np.random.default_rng(0)
    preprocessor = replace(PREPROCESSOR, n_times=80, tmax=0.79)
    trials = [Trial(label="ab"[i % 2], onset=float(i)) for i in range(64)]
    with EpochsWriter(tmp_path / "e") as writer:
        writer.create("train", trials, N_CHANNELS, 80)[:] = rng.normal(size=(64, N_CHANNELS, 80))
        writer.finish(preprocessor, "a test")
    epochs = Epochs.load(tmp_path / "e")
    settings = TrainSettings(encoder=encoder, epochs=2, batch_size=16, device="cpu")
    result = train_encoder(epochs, Gallery.from_labels("ab"), settings)
    assert result.decoder.encoder_config["name"] == encoder
    assert result.decoder.encoder_config.get("sfreq") == (100.0 if encoder.startswith("braindecode") else None)
    assert result.decoder.training["settings"]["lr"] == 3e-4
    assert np.isfinite(result.last_validation["log_loss"])


def test_unbalanced_labels_are_told_apart(tmp_path: Path) -> None:
    epochs, rare, fresh = label_set(tmp_path / "e")
    steps: list[TrainStep] = []
    result = train_encoder(epochs, Gallery.from_labels(epochs.train.labels), LABEL_SETTINGS, on_epoch=steps.append)
    assert result.best_validation["auc"] > 0.9
    vectors = result.decoder.embed(fresh)
    target = result.decoder.gallery.index_of("target")  # type: ignore[union-attr]
    scores = vectors @ result.decoder.gallery.embeddings.T  # type: ignore[union-attr]
    assert area_under_curve(scores[:, target] - scores[:, 1 - target], rare) > 0.95
    facts = result.decoder.training
    assert facts["refit_on_all"]
    assert facts["n_train"] + facts["n_validation"] == 200  # epochs a second apart do not overlap
    assert [step.done for step in steps] == list(range(1, 2 * LABEL_SETTINGS.epochs + 1))
    assert all(not step.validation for step in steps[LABEL_SETTINGS.epochs :])
    labels, probabilities = result.decoder.retrieve(vectors, k=2)
    sure = np.array(
        [dict(zip(names, row, strict=True))["target"] for names, row in zip(labels, probabilities, strict=True)]
    )
    assert np.mean(sure) == pytest.approx(rare.mean(), abs=0.12)  # the temperature makes scores probabilities


def test_shuffled_labels_cannot_be_told_apart(tmp_path: Path) -> None:
    epochs, _, _ = label_set(tmp_path / "e", n=400)
    settings = LABEL_SETTINGS.model_copy(update={"shuffle_labels": True})
    result = train_encoder(epochs, Gallery.from_labels(epochs.train.labels), settings)
    assert 0.2 < result.last_validation["auc"] < 0.8


def test_pictures_outside_the_gallery_are_refused(pictures: tuple[Epochs, Gallery]) -> None:
    epochs, gallery = pictures
    with pytest.raises(DatasetError, match=r"20 of 240 pictures or labels are not in the gallery[\s\S]*necomimi embed"):
        train_encoder(epochs, gallery.select(range(220)), SETTINGS)


def test_people_share_an_encoder_and_held_out_concepts(pictures: tuple[Epochs, Gallery], tmp_path: Path) -> None:
    epochs, gallery = pictures
    turned = -np.roll(epochs.train.data, 10, axis=2)
    spatial = np.diag(np.arange(1.0, 7.0)).astype(np.float32)
    people = [
        replace(epochs, subject="sub-01"),
        replace(
            epochs, subject="sub-02", train=replace(epochs.train, data=turned),
            preprocessor=replace(epochs.preprocessor, spatial=spatial),
        ),
    ]  # fmt: skip
    result = train_encoder(people, gallery, SETTINGS)
    decoder, facts = result.decoder, result.decoder.training
    assert (facts["n_train"], facts["n_validation"]) == (400, 80)  # no held-out concept of either is trained on
    assert decoder.encoder_config["n_subjects"] == 2
    np.testing.assert_array_equal(decoder.subjects["sub-02"], spatial)
    assert result.best_validation["top1"] > 0.6
    rows = [i for i, label in enumerate(epochs.train.labels) if label in facts["val_concepts"]]
    decoder.save(tmp_path / "d")
    decoder = Decoder.load(tmp_path / "d")

    def accuracy(person: str, data: np.ndarray) -> float:
        decoder.use_subject(person)
        found = decoder.retrieve(decoder.embed(data[rows]), 5)[0]
        return float(np.mean([epochs.train.labels[row] in labels for row, labels in zip(rows, found, strict=True)]))

    assert accuracy("sub-01", epochs.train.data) > 0.5
    assert accuracy("sub-02", turned) > 0.5
    layers = [layer.weight - torch.eye(N_TIMES) for layer in decoder.encoder.subject_wise_linear]  # at first alike
    assert min(layer.norm() for layer in layers) > 0.1
    assert (layers[0] - layers[1]).norm() > 0.5 * layers[0].norm()


def test_the_adapter_finds_the_level_that_the_brain_sees(pictures: tuple[Epochs, Gallery], tmp_path: Path) -> None:
    epochs, gallery = pictures
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(2, *gallery.embeddings.shape))
    noise /= np.linalg.norm(noise, axis=2, keepdims=True)
    levels = np.stack([noise[0], gallery.embeddings, noise[1]], axis=1).astype(np.float32)  # sharp: seen by nobody
    blurred = replace(gallery, embeddings=levels[:, 0], levels=levels, blur_levels=(1, 9, 33))
    settings = SETTINGS.model_copy(update={"epochs": 40})
    without = train_encoder(epochs, blurred, settings.model_copy(update={"adapter": False, "epochs": 10}))
    assert without.decoder.adapter is None
    assert without.best_validation["top1"] < 0.3
    result = train_encoder(epochs, blurred, settings, search=blurred.select(range(100)))
    adapter = result.decoder.adapter
    assert adapter is not None
    share = adapter.level_weights.softmax(dim=0).mean(dim=1)
    assert share[1] > 1.5 * max(share[0], share[2])  # at first each is a third
    assert result.best_validation["top1"] > 0.4
    assert result.decoder.base_space == gallery.space
    assert set(result.last) == {"encoder", "adapter"}
    result.decoder.save(tmp_path / "d")
    decoder = Decoder.load(tmp_path / "d")
    held = decoder.training["val_concepts"]
    rows = [i for i, label in enumerate(epochs.train.labels) if label in held]
    items = [i for i, label in enumerate(gallery.labels) if label in held]
    decoder.use_gallery(blurred.select(items))  # what was held out is retrieved through the saved adapter
    found = decoder.retrieve(decoder.embed(epochs.train.data[rows]), 1)[0]
    assert np.mean([epochs.train.labels[row] == labels[0] for row, labels in zip(rows, found, strict=True)]) > 0.4


def test_an_adapter_needs_levels(pictures: tuple[Epochs, Gallery]) -> None:
    with pytest.raises(ConfigError, match=r"no blur levels[\s\S]*--levels"):
        train_encoder(*pictures, SETTINGS.model_copy(update={"adapter": True}))


def test_micro_batches_learn_the_same(pictures: tuple[Epochs, Gallery]) -> None:
    result = train_encoder(*pictures, SETTINGS.model_copy(update={"micro_batch": 10}))
    assert result.best_validation["top1"] > 0.6


def test_a_fixed_temperature_is_used_and_not_learned(pictures: tuple[Epochs, Gallery]) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2, "temperature": 0.2, "weight_decay": 0.0})
    fixed = train_encoder(*pictures, settings)
    learned = train_encoder(*pictures, settings.model_copy(update={"temperature": "learned"}))
    start = torch.tensor(1 / 0.07).log()
    assert torch.equal(fixed.last["encoder"]["logit_scale"], start)
    assert not torch.equal(learned.last["encoder"]["logit_scale"], start)
    other = train_encoder(*pictures, settings.model_copy(update={"temperature": 1.0}))
    assert other.decoder.training["history"][0]["loss"] != fixed.decoder.training["history"][0]["loss"]
