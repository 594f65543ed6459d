"""What vision networks make of pictures: names of networks, files of weights -> features of uint8 pictures.

Layers, sizes and normalisation are those of MindEye's evaluation (Scotti et al. 2023,
https://arxiv.org/abs/2305.18274). The FID has an Inception network of its own, brought over from TensorFlow by
https://github.com/mseitzer/pytorch-fid (Heusel et al. 2017, https://arxiv.org/abs/1706.08500).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from necomimi.device import choose_device
from necomimi.embedders import build_embedder
from necomimi.errors import CheckpointError, NecomimiError, missing_package
from necomimi.open_clip_networks import load_open_clip
from necomimi.picture_metrics import resize

from .published_weights import read_state_dict
from .vision_choices import CHOICES, DOWNLOAD, Measure, Weights, find_network, weights_folder

__all__ = ["NAMES", "VisionNetwork", "load_networks"]

NAMES = tuple(CHOICES)
BATCH = 16  # pictures
IMAGENET_NORM = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP_NORM = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_Prepare = Callable[[NDArray[np.uint8], int], torch.Tensor]


@dataclass(frozen=True, slots=True)
class VisionNetwork:
    """A network that pictures are compared by.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    label : str
        As tables name it, such as "AlexNet(2)".
    measure : {"two-way", "distance", "fid"}
        What is made of its features: two-way identification, correlation distance, or Fréchet distance.
    features : callable
        uint8 pictures (n, size, size, 3) -> float32 (n, n_features); each picture by itself, whatever else is there.
    """

    name: str
    label: str
    measure: Measure
    features: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def load_networks(
    names: Sequence[str] = NAMES, folder: Path | None = None, device: str = "auto"
) -> tuple[list[VisionNetwork], dict[str, str]]:
    """Load the networks whose weights are at hand; nothing is downloaded.

    Parameters
    ----------
    names : sequence of str
        Of `NAMES`.
    folder : Path, optional
        Where files of weights lie; they are looked for in torch's own cache too, and CLIP in the hub's.
    device : {"auto", "cuda", "mps", "cpu"}

    Returns
    -------
    networks : list of VisionNetwork
        In the order of `names`.
    skipped : dict of str to str
        The networks that are not at hand: name -> why, and the command that changes it, in one line.

    Raises
    ------
    ConfigError
        There is no such network or device.
    CheckpointError
        A file of weights is there, but damaged or of another network.
    """
    place = choose_device(device)
    networks, skipped = [], {}
    for name, choice in {name: find_network(name) for name in names}.items():
        try:
            features = _load(name, folder, place)
        except CheckpointError:
            raise
        except NecomimiError as missing:
            skipped[name] = f"{missing.found}: {missing.remedy}"
        else:
            networks.append(VisionNetwork(name, choice.label, choice.measure, features))
    return networks, skipped


def _load(name: str, folder: Path | None, device: torch.device) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the features of one network; NecomimiError, with a remedy, where it is not at hand."""
    choice = CHOICES[name]
    if choice.weights is None:
        embedder = build_embedder("embedded", device.type)
        return lambda pictures: embedder.embed([Image.fromarray(picture) for picture in pictures])
    path = _find(choice.weights, folder)
    if path is None:
        raise NecomimiError(
            f"no {choice.weights.file} ({choice.weights.megabytes} MB) in {folder or weights_folder()}",
            remedy=f"necomimi download {DOWNLOAD}",
        )
    try:
        network, prepare = _BUILDERS[name](path)
    except ImportError as error:
        raise missing_package("it", error, "clip") from error
    network = network.eval().requires_grad_(False).to(device)

    def features(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        with torch.inference_mode():
            for start in range(0, len(pictures), BATCH):
                shown = prepare(pictures[start : start + BATCH], choice.size).to(device)
                parts.append(network(shown).float().flatten(1).cpu().numpy())
        return np.concatenate(parts)

    return features


def _find(weights: Weights, folder: Path | None) -> Path | None:
    """Return the file of weights, if it is on this machine."""
    for place in (folder, weights_folder()):
        if place is not None and (place / weights.file).is_file():
            return place / weights.file
    if weights.hub is not None:
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return None
        cached = try_to_load_from_cache(*weights.hub)
        if isinstance(cached, str):  # else None, or a note that the hub has no such file
            return Path(cached)
    return None


def _fill(network: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Put weights into the network that they belong to."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise _foreign(path, error) from error


def _foreign(path: Path, error: BaseException) -> CheckpointError:
    """Return what to say of weights that do not fit their name."""
    return CheckpointError(
        f"{path} does not hold the weights of its name: {' '.join(str(error).split())[:200]}",
        "the file as its makers give it",
        f"delete it; necomimi download {DOWNLOAD} fetches it anew",
    )


def _normalised(norm: tuple[tuple[float, ...], tuple[float, ...]]) -> _Prepare:
    """Return what prepares pictures for a network: resized whole, values 0 to 1, minus mean, by standard deviation."""
    mean, std = (torch.tensor(each)[:, None, None] for each in norm)
    return lambda pictures, size: (resize(pictures, size) - mean) / std


def _as_tensorflow(pictures: NDArray[np.uint8], size: int) -> torch.Tensor:
    """Return pictures as the FID's network was shown them: TensorFlow's first bilinear resizing, (x - 128) / 128.

    It lets the first pixels of both sizes coincide, and does not smooth where a picture shrinks.
    """
    values = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float()
    for axis in (2, 3):
        length = values.shape[axis]
        position = torch.arange(size) * (length / size)
        low = position.long()
        share = (position - low).view(-1, 1) if axis == 2 else position - low
        high = (low + 1).clamp(max=length - 1)
        values = torch.lerp(values.index_select(axis, low), values.index_select(axis, high), share)
    return (values - 128) / 128


class _OtherPooling(nn.Module):
    """A block of torchvision's Inception whose last branch pools in another way.

    Parameters
    ----------
    block : nn.Module
        Of torchvision.
    pool : nn.Module
    """

    def __init__(self, block: Any, pool: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.pool = pool

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return all branches side by side: (n, channels, height, width)."""
        *branches, _ = self.block._forward(values)
        return torch.cat([*branches, self.block.branch_pool(self.pool(values))], 1)


def _alexnet(n_layers: int, path: Path) -> tuple[nn.Module, _Prepare]:
    from torchvision.models import alexnet

    network = alexnet()
    _fill(network, read_state_dict(path), path)
    return network.features[:n_layers], _normalised(IMAGENET_NORM)


def _inception(path: Path) -> tuple[nn.Module, _Prepare]:
    from torchvision.models import inception_v3

    network = inception_v3(transform_input=True, init_weights=False)  # torchvision's weights want that
    _fill(network, read_state_dict(path), path)
    network.fc = nn.Identity()
    return network, _normalised(IMAGENET_NORM)


def _efficientnet(path: Path) -> tuple[nn.Module, _Prepare]:
    from torchvision.models import efficientnet_b1

    network = efficientnet_b1()
    _fill(network, read_state_dict(path), path)
    network.classifier = nn.Identity()
    return network, _normalised(IMAGENET_NORM)


def _swav(path: Path) -> tuple[nn.Module, _Prepare]:
    from torchvision.models import resnet50

    network = resnet50()
    network.fc = nn.Identity()
    heads = ("projection_head.", "prototypes.")  # of the training, not of the features
    state = {name: tensor for name, tensor in read_state_dict(path).items() if not name.startswith(heads)}
    _fill(network, state, path)
    return network, _normalised(IMAGENET_NORM)


def _clip(path: Path) -> tuple[nn.Module, _Prepare]:
    try:
        # Without "quickgelu" another activation than these weights were trained with would be used, in silence.
        network = load_open_clip("ViT-L-14-quickgelu", str(path)).encode
    except CheckpointError as error:
        raise _foreign(path, error.__cause__ or error) from error
    return network, _normalised(CLIP_NORM)


def _fid(path: Path) -> tuple[nn.Module, _Prepare]:
    from torchvision.models import inception_v3

    network = inception_v3(num_classes=1008, aux_logits=False, transform_input=False, init_weights=False)
    _fill(network, read_state_dict(path), path)
    network.fc = nn.Identity()
    for name in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b", "7c"):
        # The original leaves the padding out of its means, and its last block takes maxima.
        average = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        pool = nn.MaxPool2d(3, stride=1, padding=1) if name == "7c" else average
        setattr(network, f"Mixed_{name}", _OtherPooling(getattr(network, f"Mixed_{name}"), pool))
    return network, _as_tensorflow


_BUILDERS: dict[str, Callable[[Path], tuple[nn.Module, _Prepare]]] = {
    "alexnet2": lambda path: _alexnet(5, path),
    "alexnet5": lambda path: _alexnet(12, path),
    "inception": _inception,
    "clip": _clip,
    "efficientnet": _efficientnet,
    "swav": _swav,
    "fid": _fid,
}
