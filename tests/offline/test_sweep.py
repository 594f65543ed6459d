"""`necomimi sweep` goes on where it was killed, counts every job once, and sums up what there is."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from necomimi.cli import app
from necomimi.errors import DatasetError, NecomimiError
from necomimi.offline.jobs import read_records, write_record

CONFIG = """
epochs = 12
batch_size = 16
lr = 1e-2
noise = 0
smoothing = 0
truncation = 0
val_concepts = 4
device = "cpu"
options = {n_filters = 8, n_hidden = 16, dropout = [0.0, 0.0]}
"""


def arguments(people: Path, folder: Path, *more: str) -> list[str]:
    (folder / "sweep.toml").write_text(CONFIG)
    words = [people / "epochs" / "sub-01", folder / "out", "--gallery", people / "training"]
    words += ["--test-gallery", people / "test", "--config", folder / "sweep.toml", "--seeds", 2, *more]
    return ["sweep", *map(str, words)]


def run(*words: str) -> Any:
    """Run a command in this process; errors in words are raised."""
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


@pytest.fixture(scope="module")
def swept(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a sweep that was killed after its first job, with all its processes gone, and resumed."""
    folder = tmp_path_factory.mktemp("swept")
    words = [sys.executable, "-m", "necomimi", *arguments(people, folder, "--jobs", "1")]
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(words, stderr=said, cwd=folder)
    first = folder / "out" / "jobs" / "sub-01_multiblur_0.json"
    deadline = time.monotonic() + 120
    while not first.exists() or not psutil.Process(process.pid).children():  # until the second job is under way
        assert process.poll() is None, (folder / "said.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert len(read_records(folder / "out" / "jobs")) == 1
    written = first.stat().st_mtime_ns
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, cwd=folder, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 jobs are done already" in done.stderr
    assert first.stat().st_mtime_ns == written
    (folder / "summary.json").write_text(done.stdout)
    return folder


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_counts_each_job_once(swept: Path) -> None:
    summary = json.loads((swept / "summary.json").read_text())
    assert (summary["n_jobs"], summary["missing"], summary["seeds"]) == (2, [], [0, 1])
    assert [row["n_seeds"] for row in summary["rows"]] == [2, 2, 2]
    assert summary["rows"][-1]["top1"] >= 0.5  # chance is 1 of 6
    assert summary["failed_guards"] == {}
    with (swept / "out" / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["subject"], line["repetitions"]) for line in lines] == [
        (who, number) for who in ("sub-01", "mean") for number in ("1", "4", "all")
    ]
    assert float(lines[2]["top1"]) == summary["rows"][-1]["top1"]
    assert float(lines[2]["top1_2_way"]) == summary["rows"][-1]["k_way"]["2"]
    assert lines[5]["top1_low"] == ""  # one subject has no interval
    html = (swept / "out" / "report.html").read_text(encoding="utf-8")
    assert "multiblur" in html
    assert "sub-01" in html


@pytest.mark.slow
def test_a_sweep_that_is_done_trains_nothing_and_is_summed_up_again(people: Path, swept: Path) -> None:
    (swept / "out" / "summary.csv").unlink()
    for words in (arguments(people, swept), ["sweep", str(swept / "out")]):
        found = run(*words, "--json")
        assert found.exit_code == 0
        assert json.loads(found.stdout) == json.loads((swept / "summary.json").read_text())
    assert (swept / "out" / "summary.csv").exists()
    shown = run("sweep", str(swept / "out"))
    assert "within subject, 6-way; gallery: exact picture" in shown.stdout
    assert "sub-01" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conditions": "another"}, "with other galleries, another protocol or another version"),
        ({"leave_one_out": True}, "with other galleries, another protocol or another version"),
        ({"settings": {}}, "with other settings: encoder, options, epochs, "),
        ({"identity": "another"}, "with other epochs"),
    ],
)
def test_another_sweep_is_not_mixed_with_this(
    people: Path, swept: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    write_record(tmp_path / "out" / "jobs", {**read_records(swept / "out" / "jobs")[0], **changes})
    with pytest.raises(DatasetError, match=words):
        run(*arguments(people, tmp_path))


@pytest.mark.slow
def test_what_is_missing_and_what_failed_is_said(swept: Path, tmp_path: Path) -> None:
    first, second = read_records(swept / "out" / "jobs")
    write_record(tmp_path / "out" / "jobs", first)
    write_record(tmp_path / "out" / "jobs", {**second, "name": "sub-02_multiblur_1", "subject": "sub-02"})
    found = run("sweep", str(tmp_path / "out"))
    assert found.exit_code == 0
    assert "2 jobs without a result: sub-01_multiblur_1, sub-02_multiblur_0" in " ".join(found.stderr.split())
    failed = {"name": "gallery in the order of its files", "passed": False, "detail": "it is not"}
    write_record(tmp_path / "out" / "jobs", {**first, "guards": [failed]})
    found = run("sweep", str(tmp_path / "out"))
    assert found.exit_code == 1
    assert "sub-01_multiblur_0: these checks failed: gallery in the order of its files" in " ".join(
        found.stderr.split()
    )


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["EPOCHS"], "no OUT, and .* is not the folder of an earlier sweep"),
        (["EPOCHS", "OUT", "--encoders", "nobody", "--gallery", "GALLERY", "--test-gallery", "TEST"], "nobody"),
        (["EPOCHS", "OUT"], "no gallery of them is given"),
    ],
)
def test_mistakes_are_answered_in_words(people: Path, tmp_path: Path, words: list[str], answer: str) -> None:
    places = {
        "EPOCHS": people / "epochs", "OUT": tmp_path / "out",
        "GALLERY": people / "training", "TEST": people / "test",
    }  # fmt: skip
    with pytest.raises(NecomimiError, match=answer):
        run("sweep", *(str(places.get(word, word)) for word in words))
    assert not (tmp_path / "out").exists()
