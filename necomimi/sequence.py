"""Decide in which order pictures are shown: settings, seed -> sequences of pictures and catch trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from necomimi.errors import ConfigError

__all__ = ["CATCH", "Paradigm", "choose_pictures", "draw_sequences"]

CATCH = -1  # in a sequence, the place of the target


@dataclass(frozen=True, slots=True, kw_only=True)
class Paradigm:
    """How pictures are shown; by default as for THINGS-EEG2 (Gifford et al. 2022).

    Parameters
    ----------
    on_s, off_s : float
        Seconds of picture, then of blank.
    sequence : int
        Pictures in a row between two breaks.
    catch : bool
        Put a target, which the person answers by a key, at a random place of each sequence.
    repetitions : int
        How often each picture is shown.
    break_s : float
        Least seconds between two sequences.
    long_break_every : int
        Sequences between two long breaks; 0 for none.
    seed : int
        Of the order.
    """

    on_s: float = 0.1
    off_s: float = 0.1
    sequence: int = 20
    catch: bool = True
    repetitions: int = 1
    break_s: float = 1.5
    long_break_every: int = 20
    seed: int = 0


def choose_pictures(n_pictures: int, limit: int | None, seed: int) -> tuple[int, ...]:
    """Return `limit` of the pictures, drawn with a seed, in ascending order; all where there is no limit."""
    if limit is None or limit >= n_pictures:
        return tuple(range(n_pictures))
    return tuple(sorted(np.random.default_rng(seed).choice(n_pictures, limit, replace=False).tolist()))


def draw_sequences(pictures: tuple[int, ...], paradigm: Paradigm) -> tuple[tuple[int, ...], ...]:
    """Return the sequences of a run: numbers of pictures, and `CATCH` once in each if wanted.

    All pictures have been shown k times before one is shown the time after. No picture is twice within a sequence, and
    none follows itself. Where there are fewer pictures than a sequence should have, sequences are so much shorter.

    Parameters
    ----------
    pictures : tuple of int
        Numbers of 0 or above, all different.
    paradigm : Paradigm

    Raises
    ------
    ConfigError
        A single picture would have to follow itself.
    """
    if len(pictures) == 1 and paradigm.repetitions > 1:
        raise ConfigError(
            f"{paradigm.repetitions} repetitions of a single picture", "2 pictures or more: none may follow itself"
        )
    rng = np.random.default_rng((paradigm.seed, len(pictures)))
    length = min(paradigm.sequence, len(pictures))
    order: list[int] = []
    for _ in range(paradigm.repetitions):
        n_begun = len(order) % length  # pictures of this sequence that the repetition before has given
        order.extend(_shuffle(pictures, order[-max(n_begun, 1) :], length - n_begun if n_begun else 1, rng))
    sequences = [order[first : first + length] for first in range(0, len(order), length)]
    if paradigm.catch:
        for sequence in sequences:
            sequence.insert(int(rng.integers(1, len(sequence) + 1)), CATCH)
    return tuple(map(tuple, sequences))


def _shuffle(pictures: tuple[int, ...], recent: list[int], n_free: int, rng: np.random.Generator) -> list[int]:
    """Return the pictures in a random order whose first `n_free` are not among `recent`."""
    shuffled = rng.permutation(pictures).tolist()
    seen = set(recent)
    first = [picture for picture in shuffled if picture not in seen][:n_free]
    rest = set(shuffled).difference(first)
    return first + [picture for picture in shuffled if picture in rest]
