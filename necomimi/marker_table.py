"""Read which marker stands for which picture: an experiment's table, gallery -> gallery that knows the markers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path, PurePosixPath

from necomimi.errors import DatasetError
from necomimi.gallery import Gallery
from necomimi.markers import is_control

__all__ = ["add_markers"]

COLUMNS = ("marker", "picture")


def add_markers(gallery: Gallery, table: Path) -> Gallery:
    """Return the gallery with the markers of a table.

    Parameters
    ----------
    gallery : Gallery
    table : Path
        Text with a header, columns parted by tabs, semicolons or commas: the conditions file of an experiment. Of its
        columns, ``marker`` is what is sent, and ``picture`` what that shows: a file, its stem or a label of the
        gallery. Folders before the gallery's own are passed over.

    Raises
    ------
    DatasetError
        It cannot be read, lacks a column, names what the gallery does not hold, or one marker stands for two things.
    """
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{table} cannot be read: {error}", "a text table (CSV or TSV, UTF-8)") from error
    header = lines[0] if lines else ""
    rows = list(csv.DictReader(lines, delimiter=max("\t;,", key=header.count)))
    if any(column not in (rows[0] if rows else {}) for column in COLUMNS):
        raise DatasetError(f"{table} begins with {header!r}", f"a header with {' and '.join(COLUMNS)}, and rows below")
    markers: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        marker, picture = ((row[column] or "").strip() for column in COLUMNS)
        where = f"{table}, line {number}: marker {marker!r} for {picture!r}"
        name = _name_in(gallery, picture)
        if name is None:
            raise DatasetError(
                where, f"a picture or label of the gallery, such as {gallery.files[0] or gallery.labels[0]}"
            )
        if is_control(marker) or marker == "0":
            raise DatasetError(where, "a marker that is a stimulus: text, or a number above 0")
        known = gallery.index_of(markers.get(marker, marker))
        if known is not None and known != gallery.index_of(name):
            raise DatasetError(
                where,
                "one picture for each marker",
                f"{marker!r} is also {gallery.files[known] or gallery.labels[known]}",
            )
        markers[marker] = name
    return replace(gallery, markers=markers)


def _name_in(gallery: Gallery, picture: str) -> str | None:
    """Return how the gallery calls a picture that an experiment found in folders of its own."""
    path = PurePosixPath(picture.replace("\\", "/"))
    names = [picture, *("/".join(path.parts[i:]) for i in range(len(path.parts))), path.stem]
    return next((name for name in names if gallery.index_of(name) is not None), None)
