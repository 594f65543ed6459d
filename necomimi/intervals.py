"""How sure a proportion is: hits, trials -> 95 % interval."""

from __future__ import annotations

import math

__all__ = ["wilson"]

Z_95 = 1.959964


def wilson(n_hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a proportion (Wilson 1927, without continuity correction).

    Parameters
    ----------
    n_hits, n : int
        Successes, and trials; without trials the interval is (0, 1).
    """
    if n == 0:
        return 0.0, 1.0
    p, z2 = n_hits / n, Z_95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
