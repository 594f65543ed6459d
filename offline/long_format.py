"""Write figures for other programs: what an evaluation found -> a CSV file, one line per figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .table_files import write_table
from .tables import early_rows

__all__ = ["COLUMNS", "lines_of", "write_csv"]

COLUMNS = (
    "table", "repetitions", "until", "method", "figure", "value", "low", "high", "chance", "n_queries", "n_classes",
    "shown", "answered",
)  # fmt: skip
FIGURES = ("top1", "top5", "auc", "confidence", "ece", "ece_if_calibrated", "sure", "right_when_sure")


def write_csv(result: dict[str, Any], path: Path) -> None:
    """Write a CSV file with a header, `COLUMNS`; what a line does not have is left empty.

    "table" is "inductive", "early" (with "until" in seconds), "transductive" (with "method"), "confusion" (with the
    categories "shown" and "answered") or "published" (with "method"; "figure" says the protocol). "low" and "high" are
    the ends of the 95 % interval. Rates lie between 0 and 1.

    Parameters
    ----------
    result : dict
        As `necomimi evaluate --json` prints it.
    path : Path
        Replaced where it exists.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    write_table(path, COLUMNS, ([line.get(column) for column in COLUMNS] for line in lines_of(result)))


def lines_of(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one dict per figure, with those of `COLUMNS` that it has."""
    tables = {"inductive": result["rows"], "early": early_rows(result), "transductive": result.get("transductive", [])}
    for table, rows in tables.items():
        for row in rows:
            what = {key: row[key] for key in ("repetitions", "until", "method", "n_queries", "n_classes") if key in row}
            for figure in FIGURES:
                if row.get(figure) is not None:
                    low, high = row.get(f"{figure}_interval", ("", ""))
                    chance = row.get(f"chance_{figure}", 0.5 if figure == "auc" else "")
                    ends = {"value": row[figure], "low": low, "high": high, "chance": chance}
                    yield {"table": table, **what, "figure": figure, **ends}
            for k, value in row.get("k_way", {}).items():
                yield {"table": table, **what, "figure": f"{k}-way top1", "value": value, "chance": 1 / int(k)}
    if "confusion" in result:
        names, matrix = result["confusion"]["categories"], result["confusion"]["matrix"]
        for shown, row in zip(names, matrix, strict=True):
            for answered, value in zip(names, row, strict=True):
                pair = {"shown": shown, "answered": answered}
                yield {"table": "confusion", "figure": "share of the answers", "value": value, **pair}
    if "published" in result:
        for row in result["published"]["rows"]:
            for figure in ("top1", "top5"):
                words = f"{figure}, {result['published']['protocol']}, chosen on: {row['chosen_on']}"
                yield {"table": "published", "method": row["method"], "figure": words, "value": row[figure]}
