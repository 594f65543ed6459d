"""What a picture of a concept should show: concepts -> a tag of each kind, from a table of ours or a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from necomimi.errors import DatasetError

__all__ = ["Tags", "find_tags", "load_tags"]

NAME_COLUMN = "concept"
# Tables in necomimi/assets. Both were made without looking at any test picture: kind, realm, setting and surface are
# those usual for the concept. The second has no column of backgrounds, since those of the picture set are drawn at
# random; its attribute is the commonest colour of the graphic.
OURS = {"THINGS-EEG2 test concepts": "cat_tags.csv", "embedded picture set": "cat_tags_embedded.csv"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Tags:
    """A table of tags: one tag for each concept and column.

    Parameters
    ----------
    name : str
        Where the table is from, for reports: "THINGS-EEG2 test concepts", "embedded picture set", or a file's name.
    columns : tuple of str
        Such as "broad_1", "broad_2", "specific", "background", "attribute".
    of : mapping of str to tuple of str
        The tags of each concept, in the order of the columns.
    """

    name: str
    columns: tuple[str, ...]
    of: Mapping[str, tuple[str, ...]]

    def column(self, concepts: Iterable[str], column: int) -> list[str]:
        """Return each concept's tag of a column.

        Raises
        ------
        DatasetError
            A concept has no tags.
        """
        concepts = list(concepts)
        missing = sorted({concept for concept in concepts if concept not in self.of})
        if missing:
            raise DatasetError(
                f"{len(missing)} concepts have no tags, among them {', '.join(missing[:3])}",
                f"concepts of the table ({self.name}), such as {next(iter(self.of), 'none')}",
            )
        return [self.of[concept][column] for concept in concepts]


def load_tags(path: Path) -> Tags:
    """Read a table of tags: CSV with a header, the concept in the column "concept", every other column a kind of tag.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DatasetError
        The file cannot be read, has no such columns, an empty cell, or a concept twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "a CSV table of tags") from error
    return _parse(text, path.name)


def find_tags(concepts: Iterable[str]) -> Tags | None:
    """Return the table of ours that knows all these concepts (gallery labels); None where there is none."""
    wanted = set(concepts)
    return next((tags for tags in map(_ours, OURS) if wanted <= tags.of.keys()), None)


@cache
def _ours(name: str) -> Tags:
    """Return a table of the package."""
    return _parse(files("necomimi").joinpath("assets", OURS[name]).read_text(encoding="utf-8"), name)


def _parse(text: str, name: str) -> Tags:
    """Return the table that a CSV text holds."""
    try:
        header, *rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), strict=True) if row]
    except (ValueError, csv.Error) as error:
        raise DatasetError(f"{name} is no table: {error}", "CSV with a header, and a row for each concept") from error
    if NAME_COLUMN not in header or len(header) < 2 or len(set(header)) < len(header) or not all(header):
        raise DatasetError(
            f"{name} has the columns {', '.join(header)}",
            f"{NAME_COLUMN}, and at least one kind of tag, each with a name of its own",
        )
    place = header.index(NAME_COLUMN)
    table: dict[str, tuple[str, ...]] = {}
    for row in rows:
        concept = row[place] if place < len(row) else ""
        if len(row) != len(header) or not all(row) or concept in table:
            what = "stands twice" if concept in table else f"has {sum(map(bool, row))} of {len(header)} cells filled"
            raise DatasetError(f"{name}: the row of {concept or row} {what}", "one row for each concept, without gaps")
        table[concept] = tuple(cell for i, cell in enumerate(row) if i != place)
    return Tags(name=name, columns=tuple(column for column in header if column != NAME_COLUMN), of=table)
