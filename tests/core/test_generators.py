"""Diffusion generators on tiny random weights in the hub's own layout, beside the stock pipelines of diffusers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from necomimi.diffusion import CLIP_NORM, DiffusionGenerator, build_diffusion
from necomimi.diffusion_choices import CHOICES, CLIP_SPACE
from necomimi.diffusion_weights import load_pipeline, random_pipeline
from necomimi.empty_prompt import EMPTY_PROMPT_FILE
from necomimi.errors import CheckpointError, ConfigError, NecomimiError
from necomimi.generators import build_generator, check_space

SIZE = 64
RECIPES = [(name, steps) for name in CHOICES for steps in (1, 2, 4)]
Weights = Callable[[str, int], Path]


@pytest.fixture(scope="module")
def weights(tiny_diffusion: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Return what makes a folder of weights, once for each name and number of steps."""
    made: dict[tuple[str, int], Path] = {}

    def folder(name: str, steps: int) -> Path:
        if (name, steps) not in made:
            made[name, steps] = tmp_path_factory.mktemp(f"{name}-{steps}")
            tiny_diffusion.write(tiny_diffusion.tiny(name), steps, made[name, steps])
        return made[name, steps]

    return folder


def build(folder: Path, name: str = "sdxl-turbo", **options: Any) -> DiffusionGenerator:
    return build_diffusion(name, "cpu", size=SIZE, model=str(folder), **options)


