"""What all figures share: a size, values -> an empty figure, quiet axes, colours that suit any page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "FONT", "INK", "MUTED", "dress", "empty", "explain", "name_rows", "percent", "reach", "tint"]

# A report replaces the first three by colours of its page, which may be light or dark.
INK, MUTED, ACCENT = "#1d2125", "#6a737d", "#12708f"
ABOVE, BELOW = "#1b93bb", "#808a93"
WIDTH = 6.4  # inches
FONT = 9.0  # points


def empty(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure, `height` by `width` inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def dress(axes: Axes) -> None:
    """Leave of the axes what is needed to read them."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
    axes.tick_params(labelsize=FONT, color=MUTED, labelcolor=INK)
    axes.xaxis.label.set(size=FONT, color=INK)
    axes.yaxis.label.set(size=FONT, color=INK)


def explain(axes: Axes) -> None:
    """Say above the axes what is drawn in them, chance last."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i] == "chance")
    axes.figure.legend(
        [handles[i] for i in order], [labels[i] for i in order],
        loc="outside upper center", ncols=4, frameon=False, fontsize=FONT, labelcolor=INK,
    )  # fmt: skip


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of the axes from top to bottom, at 0, 1, 2 and so on."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def reach(values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far intervals reach below and above values, shape (2, n), as error bars want it; never less than 0."""
    return np.maximum([values - low, high - values], 0.0)


def percent(rate: float, _: float) -> str:
    """Return the text of a tick at a rate, for matplotlib."""
    return f"{100 * rate:g}%"


def tint(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return colours (red, green, blue, alpha) of values, see-through at zero.

    Parameters
    ----------
    values : ndarray, any shape
        -1 to 1.

    Returns
    -------
    ndarray, shape (*values.shape, 4)
    """
    from matplotlib.colors import to_rgb

    colours = np.empty((*values.shape, 4))
    colours[..., :3] = np.where((values >= 0)[..., None], to_rgb(ABOVE), to_rgb(BELOW))
    colours[..., 3] = np.abs(values).clip(0, 1)
    return colours
