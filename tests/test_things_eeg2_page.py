"""The page docs/things-eeg2.md, line by line, on two small simulated people: raw files to reports, and live."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from necomimi.cli import app
from necomimi.programs import free_port

from .pages import DOCS, blocks, command_lines, run_live, words_of

pytestmark = [pytest.mark.lsl, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (DOCS / "things-eeg2.md").read_text(encoding="utf-8")
NOT_HERE = {"download": "it fetches 100 GB; tests/offline/test_download.py runs it against a server that fails"}
# What a line of the page is shortened by: pattern -> what stands in its place. Nothing else is changed.
SHORTER = {
    r" --model open_clip:\S+( --layer 11)?": "",  # weights of 4 GB; the embedded network has no layers to choose from
    r"--levels \S+": "--levels 1,9,21",
    r"^(train encoder .*)": r"\1 --epochs 2 --batch-size 64",
    r"--encoders nice,muse,atms,nervformer,nerv,multiblur (.*)": r"--encoders nice,multiblur \1 --seeds 1 --epochs 1",
    r"--encoders multiblur --leave-one-out (.*)": r"--encoders multiblur --leave-one-out \1 --seeds 1 --epochs 1",
    r"^(map .*)": r"\1 --step 500 --epochs 1",
    r"^(perturb .*)": r"\1 --seeds 1",
}
LIVE = ("replay", "decode", "view")  # the viewer is run by the first tutorial's test


def shortened(line: str) -> str:
    """Return a line of the page with less to do."""
    line = line.removeprefix("necomimi ")
    for pattern, words in SHORTER.items():
        line = re.sub(pattern, words, line)
    return line


def run(line: str) -> str:
    """Run a line in this process, in the current folder."""
    result = CliRunner().invoke(app, words_of(f"necomimi {line}"), catch_exceptions=False)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which all lines of the page were run, in order, up to the live ones."""
    folder = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    np.save(folder / "scores.npy", np.eye(20) + rng.normal(scale=0.5, size=(20, 20)))
    (recipe,) = blocks(PAGE, "toml")
    (folder / "blurred.toml").write_text(recipe, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in map(shortened, command_lines(PAGE)):
            if line.split()[0] not in (*NOT_HERE, *LIVE) and "--decisions" not in line:
                run(line)
    return folder


def test_raw_files_become_epochs_and_decoders(folder: Path) -> None:
    for person in ("sub-01", "sub-02"):
        assert (folder / "subjects" / person / "train.npy").exists()
        assert (folder / "decoders" / person / "encoder.safetensors").exists()
    assert (folder / "pooled" / "subjects.safetensors").exists()
    assert (folder / "blurred" / "adapter.safetensors").exists()


@pytest.mark.parametrize("kind", ["Decoder", "Gallery", "Epochs"])
def test_the_page_on_folders_names_every_file_and_key(kind: str, folder: Path) -> None:
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    known = set(re.findall(r"`([\w.-]+)`", page[page.index(f"## {kind}") :].split("\n## ")[0])) | {"format", "version"}
    places = {
        "Decoder": ("decoders/sub-01", "pooled", "blurred"),
        "Gallery": ("training-gallery", "training-levels"),
        "Epochs": ("subjects/sub-01",),
    }
    for place in places[kind]:
        names = {path.name for path in (folder / place).iterdir()}
        keys = set(json.loads((folder / place / "config.json").read_text(encoding="utf-8")))
        assert names | keys <= known, place


def test_tables_and_reports_are_there(folder: Path) -> None:
    for report in ("decoder.html", "perturb.html", "map/report.html", "results/report.html", "across/report.html"):
        assert "<html" in (folder / report).read_text(encoding="utf-8"), report
    assert (folder / "features.safetensors").stat().st_size > 1000
    with (folder / "decoder.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) > 0
    for name, encoders in (("results", 2), ("across", 1)):
        assert len(list((folder / name / "jobs").glob("*.json"))) == 2 * encoders
        with (folder / name / "summary.csv").open(newline="", encoding="utf-8") as file:
            assert {row["subject"] for row in csv.DictReader(file)} == {"sub-01", "sub-02", "mean"}


def test_the_live_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {line.split()[1]: words_of(line) for line in command_lines(PAGE) if line.split()[1] in LIVE}
    feed = ["--feed", f"tcp://127.0.0.1:{free_port()}"]  # another decoder may run here
    text = run_live([*lines["replay"], "--speed", "2"], [*lines["decode"], *feed], folder)
    _, *decisions, summary = [json.loads(line) for line in (folder / "decisions.jsonl").read_text().splitlines()]
    assert summary["n_retrievals"] == len(decisions) == 80, text
    monkeypatch.chdir(folder)
    (line,) = (line for line in command_lines(PAGE) if "--decisions" in line)
    assert "live decisions, 0 refusals" in run(shortened(line))
