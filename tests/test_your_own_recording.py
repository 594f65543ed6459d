"""The tutorial "Your own recording", on real EEG: its own commands, with live equal to offline."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from necomimi.decoder import Decoder
from necomimi.epochs import Epochs

pytestmark = [pytest.mark.lsl, pytest.mark.slow, pytest.mark.timeout(400)]

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "your-own-recording.md"
LEAST_AUC = 0.88
SPEED = 4.0  # the tutorial plays at 1; the stamps are as true at 4, and the test four times shorter


def commands(folder: Path, recording: Path) -> dict[str, list[str]]:
    """Return the tutorial's commands by sub-command, with its file names put into `folder`."""
    found = {}
    for line in TUTORIAL.read_text(encoding="utf-8").splitlines():
        if line.startswith("necomimi "):
            words = shlex.split(line)[1:]
            places = {"recording.fif": str(recording)}
            places |= {name: str(folder / name) for name in ("epochs", "decoder", "decisions.jsonl")}
            found.setdefault(words[0], [places.get(word, word) for word in words])
    return found


def start(words: list[str], *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "necomimi", *words, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(words: list[str], *more: str) -> str:
    process = start(words, *more)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    return text


@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_tutorial_on_real_eeg(subject: str, shared_data: Path, tmp_path: Path) -> None:
    recording = shared_data / "p300" / f"{subject}_task-p300_raw.fif"
    if not recording.exists():
        pytest.skip(f"real recordings absent: no file {recording}")
    steps = commands(tmp_path, recording)
    run(steps["preprocess"])
    run(steps["train"])
    decoder, epochs = Decoder.load(tmp_path / "decoder"), Epochs.load(tmp_path / "epochs")
    assert epochs.test is not None
    offline = decoder.embed(epochs.test.data)
    offline_auc = auc(*decoder.retrieve(offline, 2), epochs.test.labels)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        feed = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    replay = start(steps["replay"], "--speed", str(SPEED))
    try:
        text = run(steps["decode"], "--feed", feed, "--exit-when-lost", "2", "--log-embeddings", "--timeout", "30")
    finally:
        replay.terminate()
        replay.communicate(timeout=20)
    _, *decisions, summary = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    assert summary["n_events"] == summary["n_retrievals"] + summary["n_refusals"] == len(decisions), text
    retrievals = [d for d in decisions if d["type"] == "retrieval"]
    assert set(summary["refusals"]) <= {"incomplete"}, text  # the first and last events, cut off by the ends
    assert len(retrievals) == len(epochs.test)

    live = np.array([d["embedding"] for d in retrievals])
    assert tuple(d["label"] for d in retrievals) == epochs.test.labels
    assert (np.linalg.norm(live - offline, axis=1) / np.linalg.norm(offline, axis=1)).max() < 1e-4
    live_auc = auc([d["labels"] for d in retrievals], [d["scores"] for d in retrievals], epochs.test.labels)
    assert live_auc >= LEAST_AUC
    assert abs(live_auc - offline_auc) < 0.01
    report = run(["evaluate", "--decisions", str(tmp_path / "decisions.jsonl"), "--json"])
    assert json.loads(report[report.index("{") :])["auc"] == pytest.approx(live_auc, abs=1e-6)


def auc(labels: object, scores: object, truth: tuple[str, ...]) -> float:
    """Return the area under the curve of the probability of "target"."""
    probability = [dict(zip(names, row, strict=True))["target"] for names, row in zip(labels, scores, strict=True)]  # type: ignore[call-overload]
    return float(roc_auc_score(np.array(truth) == "target", probability))
