"""Names of electrodes tell where they lie: 63 channels of THINGS-EEG2, old names, names of amplifiers, sensors."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.regions import REGIONS, channels_by_region, flat_positions, region_of
from necomimi.things_eeg2 import MODEL_CH_NAMES


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("Fpz", "frontal"), ("AF7", "frontal"), ("Fz", "frontal"), ("FFC1h", "frontal"), ("Nz", "frontal"),
        ("FC5", "central"), ("Cz", "central"), ("CP6", "central"), ("CPP2h", "central"),
        ("T7", "temporal"), ("T3", "temporal"), ("FT10", "temporal"), ("TP9", "temporal"),
        ("Pz", "parietal"), ("T5", "parietal"), ("PPO9h", "parietal"),
        ("PO7", "occipital"), ("EEG Oz-REF", "occipital"), ("Iz", "occipital"), ("o1..", "occipital"),
        ("A1", None), ("M2", None), ("stim", None), ("E12", None), ("MEG0111", None), ("Fp1-F7", None), ("", None),
        ("F", None), ("EOG", None), ("Cz1", None),
    ],
)  # fmt: skip
def test_the_row_of_a_name_decides(name: str, region: str | None) -> None:
    assert region_of(name) == region


def test_every_channel_of_things_eeg2_lies_in_one_region() -> None:
    found = channels_by_region(MODEL_CH_NAMES)
    assert tuple(found) == REGIONS
    assert {region: len(indices) for region, indices in found.items()} == {
        "frontal": 15, "central": 21, "temporal": 10, "parietal": 9, "occipital": 8,
    }  # fmt: skip
    assert sorted(i for indices in found.values() for i in indices) == list(range(63))
    assert [MODEL_CH_NAMES[i] for i in found["occipital"]] == ["PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2"]
    assert channels_by_region(["Oz", "X", "O1"]) == {"occipital": [0, 2]}


def test_the_flat_head_has_its_vertex_in_the_middle_and_its_nose_in_front() -> None:
    places = flat_positions(["Cz", "Fpz", "Oz", "T7", "T8", "T3", "TP10", "MEG0111"])
    assert "MEG0111" not in places
    np.testing.assert_allclose(places["Cz"], [0, 0], atol=0.05)
    np.testing.assert_allclose(places["Fpz"], [0, 1], atol=0.1)
    np.testing.assert_allclose(places["Oz"], [0, -1], atol=0.1)
    np.testing.assert_allclose(places["T8"], [1, 0], atol=0.1)
    np.testing.assert_array_equal(places["T7"], places["T3"])
    assert np.hypot(*places["TP10"]) > 1.2  # below the widest circle
    every = flat_positions(MODEL_CH_NAMES)
    assert list(every) == list(MODEL_CH_NAMES)
    left = [name for name in MODEL_CH_NAMES if name[-1] in "13579"]
    assert all(every[name][0] < 0 for name in left)
