"""The blur is that of torchvision, at every kernel size and at the edges; nonsense is refused in words."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from necomimi.blur import blur, parse_levels
from necomimi.errors import ConfigError

PICTURES = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", [1, 3, 9, 15, 33, 63])
def test_equal_to_torchvision(kernel: int) -> None:
    torch.testing.assert_close(blur(PICTURES, kernel), gaussian_blur(PICTURES, [kernel, kernel]), rtol=0, atol=1e-5)


def test_a_blur_keeps_constants_and_takes_detail() -> None:
    torch.testing.assert_close(blur(torch.full((1, 3, 32, 32), 0.3), 31), torch.full((1, 3, 32, 32), 0.3))
    deviations = [blur(PICTURES, kernel).std().item() for kernel in (1, 3, 9, 33)]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[0] > 5 * deviations[-1]


def test_a_kernel_wider_than_the_picture_is_refused() -> None:
    assert blur(PICTURES, 79).shape == PICTURES.shape
    with pytest.raises(ConfigError, match="at most 79 for pictures of 40 pixels"):
        blur(PICTURES, 81)


def test_levels() -> None:
    assert parse_levels("1") == (1,)
    assert parse_levels("1, 3,9,15") == (1, 3, 9, 15)


@pytest.mark.parametrize("text", ["", "sharp", "3,9", "1,4", "1,9,3", "1,3,3", "1,-3", "1,3.5", "1,,3"])
def test_levels_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="odd kernel sizes"):
        parse_levels(text)
