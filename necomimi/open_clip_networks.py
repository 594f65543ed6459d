"""OpenCLIP models: architecture, weights, layer -> picture network with its evaluation transform, or text network.

A layer is the output of one block of a vision transformer, taken where the model itself pools: the class token, or the
mean of the patches in a model that averages them. Neither the last normalisation nor the projection into the space of
the texts follows. Layers count from 1, so that layer 11 is ``hidden_states[11]`` of the transformers library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from necomimi.device import choose_device
from necomimi.errors import CheckpointError, ConfigError, missing_package

__all__ = ["Network", "load_open_clip", "load_open_clip_texts"]


class Network(NamedTuple):
    """A vision network: the name of its weights, how to prepare a picture for it, what it computes, and how wide."""

    name: str
    prepare: Callable[[Image.Image], torch.Tensor]
    encode: nn.Module
    n_dims: int


class _Visual(nn.Module):
    """The picture half of an OpenCLIP model: (n, 3, height, width) -> (n, n_dims)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.model.encode_image(pictures)
        return vectors


def load_open_clip(architecture: str, pretrained: str, layer: int | None = None) -> Network:
    """Load the picture half of an OpenCLIP model.

    Parameters
    ----------
    architecture : str
        Such as "ViT-H-14".
    pretrained : str
        A tag of OpenCLIP, or a file of weights.
    layer : int, optional
        The block of a vision transformer whose output is wanted, counted from 1; the whole model where absent.

    Raises
    ------
    ConfigError
        There is no such architecture, tag or layer.
    CheckpointError
        The weights cannot be read or downloaded.
    NecomimiError
        OpenCLIP is not installed.
    """
    model, prepare, name, n_dims = _load(architecture, pretrained, layer)
    if layer is not None:
        _end_at(model.visual, layer)
        return Network(name, prepare, model.visual, model.visual.transformer.width)
    return Network(name, prepare, _Visual(model), n_dims)


def load_open_clip_texts(
    architecture: str, pretrained: str, device: str = "auto"
) -> tuple[str, Callable[[Sequence[str]], NDArray[np.float32]]]:
    """Load the text half of an OpenCLIP model.

    Parameters
    ----------
    architecture : str
        Such as "ViT-H-14".
    pretrained : str
        A tag of OpenCLIP, or a file of weights.
    device : str
        "auto", "cpu", "cuda", "mps".

    Returns
    -------
    name : str
        Of the weights, as `Network.name`.
    encode : callable
        n texts -> float32 of shape (n, n_dims), unit norm, in the space of the whole picture network.

    Raises
    ------
    ConfigError
        There is no such architecture or tag.
    CheckpointError
        The weights or the tokenizer cannot be read or downloaded.
    NecomimiError
        OpenCLIP is not installed.
    """
    model, _, name, _ = _load(architecture, pretrained)
    import open_clip

    place = choose_device(device)
    try:
        tokenize = open_clip.get_tokenizer(architecture)
    except Exception as error:  # those of some models come from the hub, and need another package
        raise CheckpointError(
            f"the tokenizer of {architecture} cannot be had: {type(error).__name__}: {str(error)[:200]}",
            "a connection to the hub and the package transformers, or a model with OpenCLIP's own, such as ViT-H-14",
        ) from error
    model.visual = None  # the larger half
    model.eval().to(place)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors = model.encode_text(tokenize(list(texts)).to(place))
            return nn.functional.normalize(vectors.float(), dim=1).cpu().numpy()

    return name, encode


def _load(architecture: str, pretrained: str, layer: int | None = None) -> tuple[Any, Any, str, int]:
    """Return a model, the evaluation transform of its pictures, the name of its weights, and how wide its space is."""
    try:
        import open_clip
    except ImportError as error:
        raise missing_package("OpenCLIP", error, "clip") from error
    if architecture not in open_clip.list_models():
        raise ConfigError(f"OpenCLIP architecture {architecture!r}", "one of open_clip.list_models(), such as ViT-H-14")
    _check_layer(architecture, open_clip.get_model_config(architecture)["vision_cfg"], layer)
    weights = Path(pretrained)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not weights.is_file() and pretrained not in tags:
        known = ", ".join(tags) or "none"
        raise ConfigError(f"OpenCLIP weights {pretrained!r}", f"a file, or a tag of {architecture}: {known}")
    try:
        model, _, prepare = open_clip.create_model_and_transforms(architecture, pretrained=pretrained)
    except Exception as error:  # the hub, the network and the readers of weights each raise errors of their own
        raise CheckpointError(
            f"the weights {architecture}/{pretrained} cannot be had: {type(error).__name__}: {str(error)[:200]}",
            "a connection to the hub, or a complete file of weights" if pretrained in tags else "weights of this model",
            f"--model open_clip:{architecture}/FILE with weights brought here by hand, or --model embedded",
        ) from error
    name = pretrained
    if weights.is_file():
        with weights.open("rb") as file:
            name = f"sha256-{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
    return model, prepare, name, int(open_clip.get_model_config(architecture)["embed_dim"])


def _check_layer(architecture: str, vision: dict[str, Any], layer: int | None) -> None:
    """Refuse a layer that the architecture does not have, before its weights are downloaded."""
    if layer is None:
        return
    n_layers = vision.get("layers", 12)  # OpenCLIP's own default
    if vision.get("timm_model_name") or not isinstance(n_layers, int):
        raise ConfigError(
            f"layer {layer} of OpenCLIP architecture {architecture!r}", "a vision transformer, such as ViT-H-14"
        )
    if not 1 <= layer <= n_layers:
        raise ConfigError(f"layer {layer} of OpenCLIP architecture {architecture!r}", f"1 to {n_layers}")


def _end_at(visual: Any, layer: int) -> None:
    """Cut a vision transformer off after a block, so that it pools and returns what that block gives."""
    visual.transformer.resblocks = visual.transformer.resblocks[:layer]
    visual.ln_post, visual.proj, visual.attn_pool = nn.Identity(), None, None
    visual.output_tokens = False
