"""A second stage is fitted on held-out concepts alone, judged without its own, put into the decoder, and is better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from necomimi.adapter import ImageAdapter
from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.epochs import Epochs
from necomimi.errors import CheckpointError, ConfigError, NecomimiError
from necomimi.gallery import Gallery
from necomimi.offline.prior_fit import PriorData, PriorSettings, cross_fit, fit_prior, ridge
from necomimi.offline.train_prior import judge_stage, prior, shown

CPU = torch.device("cpu")
N_DIMS = 16


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def make_data(n_held: int = 30, n_pictures: int = 600, turn: np.ndarray | None = None) -> tuple[PriorData, Gallery]:
    """Return pairs as a regression gives them, pulled to the mean and with other spreads; and the held-out pictures."""
    rng = np.random.default_rng(0)
    scale = np.linspace(0.5, 1.5, N_DIMS)
    draw = lambda n: unit(0.3 + scale * rng.normal(size=(n, N_DIMS)))  # noqa: E731
    images, truth = draw(n_pictures), draw(2 * n_held)
    noisy = 0.4 * truth / scale**2 + 0.05 * rng.normal(size=truth.shape)
    vectors = unit(noisy - noisy.mean(axis=0) + 3 * np.eye(N_DIMS)[0])
    concepts = np.repeat([f"c{i}" for i in range(n_held)], 2)
    data = PriorData(
        vectors=vectors, truth=truth, concepts=concepts, images=images, sources=images, source_space="x", space="x"
    )
    if turn is not None:
        data = replace(data, vectors=vectors @ turn, sources=images @ turn, source_space="x turned")
    files = tuple(f"{concept}/{i}.jpg" for i, concept in enumerate(concepts))
    return data, Gallery(labels=tuple(concepts), files=files, embeddings=truth, space="x")


@pytest.mark.parametrize("kind", ["regression", "flow"])
def test_two_stages_find_more_than_one_and_lie_where_pictures_do(kind: str) -> None:
    data, gallery = make_data()
    rows = np.arange(len(gallery))
    one = judge_stage(data.vectors, rows, gallery)
    settings = PriorSettings(prior=kind, updates=60)  # type: ignore[arg-type]
    two = judge_stage(cross_fit(data, settings, CPU), rows, gallery)
    assert (one["n_queries"], one["n_classes"], one["chance_top1"]) == (60, 30, 1 / 30)
    assert two["top1"] > one["top1"] + 0.1
    assert two["two_way"] > one["two_way"] > 0.5
    assert two["top1_interval"][0] <= two["top1"] <= two["top1_interval"][1]
    assert two["two_way_interval"][0] <= two["two_way"] <= two["two_way_interval"][1]
    assert abs(two["pairwise"] - two["pairwise_truth"]) < abs(one["pairwise"] - one["pairwise_truth"]) / 2
    again = cross_fit(data, settings, CPU)
    np.testing.assert_array_equal(again, cross_fit(data, settings, CPU))


def test_nothing_is_asked_of_a_prior_that_learned_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = make_data(n_held=7)
    asked: list[set[str]] = []

    def fit(part: PriorData, *_: object) -> SimpleNamespace:
        learned = set(part.concepts)

        def answer(vectors: np.ndarray, seeds: list[int]) -> np.ndarray:
            concepts = {str(data.concepts[seed]) for seed in seeds}
            assert learned | concepts == set(data.concepts)
            assert not learned & concepts
            asked.append(concepts)
            return vectors

        return SimpleNamespace(to_image_space=answer)

    monkeypatch.setattr("necomimi.offline.prior_fit.fit_prior", fit)
    np.testing.assert_array_equal(cross_fit(data, PriorSettings(), CPU), data.vectors)
    assert len(asked) == 5


def test_chance_is_chance() -> None:
    data, gallery = make_data(n_held=60)
    found = judge_stage(unit(np.random.default_rng(1).normal(size=data.truth.shape)), np.arange(120), gallery)
    assert found["two_way"] == pytest.approx(0.5, abs=0.08)
    assert found["top1"] < 0.1
    perfect = judge_stage(data.truth, np.arange(120), gallery)
    assert (perfect["top1"], perfect["two_way"]) == (1.0, 1.0)
    assert perfect["cosine"] == pytest.approx(1, abs=1e-5)
    cosines = data.truth @ data.truth.T
    assert perfect["pairwise"] == pytest.approx((cosines.sum() - 120) / (120 * 119), abs=1e-5)
    assert perfect["pairwise"] == perfect["pairwise_truth"]


def test_another_space_is_mapped_onto_that_of_the_pictures() -> None:
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(N_DIMS, N_DIMS)))[0].astype(np.float32)
    data, gallery = make_data(turn=turn)
    assert (turn @ ridge(data)).argmax(axis=1).tolist() == list(range(N_DIMS))  # turned back
    fitted = fit_prior(data, PriorSettings(), CPU)
    assert fitted.mapped
    assert (fitted.source_space, fitted.space) == ("x turned", "x")
    found = judge_stage(fitted.to_image_space(data.vectors), np.arange(60), gallery)
    plain = fit_prior(make_data()[0], PriorSettings(), CPU)
    assert not plain.mapped
    straight = judge_stage(plain.to_image_space(make_data()[0].vectors), np.arange(60), gallery)
    assert found["top1"] > straight["top1"] - 0.1


def test_the_published_diffusion_learns_its_pairs() -> None:
    data, _ = make_data()
    losses = {}
    for updates in (1, 12):
        fitted = fit_prior(data, PriorSettings(prior="ddpm", updates=updates, batch_size=32), CPU)
        assert fitted.network is not None
        torch.manual_seed(0)
        clean = (torch.tensor(data.truth) - fitted.image_mean) / fitted.image_std
        with torch.inference_mode():
            losses[updates] = float(fitted.network.loss(clean, fitted.standardised(torch.tensor(data.vectors))))
    assert losses[12] < 0.95 * losses[1]


@pytest.fixture(scope="module")
def decoder(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a decoder of a person of the shared folder, trained by nobody, that says what it held out."""
    torch.manual_seed(0)
    config = {"name": "multiblur", "n_chans": 4, "n_times": 16, "n_outputs": 6, "n_hidden": 8}
    path = tmp_path_factory.mktemp("prior") / "decoder"
    Decoder(
        encoder_config=config, encoder=build(**config), space="random:6", logit_scale=7.0,  # type: ignore[arg-type]
        preprocessor=Epochs.load(people / "epochs/sub-01").preprocessor,
        training={"val_concepts": [f"c{i}" for i in range(8)]},
    ).save(path)  # fmt: skip
    return path


