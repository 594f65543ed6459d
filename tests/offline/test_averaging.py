"""Repetitions are averaged in groups that never share an epoch, whatever the size of the data."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.offline import averaging
from necomimi.offline.averaging import average_groups, group_repetitions

NAMES = ["cat", "dog", "cat", "emu", "cat", "dog", "cat", "dog", "cat"]  # five, three, one


@pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 9), (2, [2, 2, 2]), (3, [3, 3]), (5, [5]), (6, [])])
def test_groups_are_of_one_name_and_share_nothing(size: int, sizes: list[int]) -> None:
    groups = group_repetitions(NAMES, size, seed=0)
    assert [len(group) for group in groups] == sizes
    assert all(len({NAMES[i] for i in group}) == 1 for group in groups)
    rows = [int(i) for group in groups for i in group]
    assert len(rows) == len(set(rows))


def test_all_repetitions_make_one_group_a_name() -> None:
    groups = group_repetitions(NAMES, None, seed=0)
    assert [group.tolist() for group in groups] == [[0, 2, 4, 6, 8], [1, 5, 7], [3]]


def test_the_seed_draws_the_repetitions() -> None:
    names = ["cat"] * 40

    def drawn(seed: int) -> list[list[int]]:
        return [group.tolist() for group in group_repetitions(names, 10, seed)]

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize("block", [1, 4, 7, 4096])
def test_mean_of_each_group_however_few_epochs_are_read_at_once(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averaging, "BLOCK", block)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(50, 3, 8)).astype(np.float32)
    groups = [rng.permutation(50)[:n] for n in (1, 5, 2, 9, 3, 1)]
    found = average_groups(data, groups)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [data[group].mean(axis=0) for group in groups], rtol=1e-5, atol=1e-6)


def test_averaging_lowers_the_noise_by_the_root_of_the_group() -> None:
    data = np.random.default_rng(0).normal(size=(640, 2, 50)).astype(np.float32)
    found = average_groups(data, group_repetitions(["x"] * 640, 16, seed=0))
    assert found.std() == pytest.approx(0.25, rel=0.05)
