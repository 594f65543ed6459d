"""Turn a folder of pictures, or a list of labels, into something to search: pictures, labels -> gallery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageOps

from necomimi.blur import parse_levels
from necomimi.console import console, progress
from necomimi.embedders import Embedder, build_embedder, in_threads
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import THUMBNAIL_SIZE, Gallery
from necomimi.gallery_files import check_overwritable
from necomimi.picture_folder import open_picture, picture_files, picture_label
from necomimi.pictures import concepts, draw_picture, picture_file
from necomimi.spaces import SHARP, Space

__all__ = ["command", "embed_concepts", "embed_folder"]


def _embed(
    draw: Callable[[int], Image.Image],
    labels: Sequence[str],
    files: Sequence[str],
    embedder: Embedder,
    batch_size: int,
    levels: tuple[int, ...],
) -> Gallery:
    """Return the gallery of the pictures that `draw` gives by their number."""

    def work(items: range) -> tuple[range, list[NDArray[np.uint8]], NDArray[np.float32], NDArray[np.float32]]:
        pictures = [draw(item) for item in items]
        small = [np.asarray(ImageOps.fit(picture, (THUMBNAIL_SIZE, THUMBNAIL_SIZE))) for picture in pictures]
        return items, small, *embedder.measure_levels(pictures, levels, batch_size)

    thumbnails = np.empty((len(labels), THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3), dtype=np.uint8)
    vectors = np.empty((len(labels), len(levels), embedder.n_dims), dtype=np.float32)
    norms = np.empty(len(labels), dtype=np.float32)  # of the sharp pictures
    with progress() as bar:
        task = bar.add_task("embed", total=len(labels))
        batches = [range(i, min(i + batch_size, len(labels))) for i in range(0, len(labels), batch_size)]
        for items, small, embedded, lengths in in_threads(work, batches):
            rows = slice(items.start, items.stop)
            thumbnails[rows], vectors[rows], norms[rows] = small, embedded, lengths[:, 0]
            bar.advance(task, len(items))
    is_blurred = levels != SHARP
    return Gallery(
        labels=tuple(labels),
        files=tuple(files),
        embeddings=vectors[:, 0],
        space=str(replace(Space.parse(embedder.space), levels=levels)),
        thumbnails=thumbnails,
        levels=vectors if is_blurred else None,
        blur_levels=levels if is_blurred else (),
        clip_norm=float(norms.mean()) if embedder.space.startswith("open_clip:") else None,
    )


def embed_folder(folder: Path, embedder: Embedder, batch_size: int = 16, levels: tuple[int, ...] = SHARP) -> Gallery:
    """Return the gallery of a folder of pictures.

    Parameters
    ----------
    folder : Path
        Pictures in folders named after what they show ("00001_aardvark"), or in one flat folder.
    embedder : Embedder
    batch_size : int
        Pictures embedded at once.
    levels : tuple of int
        Blur levels: kernel sizes in pixels, 1 (the sharp picture) first.
    """
    paths = picture_files(folder)
    return _embed(
        lambda item: open_picture(paths[item]),
        [picture_label(path, folder) for path in paths],
        [path.relative_to(folder).as_posix() for path in paths],
        embedder,
        batch_size,
        levels,
    )


def embed_concepts(embedder: Embedder, batch_size: int = 16, levels: tuple[int, ...] = SHARP) -> Gallery:
    """Return the gallery of the embedded picture set, one picture a concept; arguments as in `embed_folder`."""
    things = concepts()
    return _embed(
        lambda item: draw_picture(things[item], 0),
        [thing.name for thing in things],
        [picture_file(thing.name, 0) for thing in things],
        embedder,
        batch_size,
        levels,
    )


def _labels_in(path: Path) -> list[str]:
    """Return the lines of a label list."""
    try:
        labels = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "a text file with one label a line") from error
    if not labels:
        raise DatasetError(f"{path} holds no labels", "one label a line")
    return labels


def command(
    pictures: Annotated[
        str | None, typer.Argument(metavar="[PICTURES]", help='A folder of pictures, or "embedded".')
    ] = None,
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="The gallery directory to make.")] = None,
    model: Annotated[
        str, typer.Option(help="embedded, or open_clip:ARCHITECTURE/PRETRAINED (a tag or a weights file).")
    ] = "embedded",
    labels: Annotated[Path | None, typer.Option(help="A text file of labels, for a gallery without pictures.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures embedded at once.")] = 16,
    device: Annotated[str, typer.Option(help="Where OpenCLIP runs: cpu, cuda or mps.")] = "cpu",
    levels: Annotated[
        str,
        typer.Option(
            metavar="K,K...", help="Blur levels for an image adapter: kernel sizes in pixels, 1 = sharp first."
        ),
    ] = "1",
    layer: Annotated[
        int | None, typer.Option(min=1, help="Block of the network to take, from 1; its own embedding if absent.")
    ] = None,
) -> None:
    """Make a gallery: what a decoder searches, or what an encoder is trained towards.

    With several --levels the gallery holds each picture sharp and blurred, and training learns how much of each the
    target should hold. An intermediate --layer is often nearer to what EEG can tell than the network's last one.

    Example: necomimi embed image_set/test_images gallery --model open_clip:ViT-H-14/laion2b_s32b_b79k
    """
    if labels is not None and out is None:
        pictures, out = None, Path(pictures) if pictures else None
    if out is None or (pictures is None) == (labels is None):
        raise ConfigError("pictures or labels, and OUT", "necomimi embed PICTURES OUT, or embed --labels FILE OUT")
    blur_levels = parse_levels(levels)
    if labels is not None and (layer is not None or blur_levels != SHARP):
        raise ConfigError("--levels or --layer with --labels", "pictures to blur and to show a network")
    check_overwritable(out)
    if labels is not None:
        gallery = Gallery.from_labels(_labels_in(labels))
    else:
        embedder = build_embedder(model, device, layer)
        if pictures == "embedded":
            gallery = embed_concepts(embedder, batch_size, blur_levels)
        else:
            gallery = embed_folder(Path(str(pictures)), embedder, batch_size, blur_levels)
    gallery.save(out)
    blurred = f", {len(blur_levels)} blur levels" if gallery.levels is not None else ""
    console.print(f"{out}: {len(gallery)} items, {len(gallery.classes)} labels, {gallery.n_dims} dimensions{blurred}")
