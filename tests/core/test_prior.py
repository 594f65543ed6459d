"""A prior keeps the unit norm, draws by its seed alone, does the published diffusion, and comes back with a decoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from necomimi.decoder import Decoder
from necomimi.decoder_files import write_prior
from necomimi.encoders import build
from necomimi.errors import CheckpointError, ConfigError
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor
from necomimi.prior import KINDS, Kind, Prior
from necomimi.prior_networks import DDPMNetwork, FlowNetwork, waves

LABELS = Gallery.from_labels([f"label{i}" for i in range(6)])
N_DIMS = 6
RNG = np.random.default_rng(0)


def unit(n: int) -> np.ndarray:
    vectors = RNG.normal(size=(n, N_DIMS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make(kind: Kind, **options: object) -> Prior:
    torch.manual_seed(0)
    prior = Prior(kind, N_DIMS, source_space=LABELS.space, space="pictures", **options)  # type: ignore[arg-type]
    for name in ("source_mean", "image_mean"):
        getattr(prior, name).normal_(0, 0.1)
    for name in ("source_std", "image_std"):
        getattr(prior, name).uniform_(0.2, 0.5)
    return prior.eval()


def make_decoder(prior: Prior | None) -> Decoder:
    config = {"name": "multiblur", "n_chans": 3, "n_times": 16, "n_outputs": N_DIMS, "n_hidden": 8}
    preprocessor = Preprocessor(
        ch_names=("A", "B", "C"), sfreq=100.0, tmin=0.0, tmax=0.15, baseline=None, start=0.0, n_times=16,
        spatial=np.eye(3, dtype=np.float32),
    )  # fmt: skip
    return Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=LABELS.space, logit_scale=7.0,
        prior=prior,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_one_is_many_by_its_seed_alone(kind: Kind) -> None:
    prior, vectors = make(kind), unit(5)
    seeds = [3, 1, 4, 1, 5]
    many = prior.to_image_space(vectors, seeds)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, rtol=1e-5)
    for one, vector, seed in zip(many, vectors, seeds, strict=True):
        np.testing.assert_allclose(prior.to_image_space(vector[None], [seed])[0], one, atol=1e-5)
    other = prior.to_image_space(vectors, [9, 1, 9, 1, 9])
    changed = np.abs(other - many).max(axis=1) > 1e-4
    assert changed.tolist() == ([False] * 5 if kind == "regression" else [True, False, True, False, True])
    np.testing.assert_array_equal(prior.to_image_space(vectors), prior.to_image_space(vectors, [0] * 5))
    assert prior.to_image_space(vectors[:0]).shape == (0, N_DIMS)


def test_calibration_gives_the_mean_and_spread_of_pictures() -> None:
    prior = Prior("regression", N_DIMS, source_space="a", space="b", mapped=True)
    vectors, turn = unit(200), np.linalg.qr(RNG.normal(size=(N_DIMS, N_DIMS)))[0].astype(np.float32)
    prior.matrix.copy_(torch.tensor(turn))  # type: ignore[union-attr]
    turned = vectors @ turn
    prior.source_mean.copy_(torch.tensor(turned.mean(axis=0)))
    prior.source_std.copy_(torch.tensor(turned.std(axis=0)))
    prior.image_mean.copy_(torch.arange(6.0))
    prior.image_std.copy_(torch.arange(1.0, 7.0))
    expected = np.arange(6.0) + (turned - turned.mean(axis=0)) / turned.std(axis=0) * np.arange(1.0, 7.0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(prior.to_image_space(vectors), expected, atol=1e-5)


@pytest.mark.parametrize("network", [FlowNetwork, DDPMNetwork])
def test_guidance_goes_past_the_condition_in_one_forward(network: type[FlowNetwork]) -> None:
    torch.manual_seed(0)
    net = network(N_DIMS).eval()
    x, condition, sizes = torch.randn(3, N_DIMS), torch.randn(3, N_DIMS), list[int]()
    time = torch.full((3,), 0.5)
    known = net(x, time, condition, torch.ones(3, dtype=torch.bool))
    without = net(x, time, condition, torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(net(x, time, condition + 1, torch.zeros(3, dtype=torch.bool)), without)
    assert (known - without).abs().max() > 1e-3
    net.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    torch.testing.assert_close(net.guided(x, 0.5, condition, 3.0), without + 3 * (known - without))
    torch.testing.assert_close(net.guided(x, 0.5, condition, 1.0), known)
    assert sizes == [6, 3]


def test_a_flow_ends_where_its_network_points() -> None:
    class Known(FlowNetwork):
        def forward(self, x, time, condition, given):  # type: ignore[no-untyped-def]
            seen.append(float(time[0]))
            return condition

    seen: list[float] = []
    net, condition = Known(N_DIMS), torch.randn(2, N_DIMS)
    torch.testing.assert_close(net.sample(torch.randn(2, 1, N_DIMS), condition, 4, 1.0), condition)
    assert seen == [0, 0.25, 0.5, 0.75]


def test_the_diffusion_is_the_published_one() -> None:
    diffusers = pytest.importorskip("diffusers")
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    assert sum(weight.numel() for weight in DDPMNetwork(1024).parameters()) == 9_675_648  # 9.7 M in the paper's code
    times = torch.tensor([0.0, 20.0, 999.0])
    torch.testing.assert_close(waves(times, 512), embeddings.Timesteps(512, True, 0)(times), atol=2e-4, rtol=0)
    torch.manual_seed(0)
    net, steps, n = DDPMNetwork(N_DIMS).eval(), 50, 3
    noise, condition = torch.randn(n, net.n_draws(steps), N_DIMS), torch.randn(n, N_DIMS)
    scheduler = diffusers.DDPMScheduler(clip_sample=False)
    scheduler.set_timesteps(steps)
    x = noise[:, 0]
    with torch.inference_mode():
        for step, time in enumerate(scheduler.timesteps):
            predicted = net.guided(x, float(time), condition, 2.0)
            quiet = torch.Generator().manual_seed(0)
            found = scheduler.step(predicted, int(time), x, generator=quiet).prev_sample
            if step < steps - 1:  # the scheduler's own noise in place of ours
                drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
                scale = scheduler._get_variance(int(time)) ** 0.5
                found = found + scale * (noise[:, step + 1] - drawn)
            x = found
        torch.testing.assert_close(net.sample(noise, condition, steps, 2.0), x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_keeps_its_prior(kind: Kind, tmp_path: Path) -> None:
    prior, vectors = make(kind, mapped=True, training={"seed": 3}), unit(4)
    decoder = make_decoder(None)
    decoder.save(tmp_path / "d")
    assert Decoder.load(tmp_path / "d").prior is None
    (tmp_path / "d" / "last.safetensors").write_bytes(b"stays")
    write_prior(prior, tmp_path / "d")
    assert (tmp_path / "d" / "last.safetensors").read_bytes() == b"stays"
    back = Decoder.load(tmp_path / "d")
    assert back.prior is not None
    assert back.prior.config == prior.config
    np.testing.assert_array_equal(
        back.to_image_space(vectors, [1, 2, 3, 4]), prior.to_image_space(vectors, [1, 2, 3, 4])
    )
    back.save(tmp_path / "e")
    np.testing.assert_array_equal(Decoder.load(tmp_path / "e").to_image_space(vectors), back.to_image_space(vectors))
    back.save(tmp_path / "d")
    assert not list((tmp_path / "d").glob("*.partial"))
    with pytest.raises(ConfigError, match="necomimi train prior"):
        decoder.to_image_space(vectors)


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    prior, vectors = make("flow"), unit(2)
    for wrong in (vectors[:, :5], vectors[0], np.full_like(vectors, np.nan)):
        with pytest.raises(ConfigError, match=r"shape|finite"):
            prior.to_image_space(wrong)
    with pytest.raises(ConfigError, match="3 seeds"):
        prior.to_image_space(vectors, [1, 2, 3])
    for options in ({"kind": "magic"}, {"kind": "flow", "steps": 0}, {"kind": "regression", "guidance": 2.0}):
        with pytest.raises(ConfigError, match=r"magic|0 steps|without guidance"):
            make(**options)  # type: ignore[arg-type]
    foreign = Prior("regression", N_DIMS, source_space="elsewhere", space="pictures")
    with pytest.raises(CheckpointError, match="elsewhere"):
        make_decoder(foreign)
    make_decoder(prior).save(tmp_path / "d")
    weights, config = tmp_path / "d/prior/prior.safetensors", tmp_path / "d/prior/config.json"
    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if name != "image_std"}, weights)
    with pytest.raises(CheckpointError, match="image_std"):
        Decoder.load(tmp_path / "d")
    save_file(tensors, weights)
    for change in ({"kind": "magic"}, {"n_dims": "six"}, {"speed": 3}):
        good = config.read_text()
        config.write_text(json.dumps(json.loads(good) | change))
        with pytest.raises(CheckpointError, match="does not describe a prior"):
            Decoder.load(tmp_path / "d")
        config.write_text(good)
