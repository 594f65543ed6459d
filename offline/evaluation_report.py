"""Report what an evaluation or a sweep found: its result -> one HTML file with tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from necomimi.report import Report

from . import plots, sweep_tables
from .guards import describe
from .tables import early_rows, tables_of, validation_line

__all__ = ["evaluation_report", "sweep_report"]


def evaluation_report(result: dict[str, Any], path: Path | str) -> None:
    """Write what ``necomimi evaluate`` shows as a report.

    Parameters
    ----------
    result : dict
        As ``necomimi evaluate --json`` prints it: of a decoder, of a score matrix or of a live session.
    path : Path or str
        The HTML file.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    if "decoder" in result:
        title = "How well a decoder finds what was seen"
        lead = f"{result['decoder']} on the {result['split']} epochs of {result['epochs']}; "
        lead += f"gallery: {result['gallery']['kind']}, {result['gallery']['n_classes']} classes."
    else:
        title, lead = "How well answers name what was seen", str(result.get("scores") or result.get("decisions"))
    report = Report(title, lead)
    figures = {}
    if sum("repetitions" in row for row in result["rows"]) > 1:
        caption = "Accuracy by the number of presentations averaged, with 95 % intervals."
        figures["rows"] = (plots.by_repetitions(result["rows"]), caption)
    early = early_rows(result)
    if len(early) > 1:
        caption = "Top-1 accuracy of single presentations of which only the beginning had arrived."
        figures["early"] = (plots.by_time(early, early[0]["chance_top1"]), caption)
    if "confusion" in result:
        found = result["confusion"]
        caption = "Per cent of the pictures of a category (rows) that were answered with each (columns)."
        figures["confusion"] = (plots.confusion(found["categories"], found["matrix"]), caption)
    for name, table in tables_of(result, "Accuracy").items():
        heading, table.title = str(table.title or "k-way accuracy"), None
        report.section(heading[0].upper() + heading[1:])
        if name in figures:
            report.figure(*figures[name])
        report.printed(table)
        if name == "rows" and validation_line(result):
            report.text(validation_line(result))
    if "guards" in result:
        report.section("Checks of the way to these figures")
        report.text(describe(result["guards"]))
        answers = {True: "yes", False: "NO", None: "not claimed"}
        rows = [(guard["name"], answers[guard["passed"]], guard["detail"]) for guard in result["guards"]]
        report.table(("what should hold", "holds", "what was found"), rows)
    report.save(path)


def sweep_report(summary: dict[str, Any], path: Path | str) -> None:
    """Write what ``necomimi sweep`` shows as a report.

    Parameters
    ----------
    summary : dict
        Of `necomimi.offline.summary.summarise`.
    path : Path or str
        The HTML file.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    counts = f"{_count(summary['encoders'], 'encoder')}, {_count(summary['subjects'], 'subject')}"
    report = Report(
        "How well encoders find what was seen",
        f"{counts}, {_count(summary['seeds'], 'seed')}; {summary['protocol']}; {'; '.join(summary['sources'])}.",
    )
    if summary["missing"]:
        report.text(f"{_count(summary['missing'], 'job')} without a result: {', '.join(summary['missing'])}.")
    for name, checks in summary["failed_guards"].items():
        report.text(f"{name}: these checks failed: {', '.join(checks)}.")
    report.section("Subjects")
    last = {(row["encoder"], row["subject"]): row for row in summary["rows"]}  # all presentations come last
    caption = "Top-1 accuracy of each subject, all presentations averaged; bars are one standard deviation over seeds."
    if len(summary["encoders"]) > 1:
        caption += " Grey: the same subjects under the other encoders."
    report.figure(plots.by_subject([_with_spread(row) for row in last.values()]), caption)
    report.printed(sweep_tables.tabulate_subjects(summary))
    repetitions = sweep_tables.tabulate_repetitions(summary)
    if repetitions is not None:
        report.section("Presentations")
        words = "by the number of presentations averaged, mean over subjects and seeds"
        if len(summary["encoders"]) > 1:
            report.figure(plots.by_encoder(summary["means"]), f"Top-1 accuracy {words}.")
        else:
            report.figure(plots.by_repetitions(summary["means"]), f"Accuracy {words}, with the 95 % t interval.")
        report.printed(repetitions)
    for heading, table in (
        ("Differences", sweep_tables.tabulate_differences(summary)),
        ("Published figures", sweep_tables.tabulate_published(summary)),
    ):
        if table is not None:
            report.section(heading)
            report.printed(table)
    report.save(path)


def _with_spread(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose interval is one standard deviation over seeds to either side."""
    spread = row["top1_sd"] or 0.0
    return {**row, "top1_interval": [row["top1"] - spread, row["top1"] + spread]}


def _count(things: list[Any], name: str) -> str:
    """Return how many there are, in words."""
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
