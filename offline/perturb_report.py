"""Report what disturbed channels cost: result of a perturbation -> tables, figures, one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from necomimi.drawing import ACCENT, INK, MUTED, dress, empty, explain, name_rows, percent, reach
from necomimi.report import Report

from .map_report import add_channels
from .perturbation import FIGURES
from .reconstruct_report import draw_grid
from .tables import TRANSDUCTIVE_EPOCHS, p_value, rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .perturb_pictures import BeforeAndAfter

__all__ = ["before_and_after", "lost_by_part", "perturb_report", "tabulate_parts", "tabulate_people"]

Row = Mapping[str, Any]
NAMES = {"top1": "top-1", "top5": "top-5", "two_way": "2-way"}
N_SHOWN = 10  # channels in the table


def tabulate_people(result: Mapping[str, Any]) -> Table:
    """Return what each decoder finds before and after, the mean over people, and chance.

    Parameters
    ----------
    result : mapping
        Of `necomimi.offline.perturb.perturb`, as everywhere here.
    """
    figures = _figures(result)
    n = len(result["channels"])
    title = f"{result['name']} ({n} channel{'s' * (n > 1)}) replaced by noise; {result['split']} epochs, "
    title += f"{result['repetitions']} averaged; gallery: {result['gallery']}, {result['rows'][0]['n_classes']} classes"
    table = Table(title=title, caption=_test_words(result), caption_justify="left")
    table.add_column("person")
    columns = ["top-1 before", "top-1 after", "p, top-1"]
    columns += [name for figure in figures[1:] for name in (NAMES[figure], f"p, {NAMES[figure]}")]
    for name in (*columns, "cosine"):
        table.add_column(name, justify="right")
    for before, after in _pairs(result["rows"]):
        table.add_row(before["subject"], *_people_cells(before, after, figures))
    for before, after in _pairs(result["means"]):
        table.add_row("mean", *_people_cells(before, after, figures), style="bold")
    table.add_section()
    top1, *others = [f"{result['rows'][0][f'chance_{figure}']:.1%}" for figure in figures]
    table.add_row("chance", top1, top1, "", *(cell for chance in others for cell in (chance, "")), "")
    return table


def tabulate_parts(result: Mapping[str, Any], n_channels: int = N_SHOWN) -> Table:
    """Return what is lost when each region, and each of the `n_channels` that cost most, carries noise."""
    rows, figures = _shown(result), _figures(result)
    table = Table(
        title="what noise in a part costs, in points" + (", costliest channels below" if n_channels else ""),
        caption=_test_words(result) + "\np values are not corrected for the number of regions or channels",
        caption_justify="left",
    )
    table.add_column("noise in")
    table.add_column("channels", justify="right")
    for figure in figures:
        table.add_column(NAMES[figure], justify="right")
        table.add_column(f"p, {NAMES[figure]}", justify="right")
    channels = [row for row in rows if row["kind"] == "channel"]
    channels.sort(key=lambda row: -row["loss_two_way"])
    for kind in ([row for row in rows if row["kind"] == "region"], channels[:n_channels]):
        for row in kind:
            cells = [cell for figure in figures for cell in (_points(row, figure), p_value(row[f"loss_{figure}_p"]))]
            table.add_row(row["name"], str(len(row["channels"])), *cells)
        table.add_section()
    return table


def before_and_after(result: Mapping[str, Any]) -> Figure:
    """Draw the top-1 accuracy of each person, before and after, with intervals."""
    pairs = _pairs(result["rows"])
    figure = empty(1.1 + 0.32 * len(pairs))
    axes = figure.subplots()
    dress(axes)
    for when, label, offset, colour in ((0, "undisturbed", -0.1, MUTED), (1, "noise", 0.1, ACCENT)):
        rows = [pair[when] for pair in pairs]
        rates = np.array([row["top1"] for row in rows])
        low, high = np.array([row["top1_interval"] for row in rows]).T
        errors = reach(rates, low, high)
        places = np.arange(len(rows)) + offset
        axes.errorbar(rates, places, xerr=errors, color=colour, fmt="o", ms=5, elinewidth=1, label=label)
    axes.axvline(pairs[0][0]["chance_top1"], color=MUTED, lw=1, ls=":", label="chance")
    name_rows(axes, [before["subject"] for before, _ in pairs])
    axes.set_xlim(0, None)
    axes.set_xlabel("top-1 accuracy")
    axes.xaxis.set_major_formatter(percent)
    explain(axes)
    return figure


def lost_by_part(result: Mapping[str, Any]) -> Figure:
    """Draw the loss of 2-way accuracy for the chosen channels and for each region, with intervals; people in grey."""
    rows = [row for row in _shown(result) if row["kind"] in ("chosen", "region")]
    names = [(row["kind"], row["name"]) for row in rows]
    figure = empty(1.1 + 0.32 * len(rows))
    axes = figure.subplots()
    dress(axes)
    if result["means"]:
        people = [row for row in result["rows"] if (row["kind"], row["name"]) in names]
        places = [names.index((row["kind"], row["name"])) + 0.2 for row in people]
        axes.plot(
            [100 * row["loss_two_way"] for row in people], places,
            color=MUTED, ls="", marker="|", ms=7, label="each person",
        )  # fmt: skip
    lost = 100 * np.array([row["loss_two_way"] for row in rows])
    low, high = 100 * np.array([row["loss_two_way_interval"] for row in rows]).T
    errors = reach(lost, low, high)
    label = "mean of people" if result["means"] else rows[0]["subject"]
    axes.errorbar(lost, np.arange(len(rows)), xerr=errors, color=ACCENT, fmt="o", ms=5, elinewidth=1, label=label)
    axes.axvline(0, color=INK, lw=1)
    name_rows(axes, [f"{row['name']} ({len(row['channels'])})" for row in rows])
    axes.set_xlabel("loss of 2-way accuracy, points")
    explain(axes)
    return figure


def perturb_report(result: Mapping[str, Any], path: Path | str, pictures: BeforeAndAfter | None = None) -> None:
    """Write what ``necomimi perturb`` shows as a report.

    Parameters
    ----------
    result : mapping
    path : Path or str
        The HTML file.
    pictures : BeforeAndAfter, optional
        What `necomimi.offline.perturb.perturb` painted.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    n_seeds, n_people = result["seeds"], len(result["people"])
    report = Report(
        "What decoders lose when channels carry noise",
        f"{result['name']}: {', '.join(result['channels'])}; {'; '.join(dict.fromkeys(_sources(result)))}.",
    )
    report.text(
        f"Channels of the preprocessed epochs were replaced by Gaussian noise with each channel's own mean and "
        f"standard deviation over the {result['split']} epochs, after averaging ({result['repetitions']} "
        f"presentations); every figure is the mean of {n_seeds} draw{'' if n_seeds == 1 else 's'} of the noise. "
        f"The decoders were trained on undisturbed epochs and not trained again. Cosine is that of an embedding before "
        f"and after. The epochs are whitened: every channel holds a little of its neighbours, so noise in a channel "
        f"is not noise at one electrode." + (f"\n\n{TRANSDUCTIVE_EPOCHS}." if result["transductive_epochs"] else "")
    )
    unknown = [person["subject"] for person in result["people"] if not person["subject_known"]]
    if unknown:
        report.text(f"The decoder was not trained on {', '.join(unknown)}.")
    report.section("Before and after")
    report.figure(before_and_after(result), "Top-1 accuracy of each person, with 95 % intervals over queries.")
    table = tabulate_people(result)
    report.text(str(table.title)[0].upper() + str(table.title)[1:] + ".")
    table.title = None
    report.printed(table)
    if pictures is not None:
        report.figure(
            draw_grid(pictures.rows, pictures.names),
            f"Painted by {pictures.generator_name} from the same seed, with and without noise (its first draw); "
            "stimuli evenly spread over all, not chosen by their looks.",
        )
    rows = _shown(result)
    if any(row["kind"] == "region" for row in rows):
        report.section("Regions")
        report.figure(lost_by_part(result), "Loss of 2-way accuracy, which moves with every rank, with 95 % intervals.")
        report.printed(tabulate_parts(result, n_channels=0))
    losses = {row["name"]: {figure: row[f"loss_{figure}"] for figure in FIGURES} for row in rows
              if row["kind"] == "channel"}  # fmt: skip
    if losses:
        mean = f", the mean of {n_people} people" if result["means"] else ""
        add_channels(report, losses, f"What is lost where one channel is replaced by such noise{mean}.")
    report.save(path)


