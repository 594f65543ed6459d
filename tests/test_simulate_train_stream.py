"""The first tutorial, docs/simulate-train-stream.md: its own lines, from an empty folder to a decoder above chance."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from necomimi.intervals import wilson
from necomimi.programs import free_port

from .pages import DOCS, command_lines, run, run_live, words_of

pytestmark = [pytest.mark.lsl, pytest.mark.qt, pytest.mark.slow, pytest.mark.timeout(600)]

CHANCE = 5 / 20


def accuracies(text: str) -> list[str]:
    """Return the first row's top-1 and top-5 of a table, as printed."""
    return re.findall(r"\d+\.\d% \(\d+\.\d-\d+\.\d\)", text)[:2]


def test_the_page_from_an_empty_folder(tmp_path: Path) -> None:
    lines = [words_of(line) for line in command_lines((DOCS / "simulate-train-stream.md").read_text(encoding="utf-8"))]
    feed = ["--feed", f"tcp://127.0.0.1:{free_port()}"]  # the one thing that is added: another decoder may run here
    said, live = {}, {}
    for words in lines:
        if words[0] not in ("replay", "view", "decode"):
            said[" ".join(words[:2])] = run(words, tmp_path)
            continue
        live[words[0]] = words if words[0] == "replay" else [*words, *feed]
        if words[0] == "decode":  # the last of the three, which sets the others going
            said["decode"] = run_live(live["replay"], live["decode"], tmp_path, view=live["view"])

    assert [words[0] for words in lines] == [
        "simulate", "preprocess", "embed", "embed", "train", "evaluate", "replay", "view", "decode", "evaluate",
    ]  # fmt: skip
    _, *decisions, summary = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    assert len(decisions) == summary["n_events"] == summary["n_retrievals"] == 80, said["decode"]
    hits = sum(decision["label"] in decision["labels"] for decision in decisions)
    assert wilson(hits, 80)[0] > CHANCE + 0.05
    assert "6 checks passed" in said["evaluate decoder"]
    offline, online = accuracies(said["evaluate decoder"]), accuracies(said["evaluate --decisions"])
    assert len(online) == 2
    assert online == offline
    assert f"{hits / 80:.1%}" in online[1]
    assert (tmp_path / "report.html").stat().st_size > 10_000
    with Image.open(tmp_path / "viewer.png") as picture:
        assert len(picture.convert("RGB").getcolors(maxcolors=2**24)) > 1000  # type: ignore[arg-type]
