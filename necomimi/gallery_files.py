"""A gallery on disk: items and tensors <-> config.json and gallery.safetensors, checked against each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from necomimi.checkpoint import check_overwritable, read_config, whole_directory, write_config
from necomimi.errors import CheckpointError

__all__ = ["REMEDY", "digest", "read_gallery", "write_gallery"]

TENSORS_NAME = "gallery.safetensors"
REMEDY = "make the gallery again with: necomimi embed PICTURES OUT"


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, as 64 hex digits."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _items_digest(config: dict[str, Any]) -> str:
    """Return the digest of what the rows of the tensors stand for; the tensors carry it too."""
    return digest([config["space"], config["labels"], config["files"]])


def write_gallery(path: Path, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> None:
    """Write a gallery directory; an existing gallery there is replaced once the new one is whole.

    Parameters
    ----------
    path : Path
    config : dict
        "space", "labels", "files", "file_hash" and further facts for the reader.
    tensors : dict of ndarray, shape (n_items, ...)
    """
    check_overwritable(path, "gallery")
    with whole_directory(path) as partial:
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(contiguous, partial / TENSORS_NAME, metadata={"items": _items_digest(config)})
        write_config(partial, "gallery", config)


def read_gallery(path: Path, wanted: Collection[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the config of a gallery directory and those of the tensors `wanted` that are there.

    Raises
    ------
    CheckpointError
        The directory is missing, foreign, damaged, or its tensors belong to other items.
    """
    config = read_config(path, "gallery")
    for name in ("labels", "files"):
        value = config.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise CheckpointError(f'{path} is damaged: "{name}" is not a list of strings', "a complete gallery", REMEDY)
    try:
        with safe_open(path / TENSORS_NAME, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in set(file.keys()) & set(wanted)}
            items = (file.metadata() or {}).get("items")
        matches = items == _items_digest(config) and config["file_hash"] == digest(config["files"])
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", "a complete gallery", REMEDY) from error
    if not matches:
        raise CheckpointError(
            f"{path}: the list of files or labels was changed after the embeddings were made",
            "the order in which they were embedded",
            REMEDY,
        )
    return config, tensors
