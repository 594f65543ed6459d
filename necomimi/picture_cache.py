"""Embed a folder of pictures once: folder -> its gallery, from this user's cache if it is there."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from necomimi.cache import user_cache
from necomimi.errors import CheckpointError
from necomimi.gallery import Gallery
from necomimi.picture_folder import picture_files
from necomimi.spaces import EMBEDDED_SPACE

__all__ = ["embed_folder_once"]

logger = logging.getLogger(__name__)


def embed_folder_once(folder: Path) -> Gallery:
    """Return the gallery of a folder by the embedded embedder.

    The cache goes by what the files hold and how they are called, not by where the folder lies. Without the network
    that embeds, a known folder takes a tenth of a second.

    Raises
    ------
    DatasetError
        There is no such folder, or a file in it is no picture.
    """
    identity = hashlib.sha256(EMBEDDED_SPACE.encode())
    for path in picture_files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        identity.update(f"\n{path.relative_to(folder).as_posix()}\t{content}".encode("utf-8", "surrogateescape"))
    kept = user_cache() / "galleries" / identity.hexdigest()[:32]
    try:
        return Gallery.load(kept)
    except CheckpointError as error:
        logger.debug("not in the cache: %s", error)
    from necomimi.embedders import build_embedder  # and with it torch
    from necomimi.picture_embedding import embed_folder

    gallery = embed_folder(folder, build_embedder("embedded"))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        gallery.save(kept)
    except (OSError, CheckpointError) as error:
        logger.warning("the embeddings are not kept for the next time: %s", error)
    return gallery
