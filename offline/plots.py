"""Draw figures of accuracies: rows of figures, values of channels -> matplotlib figures.

Rows are those of `necomimi.offline.judgement`. Chance is a dotted line, an interval a thin bar or a pale band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from necomimi.drawing import ACCENT, FONT, INK, MUTED, dress, empty, explain, name_rows, percent, reach, tint
from necomimi.errors import ConfigError
from necomimi.regions import flat_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["by_encoder", "by_region", "by_repetitions", "by_subject", "by_time", "confusion", "topography"]

Row = Mapping[str, Any]
TOPS = (("top1", "top-1", ACCENT), ("top5", "top-5", MUTED))
MAX_NUMBERED = 12  # categories whose cells are wide enough for a number
GRID = 121  # pixels across a topography
REACH = 0.25  # head radii that a topography goes beyond its outermost channel,
FADE = 0.08  # and over which it fades
N_RING, RING = 36, 0.1  # points around it, and how far out


def by_repetitions(rows: Sequence[Row]) -> Figure:
    """Draw accuracy over the number of presentations behind an answer.

    Parameters
    ----------
    rows : sequence of dict
        With "repetitions" (a number or "all").
    """
    figure, axes = _figure(3.4)
    places = np.arange(len(rows))
    for name, label, colour in _tops(rows):
        low, high = _interval(rows, name)
        rates = np.array([row[name] for row in rows])
        errors = reach(rates, low, high)
        axes.errorbar(places, rates, errors, color=colour, marker="o", ms=5, lw=1.5, elinewidth=1, label=label)
        axes.plot(places, [row[f"chance_{name}"] for row in rows], color=colour, lw=1, ls=":")
    axes.set_xticks(places, [str(row["repetitions"]) for row in rows])
    axes.set_xlim(-0.4, len(rows) - 0.6)
    axes.set_xlabel("presentations averaged")
    _finish(axes, "accuracy")
    return figure


def by_encoder(rows: Sequence[Row]) -> Figure:
    """Draw top-1 accuracy of several encoders over the number of presentations behind an answer, the best in colour.

    Parameters
    ----------
    rows : sequence of dict
        With "encoder" and "repetitions" (a number or "all"); each encoder has the same numbers.
    """
    figure, axes = _figure(3.4)
    numbers = list(dict.fromkeys(str(row["repetitions"]) for row in rows))
    rates: dict[str, list[float]] = {}
    for row in rows:
        rates.setdefault(row["encoder"], []).append(row["top1"])
    ranked = sorted(rates, key=lambda name: rates[name][-1])
    gap, last = 0.07 * max(rates[ranked[-1]][-1], rows[0]["chance_top1"]), -np.inf
    for name in ranked:
        best = name == ranked[-1]
        axes.plot(rates[name], color=ACCENT if best else MUTED, marker="o", ms=3.5, lw=1.8 if best else 1.0)
        last = max(rates[name][-1], last + gap)  # names of like encoders stand above each other
        place = (len(numbers) - 0.92, last)
        axes.text(*place, name, va="center", fontsize=FONT, color=ACCENT if best else INK)
    axes.plot([0, len(numbers) - 1], [rows[0]["chance_top1"]] * 2, color=MUTED, lw=1, ls=":")
    axes.set_xticks(range(len(numbers)), numbers)
    axes.set_xlim(-0.2, len(numbers) - 0.3)
    axes.set_xlabel("presentations averaged")
    _finish(axes, "top-1 accuracy")
    return figure


def by_time(rows: Sequence[Row], chance: float) -> Figure:
    """Draw top-1 accuracy over the time of the signal that was there.

    Parameters
    ----------
    rows : sequence of dict
        With "until" and, for windows that do not all begin at once, "since": seconds from the onset.
    chance : float
        Top-1 accuracy of a guess.
    """
    figure, axes = _figure(3.0)
    since, until = ([float(row.get(name, 0.0)) for row in rows] for name in ("since", "until"))
    slides = len(set(since)) > 1
    times = 1e3 * np.array([(a + b) / 2 if slides else b for a, b in zip(since, until, strict=True)])
    low, high = _interval(rows, "top1")
    axes.fill_between(times, low, high, color=ACCENT, alpha=0.2, lw=0)
    axes.plot(times, [row["top1"] for row in rows], color=ACCENT, lw=1.5, marker="o", ms=3.5, label="top-1")
    axes.axhline(chance, color=ACCENT, lw=1, ls=":")
    axes.set_xlim(0, None)
    axes.set_xlabel("middle of the window, ms after the onset" if slides else "end of the window, ms after the onset")
    _finish(axes, "top-1 accuracy")
    return figure


def by_region(rows: Sequence[Row]) -> Figure:
    """Draw top-1 accuracy of one region alone, and of all but one; the whole head is a line through both.

    Parameters
    ----------
    rows : sequence of dict
        With "channels": "all", "only" or "without", and "region".
    """
    figure, axes = _figure(3.0)
    regions = list(dict.fromkeys(row["region"] for row in rows if row["channels"] != "all"))
    for channels, label, offset, colour in (("only", "only this region", -0.17, ACCENT),
                                            ("without", "all but this region", 0.17, MUTED)):  # fmt: skip
        chosen = [row for row in rows if row["channels"] == channels]
        rates = np.array([row["top1"] for row in chosen])
        low, high = _interval(chosen, "top1")
        places = [regions.index(row["region"]) + offset for row in chosen]
        errors = reach(rates, low, high)
        axes.errorbar(rates, places, xerr=errors, color=colour, fmt="o", ms=6, elinewidth=1, label=label)
    for row in rows:
        if row["channels"] == "all":
            axes.axvline(row["top1"], color=INK, lw=1, label="all channels")
    axes.axvline(rows[0]["chance_top1"], color=MUTED, lw=1, ls=":", label="chance")
    name_rows(axes, regions)
    axes.set_xlim(0, None)
    axes.set_xlabel("top-1 accuracy")
    axes.xaxis.set_major_formatter(percent)
    explain(axes)
    return figure


def by_subject(rows: Sequence[Row]) -> Figure:
    """Draw top-1 accuracy of each subject: one panel per encoder, with the others' subjects in grey behind.

    Parameters
    ----------
    rows : sequence of dict
        With "subject", "top1" and, where known, "top1_interval" and "encoder".
    """
    subjects = list(dict.fromkeys(str(row["subject"]) for row in rows))
    encoders = list(dict.fromkeys(str(row.get("encoder", "")) for row in rows))
    n_columns = min(3, len(encoders))
    n_rows = -(-len(encoders) // n_columns)
    figure = empty(0.6 + 2.2 * n_rows)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for encoder, axes in zip(encoders, panels, strict=False):
        own = [row for row in rows if str(row.get("encoder", "")) == encoder]
        others = [row for row in rows if str(row.get("encoder", "")) != encoder]
        axes.plot(
            [subjects.index(str(row["subject"])) for row in others], [row["top1"] for row in others],
            color=MUTED, ls="", marker="_", ms=7, alpha=0.6,
        )  # fmt: skip
        rates = np.array([row["top1"] for row in own])
        low, high = _interval(own, "top1")
        places = [subjects.index(str(row["subject"])) for row in own]
        errors = reach(rates, low, high)
        axes.errorbar(places, rates, errors, color=ACCENT, fmt="o", ms=5, elinewidth=1)
        if "chance_top1" in own[0]:
            axes.axhline(own[0]["chance_top1"], color=ACCENT, lw=1, ls=":")
        axes.set_title(encoder, fontsize=FONT, color=INK, loc="left")
        dress(axes)
    for axes in panels[len(encoders) :]:
        axes.remove()
    for axes in panels[max(0, len(encoders) - n_columns) : len(encoders)]:
        axes.tick_params(labelbottom=True)  # shared axes are labelled in the last row only, which may not be full
    first = panels[0]
    first.set_xticks(range(len(subjects)), [subject.removeprefix("sub-").lstrip("0") for subject in subjects])
    first.set_xlim(-0.6, len(subjects) - 0.4)
    first.set_ylim(0, None)
    first.yaxis.set_major_formatter(percent)
    figure.supxlabel("subject", fontsize=FONT, color=INK)
    figure.supylabel("top-1 accuracy", fontsize=FONT, color=INK)
    return figure


def confusion(categories: Sequence[str], matrix: Sequence[Sequence[float]] | NDArray[np.float64]) -> Figure:
    """Draw how often each category that was shown was answered with each: the stronger the colour, the more often.

    Parameters
    ----------
    categories : sequence of str
    matrix : array, shape (n_categories, n_categories)
        Rows are what was shown; each sums to 1.
    """
    values, n = np.asarray(matrix, dtype=np.float64), len(categories)
    figure = empty(1.6 + min(0.32 * n, 4.8))
    axes = figure.subplots()
    axes.imshow(tint(values / max(values.max(), 1e-9)), interpolation="nearest")
    if n <= MAX_NUMBERED:
        for i, j in np.argwhere(values >= 0.005):
            axes.text(j, i, f"{100 * values[i, j]:.0f}", ha="center", va="center", fontsize=FONT - 1, color=INK)
    size = FONT if n <= 2 * MAX_NUMBERED else 6.0
    axes.set_xticks(range(n), categories, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(n), categories, fontsize=size)
    axes.set_xlabel("answered", fontsize=FONT, color=INK)
    axes.set_ylabel("shown", fontsize=FONT, color=INK)
    axes.tick_params(length=0, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_color(MUTED)
    return figure


def topography(values: Mapping[str, float], label: str) -> Figure:
    """Draw values of channels on a head seen from above, nose up; channels without a known place are left out.

    Between the channels a thin-plate spline is drawn. Values above zero are coloured, those below are grey.

    Parameters
    ----------
    values : mapping of str to float
        By channel name.
    label : str
        What the values are, with their unit, beside the scale.

    Raises
    ------
    ConfigError
        Fewer than three channels have a known place.
    """
    from scipy.interpolate import RBFInterpolator

    places = flat_positions(list(values))
    if len(places) < 3:
        raise ConfigError(
            f"{len(places)} of {len(values)} channels have a place on the head", "names of the 10-20 system"
        )
    points, heights = np.array(list(places.values())), np.array([values[name] for name in places])
    largest = float(np.abs(heights).max()) or 1.0
    radius = max(1.0, np.hypot(*points.T).max()) + 0.05
    grid = np.linspace(-radius, radius, GRID)
    right, front = np.meshgrid(grid, grid)
    pixels = np.column_stack([right.ravel(), front.ravel()])
    # Beyond the outermost channels a spline runs away: a ring holds it to the value of the nearest channel.
    turn = np.linspace(0, 2 * np.pi, N_RING, endpoint=False)
    ring = (radius + RING) * np.column_stack([np.sin(turn), np.cos(turn)])
    held = heights[np.argmin(np.linalg.norm(ring[:, None] - points, axis=2), axis=1)]
    spline = RBFInterpolator(np.vstack([points, ring]), np.append(heights, held), kernel="thin_plate_spline")
    nearest = np.min(np.linalg.norm(pixels[:, None] - points, axis=2), axis=1)
    inside = np.minimum(radius - np.hypot(*pixels.T), REACH + _spacing(points) - nearest)
    field = (spline(pixels) / largest).clip(-1, 1) * (inside / FADE).clip(0, 1)

    figure = empty(3.4, 4.4)
    axes, scale = figure.subplots(1, 2, width_ratios=(1, 0.05))
    extent = (-radius, radius, -radius, radius)
    axes.imshow(tint(field.reshape(GRID, GRID)), origin="lower", extent=extent, interpolation="bilinear")
    around = np.linspace(0, 2 * np.pi, 121)
    axes.plot(np.sin(around), np.cos(around), color=INK, lw=1)
    axes.plot([-0.14, 0, 0.14], [0.99, 1.14, 0.99], color=INK, lw=1)
    for side in (-1, 1):
        axes.plot(side * np.array([0.985, 1.06, 1.06, 0.985]), [0.17, 0.13, -0.13, -0.17], color=INK, lw=1)
    axes.plot(*points.T, color=INK, ls="", marker="o", ms=1.8, alpha=0.7)
    axes.set_xlim(-radius - 0.05, radius + 0.05)
    axes.set_ylim(-radius - 0.05, radius + 0.12)
    axes.set_aspect("equal")
    axes.set_axis_off()
    lowest, highest = min(float(heights.min()), 0.0), max(float(heights.max()), 0.0)
    highest = highest if highest > lowest else largest  # where all is zero
    steps = np.linspace(lowest, highest, 64)[:, None]
    scale.imshow(tint(steps / largest), origin="lower", aspect="auto", extent=(0, 1, lowest, highest))
    scale.set_xticks([])
    scale.yaxis.tick_right()
    scale.yaxis.set_label_position("right")
    scale.set_ylabel(label, fontsize=FONT, color=INK)
    scale.tick_params(labelsize=FONT, color=MUTED, labelcolor=INK)
    for spine in scale.spines.values():
        spine.set_color(MUTED)
    return figure


def _spacing(points: NDArray[np.float64]) -> float:
    """Return the largest distance of a channel from its nearest neighbour."""
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    return float(distances.min(axis=1).max())


def _figure(height: float) -> tuple[Figure, Axes]:
    """Return a figure of full width with one set of axes."""
    figure = empty(height)
    axes = figure.subplots()
    dress(axes)
    return figure, axes


def _finish(axes: Axes, label: str) -> None:
    """Scale the accuracies from zero, in percent, and say what the lines are."""
    axes.plot([], [], color=MUTED, lw=1, ls=":", label="chance")
    axes.set_ylim(0, None)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(percent)
    explain(axes)


def _tops(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Return what to draw: the key, the name and the colour of top-1 and, where it says something, top-5."""
    return [top for top in TOPS if top[0] == "top1" or rows[0]["chance_top5"] < 1]


def _interval(rows: Sequence[Row], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of each row's interval; the rate itself where there is none."""
    ends = np.array([row.get(f"{name}_interval") or [row[name], row[name]] for row in rows], dtype=np.float64)
    return ends.reshape(-1, 2)[:, 0], ends.reshape(-1, 2)[:, 1]
