"""What looks at the test set as a set does what its source says, and gives chance where there is nothing to see."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from necomimi.offline.judgement import judge_scores
from necomimi.offline.transductive import METHODS, assign, correct_hubs, deal_rounds, judge_as_a_set, rewhiten
from necomimi.preprocessing import ledoit_wolf


def test_rounds_hold_each_query_once_and_each_class_at_most_once() -> None:
    targets = np.array([2, 0, 0, 1, 2, 0])
    rounds = deal_rounds(targets)
    assert [rows.tolist() for rows in rounds] == [[0, 1, 3], [2, 4], [5]]
    rng = np.random.default_rng(0)
    many = rng.integers(0, 9, 200)
    dealt = deal_rounds(many)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(200))
    assert all(len(set(many[rows])) == len(rows) for rows in dealt)


def test_an_assignment_has_the_greatest_sum_of_all() -> None:
    similarities = np.random.default_rng(0).normal(size=(4, 6))
    best = max(permutations(range(6), 4), key=lambda chosen: similarities[np.arange(4), chosen].sum())
    assert tuple(assign(similarities)) == best


def test_hubs_lose_what_they_have_with_everybody() -> None:
    similarities = np.array([[0.9, 0.8, 0.1], [0.9, 0.1, 0.8], [0.95, 0.2, 0.2]])
    assert similarities.argmax(axis=1).tolist() == [0, 0, 0]
    assert correct_hubs(similarities).argmax(axis=1).tolist() == [1, 2, 0]
    wide = np.random.default_rng(0).normal(size=(25, 4))
    expected = 2 * wide - np.array([np.sort(column)[-10:].mean() for column in wide.T])
    np.testing.assert_allclose(correct_hubs(wide), expected)


def test_rewhitening_puts_one_covariance_in_the_place_of_the_other() -> None:
    rng = np.random.default_rng(0)
    mix = np.eye(5) + 0.15 * rng.normal(size=(5, 5))
    reference = rng.normal(size=(1100, 5, 500)).astype(np.float32)  # more than one block
    data = (mix @ rng.normal(size=(60, 5, 500))).astype(np.float32)
    again = rewhiten(data, reference)
    before, after, wanted = (ledoit_wolf(x).mean(axis=0) for x in (data, again, reference))
    assert np.abs(before - wanted).max() > 0.25
    np.testing.assert_allclose(after, wanted, atol=0.05)
    same = rewhiten(reference, reference)  # nothing else to put in its place
    np.testing.assert_allclose(same, reference, atol=1e-3)


@pytest.mark.parametrize("constant", [True, False])
def test_scores_that_say_nothing_give_chance(constant: bool) -> None:
    targets = np.tile(np.arange(40), 25)
    shape = (len(targets), 40)
    scores = np.zeros(shape) if constant else np.random.default_rng(0).normal(size=shape)
    rows = judge_as_a_set(scores, scores, targets, judge_scores)
    assert [row["method"] for row in rows] == list(METHODS)
    for row in rows:
        assert row["top1"] == pytest.approx(row["chance_top1"], abs=0.02)
        assert row["n_queries"] == 1000
        assert row["top1_interval"][0] - 1e-9 <= row["top1"] <= row["top1_interval"][1] + 1e-9


def test_knowing_that_each_was_shown_once_helps() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(30), 40)
    scores = rng.normal(size=(1200, 30))
    scores[np.arange(1200), targets] += 2.5
    scores[:, 3] += 1.0  # a hub
    plain = judge_scores(scores, targets)["top1"]
    assigned, corrected, same = judge_as_a_set(scores, scores, targets, judge_scores)
    assert assigned["top1"] > plain + 0.08
    assert assigned["top5"] is None
    assert corrected["top1"] > plain + 0.03
    assert same["top1"] == plain
