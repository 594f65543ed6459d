"""`necomimi download vision-networks`: licences first, whole files under their own names, and failures in words."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from necomimi.errors import ConfigError, DatasetError
from necomimi.offline.download import command
from necomimi.offline.download_networks import download_networks
from necomimi.offline.fetching import FetchError, Patience
from necomimi.offline.vision_choices import CHOICES, Weights, find_network

QUICK = Patience(timeout=5.0, attempts=2, pause=0.001)
app = typer.Typer()
app.command()(command)


@pytest.fixture
def weights(web: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Weights]:
    """Put stand-ins for the files of weights on a server of this machine; return them by file name."""
    served = {}
    for name, choice in CHOICES.items():
        if choice.weights is not None:
            file = choice.weights.file
            web.files[f"/{file}"] = file.encode()
            digest = hashlib.sha256(file.encode()).hexdigest()[: len(choice.weights.digest)]
            served[file] = replace(choice.weights, url=f"{web.url}/{file}", digest=digest)
            monkeypatch.setitem(CHOICES, name, replace(choice, weights=served[file]))
    return served


def test_licences_then_all_files_in_torchs_cache(
    web: Any, weights: dict[str, Weights], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    kept = next(iter(weights))
    (folder / kept).write_bytes(b"here already")
    result = CliRunner().invoke(app, ["vision-networks"])
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    assert sorted(path.name for path in folder.iterdir()) == sorted(weights)
    assert (folder / kept).read_bytes() == b"here already"
    for file, each in list(weights.items())[1:]:
        assert (folder / file).read_bytes() == file.encode()
        assert f"{file}, about {each.megabytes} MB: {each.licence}" in shown
    assert f"/{kept}" not in [path for path, _ in web.asked]
    assert "6 files, all there" in shown


@pytest.mark.parametrize("fault", ["another file", "no file"])
def test_file_that_cannot_be_had_is_told_with_its_address(
    fault: str, web: Any, weights: dict[str, Weights], tmp_path: Path
) -> None:
    if fault == "another file":
        web.files["/alexnet-owt-7be5be79.pth"] = b"something else"
    else:
        del web.files["/alexnet-owt-7be5be79.pth"]
    with pytest.raises(FetchError) as caught:
        download_networks(tmp_path, QUICK)
    assert caught.value.remedy == (
        f"the same command again, or bring {web.url}/alexnet-owt-7be5be79.pth "
        f"to {tmp_path / 'alexnet-owt-7be5be79.pth'} by hand"
    )
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot be made"):
        download_networks(tmp_path / "file" / "folder", QUICK)


def test_options_of_data_sets_are_refused() -> None:
    result: Any = CliRunner().invoke(app, ["vision-networks", "--subjects", "1"])
    assert isinstance(result.exception, ConfigError)
    assert "with vision-networks" in str(result.exception)


def test_names_of_files_begin_to_tell_their_digests() -> None:
    for choice in CHOICES.values():
        if choice.weights is not None and choice.weights.digest:
            assert choice.weights.digest in choice.weights.file
            assert choice.weights.url.endswith(choice.weights.file)
    with pytest.raises(ConfigError, match="vision network 'vgg'"):
        find_network("vgg")


def test_addresses_are_those_of_torchvision() -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    known = {
        "alexnet2": models.AlexNet_Weights.IMAGENET1K_V1,
        "alexnet5": models.AlexNet_Weights.IMAGENET1K_V1,
        "inception": models.Inception_V3_Weights.DEFAULT,
        "efficientnet": models.EfficientNet_B1_Weights.DEFAULT,
    }
    for name, published in known.items():
        assert CHOICES[name].weights.url == published.url  # type: ignore[union-attr]
        assert CHOICES[name].size == published.transforms().resize_size[0]
