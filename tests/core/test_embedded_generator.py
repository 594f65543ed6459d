"""The embedded generator paints what can be recognised, each from its own embedding, and refuses foreign ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from necomimi.embedded_generator import WEIGHTS_PATH, EmbeddedGenerator, GeneratorWeights, build_embedded
from necomimi.embedders import EMBEDDED_SPACE, N_DIMS, build_embedder
from necomimi.errors import CheckpointError, ConfigError
from necomimi.generator_check import identification
from necomimi.generators import build_generator
from necomimi.picture_networks import PictureDecoder, PictureRefiner
from necomimi.picture_world import SEED
from necomimi.pictures import concepts, draw_picture


def tiny(*, refined: bool = True, n_dims: int = 16) -> GeneratorWeights:
    torch.manual_seed(0)
    refiner = PictureRefiner(n_dims, (16, 16))
    torch.nn.init.normal_(refiner.last.weight, std=0.1)
    return GeneratorWeights(
        space="tiny", size=32, decoder=PictureDecoder(n_dims, 5, 32, (16, 16, 8)),
        refiner=refiner if refined else None, steps=3 if refined else 0, training={"seed": 0},
    )  # fmt: skip


def unit(n: int, n_dims: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, n_dims)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_coarse_picture_comes_first_and_a_fine_one_last() -> None:
    generator = EmbeddedGenerator(tiny(), torch.device("cpu"))
    coarse, fine = generator.stages(unit(2), [3, 4])
    assert coarse.shape == fine.shape == (2, 32, 32, 3)
    assert coarse.dtype == fine.dtype == np.uint8
    assert (coarse != fine).any()
    np.testing.assert_array_equal(generator.paint(unit(2), [3, 4]), fine)
    one = EmbeddedGenerator(tiny(), torch.device("cpu"), steps=1)
    np.testing.assert_array_equal(one.paint(unit(2), [3, 4]), coarse)
    assert len(list(one.stages(unit(2), [3, 4]))) == 1


def test_a_picture_depends_on_its_embedding_and_seed_alone() -> None:
    generator = EmbeddedGenerator(tiny(), torch.device("cpu"))
    vectors, seeds = unit(4), [7, 7, 9, 9]
    together = generator.paint(vectors, seeds).astype(int)
    for i in range(4):
        alone = generator.paint(vectors[i : i + 1], seeds[i : i + 1])[0]
        assert np.abs(together[i] - alone).max() <= 1  # sums of another order round otherwise
    assert (generator.paint(vectors[:1], [8])[0] != together[0]).any()
    np.testing.assert_array_equal(generator.paint(vectors, seeds), together)


def test_what_it_cannot_paint_is_refused_with_both_names() -> None:
    generator = EmbeddedGenerator(tiny(), torch.device("cpu"))
    with pytest.raises(ConfigError, match=r"embedding 1 .*embedded.*NaN"):
        generator.paint(np.stack([unit(1)[0], np.full(16, np.nan, np.float32)]), [0, 0])
    with pytest.raises(ConfigError, match="norm 2"):
        generator.paint(2 * unit(1), [0])
    with pytest.raises(ConfigError, match=r"\(1, 8\)"):
        generator.paint(unit(1, 8), [0])
    with pytest.raises(ConfigError, match="one for each"):
        generator.paint(unit(2), [0])


@pytest.mark.parametrize(("refined", "steps"), [(False, 2), (True, 0)])
def test_steps_that_it_has_no_network_for_are_refused(refined: bool, steps: int) -> None:
    with pytest.raises(ConfigError, match=f"{steps} steps"):
        EmbeddedGenerator(tiny(refined=refined), torch.device("cpu"), steps)


@pytest.mark.parametrize("refined", [True, False])
def test_a_directory_gives_the_generator_back(refined: bool, tmp_path: Path) -> None:
    weights = tiny(refined=refined)
    weights.save(tmp_path / "generator")
    kept = build_embedded("cpu", model=str(tmp_path / "generator"))
    assert (kept.space, kept.n_dims, kept.size, kept.steps) == ("tiny", 16, 32, 4 if refined else 1)
    assert kept.weights.training == {"seed": 0}
    before = EmbeddedGenerator(weights, torch.device("cpu")).paint(unit(2), [0, 1]).astype(int)
    assert np.abs(kept.paint(unit(2), [0, 1]) - before).max() <= 2  # half precision
    weights.save(tmp_path / "generator")  # in place of another generator


def test_foreign_and_damaged_directories_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "generator"
    with pytest.raises(CheckpointError, match="not a directory"):
        GeneratorWeights.load(path)
    path.mkdir()
    (path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        tiny().save(path)
    (path / "notes.txt").unlink()
    tiny().save(path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "widths": [16, 8, 8]}))
    with pytest.raises(CheckpointError, match="train generator"):
        GeneratorWeights.load(path)
    (path / "config.json").write_text(json.dumps({**config, "size": "large"}))
    with pytest.raises(CheckpointError, match="does not describe a generator"):
        GeneratorWeights.load(path)
    (path / "config.json").write_text(json.dumps(config))
    (path / "generator.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(CheckpointError, match="do not load"):
        GeneratorWeights.load(path)


def test_settings_of_other_generators_are_refused() -> None:
    for settings in ({"size": 512}, {"random_weights": True}, {"scale": 0.5}, {"compile": True}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            build_generator("embedded", "cpu", **settings)  # type: ignore[arg-type]


def test_the_weights_in_the_package_are_small_and_say_what_they_are() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS_PATH.iterdir()) < 20e6
    generator = build_generator("embedded", "cpu")
    assert isinstance(generator, EmbeddedGenerator)
    assert (generator.space, generator.n_dims) == (EMBEDDED_SPACE, N_DIMS)
    facts = generator.weights.training
    assert facts["settings"]["seed"] == 0
    assert "CC BY 4.0" in facts["attribution"]
    assert facts["refiner_kept"] == (generator.weights.refiner is not None)


def test_new_pictures_of_known_concepts_are_told_apart() -> None:
    generator = build_generator("embedded", "cpu")
    assert isinstance(generator, EmbeddedGenerator)
    settings = generator.weights.training["settings"]
    unseen = np.random.default_rng(SEED).permutation(len(concepts()))[: settings["unseen"]]
    known = np.setdiff1d(np.arange(len(concepts())), unseen)[::15]
    drawn = [draw_picture(concepts()[i], settings["exemplars"], SEED) for i in known]  # none that it was trained on
    embedder = build_embedder("embedded", "cpu")
    truth = embedder.embed(drawn)
    painted = embedder.embed([Image.fromarray(picture) for picture in generator.paint(truth, range(len(known)))])
    found = identification(truth, painted, known)
    assert found["two_way"] >= 0.95
    assert found["top1"] > 10 * found["chance_top1"]
    shuffled = identification(truth, np.roll(painted, 1, axis=0), known)
    assert abs(shuffled["two_way"] - 0.5) < 0.15
