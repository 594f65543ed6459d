"""Pool the training epochs of several people: epochs directories -> one set of rows, with one preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from necomimi.epochs import Epochs, EpochSet
from necomimi.errors import ConfigError
from necomimi.preprocessing import Preprocessor, whitening_matrix

__all__ = ["ALIKE", "People", "pool"]

# What the preprocessors of people have in common, in words; each has a whitening of their own.
ALIKE = {
    "ch_names": "channels",
    "sfreq": "a rate in Hz",
    "tmin": "an epoch that begins (s)",
    "tmax": "an epoch that ends (s)",
    "baseline": "a baseline",
    "start": "a first sample (s)",
    "n_times": "a number of samples",
    "applied": "steps applied before",
}


@dataclass(frozen=True, kw_only=True)
class People:
    """Training epochs of one or more people; rows are numbered one person after the other.

    Parameters
    ----------
    parts : tuple of EpochSet
        What each person's encoder learns from: single presentations, or their means.
    singles : tuple of EpochSet
        The single presentations of each person.
    preprocessor : Preprocessor
        One that suits all of them.
    spatial : dict of str to ndarray of float32, shape (n_channels, n_channels)
        The matrix (1/V) behind each person's epochs, by name; empty for one person.
    """

    parts: tuple[EpochSet, ...]
    singles: tuple[EpochSet, ...]
    preprocessor: Preprocessor
    spatial: dict[str, NDArray[np.float32]]

    @property
    def sessions(self) -> NDArray[np.int64]:
        """The session of each row of `parts`, numbered on from person to person."""
        sessions, last = [], 0
        for part in self.parts:
            sessions.append(part.sessions + last)
            last = int(sessions[-1].max(initial=last))
        return np.concatenate(sessions)

    @property
    def onsets(self) -> NDArray[np.float64]:
        """Seconds in the session of each row of `parts`."""
        return np.concatenate([part.onsets for part in self.parts])

    def presentations(
        self, held: NDArray[np.int64], targets: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Return the rows of `singles` behind held-out rows of `parts`, and their targets.

        Parameters
        ----------
        held : ndarray of int
            Rows of `parts`.
        targets : ndarray of int
            What each row of `parts` is an answer to.
        """
        rows, shown, begin, start = [], [], 0, 0
        for part, single in zip(self.parts, self.singles, strict=True):
            own = held[(held >= begin) & (held < begin + len(part))]
            if part is single:
                found, answers = own - begin, targets[own]
            else:
                names, shown_names = part.names, single.names
                target_of = {names[row - begin]: targets[row] for row in own}
                found = np.array([i for i, name in enumerate(shown_names) if name in target_of], dtype=np.int64)
                answers = np.array([target_of[shown_names[i]] for i in found], dtype=np.intp)
            rows.append(found + start)
            shown.append(answers)
            begin, start = begin + len(part), start + len(single)
        return np.concatenate(rows), np.concatenate(shown)


def pool(people: Sequence[Epochs], *, average: bool) -> People:
    """Put the training epochs of some people side by side.

    The preprocessing of somebody who is none of them whitens with the mean of their covariances: C ** (-1/2), where C
    is the mean of S ** -2 over their whitening matrices S.

    Parameters
    ----------
    people : sequence of Epochs
        One epochs directory each.
    average : bool
        Take the mean over the repetitions of each picture.

    Raises
    ------
    ConfigError
        Two have the same name or none, or were preprocessed for different models.
    """
    first = people[0].preprocessor
    singles = tuple(epochs.train for epochs in people)
    parts = tuple(part.averaged() for part in singles) if average else singles
    if len(people) == 1:
        return People(parts=parts, singles=singles, preprocessor=first, spatial={})
    for epochs in people[1:]:
        for name in ALIKE:
            found, expected = getattr(epochs.preprocessor, name), getattr(first, name)
            if found != expected:
                raise ConfigError(
                    f"{epochs.path} was preprocessed with {name} = {found}",
                    f"{expected}, as {people[0].path}",
                    "preprocess all people in the same way: necomimi preprocess RAW OUT --subject all",
                )
    spatial = {epochs.subject: epochs.preprocessor.spatial for epochs in people}
    if len(spatial) != len(people) or "" in spatial:
        names = ", ".join(f"{epochs.path} is of {epochs.subject or 'an unnamed person'}" for epochs in people)
        raise ConfigError(names, "another person in each", "name them: necomimi preprocess RAW OUT --subject ...")
    covariances = [np.linalg.inv(matrix.T @ matrix) for matrix in (s.astype(np.float64) for s in spatial.values())]
    whitening = whitening_matrix(np.mean(covariances, axis=0)).astype(np.float32)
    return People(parts=parts, singles=singles, preprocessor=replace(first, spatial=whitening), spatial=spatial)
