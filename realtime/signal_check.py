"""Judge the signal of an epoch: volts -> nothing to object, or the reason of a refusal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from necomimi.records import Reason

__all__ = ["Limits", "check_signal"]

COMMON_SHARE = 0.95  # of the variance that all channels share; .25 to .7 in clean EEG, 1 where all show the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a whole epoch is refused for its signal.

    Parameters
    ----------
    amplitude : float
        Largest peak-to-peak in volts of any channel; infinite by default.
    flat : float
        A channel whose peak-to-peak in volts is at most this is flat.
    max_flat : float
        Largest share of flat channels.
    common : float
        Where every channel swings by more than this, peak to peak in volts, and all show the same, the reference
        electrode has come off.
    """

    amplitude: float = float("inf")
    flat: float = 0.0
    max_flat: float = 0.25
    common: float = 300e-6


def check_signal(data: NDArray[np.float32], limits: Limits) -> tuple[Reason, str] | None:
    """Return why an epoch's signal cannot be decoded, or None.

    Parameters
    ----------
    data : ndarray of float32, shape (n_channels, n_times)
        Volts.
    limits : Limits
    """
    low, high = data.min(axis=1), data.max(axis=1)
    span = high - low
    bad = ~np.isfinite(span)  # an infinity or NaN anywhere in the channel shows in its extremes
    if bad.any():
        return "non-finite", f"{bad.sum()} of {len(span)} channels hold samples that are not finite"
    n_flat = int((span <= limits.flat).sum())
    if n_flat > limits.max_flat * len(span):
        return "flat", f"{n_flat} of {len(span)} channels are flat"
    if len(span) > 1 and span.min() > limits.common and (share := _common_share(data)) > COMMON_SHARE:
        return "reference lost", (
            f"all {len(span)} channels show the same {span.min() * 1e6:.0f} µV or more ({share:.0%} of the variance)"
        )
    if span.max() > limits.amplitude:
        return "amplitude", f"{span.max() * 1e6:.0f} µV peak to peak, limit {limits.amplitude * 1e6:.0f} µV"
    return None


def _common_share(data: NDArray[np.float32]) -> float:
    """Return the share of the variance over time that the mean over channels explains."""
    return float(data.mean(axis=0).var(dtype=np.float64) / data.var(axis=1, dtype=np.float64).mean())
