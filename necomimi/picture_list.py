"""The pictures of THINGS-EEG2 in the order of their codes: image_metadata.npy <-> ImageMetadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from necomimi.errors import DatasetError
from necomimi.safe_pickle import load_dict, names_in

__all__ = ["ImageMetadata", "Split", "concept_label", "load_metadata", "metadata_path", "save_metadata"]

Split = Literal["training", "test"]
METADATA_NAME = "image_metadata.npy"


def concept_label(concept: str) -> str:
    """Return the name of a numbered concept: "00001_aircraft_carrier" -> "aircraft_carrier"."""
    number, _, name = concept.partition("_")
    return name if number.isdigit() and name else concept


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMetadata:
    """The pictures in the order of their codes: code 1 is item 0.

    Parameters
    ----------
    train_concepts : tuple of str
        The folder of each training picture, for example "00001_aardvark".
    train_files : tuple of str
        Its file in that folder, for example "aardvark_01b.jpg".
    test_concepts, test_files : tuple of str
        The same of each test picture.
    """

    train_concepts: tuple[str, ...]
    train_files: tuple[str, ...]
    test_concepts: tuple[str, ...]
    test_files: tuple[str, ...]

    def __post_init__(self) -> None:
        for concepts, files in ((self.train_concepts, self.train_files), (self.test_concepts, self.test_files)):
            if len(concepts) != len(files):
                raise DatasetError(
                    f"picture list of {len(concepts)} concepts and {len(files)} files", "as many of each"
                )

    def concepts(self, split: Split) -> tuple[str, ...]:
        """Return the concept of each picture, without its number."""
        return tuple(map(concept_label, self.train_concepts if split == "training" else self.test_concepts))

    def pictures(self, split: Split) -> tuple[str, ...]:
        """Return the path of each picture relative to its image folder, for example "00001_dog/dog_01b.jpg"."""
        if split == "training":
            return tuple(f"{c}/{f}" for c, f in zip(self.train_concepts, self.train_files, strict=True))
        return tuple(f"{c}/{f}" for c, f in zip(self.test_concepts, self.test_files, strict=True))

    def markers(self, split: Split) -> tuple[str, ...]:
        """Return what a presentation of each picture sends: the concept (test), or the file's stem (training)."""
        if split == "training":
            return tuple(PurePath(file).stem for file in self.train_files)
        return self.concepts("test")


def save_metadata(path: Path, metadata: ImageMetadata) -> None:
    """Write the picture list in the published form (`image_metadata.npy`)."""
    values: dict[str, list[str]] = {}
    for prefix, concepts, files in (
        ("train", metadata.train_concepts, metadata.train_files),
        ("test", metadata.test_concepts, metadata.test_files),
    ):
        values[f"{prefix}_img_concepts"] = list(concepts)
        values[f"{prefix}_img_concepts_THINGS"] = list(concepts)
        values[f"{prefix}_img_files"] = list(files)
    box = np.empty((), dtype=object)
    box[()] = values
    np.save(path, box, allow_pickle=True)


def load_metadata(path: Path) -> ImageMetadata:
    """Read a picture list (`image_metadata.npy`).

    Raises
    ------
    DatasetError
        The file is missing, damaged, or holds other things.
    """
    keys = ("train_img_concepts", "train_img_files", "test_img_concepts", "test_img_files")
    values = load_dict(path, keys)
    train_concepts, train_files, test_concepts, test_files = (names_in(path, key, values[key]) for key in keys)
    return ImageMetadata(
        train_concepts=train_concepts, train_files=train_files, test_concepts=test_concepts, test_files=test_files
    )


def metadata_path(root: Path, folders_above: int = 0) -> Path:
    """Return where the picture list of a data set lies: in its root or in its `image_set` folder.

    Parameters
    ----------
    root : Path
    folders_above : int
        Look in as many folders above `root` too, the nearest first.

    Raises
    ------
    DatasetError
        There is none.
    """
    for folder in (root, *root.parents)[: folders_above + 1]:
        for path in (folder / "image_set" / METADATA_NAME, folder / METADATA_NAME):
            if path.is_file():
                return path
    raise DatasetError(
        f"{root} holds no {METADATA_NAME}" + (", nor do the folders above it" if folders_above else ""),
        f"{root / 'image_set' / METADATA_NAME}",
        "it is part of the data set's pictures (OSF y63gw)",
    )
