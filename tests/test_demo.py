"""The demo from nothing: a person's first command, whole, with its figures measured and its control at chance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from necomimi.demo import summarise

pytestmark = [pytest.mark.lsl, pytest.mark.qt, pytest.mark.slow, pytest.mark.timeout(900)]

SECONDS = 12


def necomimi(*arguments: object) -> str:
    command = [sys.executable, "-m", "necomimi", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first_run(cache: Path) -> Path:
    out = cache / "first"
    text = necomimi("demo", "--headless", "--seconds", SECONDS, "--out", out, "--cache", cache)
    assert "unseen concepts" in text
    return out


def test_the_figures_are_there_and_far_above_chance(first_run: Path) -> None:
    summary = json.loads((first_run / "summary.json").read_text())
    assert summary["n_events"] == summary["n_retrievals"] + summary["n_refusals"]
    assert summary["n_retrievals"] > 2 * SECONDS
    assert summary["n_classes"] == 200
    assert summary["chance_top1"] == 1 / 200
    assert summary["top5"] >= 5 * 5 / 200
    assert summary["top1"] <= summary["top5"] <= 1
    assert summary["n_pictures"] + summary["n_pictures_dropped"] == summary["n_retrievals"]
    assert summary["n_pictures"] > 0
    assert 0 < summary["picture_ms"]["p50"] <= summary["picture_ms"]["p99"]
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"] <= summary["latency_ms"]["p99"]


def test_the_session_can_be_played_again(first_run: Path, cache: Path) -> None:
    picture = first_run / "again.png"
    arguments = ("--playback", first_run / "session.feed", "--seconds", SECONDS - 5, "--screenshot", picture)
    necomimi("view", *arguments, "--gallery", cache / "decoder")
    with Image.open(picture) as image:
        assert len(image.convert("RGB").getcolors(2**24)) > 500  # traces, pictures, words


def test_the_summary_is_what_the_log_says(first_run: Path) -> None:
    lines = [json.loads(line) for line in (first_run / "decisions.jsonl").read_text().splitlines()]
    summary = json.loads((first_run / "summary.json").read_text())
    again = summarise(lines, summary["first_decision_s"])
    assert json.loads(json.dumps(again)) == summary
    retrievals = [line for line in lines if line["type"] == "retrieval"]
    assert len(retrievals) == summary["n_retrievals"]
    pictures = [line for line in lines if line["type"] == "picture"]
    assert {line["stage"] for line in pictures} == {"one-stage", "two-stage"}
    assert {line["code"] for line in pictures} <= {line["code"] for line in retrievals}
    assert len([line for line in pictures if not line["preview"]]) == 2 * summary["n_pictures"]
    assert len({line["code"] for line in lines[1:-1]}) == summary["n_events"]


def test_the_viewer_has_drawn(first_run: Path) -> None:
    with Image.open(first_run / "viewer.png") as picture:
        assert picture.width >= 800
        assert len(picture.convert("RGB").getcolors(maxcolors=2**24)) > 1000  # type: ignore[arg-type]


def test_later_runs_start_at_once(first_run: Path, cache: Path) -> None:
    out = cache / "second"
    necomimi("demo", "--headless", "--seconds", 5, "--out", out, "--cache", cache)
    assert json.loads((out / "summary.json").read_text())["first_decision_s"] < 40


def test_shuffled_labels_give_chance(first_run: Path, cache: Path) -> None:
    necomimi(
        "train", "encoder", cache / "epochs", cache / "control", "--shuffle-labels", "--epochs", 10,
        "--gallery", cache / "gallery-training", "--test-gallery", cache / "gallery-test",
    )  # fmt: skip
    control, honest = (
        json.loads(necomimi("evaluate", cache / name, cache / "epochs", "--repetitions", "1", "--json"))["rows"][0]
        for name in ("control", "decoder")
    )
    assert control["top5_interval"][0] <= control["chance_top5"] <= control["top5_interval"][1] + 0.01
    assert control["top5"] < 2.5 * control["chance_top5"]
    assert honest["top5_interval"][0] > 4 * honest["chance_top5"]
