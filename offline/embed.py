"""Turn a folder of pictures, or a list of labels, into something to search: pictures, labels -> gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from necomimi.checkpoint import check_overwritable
from necomimi.console import console
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.marker_table import add_markers
from necomimi.spaces import SHARP

__all__ = ["command"]


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
    markers: Annotated[
        Path | None,
        typer.Option(help="A table (CSV, TSV) with the columns marker and picture: what the experiment's codes show."),
    ] = None,
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
    from necomimi.blur import parse_levels
    from necomimi.embedders import build_embedder
    from necomimi.picture_embedding import embed_concepts, embed_folder

    if labels is not None and out is None:
        pictures, out = None, Path(pictures) if pictures else None
    if out is None or (pictures is None) == (labels is None):
        raise ConfigError("pictures or labels, and OUT", "necomimi embed PICTURES OUT, or embed --labels FILE OUT")
    blur_levels = parse_levels(levels)
    if labels is not None and (layer is not None or blur_levels != SHARP):
        raise ConfigError("--levels or --layer with --labels", "pictures to blur and to show a network")
    check_overwritable(out, "gallery")
    if labels is not None:
        gallery = Gallery.from_labels(_labels_in(labels))
    else:
        embedder = build_embedder(model, device, layer)
        if pictures == "embedded":
            gallery = embed_concepts(embedder, batch_size, blur_levels)
        else:
            gallery = embed_folder(Path(str(pictures)), embedder, batch_size, blur_levels)
    if markers is not None:
        gallery = add_markers(gallery, markers)
    gallery.save(out)
    blurred = f", {len(blur_levels)} blur levels" if gallery.levels is not None else ""
    console.print(f"{out}: {len(gallery)} items, {len(gallery.classes)} labels, {gallery.n_dims} dimensions{blurred}")
