"""Score decisions as they come: Retrieval, truth -> top-1 and top-5 against chance, by repetitions, calibration."""

from __future__ import annotations

from dataclasses import dataclass, field

from necomimi.intervals import wilson
from necomimi.reliability import N_BINS, Reliability

__all__ = ["TOP_K", "Accuracy", "Repetitions", "Score"]

TOP_K = 5
MAX_GROUPS = 8  # numbers of presentations that are told apart; more of them fall into octaves


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


@dataclass(frozen=True, slots=True)
class Repetitions:
    """Scores of the answers that rest on so many presentations.

    Parameters
    ----------
    first, last : int
        Presentations: from, to.
    scores : tuple of Score
    """

    first: int
    last: int
    scores: tuple[Score, ...]


@dataclass(slots=True)
class _Tally:
    """Counts of decisions: by presentations behind the answer [all, right, right among five]; by confidence."""

    counts: dict[int, list[int]] = field(default_factory=dict)
    reliability: Reliability = field(default_factory=lambda: Reliability(2 * N_BINS))

    def add(self, n_averaged: int, is_first: bool, is_among_five: bool, confidence: float) -> None:
        counts = self.counts.setdefault(n_averaged, [0, 0, 0])
        for i, found in enumerate((True, is_first, is_among_five)):
            counts[i] += found
        self.reliability.add(confidence, float(is_first))

    def merge(self, other: _Tally) -> None:
        for n_averaged, counts in other.counts.items():
            known = self.counts.get(n_averaged, [0, 0, 0])
            self.counts[n_averaged] = [a + b for a, b in zip(known, counts, strict=True)]
        self.reliability.merge(other.reliability)

    def total(self) -> list[int]:
        return [sum(column) for column in zip(*self.counts.values(), strict=True)] or [0, 0, 0]


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
        self._classes = set(classes)
        self._are_given = bool(classes)
        self._all = _Tally()
        self._sure = _Tally()  # events of known classes
        self._doubtful: dict[str, _Tally] = {}  # by label: perhaps no class of the decoder
        self._k_given = TOP_K
        self.n_classes = len(classes)

    def add(self, truth: str, labels: tuple[str, ...], confidence: float = 0.0, n_averaged: int = 1) -> None:
        """Enter a decision.

        Parameters
        ----------
        truth : str
            The class that was shown.
        labels : tuple of str
            The answer, best first.
        confidence : float
            Probability of the best label.
        n_averaged : int
            Presentations behind the answer.
        """
        if not self._are_given:
            for label in labels:
                if label in self._doubtful:
                    self._sure.merge(self._doubtful.pop(label))
            self._classes.update(labels)
        known = self._sure if truth in self._classes else self._doubtful.setdefault(truth, _Tally())
        for tally in (self._all, known):
            tally.add(n_averaged, truth in labels[:1], truth in labels[:TOP_K], confidence)
        self._k_given = min(self._k_given, len(labels))

    @property
    def _knows_all(self) -> bool:
        """Whether a label that is no known class is none at all."""
        return self._are_given or 0 < self.n_classes <= len(self._classes)

    def knows(self, truth: str) -> bool:
        """Return whether events of this class are scored."""
        return truth in self._classes or not self._knows_all

    def _scored(self) -> _Tally:
        """Return the counts of all events that are scored."""
        return self._sure if self._knows_all else self._all

    @property
    def has_five(self) -> bool:
        """Whether being among the five best says anything: there are more classes, and as many labels in an answer."""
        return self.n_classes > TOP_K and self._k_given >= TOP_K

    def _scores_of(self, n: int, n_first: int, n_five: int) -> tuple[Score, ...]:
        """Return top-1 and, where it says anything, top-5."""
        first = Score(1, n_first, n, 1 / self.n_classes if self.n_classes else None)
        return (first, Score(TOP_K, n_five, n, TOP_K / self.n_classes)) if self.has_five else (first,)

    def scores(self) -> tuple[Score, ...]:
        """Return top-1 and, where five labels are fewer than all and as many as were answered, top-5."""
        return self._scores_of(*self._scored().total())

    def by_repetitions(self) -> tuple[Repetitions, ...]:
        """Return the scores by the number of presentations behind an answer, few first.

        Many different numbers fall into octaves: 1, 2, 3 to 4, 5 to 8, 9 to 16 and so on.
        """
        counts = self._scored().counts
        groups: dict[tuple[int, int], _Tally] = {}
        for n, row in counts.items():
            octave = 1 << (n - 1).bit_length()  # the next power of two
            span = (n, n) if len(counts) <= MAX_GROUPS else (octave // 2 + 1, octave)
            groups.setdefault(span, _Tally()).counts[n] = row
        return tuple(
            Repetitions(first, last, self._scores_of(*groups[first, last].total())) for first, last in sorted(groups)
        )

    @property
    def reliability(self) -> Reliability:
        """Confidence of the best labels against how often they were right, in 30 bins."""
        return self._scored().reliability

    @property
    def n_unknown(self) -> int:
        """Decisions on events whose label is no class of the decoder."""
        return self._all.total()[0] - self._scored().total()[0]
