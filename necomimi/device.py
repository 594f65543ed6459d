"""Choose what computes: name of a device -> torch device."""

from __future__ import annotations

from typing import TypeVar

import torch

from necomimi.errors import ConfigError

__all__ = ["channels_last", "choose_device"]

M = TypeVar("M", bound=torch.nn.Module)


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device to decode or train on.

    Parameters
    ----------
    name : {"auto", "cuda", "mps", "cpu"}
        "auto" takes CUDA, then MPS, then the CPU.

    Raises
    ------
    ConfigError
        The device is unknown or not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, is_there in there.items() if is_there))
    if name not in there:
        raise ConfigError(f"device {name!r}", "auto, cuda, mps or cpu")
    if not there[name]:
        raise ConfigError(f"device {name!r} is not available here", "--device auto or cpu")
    return torch.device(name)


def channels_last(module: M) -> M:
    """Lay the weights of a network out as its convolutions compute fastest; return the network itself."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # not in torch's stubs
