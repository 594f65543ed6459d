"""Print figures: what an evaluation found -> tables with chance and intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table

__all__ = [
    "caption",
    "early_rows",
    "p_value",
    "rate",
    "tables_of",
    "tabulate",
    "tabulate_confusion",
    "tabulate_published",
    "tabulate_ways",
    "validation_line",
]

TRANSDUCTIVE_EPOCHS = "TRANSDUCTIVE: the test epochs were looked at when these epochs were whitened"
TRANSDUCTIVE_ANSWERS = (
    "TRANSDUCTIVE: each answer depends on the other queries (one of each class in a round);\n"
    "not to be compared with the figures above"
)

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str], str]  # name, cell of a row, chance


def tables_of(result: dict[str, Any], heading: str) -> dict[str, Table]:
    """Return every table of an evaluation by what it shows, in the order in which they are read.

    Parameters
    ----------
    result : dict
        As `necomimi evaluate --json` prints it.
    heading : str
        Stands above the first table.

    Returns
    -------
    dict of str to Table
        "rows" and, where there is something to show, "early", "k_way", "transductive", "confusion" and "published".
    """
    note = TRANSDUCTIVE_EPOCHS if result.get("transductive_epochs") else ""
    rows, early = result["rows"], early_rows(result)
    tables = {"rows": tabulate(rows, heading, _joined(caption(rows), note))}
    if early:
        title = "from the part of the epoch that had arrived"
        tables["early"] = tabulate(early, title, _joined(caption(early), note))
    ways = tabulate_ways(rows, note)
    if ways is not None:
        tables["k_way"] = ways
    as_a_set = result.get("transductive")
    if as_a_set:
        words = _joined(TRANSDUCTIVE_ANSWERS, caption(as_a_set), note)
        tables["transductive"] = tabulate(as_a_set, "the test set as a set", words)
    if "confusion" in result:
        tables["confusion"] = tabulate_confusion(result["confusion"], note)
    if "published" in result:
        tables["published"] = tabulate_published(result["published"], note)
    return tables


def validation_line(result: dict[str, Any]) -> str:
    """Return what held-out concepts said of the pass that was chosen and of the last one; "" where it is not known."""
    found = result.get("validation")
    if found is None or "top1" not in found["best"]:
        return ""
    return (
        f"training, on {found['n_ways']} held-out concepts: top-1 {found['best']['top1']:.1%} in pass "
        f"{found['best_epoch']}, which was chosen, {found['last']['top1']:.1%} in the last, {found['last_epoch']}"
    )


def early_rows(result: dict[str, Any]) -> list[Row]:
    """Return the rows of unfinished epochs, each with "until" in seconds: judged ones, or those of a live session."""
    live = [{"until": float(until), **row} for until, row in result.get("provisional", {}).items()]
    return result.get("windows") or live


def _joined(*lines: str) -> str:
    """Return those lines that say something."""
    return "\n".join(filter(None, lines))


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


def tabulate_ways(rows: Sequence[Row], note: str = "") -> Table | None:
    """Return the exact expectations of k-way top-1 as a table, or None where there is nothing to choose among.

    Parameters
    ----------
    rows : sequence of dict
        As in `tabulate`.
    note : str
        Stands below the table.
    """
    ways = [k for k in rows[0]["k_way"] if int(k) < rows[0]["n_classes"]]
    if not ways:
        return None
    columns: list[Column] = [*_what(rows[0]), ("queries", _text("n_queries"), "")]
    table = Table(caption=_joined("exact expectation over all sets of distractors", note), caption_justify="left")
    for name in [*(name for name, _, _ in columns), *(f"{k}-way" for k in ways)]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(cell(row) for _, cell, _ in columns), *(f"{row['k_way'][k]:.1%}" for k in ways))
    table.add_section()
    table.add_row("chance", *[""] * (len(columns) - 1), *(f"{1 / int(k):.1%}" for k in ways))
    return table


def tabulate_confusion(confusion: dict[str, Any], note: str = "") -> Table:
    """Return how often each category is answered with itself, and which other one it is most often taken for.

    Parameters
    ----------
    confusion : dict
        As `necomimi.offline.categories.confuse` returns it; the whole matrix is in the JSON, CSV and report.
    note : str
        Stands below the table.
    """
    left_out = f"{confusion['n_left_out']} queries left out, whose concepts have no category"
    words = _joined(left_out if confusion["n_left_out"] else "", note)
    table = Table(title=f"categories of {confusion['n_queries']} answers", caption=words, caption_justify="left")
    for name in ("shown", "answered alike", "most often taken for"):
        table.add_column(name, justify="left" if name == "shown" else "right")
    names = confusion["categories"]
    for i, (name, row) in enumerate(zip(names, confusion["matrix"], strict=True)):
        others = [
            (share, other) for j, (share, other) in enumerate(zip(row, names, strict=True)) if j != i and share > 0
        ]
        share, other = max(others, default=(0.0, ""))
        if any(row):
            table.add_row(name, f"{row[i]:.1%}", f"{other} {share:.1%}" if other else "")
    return table


def tabulate_published(published: dict[str, Any], note: str = "") -> Table:
    """Return published figures on THINGS-EEG2, each with how it was chosen.

    Parameters
    ----------
    published : dict
        "protocol", "rows" and "subject_rows", of `necomimi.offline.published`.
    note : str
        Stands below the table.
    """
    words = "200-way, 80 repetitions averaged; chosen on test: the figure is the best that its authors saw there"
    title = f"published, {published['protocol']}, mean of the ten subjects"
    table = Table(title=title, caption=_joined(words, note), caption_justify="left")
    mine = {row["method"]: row for row in published["subject_rows"]}
    table.add_column("method")
    for name in ("top-1", "top-5", *(("this subject's top-1", "this subject's top-5") if mine else ())):
        table.add_column(name, justify="right")
    for name in ("chosen on", "candidates"):
        table.add_column(name)
    for row in published["rows"]:
        cells = [f"{row['top1']:.1%}", f"{row['top5']:.1%}"]
        if mine:
            own = mine.get(row["method"])
            cells += [f"{own['top1']:.1%}", f"{own['top5']:.1%}"] if own else ["", ""]
        table.add_row(row["method"], *cells, row["chosen_on"], row["candidates"])
    return table


def rate(row: Mapping[str, Any], name: str) -> str:
    """Return a rate and its interval, "12.3% (10.1-14.5)"; without what the row does not know.

    Parameters
    ----------
    row : mapping
        Holds `name`, 0 to 1 or None, and ``NAME_interval``, (low, high) or None.
    name : str
    """
    interval = row[f"{name}_interval"]
    if row[name] is None:
        return ""
    return f"{row[name]:.1%}" + (f" ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})" if interval else "")


def p_value(value: float | None) -> str:
    """Return a p value in three decimals, nothing where the test is not defined."""
    if value is None:
        return ""
    return "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def _what(row: Row) -> list[Column]:
    """Return the column that tells rows apart, where there is one."""
    if "until" in row:
        return [("until", lambda row: f"{1e3 * row['until']:g} ms", "")]
    columns: list[Column] = [("averaged", _text("repetitions"), "")] if "repetitions" in row else []
    return [*columns, ("method", _text("method"), "")] if "method" in row else columns


def _text(name: str) -> Callable[[Row], str]:
    """Return a cell that shows a value as it is."""
    return lambda row: str(row[name])


def _rate(name: str) -> Callable[[Row], str]:
    """Return a cell that shows a rate with its interval."""
    return lambda row: rate(row, name)
