"""Figures show the numbers they were given, where they belong, and leave matplotlib as it was."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from necomimi.drawing import ACCENT, MUTED, tint
from necomimi.errors import ConfigError
from necomimi.offline import plots


def row(top1: float, n_classes: int = 200, **facts: Any) -> dict[str, Any]:
    top5 = min(1.0, 2 * top1)
    return {
        "top1": top1, "top1_interval": [0.9 * top1, 1.1 * top1], "chance_top1": 1 / n_classes,
        "top5": top5, "top5_interval": [0.9 * top5, top5], "chance_top5": min(1.0, 5 / n_classes), **facts,
    }  # fmt: skip


def pixels(figure: Figure) -> NDArray[np.int64]:
    """Return the figure as it looks on white paper, shape (height, width, 3)."""
    file = io.BytesIO()
    figure.savefig(file, format="raw", dpi=100)
    width, height = (round(100 * inches) for inches in figure.get_size_inches())
    return np.frombuffer(file.getvalue(), np.uint8).reshape(height, width, 4)[..., :3].astype(np.int64)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines(figure: Figure, colour: str) -> list[list[float]]:
    return [
        list(line.get_ydata()) for line in figure.axes[0].lines if line.get_color() == colour and len(line.get_xdata())
    ]


def test_repetitions_are_named_and_chance_is_drawn() -> None:
    rows = [row(0.1, repetitions=1), row(0.3, repetitions=10), row(0.4, repetitions="all")]
    figure = plots.by_repetitions(rows)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10", "all"]
    assert legend(figure) == ["top-1", "top-5", "chance"]
    assert lines(figure, ACCENT) == [[0.1, 0.3, 0.4], [0.005] * 3]
    assert lines(figure, MUTED)[:2] == [[0.2, 0.6, 0.8], [0.025] * 3]
    assert axes.get_ylim()[0] == 0
    assert axes.yaxis.get_major_formatter()(0.07, None) == "7%"


def test_the_best_encoder_is_coloured_and_no_name_stands_on_another() -> None:
    rates = {"a": (0.1, 0.2), "b": (0.2, 0.41), "c": (0.15, 0.4)}
    rows = [
        row(rate, encoder=name, repetitions=number)
        for name, of_name in rates.items()
        for number, rate in zip((1, "all"), of_name, strict=True)
    ]
    figure = plots.by_encoder(rows)
    assert lines(figure, ACCENT) == [[0.2, 0.41]]
    assert lines(figure, MUTED) == [[0.1, 0.2], [0.15, 0.4], [0.005] * 2]
    assert legend(figure) == ["chance"]
    pixels(figure)
    heights = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert heights["b"].y0 >= heights["c"].y1 - 2
    assert heights["c"].y0 > heights["a"].y1


def test_top_5_of_two_classes_is_left_out_and_a_missing_interval_is_none() -> None:
    figure = plots.by_repetitions([{**row(0.8, 2, repetitions=1), "top1_interval": None}])
    assert legend(figure) == ["top-1", "chance"]
    pixels(figure)


def test_growing_windows_stand_at_their_end_and_sliding_ones_at_their_middle() -> None:
    growing = plots.by_time([row(0.1, until=0.05), row(0.2, until=0.1)], 0.005)
    np.testing.assert_allclose(growing.axes[0].lines[0].get_xdata(), [50, 100])
    sliding = plots.by_time([row(0.1, since=0.0, until=0.1), row(0.2, since=0.05, until=0.15)], 0.005)
    np.testing.assert_allclose(sliding.axes[0].lines[0].get_xdata(), [50, 100])
    assert "end of" in growing.axes[0].get_xlabel()
    assert "middle of" in sliding.axes[0].get_xlabel()
    assert list(sliding.axes[0].lines[1].get_ydata()) == [0.005, 0.005]


def test_regions_alone_stand_above_all_but_them() -> None:
    rows = [row(0.4, channels="all", region="")]
    for region, alone, without in (("frontal", 0.1, 0.39), ("occipital", 0.35, 0.12)):
        rows += [row(alone, channels="only", region=region), row(without, channels="without", region=region)]
    figure = plots.by_region(rows)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["frontal", "occipital"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # front on top
    assert list(axes.lines[0].get_xdata()) == [0.1, 0.35]
    assert list(axes.lines[1].get_xdata()) == [0.39, 0.12]
    assert sorted(legend(figure)) == ["all but this region", "all channels", "chance", "only this region"]


def test_each_encoder_has_a_panel_and_every_column_its_subjects() -> None:
    names = ("nice", "muse", "atms", "nerv")
    rows = [row(0.1 * i, encoder=name, subject=f"sub-{i:02d}") for name in names for i in (1, 2, 10)]
    figure = plots.by_subject(rows)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(names)
    figure.draw_without_rendering()
    shown = [[tick.get_text() for tick in axes.get_xticklabels() if tick.get_visible()] for axes in figure.axes]
    assert shown[1:] == [["1", "2", "10"]] * 3
    one = plots.by_subject([{"subject": "anna", "top1": 0.2}])
    assert len(one.axes) == 1
    pixels(one)


def test_the_nose_is_up_and_what_is_not_known_is_left_out() -> None:
    values = {"Fp1": 0.0, "Fp2": 0.0, "Oz": 2.0, "T7": 0.0, "T8": 0.0, "Cz": 0.0, "Fz": 0.0, "MEG0111": 50.0}
    figure = plots.topography(values, "points")
    figure.draw_without_rendering()
    axes, scale = figure.axes
    picture = pixels(figure)

    def at(right: float, front: float) -> NDArray[np.int64]:
        across, up = axes.transData.transform((right, front)) * 100 / figure.dpi
        return picture[picture.shape[0] - 1 - round(up), round(across)]

    blue = np.array(tint(np.ones(1))[0, :3] * 255)
    assert np.abs(at(0.08, -0.88) - blue).max() < 60  # beside the dot of Oz
    assert at(0.1, 0.8).min() > 240
    assert at(-0.7, 0.1).min() > 215
    assert scale.get_ylim() == (0.0, 2.0)
    assert scale.get_ylabel() == "points"


def test_values_below_zero_are_grey_and_flat_ones_have_a_scale() -> None:
    figure = plots.topography({"Oz": -1.0, "Fz": 3.0, "Cz": 0.0, "T7": 0.0}, "points")
    assert figure.axes[1].get_ylim() == (-1.0, 3.0)
    colours = tint(np.array([-1.0, 0.0, 1.0]))
    assert np.ptp(colours[0, :3]) < 0.1 < np.ptp(colours[2, :3])
    assert list(colours[:, 3]) == [1, 0, 1]
    pixels(plots.topography({"Oz": 0.0, "Fz": 0.0, "T7": 0.0}, "points"))
    pixels(plots.topography({"Oz": 1.0, "Cz": 0.5, "Fz": 0.0, "Pz": 0.7}, "points"))  # on one line
    with pytest.raises(ConfigError, match=r"2 of 3 channels have a place on the head"):
        plots.topography({"Oz": 1.0, "Cz": 0.5, "MEG0111": 0.0}, "points")


def test_a_confusion_is_as_strong_as_it_is_frequent() -> None:
    matrix = np.array([[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    axes = plots.confusion(["animal", "food", "tool"], matrix).axes[0]
    np.testing.assert_allclose(axes.images[0].get_array()[..., 3], matrix)
    assert [text.get_text() for text in axes.texts] == ["75", "25", "100", "50", "50"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("shown", "answered")
    many = plots.confusion([str(i) for i in range(30)], np.eye(30))
    assert not many.axes[0].texts
    pixels(many)


def test_matplotlib_stays_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    pixels(plots.by_time([row(0.1, until=0.05), row(0.2, until=0.1)], 0.005))
    assert dict(matplotlib.rcParams) == before
