"""k-way accuracies are exact expectations, ties count half, intervals and AUC agree with their definitions."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from necomimi.errors import DatasetError
from necomimi.intervals import wilson
from necomimi.offline.scoring import (
    area_under_curve,
    expectation,
    interval_of,
    kway_table,
    ranks,
    sign_test,
    units_of,
)


def by_hand(row: np.ndarray, target: int, k: int, top: int) -> float:
    """Average over every set of distractors, and over the places among equals."""
    others = [j for j in range(len(row)) if j != target]
    hits = []
    for drawn in combinations(others, k - 1):
        above = sum(row[j] > row[target] for j in drawn)
        equal = sum(row[j] == row[target] for j in drawn)
        hits.append(np.mean([above + place < top for place in range(equal + 1)]))
    return float(np.mean(hits))


@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize("k", [2, 3, 5, 7])
def test_expectation_equals_enumeration_of_all_distractors(k: int, top: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 5, (12, 7)).astype(float)  # few values, many ties
    targets = rng.integers(0, 7, 12)
    found = expectation(*ranks(scores, targets), k, top=min(top, k))
    expected = [by_hand(row, target, k, min(top, k)) for row, target in zip(scores, targets, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("k", "top"), [(2, 1), (4, 1), (10, 5), (50, 5)])
def test_expectation_equals_the_mean_of_random_draws(k: int, top: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20, 60))
    targets = np.arange(20)
    scores[targets, targets] += 1.0
    hits = np.empty((20, 2000))
    for i in range(20):
        above = np.delete(scores[i], i) > scores[i, i]
        drawn = np.argsort(rng.random((2000, 59)), axis=1)[:, : k - 1]
        hits[i] = above[drawn].sum(axis=1) < top
    assert expectation(*ranks(scores, targets), k, top).mean() == pytest.approx(hits.mean(), abs=0.01)


@pytest.mark.parametrize(("n", "k"), [(200, 2), (200, 50), (200, 200), (9, 4)])
def test_kway_table_is_the_closed_form(n: int, k: int) -> None:
    expected = [comb(n - r, k - 1) / comb(n - 1, k - 1) for r in range(1, n + 1)]
    np.testing.assert_allclose(kway_table(n, k), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("k", [0, 8])
def test_kway_table_refuses_more_choices_than_candidates(k: int) -> None:
    with pytest.raises(ValueError, match=f"{k}-way choice among 7"):
        kway_table(7, k)


def test_ties_count_half() -> None:
    best, ties, sizes = ranks(np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]]), np.zeros(3, dtype=int))
    np.testing.assert_array_equal(expectation(best, ties, sizes), [0.5, 1.0, 0.0])


@pytest.mark.parametrize(("k", "top"), [(2, 1), (10, 1), (10, 5), (None, 1), (None, 5)])
def test_constant_scores_give_chance(k: int | None, top: int) -> None:
    hits = expectation(*ranks(np.zeros((4, 20)), np.array([0, 7, 13, 19])), k, top)
    np.testing.assert_allclose(hits, top / (k or 20))


def test_ranks_count_those_above_and_beside_the_target() -> None:
    scores = np.array([[3.0, 1.0, 2.0, 2.0], [5.0, 5.0, 5.0, 1.0]])
    best, ties, sizes = ranks(scores, np.array([2, 3]))
    assert (best.tolist(), ties.tolist(), sizes.tolist()) == ([2, 4], [1, 0], [4, 4])


def test_ranks_look_only_at_competitors() -> None:
    others = np.array([[True, True, False, False]])
    best, ties, sizes = ranks(np.array([[3.0, 1.0, 2.0, 2.0]]), np.array([2]), others)
    assert (best.tolist(), ties.tolist(), sizes.tolist()) == ([2], [0], [3])
    assert others.tolist() == [[True, True, False, False]]


@pytest.mark.parametrize(
    ("scores", "targets", "words"),
    [
        (np.array([[0.0, np.nan]]), [0], "1 of 2 scores are not finite"),
        (np.zeros((2, 3)), [0, 3], "targets from 0 to 3"),
        (np.zeros((2, 3)), [-1, 0], "targets from -1 to 0"),
        (np.zeros((2, 3)), [0], r"targets of shape \(1,\)"),
        (np.zeros(3), [0, 0, 0], r"shape \(3,\)"),
        (np.zeros((0, 3)), [], r"shape \(0, 3\)"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(scores: np.ndarray, targets: list[int], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        ranks(scores, np.array(targets, dtype=int))


@pytest.mark.parametrize("discrete", [True, False])
def test_auc_is_sklearns(discrete: bool) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.15
    scores = rng.normal(size=300) + positive
    scores = scores.round() if discrete else scores
    assert area_under_curve(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_auc_of_one_class_is_refused() -> None:
    with pytest.raises(DatasetError, match="0 positive and 3 negative"):
        area_under_curve(np.zeros(3), np.zeros(3, dtype=bool))


def test_interval_is_wilsons_where_queries_are_independent() -> None:
    hits = np.r_[np.ones(30), np.zeros(70)]
    assert interval_of(hits, np.arange(100)) == (*wilson(30, 100), "Wilson")
    assert interval_of(hits, np.arange(100) % 2) == (*wilson(30, 100), "Wilson")


def test_interval_of_repetitions_is_as_wide_as_their_concepts_allow() -> None:
    concept_hits = np.random.default_rng(0).random(40) < 0.5
    hits, clusters = np.repeat(concept_hits, 25).astype(float), np.repeat(np.arange(40), 25)
    low, high, kind = interval_of(hits, clusters)
    assert kind == "bootstrap over concepts"
    expected = wilson(int(concept_hits.sum()), 40)  # 40 independent facts, not 1000
    assert (low, high) == pytest.approx(expected, abs=0.03)
    narrow = wilson(int(hits.sum()), 1000)
    assert high - low > 3 * (narrow[1] - narrow[0])


def test_sign_test_is_mcnemar_s_of_single_queries_and_counts_concepts_once() -> None:
    before = np.array([1.0] * 9 + [0.0] * 1 + [1.0] * 5)
    after = np.array([0.0] * 9 + [1.0] * 1 + [1.0] * 5)  # 9 lost, 1 won, 5 alike
    exact = 2 * sum(comb(10, i) for i in (0, 1)) / 2**10
    assert sign_test(before - after, np.arange(15)) == pytest.approx(exact)
    assert sign_test(after - before, np.arange(15)) == pytest.approx(exact)
    assert sign_test(before - after, np.zeros(15)) == 1.0  # one concept says nothing
    assert sign_test(np.zeros(4), np.arange(4)) == 1.0
    assert sign_test(np.array([0.3, -0.1, -0.2 + 1e-12, 0.5]), np.array([0, 0, 0, 1])) == 1.0  # 0.1 + 0.2 - 0.3


def test_few_concepts_are_not_the_units() -> None:
    few, many = np.repeat([0, 1], 10), np.repeat(np.arange(10), 2)
    assert units_of(few).tolist() == list(range(20))
    assert units_of(many) is many
