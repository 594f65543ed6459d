"""Encoders have the published sizes and keys, compute what the published layers compute, and take any epoch."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from necomimi.encoders import build, names
from necomimi.encoders.attention import ChannelAttention, PositionCode
from necomimi.encoders.blocks import KERNEL, POOL, STRIDE, WIDE, STConv, TSConv, n_tokens, wide_kernel
from necomimi.errors import ConfigError

THINGS = {"n_chans": 63, "n_times": 250, "n_outputs": 1024}
# multiblur: filters 63 * 25, norm 2 * 25, layers along time 250 * 200 + 200 and 200 * 200 + 200,
# head 25 * 200 * 1024 + 1024: 5,213,049; logit_scale adds 1
PARAMETERS = {
    "atms": 2_970_202,
    "multiblur": 5_213_050,
    "muse": 2_571_633,
    "nerv": 11_882_090,
    "nervformer": 11_542_801,
    "nice": 2_630_913,
}
PATCHED = ("atms", "muse", "nerv", "nervformer", "nice")
BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
HEAD = {"proj_eeg.0": ("weight", "bias"), "proj_eeg.1.fn.1": ("weight", "bias"), "proj_eeg.2": ("weight", "bias")}
TEMPORAL_FIRST = {"0": ("weight", "bias"), "2": BATCH_NORM, "4": ("weight", "bias"), "5": BATCH_NORM}
SPATIAL_FIRST = {"0": ("weight", "bias"), "1": BATCH_NORM, "3": ("weight", "bias"), "5": BATCH_NORM}
ATTENTION = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
OVER_TIME = {
    "attention_model.transformer_encoder.layers.0.self_attn": ATTENTION,
    **{
        f"attention_model.transformer_encoder.layers.0.{name}": ("weight", "bias")
        for name in ("linear1", "linear2", "norm1", "norm2")
    },
    "subject_wise_linear.0": ("weight", "bias"),
}
DUAL = {
    **{f"enc_eeg.tsconv.{i}": keys for i, keys in TEMPORAL_FIRST.items()},
    **{f"enc_eeg.stconv.{i}": keys for i, keys in SPATIAL_FIRST.items()},
    **{f"enc_eeg.{name}": ATTENTION for name in ("self_attn_ts", "self_attn_st", "cross_attn")},
    **{
        f"enc_eeg.{name}": ("weight", "bias")
        for name in ("norm1", "norm2", "norm3", "feed_forward.1", "feed_forward.4")
    },
}
SINGLE = {
    **{f"enc_eeg.0.tsconv.{i}": keys for i, keys in TEMPORAL_FIRST.items()},
    "enc_eeg.0.projection.0": ("weight", "bias"),
}
MUSE_FRONT = {
    **{f"enc_eeg.stconv.{i}": keys for i, keys in SPATIAL_FIRST.items()},
    "enc_eeg.projection.0": ("weight", "bias"),
}
PUBLISHED: dict[str, Mapping[str, tuple[str, ...]]] = {
    "atms": OVER_TIME | SINGLE | HEAD,
    "muse": MUSE_FRONT | HEAD,
    "nerv": OVER_TIME | DUAL | HEAD,
    "nervformer": DUAL | HEAD,
    "nice": SINGLE | HEAD,
}


def make(name: str, n_chans: int = 8, n_times: int = 120, n_outputs: int = 32) -> nn.Module:
    torch.manual_seed(0)
    return build(name, n_chans=n_chans, n_times=n_times, n_outputs=n_outputs)


def batch(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_every_encoder_is_tested() -> None:
    assert set(names()) == set(PARAMETERS)


@pytest.mark.parametrize("name", names())
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        encoder = build(name, **THINGS)
    assert sum(p.numel() for p in encoder.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", PATCHED)
def test_state_dict_keys_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        encoder = build(name, **THINGS)
    expected = {f"{module}.{key}" for module, keys in PUBLISHED[name].items() for key in keys} | {"logit_scale"}
    assert set(encoder.state_dict()) == expected


def plain(block: nn.Module, n_chans: int) -> nn.Sequential:
    """Return the published layers, unfused, with the weights of a block, in float64."""
    temporal = [nn.Conv2d(40 if isinstance(block, STConv) else 1, 40, (1, 25)), nn.AvgPool2d((1, 51), stride=(1, 5))]
    if isinstance(block, STConv):
        layers = [nn.Conv2d(1, 40, (n_chans, 1)), nn.BatchNorm2d(40), nn.ELU(), *temporal, nn.BatchNorm2d(40)]
    else:
        layers = [*temporal, nn.BatchNorm2d(40), nn.ELU(), nn.Conv2d(40, 40, (n_chans, 1)), nn.BatchNorm2d(40)]
    reference = nn.Sequential(*layers, nn.ELU(), nn.Dropout(0.5)).double()
    reference.load_state_dict(block.state_dict())
    return reference


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [TSConv, STConv])
def test_fused_convolution_and_pooling_equal_the_plain_layers(kind: type[nn.Module], training: bool) -> None:
    torch.manual_seed(0)
    block = kind(7).double()
    for module in block:
        if isinstance(module, nn.BatchNorm2d):  # statistics that eval mode would notice
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    reference = plain(block, 7)
    for model in (block, reference):
        model.train(training)
        model[7].p = 0.0
    inputs = [batch(4, 1, 7, 133).double().requires_grad_() for _ in range(2)]
    found, expected = block(inputs[0]), reference(inputs[1])
    assert found.shape == (4, 40, 1, n_tokens(133))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    weights = batch(*expected.shape).double()
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-8, atol=1e-9)
    for (name, ours), (_, theirs) in zip(block.named_parameters(), reference.named_parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-8, msg=name)
    for ours, theirs in zip(block.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_wide_kernel_is_the_convolution_of_kernel_and_window() -> None:
    weight = batch(3, 2, 1, KERNEL).double()
    signal = batch(1, 2, 1, 200).double()
    fused = nn.functional.conv2d(signal, wide_kernel(weight), stride=(1, STRIDE))
    apart = nn.functional.avg_pool2d(nn.functional.conv2d(signal, weight), (1, POOL), (1, STRIDE))
    torch.testing.assert_close(fused, apart, rtol=1e-10, atol=1e-10)
    assert (WIDE, n_tokens(250)) == (75, 36)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(("n_chans", "n_times", "n_outputs"), [(8, 100, 2), (5, 201, 3), (8, 300, 24)])
def test_any_epoch_and_embedding_size(name: str, n_chans: int, n_times: int, n_outputs: int) -> None:
    encoder = make(name, n_chans, n_times, n_outputs)
    x = batch(3, n_chans, n_times)
    found = encoder(x)
    assert found.shape == (3, n_outputs)
    found.square().sum().backward()
    gradients = {key: p.grad for key, p in encoder.named_parameters() if key != "logit_scale"}
    assert all(g is not None and torch.isfinite(g).all() for g in gradients.values())
    assert all(g.abs().max() > 0 for key, g in gradients.items() if key.endswith("weight") and g is not None)


@pytest.mark.parametrize("name", names())
def test_batch_of_one_equals_batch_of_many(name: str) -> None:
    encoder = make(name).eval()
    x = batch(6, 8, 120)
    with torch.no_grad():
        together = encoder(x)
        alone = torch.cat([encoder(row[None]) for row in x])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3  # the input matters


@pytest.mark.parametrize("name", names())
def test_input_is_not_changed(name: str) -> None:
    x = batch(2, 8, 120)
    before = x.clone()
    make(name)(x)
    assert torch.equal(x, before)


def test_multiblur_filters_act_by_their_absolute_value() -> None:
    encoder = make("multiblur").eval()
    flipped = copy.deepcopy(encoder)
    with torch.no_grad():
        flipped.spatial.weight.neg_()
        x = batch(2, 8, 120)
        torch.testing.assert_close(flipped(x), encoder(x))


def test_output_bias_moves_the_embedding() -> None:
    for name in names():
        encoder = make(name).eval()
        x = batch(2, 8, 120)
        with torch.no_grad():
            before = encoder(x)
            encoder.output_bias.add_(1.5)
            torch.testing.assert_close(encoder(x), before + 1.5)


@pytest.mark.parametrize("name", PATCHED)
def test_too_short_an_epoch_is_refused_in_words(name: str) -> None:
    make(name, n_times=75)
    with pytest.raises(ConfigError, match="74 samples is too short") as caught:
        make(name, n_times=74)
    assert "necomimi preprocess" in str(caught.value)


def test_unknown_name_option_or_size_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"'oracle'[\s\S]*multiblur"):
        make("oracle")
    with pytest.raises(ConfigError, match="n_layers"):
        build("nice", n_layers=3, **THINGS)
    with pytest.raises(ConfigError, match="n_chans is 0"):
        make("multiblur", n_chans=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PATCHED)
def test_whole_encoder_equals_the_plain_layers(name: str, training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = make(name).train(training), batch(5, 8, 120)
    torch.manual_seed(3)  # the same dropout
    fused = model(data)
    for block in (TSConv, STConv):
        monkeypatch.setattr(block, "forward", nn.Sequential.forward)
    model.load_state_dict(make(name).state_dict())  # the running statistics as they were
    torch.manual_seed(3)
    torch.testing.assert_close(model(data), fused, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", names())
def test_two_outputs_keep_their_magnitude(name: str) -> None:
    """A LayerNorm of two values gives only their order; two classes need to be told apart by degrees."""
    data = batch(32, 8, 120) * torch.linspace(0.2, 3, 32)[:, None, None]
    with torch.no_grad():
        out = make(name, n_outputs=2).eval()(data)
    assert len(torch.unique((out[:, 1] - out[:, 0]).round(decimals=5))) > 16  # LayerNorm would give 2


@pytest.mark.parametrize("n_dims", [1, 2, 7, 8, 63, 64])
def test_position_code_is_the_published_formula(n_dims: int) -> None:
    code = PositionCode(n_dims, 11)(torch.zeros(1, 11, n_dims))[0]
    for t in range(11):
        for i in range(n_dims):
            angle = torch.tensor(t * 10000.0 ** (-2 * (i // 2) / n_dims))
            expected = torch.sin(angle) if i % 2 == 0 else torch.cos(angle)
            torch.testing.assert_close(code[t, i], expected, atol=1e-5, rtol=0)


def test_attention_over_time_mixes_moments_but_not_epochs() -> None:
    torch.manual_seed(0)
    attention, data = ChannelAttention(8, 120).eval(), batch(5, 8, 120)
    changed = data.clone()
    changed[0, :, 0] += 1
    with torch.no_grad():
        difference = (attention(changed) - attention(data)).abs().amax(dim=1)
    assert (difference[0] > 0).all()
    assert difference[1:].max() < 1e-6
