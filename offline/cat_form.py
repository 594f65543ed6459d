"""A person as the judge of the CAT score: a blank form of pictures and tags -> the filled form -> points."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from necomimi.errors import DatasetError

from .cat_score import summarise
from .cat_tags import Tags
from .table_files import write_table

__all__ = ["form_score", "write_form"]

COLUMNS = ("picture", "column", "tag", "matched", "judge")
REMEDY = "write 1 (matches) or 0 (does not) into every row, and who judged; rows of several judges may follow"


def write_form(path: Path, pictures: Mapping[str, str], tags: Tags, seed: int = 0) -> None:
    """Write the form that a person fills in: CSV with the columns picture, column, tag, matched (blank), judge (blank).

    Each picture meets its own tag and one foil of each column, the tag of another of the concepts shown, in random
    order, so that who says yes to everything gains nothing. Rows that belong to one picture follow each other; the
    pictures come in random order.

    Parameters
    ----------
    path : Path
    pictures : mapping of str to str
        File name of each picture -> the concept it should show.
    tags : Tags
    seed : int
        Of foils and order.

    Raises
    ------
    DatasetError
        A concept has no tags.
    ConfigError
        The file cannot be written.
    """
    rng = np.random.default_rng(seed)
    concepts = sorted(set(pictures.values()))
    others = [tags.column(concepts, column) for column in range(len(tags.columns))]
    rows = []
    names = list(pictures)
    for picture in (names[i] for i in rng.permutation(len(names))):
        concept, asked = pictures[picture], []
        for column, name in enumerate(tags.columns):
            own = tags.of[concept][column]
            foils = [tag for tag in others[column] if tag != own]
            asked.append((picture, name, own, "", ""))
            if foils:
                asked.append((picture, name, foils[int(rng.integers(len(foils)))], "", ""))
        rows += [asked[i] for i in rng.permutation(len(asked))]
    write_table(path, COLUMNS, rows)


def form_score(path: Path, pictures: Mapping[str, str], tags: Tags) -> dict[str, Any]:
    """Return the score of pictures from a filled form; several judges share a picture's points.

    Parameters
    ----------
    path : Path
        CSV with the columns picture, column, tag, matched (0 or 1; empty where not judged), judge.
    pictures : mapping of str to str
        File name of each picture -> the concept it should show; rows of other pictures are left out.
    tags : Tags

    Returns
    -------
    dict
        As `summarise` returns it: points for a concept's own tags that were said to match. "chance" is the share of
        foils that were said to match, "judge" names who judged.

    Raises
    ------
    DatasetError
        The form cannot be read, is not about these pictures or tags, holds something else than 0 and 1, an answer
        twice, an answer of nobody, or no answer to an own tag or to a foil.
    """
    number = {name: i for i, name in enumerate(pictures)}
    concepts = list(pictures.values())
    column_of = {name: i for i, name in enumerate(tags.columns)}
    own = np.array([tags.column(concepts, column) for column in range(len(tags.columns))]).T  # (n_pictures, n_columns)
    vocabularies = [set(tags.column(tags.of, column)) for column in range(len(tags.columns))]
    sums, counts = np.zeros((2, *own.shape))
    foils: list[bool] = []
    seen: set[tuple[str, ...]] = set()
    for line, row in enumerate(_read(path), 2):
        picture, column, tag, matched, judge = (row[name].strip() for name in COLUMNS)
        if picture not in number or not matched:
            continue
        where = f"{path}, line {line}"
        if column not in column_of or tag not in vocabularies[column_of[column]]:
            raise DatasetError(f"{where}: the tag {tag!r} of {column!r}", f"one of the table ({tags.name})")
        if matched not in ("0", "1") or not judge:
            raise DatasetError(f"{where}: {matched!r}, judged by {judge or 'nobody'}", "1 or 0, and a name", REMEDY)
        key = (judge, picture, column, tag)
        if key in seen:
            raise DatasetError(f"{where}: {judge} judged {tag!r} of {picture} twice", "one answer of each judge")
        seen.add(key)
        place = number[picture], column_of[column]
        if tag == own[place]:
            sums[place] += matched == "1"
            counts[place] += 1
        else:
            foils.append(matched == "1")
    if not foils or not counts.any():
        raise DatasetError(
            f"{path} answers {int(counts.sum())} own tags and {len(foils)} foils of {len(pictures)} pictures such as "
            f"{next(iter(pictures), 'none')}",
            "some of both: foils say how often anything at all is said to match",
            REMEDY,
        )
    shares = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    judges = ", ".join(sorted({key[0] for key in seen}))
    return summarise(concepts, shares, tags, judges, float(np.mean(foils)))


def _read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a form."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval="", strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "a filled form (CSV)") from error
    if not rows or not set(COLUMNS) <= rows[0].keys():
        found = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise DatasetError(f"{path} has {found}", f"the columns {', '.join(COLUMNS)}, comma-separated")
    return rows
