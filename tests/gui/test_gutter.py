from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtGui

from necomimi.gui.gutter import LINE, Gutter, place_names
from necomimi.gui.rows import by_region, in_stream_order
from necomimi.gui.theme import DARK

pytestmark = pytest.mark.qt


@pytest.mark.parametrize(("n", "n_columns"), [(1, 1), (8, 1), (63, 2), (256, 2)])
@pytest.mark.parametrize("bad", [(), (0,), (3, 4, 5), (200, 201, 202, 203, 255)])
def test_names_never_overlap_and_bad_ones_come_first(n: int, n_columns: int, bad: tuple[int, ...]) -> None:
    rows = in_stream_order(n)
    first = {channel for channel in bad if channel < n}
    places = place_names(rows.order, rows.centres(560.0), first, n_columns)
    for column in range(n_columns):
        down = np.sort([y for c, y in places.values() if c == column])
        assert (np.diff(down) >= 0.94 * LINE).all()
    if n <= 63:
        assert first <= places.keys()
    elif first:
        assert len(first & places.keys()) >= len(first) / 2
    assert len(places) >= min(n, 40)


def draw(names: tuple[str, ...], verdicts: dict[int, str]) -> tuple[Gutter, Any]:
    gutter, rows = Gutter(), by_region(names)
    plot = QtCore.QRectF(20 + gutter.width(names, rows, 560 / len(names)), 30, 600, 560)
    image = QtGui.QImage(800, 640, QtGui.QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(DARK.color("panel"))
    painter = QtGui.QPainter(image)
    gutter.draw(painter, plot, names, rows, verdicts, DARK)
    painter.end()
    return gutter, image


def test_names_and_groups_are_found_where_they_are_drawn() -> None:
    names = ("Oz", "Fz", "Cz", "O1", "AUX")
    gutter, _ = draw(names, {})
    for channel, box in gutter._boxes.items():
        assert gutter.channel_at(box.center()) == channel
    down = sorted(gutter._boxes, key=lambda channel: gutter._boxes[channel].top())
    assert [names[i] for i in down] == ["Fz", "Cz", "Oz", "O1", "AUX"]
    assert gutter.channel_at(QtCore.QPointF(400.0, 200.0)) is None  # among the traces
    assert gutter.channel_at(QtCore.QPointF(15.0, 200.0)) is None  # among the groups


def test_a_name_that_is_left_out_can_still_be_pointed_at() -> None:
    names = tuple(f"E{i}" for i in range(256))
    gutter, _ = draw(names, {})
    assert len(gutter._boxes) < 256
    x = gutter._plot.left() - 2
    hit = {gutter.channel_at(QtCore.QPointF(x, y)) for y in np.arange(gutter._plot.top(), gutter._plot.bottom(), 0.5)}
    assert hit >= set(range(256)) - gutter._boxes.keys() - {255}


def test_a_bad_channels_name_has_the_colour_of_trouble() -> None:
    names = ("Fz", "Cz", "Oz")
    gutter, image = draw(names, {1: "noisy"})

    def has_trouble(channel: int) -> bool:
        box = gutter._boxes[channel].adjusted(0, -3, 0, 3).toRect()
        colours = [
            image.pixelColor(x, y) for x in range(box.left(), box.right()) for y in range(box.top(), box.bottom())
        ]
        return any(colour.red() - colour.blue() > 90 for colour in colours)

    assert [has_trouble(channel) for channel in range(3)] == [False, True, False]
