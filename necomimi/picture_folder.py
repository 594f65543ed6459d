"""Read a folder of pictures: folder -> files in a fixed order, what each shows, its marker, its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from necomimi.errors import DatasetError
from necomimi.markers import is_control
from necomimi.picture_list import concept_label

__all__ = ["open_picture", "picture_files", "picture_label", "picture_markers"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
MAX_PIXELS = 50_000_000


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures below a folder: folders in order of name, then files in order of name.

    Raises
    ------
    DatasetError
        There is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder", "a folder of pictures")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise DatasetError(f"{folder} holds no pictures", f"files ending in {', '.join(sorted(SUFFIXES))}")
    return sorted(found, key=lambda path: (path.parent.relative_to(folder).as_posix(), path.name))


def picture_label(path: Path, folder: Path) -> str:
    """Return what a picture shows: its folder without the leading number, or its own name in a flat folder."""
    if path.parent == folder:
        return path.stem
    return concept_label(path.parent.name)


def picture_markers(files: Sequence[str]) -> tuple[str, ...]:
    """Return what the presentation of each picture sends: its stem where all stems differ, else its whole path.

    A gallery of the same folder finds the picture by either (`necomimi.gallery.Gallery.index_of`).

    Parameters
    ----------
    files : sequence of str
        POSIX paths relative to the folder: all that it holds, even if not all are shown.

    Raises
    ------
    DatasetError
        A marker would be taken for one that is no stimulus.
    """
    stems = tuple(PurePosixPath(file).stem for file in files)
    is_told_by_stem = len(set(stems)) == len(stems) and set(stems).isdisjoint(files)
    markers = stems if is_told_by_stem else tuple(files)
    for marker in filter(is_control, markers):
        raise DatasetError(
            f"the marker {marker!r} would say that a program began or ended, not that a picture is shown",
            "another name of that folder, or pictures whose names all differ",
        )
    return markers


def open_picture(path: Path) -> Image.Image:
    """Read one picture, upright, in RGB.

    Raises
    ------
    DatasetError
        It cannot be read, or is larger than a picture of this use has reason to be.
    """
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DatasetError(f"{path} has {picture.width} x {picture.height} pixels", f"at most {MAX_PIXELS}")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path} cannot be read as a picture: {error}", "a picture", "remove or mend it") from error
