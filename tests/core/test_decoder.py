"""A decoder directory comes back whole, one path serves single and batch, and misfits are refused in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from necomimi.adapter import ImageAdapter
from necomimi.decoder import Decoder
from necomimi.device import choose_device
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
    assert (back.averaging, back.early_scales, back.clip_norm) == (Averaging(), (), None)
    replace(decoder, clip_norm=21.5).save(tmp_path / "d")
    assert Decoder.load(tmp_path / "d").clip_norm == 21.5
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


def level_gallery() -> Gallery:
    levels = np.random.default_rng(3).normal(size=(5, 2, 4)).astype(np.float32)
    levels /= np.linalg.norm(levels, axis=2, keepdims=True)
    names = tuple(f"label{i}" for i in range(5))
    return Gallery(names, names, levels[:, 0], "r:4?levels=1,9", levels=levels, blur_levels=(1, 9))


def make_adapted() -> Decoder:
    base = level_gallery()
    torch.manual_seed(2)
    adapter = ImageAdapter(2, 4, n_hidden=6)
    plain = make(gallery=False)
    return Decoder(
        encoder_config=plain.encoder_config, encoder=plain.encoder, preprocessor=plain.preprocessor, logit_scale=7.0,
        space=adapter.adapted_space(base.space), base_space=base.space, adapter=adapter, gallery=adapter.gallery(base),
    )  # fmt: skip


def test_an_adapter_travels_with_the_decoder_and_serves_new_galleries(tmp_path: Path) -> None:
    decoder = make_adapted()
    decoder.save(tmp_path / "d")
    back = Decoder.load(tmp_path / "d")
    assert (back.space, back.base_space) == (decoder.space, decoder.base_space)
    assert back.adapter is not None
    assert back.adapter.config == {"n_levels": 2, "n_dims": 4, "n_hidden": 6, "dropout": 0.85}
    assert not back.adapter.training
    vectors = decoder.embed(DATA)
    expected = decoder.retrieve(vectors, 5)
    for gallery in (level_gallery(), back.adapter.gallery(level_gallery())):  # of the base space, and adapted already
        back.gallery = None
        back.use_gallery(gallery)
        names, scores = back.retrieve(vectors, 5)
        assert names == expected[0]
        np.testing.assert_allclose(scores, expected[1], rtol=1e-5)
    with pytest.raises(CheckpointError, match=r"--model r:4 --levels 1,9"):
        back.use_gallery(replace(level_gallery(), levels=None, blur_levels=(), space="r:4"))


def test_an_adapter_with_other_weights_is_refused(tmp_path: Path) -> None:
    make_adapted().save(tmp_path / "d")
    file = tmp_path / "d" / "adapter.safetensors"
    weights = load_file(file)
    save_file({**weights, "level_weights": weights["level_weights"] + 1e-3}, file)
    with pytest.raises(CheckpointError, match="the image adapter leads to"):
        Decoder.load(tmp_path / "d")
    save_file({"level_weights": weights["level_weights"]}, file)
    with pytest.raises(CheckpointError, match="an image adapter of these sizes"):
        Decoder.load(tmp_path / "d")


PEOPLE = {"sub-07": 1e5, "sub-02": 3e5, "sub-01": 2e5}  # not in the order of their names


def make_pooled(n_layers: int = 3) -> Decoder:
    torch.manual_seed(1)
    labels = Gallery.from_labels([f"label{i}" for i in range(4)])
    config = {"name": "multiblur", "n_chans": 3, "n_times": 150, "n_outputs": 4, "n_subjects": n_layers}
    encoder = build(**config)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))  # people differ after training
    return Decoder(
        encoder_config=config, encoder=encoder, preprocessor=make().preprocessor, space=labels.space, logit_scale=7.0,
        gallery=labels, subjects={name: np.eye(3, dtype=np.float32) * scale for name, scale in PEOPLE.items()},
    )  # fmt: skip


def test_each_person_is_decoded_by_their_own_layer_and_matrix(tmp_path: Path) -> None:
    make_pooled().save(tmp_path / "d")
    decoder = Decoder.load(tmp_path / "d")
    assert list(decoder.subjects) == list(PEOPLE)
    volts = np.random.default_rng(1).normal(scale=1e-5, size=(4, 3, decoder.preprocessor.window(250.0)[1]))
    volts = volts.astype(np.float32)
    for i, (name, scale) in enumerate(PEOPLE.items()):
        decoder.use_subject(name)
        np.testing.assert_array_equal(decoder.preprocessor.spatial, np.eye(3) * scale)
        shown = torch.tensor(decoder.preprocessor(volts, 250.0))
        with torch.inference_mode():
            expected = decoder.encoder(shown, torch.full((4,), i))
        expected = torch.nn.functional.normalize(expected, dim=1).numpy()
        np.testing.assert_allclose(decoder.embed_raw(volts, 250.0), expected, atol=1e-4)
        np.testing.assert_allclose(decoder.embed(shown.numpy()), expected, atol=1e-5)
    decoder.save(tmp_path / "d")  # while somebody is chosen
    again = Decoder.load(tmp_path / "d")
    pooled = make_pooled()
    np.testing.assert_allclose(again.embed_raw(volts, 250.0), pooled.embed_raw(volts, 250.0), atol=1e-5)
    decoder.use_subject(None)
    np.testing.assert_allclose(decoder.embed_raw(volts, 250.0), pooled.embed_raw(volts, 250.0), atol=1e-5)
    decoder.use_subject("sub-02")
    assert np.abs(decoder.embed_raw(volts, 250.0) - pooled.embed_raw(volts, 250.0)).max() > 1e-3


def test_people_may_share_all_weights() -> None:
    decoder = make_pooled(n_layers=1)
    before = decoder.embed(DATA)
    decoder.use_subject("sub-01")
    np.testing.assert_array_equal(decoder.embed(DATA), before)  # epochs that are whitened already
    np.testing.assert_array_equal(decoder.preprocessor.spatial, np.eye(3) * PEOPLE["sub-01"])


def test_people_that_are_not_there_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of sub-07, sub-02, sub-01"):
        make_pooled().use_subject("sub-03")
    with pytest.raises(ConfigError, match="it is of one person"):
        make().use_subject("sub-03")
    with pytest.raises(CheckpointError, match="2 subject layers for 3 people"):
        make_pooled(n_layers=2)
    make_pooled().save(tmp_path / "d")
    save_file({"sub-07": torch.eye(3)}, tmp_path / "d" / "subjects.safetensors")
    with pytest.raises(CheckpointError, match="sub-02"):
        Decoder.load(tmp_path / "d")
    save_file({name: torch.eye(2) for name in PEOPLE}, tmp_path / "d" / "subjects.safetensors")
    with pytest.raises(ConfigError, match=r"\(2, 2\)"):
        Decoder.load(tmp_path / "d")


def test_a_decoder_of_an_earlier_version_loads(tmp_path: Path) -> None:
    make().save(tmp_path / "d")
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    for key in ("averaging", "early_scales", "base_space", "adapter", "subjects", "clip_norm"):
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
