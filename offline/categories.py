"""Which kinds of things are taken for which: concepts shown and answered, their categories -> a confusion matrix."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from necomimi.errors import DatasetError, NecomimiError

__all__ = ["Categories", "confuse", "embedded_categories", "load_categories"]

Categories = Mapping[str, Sequence[str]]
NAME_COLUMN = "uniqueID"


def load_categories(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a table of concepts x categories, as THINGS and THINGSplus publish it in their wide format.

    Parameters
    ----------
    path : Path
        Tab-separated, with a header. The concept stands in the column "uniqueID", or else in the first one (spaces
        count as underscores); every column that holds nothing but numbers is a category, of which the concepts with
        more than 0 are members.

    Returns
    -------
    dict of str to tuple of str
        The categories of each concept, in the order of the columns; none, one or several.

    Raises
    ------
    DatasetError
        The file cannot be read, holds no categories, or its rows have no names.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file, delimiter="\t") if row]
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise DatasetError(
            f"{path} cannot be read: {error}", "a table of concepts x categories, tab-separated"
        ) from error
    uneven = [i for i, row in enumerate(rows, 2) if len(row) != len(header)]
    if uneven or not rows:
        found = f"line {uneven[0]} of {path} is not as long as its header" if uneven else f"{path} holds no concepts"
        raise DatasetError(found, f"{len(header)} columns, tab-separated")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    category_columns = {name: values for name, values in columns.items() if all(map(_is_number, values))}
    name_column = NAME_COLUMN if NAME_COLUMN in columns else header[0]
    if name_column in category_columns or not category_columns:
        raise DatasetError(
            f"{path} has no column of concept names" if category_columns else f"{path} has no column of numbers",
            f"the concepts in a column {NAME_COLUMN} or in the first one, and one column of 0 and 1 per category",
            "THINGSplus has such a table: category53_wideFormat.tsv",
        )
    return {
        concept.replace(" ", "_"): tuple(name for name, values in category_columns.items() if float(values[i] or 0) > 0)
        for i, concept in enumerate(columns[name_column])
    }


def _is_number(text: str) -> bool:
    """Return whether a cell is a number; an empty one counts as 0."""
    try:
        float(text or 0)
    except ValueError:
        return False
    return True


def embedded_categories(labels: Iterable[str]) -> dict[str, tuple[str, ...]] | None:
    """Return the category of each label in the embedded picture set; None where one is not of it.

    Also None where the packages of the extra ``demo`` are missing: then it cannot be told.
    """
    from necomimi.pictures import concepts

    try:
        known = {concept.name: (concept.category,) for concept in concepts()}
    except NecomimiError:
        return None
    labels = set(labels)
    return {label: known[label] for label in labels} if labels <= known.keys() else None


def confuse(shown: Sequence[str], answered: Sequence[str], categories: Categories) -> dict[str, Any]:
    """Return how often a picture of one category was answered with a concept of another.

    Parameters
    ----------
    shown, answered : sequence of str
        The concept of each query, and of its best answer.
    categories : mapping of str to sequence of str
        A concept of several categories counts in each of them, in equal parts.

    Returns
    -------
    dict
        "categories" (sorted, those shown or answered), "matrix" (rows: shown, columns: answered; each row sums to 1, or
        is all 0 where the category was not shown), "n_queries" and "n_left_out" (where one of the two concepts has no
        category).

    Raises
    ------
    DatasetError
        None of the concepts has a category.
    """
    pairs = [
        (categories.get(truth, ()), categories.get(answer, ())) for truth, answer in zip(shown, answered, strict=True)
    ]
    usable = [pair for pair in pairs if all(pair)]
    if not usable:
        raise DatasetError(
            f"none of the concepts shown has a category, such as {shown[0]!r}",
            f"names such as {next(iter(categories), '')!r}, as the table of categories has",
        )
    names = sorted({name for pair in usable for members in pair for name in members})
    number = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)))
    for truths, answers in usable:
        rows, columns = [number[name] for name in truths], [number[name] for name in answers]
        matrix[np.ix_(rows, columns)] += 1 / (len(rows) * len(columns))
    sums = matrix.sum(axis=1, keepdims=True)
    return {
        "categories": names,
        "matrix": (matrix / np.where(sums > 0, sums, 1.0)).tolist(),
        "n_queries": len(usable),
        "n_left_out": len(pairs) - len(usable),
    }
