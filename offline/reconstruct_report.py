"""Show what was painted: result of a reconstruction, pictures -> grid, tables, figure, one HTML file."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.table import Table

from necomimi.drawing import ACCENT, FONT, INK, MUTED, dress, empty, explain, name_rows, percent, reach
from necomimi.report import Report

from .tables import TRANSDUCTIVE_EPOCHS, p_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compare_conditions", "draw_grid", "reconstruct_report", "tables_of"]

Row = Mapping[str, Any]
ORDER = ("shown", "ceiling", "two-stage", "one-stage", "floor")
N_COLUMNS, N_BLOCKS = 10, 2  # pictures side by side, and rows of them
THUMBNAIL = 128  # pixels
GRID_WIDTH = 9.6  # inches, a page of a report
MARGIN = 0.9  # inches, for the names of rows
NAME_HEIGHT = 0.38  # inches, for the names of pictures, and
LINE = 0.11  # for each line of them
STYLES = {
    "floor": (MUTED, "x"), "shuffled": (MUTED, "|"), "one-stage": (ACCENT, "o"), "two-stage": (ACCENT, "s"),
    "ceiling": (INK, "^"),
}  # fmt: skip
FID_REMARK = (
    "FID is biased upwards by few pictures: it serves to compare conditions of this run, never with published figures."
)


def draw_grid(pictures: Mapping[str, NDArray[np.uint8]], names: Sequence[str]) -> Figure:
    """Draw pictures below what was shown, evenly spread over all of them, not chosen by their looks.

    Parameters
    ----------
    pictures : mapping of str to ndarray of uint8, shape (n, size, size, 3)
        One row each, in the order of what is known here ("shown", "ceiling", "two-stage", "one-stage", "floor"), others
        below; each may have a size of its own.
    names : sequence of str, length n
        What was shown.
    """
    n = len(names)
    chosen = np.linspace(0, n - 1, min(n, N_COLUMNS * N_BLOCKS)).round().astype(int)
    blocks = np.array_split(chosen, -(-len(chosen) // N_COLUMNS))
    rows = [*(name for name in ORDER if name in pictures), *(name for name in pictures if name not in ORDER)]
    cell = (GRID_WIDTH - MARGIN) / N_COLUMNS
    height = len(blocks) * (len(rows) * cell + NAME_HEIGHT)
    figure = empty(height, GRID_WIDTH)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))  # in inches, from the upper left corner
    axes.set_axis_off()
    for number, block in enumerate(blocks):
        top = number * (len(rows) * cell + NAME_HEIGHT)
        for i, row in enumerate(rows):
            y = top + i * cell
            axes.text(MARGIN - 0.08, y + cell / 2, row, ha="right", va="center", fontsize=FONT - 1, color=INK)
            for j, item in enumerate(block):
                x = MARGIN + j * cell
                thumbnail = ImageOps.fit(Image.fromarray(pictures[row][item]), (THUMBNAIL, THUMBNAIL))
                extent = (x + 0.01, x + cell - 0.01, y + cell - 0.01, y + 0.01)
                axes.imshow(np.asarray(thumbnail), extent=extent, interpolation="none")
        for j, item in enumerate(block):
            words = textwrap.wrap(names[item].replace("_", " "), 16, max_lines=2, placeholder="…")
            for line, text in enumerate(words):  # one by one: matplotlib aligns a block by its last baseline
                axes.text(
                    MARGIN + (j + 0.5) * cell, top + len(rows) * cell + 0.1 + line * LINE, text,
                    ha="center", va="baseline", fontsize=FONT - 2, color=MUTED,
                )  # fmt: skip
    axes.set(xlim=(0, GRID_WIDTH), ylim=(height, 0))
    return figure


def tables_of(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a reconstruction: metrics by condition, what the second stage changes, tags.

    Parameters
    ----------
    result : mapping
        Of `necomimi.offline.reconstruct.reconstruct`, as everywhere here.
    """
    found = [_tabulate_metrics(result), _tabulate_stages(result), _tabulate_tags(result)]
    return [table for table in found if table is not None]


