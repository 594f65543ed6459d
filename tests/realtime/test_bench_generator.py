"""`necomimi bench generator` as a script meets it, on tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from typer.testing import CliRunner

from necomimi.errors import CheckpointError, ConfigError
from necomimi.realtime.bench import app


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["generator", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_figures_for_each_number_of_steps(tiny_diffusion: ModuleType, tmp_path: Path) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, tmp_path)
    arguments = ("--model", tmp_path, "--steps", "1,4", "--size", 64, "--pictures", 5, "--batch", 2, "--device", "cpu")
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
        run("--compile", "--random-weights", "--device", "cpu")
    with pytest.raises(CheckpointError, match="not in"):
        run("--model", tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_gpu_memory_and_compiled_runs(tiny_diffusion: ModuleType, tmp_path: Path) -> None:
    tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, tmp_path)
    text = run("--model", tmp_path, "--steps", 1, "--size", 64, "--pictures", 3, "--compile", "--json")
    runs = json.loads(text[text.index("{") :])["runs"]
    assert [row["compiled"] for row in runs] == [False, True]
    assert all(row["peak_vram_gb"] > 0 for row in runs)
