"""No picture twice in a sequence, none after itself, each as often as the others, and the same order from a seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.errors import ConfigError
from necomimi.sequence import CATCH, Paradigm, choose_pictures, draw_sequences

PICTURES = st.integers(2, 40)


@given(
    n=PICTURES, length=st.integers(1, 50), repetitions=st.integers(1, 6), seed=st.integers(0, 99), catch=st.booleans()
)
def test_order(n: int, length: int, repetitions: int, seed: int, catch: bool) -> None:
    pictures = tuple(range(100, 100 + n))
    paradigm = Paradigm(sequence=length, repetitions=repetitions, seed=seed, catch=catch)
    sequences = draw_sequences(pictures, paradigm)
    shown = [[item for item in sequence if item != CATCH] for sequence in sequences]
    order = [item for sequence in shown for item in sequence]
    assert Counter(order) == dict.fromkeys(pictures, repetitions)
    assert all(len(set(sequence)) == len(sequence) for sequence in shown)
    assert all(before != after for before, after in pairwise(order))
    assert all(len(sequence) == min(length, n) for sequence in shown[:-1])
    for k in range(repetitions):  # a repetition is complete before the next one begins
        assert set(order[k * n : (k + 1) * n]) == set(pictures)
    assert all(sequence.count(CATCH) == int(catch) and sequence[0] != CATCH for sequence in sequences)
    assert draw_sequences(pictures, paradigm) == sequences


def test_another_seed_gives_another_order() -> None:
    pictures = tuple(range(200))
    one, other = (draw_sequences(pictures, Paradigm(seed=seed)) for seed in (0, 1))
    assert one != other
    assert {sequence.index(CATCH) for sequence in one} != {1}  # the target's place varies


def test_a_single_picture_cannot_be_repeated() -> None:
    assert draw_sequences((7,), Paradigm(catch=False)) == ((7,),)
    with pytest.raises(ConfigError, match="3 repetitions of a single picture"):
        draw_sequences((7,), Paradigm(repetitions=3))


def test_a_limit_draws_some_of_the_pictures() -> None:
    chosen = choose_pictures(1000, 20, seed=3)
    assert len(set(chosen)) == 20
    assert chosen == tuple(sorted(chosen)) == choose_pictures(1000, 20, seed=3)
    assert chosen != choose_pictures(1000, 20, seed=4)
    assert choose_pictures(5, 20, 0) == choose_pictures(5, None, 0) == (0, 1, 2, 3, 4)