def _tabulate_metrics(result: Mapping[str, Any]) -> Table:
    """Return every metric of every condition, and chance."""
    conditions = list(dict.fromkeys(row["condition"] for row in result["rows"]))
    rows: dict[str, dict[str, Row]] = {}
    for row in result["rows"]:
        rows.setdefault(row["metric"], {})[row["condition"]] = row
    seeds = result["seeds"]
    table = Table(
        title=f"{result['n_pictures']} pictures of {result['n_concepts']} concepts, "
        f"{seeds} seed{'s' * (seeds > 1)}; {result['split']} epochs, {result['repetitions']} averaged; "
        f"{result['generator']['name']}, {result['generator']['steps']} "
        f"step{'s' * (result['generator']['steps'] > 1)}",
        caption="\n".join(_conditions(result) + _remarks(result)),
        caption_justify="left",
    )
    table.add_column("metric")
    for name in (*conditions, "chance"):
        table.add_column(name, justify="right")
    for of_condition in rows.values():
        first = next(iter(of_condition.values()))
        sign = "+" if first["higher_is_better"] else "-"
        name = f"{first['label']} {first['measure']}" if first["measure"] == "two-way" else first["label"]
        cells = [_cell(of_condition[name]) if name in of_condition else "" for name in conditions]
        chance = "" if first["chance"] is None else _number(first["chance"], first)
        table.add_row(f"{name} {sign}", *cells, chance)
    return table


def _conditions(result: Mapping[str, Any]) -> list[str]:
    """Return in words what the conditions are, one a line."""
    words = {"shuffled": "what EEG gave, beside pictures of other concepts", **result["conditions"]}
    return [f"{name}: {words[name]}" for name in dict.fromkeys(row["condition"] for row in result["rows"])]


def _remarks(result: Mapping[str, Any]) -> list[str]:
    """Return how the table of metrics is to be read."""
    lines = ["+ higher is better, - lower; 95 % bootstrap intervals over concepts"]
    if any(row["measure"] == "fid" for row in result["rows"]):
        lines.append(FID_REMARK)
    return lines + [TRANSDUCTIVE_EPOCHS] * result["transductive_epochs"]


def _tabulate_stages(result: Mapping[str, Any]) -> Table | None:
    """Return what the second stage changes; None where there is but one stage."""
    if not result["differences"]:
        return None
    table = Table(
        title="two stages less one stage, picture by picture",
        caption="95 % bootstrap intervals and sign tests over concepts, not corrected for the number of metrics",
        caption_justify="left",
    )
    table.add_column("metric")
    for name in ("difference", "p"):
        table.add_column(name, justify="right")
    for row in result["differences"]:
        low, high = row["value_interval"]
        table.add_row(row["label"], f"{row['value']:+.3f} ({low:+.3f} to {high:+.3f})", p_value(row["p"]))
    return table


def _tabulate_tags(result: Mapping[str, Any]) -> Table | None:
    """Return the CAT score: matched tags of each kind by condition; None where nothing was judged."""
    cat = result["cat"]
    if not cat:
        return None
    first = next(iter(cat.values()))
    table = Table(
        title=f"CAT score: tags of {first['n_concepts']} concepts ({first['tags']}), judge: {first['judge']}",
        caption="95 % bootstrap intervals over concepts; a judge and tags of our own: not to be set beside published "
        "CAT scores",
        caption_justify="left",
    )
    table.add_column("tags")
    for name in cat:
        table.add_column(name, justify="right")
    for column in first["columns"]:
        found = [one["columns"][column] for one in cat.values()]
        table.add_row(column, *(_share(each["share"], each["interval"]) for each in found))
    table.add_section()
    table.add_row("all", *(_share(one["share"], one["share_interval"]) for one in cat.values()), style="bold")
    table.add_row("points", *(f"{one['points']:.0f} of {one['points_possible']:.0f}" for one in cat.values()))
    table.add_row("chance", *(f"{one['chance']:.1%}" for one in cat.values()))
    return table


def _number(value: float, row: Row) -> str:
    """Return a figure as its metric is read."""
    if row["measure"] in ("two-way", "share"):
        return f"{value:.1%}"
    return f"{value:.1f}" if row["measure"] == "fid" else f"{value:.3f}"


def _cell(row: Row) -> str:
    """Return a figure with its interval."""
    if row["value_interval"] is None:
        return _number(row["value"], row)
    if row["measure"] in ("two-way", "share"):
        return _share(row["value"], row["value_interval"])
    low, high = (f"{end:.2f}".replace("0.", ".") for end in row["value_interval"])
    return f"{row['value']:.3f} ({low}, {high})"


