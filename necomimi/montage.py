"""Channel names and units: a stream's channels -> a model's channels, in order and in volts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ChannelMismatchError
from necomimi.records import StreamInfo

__all__ = ["ChannelMap", "canonical_name", "match_channels", "volts_per_unit"]

# Old 10-20 names and the ones that replaced them.
ALIASES = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
VOLTS = {
    **dict.fromkeys(("v", "volt", "volts"), 1.0),
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1e-3),
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts"), 1e-6),  # micro sign and Greek mu
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-9),
}
SIGNAL_TYPES = ("eeg", "")


def canonical_name(label: str) -> str:
    """Return the form in which channel labels are compared: "EEG Fp1-REF" and "fp1" are one channel, T3 is T7."""
    name = re.sub(r"^eeg[\s_-]+", "", label.strip().lower())
    name = re.sub(r"[\s_-]+(ref|le|a1|a2|m1|m2|avg)$", "", name)
    name = re.sub(r"\s+", "", name)
    return ALIASES.get(name, name)


def volts_per_unit(unit: str) -> float:
    """Return how many volts one `unit` is.

    Raises
    ------
    ChannelMismatchError
        The unit is silent or unknown.
    """
    factor = VOLTS.get(unit.strip().lower())
    if factor is None:
        raise ChannelMismatchError(
            f"unit {unit!r} in the stream's header" if unit else "the stream's header is silent about its units",
            "V, mV, µV (uV, microvolts) or nV",
            "correct the sender's channel metadata, or say it with --unit microvolts",
        )
    return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMap:
    """How a stream's samples become the model's.

    Parameters
    ----------
    picks : ndarray of int, shape (n_channels,)
        Index in the stream of each channel of the model.
    factors : ndarray of float32, shape (n_channels,)
        Volts per unit of each.
    info : StreamInfo
        The stream, described as the model sees it: its channels in model order, in volts.
    """

    picks: NDArray[np.int64]
    factors: NDArray[np.float32]
    info: StreamInfo

    def __call__(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Return volts, shape (n_channels, n_times), from wire samples of shape (n_times, n_stream_channels)."""
        return samples[:, self.picks].T * self.factors[:, None]


def match_channels(info: StreamInfo, ch_names: Sequence[str], unit: str | None = None) -> ChannelMap:
    """Find a model's channels in a stream by name, whatever their order there.

    Parameters
    ----------
    info : StreamInfo
        The stream.
    ch_names : sequence of str
        The model's channels.
    unit : str, optional
        Overrides what the header says of units.

    Raises
    ------
    ChannelMismatchError
        Channels are missing or stand twice in the stream, or a unit is unknown.
    """
    types = info.ch_types or ("",) * len(info.ch_names)
    places: dict[str, list[int]] = {}
    for i, (label, kind) in enumerate(zip(info.ch_names, types, strict=True)):
        if kind.lower() in SIGNAL_TYPES:
            places.setdefault(canonical_name(label), []).append(i)
    found = [places.get(canonical_name(name), []) for name in ch_names]
    missing = [name for name, where in zip(ch_names, found, strict=True) if not where]
    if missing:
        raise ChannelMismatchError(
            f"stream {info.name!r} lacks {len(missing)} of {len(ch_names)} channels: {', '.join(missing)}",
            f"the decoder's channels; the stream has {', '.join(info.ch_names[:80])}",
            "choose another stream, rename its channels in the amplifier's software, or train on this montage",
        )
    twice = [name for name, where in zip(ch_names, found, strict=True) if len(where) > 1]
    if twice:
        raise ChannelMismatchError(
            f"stream {info.name!r} has several channels named {', '.join(twice)}", "one of each", "rename them"
        )
    picks = np.array([where[0] for where in found])
    units = info.units or ("",) * len(info.ch_names)
    factors = np.array([volts_per_unit(unit or units[i]) for i in picks], dtype=np.float32)
    return ChannelMap(
        picks=picks,
        factors=factors,
        info=StreamInfo(
            name=info.name,
            type=info.type,
            source_id=info.source_id,
            uid=info.uid,
            ch_names=tuple(ch_names),
            sfreq=info.sfreq,
            units=("V",) * len(picks),
            ch_types=("EEG",) * len(picks),
            applied=info.applied,
            speed=info.speed,
        ),
    )
