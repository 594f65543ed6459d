"""A simulated person is the same one whatever was shown, and another one for another seed."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi import simulated_person
from necomimi.embedders import build_embedder
from necomimi.errors import CheckpointError
from necomimi.pictures import concepts, draw_picture
from necomimi.simulated_cortex import N_PICTORIAL, N_SEMANTIC
from necomimi.simulated_person import load_axes, person_seeds


def test_a_person_keeps_brain_head_and_first_sessions() -> None:
    def states(seed: int, number: int, n_sessions: int) -> list[tuple[int, ...]]:
        brain, head, sessions = person_seeds(seed, number, n_sessions)
        return [tuple(part.generate_state(4)) for part in (brain, head, *sessions)]

    assert states(5, 1, 3)[:3] == states(5, 1, 1)
    assert len({*states(5, 1, 3), *states(6, 1, 3), *states(5, 2, 3)}) == 15


def test_axes_tell_the_concepts_of_the_embedded_set_apart() -> None:
    things = concepts()[::35]
    embedder = build_embedder("embedded")
    embeddings = embedder.embed([draw_picture(thing, i, seed=7) for thing in things for i in range(2)])
    features = load_axes().describe(embeddings)
    assert features.shape == (2 * len(things), N_SEMANTIC + N_PICTORIAL)
    assert 0.7 < features.std(axis=0).mean() < 1.3  # new pictures are like those that the axes were fitted to
    first, second = features[::2, :N_SEMANTIC], features[1::2, :N_SEMANTIC]
    distance = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert (distance.argmin(axis=1) == np.arange(len(things))).mean() > 0.7
    np.testing.assert_allclose(load_axes().describe(embeddings[:3]), features[:3], atol=1e-5)  # whatever else is shown


def test_axes_that_are_not_there_are_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_person, "AXES_PATH", simulated_person.AXES_PATH.with_name("absent"))
    with pytest.raises(CheckpointError, match="install necomimi again"):
        load_axes.__wrapped__()
