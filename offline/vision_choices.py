"""The vision networks that pictures are compared by: name -> measure, size of what it is shown, file of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from necomimi.errors import ConfigError

__all__ = ["CHOICES", "DOWNLOAD", "Choice", "Measure", "Weights", "find_network", "weights_folder"]

Measure = Literal["two-way", "distance", "fid"]
DOWNLOAD = "vision-networks"  # what `necomimi download` calls all of them
TORCHVISION = "https://download.pytorch.org/models"
CLIP_REPOSITORY, CLIP_FILE = "timm/vit_large_patch14_clip_224.openai", "open_clip_model.safetensors"


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights.

    Parameters
    ----------
    file : str
        Its name in torch's cache, or in a folder of weights.
    url : str
    megabytes : int
        About.
    licence : str
    digest : str
        How the SHA-256 of the file begins, in hexadecimal; empty where its makers give none.
    hub : tuple of str, optional
        Repository and file of the Hugging Face hub, in whose cache the same weights may lie.
    """

    file: str
    url: str
    megabytes: int
    licence: str
    digest: str = ""
    hub: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A network to choose by name.

    Parameters
    ----------
    label : str
        As tables name it.
    measure : {"two-way", "distance", "fid"}
        What is made of its features: two-way identification, correlation distance, or Fréchet distance.
    size : int
        Pixels along each side of what it is shown.
    weights : Weights, optional
        Absent where the extra ``demo`` has them.
    """

    label: str
    measure: Measure
    size: int
    weights: Weights | None


_IMAGENET = "BSD-3-Clause; trained on ImageNet, whose terms are for research"
_ALEXNET = Weights("alexnet-owt-7be5be79.pth", f"{TORCHVISION}/alexnet-owt-7be5be79.pth", 244, _IMAGENET, "7be5be79")
_INCEPTION = Weights(
    "inception_v3_google-0cc3c7bd.pth",
    f"{TORCHVISION}/inception_v3_google-0cc3c7bd.pth",
    109,
    _IMAGENET,
    "0cc3c7bd",
)
_CLIP = Weights(
    "ViT-L-14-openai.safetensors",
    f"https://huggingface.co/{CLIP_REPOSITORY}/resolve/main/{CLIP_FILE}",
    1710,
    "MIT",
    hub=(CLIP_REPOSITORY, CLIP_FILE),
)
_EFFICIENTNET = Weights(
    "efficientnet_b1-c27df63c.pth", f"{TORCHVISION}/efficientnet_b1-c27df63c.pth", 32, _IMAGENET, "c27df63c"
)
_SWAV = Weights(
    "swav_800ep_pretrain.pth.tar",
    "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar",
    113,
    "CC BY-NC 4.0: non-commercial",
)
_FID = Weights(
    "pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    96,
    "Apache-2.0; trained on ImageNet, whose terms are for research",
    "6726825d",
)

CHOICES = {
    "alexnet2": Choice("AlexNet(2)", "two-way", 256, _ALEXNET),
    "alexnet5": Choice("AlexNet(5)", "two-way", 256, _ALEXNET),
    "inception": Choice("InceptionV3", "two-way", 342, _INCEPTION),
    "clip": Choice("CLIP ViT-L/14", "two-way", 224, _CLIP),
    "efficientnet": Choice("EffNet-B1", "distance", 255, _EFFICIENTNET),
    "swav": Choice("SwAV", "distance", 224, _SWAV),
    "fid": Choice("FID", "fid", 299, _FID),
    "embedded": Choice("EfficientNet-Lite0", "two-way", 224, None),
}


def find_network(name: str) -> Choice:
    """Return a network by its name.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in CHOICES:
        raise ConfigError(f"vision network {name!r}", f"one of {', '.join(CHOICES)}")
    return CHOICES[name]


def weights_folder() -> Path:
    """Return the folder where torch, and so torchvision, keeps weights: ``TORCH_HOME`` moves it."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"
