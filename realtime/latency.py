"""Milliseconds per step: measurements -> p50, p95, p99."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

__all__ = ["LatencyMeter"]

PERCENTILES = (50, 95, 99)
HISTORY = 2048


class LatencyMeter:
    """Keep the last `HISTORY` decisions' milliseconds per step."""

    def __init__(self) -> None:
        self._steps: dict[str, deque[float]] = {}

    def add(self, latency_ms: Mapping[str, float]) -> None:
        """Take in one decision's milliseconds per step."""
        for step, value in latency_ms.items():
            self._steps.setdefault(step, deque(maxlen=HISTORY)).append(value)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Return {"step": {"p50": ms, "p95": ms, "p99": ms}}."""
        return {
            step: {
                f"p{q}": round(float(v), 3)
                for q, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
            }
            for step, values in self._steps.items()
        }
