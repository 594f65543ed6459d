from __future__ import annotations

import numpy as np
import pytest

from necomimi.gui.rows import Group, Rows, by_region, in_stream_order

NAMES = ("O1", "EMG", "Cz", "Fp1", "P3", "T7", "Oz", "F4", "A1")


def test_regions_go_from_front_to_back_and_unknown_places_come_last() -> None:
    groups = by_region(NAMES).groups
    assert [group.region for group in groups] == ["frontal", "central", "temporal", "parietal", "occipital", None]
    assert [[NAMES[i] for i in group.channels] for group in groups] == [
        ["Fp1", "F4"],
        ["Cz"],
        ["T7"],
        ["P3"],
        ["O1", "Oz"],
        ["EMG", "A1"],
    ]
    assert in_stream_order(4).groups == (Group(None, (0, 1, 2, 3)),)
    assert by_region(("E1", "E2")).order == (0, 1)


@pytest.mark.parametrize("total", [60.0, 560.0, 1400.0])
@pytest.mark.parametrize("n", [1, 5, 63, 256])
def test_rows_fill_the_height_in_order_with_space_between_groups(n: int, total: float) -> None:
    names = tuple(("Fz", "Cz", "T7", "Pz", "Oz", "X")[i % 6] for i in range(n))
    rows = by_region(names)
    centres, height = rows.centres(total), rows.height(total)
    assert sorted(rows.order) == list(range(n))
    down = centres[list(rows.order)]
    assert down[0] == pytest.approx(height / 2)
    assert down[-1] == pytest.approx(total - height / 2)
    steps = np.diff(down)
    assert (steps >= height - 1e-9).all()
    assert (steps > height + 0.05).sum() == len(rows.groups) - 1
    assert height > 0.8 * total / n


def test_one_group_has_no_space() -> None:
    rows = Rows((Group(None, (1, 0)),))
    np.testing.assert_allclose(rows.centres(40.0), [30.0, 10.0])
    assert rows.height(40.0) == 20.0
