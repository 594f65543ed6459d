"""`necomimi download` of a generator's weights: the licence first, then the right files, and failures in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from necomimi.diffusion_choices import CHOICES
from necomimi.errors import ConfigError, NecomimiError
from necomimi.offline.download import command
from necomimi.offline.download_generator import download_generator

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install 'necomimi[diffusion]'")
app = typer.Typer()
app.command()(command)


@pytest.mark.parametrize(("name", "steps"), [(name, steps) for name in CHOICES for steps in (1, 4)])
def test_licence_then_the_files_that_loading_asks_for(
    name: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    choice = CHOICES[name]
    asked: dict[str, tuple[list[str], Path]] = {}

    def hub(repository: str, allow_patterns: list[str], local_dir: Path) -> None:
        shown = " ".join(capfd.readouterr().err.split())
        if not asked:
            assert choice.licence in shown
        asked[repository] = allow_patterns, local_dir

    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    download_generator(name, steps, tmp_path)
    for repository, files in choice.files(steps).items():
        patterns, folder = asked[repository]
        assert set(files) <= set(patterns)
        assert folder == tmp_path / repository.rpartition("/")[2]
    assert set(choice.text_files) <= set(asked[choice.base][0])
    assert not [pattern for patterns, _ in asked.values() for pattern in patterns if "image_encoder" in pattern]


def test_hub_out_of_reach_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(NecomimiError, match="cannot be had") as caught:
        download_generator("sd15", 1, tmp_path)  # the tests run with HF_HUB_OFFLINE=1
    assert "the same command again" in caught.value.remedy


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sdxl-turbo", "--subjects", "1"], "--subjects, --kind"),
        (["sdxl-turbo", "--steps", "9"], "9 steps of sdxl-turbo"),
        (["things-eeg2", "--steps", "1"], "--steps with the data set things-eeg2"),
        (["sdxl-turbos"], "data set 'sdxl-turbos'"),
    ],
)
def test_options_of_the_other_kind_are_refused(arguments: list[str], words: str) -> None:
    result: Any = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert words in str(result.exception)
