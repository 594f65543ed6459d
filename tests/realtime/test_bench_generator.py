"""`necomimi bench generator` as a script meets it, on tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from typer.testing import CliRunner

from necomimi.embedded_generator import GeneratorWeights
from necomimi.embedders import EMBEDDED_SPACE, N_DIMS
from necomimi.errors import CheckpointError, ConfigError
from necomimi.picture_networks import PictureDecoder, PictureRefiner
from necomimi.realtime.bench import app


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["generator", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_figures_for_each_number_of_steps(tiny_diffusion: ModuleType, tmp_path: Path) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, tmp_path)
    arguments = (
        "--generator",
        "sdxl-turbo",
        "--model",
        tmp_path,
        "--steps",
        "1,4",
        "--size",
        64,
        "--pictures",
        5,
        "--batch",
        2,
        "--device",
        "cpu",
    )
    text = run(*arguments, "--json")
    result = json.loads(text[text.index("{") :])
    assert (result["generator"], result["random_weights"], result["device"]) == ("sdxl-turbo", False, "cpu")
    assert [run["steps"] for run in result["runs"]] == [1, 4]
    for row in result["runs"]:
        assert (row["compiled"], row["size"], row["batch"], row["n_pictures"]) == (False, 64, 2, 6)
        assert row["peak_vram_gb"] is None
        assert 0 < row["ms"]["p50"] <= row["ms"]["p95"]
        assert 1e3 / row["ms"]["max"] <= row["pictures_per_s"] * 1.01
    table = run(*arguments)
    assert "real weights" in table
    assert "no GPU is used here" in table


def test_wrong_settings_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--steps one"):
        run("--steps", "one")
    with pytest.raises(ConfigError, match="generator 'dall-e'"):
        run("--generator", "dall-e", "--random-weights")
    with pytest.raises(ConfigError, match="--compile on cpu"):
        run("--generator", "sdxl-turbo", "--compile", "--random-weights", "--device", "cpu")
    with pytest.raises(CheckpointError, match="not in"):
        run("--generator", "sdxl-turbo", "--model", tmp_path)
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        run("--model", tmp_path)


def test_the_embedded_generator_is_judged_by_its_pictures(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = {"exemplars": 2, "unseen": 3, "concepts": 8}
    decoder, refiner = PictureDecoder(N_DIMS, 5, 32, (16, 8)), PictureRefiner(N_DIMS, (8, 8))
    weights = GeneratorWeights(
        space=EMBEDDED_SPACE, size=32, decoder=decoder, refiner=refiner, steps=2, training={"settings": settings}
    )
    weights.save(tmp_path / "generator")
    arguments = ("--model", tmp_path / "generator", "--pictures", 4, "--device", "cpu")
    text = run(*arguments, "--json")
    result = json.loads(text[text.index("{") :])
    assert result["generator"] == "embedded"
    assert [row["steps"] for row in result["runs"]] == [3]
    assert 0 < result["ms_preview"] < result["ms_picture"] == result["runs"][0]["ms"]["p50"]
    for kind, n in (("known", 5), ("unseen", 3)):
        figures = result["identification"][kind]
        assert (figures["n_concepts"], result[f"two_way_{kind}"]) == (n, figures["two_way"])
        assert 0 <= figures["two_way"] <= 1
    text = run(*arguments, "--steps", 1, "--json")
    one = json.loads(text[text.index("{") :])
    assert one["ms_preview"] == one["ms_picture"]
    assert "5 known concepts" in run(*arguments)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_gpu_memory_and_compiled_runs(tiny_diffusion: ModuleType, tmp_path: Path) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, tmp_path)
    text = run("--model", tmp_path, "--steps", 1, "--size", 64, "--pictures", 3, "--compile", "--json")
    runs = json.loads(text[text.index("{") :])["runs"]
    assert [row["compiled"] for row in runs] == [False, True]
    assert all(row["peak_vram_gb"] > 0 for row in runs)
