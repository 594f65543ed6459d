"""A folder of pictures becomes a gallery in a fixed order; what is no picture is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from necomimi.embedders import EMBEDDED_SPACE, Embedder, build_embedder
from necomimi.errors import CheckpointError, ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.offline.embed import command
from necomimi.picture_embedding import embed_folder
from necomimi.picture_folder import picture_files
from necomimi.pictures import concepts, draw_picture


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return build_embedder("embedded")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for number, concept in enumerate(concepts()[:3], 1):
        for exemplar in (1, 0):
            path = root / f"{number:05d}_{concept.name}" / f"{concept.name}_{exemplar}.jpg"
            path.parent.mkdir(exist_ok=True)
            draw_picture(concept, exemplar).save(path, quality=90)
    (root / "notes.txt").write_text("not a picture")
    return root


def test_order_labels_and_embeddings(folder: Path, embedder: Embedder) -> None:
    gallery = embed_folder(folder, embedder, batch_size=4)
    names = [concept.name for concept in concepts()[:3]]
    assert gallery.labels == tuple(name for name in names for _ in range(2))
    assert gallery.files == tuple(f"{i:05d}_{name}/{name}_{e}.jpg" for i, name in enumerate(names, 1) for e in (0, 1))
    for item, file in enumerate(gallery.files):
        with Image.open(folder / file) as picture:
            np.testing.assert_allclose(embedder.embed([picture])[0], gallery.embeddings[item], atol=1e-5)
    similarity = gallery.embeddings @ gallery.embeddings.T
    assert similarity[0, 1] > similarity[0, 2:].max()  # two pictures of one thing are alike
    assert gallery.thumbnails is not None
    assert gallery.thumbnails.shape[0] == 6


def test_levels_of_a_folder_are_those_of_each_picture(folder: Path) -> None:
    embedder = build_embedder("embedded", layer=5)
    gallery = embed_folder(folder, embedder, 4, (1, 9, 31))
    assert gallery.space == f"{EMBEDDED_SPACE}?layer=5&levels=1,9,31"
    assert gallery.blur_levels == (1, 9, 31)
    assert gallery.levels is not None
    for item, file in enumerate(gallery.files):
        with Image.open(folder / file) as picture:
            expected = embedder.embed_levels([picture], (1, 9, 31))[0]
        np.testing.assert_allclose(gallery.levels[item], expected, atol=1e-5)
    np.testing.assert_array_equal(gallery.embeddings, gallery.levels[:, 0])
    sharp = embed_folder(folder, embedder, 4)
    assert (sharp.space, sharp.levels) == (f"{EMBEDDED_SPACE}?layer=5", None)
    np.testing.assert_array_equal(sharp.embeddings, gallery.embeddings)


def test_the_norm_of_open_clip_is_measured_and_kept(folder: Path, tmp_path: Path) -> None:
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
    }
    (tmp_path / "tiny-test-norm.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    torch.manual_seed(0)
    model, _, prepare = open_clip.create_model_and_transforms("tiny-test-norm", pretrained=None)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    name = f"open_clip:tiny-test-norm/{tmp_path / 'weights.safetensors'}"
    gallery = embed_folder(folder, build_embedder(name, "cpu"), 4, (1, 9))
    shown = []
    for file in gallery.files:
        with Image.open(folder / file) as picture:
            shown.append(prepare(picture.convert("RGB")))
    with torch.inference_mode():
        norms = model.eval().encode_image(torch.stack(shown)).norm(dim=1)
    assert gallery.clip_norm == pytest.approx(float(norms.mean()), rel=1e-5)
    assert embed_folder(folder, build_embedder("embedded"), 4).clip_norm is None


def test_a_flat_folder_is_labelled_by_its_files(tmp_path: Path) -> None:
    for name in ("owl", "bat"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / f"{name}.png")
    assert [path.name for path in picture_files(tmp_path)] == ["bat.png", "owl.png"]
    assert embed_folder(tmp_path, build_embedder("embedded")).labels == ("bat", "owl")


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, embedder: Embedder) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        picture_files(tmp_path / "absent")
    with pytest.raises(DatasetError, match="holds no pictures"):
        picture_files(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff junk")
    with pytest.raises(DatasetError, match=r"broken\.jpg cannot be read"):
        embed_folder(tmp_path, embedder)
    (tmp_path / "broken.jpg").unlink()
    Image.new("1", (8000, 8000)).save(tmp_path / "huge.png")
    with pytest.raises(DatasetError, match="8000 x 8000 pixels"):
        embed_folder(tmp_path, embedder)


def run(*arguments: object) -> None:
    import typer

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


def test_the_command(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "gallery")
    run(folder, tmp_path / "gallery")  # over itself
    assert len(Gallery.load(tmp_path / "gallery")) == 6
    (tmp_path / "labels.txt").write_text("target\n\nnontarget\n")
    run("--labels", tmp_path / "labels.txt", tmp_path / "labels")
    assert Gallery.load(tmp_path / "labels").classes == ("nontarget", "target")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        run(folder, folder)
    with pytest.raises(ConfigError, match="PICTURES OUT"):
        run(folder)
    run(folder, tmp_path / "levels", "--levels", "1,3", "--layer", 1)
    levels = Gallery.load(tmp_path / "levels").levels
    assert levels is not None
    assert levels.shape == (6, 2, 16)
    with pytest.raises(ConfigError, match="crystal"):
        run(folder, tmp_path / "new", "--model", "crystal:ball")
    with pytest.raises(ConfigError, match="odd kernel sizes"):
        run(folder, tmp_path / "new", "--levels", "2,4")
    with pytest.raises(ConfigError, match="at most 447"):
        run(folder, tmp_path / "new", "--levels", "1,449")
    with pytest.raises(ConfigError, match="1 to 16"):
        run(folder, tmp_path / "new", "--layer", 17)
    with pytest.raises(ConfigError, match="with --labels"):
        run("--labels", tmp_path / "labels.txt", tmp_path / "new", "--layer", 3)
    assert not (tmp_path / "new").exists()
