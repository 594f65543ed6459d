"""An amplifier that needs no file, described in words: "synthetic:63x1000x5" -> channels, rate, onsets, labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError
from necomimi.things_eeg2 import RAW_CH_NAMES

__all__ = ["CLASSES", "FORM", "PREFIX", "Synthetic"]

PREFIX = "synthetic:"
FORM = f"{PREFIX}CHANNELSxRATExEVENTS[xSECONDS]"
CLASSES = tuple(f"class-{i:03d}" for i in range(200))
SETTLE_S = 2.0  # without events, at the beginning and at the end: every epoch finds its whole signal
MAX_CHANNELS = 1024
MIN_SFREQ, MAX_SFREQ = 50.0, 20_000.0
MIN_PERIOD = 4  # samples from event to event
MAX_SECONDS = 7 * 24 * 3600
MAX_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """What a made-up amplifier sends.

    Parameters
    ----------
    n_channels : int
        EEG channels.
    sfreq : float
        Hz.
    events : float
        Events a second, evenly spaced.
    seconds : int
        Length; the first and the last `SETTLE_S` seconds are without events.

    Raises
    ------
    ConfigError
        A figure is out of bounds.
    """

    n_channels: int = 63
    sfreq: float = 1000.0
    events: float = 5.0
    seconds: int = 7200

    def __post_init__(self) -> None:
        for found, low, high, unit in (
            (self.n_channels, 1, MAX_CHANNELS, "channels"),
            (self.sfreq, MIN_SFREQ, MAX_SFREQ, "Hz"),
            (self.seconds, 2 * SETTLE_S + 1, MAX_SECONDS, "seconds"),
        ):
            if not low <= found <= high:
                raise ConfigError(f"a synthetic amplifier of {found:g} {unit}", f"{low:g} to {high:g} {unit}")
        if not 0 < self.events <= self.sfreq / MIN_PERIOD:
            raise ConfigError(
                f"a synthetic amplifier with {self.events:g} events a second at {self.sfreq:g} Hz",
                f"more than 0, and at most {self.sfreq / MIN_PERIOD:g}",
            )
        if self.n_events > MAX_EVENTS:
            raise ConfigError(
                f"a synthetic amplifier with {self.n_events} events",
                f"at most {MAX_EVENTS}",
                "make it shorter, and play it with --loop",
            )
        if not self.n_events:
            raise ConfigError(
                f"no event in {self.seconds} s at {self.events:g} a second", "at least one", "make it longer"
            )

    @classmethod
    def parse(cls, text: str) -> Synthetic:
        """Return what a text of the form ``synthetic:CHANNELSxRATExEVENTS[xSECONDS]`` describes.

        Raises
        ------
        ConfigError
            It has another form, or a figure is out of bounds.
        """
        number = r"([0-9]{1,9}(?:\.[0-9]{1,6})?)"
        match = re.fullmatch(rf"{PREFIX}([0-9]{{1,9}})x{number}x{number}(?:x([0-9]{{1,9}}))?", text)
        if match is None:
            raise ConfigError(repr(text), FORM, f"{PREFIX}63x1000x5 for 63 channels at 1000 Hz with 5 events a second")
        n_channels, sfreq, events, seconds = match.groups()
        length = {"seconds": int(seconds)} if seconds else {}
        return cls(n_channels=int(n_channels), sfreq=float(sfreq), events=float(events), **length)

    def __str__(self) -> str:
        return f"{PREFIX}{self.n_channels}x{self.sfreq:g}x{self.events:g}x{self.seconds}"

    @property
    def ch_names(self) -> tuple[str, ...]:
        """Labels of the EEG channels: places of the 10-10 system as far as THINGS-EEG2 has them, then E64, E65, ..."""
        known = RAW_CH_NAMES[:-1][: self.n_channels]
        return (*known, *(f"E{i + 1}" for i in range(len(known), self.n_channels)))

    @property
    def n_times(self) -> int:
        """Samples in all."""
        return round(self.seconds * self.sfreq)

    @property
    def n_events(self) -> int:
        """Events in all."""
        return int((self.seconds - 2 * SETTLE_S) * self.events)

    def onsets(self) -> NDArray[np.int64]:
        """Return the sample of each event, shape (n_events,); event `i` says ``CLASSES[i % len(CLASSES)]``."""
        period = self.sfreq / self.events
        first = np.ceil(SETTLE_S * self.events) * period  # a whole number of periods after sample 0
        samples: NDArray[np.int64] = np.round(first + np.arange(self.n_events) * period).astype(np.int64)
        return samples
