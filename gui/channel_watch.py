"""Watch the electrodes: newest raw seconds, once a second -> a steady verdict on each channel."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from necomimi.signal_quality import ChannelQuality, Verdict, judge_channels

from .eeg_ring import VOLTS_TO_MICROVOLTS, EEGRing

__all__ = ["BY_HAND", "ChannelWatch"]

BY_HAND = "by hand"
JUDGED_S = 4.0
LEAST_S = 2.0  # since the last hole: less says little of drifts, and nothing of slow contacts
EVERY_S = 1.0
WORSE_AFTER = 2  # judgements in a row that are not good before a channel is called bad
BETTER_AFTER = 3  # and that are good, or of another kind, before the verdict changes again


class SteadyVerdict:
    """One channel's verdict, which changes only when several judgements in a row say so."""

    def __init__(self) -> None:
        self.verdict: Verdict = "good"
        self._last: Verdict = "good"
        self._n = 0  # judgements in a row that differ from `verdict` in the same way

    def add(self, judged: Verdict) -> None:
        """Enter a judgement."""
        turns_bad = self.verdict == "good" and "good" not in (judged, self._last)
        self._n = self._n + 1 if judged == self._last or turns_bad else 1
        self._last = judged
        if judged == self.verdict:
            self._n = 0
        elif self._n >= (WORSE_AFTER if self.verdict == "good" else BETTER_AFTER):
            self.verdict = judged


class ChannelWatch:
    """Which channels are bad, by their signal or because a person says so.

    The newest seconds are judged as they came, whatever is drawn, in a thread of their own: 256 channels of 2 kHz take
    70 ms, more than two frames. Signals that are whitened have no volts and are not judged.

    Attributes
    ----------
    qualities : dict of str to ChannelQuality
        The newest figures, by channel; empty before the first judgement.
    by_hand : set of str
        Channels that a person has marked; `toggle` changes it.
    reasons : dict of str to str
        The bad channels of the stream, and why: a verdict, or `BY_HAND`.
    """

    def __init__(self) -> None:
        self.qualities: dict[str, ChannelQuality] = {}
        self.by_hand: set[str] = set()
        self.reasons: dict[str, str] = {}
        self._verdicts: defaultdict[str, SteadyVerdict] = defaultdict(SteadyVerdict)
        self._ring: EEGRing | None = None
        self._asked_at = -EVERY_S
        self._n_seen = 0  # the ring's samples at the last judgement
        self._judgement: Future[tuple[ChannelQuality, ...]] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="necomimi-channels")

    def toggle(self, name: str) -> None:
        """Mark a channel as bad by hand, or no longer."""
        self.by_hand ^= {name}
        self._note()

    def _note(self) -> None:
        """Write down which channels are bad, and why."""
        names = () if self._ring is None else self._ring.info.ch_names
        why = {name: BY_HAND if name in self.by_hand else self._verdicts[name].verdict for name in names}
        self.reasons = {name: reason for name, reason in why.items() if reason != "good"}

    def advance(self, ring: EEGRing | None, now: float) -> None:
        """Take the verdicts that are ready, and ask for new ones when it is time; `now` in seconds, on any clock."""
        if ring is not self._ring:
            self._ring, self._judgement = ring, None
            self._verdicts.clear()
            self.qualities, self._n_seen = {}, 0
            self._note()
        if self._judgement is not None:
            if not self._judgement.done():
                return
            self._enter(self._judgement.result())
            self._judgement = None
        if ring is None or ring.unit != "µV" or ring.n_seen == self._n_seen or 0 <= now - self._asked_at < EVERY_S:
            return
        self._asked_at, self._n_seen = now, ring.n_seen
        volts = _unbroken(ring)
        sfreq = ring.info.sfreq / ring.info.speed
        if sfreq > 0 and volts.shape[1] >= LEAST_S * sfreq:
            self._judgement = self._executor.submit(judge_channels, volts, sfreq, ring.info.ch_names)

    def wait(self) -> None:
        """Wait for verdicts that have been asked for; the next `advance` takes them."""
        if self._judgement is not None:
            self._judgement.result()

    def _enter(self, qualities: tuple[ChannelQuality, ...]) -> None:
        """Take the verdicts of one judgement."""
        for quality in qualities:
            self._verdicts[quality.name].add(quality.verdict)
        self.qualities = {quality.name: quality for quality in qualities}
        self._note()


def _unbroken(ring: EEGRing) -> NDArray[np.float32]:
    """Return the newest raw seconds since the last hole, in volts, shape (n_channels, n_times)."""
    speed = ring.info.speed
    times, data = ring.latest(JUDGED_S / speed)
    since = ring.gaps[-1][1] if ring.gaps else -np.inf
    return data[:, times >= since] / np.float32(VOLTS_TO_MICROVOLTS)
