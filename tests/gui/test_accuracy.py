from __future__ import annotations

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
