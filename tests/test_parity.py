"""Real programs, real LSL: what is decoded live from raw files and from epochs is what offline says of them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.epochs import Epochs
from necomimi.gallery import Gallery

pytestmark = [pytest.mark.lsl, pytest.mark.slow]


def necomimi(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "necomimi", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(*arguments: object) -> None:
    process = necomimi(*arguments)
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0, text


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small simulated subject, its epochs, and a decoder that nobody has trained."""
    root = tmp_path_factory.mktemp("parity")
    run(
        "simulate", root / "raw", "--concepts", 6, "--test-concepts", 10, "--pictures", 2, "--repetitions", 2,
        "--test-repetitions", 2, "--sessions", 1,
    )  # fmt: skip
    run("preprocess", root / "raw", root / "epochs")
    epochs = Epochs.load(root / "epochs")
    assert epochs.test is not None
    gallery = Gallery.from_labels(epochs.test.labels)
    torch.manual_seed(0)
    config = {"name": "nice", "n_chans": 63, "n_times": 250, "n_outputs": gallery.n_dims}
    decoder = Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=epochs.preprocessor, space=gallery.space,
        logit_scale=5.0, gallery=gallery,
    )  # fmt: skip
    decoder.save(root / "decoder")
    return root


@pytest.mark.parametrize("source", ["raw", "epochs"])
def test_live_is_offline(subject: Path, source: str) -> None:
    log = subject / f"{source}.jsonl"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        feed = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    replay = necomimi("replay", subject / source, "--speed", 2)
    try:
        run(
            "decode", subject / "decoder", "--log", log, "--log-embeddings", "--feed", feed, "--timeout", 30,
            "--exit-when-lost", 1,
        )  # fmt: skip
    finally:
        replay.terminate()
        replay.communicate(timeout=20)
    _, *decisions, summary = [json.loads(line) for line in log.read_text().splitlines()]
    epochs = Epochs.load(subject / "epochs")
    assert epochs.test is not None
    assert summary["n_refusals"] == 0, summary
    assert summary["n_events"] == len(decisions) >= len(epochs.test)
    offline: dict[str, list[np.ndarray]] = {}
    for label, vector in zip(
        epochs.test.labels, Decoder.load(subject / "decoder").embed(epochs.test.data), strict=True
    ):
        offline.setdefault(label, []).append(vector)
    matched = 0
    for decision in decisions:  # a surplus repetition is played, though it is not among the epochs
        live = np.array(decision["embedding"])
        distances = [np.linalg.norm(live - vector) for vector in offline[decision["label"]]]
        matched += min(distances) < 1e-4
    assert matched == len(epochs.test)
