"""Sum up a map: records of trainings -> rows per part, losses per channel, a CSV file and a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from necomimi.errors import ConfigError
from necomimi.regions import flat_positions
from necomimi.report import Report

from . import plots
from .masking import WIDTH_S, Part
from .table_files import write_table

__all__ = ["add_channels", "channel_means", "row_of", "tabulate_parts", "write_map"]

Row = dict[str, Any]
MEANS = ("top1", "top5", "chance_top1", "chance_top5", "n_queries", "n_classes", "interval")
N_SHOWN = 10  # channels in the table


def row_of(part: Part, records: Sequence[Mapping[str, Any]]) -> Row:
    """Return the figures of one part: means over its seeds.

    Parameters
    ----------
    part : Part
    records : sequence of dict
        Of `necomimi.offline.mapping.MapRun.measure`, one per seed.

    Returns
    -------
    dict
        `Part.facts`; "top1" and "top5" with "top1_interval" and "top5_interval" (over queries: the mean of the seeds'
        intervals), "top1_sd" and "top5_sd" (over seeds; None for one), chance, "n_queries", "n_classes", "interval"
        (its kind), "n_seeds"; "validation_top1", "validation_n_ways", "best_epoch".
    """
    tests = [record["test"] for record in records]
    row: Row = {**part.facts(), **{name: tests[0][name] for name in MEANS}, "n_seeds": len(records)}
    for name in ("top1", "top5"):
        values = [test[name] for test in tests]
        row[name] = float(np.mean(values))
        row[f"{name}_interval"] = np.mean([test[f"{name}_interval"] for test in tests], axis=0).tolist()
        row[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    row["validation_top1"] = float(np.mean([record["validation"]["top1"] for record in records]))
    row["validation_n_ways"] = records[0]["n_ways"]
    row["best_epoch"] = float(np.mean([record["best_epoch"] for record in records]))
    return row


def channel_means(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the loss without each channel, the mean over seeds.

    Parameters
    ----------
    records : sequence of dict
        Of the whole epoch, one per seed.
    """
    every = [record["channels"] for record in records]
    return {
        name: {figure: float(np.mean([one[name][figure] for one in every])) for figure in losses}
        for name, losses in every[0].items()
    }


