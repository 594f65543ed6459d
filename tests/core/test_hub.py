"""Decoders go to a hub and come back the same; their card says what they are; misses are told in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.gallery import Gallery
from necomimi.hub import model_card
from necomimi.preprocessing import Preprocessor

from .tiny_hub import tiny_hub

pytest.importorskip("huggingface_hub")

DATA = np.random.default_rng(0).normal(size=(4, 3, 150)).astype(np.float32)


def make(**training: object) -> Decoder:
    torch.manual_seed(1)
    gallery = Gallery.from_labels([f"label{i}" for i in range(8)])
    config = {"name": "multiblur", "n_chans": 3, "n_times": 150, "n_outputs": 8}
    preprocessor = Preprocessor(
        ch_names=("Pz", "Oz", "POz"), sfreq=250.0, tmin=-0.1, tmax=0.6, baseline=(-0.1, 0.0), start=0.0, n_times=150,
        spatial=np.eye(3, dtype=np.float32),
    )  # fmt: skip
    return Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space, logit_scale=7.0,
        gallery=gallery, training=training,
    )  # fmt: skip


def run(code: str, hub: str, cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program for which the hub is the one at an address; the library reads that once, when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(cache), "HF_TOKEN": "hf_test", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


PUSH = """
import sys
from necomimi.decoder import Decoder
print(Decoder.load(sys.argv[1]).push_to_hub("lab/decoder"))
"""
FETCH = """
import sys
import numpy as np
from necomimi.decoder import Decoder
from necomimi.errors import NecomimiError
try:
    decoder = Decoder.from_pretrained(sys.argv[1])
except NecomimiError as error:
    sys.exit(f"{type(error).__name__}: {error}")
np.save(sys.argv[3], decoder.embed(np.load(sys.argv[2])))
"""


def test_a_decoder_goes_to_the_hub_and_comes_back(tmp_path: Path) -> None:
    decoder = make(source="a test")
    decoder.save(tmp_path / "decoder")
    np.save(tmp_path / "data.npy", DATA)
    with tiny_hub() as hub:
        pushed = run(PUSH, hub.url, tmp_path / "cache-1", tmp_path / "decoder")
        assert pushed.returncode == 0, pushed.stderr
        assert "/lab/decoder/commit/" in pushed.stdout
        assert hub.private == {"lab/decoder": True}
        files = hub.repositories["lab/decoder"]
        assert {"README.md", "config.json", "encoder.safetensors", "gallery/config.json"} <= set(files)
        assert files["README.md"].decode().startswith("---\nlibrary_name:")
        files["weights.pkl"] = b"cos\nsystem\n"
        fetched = run(FETCH, hub.url, tmp_path / "cache-2", "lab/decoder", tmp_path / "data.npy", tmp_path / "out.npy")
        assert fetched.returncode == 0, fetched.stderr
        assert "weights.pkl" not in hub.fetched
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), decoder.embed(DATA), atol=1e-6)


def test_a_repository_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    with tiny_hub() as hub:
        done = run(FETCH, hub.url, tmp_path / "cache", "lab/nothing", "-", "-")
    assert done.returncode == 1
    assert done.stderr.startswith("CheckpointError: 'lab/nothing' is no decoder directory here")
    assert "hf auth login" in done.stderr


def test_a_folder_needs_no_hub(tmp_path: Path) -> None:
    decoder = make()
    decoder.save_pretrained(tmp_path / "decoder")
    back = Decoder.from_pretrained(tmp_path / "decoder")
    np.testing.assert_array_equal(back.embed(DATA), decoder.embed(DATA))
    back.save_pretrained(tmp_path / "decoder")  # over itself
    assert (tmp_path / "decoder" / "README.md").is_file()


def test_the_card_says_what_validation_found_beside_chance() -> None:
    best = {"top1": 0.25, "top5": 0.75}
    card = model_card(make(best=best, n_ways=40, val_concepts=["a"], source="one recording"))
    assert "top-1 25.0% (chance 2.5%), top-5 75.0% (chance 12.5%) of 40, held-out training concepts" in card
    assert "one recording" in card
    assert "| validation | not recorded |" in model_card(make())
