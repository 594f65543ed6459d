"""A compiled encoder computes the same, and one that cannot be compiled is refused in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from necomimi.errors import ConfigError
from necomimi.offline.compilation import compiled


@pytest.fixture
def encoder() -> Iterator[nn.Module]:
    torch.manual_seed(0)
    yield nn.Sequential(nn.Linear(4, 3), nn.ELU())
    torch.compiler.reset()


def test_it_computes_the_same_and_trains_the_same_weights(encoder: nn.Module) -> None:
    data = torch.randn(5, 4)
    with compiled(encoder, wanted=True) as fast:
        assert fast is not encoder
        found = fast(data)
        found.sum().backward()
    torch.testing.assert_close(found, encoder(data))
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_without_a_compiler_it_is_refused_in_words(encoder: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config

    monkeypatch.setattr(torch._inductor.config, "fx_graph_cache", False)  # nothing compiled before is of use
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "/nowhere/g++"))
    with (
        pytest.raises(ConfigError, match=r"cannot be compiled here[\s\S]*leave out --compile"),
        compiled(encoder, wanted=True) as fast,
    ):
        fast(torch.randn(6, 4))


def test_it_is_left_alone_where_it_is_not_wanted(encoder: nn.Module) -> None:
    with compiled(encoder, wanted=False) as same:
        assert same is encoder