def test_only_held_out_concepts_of_the_training_epochs_are_embedded(people: Path, decoder: Path) -> None:
    model, gallery = Decoder.load(decoder), Gallery.load(people / "training")
    epochs = people / "epochs/sub-01"
    vectors, items, known = shown(model, [epochs], gallery, None, 0, others=False)
    assert {gallery.labels[i] for i in items} == {f"c{i}" for i in range(8)}
    assert {gallery.labels[i] for i in known} == {f"c{i}" for i in range(8, 24)}
    assert (len(vectors), len(known)) == (16, 32)
    averaged = Epochs.load(epochs).train.averaged()
    rows = [averaged.pictures.index(gallery.files[item]) for item in items]
    np.testing.assert_allclose(vectors, model.embed(averaged.data[rows]), atol=1e-5)
    assert len(shown(model, [epochs], gallery, 1, 0, others=False)[0]) == 32
    others = shown(model, [epochs], gallery, None, 0, others=True)[1]
    assert not set(others) & set(items)


def test_an_image_adapter_is_undone(people: Path, decoder: Path) -> None:
    torch.manual_seed(0)
    plain = Gallery.load(people / "training")
    blurred = unit(plain.embeddings + 0.3 * np.random.default_rng(0).normal(size=plain.embeddings.shape))
    levels = np.stack([plain.embeddings, blurred], axis=1)
    gallery = replace(plain, space="random:6?levels=1,3", levels=levels, blur_levels=(1, 3))
    path = decoder.with_name("adapted")
    gallery.save(path.with_name("levels"))
    adapter, found = ImageAdapter(2, 6, n_hidden=8, dropout=0.0), Decoder.load(decoder)
    space = adapter.adapted_space(gallery.space)
    replace(found, adapter=adapter, base_space=gallery.space, space=space, prior=None).save(path)
    prior(path, [people / "epochs/sub-01"], path.with_name("levels"), device="cpu")
    fitted = Decoder.load(path).prior
    assert fitted is not None
    assert fitted.mapped
    assert (fitted.source_space, fitted.space) == (space, "random:6")
    with pytest.raises(CheckpointError, match="levels=1,3"):
        prior(path, [people / "epochs/sub-01"], people / "training", device="cpu")


def test_the_command_puts_a_prior_into_the_decoder(here: Any, people: Path, decoder: Path) -> None:
    start = "train", "prior", decoder, people / "epochs/sub-01", "--device", "cpu", "--gallery"
    done = here(*start, people / "training", "--prior", "flow", "--updates", 3)
    assert done.returncode == 0, done.stderr
    for words in ("flow: 16 embeddings of 8 held-out concepts", "one stage", "two stages", "chance", "12.5%", "50.0%"):
        assert words in done.stdout
    fitted = Decoder.load(decoder).prior
    assert fitted is not None
    assert (fitted.kind, fitted.source_space, fitted.space) == ("flow", "random:6", "random:6")
    assert fitted.training_facts["stages"]["two stages"]["n_classes"] == 8
    assert fitted.training_facts["settings"]["updates"] == 3
    wrong = here(*start, people / "test")
    assert wrong.returncode == 2, wrong.stderr
    assert "not in the gallery" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_mistakes_are_answered_in_words(people: Path, decoder: Path) -> None:
    epochs, gallery, model = [people / "epochs/sub-01"], people / "training", Decoder.load(decoder)
    model.prior = None
    for held, words in ((None, "which concepts"), (["c0", "c1"], "at least 4"), (["moon"], "no epochs of the 1")):
        bare = decoder.with_name("bare")
        model.training = {"val_concepts": held} if held else {}
        model.save(bare)
        with pytest.raises(NecomimiError, match=words):
            prior(bare, epochs, gallery, device="cpu")
        assert not (bare / "prior").exists()
    with pytest.raises(ConfigError, match="repetitions 3"):
        prior(decoder, epochs, gallery, repetitions=3, device="cpu")
    with pytest.raises(ConfigError, match="prior"):
        prior(decoder, epochs, gallery, kind="magic", device="cpu")
