"""Score decisions as they come: Retrieval, truth -> top-1 and top-5 against chance."""

from __future__ import annotations

from dataclasses import dataclass

from necomimi.intervals import wilson

__all__ = ["Accuracy", "Score"]

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Score:
    """One proportion and what guessing would give.

    Parameters
    ----------
    k : int
        The truth counts as found among this many labels.
    n_hits, n : int
        Decisions that found it, and decisions scored.
    chance : float or None
        ``k / n_classes``; None while the number of classes is unknown.
    """

    k: int
    n_hits: int
    n: int
    chance: float | None

    @property
    def value(self) -> float | None:
        """The proportion; None before the first decision."""
        return self.n_hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval."""
        return wilson(self.n_hits, self.n)


@dataclass(slots=True)
class _Tally:
    n: int = 0
    n_first: int = 0
    n_five: int = 0


class Accuracy:
    """Running accuracy of one run of a decoder.

    Only events whose label is a class of the decoder are scored. Where the classes are not given, they are learned
    from the answers: until all of them have been seen, every event is scored, so that a class the decoder never
    answers counts as missed; then events of other labels are taken out again.

    Parameters
    ----------
    classes : sequence of str
        The decoder's classes, if they are known beforehand.
    """

    def __init__(self, classes: tuple[str, ...] = ()) -> None:
        self._given = frozenset(classes)
        self._answered: set[str] = set()
        self._tallies: dict[str, _Tally] = {}
        self._k_given = TOP_K
        self.n_classes = len(classes)

    def add(self, truth: str, labels: tuple[str, ...]) -> None:
        """Enter a decision.

        Parameters
        ----------
        truth : str
            The class that was shown.
        labels : tuple of str
            The answer, best first.
        """
        tally = self._tallies.setdefault(truth, _Tally())
        tally.n += 1
        tally.n_first += truth == labels[0] if labels else False
        tally.n_five += truth in labels[:TOP_K]
        self._k_given = min(self._k_given, len(labels))
        if not self._given:
            self._answered.update(labels)

    def knows(self, truth: str) -> bool:
        """Return whether events of this class are scored."""
        if self._given:
            return truth in self._given
        complete = 0 < self.n_classes <= len(self._answered)
        return truth in self._answered or not complete

    def scores(self) -> tuple[Score, ...]:
        """Return top-1 and, where five labels are fewer than all and as many as were answered, top-5."""
        known = [tally for truth, tally in self._tallies.items() if self.knows(truth)]
        n = sum(tally.n for tally in known)
        chance = 1 / self.n_classes if self.n_classes else None
        scores = [Score(1, sum(tally.n_first for tally in known), n, chance)]
        if self.n_classes > TOP_K and self._k_given >= TOP_K:
            chance = TOP_K / self.n_classes
            scores.append(Score(TOP_K, sum(tally.n_five for tally in known), n, chance))
        return tuple(scores)

    @property
    def n_unknown(self) -> int:
        """Decisions on events whose label is no class of the decoder."""
        return sum(tally.n for truth, tally in self._tallies.items() if not self.knows(truth))