def tabulate_parts(rows: Sequence[Row], title: str | None = None) -> Table:
    """Return the figures of parts as a table, chance below.

    Parameters
    ----------
    rows : sequence of dict
        Of `row_of`.
    title : str, optional
    """
    table, first = Table(title=title), rows[0]
    for name in ("part", "top-1", "top-5", "validation top-1", "of", "pass"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for row in rows:
        validation = (f"{row['validation_top1']:.1%}", str(row["validation_n_ways"]), f"{row['best_epoch']:.3g}")
        table.add_row(row["name"], _rate(row, "top1"), _rate(row, "top5"), *validation)
    table.add_section()
    chance = (first["chance_top1"], first["chance_top5"], 1 / first["validation_n_ways"])
    table.add_row("chance", *(f"{rate:.1%}" for rate in chance))
    return table


def write_map(result: Mapping[str, Any], folder: Path) -> None:
    """Write ``map.json``, ``map.csv`` and ``report.html``.

    Parameters
    ----------
    result : mapping
        "epochs", "source", "gallery" (kind), "settings" (of the training), "seeds" (their number), "rows" (of `row_of`)
        and "channels" (of `channel_means`; empty where none were wanted).
    folder : Path

    Raises
    ------
    ConfigError
        A file cannot be written.
    """
    path, partial = folder / "map.json", folder / "map.json.partial"
    try:
        partial.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", "a writable folder") from error
    _write_csv(result["rows"], folder / "map.csv")
    _report(result).save(folder / "report.html")


def _write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write one line per part, intervals as two columns."""
    flat = [
        {
            key: value
            for name, entry in row.items()
            for key, value in (
                ((f"{name}_low", entry[0]), (f"{name}_high", entry[1])) if isinstance(entry, list) else ((name, entry),)
            )
        }
        for row in rows
    ]
    write_table(path, list(flat[0]), (list(row.values()) for row in flat))


def _report(result: Mapping[str, Any]) -> Report:
    """Return the report of a map."""
    rows, settings, n_seeds = result["rows"], result["settings"], result["seeds"]
    first = rows[0]
    report = Report("When and where the signal tells what was seen", f"{result['source']}: {result['epochs']}")
    report.text(
        f"Each line is {'a training' if n_seeds == 1 else f'{n_seeds} trainings'} of {settings['encoder']} from fresh "
        f"weights on one part of the epochs: everything outside was set to zero, in training, validation and test "
        f"alike. {first['n_queries']} queries choose among {first['n_classes']} (gallery: {result['gallery']}); where "
        f"there are pictures, a query is the mean of all presentations of one. Intervals are 95 % over queries "
        f"({first['interval']})"
        + ("." if n_seeds == 1 else ", the mean of the seeds' intervals.")
        + (
            ""
            if settings["truncation"]
            else " No epoch was cut short at random in training, as it would be for live use."
        )
        + " More signal can give a lower figure: what says nothing has to be learnt to be ignored."
        + f"\n\nThe pass was chosen on {first['validation_n_ways']} held-out training concepts. Validation chooses "
        f"among those, so its figures stand beside the test's but are not on one scale; whoever picks a window or a "
        f"region should do it there."
    )
    growing, sliding = ([row for row in rows if row["windows"] == kind] for kind in ("growing", "sliding"))
    if growing:
        report.section("Time: from the onset on")
        report.figure(
            plots.by_time(growing, first["chance_top1"]),
            "Top-1 accuracy from the signal up to each time, with its interval.",
        )
        report.printed(tabulate_parts(growing))
    if sliding:
        report.section(f"Time: windows of {1e3 * WIDTH_S:g} ms")
        report.figure(
            plots.by_time(sliding, first["chance_top1"]),
            f"Top-1 accuracy from {1e3 * WIDTH_S:g} ms of the signal alone, at the middle of the window.",
        )
        report.printed(tabulate_parts(sliding))
    regional = [row for row in rows if row["channels"] != "all"]
    if regional:
        whole = [row for row in rows if row["windows"] == "whole" and row["channels"] == "all"]
        report.section("Regions")
        report.text(
            "Regions are sets of electrodes by their 10-20 names, not of cortex. A region alone shows what it tells; "
            "all but it shows what the others do not tell. They are regions of the whitened epochs, in which every "
            "channel holds a little of its neighbours."
        )
        report.figure(plots.by_region([*whole, *regional]), "Top-1 accuracy by region; the line is all channels.")
        report.printed(tabulate_parts([*whole, *regional]))
    if result["channels"]:
        words = "What the decoder of whole epochs loses on the test set where one channel is replaced by its mean over "
        add_channels(report, result["channels"], words + "the training epochs.")
    return report


def add_channels(report: Report, losses: Mapping[str, Mapping[str, float]], words: str) -> None:
    """Add topographies of what is lost without each channel, and the channels that matter most.

    Parameters
    ----------
    report : Report
    losses : mapping
        By channel name, the loss of "two_way", "top1" and "top5".
    words : str
        How each channel was taken away.
    """
    report.section("Channels")
    report.text(
        f"{words} Nothing was trained again, so a channel whose neighbours tell the same costs little. Top-1 moves in "
        "steps of one query; 2-way accuracy moves with every rank."
    )
    if len(flat_positions(list(losses))) >= 3:
        for figure, label in (("two_way", "2-way accuracy"), ("top1", "top-1 accuracy")):
            values = {name: 100 * loss[figure] for name, loss in losses.items()}
            report.figure(
                plots.topography(values, f"loss of {label}, points"),
                f"Loss of {label} without each channel, percentage points.",
            )
    else:
        report.text("The names of the channels tell no places on the head, so there is no topography.")
    worst = sorted(losses, key=lambda name: -losses[name]["two_way"])[:N_SHOWN]
    report.table(
        ("channel", "2-way, points lost", "top-1, points lost", "top-5, points lost"),
        [[name, *(f"{100 * losses[name][figure]:.2f}" for figure in ("two_way", "top1", "top5"))] for name in worst],
        f"The {len(worst)} channels that cost most, of {len(losses)}.",
    )


def _rate(row: Row, name: str) -> str:
    """Return a rate with its interval and, over seeds, its standard deviation."""
    low, high = row[f"{name}_interval"]
    spread = "" if row[f"{name}_sd"] is None else f" ± {100 * row[f'{name}_sd']:.1f}"
    return f"{row[name]:.1%}{spread} ({100 * low:.1f}-{100 * high:.1f})"
