"""Several people's epochs become one set, and the pooled whitening is that of their mean covariance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from necomimi.epochs import Epochs, EpochSet
from necomimi.errors import ConfigError
from necomimi.offline.people import pool
from necomimi.preprocessing import Preprocessor, whitening_matrix

RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(3, 4, 4))
COVARIANCES = MIXING @ MIXING.transpose(0, 2, 1) + np.eye(4)


def make(person: int, n_pictures: int = 3, repetitions: int = 2) -> Epochs:
    names = [f"{i:02d}_c{i}/p.jpg" for i in range(n_pictures)] * repetitions
    n = len(names)
    part = EpochSet(
        data=RNG.normal(size=(n, 4, 6)).astype(np.float32), labels=tuple(name[3:5] for name in names),
        pictures=tuple(names), sessions=np.arange(n) // 3 + 1, repetitions=np.arange(n) // n_pictures + 1,
        onsets=np.arange(n, dtype=float),
    )  # fmt: skip
    preprocessor = Preprocessor(
        ch_names=tuple("ABCD"), sfreq=100.0, tmin=0.0, tmax=0.05, baseline=None, start=0.0, n_times=6,
        spatial=whitening_matrix(COVARIANCES[person]).astype(np.float32),
    )  # fmt: skip
    return Epochs(
        train=part, test=None, preprocessor=preprocessor, source="", path=Path(f"p{person}"), subject=f"sub-{person}"
    )


def test_one_person_is_taken_as_is() -> None:
    epochs = make(0)
    people = pool([epochs], average=False)
    assert people.parts == people.singles == (epochs.train,)
    assert people.preprocessor is epochs.preprocessor
    assert people.spatial == {}


def test_the_pooled_whitening_is_of_the_mean_covariance() -> None:
    people = pool([make(0), make(1), make(2)], average=True)
    spatial = people.preprocessor.spatial.astype(float)
    np.testing.assert_allclose(spatial @ COVARIANCES.mean(axis=0) @ spatial.T, np.eye(4), atol=1e-4)
    assert list(people.spatial) == ["sub-0", "sub-1", "sub-2"]
    np.testing.assert_array_equal(people.spatial["sub-1"], make(1).preprocessor.spatial)


def test_epochs_that_were_whitened_before_stay_so() -> None:
    identity = replace(make(0).preprocessor, spatial=np.eye(4, dtype=np.float32), applied=("whiten",))
    people = pool([replace(make(i), preprocessor=identity) for i in range(2)], average=True)
    np.testing.assert_allclose(people.preprocessor.spatial, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("average", [True, False])
def test_presentations_are_those_behind_the_held_out_rows(average: bool) -> None:
    both = [make(0), make(1)]
    people = pool(both, average=average)
    names = [name for part in people.parts for name in part.names]
    targets = np.array([int(name[:2]) for name in names])
    held = np.flatnonzero(targets != 1)
    rows, shown = people.presentations(held, targets)
    singles = [name for epochs in both for name in epochs.train.names]
    assert rows.tolist() == [i for i, name in enumerate(singles) if not name.startswith("01")]
    assert shown.tolist() == [int(singles[row][:2]) for row in rows]


def test_sessions_of_different_people_differ() -> None:
    people = pool([make(0), make(1)], average=False)
    assert people.sessions.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert people.onsets.tolist() == [*range(6), *range(6)]


def test_people_who_do_not_fit_together_are_refused_in_words() -> None:
    first, second = make(0), make(1)
    with pytest.raises(ConfigError, match=r"another person in each"):
        pool([first, first], average=True)
    with pytest.raises(ConfigError, match=r"p1 is of an unnamed person"):
        pool([first, replace(second, subject="")], average=True)
    other = replace(second.preprocessor, ch_names=tuple("ABDC"))
    with pytest.raises(ConfigError, match=r"p1 was preprocessed with ch_names = .*[\s\S]*as p0"):
        pool([first, replace(second, preprocessor=other)], average=True)
