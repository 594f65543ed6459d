"""Validation shares no concept with training, or no signal; what cannot be split is refused."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.errors import DatasetError
from necomimi.offline.holdout import hold_out_blocks, hold_out_concepts


def test_concepts_are_disjoint_and_no_epoch_is_lost() -> None:
    labels = np.random.default_rng(0).choice([f"c{i}" for i in range(20)], 300).tolist()
    train, held = hold_out_concepts(labels, 5, seed=3)
    of_train, of_held = {labels[i] for i in train}, {labels[i] for i in held}
    assert not of_train & of_held
    assert (len(of_train), len(of_held)) == (15, 5)
    np.testing.assert_array_equal(np.sort(np.r_[train, held]), np.arange(300))
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()


def test_the_seed_chooses_the_concepts_whatever_the_order_of_the_epochs() -> None:
    labels = [f"c{i % 20}" for i in range(60)]

    def chosen(names: list[str], seed: int) -> set[str]:
        return {names[i] for i in hold_out_concepts(names, 6, seed)[1]}

    assert chosen(labels, 1) == chosen(labels[::-1], 1)
    assert chosen(labels, 1) != chosen(labels, 2)


@pytest.mark.parametrize("n_concepts", [0, 1, 3, 9])
def test_two_concepts_must_be_left_on_either_side(n_concepts: int) -> None:
    with pytest.raises(DatasetError, match=f"{n_concepts} validation concepts of 4"):
        hold_out_concepts(["a", "b", "c", "d"], n_concepts, 0)
    assert len(hold_out_concepts(["a", "b", "c", "d"], 2, 0)[1]) == 2


def recording(n: int, seed: int = 0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return labels, sessions and onsets (0.3 to 0.9 s apart) of two sessions, in shuffled order."""
    rng = np.random.default_rng(seed)
    sessions = np.repeat([1, 2], [n // 2, n - n // 2])
    onsets = np.concatenate([np.cumsum(rng.uniform(0.3, 0.9, (sessions == s).sum())) for s in (1, 2)])
    order = rng.permutation(n)
    return rng.choice(["left", "right"], n).tolist(), sessions[order], onsets[order]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("duration", [0.5, 2.0])
def test_no_training_trial_shares_signal_with_a_validation_trial(seed: int, duration: float) -> None:
    labels, sessions, onsets = recording(200, seed)
    train, held = hold_out_blocks(labels, sessions, onsets, duration, 0.2)
    same = sessions[train][:, None] == sessions[held][None]
    apart = np.abs(onsets[train][:, None] - onsets[held][None])
    assert apart[same].min() >= duration
    assert len(held) == pytest.approx(40, abs=3)
    assert {labels[i] for i in train} == {labels[i] for i in held} == {"left", "right"}
    dropped = np.setdiff1d(np.arange(200), np.r_[train, held])
    for row in dropped:  # nothing is dropped without need
        near = np.abs(onsets[held] - onsets[row])[sessions[held] == sessions[row]]
        assert near.min() < duration


def test_blocks_are_two_stretches_of_time() -> None:
    train, held = hold_out_blocks(["a", "b"] * 50, np.ones(100, int), np.arange(100.0), 0.9, 0.2)
    blocks = np.split(held, np.flatnonzero(np.diff(held) > 1) + 1)
    assert [len(block) for block in blocks] == pytest.approx([10, 10], abs=1)
    assert [block.mean() for block in blocks] == pytest.approx([25, 75], abs=1)
    assert len(train) == 100 - len(held)


def test_more_blocks_where_a_class_would_be_missing() -> None:
    labels = ["a"] * 40 + ["b"] * 20 + ["a"] * 40  # "b" lies between the two blocks
    train, held = hold_out_blocks(labels, np.ones(100, int), np.arange(100.0), 0.9, 0.2)
    assert {labels[i] for i in held} == {labels[i] for i in train} == {"a", "b"}
    assert len(held) == pytest.approx(20, abs=4)


def test_a_class_seen_once_cannot_be_on_both_sides() -> None:
    with pytest.raises(DatasetError, match="50 trials of 2 classes cannot be split"):
        hold_out_blocks(["a"] * 49 + ["b"], np.ones(50, int), np.arange(50.0), 0.5, 0.2)
