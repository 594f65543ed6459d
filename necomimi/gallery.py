"""What can be recognised: labels, thumbnails and unit-norm embeddings on disk: Embedding -> Retrieval."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from necomimi.errors import CheckpointError

__all__ = ["THUMBNAIL_SIZE", "Gallery"]

FORMAT = "necomimi-gallery"
VERSION = 1
CONFIG_NAME = "config.json"
TENSORS_NAME = "gallery.safetensors"
THUMBNAIL_SIZE = 96
REMEDY = "make the gallery again with: necomimi embed PICTURES OUT"


def _digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, as 64 hex digits."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Gallery:
    """Items that an embedding is compared with, in a fixed order.

    Parameters
    ----------
    labels : tuple of str
        One per item; items may share a label.
    files : tuple of str
        One per item: POSIX path relative to the picture folder, "" for items without a picture.
    embeddings : ndarray of float32, shape (n_items, n_dims)
        Unit norm.
    space : str
        The embedder, for example "open_clip:ViT-H-14/laion2b_s32b_b79k".
    thumbnails : ndarray of uint8, shape (n_items, 96, 96, 3), or None
        RGB.

    Raises
    ------
    CheckpointError
        The parts disagree, or an embedding is not of unit norm.
    """

    labels: tuple[str, ...]
    files: tuple[str, ...]
    embeddings: NDArray[np.float32]
    space: str
    thumbnails: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "files", tuple(self.files))
        embeddings = np.array(self.embeddings, dtype=np.float32)
        embeddings.flags.writeable = False
        object.__setattr__(self, "embeddings", embeddings)
        n_items = len(self.labels)
        if n_items == 0 or not all(self.labels) or not self.space:
            raise CheckpointError("a gallery without items, or with an empty label or space", "one label per item")
        if len(self.files) != n_items or embeddings.ndim != 2 or len(embeddings) != n_items:
            raise CheckpointError(
                f"a gallery of {n_items} labels, {len(self.files)} files and embeddings of shape {embeddings.shape}",
                "one file and one embedding per label",
            )
        for file in self.files:
            if "\\" in file or PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
                raise CheckpointError(f"gallery file {file!r}", "a POSIX path below the picture folder")
        norms = np.linalg.norm(embeddings, axis=1)
        if not np.all(np.abs(norms - 1) < 1e-3):  # also false for NaN
            raise CheckpointError(
                f"gallery embeddings with norms from {norms.min():.4g} to {norms.max():.4g}", "unit norm", REMEDY
            )
        if self.thumbnails is not None:
            expected = (n_items, THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3)
            if self.thumbnails.dtype != np.uint8 or self.thumbnails.shape != expected:
                raise CheckpointError(
                    f"thumbnails of shape {self.thumbnails.shape}, {self.thumbnails.dtype}", f"{expected}, uint8"
                )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_dims(self) -> int:
        """Dimensions of the embedding space."""
        return int(self.embeddings.shape[1])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Distinct labels, in order of first appearance."""
        return tuple(dict.fromkeys(self.labels))

    @cached_property
    def item_classes(self) -> NDArray[np.intp]:
        """Index into `classes` of each item, shape (n_items,)."""
        number = {label: i for i, label in enumerate(self.classes)}
        return np.array([number[label] for label in self.labels], dtype=np.intp)

    @property
    def file_hash(self) -> str:
        """SHA-256 of the ordered file list: two galleries with the same hash hold the same pictures in one order."""
        return _digest(self.files)

    @cached_property
    def _index(self) -> dict[str, int]:
        """Map each file, then each file stem, then each label, to the first item that has it."""
        names: dict[str, int] = {}
        for group in (self.files, [PurePosixPath(file).stem for file in self.files], self.labels):
            for i, name in enumerate(group):
                names.setdefault(name, i)
        names.pop("", None)
        return names

    def index_of(self, name: str) -> int | None:
        """Return the item whose file, file stem, or label (tried in this order) is `name`; None if there is none.

        Where several items match, the first one.
        """
        return self._index.get(name)

    def indices(self, names: Iterable[str]) -> NDArray[np.intp]:
        """Return the item of each name, as `index_of` does.

        Raises
        ------
        CheckpointError
            Some names are not in the gallery: a wrong or reordered picture folder is never passed over in silence.
        """
        names = list(names)
        missing = sorted({name for name in names if name not in self._index})
        if missing:
            raise CheckpointError(
                f"{len(missing)} name(s) are not in the gallery, among them {', '.join(missing[:3])}",
                f"the pictures or labels of this gallery, such as {self.files[0] or self.labels[0]}",
                "embed the picture folder that belongs to the recording",
            )
        return np.array([self._index[name] for name in names], dtype=np.intp)

    def select(self, items: Sequence[int] | NDArray[np.intp]) -> Gallery:
        """Return a gallery of some of the items, in the order given."""
        rows = np.asarray(items, dtype=np.intp)
        return Gallery(
            labels=tuple(self.labels[i] for i in rows),
            files=tuple(self.files[i] for i in rows),
            embeddings=self.embeddings[rows],
            space=self.space,
            thumbnails=None if self.thumbnails is None else self.thumbnails[rows],
        )

    @classmethod
    def from_labels(cls, labels: Iterable[str]) -> Gallery:
        """Return a gallery of labels without pictures: one dimension per distinct label, in sorted order.

        Parameters
        ----------
        labels : iterable of str
            Class names; repetitions are dropped.
        """
        classes = tuple(sorted(set(labels)))
        return cls(
            labels=classes,
            files=("",) * len(classes),
            embeddings=np.eye(len(classes), dtype=np.float32),
            space=f"labels:{_digest(classes)[:12]}",
        )

    def require_space(self, space: str) -> None:
        """Make sure that vectors of `space` may be compared with this gallery.

        Raises
        ------
        CheckpointError
            The gallery is of another embedder.
        """
        if space != self.space:
            raise CheckpointError(
                f"the gallery's embedder is {self.space}",
                f"{space}, which the decoder was trained for",
                "give the gallery that the decoder was trained with"
                if space.startswith("labels:")
                else f"necomimi embed PICTURES OUT --model {space}",
            )

    def similarities(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Return how near each vector is to each class: the cosine with the nearest item of the class.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Need not be of unit norm.

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
            Columns in the order of `classes`.
        """
        return self._by_class(np.maximum, self._cosines(vectors))

    def class_scores(self, vectors: ArrayLike, logit_scale: float) -> NDArray[np.float64]:
        """Return the logarithm of each class's unnormalised probability, items of one class summed.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Need not be of unit norm.
        logit_scale : float
            Inverse temperature.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Columns in the order of `classes`.
        """
        logits = logit_scale * self._cosines(vectors).astype(np.float64)
        if len(self.classes) == len(self):
            return logits
        top = logits.max(axis=1, keepdims=True, initial=-np.inf)
        return top + np.log(np.maximum(self._by_class(np.add, np.exp(logits - top)), 1e-300))

    def best(self, class_scores: ArrayLike, k: int) -> tuple[list[tuple[str, ...]], NDArray[np.float32]]:
        """Return the best `k` labels for each row of class scores: a softmax, sorted.

        Parameters
        ----------
        class_scores : array-like, shape (n, n_classes)
            As `class_scores` returns them.
        k : int
            Labels wanted; at most ``len(classes)`` are given. Ties go to the label that comes first in `classes`.

        Returns
        -------
        labels : list of tuple of str
            `n` tuples, best first.
        scores : ndarray of float32, shape (n, k)
            Probabilities, descending.
        """
        if k < 1:
            raise ValueError(f"k is {k}, expected at least 1")
        logits = np.asarray(class_scores, dtype=np.float64)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        scores = weights / weights.sum(axis=1, keepdims=True)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        labels = [tuple(self.classes[i] for i in row) for row in order]
        return labels, np.take_along_axis(scores, order, axis=1).astype(np.float32)

    def retrieve(
        self, vectors: ArrayLike, k: int, logit_scale: float
    ) -> tuple[list[tuple[str, ...]], NDArray[np.float32]]:
        """Return the best `k` labels for each vector: `best` of its `class_scores`.

        Cosine similarities times `logit_scale` pass through a softmax over the items; the probabilities of items with
        the same label are summed.
        """
        return self.best(self.class_scores(vectors, logit_scale), k)

    def _cosines(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Return the cosine of each vector with each item, shape (n, n_items)."""
        rows = np.asarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_dims or not np.isfinite(rows).all():
            raise ValueError(f"vectors of shape {rows.shape}, expected finite numbers of shape (n, {self.n_dims})")
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.maximum(norms, np.float32(1e-12))) @ self.embeddings.T

    def _by_class(self, reduce: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Reduce values of items, shape (n, n_items), to one a class, shape (n, n_classes)."""
        if len(self.classes) == len(self):
            return values
        order = np.argsort(self.item_classes, kind="stable")
        starts = np.flatnonzero(np.diff(self.item_classes[order], prepend=-1))
        return reduce.reduceat(values[:, order], starts, axis=1)

    def save(self, path: str | Path) -> None:
        """Write the gallery directory: ``config.json`` and ``gallery.safetensors``."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        config = {
            "format": FORMAT,
            "version": VERSION,
            "space": self.space,
            "n_items": len(self),
            "n_dims": self.n_dims,
            "file_hash": self.file_hash,
            "labels": self.labels,
            "files": self.files,
        }
        tensors: dict[str, NDArray[Any]] = {"embeddings": self.embeddings}
        if self.thumbnails is not None:
            tensors["thumbnails"] = np.ascontiguousarray(self.thumbnails)
        # The tensors name their own items, so that a save cut short between the two files is noticed.
        save_file(tensors, path / (TENSORS_NAME + ".part"), metadata={"items": self._items_hash()})
        (path / (CONFIG_NAME + ".part")).write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
        for name in (TENSORS_NAME, CONFIG_NAME):
            os.replace(path / (name + ".part"), path / name)

    def _items_hash(self) -> str:
        """Return the digest of what the rows of the tensors stand for."""
        return _digest([self.space, self.labels, self.files])

    @classmethod
    def load(cls, path: str | Path, *, thumbnails: bool = True) -> Gallery:
        """Read a gallery directory.

        Parameters
        ----------
        path : path-like
        thumbnails : bool
            Whether to read the thumbnails too (27 kB an item).

        Raises
        ------
        CheckpointError
            The directory is missing, foreign, damaged, or its parts disagree.
        """
        path = Path(path)
        try:
            config = json.loads((path / CONFIG_NAME).read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"no gallery at {path}: {error.strerror}", f"{CONFIG_NAME} in it", REMEDY) from error
        except ValueError as error:
            raise CheckpointError(f"{path / CONFIG_NAME} is damaged: {error}", "a JSON file", REMEDY) from error
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise CheckpointError(f"{path} is not a gallery", f'"format": "{FORMAT}" in {CONFIG_NAME}', REMEDY)
        if config.get("version") != VERSION:
            raise CheckpointError(f"{path}: gallery version {config.get('version')}", f"version {VERSION}", REMEDY)
        try:
            with safe_open(path / TENSORS_NAME, framework="numpy") as tensors:
                embeddings = tensors.get_tensor("embeddings")
                names = set(tensors.keys())
                pictures = tensors.get_tensor("thumbnails") if thumbnails and "thumbnails" in names else None
                items_hash = (tensors.metadata() or {}).get("items")
            gallery = cls(
                labels=_strings(config, "labels"),
                files=_strings(config, "files"),
                embeddings=embeddings,
                space=config["space"],
                thumbnails=pictures,
            )
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error.found}", error.expected, REMEDY) from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: {error}", "a complete gallery", REMEDY) from error
        if config.get("file_hash") != gallery.file_hash or items_hash != gallery._items_hash():
            raise CheckpointError(
                f"{path}: the list of files or labels was changed after the embeddings were made",
                "the order in which they were embedded",
                REMEDY,
            )
        return gallery


def _strings(config: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of strings in the config as a tuple."""
    value = config[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f'"{name}" in {CONFIG_NAME} is not a list of strings')
    return tuple(value)
