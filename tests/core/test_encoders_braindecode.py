"""Models of braindecode are encoders: sizes, options, own bias, decoders; what cannot be is said in words."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import Encoder, build
from necomimi.errors import CheckpointError, ConfigError
from necomimi.preprocessing import Preprocessor

SIZES = {"n_chans": 8, "n_times": 200, "n_outputs": 24}


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    if "without" not in request.node.name:
        pytest.importorskip("braindecode")


def make(name: str = "EEGNet", **options: object) -> Encoder:
    torch.manual_seed(0)
    return build(f"braindecode:{name}", **SIZES, **options)


@pytest.mark.parametrize("name", ["EEGNet", "ShallowFBCSPNet", "EEGConformer"])
def test_model_is_an_encoder(name: str) -> None:
    encoder, x = make(name), torch.randn(4, 8, 200)
    encoder(x).square().sum().backward()
    for key, parameter in encoder.named_parameters():
        assert key == "logit_scale" or torch.isfinite(parameter.grad).all(), key
    with torch.no_grad():
        encoder.eval()
        before = encoder(x)
        assert before.shape == (4, 24)
        torch.testing.assert_close(torch.cat([encoder(row[None]) for row in x]), before, rtol=1e-4, atol=1e-5)
        encoder.output_bias.add_(1.5)
        torch.testing.assert_close(encoder(x), before + 1.5)


def test_decoder_directory_round_trip(tmp_path: Path) -> None:
    encoder = make(F1=4)
    preprocessor = Preprocessor(
        ch_names=tuple("ABCDEFGH"),
        sfreq=250.0,
        tmin=-0.1,
        tmax=0.7,
        baseline=None,
        start=-0.1,
        n_times=200,
        spatial=np.eye(8, dtype=np.float32),
    )
    config = {"name": "braindecode:EEGNet", **SIZES, "F1": 4}
    decoder = Decoder(encoder_config=config, encoder=encoder, preprocessor=preprocessor, space="any", logit_scale=7.0)
    decoder.save(tmp_path / "decoder")
    data = np.random.default_rng(0).normal(size=(3, 8, 200)).astype(np.float32)
    back = Decoder.load(tmp_path / "decoder")
    np.testing.assert_array_equal(back.embed(data), decoder.embed(data))
    decoder.encoder_config["F1"] = 8
    decoder.save(tmp_path / "other")
    with pytest.raises(CheckpointError, match="do not load"):
        Decoder.load(tmp_path / "other")


def test_several_people() -> None:
    encoder, x = make(n_subjects=2).eval(), torch.randn(3, 8, 200)
    with torch.no_grad():
        encoder.subject_wise_linear[1].weight.mul_(2)
        found = encoder(x, torch.tensor([0, 1, 0]))
        torch.testing.assert_close(found[[0, 2]], encoder.encode(x)[[0, 2]])
        torch.testing.assert_close(found[1], encoder.encode(2 * x)[1])
        assert (found[1] - encoder.encode(x)[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("Oracle", {}, r"no model 'Oracle'[\s\S]*EEGNet"),
        ("EEGNet", {"colour": 1}, r"options colour[\s\S]*drop_prob"),
        ("SCCNet", {}, r"8 channels and 200 samples[\s\S]*sfreq = 250"),
        ("Labram", {"patch_size": 7}, "takes no epochs of 8 channels"),
    ],
)
def test_what_cannot_be_is_said_in_words(name: str, options: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(name, **options)


def test_rate_is_an_option() -> None:
    assert make("SCCNet", sfreq=250)(torch.randn(2, 8, 200)).shape == (2, 24)


def test_without_braindecode_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "braindecode.models.util", None)
    with pytest.raises(ConfigError, match=r"necomimi\[braindecode\]"):
        make()
