"""Let a brain answer what is shown, in samples that have not left yet: samples, markers -> samples with responses."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from necomimi.markers import PRESENTER_PREFIX, is_control
from necomimi.simulated_cortex import N_TIMES, SFREQ, Waves, draw_delays

from .outlet import MICROVOLTS_PER_VOLT, SampleSink

__all__ = ["Seen", "Watcher"]

logger = logging.getLogger(__name__)

CATCH_MARKER = f"{PRESENTER_PREFIX}catch"  # no picture, and yet something is seen
AHEAD = 2048  # samples for which responses are kept ready: what is stamped later than that cannot be meant
MAX_WAITING = 4096  # markers
_Markers = Iterable[tuple[str, float]]


@dataclass(slots=True)
class Seen:
    """What became of the markers.

    Parameters
    ----------
    n_pictures : int
        Pictures that were answered.
    n_unknown : int
        Markers of no known picture; they are answered by what all stimuli evoke.
    n_late, n_ahead : int
        Markers without an answer: their samples had left, or lie more than two seconds ahead.
    """

    n_pictures: int = 0
    n_unknown: int = 0
    n_late: int = 0
    n_ahead: int = 0


class Watcher:
    """Pass samples on, with the responses of a visual cortex added where markers say that something was shown.

    It stands between a player and its outlet. A response begins at its marker's stamp, to the nearest sample, or
    nowhere: one that comes when its samples have left is counted, and never moved.

    Parameters
    ----------
    outlet : SampleSink
    take : callable
        Gives the (label, seconds on the local clock) that have come since the last call.
    waves : Waves
    amplitudes : ndarray of float32, shape (1 + n_pictures, 3, n_sources)
        Row 0 is what all stimuli evoke.
    index_of : callable
        Gives the number of the picture that a label means, from 0, or None.
    rng : numpy.random.Generator
        Draws the jitter of each response.

    Attributes
    ----------
    seen : Seen
    """

    def __init__(
        self,
        outlet: SampleSink,
        take: Callable[[], _Markers],
        waves: Waves,
        amplitudes: NDArray[np.float32],
        index_of: Callable[[str], int | None],
        rng: np.random.Generator,
    ) -> None:
        self.seen = Seen()
        self._outlet = outlet
        self._take = take
        self._waves = waves
        self._amplitudes = amplitudes
        self._index_of = index_of
        self._rng = rng
        self._waiting: deque[tuple[str, float]] = deque(maxlen=MAX_WAITING)
        self._responses = np.zeros((AHEAD, waves.gain.shape[0]), dtype=np.float32)  # of sample i in row i % AHEAD, in V
        self._begin = 0.0  # the stamp of sample 0
        self._n_left = 0

    def push(self, samples: NDArray[np.float32], last_timestamp: float) -> None:
        """Send consecutive samples, shape (n_times, n_channels) in microvolts, with the responses that belong there."""
        if self._n_left == 0:
            self._begin = last_timestamp - (len(samples) - 1) / SFREQ
        self._waiting.extend(self._take())
        if self._waiting:  # one a packet: however many come, samples do not wait for them
            self._see(*self._waiting.popleft())
        rows = np.arange(self._n_left, self._n_left + len(samples)) % AHEAD
        answered = samples + np.float32(MICROVOLTS_PER_VOLT) * self._responses[rows]
        self._responses[rows] = 0
        self._n_left += len(samples)
        self._outlet.push(answered, last_timestamp)

    def _see(self, label: str, stamp: float) -> None:
        """Add the response to one marker."""
        if is_control(label) and label != CATCH_MARKER:
            return
        onset = round((stamp - self._begin) * SFREQ)
        delays = draw_delays(self._rng, 1)
        margin = int(np.abs(delays).max())
        start, stop = onset - margin, onset + N_TIMES + margin
        if onset < self._n_left:
            self.seen.n_late += 1
            lateness_ms = (self._n_left - onset) / SFREQ * 1e3
            self._warn(self.seen.n_late, "came too late", f"the last one, {label!r}, by {lateness_ms:.0f} ms")
            return
        if stop > self._n_left + AHEAD:
            self.seen.n_ahead += 1
            self._warn(self.seen.n_ahead, "lie in the future", f"the last one {label!r}; is the sender's clock right?")
            return
        picture = self._index_of(label)
        if picture is not None:
            self.seen.n_pictures += 1
        elif not is_control(label):
            self.seen.n_unknown += 1
            self._warn(self.seen.n_unknown, "are of no known picture", f"the last one {label!r}")
        row = np.array([0 if picture is None else 1 + picture])
        response = self._waves.evoked(-margin, N_TIMES + margin, np.array([0]), delays, self._amplitudes, row)
        first = max(start, self._n_left)  # what left before it is not even a millionth of the response
        self._responses[np.arange(first, stop) % AHEAD] += response.T[first - start :]

    @staticmethod
    def _warn(n: int, what: str, detail: str) -> None:
        """Say so at the first marker, the second, the fourth, ...: a session's worth of them must not fill a screen."""
        if n & (n - 1) == 0:
            logger.warning("%d marker(s) %s; %s", n, what, detail)
