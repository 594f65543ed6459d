"""Noise is as strong as asked, new in each batch, and the same however a batch is cut into parts."""

from __future__ import annotations

import pytest
import torch

from necomimi.offline.disturbance import Disturber

SHAPE = (40, 5, 50)


def make(noise: float = 0.5, truncation: float = 0.5, seed: int = 0, dtype: torch.dtype = torch.float32) -> Disturber:
    disturber = Disturber(SHAPE, noise, truncation, 10, torch.empty(0, dtype=dtype), seed)
    disturber.begin_pass()
    return disturber


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_noise_has_the_standard_deviation_that_was_asked_for(dtype: torch.dtype) -> None:
    data = torch.zeros(SHAPE, dtype=dtype)
    make(noise=2.0, truncation=0.0, dtype=dtype).draw().apply(data, 0)
    assert float(data.float().std()) == pytest.approx(2.0, rel=0.05)
    assert float(data.float().mean()) == pytest.approx(0.0, abs=0.1)


def test_batches_and_passes_get_other_noise_and_seeds_decide_which() -> None:
    disturber, again = make(truncation=0.0), make(truncation=0.0)
    drawn = [disturber.draw().noise for _ in range(3)]
    disturber.begin_pass()
    drawn.append(disturber.draw().noise)
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert abs(float((one * other).mean())) < 0.02 * 0.25 * 3  # uncorrelated: their variance is 0.25
    copy = again.draw().noise
    assert copy is not None
    again.begin_pass()
    assert not torch.equal(copy, make(truncation=0.0, seed=1).draw().noise)
    assert torch.equal(make(truncation=0.0).draw().noise, make(truncation=0.0).draw().noise)


def test_a_batch_in_parts_is_disturbed_like_the_whole() -> None:
    data = torch.randn(SHAPE)
    disturbance = make().draw()
    whole, parts = data.clone(), data.clone()
    disturbance.apply(whole, 0)
    for begin, end in ((0, 13), (13, 14), (14, 40)):
        disturbance.apply(parts[begin:end], begin)
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, data)
    cut = (whole == 0).all(dim=1)  # (B, T)
    assert cut.any()
    assert not cut[:, :10].any()


def test_without_noise_and_truncation_nothing_happens() -> None:
    data = torch.randn(SHAPE)
    copy = data.clone()
    make(0.0, 0.0).draw().apply(copy, 0)
    assert torch.equal(copy, data)
