from __future__ import annotations

import numpy as np
import pytest

from necomimi.gui.accuracy import Accuracy, Score

CLASSES = tuple(f"c{i}" for i in range(10))


def test_without_trials_nothing_is_known() -> None:
    assert Score(1, 0, 0, None).value is None


def test_top_1_and_top_5_with_chance() -> None:
    accuracy = Accuracy(CLASSES)
    accuracy.add("c0", ("c0", "c1", "c2", "c3", "c4"))
    accuracy.add("c4", ("c0", "c1", "c2", "c3", "c4"))
    accuracy.add("c9", ("c0", "c1", "c2", "c3", "c4"))
    first, five = accuracy.scores()
    assert (first.k, first.n_hits, first.n, first.chance) == (1, 1, 3, 0.1)
    assert (five.k, five.n_hits, five.n, five.chance) == (5, 2, 3, 0.5)


def test_events_of_other_labels_are_not_scored() -> None:
    accuracy = Accuracy(CLASSES)
    accuracy.add("boundary", ("c0", "c1", "c2", "c3", "c4"))
    accuracy.add("c1", ("c1", "c0", "c2", "c3", "c4"))
    assert accuracy.scores()[0].value == 1.0
    assert accuracy.n_unknown == 1


@pytest.mark.parametrize("n_classes", [2, 5])
def test_top_5_of_five_or_fewer_says_nothing(n_classes: int) -> None:
    accuracy = Accuracy(CLASSES[:n_classes])
    accuracy.add("c0", CLASSES[:n_classes])
    assert [score.k for score in accuracy.scores()] == [1]


def test_top_5_needs_five_answers() -> None:
    accuracy = Accuracy(CLASSES)
    accuracy.add("c0", ("c1", "c2", "c0"))
    assert [score.k for score in accuracy.scores()] == [1]


def test_classes_are_learned_without_flattering() -> None:
    accuracy = Accuracy()
    accuracy.n_classes = 2
    accuracy.add("rare", ("common",))
    accuracy.add("boundary", ("common",))
    accuracy.add("common", ("common",))
    assert accuracy.scores()[0].n == 3  # "rare" was never answered yet: it counts as missed
    accuracy.add("rare", ("rare",))
    score = accuracy.scores()[0]
    assert (score.n_hits, score.n) == (2, 3)  # now both classes are known: the boundary is out, the miss stays
    assert accuracy.n_unknown == 1


def test_chance_is_unknown_until_the_number_of_classes_is() -> None:
    accuracy = Accuracy()
    accuracy.add("a", ("a", "b", "c", "d", "e"))
    assert accuracy.scores()[0].chance is None
    accuracy.n_classes = 50
    assert [score.chance for score in accuracy.scores()] == [0.02, 0.1]


def test_answers_are_told_apart_by_their_presentations() -> None:
    accuracy = Accuracy(CLASSES)
    for n, first in ((1, "c0"), (1, "c1"), (3, "c1"), (2, "c1"), (3, "c1"), (3, "c0")):
        accuracy.add("c1", (first, "c1" if first == "c0" else "c2", "c3", "c4", "c5"), n_averaged=n)
    groups = accuracy.by_repetitions()
    assert [(group.first, group.last) for group in groups] == [(1, 1), (2, 2), (3, 3)]
    assert [(group.scores[0].n_hits, group.scores[0].n) for group in groups] == [(1, 2), (1, 1), (2, 3)]
    assert [group.scores[1].n_hits for group in groups] == [2, 1, 3]
    assert accuracy.scores()[0].n == 6


def test_many_different_numbers_of_presentations_fall_into_octaves() -> None:
    accuracy = Accuracy(CLASSES)
    for n in range(1, 21):
        accuracy.add("c1", ("c1", "c0", "c2", "c3", "c4"), n_averaged=n)
    spans = [(group.first, group.last, group.scores[0].n) for group in accuracy.by_repetitions()]
    assert spans == [(1, 1, 1), (2, 2, 1), (3, 4, 2), (5, 8, 4), (9, 16, 8), (17, 32, 4)]


def test_confidence_is_gathered_of_scored_answers_only() -> None:
    accuracy = Accuracy(CLASSES)
    accuracy.add("c0", ("c0", "c1", "c2", "c3", "c4"), 0.9)
    accuracy.add("c1", ("c0", "c1", "c2", "c3", "c4"), 0.7)
    accuracy.add("boundary", ("c0", "c1", "c2", "c3", "c4"), 0.4)
    assert accuracy.reliability.n == 2
    assert accuracy.reliability.pooled(15).error == pytest.approx((abs(1 - 0.9) + abs(0 - 0.7)) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_learned_classes_give_the_scores_of_given_ones_once_all_are_known(seed: int) -> None:
    rng = np.random.default_rng(seed)
    learned, given = Accuracy(), Accuracy(CLASSES)
    learned.n_classes = len(CLASSES)
    for _ in range(60):
        truth = str(rng.choice([*CLASSES, "boundary"]))
        labels = tuple(str(label) for label in rng.permutation(CLASSES)[:5])
        more = {"confidence": float(rng.random()), "n_averaged": int(rng.integers(1, 4))}
        learned.add(truth, labels, **more)
        given.add(truth, labels, **more)
    assert learned.scores() == given.scores()
    assert learned.by_repetitions() == given.by_repetitions()
    assert learned.n_unknown == given.n_unknown > 0
    assert learned.reliability.error == pytest.approx(given.reliability.error)
