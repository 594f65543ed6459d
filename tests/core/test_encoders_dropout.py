"""Dropout keeps the right share and the mean; attention in training equals torch's own, gradients too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from necomimi.encoders.attention import ChannelAttention, attend
from necomimi.encoders.dropout import Dropout, dropout


def batch(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.65, 0.75])
def test_share_and_scale_are_those_asked_for(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    n = 1_000_003  # no multiple of four
    found = dropout(torch.ones(n, dtype=dtype), p, training=True)
    assert abs(float((found == 0).double().mean()) - p) < 4 * (p * (1 - p) / n) ** 0.5 + 2**-16
    kept = found[found != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))


def test_values_are_dropped_independently() -> None:
    torch.manual_seed(0)
    mask = (dropout(torch.ones(400_000), 0.5, training=True) == 0).double() - 0.5
    for lag in range(1, 9):  # four values share a random number
        assert abs(float((mask[lag:] * mask[:-lag]).mean())) < 4 * 0.25 / 400_000**0.5


def test_seed_repeats_the_mask_and_the_gradient_has_it() -> None:
    x = batch(7, 5).requires_grad_()
    torch.manual_seed(3)
    found = Dropout(0.5)(x)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.5)(x), found)
    assert not torch.equal(Dropout(0.5)(x), found)
    found.sum().backward()
    torch.testing.assert_close(x.grad, torch.where(found == 0, 0.0, 2.0))


def test_nothing_and_everything() -> None:
    x = batch(7, 5)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("n_dims", "n_heads"), [(8, 1), (40, 5), (40, 8)])
def test_attention_is_that_of_torch(n_dims: int, n_heads: int, training: bool) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(n_dims, n_heads, batch_first=True).double().train(training)
    inputs = [batch(3, 12, n_dims).double().requires_grad_() for _ in range(2)]
    results = []
    for x, run in zip(
        inputs, (lambda x: attend(layer, x), lambda x: layer(x, x, x, need_weights=False)[0]), strict=True
    ):
        layer.zero_grad()
        found = run(x)
        found.square().sum().backward()
        results.append([found, x.grad, *(p.grad for p in layer.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_attention_over_time_is_the_published_layer(training: bool) -> None:
    torch.manual_seed(0)
    attention = ChannelAttention(7, 30).double().train(training)
    for module in attention.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    x = batch(4, 7, 30).double()
    code = attention.pos_encoder.pe.double()
    expected = attention.transformer_encoder(x.permute(2, 0, 1) + code).permute(1, 2, 0)
    torch.testing.assert_close(attention(x), expected, rtol=1e-9, atol=1e-9)
    gradients = []
    for found in (attention(x), expected):
        gradients.append(torch.autograd.grad(found.square().sum(), list(attention.parameters())))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


def test_dropout_before_the_relu_is_dropout_after_it() -> None:
    x = batch(50)
    torch.manual_seed(0)
    before = dropout(x, 0.5, training=True).relu_()
    torch.manual_seed(0)
    torch.testing.assert_close(before, dropout(x.relu(), 0.5, training=True), rtol=0, atol=0)
