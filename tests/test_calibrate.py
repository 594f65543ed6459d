"""A rehearsal from nothing: signal, presentation, recording, training, judgement and the proof, over real LSL."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from necomimi.decoder import Decoder
from necomimi.epochs import Epochs
from necomimi.gallery import Gallery

pytestmark = [pytest.mark.lsl, pytest.mark.qt, pytest.mark.slow, pytest.mark.timeout(600)]

N_PICTURES, N_REPETITIONS = 40, 2


def rehearse(out: Path) -> str:
    command = [
        sys.executable, "-m", "necomimi", "calibrate", "--rehearse", "--headless", "--out", out, "--folds", "2",
        "--limit", N_PICTURES, "--repetitions", N_REPETITIONS, "--live-seconds", "5",
    ]  # fmt: skip
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_rehearsal_ends_with_a_decoder_and_an_honest_result(tmp_path: Path) -> None:
    out = tmp_path / "calibration"
    said = rehearse(out)
    result = json.loads((out / "result.json").read_text())
    assert 0.9 * N_PICTURES * N_REPETITIONS <= result["n_epochs"] <= N_PICTURES * N_REPETITIONS
    assert (result["n_ways"], result["n_concepts"]) == (20, N_PICTURES)
    assert (result["chance_top1"], result["chance_top5"]) == (0.05, 0.25)
    for figures in (result, result["single"], result["live"]):
        for top in ("top1", "top5"):
            low, high = figures["intervals"][top]
            assert 0 <= low <= figures[top] <= high <= 1
    assert result["usable"] == result["sentence"].startswith("usable: ")
    assert result["sentence"] in said.replace("\n", " ")
    assert result["live"]["n_classes"] == 20
    assert 15 <= result["live"]["n_queries"] + result["live"]["n_refusals"] <= 20
    decoder, epochs = Decoder.load(out / "decoder"), Epochs.load(out / "epochs")
    assert epochs.bads == tuple(result["bad_channels"])
    assert len(decoder.classes) == N_PICTURES
    assert not set(Gallery.load(out / "gallery-live").labels) & set(epochs.train.labels)
    decisions = (out / "logs" / "live" / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    markers = {line["label"] for line in map(json.loads, decisions) if "label" in line}
    assert markers <= set(Gallery.load(out / "gallery-live").labels)

    started = time.monotonic()
    again = rehearse(out)
    assert time.monotonic() - started < 60  # nothing was done again
    assert " ".join(again.split()).count("kept from an earlier run") == 8
    assert json.loads((out / "result.json").read_text()) == result
