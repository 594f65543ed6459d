"""Embed pictures, in threads and with thumbnails: folder, embedder -> Gallery; the embedded picture set -> Gallery."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from necomimi.cache import user_cache
from necomimi.console import progress
from necomimi.embedders import EMBEDDED_SPACE, Embedder, build_embedder, in_threads
from necomimi.errors import CheckpointError
from necomimi.gallery import THUMBNAIL_SIZE, Gallery
from necomimi.picture_folder import open_picture, picture_files, picture_label
from necomimi.pictures import concepts, draw_picture, picture_file
from necomimi.spaces import SHARP, Space

__all__ = ["embed_concepts", "embed_folder", "embed_folder_once"]

logger = logging.getLogger(__name__)


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


def embed_folder_once(folder: Path) -> Gallery:
    """Return the gallery of a folder by the embedded embedder, from this user's cache where it was made before.

    The cache goes by what the files hold and how they are called, not by where the folder lies.
    """
    identity = hashlib.sha256(EMBEDDED_SPACE.encode())
    for path in picture_files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        identity.update(f"\n{path.relative_to(folder).as_posix()}\t{content}".encode("utf-8", "surrogateescape"))
    kept = user_cache() / "galleries" / identity.hexdigest()[:32]
    try:
        return Gallery.load(kept)
    except CheckpointError as error:
        logger.debug("no gallery in the cache: %s", error)
    gallery = embed_folder(folder, build_embedder("embedded"))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        gallery.save(kept)
    except (OSError, CheckpointError) as error:
        logger.warning("the embeddings are not kept for the next time: %s", error)
    return gallery
