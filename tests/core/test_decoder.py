"""A decoder directory comes back whole, one path serves single and batch, and misfits are refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from necomimi.decoder import Decoder, choose_device
from necomimi.encoders import build
from necomimi.errors import CheckpointError, ConfigError
from necomimi.evidence import METHODS, Averaging
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor


def make(n_labels: int = 4, gallery: bool = True) -> Decoder:
    torch.manual_seed(1)
    labels = Gallery.from_labels([f"label{i}" for i in range(n_labels)])
    config = {"name": "multiblur", "n_chans": 3, "n_times": 150, "n_outputs": n_labels}
    preprocessor = Preprocessor(
        ch_names=("A", "B", "C"), sfreq=250.0, tmin=-0.1, tmax=0.6, baseline=(-0.1, 0.0), start=0.0, n_times=150,
        spatial=np.diag([1e5, 2e5, 3e5]).astype(np.float32),
    )  # fmt: skip
    return Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=labels.space, logit_scale=7.0,
        gallery=labels if gallery else None, training={"seed": 1},
    )  # fmt: skip


DATA = np.random.default_rng(0).normal(size=(6, 3, 150)).astype(np.float32)


def test_round_trip(tmp_path: Path) -> None:
    decoder = make()
    decoder.save(tmp_path / "d")
    back = Decoder.load(tmp_path / "d")
    np.testing.assert_array_equal(back.embed(DATA), decoder.embed(DATA))
    assert (back.logit_scale, back.space, back.training) == (7.0, decoder.space, {"seed": 1})
    assert back.classes == ("label0", "label1", "label2", "label3")
    assert (back.averaging, back.early_scales) == (Averaging(), ())
    decoder.save(tmp_path / "d")  # over itself
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_one_is_many_and_unit_norm() -> None:
    decoder = make()
    many = decoder.embed(DATA)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, rtol=1e-5)
    for one, epoch in zip(many, DATA, strict=True):
        np.testing.assert_allclose(decoder.embed(epoch[None])[0], one, atol=1e-5)
    permutation = np.array([3, 1, 5, 0, 2, 4])
    np.testing.assert_allclose(decoder.embed(DATA[permutation]), many[permutation], atol=1e-5)
    labels, scores = decoder.retrieve(many, k=3)
    assert scores.shape == (6, 3)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(names) == 3 for names in labels)


@pytest.mark.parametrize("sfreq", [250.0, 1000.0])
def test_raw_and_preprocessed_paths_agree(sfreq: float) -> None:
    decoder = make()
    n_in = decoder.preprocessor.window(sfreq)[1]
    volts = np.random.default_rng(1).normal(scale=1e-5, size=(5, 3, n_in))
    expected = decoder.embed(decoder.preprocessor(volts, sfreq))
    got = decoder.embed_raw(volts.astype(np.float32), sfreq)
    assert np.linalg.norm(got - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("sfreq", [250.0, 1000.0])
def test_an_unfinished_epoch_is_embedded_as_one_with_zeros_after_its_end(sfreq: float) -> None:
    decoder = make()
    n_in, n_part = decoder.preprocessor.window(sfreq)[1], decoder.preprocessor.window(sfreq, (), 0.3)[1]
    walk = np.cumsum(np.random.default_rng(1).normal(scale=1e-6, size=(5, 3, n_in)), axis=-1).astype(np.float32)
    zeroed = decoder.preprocessor(walk, sfreq)
    zeroed[..., 75:] = 0.0
    got = decoder.embed_raw(walk[..., :n_part], sfreq, until=0.3)
    cosines = (got * decoder.embed(zeroed)).sum(axis=1)
    assert cosines.min() > (0.99999 if sfreq == 250.0 else 0.999)  # there resampling has an edge
    assert (got * decoder.embed_raw(walk, sfreq)).sum(axis=1).max() < 0.999  # the rest was seen in the whole epoch
    np.testing.assert_allclose(decoder.embed_raw(walk[:1, :, :n_part], sfreq, until=0.3)[0], got[0], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_presentations_of_one_stimulus_make_one_answer(method: str, tmp_path: Path) -> None:
    decoder = make()
    decoder.averaging = Averaging(method, 0.8, True)  # type: ignore[arg-type]
    vectors = decoder.embed(DATA)
    names, scores = decoder.retrieve(vectors, 3)
    for i, vector in enumerate(vectors):  # one presentation: exactly what retrieve says
        label, score = decoder.retrieve_averaged(vector[None], 3)
        assert label == names[i]
        np.testing.assert_array_equal(score, decoder.retrieve(vector[None], 3)[1][0])
        np.testing.assert_allclose(score, scores[i], rtol=1e-5)
    labels, together = decoder.retrieve_averaged(vectors, 3)
    assert together.dtype == np.float32
    assert together.shape == (3,)
    gallery = decoder.gallery
    assert gallery is not None
    expected = gallery.best(decoder.averaging.class_scores(vectors[None], gallery, decoder.logit_scale), 3)
    assert labels == expected[0][0]
    np.testing.assert_array_equal(together, expected[1][0])
    decoder.save(tmp_path / "d")
    again = Decoder.load(tmp_path / "d")
    assert again.averaging == decoder.averaging
    np.testing.assert_allclose(again.retrieve_averaged(vectors, 3)[1], together, rtol=1e-6)


def test_similarities_are_in_the_order_of_the_classes() -> None:
    decoder = make()
    vectors = decoder.embed(DATA)
    np.testing.assert_allclose(decoder.similarities(vectors), vectors, atol=1e-6)  # one dimension a label
    with pytest.raises(ConfigError, match="no gallery"):
        make(gallery=False).similarities(vectors)


def test_probabilities_of_unfinished_epochs_have_their_own_temperature(tmp_path: Path) -> None:
    decoder = make()
    vectors = decoder.embed(DATA)
    np.testing.assert_array_equal(decoder.retrieve(vectors, 4, until=0.2)[1], decoder.retrieve(vectors, 4)[1])
    decoder.early_scales = ((0.1, 1.0), (0.3, 5.0))
    decoder.save(tmp_path / "d")
    back = Decoder.load(tmp_path / "d")
    assert back.early_scales == decoder.early_scales
    scales = {0.05: 1.0, 0.1: 1.0, 0.2: 3.0, 0.3: 5.0, 0.45: 6.0, 0.6: 7.0, 0.65: 7.0, None: 7.0}
    assert {until: back.scale_at(until) for until in scales} == pytest.approx(scales)
    assert back.gallery is not None
    np.testing.assert_array_equal(back.retrieve(vectors, 4, until=0.2)[1], back.gallery.retrieve(vectors, 4, 3.0)[1])


def test_a_decoder_of_an_earlier_version_loads(tmp_path: Path) -> None:
    make().save(tmp_path / "d")
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    for key in ("averaging", "early_scales"):
        del config[key]
    (tmp_path / "d" / "config.json").write_text(json.dumps(config))
    back = Decoder.load(tmp_path / "d")
    assert (back.averaging, back.early_scales) == (Averaging("embeddings", 0.5, False), ())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees_with_cpu(tmp_path: Path) -> None:
    decoder = make()
    decoder.save(tmp_path / "d")
    on_gpu = Decoder.load(tmp_path / "d", "cuda")
    volts = np.random.default_rng(1).normal(scale=1e-5, size=(5, 3, 176)).astype(np.float32)
    cosine = (on_gpu.embed_raw(volts, 250.0) * decoder.embed_raw(volts, 250.0)).sum(axis=1)
    assert cosine.min() > 0.999


def edit(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "encoder.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}"), "do not load"),
        (lambda d: (d / "encoder.safetensors").unlink(), "do not load"),
        (lambda d: edit(d, encoder={"name": "multiblur", "n_chans": 3, "n_times": 150, "n_outputs": 9}), "do not load"),
        (lambda d: edit(d, encoder={"name": "multiblur"}), "does not describe"),
        (lambda d: edit(d, encoder={"name": "oracle", "n_chans": 3, "n_times": 150, "n_outputs": 4}), "oracle"),
        (lambda d: edit(d, logit_scale="warm"), "does not describe"),
        (lambda d: edit(d, averaging={"method": "votes", "exponent": 1, "calibrated": True}), "votes"),
        (lambda d: edit(d, averaging={"method": "embeddings"}), "does not describe"),
        (lambda d: edit(d, averaging=[]), "does not describe"),
        (lambda d: edit(d, early_scales=[[0.1]]), "does not describe"),
        (lambda d: edit(d, version=99), "version 99"),
        (lambda d: edit(d, format="necomimi-gallery"), "necomimi-gallery"),
        (lambda d: edit(d, space="another:embedder"), "another:embedder"),
        (lambda d: (d / "config.json").write_bytes(b"\xff\xfe"), "damaged"),
    ],
)
def test_damage_is_refused_in_words(tmp_path: Path, damage, words: str) -> None:
    make().save(tmp_path / "d")
    damage(tmp_path / "d")
    with pytest.raises((CheckpointError, ConfigError), match=words):
        Decoder.load(tmp_path / "d")


def test_an_extra_or_missing_weight_is_refused(tmp_path: Path) -> None:
    make().save(tmp_path / "d")
    weights = load_file(tmp_path / "d" / "encoder.safetensors")
    save_file({**weights, "extra": torch.zeros(1)}, tmp_path / "d" / "encoder.safetensors")
    with pytest.raises(CheckpointError, match="extra"):
        Decoder.load(tmp_path / "d")


def test_misfits_are_refused_in_words(tmp_path: Path) -> None:
    decoder = make()
    with pytest.raises(CheckpointError, match="labels:"):
        decoder.use_gallery(Gallery.from_labels(["x", "y", "z", "w"]))
    with pytest.raises(ConfigError, match="no gallery"):
        make(gallery=False).retrieve(decoder.embed(DATA))
    with pytest.raises(ConfigError, match=r"\(n_epochs, 3, 150\)"):
        decoder.embed(DATA[0])
    with pytest.raises(ConfigError, match="tpu"):
        choose_device("tpu")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("precious")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        decoder.save(tmp_path / "notes")
