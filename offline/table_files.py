"""Write a table for other programs: columns, lines -> a CSV file, or a refusal in words."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from necomimi.errors import ConfigError

__all__ = ["write_table"]


def write_table(path: Path, columns: Sequence[str], lines: Iterable[Sequence[Any]], delimiter: str = ",") -> None:
    """Write a header and one line for each of `lines`.

    Parameters
    ----------
    path : Path
        Replaced where it exists.
    columns : sequence of str
    lines : iterable of sequence, each of the length of `columns`
        None is left empty.
    delimiter : str
        Between the cells.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(lines)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", "a file in a folder that can be written"
        ) from error
