"""Say what a calibration came to: cross-validation, live proof -> result.json, result.html, a table on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from necomimi.console import output
from necomimi.report import Report

__all__ = ["print_result", "result_of", "write_result"]

HEADS = ("", "answers", "among", "top-1", "chance", "top-5", "chance")
Row = tuple[str, ...]


def result_of(judged: Mapping[str, Any], bads: Sequence[str], live: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the result.

    Parameters
    ----------
    judged : mapping
        What ``necomimi evaluate --cross-validate --json`` printed.
    bads : sequence of str
        Channels that were interpolated.
    live : mapping, optional
        What ``necomimi evaluate --decisions --json`` printed of a rehearsal's proof.

    Returns
    -------
    dict
        "top1", "top5", "chance_top1", "chance_top5" and "intervals" of the mean over all presentations of a picture,
        and under "single" those of one presentation; "n_ways", "n_epochs", "n_concepts", "presentations", "p",
        "verdict", "usable", "sentence", "bad_channels", and "live", with the same figures, or None.
    """
    single, mean = judged["rows"]
    kept = ("n_ways", "n_epochs", "n_concepts", "presentations", "p", "known_to_base", "verdict", "usable", "sentence")
    return {
        **_figures(mean),
        "single": _figures(single),
        **{key: judged[key] for key in kept},
        "bad_channels": list(bads),
        "live": None if live is None else {**_figures(live), "n_refusals": live["n_refusals"]},
    }


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the accuracies of one row."""
    return {
        **{key: row[key] for key in ("top1", "top5", "chance_top1", "chance_top5", "n_queries", "n_classes")},
        "intervals": {key: row[f"{key}_interval"] for key in ("top1", "top5")},
    }


def _rows(result: Mapping[str, Any]) -> list[Row]:
    """Return the lines of the table."""
    parts = [("one presentation", result["single"]), (f"mean of {result['presentations']}", result)]
    if result["live"] is not None:
        parts.append(("live, one presentation", result["live"]))
    rows = []
    for name, figures in parts:
        cells = [name, str(figures["n_queries"]), str(figures["n_classes"])]
        for top in ("top1", "top5"):
            low, high = figures["intervals"][top]
            cells += [f"{figures[top]:.1%} ({100 * low:.0f}–{100 * high:.0f})", f"{figures[f'chance_{top}']:.1%}"]
        rows.append(tuple(cells))
    return rows


def _table(result: Mapping[str, Any]) -> Table:
    """Return the figures as a table, for the terminal and the report."""
    table = Table(*HEADS, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in _rows(result):
        table.add_row(*row)
    return table


def _facts(result: Mapping[str, Any]) -> str:
    """Return the rest in words."""
    bads = ", ".join(result["bad_channels"]) or "none"
    return (
        f"{result['n_epochs']} epochs of {result['n_concepts']} concepts; p of guessing {result['p']:.2g}; "
        f"interpolated channels: {bads}"
    )


def write_result(result: Mapping[str, Any], out: Path, commands: Sequence[str]) -> None:
    """Write OUT/result.html, and then OUT/result.json, by which the calibration is whole.

    Parameters
    ----------
    result : mapping
        Of `result_of`.
    out : Path
    commands : sequence of str
        What to do next.
    """
    report = Report("Calibration", result["sentence"])
    report.printed(_table(result))
    report.text(
        "95 % intervals over pictures. Every picture was tested once, by an encoder that had never seen it.\n\n"
        f"{_facts(result)}\n\nNext: {'; then: '.join(commands)}"
    )
    report.save(out / "result.html")
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def print_result(result: Mapping[str, Any], out: Path, commands: Sequence[str]) -> None:
    """Print the sentence, the figures and what to do next."""
    output.print(_table(result))
    output.print(_facts(result), markup=False, soft_wrap=True)
    output.print(result["sentence"], markup=False, soft_wrap=True, style="bold")
    output.print(f"written to {out / 'result.json'} and {out / 'result.html'}; next:", markup=False, soft_wrap=True)
    for line in commands:
        output.print(f"  {line}", markup=False, soft_wrap=True)
