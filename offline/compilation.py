"""Compile an encoder for training: module -> the same, faster after its first batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from necomimi.errors import ConfigError

__all__ = ["compiled"]


@contextmanager
def compiled(encoder: nn.Module, *, wanted: bool) -> Iterator[nn.Module]:
    """Yield a compiled form of an encoder that shares its weights, or the encoder itself where that is not wanted.

    Raises
    ------
    ConfigError
        It cannot be compiled here, which shows in its first batch.
    """
    if not wanted:
        yield encoder
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield cast(nn.Module, torch.compile(encoder))
    except TorchDynamoException as error:
        raise ConfigError(
            f"the encoder cannot be compiled here: {str(error).strip().splitlines()[0]}",
            "a C++ compiler, such as g++, and an encoder that torch.compile takes",
            "leave out --compile",
        ) from error