def _share(value: float | None, interval: Sequence[float] | None) -> str:
    """Return a rate with its interval; nothing where nothing could be judged."""
    if value is None or interval is None:
        return ""
    return f"{value:.1%} ({100 * interval[0]:.0f}-{100 * interval[1]:.0f})"


def compare_conditions(result: Mapping[str, Any]) -> Figure | None:
    """Draw every rate (two-way identification, matched tags) by condition with intervals; None where there is none."""
    rows = [row for row in result["rows"] if row["measure"] in ("two-way", "share")]
    if not rows:
        return None
    labels = list(dict.fromkeys(row["label"] for row in rows))
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    figure = empty(1.2 + 0.2 * len(conditions) * len(labels))
    axes = figure.subplots()
    dress(axes)
    offsets = np.linspace(-0.3, 0.3, len(conditions))
    for condition, offset in zip(conditions, offsets, strict=True):
        own = [row for row in rows if row["condition"] == condition]
        rates = np.array([row["value"] for row in own])
        errors = reach(rates, *np.array([row["value_interval"] for row in own]).T)
        colour, marker = STYLES[condition]
        places = [labels.index(row["label"]) + offset for row in own]
        axes.errorbar(
            rates, places, xerr=errors, color=colour, fmt=marker, ms=5, elinewidth=1, label=condition,
        )  # fmt: skip
    axes.axvline(0.5, color=MUTED, lw=1, ls=":", label="chance")
    name_rows(axes, labels)
    axes.set_xlabel("identified out of two, or tags matched")
    axes.xaxis.set_major_formatter(percent)
    explain(axes)
    return figure


def reconstruct_report(result: Mapping[str, Any], pictures: Mapping[str, NDArray[np.uint8]], path: Path | str) -> None:
    """Write what ``necomimi reconstruct`` shows as a report.

    Parameters
    ----------
    result, pictures
        Of `necomimi.offline.reconstruct.reconstruct`.
    path : Path or str
        The HTML file.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    generator, seeds = result["generator"], result["seeds"]
    who = result["subject"] or "one person"
    report = Report(
        "Pictures painted from EEG",
        f"{who}, {result['source']}: {result['split']} epochs of {result['epochs']}, decoded by {result['decoder']}.",
    )
    report.text(
        f"{result['n_pictures']} pictures of {result['n_concepts']} concepts were painted by {generator['name']} "
        f"({generator['size']} x {generator['size']} pixels, {generator['steps']} "
        f"step{'s' * (generator['steps'] > 1)}) from embeddings of the space {generator['space']}, "
        f"{'once each' if seeds == 1 else f'from {seeds} seeds each'}. {_presentations(result)} "
        f"{_compared(result)}"
    )
    if not result["subject_known"]:
        report.text("The decoder was not trained on this person.")
    report.section("Pictures")
    report.figure(
        draw_grid(pictures, result["concepts"]),
        "What was shown and what was painted, first seed; evenly spread over all pictures, not chosen by their looks\n"
        + "\n".join(line for line in reversed(_conditions(result)) if not line.startswith("shuffled")),
    )
    report.section("Metrics")
    figure = compare_conditions(result)
    if figure is not None:
        report.figure(figure, "Rates by condition, with 95 % intervals over concepts.")
    tables = tables_of(result)
    shuffled = [line for line in _conditions(result) if line.startswith("shuffled")]
    tables[0].caption = "\n".join(shuffled + _remarks(result))
    for table in tables:
        report.printed(table)
    if result["skipped"] or result["cat_skipped"]:
        report.section("What was left out")
        left = {**result["skipped"], **({"CAT score": result["cat_skipped"]} if result["cat_skipped"] else {})}
        report.table(["", "why"], list(left.items()))
    report.save(path)


def _presentations(result: Mapping[str, Any]) -> str:
    """Return in words how many presentations stand behind an embedding."""
    n = result["n_averaged"]
    return f"{n} presentation{'s' * (n > 1)} of each picture {'were averaged' if n > 1 else 'was taken'}."


def _compared(result: Mapping[str, Any]) -> str:
    """Return in words what the pictures were compared with."""
    what = "the files that were shown" if result["pictures"] == "files" else "the gallery's thumbnails, of 96 pixels"
    remark = "" if result["gallery"] == "exact picture" else f"; they are {result['gallery']}, not those shown"
    return f"They were compared with {what}{remark}."
