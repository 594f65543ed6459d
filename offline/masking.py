"""Choose parts of an epoch: preprocessing, step -> windows and regions; epochs, part -> only it, or without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError
from necomimi.preprocessing import Preprocessor
from necomimi.regions import channels_by_region

__all__ = ["WIDTH_S", "Part", "growing_windows", "keep", "regions", "replaced", "sliding_windows", "whole"]

WIDTH_S = 0.1  # of a sliding window


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some samples of some channels of an epoch.

    Parameters
    ----------
    windows : {"whole", "growing", "sliding"}
    since, until : float
        Seconds from the onset.
    first, last : int
        The model's samples from `first` on, to before `last`.
    channels : {"all", "only", "without"}
        All, those of `region`, or all but those.
    region : str
        "" where all channels are kept.
    indices : tuple of int
        The channels kept.
    """

    windows: str
    since: float
    until: float
    first: int
    last: int
    channels: str
    region: str
    indices: tuple[int, ...]

    @property
    def mask(self) -> tuple[int, int, tuple[int, ...]]:
        """What is kept: parts of different names may be the same."""
        return self.first, self.last, self.indices

    @property
    def name(self) -> str:
        """The part in words, "0-150 ms" or "only occipital"."""
        if self.channels != "all":
            return f"{self.channels} {self.region}"
        return "whole epoch" if self.windows == "whole" else f"{1e3 * self.since:g}-{1e3 * self.until:g} ms"

    def facts(self) -> dict[str, Any]:
        """Return what a row of a table says of this part."""
        names = ("name", "windows", "since", "until", "channels", "region")
        return {**{name: getattr(self, name) for name in names}, "n_channels": len(self.indices)}


def whole(preprocessor: Preprocessor) -> Part:
    """Return the part that is everything."""
    return Part(
        windows="whole", since=preprocessor.start, until=_end(preprocessor), first=0, last=preprocessor.n_times,
        channels="all", region="", indices=tuple(range(len(preprocessor.ch_names))),
    )  # fmt: skip


def growing_windows(preprocessor: Preprocessor, step: float) -> list[Part]:
    """Return windows that all begin at the onset, each longer by `step` seconds, as far as the epoch goes.

    Raises
    ------
    ConfigError
        A step is shorter than a sample, or longer than the epoch.
    """
    begin = _begin(preprocessor)
    return _windows(preprocessor, "growing", [(begin, end) for end in _ends(preprocessor, step, step)])


def sliding_windows(preprocessor: Preprocessor, step: float, width: float = WIDTH_S) -> list[Part]:
    """Return windows of `width` seconds from the onset on, each later by `step` seconds, as far as the epoch goes.

    Raises
    ------
    ConfigError
        A step is shorter than a sample, or the width longer than the epoch.
    """
    ends = _ends(preprocessor, width, step)
    return _windows(preprocessor, "sliding", [(round(end - width, 6), end) for end in ends])


def regions(preprocessor: Preprocessor) -> list[Part]:
    """Return each region alone, and all channels but those of each region.

    A channel of no region is left out of the one and kept in the other.

    Raises
    ------
    ConfigError
        The names of the channels tell fewer than two regions apart.
    """
    found = channels_by_region(preprocessor.ch_names)
    if len(found) < 2:
        raise ConfigError(
            f"the {len(preprocessor.ch_names)} channels lie in {', '.join(found) or 'no known region'}",
            "channels of two or more regions, by names of the 10-20 system",
            "leave --regions out",
        )
    everything = whole(preprocessor)
    parts = []
    for region, inside in found.items():
        rest = tuple(i for i in everything.indices if i not in inside)
        parts.append(replace(everything, channels="only", region=region, indices=tuple(inside)))
        parts.append(replace(everything, channels="without", region=region, indices=rest))
    return parts


def keep(data: NDArray[np.float32], part: Part) -> NDArray[np.float32]:
    """Return a copy of epochs that is zero outside `part`.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times)
    part : Part
    """
    kept = np.zeros(data.shape, dtype=np.float32)
    for channel in part.indices:  # all at once would make another copy
        kept[:, channel, part.first : part.last] = data[:, channel, part.first : part.last]
    return kept


@contextmanager
def replaced(data: NDArray[np.float32], channels: Sequence[int], values: NDArray[Any]) -> Iterator[None]:
    """Put `values` in place of channels of epochs for as long as a with block lasts.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times)
        Changed in place, and changed back.
    channels : sequence of int
    values : ndarray, shape (n_epochs, len(channels), n_times) or one that broadcasts to it
    """
    chosen = list(channels)
    own = data[:, chosen]  # a copy
    data[:, chosen] = values
    try:
        yield
    finally:
        data[:, chosen] = own


def _begin(preprocessor: Preprocessor) -> float:
    """Return where windows begin: at the onset, or where the model's input does if that is later."""
    return max(preprocessor.start, 0.0)


def _end(preprocessor: Preprocessor) -> float:
    """Return the time at which the model's input is over, in seconds from the onset."""
    return preprocessor.start + preprocessor.n_times / preprocessor.sfreq


def _ends(preprocessor: Preprocessor, first: float, step: float) -> list[float]:
    """Return the ends of windows, in seconds from the onset: `first` after the beginning, then every `step`."""
    if step * preprocessor.sfreq < 1:
        raise ConfigError(
            f"--step {1e3 * step:g} ms", f"at least {1e3 / preprocessor.sfreq:g} ms, one sample of the epochs"
        )
    begin, duration = _begin(preprocessor), _end(preprocessor) - _begin(preprocessor)
    if first > duration + 1e-9:
        raise ConfigError(f"a window of {1e3 * first:g} ms", f"at most {1e3 * duration:g} ms, the length of the epochs")
    return [round(begin + first + i * step, 6) for i in range(int((duration - first) / step + 1e-6) + 1)]


def _windows(preprocessor: Preprocessor, kind: str, spans: Sequence[tuple[float, float]]) -> list[Part]:
    """Return the parts between pairs of times, in seconds from the onset."""
    return [
        replace(
            whole(preprocessor), windows=kind, since=since, until=until,
            first=preprocessor.n_times_until(since), last=preprocessor.n_times_until(until),
        )
        for since, until in spans
    ]  # fmt: skip
