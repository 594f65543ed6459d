"""Print a sweep: its summary -> tables for people, a CSV file for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from . import tables
from .table_files import write_table

__all__ = [
    "tabulate_differences",
    "tabulate_published",
    "tabulate_repetitions",
    "tabulate_subjects",
    "write_csv",
    "write_rows",
]

Row = dict[str, Any]


def tabulate_subjects(summary: dict[str, Any]) -> Table:
    """Return accuracies of each encoder and subject, all repetitions averaged, and means over subjects.

    Parameters
    ----------
    summary : dict
        Of `necomimi.offline.summary.summarise`, as everywhere here.
    """
    means = _last(summary["means"])
    first = means[0]
    with_top5 = first["n_classes"] > 5
    title = f"{summary['protocol']}, {first['n_classes']}-way; gallery: {summary['gallery']}"
    if summary["transductive"]:
        title += "; transductive: whitening has seen test epochs"
    table = Table(
        title=title,
        caption="subjects: mean ± standard deviation over seeds"
        + ("; means: 95 % t interval over subjects\n" if len(summary["subjects"]) > 1 else "\n")
        + f"validation: top-1 of {first['validation_n_ways']} held-out training concepts, chosen pass / last pass",
        caption_justify="left",
    )
    names = ["encoder", "subject", "seeds", "top-1", *(["top-5"] if with_top5 else []), "validation", "chosen pass"]
    for name in [*names, "parameters", "training"]:
        table.add_column(name, justify="left" if name in ("encoder", "subject") else "right")
    for mean in means:
        for row in _last(summary["rows"]):
            if row["encoder"] == mean["encoder"]:
                what = [row["encoder"], row["subject"], str(row["n_seeds"]), _spread(row, "top1")]
                table.add_row(*what, *([_spread(row, "top5")] if with_top5 else []), *_facts(row))
        if len(summary["subjects"]) > 1:
            what = [mean["encoder"], f"mean of {mean['n_subjects']}", "", tables.rate(mean, "top1")]
            table.add_row(*what, *([tables.rate(mean, "top5")] if with_top5 else []), *_facts(mean), style="bold")
            table.add_section()
    table.add_section()
    chance = [f"{first['chance_top1']:.1%}", *([f"{first['chance_top5']:.1%}"] if with_top5 else [])]
    table.add_row("chance", "", "", *chance, f"{1 / first['validation_n_ways']:.1%}")
    return table


def tabulate_repetitions(summary: dict[str, Any]) -> Table | None:
    """Return mean accuracies by the number of presentations averaged; None where there is one number only."""
    means = summary["means"]
    numbers = list(dict.fromkeys(row["repetitions"] for row in means))
    if len(numbers) < 2:
        return None
    table = Table(title="top-1 by presentations averaged, mean over subjects")
    table.add_column("encoder")
    for number in numbers:
        table.add_column(str(number), justify="right")
    for encoder in summary["encoders"]:
        found = {row["repetitions"]: f"{row['top1']:.1%}" for row in means if row["encoder"] == encoder}
        table.add_row(encoder, *(found.get(number, "") for number in numbers))
    return table


def tabulate_differences(summary: dict[str, Any]) -> Table | None:
    """Return paired differences of encoders; None where there is one encoder only."""
    if not summary["differences"]:
        return None
    table = Table(
        title="paired differences, in points, all repetitions",
        caption="95 % t interval and paired t test over subjects, not corrected for the number of pairs",
        caption_justify="left",
    )
    for name in ("encoders", "subjects", "top-1", "p", "top-5", "p"):
        table.add_column(name, justify="left" if name == "encoders" else "right")
    for row in summary["differences"]:
        cells = []
        for name in ("top1", "top5"):
            interval, p = row[f"{name}_interval"], row[f"{name}_p"]
            cell = "" if row[name] is None else f"{100 * row[name]:+.1f}"
            cells.append(cell + (f" ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})" if interval else ""))
            cells.append(tables.p_value(p))
        table.add_row(" - ".join(row["encoders"]), str(row["n_subjects"]), *cells)
    return table


def tabulate_published(summary: dict[str, Any]) -> Table | None:
    """Return published figures to stand beside ours; None where they are of other data."""
    if not summary["published"]:
        return None
    found = {"protocol": summary["protocol"], "rows": summary["published"], "subject_rows": []}
    return tables.tabulate_published(found)


def write_csv(summary: dict[str, Any], path: Path) -> None:
    """Write every row of a summary, and the means, one line each."""
    write_rows(summary["rows"], summary["means"], path)


def write_rows(rows: Sequence[Row], means: Sequence[Row], path: Path) -> None:
    """Write rows of figures, one line each; an interval takes two columns, a k-way accuracy one per k.

    Parameters
    ----------
    rows : sequence of dict
        What one of them lacks is left empty; names in a list are joined by spaces.
    means : sequence of dict
        Means of rows over subjects, which get "mean" for a subject.
    path : Path
        Replaced where it exists.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    lines = []
    for row in [*rows, *({**mean, "subject": "mean"} for mean in means)]:
        line = {key: value for key, value in row.items() if key != "k_way" and not key.endswith("_interval")}
        line |= {key: " ".join(value) for key, value in line.items() if isinstance(value, list)}
        for key, value in row.items():
            if key.endswith("_interval"):
                name = key.removesuffix("_interval")
                line[f"{name}_low"], line[f"{name}_high"] = value or (None, None)
        line |= {f"top1_{k}_way": value for k, value in row.get("k_way", {}).items()}
        lines.append(line)
    columns = dict.fromkeys(key for line in lines for key in line)
    write_table(path, list(columns), ([line.get(column) for column in columns] for line in lines))


def _last(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the most repetitions, one per encoder and subject."""
    return list({(row["encoder"], row.get("subject")): row for row in rows}.values())


def _facts(row: Row) -> list[str]:
    """Return the cells of what is known of a training."""
    return [
        f"{row['validation_top1']:.1%} / {row['validation_top1_last']:.1%}",
        f"{row['best_epoch']:.0f} of {row['epochs']}",
        f"{row['n_parameters']:,.0f}",
        f"{row['training_s']:.0f} s",
    ]


def _spread(row: Row, name: str) -> str:
    """Return a rate with its standard deviation."""
    deviation = row[f"{name}_sd"]
    return f"{row[name]:.1%}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")
