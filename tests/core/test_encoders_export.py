"""Every encoder exports with torch.export: the saved program takes any batch and has the encoder's gradients."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor, nn

from necomimi.encoders import build, names

pytestmark = pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # torch's, of what it has just read


def make(name: str, n_chans: int = 8, n_times: int = 120, n_outputs: int = 32) -> nn.Module:
    torch.manual_seed(0)
    return build(name, n_chans=n_chans, n_times=n_times, n_outputs=n_outputs).eval()


def batch(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def export(encoder: nn.Module, n_chans: int = 8, n_times: int = 120) -> nn.Module:
    """Return the encoder as a program of any batch size, through a file."""
    dynamic = ({0: torch.export.Dim("n_epochs", min=1)},)
    program = torch.export.export(encoder, (batch(3, n_chans, n_times),), dynamic_shapes=dynamic)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


@pytest.fixture(scope="module", params=names())
def both(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """Return an encoder and its program."""
    encoder = make(request.param)
    return encoder, export(encoder)


def test_saved_program_takes_any_batch(both: tuple[nn.Module, nn.Module]) -> None:
    (encoder, program), x = both, batch(9, 8, 120)
    with torch.no_grad():
        expected = encoder(x)
        for n in (1, 2, 9):
            torch.testing.assert_close(program(x[:n]), expected[:n], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", names())
def test_published_size_exports(name: str) -> None:
    encoder, x = make(name, 63, 250, 1024), batch(2, 63, 250)
    with torch.no_grad():
        torch.testing.assert_close(export(encoder, 63, 250)(x), encoder(x), rtol=0, atol=1e-5)


def test_program_has_the_gradients_of_the_encoder(both: tuple[nn.Module, nn.Module]) -> None:
    (encoder, program), x, weights = both, batch(4, 8, 120), batch(4, 32)
    for module in both:
        (module(x) * weights).sum().backward()
    found = dict(program.named_parameters())
    for key, parameter in encoder.named_parameters():
        if key != "logit_scale":  # the loss uses it, not the forward pass
            torch.testing.assert_close(found[key].grad, parameter.grad, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", names())
def test_gradients_are_finite_for_silent_and_loud_epochs(name: str, training: bool) -> None:
    encoder = make(name).train(training)
    x = batch(6, 8, 120)
    x[0] = 0  # nothing at all
    x[1, :, 40:] = 0  # unfinished
    x[2] *= 1e4  # an electrode that has come off
    x[3] = 5.0  # an amplifier at its limit
    x.requires_grad_()
    encoder(x).square().sum().backward()
    gradients = {"the epochs": x.grad} | {k: p.grad for k, p in encoder.named_parameters() if k != "logit_scale"}
    for key, gradient in gradients.items():
        assert gradient is not None, key
        assert torch.isfinite(gradient).all(), key


@pytest.mark.parametrize("name", names())
def test_gradient_of_an_epoch_does_not_depend_on_the_batch(name: str) -> None:
    encoder, x, weights = make(name), batch(5, 8, 120), batch(32)
    together, alone = x.clone().requires_grad_(), x[2:3].clone().requires_grad_()
    (encoder(together) * weights).sum().backward()
    (encoder(alone) * weights).sum().backward()
    torch.testing.assert_close(together.grad[2:3], alone.grad, rtol=1e-4, atol=1e-6)
    assert alone.grad.abs().max() > 0
