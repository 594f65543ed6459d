"""What can be recognised: labels, pictures and their unit-norm embeddings -> Gallery, in memory and on disk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import CheckpointError
from necomimi.gallery_files import REMEDY, digest, read_gallery, write_gallery
from necomimi.search import Search
from necomimi.spaces import SHARP, Space

__all__ = ["THUMBNAIL_SIZE", "Gallery"]

THUMBNAIL_SIZE = 96


@dataclass(frozen=True, eq=False)
class Gallery(Search):
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
    levels : ndarray of float32, shape (n_items, n_levels, n_dims), or None
        Unit norm: the pictures at several levels of blur, the sharp one, which is `embeddings`, first.
    blur_levels : tuple of int
        Kernel size in pixels of each level; empty where there are no levels.
    clip_norm : float or None
        Mean norm of the sharp pictures' vectors before they were normalised, where it was measured: generators want
        vectors of that norm.
    markers : mapping of str to str
        What else an experiment calls an item in its markers, such as a trigger code: marker -> file, stem or label.

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
    levels: NDArray[np.float32] | None = None
    blur_levels: tuple[int, ...] = ()
    clip_norm: float | None = None
    markers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        embeddings = np.array(self.embeddings, dtype=np.float32)
        embeddings.flags.writeable = False
        object.__setattr__(self, "embeddings", embeddings)
        for name in ("labels", "files", "blur_levels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
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
        _require_unit_norm("embeddings", embeddings)
        if self.thumbnails is not None:
            expected = (n_items, THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3)
            if self.thumbnails.dtype != np.uint8 or self.thumbnails.shape != expected:
                raise CheckpointError(
                    f"thumbnails of shape {self.thumbnails.shape}, {self.thumbnails.dtype}", f"{expected}, uint8"
                )
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise CheckpointError(f"a gallery with clip_norm {self.clip_norm}", "a number above 0", REMEDY)
        if self.levels is not None:
            self._check_levels(self.levels)
        elif self.blur_levels:
            raise CheckpointError(f"blur levels {self.blur_levels} without embeddings of them", "both or neither")

    def _check_levels(self, levels: NDArray[np.float32]) -> None:
        """Make sure that the levels belong to the embeddings, and that nobody writes to them."""
        expected = (len(self), len(self.blur_levels), self.n_dims)
        if levels.dtype != np.float32 or levels.shape != expected or self.blur_levels[:1] != SHARP:
            raise CheckpointError(
                f"levels of shape {levels.shape}, {levels.dtype}, for blur levels {self.blur_levels}",
                f"{expected}, float32, the sharp level 1 first",
                REMEDY,
            )
        _require_unit_norm("levels", levels)
        if not np.array_equal(levels[:, 0], self.embeddings):
            raise CheckpointError("gallery embeddings that are not its first level", "the same numbers", REMEDY)
        view = levels.view()
        view.flags.writeable = False
        object.__setattr__(self, "levels", view)

    @property
    def file_hash(self) -> str:
        """SHA-256 of the ordered file list: two galleries with the same hash hold the same pictures in one order."""
        return digest(self.files)

    @cached_property
    def _index(self) -> dict[str, int]:
        """Map each file, then each file stem, then each label, to the first item that has it; then each marker."""
        names: dict[str, int] = {}
        for group in (self.files, [PurePosixPath(file).stem for file in self.files], self.labels):
            for i, name in enumerate(group):
                names.setdefault(name, i)
        names.pop("", None)
        return {marker: names[name] for marker, name in self.markers.items() if name in names} | names

    def index_of(self, name: str) -> int | None:
        """Return the item whose file, file stem, label or marker (tried in this order) is `name`, or None.

        Where several items match, the first one.
        """
        return self._index.get(name)

    def indices(self, names: Iterable[str]) -> NDArray[np.intp]:
        """Return the item of each name, as `index_of` does, shape (n_names,).

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
        return replace(
            self,
            labels=tuple(self.labels[i] for i in rows),
            files=tuple(self.files[i] for i in rows),
            embeddings=self.embeddings[rows],
            thumbnails=None if self.thumbnails is None else self.thumbnails[rows],
            levels=None if self.levels is None else self.levels[rows],
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
            space=f"labels:{digest(classes)[:12]}",
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
                else Space.parse(space).how_to_embed(),
            )

    def save(self, path: str | Path) -> None:
        """Write the gallery directory; an existing gallery there is replaced once the new one is whole."""
        config = {
            "space": self.space,
            "n_items": len(self),
            "n_dims": self.n_dims,
            "file_hash": self.file_hash,
            "blur_levels": self.blur_levels,
            "clip_norm": self.clip_norm,
            "labels": self.labels,
            "files": self.files,
            "markers": dict(self.markers),
        }
        tensors = {"embeddings": self.embeddings, "thumbnails": self.thumbnails, "levels": self.levels}
        write_gallery(Path(path), config, {name: values for name, values in tensors.items() if values is not None})

    @classmethod
    def load(cls, path: str | Path, *, thumbnails: bool = True) -> Gallery:
        """Read a gallery directory.

        Parameters
        ----------
        path : path-like
            Of a decoder directory, its own gallery is read.
        thumbnails : bool
            Whether to read the thumbnails too (27 kB an item).

        Raises
        ------
        CheckpointError
            The directory is missing, foreign, damaged, or its parts disagree.
        """
        wanted = ("embeddings", "levels", "thumbnails") if thumbnails else ("embeddings", "levels")
        path = Path(path)
        config, tensors = read_gallery(path / "gallery" if (path / "gallery").is_dir() else path, wanted)
        try:
            return cls(
                labels=config["labels"],
                files=config["files"],
                space=config["space"],
                blur_levels=config.get("blur_levels", ()),
                clip_norm=config.get("clip_norm"),
                markers={str(marker): str(name) for marker, name in dict(config.get("markers", {})).items()},
                **tensors,
            )
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error.found}", error.expected, REMEDY) from error
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: {error}", "a complete gallery", REMEDY) from error


def _require_unit_norm(name: str, vectors: NDArray[np.float32]) -> None:
    """Refuse vectors that are not of unit norm along their last axis."""
    norms = np.sqrt(np.einsum("...d,...d->...", vectors, vectors))  # without a copy of the squares
    if not np.all(np.abs(norms - 1) < 1e-3):  # also false for NaN
        raise CheckpointError(
            f"gallery {name} with norms from {norms.min():.4g} to {norms.max():.4g}", "unit norm", REMEDY
        )
