"""Milliseconds per step: measurements -> p50, p95, p99, max."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["QUANTILES", "LatencyMeter", "quantiles"]

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
HISTORY = 2048


class LatencyMeter:
    """Keep the last `HISTORY` measurements of each step; may be used from any thread."""

    def __init__(self) -> None:
        self._steps: dict[str, _Latest] = {}
        self._lock = threading.Lock()

    def add(self, latency_ms: Mapping[str, float]) -> None:
        """Take in one measurement of each of some steps, in milliseconds."""
        with self._lock:
            for step, value in latency_ms.items():
                if step not in self._steps:
                    self._steps[step] = _Latest()
                self._steps[step].add(value)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Return {"step": {"p50": ms, "p95": ms, "p99": ms, "max": ms}}, interpolated as `numpy.percentile` does."""
        with self._lock:
            kept = {step: latest.values() for step, latest in self._steps.items()}
        return {step: quantiles(values) for step, values in kept.items()}


class _Latest:
    """The last `HISTORY` of some figures."""

    def __init__(self) -> None:
        self._values = np.empty(HISTORY)
        self._n = 0

    def add(self, value: float) -> None:
        self._values[self._n % HISTORY] = value
        self._n += 1

    def values(self) -> NDArray[np.float64]:
        """Return them, in no particular order."""
        return self._values[: min(self._n, HISTORY)].copy()


def quantiles(values: ArrayLike) -> dict[str, float]:
    """Return the `QUANTILES` of some figures, NaN where there are none; many times cheaper than `numpy.percentile`."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        return dict.fromkeys(QUANTILES, math.nan)
    figures = {}
    for name, q in QUANTILES.items():
        below, rest = divmod(q * (len(ordered) - 1), 1.0)
        low, high = float(ordered[int(below)]), float(ordered[min(int(below) + 1, len(ordered) - 1)])
        figures[name] = round(low + rest * (high - low), 3)
    return figures