def embeddings(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, 1024)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean absolute difference of two pictures."""
    return float(np.abs(one.astype(float) - other).mean())


def stock_picture(folder: Path, name: str, steps: int, vector: np.ndarray, seed: int, prompt: dict[str, Any]) -> Any:
    """Paint one picture by the stock pipeline, as its documentation says."""
    pipeline, _ = load_pipeline(CHOICES[name], steps, torch.float32, str(folder))
    pipeline.set_progress_bar_config(disable=True)
    for network in (
        pipeline.unet,
        pipeline.vae,
    ):  # each layout has its own kernels and last bits
        network.to(memory_format=torch.channels_last)
    recipe = CHOICES[name].recipe(steps)
    timesteps = {"timesteps": list(recipe.timesteps)} if recipe.timesteps else {}
    pictures = pipeline(
        **prompt, **timesteps, ip_adapter_image_embeds=[torch.from_numpy(vector)[None, None] * CLIP_NORM],
        num_inference_steps=steps, guidance_scale=0.0, eta=recipe.eta, height=SIZE, width=SIZE,
        generator=torch.Generator().manual_seed(seed), output_type="np",
    ).images  # fmt: skip
    return (pictures[0] * 255).round().astype(np.uint8)


# What is painted


@pytest.mark.parametrize(("name", "steps"), RECIPES)
def test_picture_is_the_stock_pipelines_bit_for_bit(weights: Weights, name: str, steps: int) -> None:
    folder = weights(name, steps)
    vector, n_dims = embeddings(1)[0], 64 if CHOICES[name].is_xl else 32
    prompt = {"prompt_embeds": torch.zeros(1, 77, n_dims)}
    if CHOICES[name].is_xl:
        prompt["pooled_prompt_embeds"] = torch.zeros(1, 32)
    picture = build(folder, name, steps=steps).paint(vector[None], [7])[0]
    assert picture.std() > 20  # something to compare
    np.testing.assert_array_equal(picture, stock_picture(folder, name, steps, vector, 7, prompt))


@pytest.mark.parametrize(("name", "steps"), [("sdxl-turbo", 1), ("sdxl-turbo", 2), ("sd15", 1), ("hyper-sd", 2)])
def test_batch_is_its_singles(weights: Weights, name: str, steps: int) -> None:
    generator = build(weights(name, steps), name, steps=steps)
    vectors, seeds = embeddings(3), [3, 1, 3]
    batch = generator.paint(vectors, seeds)
    assert (batch.shape, batch.dtype) == ((3, SIZE, SIZE, 3), np.uint8)
    singles = np.concatenate([generator.paint(vectors[i : i + 1], seeds[i : i + 1]) for i in range(3)])
    # Kernels for other batch sizes add up in another order; that is seen in the last bit or two.
    assert np.abs(batch.astype(int) - singles).max() <= 3
    assert distance(batch[0], batch[2]) > 1  # the same seed, another embedding


def test_seed_and_embedding_decide(weights: Weights) -> None:
    generator = build(weights("sdxl-turbo", 1))
    one, other = embeddings(2)
    picture = generator.paint(one[None], [5])[0]
    np.testing.assert_array_equal(picture, build(weights("sdxl-turbo", 1)).paint(one[None], [5])[0])
    assert distance(picture, generator.paint(one[None], [6])[0]) > 10
    assert distance(picture, generator.paint(other[None], [5])[0]) > 1


def test_scale_0_takes_the_embedding_away(weights: Weights) -> None:
    one, other = build(weights("sdxl-turbo", 1), scale=0.0).paint(embeddings(2), [5, 5])
    np.testing.assert_allclose(one.astype(int), other, atol=1)


def test_clip_norm_comes_before_the_adapter(weights: Weights) -> None:
    folder, vector = weights("sdxl-turbo", 1), embeddings(1)
    seen = []
    for clip_norm in (None, 31.0):
        generator = build(folder, clip_norm=clip_norm)
        projection = generator._unet.encoder_hid_proj.image_projection_layers[0].image_embeds
        projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].norm().item()))
        generator.paint(vector, [0])
    assert seen == pytest.approx([CLIP_NORM, 31.0], rel=1e-5)


def test_one_step_is_captured_as_one_graph(weights: Weights) -> None:
    """What a CUDA graph needs: nothing in between that comes back to Python."""
    generator = build(weights("sdxl-turbo", 1))
    vectors, seeds = embeddings(1), [4]
    picture = generator.paint(vectors, seeds)
    generator._one_step_pixels = torch.compile(  # type: ignore[method-assign]
        generator._one_step_pixels, fullgraph=True, backend="eager"
    )
    np.testing.assert_allclose(generator.paint(vectors, seeds).astype(int), picture, atol=1)


@pytest.mark.parametrize("name", ["sdxl-turbo", "sd15"])  # the others share SDXL's architecture
def test_full_size_architecture_without_weights(tiny_diffusion: ModuleType, name: str) -> None:
    pipeline = random_pipeline(CHOICES[name], 1, torch.float16, torch.device("meta"))
    sizes = {key: parameter.numel() for key, parameter in pipeline.unet.named_parameters()}
    adapter = sum(size for key, size in sizes.items() if "_ip." in key or key.startswith("encoder_hid_proj"))
    unet = sum(sizes.values()) - adapter
    assert (unet, adapter) == ((2_567_463_684, 349_188_096) if CHOICES[name].is_xl else (859_520_964, 22_319_616))
    assert {parameter.dtype for parameter in pipeline.unet.parameters()} == {torch.float16}


def test_random_weights_paint(tiny_diffusion: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHOICES, "sd15", tiny_diffusion.tiny("sd15"))
    picture = build_generator("sd15", "cpu", size=SIZE, random_weights=True).paint(embeddings(1), [0])
    assert picture.shape == (1, SIZE, SIZE, 3)


# What is loaded


@pytest.mark.parametrize("name", CHOICES)
def test_no_picture_or_text_encoder_is_kept(tiny_diffusion: ModuleType, tmp_path: Path, name: str) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny(name), 1, tmp_path, text=True)
    parts = build(tmp_path, name)._pipeline.components
    kept = {key for key, part in parts.items() if isinstance(part, torch.nn.Module)}
    assert kept == {"unet", "vae"}
    assert parts["image_encoder"] is None


@pytest.mark.parametrize("name", ["sdxl-turbo", "sd15"])
def test_text_encoders_run_once_and_their_answer_is_kept(
    tiny_diffusion: ModuleType, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    choice = tiny_diffusion.tiny(name)
    tiny_diffusion.write(choice, 1, tmp_path, text=True)
    base = tmp_path / choice.base.rpartition("/")[2]
    picture = build(tmp_path, name).paint(embeddings(1), [0])
    vectors = load_file(base / EMPTY_PROMPT_FILE)
    pipeline = type(load_pipeline(choice, 1, torch.float32, str(tmp_path))[0]).from_pretrained(
        base, unet=None, vae=None, variant="fp16", use_safetensors=True
    )
    expected = (
        pipeline.encode_prompt("", torch.device("cpu"), 1, False) if name == "sd15" else pipeline.encode_prompt("")
    )
    torch.testing.assert_close(vectors["prompt_embeds"], expected[0])
    if name == "sdxl-turbo":
        torch.testing.assert_close(vectors["pooled_prompt_embeds"], expected[2])
    for file in base.glob("text_encoder*/*.safetensors"):
        file.unlink()
    np.testing.assert_array_equal(build(tmp_path, name).paint(embeddings(1), [0]), picture)
    assert "zeros" not in caplog.text
    (base / EMPTY_PROMPT_FILE).unlink()
    assert distance(build(tmp_path, name).paint(embeddings(1), [0]), picture) > 0.1
    assert "zeros stand for the text embeddings" in caplog.text


def test_text_embeddings_of_another_model_are_refused(tiny_diffusion: ModuleType, tmp_path: Path) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny("sd15"), 1, tmp_path)
    save_file({"prompt_embeds": torch.zeros(1, 77, 9)}, tmp_path / "stable-diffusion-v1-5" / EMPTY_PROMPT_FILE)
    with pytest.raises(CheckpointError, match=r"\(1, 77, 9\)"):
        build(tmp_path, "sd15")


@pytest.mark.parametrize(("name", "steps"), RECIPES)
def test_missing_weights_name_the_command_that_fetches_them(
    tiny_diffusion: ModuleType, tmp_path: Path, name: str, steps: int
) -> None:
    with pytest.raises(CheckpointError) as caught:
        build(tmp_path, name, steps=steps)
    assert CHOICES[name].base in caught.value.found
    assert f"necomimi download {name} FOLDER" in caught.value.remedy
    assert "meanwhile" in caught.value.remedy


def test_weights_absent_from_the_hubs_cache(
    tiny_diffusion: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for model in (None, "someone/another-turbo", "no such folder"):
        with pytest.raises(CheckpointError, match=r"model_index\.json and 6 more not in"):
            build_generator("sdxl-turbo", "cpu", model=model)


def test_weights_from_the_hubs_cache(
    tiny_diffusion: ModuleType, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice, folder = CHOICES["sdxl-turbo"], weights("sdxl-turbo", 1)
    for repository in choice.files(1):
        place = tmp_path / f"models--{repository.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("0" * 40, encoding="utf-8")
        (place / "snapshots").mkdir()
        (place / "snapshots" / ("0" * 40)).symlink_to(folder / repository.rpartition("/")[2])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    vectors = embeddings(1)
    cached = build_generator("sdxl-turbo", "cpu", size=SIZE).paint(vectors, [0])
    np.testing.assert_array_equal(cached, build(folder).paint(vectors, [0]))


@pytest.mark.parametrize("file", ["unet/diffusion_pytorch_model.fp16.safetensors", "unet/config.json"])
def test_damaged_weights_are_told_in_words(tiny_diffusion: ModuleType, tmp_path: Path, file: str) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, tmp_path)
    (tmp_path / "sdxl-turbo" / file).write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="sdxl-turbo cannot be read"):
        build(tmp_path)


def test_adapter_of_another_architecture_is_refused(
    tiny_diffusion: ModuleType, weights: Weights, tmp_path: Path
) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, tmp_path)
    foreign = load_file(weights("sd15", 1) / "IP-Adapter" / CHOICES["sd15"].adapter_file)
    save_file(foreign, tmp_path / "IP-Adapter" / CHOICES["sdxl-turbo"].adapter_file)
    with pytest.raises(CheckpointError, match="sdxl-turbo cannot be read"):
        build(tmp_path)


# What is refused


def test_wrong_embeddings_are_refused_in_words(weights: Weights) -> None:
    generator = build(weights("sdxl-turbo", 1))
    good = embeddings(2)
    bad = good.copy()
    bad[1, 3] = np.nan
    with pytest.raises(ConfigError, match="embedding 1 for the generator sdxl-turbo holds a NaN"):
        generator.paint(bad, [0, 1])
    with pytest.raises(ConfigError, match="embedding 0 has norm 20"):
        generator.paint(20 * good, [0, 1])
    with pytest.raises(ConfigError, match="1 seeds for 2 embeddings"):
        generator.paint(good, [0])
    for vectors in (good[0], good[:0], good[:, :9]):
        with pytest.raises(ConfigError, match="shape"):
            generator.paint(vectors, [0] * len(vectors))
    check_space(generator, CLIP_SPACE)
    with pytest.raises(ConfigError) as caught:
        check_space(generator, "embedded:other/1")
    assert "embedded:other/1" in caught.value.found
    assert CLIP_SPACE in caught.value.expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "dall-e"}, r"generator 'dall-e'\nexpected: one of embedded, sdxl-turbo,"),
        ({"steps": 5}, "5 steps of sdxl-turbo"),
        ({"size": 100}, "100 pixels"),
        ({"clip_norm": 0.0}, "clip_norm 0"),
        ({"compile": True}, "compiling for cpu"),
        ({"random_weights": True, "model": "folder"}, "random weights and the model folder"),
    ],
)
def test_wrong_settings_are_refused_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_generator(**{"name": "sdxl-turbo", "device": "cpu"} | options)


def test_too_little_memory_is_told_with_the_next_smaller_choice(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = build(weights("sdxl-turbo", 1))

    def too_large(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    generator._vae.decoder.register_forward_pre_hook(too_large)
    with pytest.raises(NecomimiError, match="cpu has too little memory for the generator sdxl-turbo") as caught:
        generator.paint(embeddings(1), [0])
    assert "--generator sd15" in caught.value.remedy
    monkeypatch.setattr(DiffusionGenerator, "__init__", too_large)
    with pytest.raises(NecomimiError, match="too little memory"):
        build(weights("sdxl-turbo", 1))


def test_each_choice_states_its_licence_and_its_smaller_sister() -> None:
    assert "non-commercial" in CHOICES["sdxl-turbo"].licence
    for choice in CHOICES.values():
        assert "Apache-2.0" in choice.licence
        assert choice.smaller == "" or not CHOICES[choice.smaller].is_xl


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("steps", [1, 2])
def test_compiled_pictures_are_the_same(weights: Weights, steps: int) -> None:
    options: dict[str, Any] = {"steps": steps, "size": SIZE, "model": str(weights("sdxl-turbo", steps))}
    plain = build_generator("sdxl-turbo", "cuda", **options)
    compiled = build_generator("sdxl-turbo", "cuda", compile=True, **options)
    for seed in range(4):  # the first ones warm up, then a graph is replayed
        vectors = embeddings(1, seed)
        assert distance(plain.paint(vectors, [seed]), compiled.paint(vectors, [seed])) < 3
