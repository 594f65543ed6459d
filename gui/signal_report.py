"""Sum up whether a session can begin: ChannelQuality of each channel -> a sentence, what to do, figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.records import StreamInfo
from necomimi.signal_quality import MIN_SECONDS, ChannelQuality, Verdict, judge_channels

from .eeg_ring import VOLTS_TO_MICROVOLTS
from .language import tr

__all__ = ["VERDICTS", "SignalReport", "advice", "details", "figure", "listing", "report_of", "verdict_name"]

VERDICTS: tuple[Verdict, ...] = ("good", "flat", "mains", "noisy", "drift")


def verdict_name(verdict: Verdict) -> str:
    """Return a verdict as a word of the language that is spoken."""
    names = {"good": tr("good"), "flat": tr("flat"), "mains": tr("mains"), "noisy": tr("noisy"), "drift": tr("drift")}
    return names[verdict]


def advice(verdict: Verdict) -> str:
    """Return what a person can do about channels of a verdict; nothing about good ones."""
    words = {
        "good": "",
        "flat": tr("not connected, or bridged to the reference: check the plug, dry the gel between the two"),
        "mains": tr("poor contact or ground: add gel here and at the ground, move cables and chargers away"),
        "noisy": tr("loose contact or muscles: add gel, press the electrode on; relax jaw and forehead"),
        "drift": tr("not settled yet, or sweat: wait a minute, cool the room, clean the skin"),
    }
    return words[verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReport:
    """The channels of a cap, and how many of them may be bad.

    Parameters
    ----------
    channels : tuple of ChannelQuality
    max_bad : float
        Largest share of bad channels with which a session may begin.
    """

    channels: tuple[ChannelQuality, ...]
    max_bad: float

    @property
    def bad(self) -> tuple[ChannelQuality, ...]:
        """The channels that are not good."""
        return tuple(channel for channel in self.channels if channel.verdict != "good")

    @property
    def allowed(self) -> int:
        """How many bad channels may be there."""
        return math.floor(self.max_bad * len(self.channels) + 1e-9)

    @property
    def ready(self) -> bool:
        """Whether a session may begin."""
        return bool(self.channels) and len(self.bad) <= self.allowed

    def sentence(self) -> str:
        """Return the answer in one sentence."""
        n = len(self.channels)
        if self.ready:
            return tr("ready: {good} of {n} channels are good", good=n - len(self.bad), n=n)
        return tr("not yet: {bad} of {n} channels are bad, at most {most} may be", bad=len(self.bad), n=n,
                  most=self.allowed)  # fmt: skip

    def of(self, verdict: Verdict) -> Sequence[ChannelQuality]:
        """Return the channels of a verdict, the worst first."""
        found = [channel for channel in self.channels if channel.verdict == verdict]
        return sorted(found, key=lambda channel: -figure(channel))

    def as_json(self) -> dict[str, Any]:
        """Return the report for another program, in microvolts."""
        return {
            "ready": self.ready,
            "n_good": len(self.channels) - len(self.bad),
            "n_channels": len(self.channels),
            "channels": [
                {
                    "name": channel.name,
                    "verdict": channel.verdict,
                    "rms_uv": round(channel.rms * VOLTS_TO_MICROVOLTS, 3),
                    "mains_uv": round(channel.mains * VOLTS_TO_MICROVOLTS, 3),
                }
                for channel in self.channels
            ],
            "bad": [channel.name for channel in self.bad],
        }


def figure(channel: ChannelQuality) -> float:
    """Return the microvolts that speak for a channel's verdict."""
    volts = {
        "mains": channel.mains,
        "drift": abs(channel.drift),
        "noisy": max(channel.rms, channel.high),
    }.get(channel.verdict, channel.rms)
    return volts * VOLTS_TO_MICROVOLTS


def report_of(info: StreamInfo, data: NDArray[np.float32], max_bad: float) -> SignalReport | None:
    """Return the report of a stream's newest seconds in volts, shape (n_channels, n_times); None where too few came."""
    sfreq = info.sfreq / info.speed
    if data.shape[1] < MIN_SECONDS * sfreq:
        return None
    return SignalReport(channels=judge_channels(data, sfreq, info.ch_names), max_bad=max_bad)


def listing(channels: Sequence[ChannelQuality], verdict: Verdict) -> str:
    """Return channels of one verdict with their figures."""
    if verdict == "flat":
        return ", ".join(channel.name for channel in channels)
    return ", ".join(f"{channel.name} {figure(channel):.0f} µV" for channel in channels)


def details(channel: ChannelQuality) -> str:
    """Return all that is known of a channel, in lines."""
    return "\n".join(
        (
            f"{channel.name}: {verdict_name(channel.verdict)}",
            tr("1–40 Hz: {uv} µV", uv=f"{channel.rms * VOLTS_TO_MICROVOLTS:.1f}"),
            tr("{hz} Hz mains: {uv} µV", hz=round(channel.mains_hz), uv=f"{channel.mains * VOLTS_TO_MICROVOLTS:.1f}"),
            tr("65–200 Hz: {uv} µV", uv=f"{channel.high * VOLTS_TO_MICROVOLTS:.1f}"),
            tr("drift: {uv} µV", uv=f"{channel.drift * VOLTS_TO_MICROVOLTS:.0f}".replace("-", "−")),
        )
    )
