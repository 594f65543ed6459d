"""A batch that is encoded in parts gives the gradients of the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from necomimi.offline.contrast import backward_whole
from necomimi.offline.distributed import Processes

N, N_IN, N_DIMS = 10, 6, 4


def make(*, dropout: float = 0.0, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(N_IN, 8), nn.BatchNorm1d(8) if norm else nn.ELU(), nn.Dropout(dropout), nn.Linear(8, N_DIMS)]
    return nn.Sequential(*layers).train().double()


def loss(vectors: Tensor) -> Tensor:
    """Compare each embedding with each other one, so that no part of a batch could do it alone."""
    return torch.nn.functional.cross_entropy(vectors @ vectors.roll(1, dims=0).T, torch.arange(len(vectors)))


def gradients(encoder: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None]


DATA = torch.randn(N, N_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("micro_batch", [None, 1, 3, 5, 9, 10, 64])
def test_parts_give_the_loss_and_the_gradients_of_the_whole(micro_batch: int | None) -> None:
    encoder = make()
    expected = loss(encoder(DATA))
    expected.backward()
    wanted = gradients(encoder)
    encoder.zero_grad()
    sizes: list[int] = []

    def encode(places: range) -> Tensor:
        sizes.append(len(places))
        return encoder(DATA[places.start : places.stop])

    found = backward_whole(encoder, encode, loss, N, micro_batch, Processes())
    torch.testing.assert_close(found, expected.detach())
    for gradient, whole in zip(gradients(encoder), wanted, strict=True):
        torch.testing.assert_close(gradient, whole)
    assert max(sizes) <= (micro_batch or N)
    assert sum(sizes) == (N if len(sizes) == 1 else 2 * N)


def test_each_part_drops_the_same_units_twice_and_statistics_move_once() -> None:
    encoder, reference = make(dropout=0.5, norm=True), make(dropout=0.5, norm=True)
    torch.manual_seed(5)
    backward_whole(encoder, lambda places: encoder(DATA[places.start : places.stop]), loss, N, 5, Processes())
    after = torch.rand(1)
    torch.manual_seed(5)
    loss(torch.cat([reference(part) for part in DATA.split(5)])).backward()  # all at once, with the memory that takes
    assert torch.rand(1) == after  # no random number is used twice by what comes next
    for found, expected in zip(gradients(encoder), gradients(reference), strict=True):
        torch.testing.assert_close(found, expected)
    for name, buffer in reference.named_buffers():
        torch.testing.assert_close(encoder.get_buffer(name), buffer)


def test_parameters_of_the_loss_get_their_gradient_once() -> None:
    encoder, scale = make(), nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    backward_whole(
        encoder, lambda places: encoder(DATA[places.start : places.stop]), lambda v: loss(scale * v), N, 4, Processes()
    )
    found = scale.grad
    scale.grad = None
    loss(scale * encoder(DATA)).backward()
    torch.testing.assert_close(found, scale.grad)
