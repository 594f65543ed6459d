"""Encoders for several people: each has a layer along time, and somebody else gets their mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from necomimi.encoders import Encoder, build, names
from necomimi.encoders.base import SubjectLayers
from necomimi.errors import ConfigError


def batch(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def make(name: str, n_subjects: int = 3, n_outputs: int = 32) -> Encoder:
    """Return an encoder whose people differ."""
    torch.manual_seed(0)
    encoder = build(name, n_chans=8, n_times=120, n_outputs=n_outputs, n_subjects=n_subjects).eval()
    with torch.no_grad():
        for layer in encoder.subject_wise_linear or ():
            for parameter in layer.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


@pytest.mark.parametrize("name", names())
def test_each_epoch_goes_through_the_layer_of_its_person(name: str) -> None:
    encoder, x = make(name), batch(6, 8, 120)
    subjects = torch.tensor([2, 0, 2, 1, 0, 2])
    with torch.no_grad():
        together = encoder(x, subjects)
        for person in range(3):
            encoder.subject = person
            torch.testing.assert_close(encoder(x)[subjects == person], together[subjects == person])
        assert (together - encoder(x)).abs().max() > 1e-3  # people differ
        torch.testing.assert_close(encoder(x, subjects), together)  # whoever is set


@pytest.mark.parametrize("name", names())
def test_somebody_else_gets_the_mean_layer(name: str) -> None:
    encoder, x = make(name), batch(3, 8, 120)
    layers = encoder.subject_wise_linear
    assert layers is not None
    with torch.no_grad():
        found = encoder(x)
        for key in ("weight", "bias"):
            getattr(layers[0], key).copy_(torch.stack([getattr(layer, key) for layer in layers]).mean(dim=0))
        encoder.subject = 0
        torch.testing.assert_close(found, encoder(x))


@pytest.mark.parametrize("name", names())
def test_people_start_alike(name: str) -> None:
    encoder = build(name, n_chans=8, n_times=120, n_outputs=32, n_subjects=2).eval()
    x = batch(3, 8, 120)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x, torch.tensor([0, 1, 0])), encoder(x))
    assert encoder.subject_wise_linear is not None
    torch.testing.assert_close(encoder.subject_wise_linear(x), x)


@pytest.mark.parametrize("name", names())
def test_only_people_in_the_batch_are_learned_from(name: str) -> None:
    encoder = make(name).train()
    encoder(batch(4, 8, 120), torch.tensor([0, 2, 2, 0])).square().sum().backward()
    assert encoder.subject_wise_linear is not None
    sizes = [float(layer.weight.grad.abs().max()) for layer in encoder.subject_wise_linear]
    assert sizes[1] == 0
    assert min(sizes[0], sizes[2]) > 0


@pytest.mark.parametrize("name", names())
def test_one_person_changes_no_weights_and_no_embedding(name: str) -> None:
    alone, several = make(name, 1), make(name, 3)
    added = {f"subject_wise_linear.{i}.{key}" for i in range(3) for key in ("weight", "bias")}
    assert set(several.state_dict()) == set(alone.state_dict()) | added
    x = batch(3, 8, 120)
    with torch.no_grad():
        torch.testing.assert_close(alone(x, torch.zeros(3, dtype=torch.long)), alone(x), rtol=0, atol=0)


@pytest.mark.parametrize("subject", [None, 1])
@pytest.mark.parametrize("name", names())
def test_encoder_of_several_people_exports(name: str, subject: int | None) -> None:
    encoder = make(name)
    encoder.subject = subject
    dynamic = ({0: torch.export.Dim("n_epochs", min=1)},)
    program = torch.export.export(encoder, (batch(3, 8, 120),), dynamic_shapes=dynamic).module()
    x = batch(5, 8, 120)
    with torch.no_grad():
        torch.testing.assert_close(program(x), encoder(x), rtol=0, atol=1e-5)


def test_number_of_people_is_checked() -> None:
    with pytest.raises(ConfigError, match="n_subjects is 0"):
        build("nice", n_chans=8, n_times=120, n_outputs=32, n_subjects=0)


def test_layer_of_one_person_starts_as_published() -> None:
    torch.manual_seed(0)
    found = SubjectLayers(120, 1)
    torch.manual_seed(0)
    assert torch.equal(found[0].weight, nn.Linear(120, 120).weight)
