"""Remember the milliseconds that the newest decisions took: Retrieval -> LatencyHistory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .language import tr

__all__ = ["LatencyHistory", "step_words"]

TOTAL = "total"
MAX_STEPS = 12


def step_words(step: str) -> str:
    """Return the name of a step in the language that is spoken; one that is not known stays as it is."""
    words = {
        "epoch": tr("epoch"),
        "wait": tr("wait"),
        "embed": tr("embed"),
        "retrieve": tr("retrieve"),
        TOTAL: tr("total"),
    }
    return words.get(step, step)


class LatencyHistory:
    """Milliseconds per step of the newest decisions.

    Parameters
    ----------
    capacity : int
        Decisions kept.

    Attributes
    ----------
    steps : list of str
        Steps in the order in which they were first reported, without "total".
    """

    def __init__(self, capacity: int = 500) -> None:
        self.steps: list[str] = []
        self.n_seen = 0
        self._times = np.zeros(capacity)
        self._values = np.full((capacity, MAX_STEPS), np.nan)
        self._totals = np.full(capacity, np.nan)

    def __len__(self) -> int:
        return min(self.n_seen, len(self._times))

    def add(self, time: float, latency_ms: Mapping[str, float]) -> None:
        """Enter a decision that arrived at `time` (s); without a "total" the steps are summed."""
        steps = {name: value for name, value in latency_ms.items() if name != TOTAL}
        if not latency_ms:
            return
        row = self.n_seen % len(self._times)
        self._times[row] = time
        self._values[row] = np.nan
        for name, value in steps.items():
            if name not in self.steps and len(self.steps) < MAX_STEPS:
                self.steps.append(name)
            if name in self.steps:
                self._values[row, self.steps.index(name)] = value
        self._totals[row] = latency_ms.get(TOTAL, sum(steps.values()))
        self.n_seen += 1

    def _rows(self) -> NDArray[np.intp]:
        return np.arange(self.n_seen - len(self), self.n_seen) % len(self._times)

    def since(self, start: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the decisions that arrived after `start` (s), oldest first.

        Returns
        -------
        times : ndarray of float64, shape (n,)
            Arrival in seconds.
        steps : ndarray of float64, shape (n, n_steps)
            Milliseconds; NaN where a decision did not report a step.
        totals : ndarray of float64, shape (n,)
            Milliseconds.
        """
        rows = self._rows()
        rows = rows[self._times[rows] > start]
        return self._times[rows], self._values[rows, : len(self.steps)], self._totals[rows]

    def percentiles(self) -> dict[str, tuple[float, float, float]]:
        """Return p50, p95 and p99 in milliseconds of "total" and of each step, over all decisions kept."""
        rows = self._rows()
        if not len(rows):
            return {}
        columns = {TOTAL: self._totals[rows]}
        columns |= {name: self._values[rows, i] for i, name in enumerate(self.steps)}
        table = {}
        for name, values in columns.items():
            values = values[~np.isnan(values)]
            if len(values):
                p50, p95, p99 = np.percentile(values, [50, 95, 99])
                table[name] = (float(p50), float(p95), float(p99))
        return table