def _figures(result: Mapping[str, Any]) -> list[str]:
    """Return the figures that say something of their own: few classes have no top-5, two have but one figure."""
    n_classes = result["rows"][0]["n_classes"]
    return [figure for figure in FIGURES if n_classes > {"top1": 1, "top5": 5, "two_way": 2}[figure]]


def _pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return the undisturbed row and that of the chosen channels, for each person."""
    found = ([row for row in rows if row["kind"] == kind] for kind in ("before", "chosen"))
    return list(zip(*found, strict=True))


def _shown(result: Mapping[str, Any]) -> Sequence[Row]:
    """Return the means over people; the rows of one person alone."""
    rows: Sequence[Row] = result["means"] or result["rows"]
    return rows


def _sources(result: Mapping[str, Any]) -> list[str]:
    """Return what everybody's epochs were made from."""
    return [f"{person['source']}: {person['epochs']}" for person in result["people"]]


def _test_words(result: Mapping[str, Any]) -> str:
    """Return in words where intervals and p values come from."""
    first = result["rows"][0]
    words = f"one person: sign test over {first['units']} (with one draw and one query of each it is McNemar's)\n"
    words += f"95 % intervals: of accuracies {first['interval']}, of losses bootstrap over {first['units']}"
    if result["means"]:
        words += f"\nmean of {len(result['people'])} people: paired t test and 95 % t intervals over people"
    return words + (f"\n{TRANSDUCTIVE_EPOCHS}" if result["transductive_epochs"] else "")


def _people_cells(before: Row, after: Row, figures: Sequence[str]) -> list[str]:
    """Return the cells of one person, or of the mean."""
    cells = [rate(before, "top1"), rate(after, "top1"), p_value(after["loss_top1_p"])]
    for figure in figures[1:]:
        cells += [f"{100 * before[figure]:.1f} → {after[figure]:.1%}", p_value(after[f"loss_{figure}_p"])]
    return [*cells, f"{after['cosine']:.2f}"]


def _points(row: Row, figure: str) -> str:
    """Return a loss with its interval, in points."""
    low, high = row[f"loss_{figure}_interval"]
    return f"{100 * row[f'loss_{figure}']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
