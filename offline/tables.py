"""Print figures: rows of accuracies and their confidence -> tables with chance and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

__all__ = ["caption", "tabulate", "tabulate_ways"]

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str], str]  # name, cell of a row, chance


def tabulate(rows: Sequence[Row], title: str | None = None, caption: str | None = None) -> Table:
    """Return accuracies as a table, chance below.

    Parameters
    ----------
    rows : sequence of dict
        Of `necomimi.offline.judgement` or `necomimi.offline.decisions`, all with the same keys.
    title, caption : str, optional
    """
    first = rows[0]
    columns = [*_what(first), ("queries", _text("n_queries"), ""), ("classes", _text("n_classes"), "")]
    columns.append(("top-1", _rate("top1"), f"{first['chance_top1']:.1%}"))
    if first["n_classes"] > 5:
        columns.append(("top-5", _rate("top5"), f"{first['chance_top5']:.1%}"))
    if any("auc" in row for row in rows):
        columns.append(("AUC", lambda row: f"{row['auc']:.3f}" if "auc" in row else "", "0.500"))
    if "ece" in first:
        columns.append(("confidence", lambda row: f"{row['confidence']:.1%}", ""))
        columns.append(("ECE", lambda row: f"{row['ece']:.1%} ({100 * row['ece_if_calibrated']:.1f})", ""))
    if "sure" in first:
        columns.append(("sure", lambda row: f"{row['sure']:.1%}", ""))
        columns.append(("right when sure", _rate("right_when_sure"), ""))
    table = Table(title=title, caption=caption, caption_justify="left")
    for name, _, _ in columns:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(cell(row) for _, cell, _ in columns))
    table.add_section()
    table.add_row("chance", *(chance for _, _, chance in columns[1:]))
    return table


def caption(rows: Sequence[Row]) -> str:
    """Return in words what the columns of `tabulate` hold."""
    words = f"95 % intervals: {rows[0]['interval']}"
    if "ece" in rows[0]:
        words += "\nECE, expected calibration error; in parentheses what honest confidence stays below 95 % of the time"
    return words


def tabulate_ways(rows: Sequence[Row]) -> Table | None:
    """Return the exact expectations of k-way top-1 as a table, or None where there is nothing to choose among."""
    ways = [k for k in rows[0]["kway"] if int(k) < rows[0]["n_classes"]]
    if not ways:
        return None
    columns: list[Column] = [*_what(rows[0]), ("queries", _text("n_queries"), "")]
    table = Table(caption="exact expectation over all sets of distractors", caption_justify="left")
    for name in [*(name for name, _, _ in columns), *(f"{k}-way" for k in ways)]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(cell(row) for _, cell, _ in columns), *(f"{row['kway'][k]:.1%}" for k in ways))
    table.add_section()
    table.add_row("chance", *[""] * (len(columns) - 1), *(f"{1 / int(k):.1%}" for k in ways))
    return table


def _what(row: Row) -> list[Column]:
    """Return the column that tells rows apart, where there is one."""
    if "until" in row:
        return [("until", lambda row: f"{1e3 * row['until']:g} ms", "")]
    return [("averaged", _text("repetitions"), "")] if "repetitions" in row else []


def _text(name: str) -> Callable[[Row], str]:
    """Return a cell that shows a value as it is."""
    return lambda row: str(row[name])


def _rate(name: str) -> Callable[[Row], str]:
    """Return a cell that shows a rate with its interval, and nothing where there is no rate."""

    def cell(row: Row) -> str:
        low, high = row[f"{name}_interval"]
        return "" if row[name] is None else f"{row[name]:.1%} ({100 * low:.1f}-{100 * high:.1f})"

    return cell
