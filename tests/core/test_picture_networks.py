"""Shapes, where the networks begin, and that sampling follows a straight path to what is predicted."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from necomimi.picture_networks import PictureDecoder, PictureRefiner

SIZE = 32


@pytest.fixture
def embeddings() -> torch.Tensor:
    return functional.normalize(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.mark.parametrize("widths", [(16, 8), (16, 8, 8), (24, 16, 16, 8)])
def test_decoder_paints_at_its_size(embeddings: torch.Tensor, widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    pictures = PictureDecoder(16, 5, SIZE, widths)(embeddings)
    assert pictures.shape == (3, 3, SIZE, SIZE)
    assert not torch.allclose(pictures[0], pictures[1])


def test_an_embedding_at_a_prototype_takes_what_was_learned_of_it(embeddings: torch.Tensor) -> None:
    torch.manual_seed(0)
    decoder = PictureDecoder(16, 3, SIZE, (16, 8))
    decoder.prototypes.copy_(embeddings)
    with torch.no_grad():
        before = decoder(embeddings)
        decoder.codes[1] += 1
        after = decoder(embeddings)
    changed = (after - before).abs().amax((1, 2, 3))
    assert changed[1] > 100 * max(changed[0], changed[2])


def test_an_untrained_refiner_gives_the_coarse_picture(embeddings: torch.Tensor) -> None:
    random = torch.Generator().manual_seed(1)
    noise, coarse = (torch.randn(3, 3, SIZE, SIZE, generator=random) for _ in range(2))
    refiner = PictureRefiner(16, (16, 24))
    for steps in (1, 3):
        torch.testing.assert_close(refiner.sample(noise, coarse, embeddings, steps), coarse)


class Seer(PictureRefiner):
    """Knows the picture from the start, and remembers what it was shown."""

    def __init__(self, picture: torch.Tensor) -> None:
        super().__init__(16, (8, 8))
        self.picture, self.shown = picture, []

    def forward(self, noisy: torch.Tensor, coarse: torch.Tensor, embeddings: torch.Tensor, times: torch.Tensor):
        self.shown.append((float(times[0]), noisy))
        return self.picture


def test_sampling_follows_the_straight_path_to_what_is_predicted(embeddings: torch.Tensor) -> None:
    random = torch.Generator().manual_seed(2)
    picture, noise = (torch.randn(3, 3, SIZE, SIZE, generator=random) for _ in range(2))
    seer = Seer(picture)
    torch.testing.assert_close(seer.sample(noise, picture, embeddings, 4), picture)
    assert [time for time, _ in seer.shown] == [0, 0.25, 0.5, 0.75]
    for time, noisy in seer.shown:
        torch.testing.assert_close(noisy, time * picture + (1 - time) * noise)


def test_every_weight_of_both_networks_learns(embeddings: torch.Tensor) -> None:
    torch.manual_seed(0)
    decoder, refiner = PictureDecoder(16, 5, SIZE, (16, 8, 8)), PictureRefiner(16, (8, 16))
    torch.nn.init.normal_(refiner.last.weight)
    decoder.prototypes.copy_(functional.normalize(1 + 1e-2 * torch.randn(5, 16), dim=1))  # none is far from any
    coarse = decoder(embeddings)
    fine = refiner(torch.randn_like(coarse), coarse, embeddings, torch.rand(3))
    fine.square().mean().backward()
    for module in (decoder, refiner):
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.parameters())
