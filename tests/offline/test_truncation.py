"""Epochs are cut short where they should be, and every encoder takes what is left."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from necomimi.encoders import build, names
from necomimi.offline.truncation import cut_short, earliest_sample, ends, random_lengths, truncate
from necomimi.preprocessing import Preprocessor


def make(start: float, n_times: int, sfreq: float = 250.0) -> Preprocessor:
    return Preprocessor(
        ch_names=("A", "B"), sfreq=sfreq, tmin=-0.2, tmax=1.0, baseline=None, start=start, n_times=n_times,
        spatial=np.eye(2, dtype=np.float32),
    )  # fmt: skip


def test_random_ends_are_even_between_the_earliest_and_the_last() -> None:
    lengths = random_lengths(20000, 10, 1.0, 4, torch.Generator().manual_seed(0), torch.device("cpu"))
    data = torch.ones(20000, 1, 10)
    cut_short(data, lengths)
    assert torch.equal(data.sum(dim=2).flatten(), lengths.float())
    counts = torch.bincount(lengths.int(), minlength=11)
    assert counts[:4].sum() == 0
    assert counts[4:] == pytest.approx(20000 / 7, rel=0.1)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_share_of_epochs_is_cut_and_only_after_its_time(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(4000, 3, 50, generator=generator)
    cut = data.clone()
    cut_short(cut, random_lengths(4000, 50, share, 1, generator, cut.device))
    arrived = cut != 0
    assert torch.equal(cut[arrived], data[arrived])
    assert torch.equal(arrived, arrived.cummin(dim=2).values)  # once zero, zero to the end
    assert (arrived[:, :1] == arrived).all()  # on all channels at once
    assert float((~arrived[:, 0, -1]).float().mean()) == pytest.approx(share * 49 / 50, abs=0.03)


def test_earliest_sample_and_ends_count_from_the_onset() -> None:
    assert earliest_sample(make(0.0, 250)) == 25
    assert earliest_sample(make(-0.2, 300)) == 75
    assert earliest_sample(make(0.0, 10)) == 10  # a window shorter than 0.1 s is never cut
    assert ends(make(0.0, 100)) == {0.1: 25, 0.2: 50, 0.3: 75}
    assert ends(make(-0.2, 100)) == {0.1: 75}
    assert ends(make(0.0, 20)) == {}


def test_truncate_leaves_the_original() -> None:
    data = np.ones((2, 3, 10), dtype=np.float32)
    cut = truncate(data, 4)
    assert cut.sum() == 2 * 3 * 4
    assert data.min() == 1.0


@pytest.mark.parametrize("name", names())
def test_every_encoder_takes_an_unfinished_epoch(name: str) -> None:
    torch.manual_seed(0)
    encoder = build(name, n_chans=6, n_times=120, n_outputs=5)
    data = torch.randn(8, 6, 120)
    with torch.no_grad():
        encoder.eval()
        first, second = (encoder(torch.tensor(truncate(data.numpy(), n))) for n in (25, 60))
    assert torch.isfinite(first).all()
    assert not torch.allclose(first, second)  # what came between is seen
    encoder.train()
    cut_short(data, random_lengths(8, 120, 1.0, 25, torch.Generator(), data.device))
    encoder(data).square().sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
