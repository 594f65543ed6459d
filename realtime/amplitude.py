"""Notice a unit that a header names wrong: the first second in volts -> a warning, until it looks like EEG."""

from __future__ import annotations

import logging
import math

import numpy as np

from necomimi.montage import EEG_STD_V, eeg_spread
from necomimi.records import Chunk, StreamInfo

__all__ = ["AmplitudeWatch"]

logger = logging.getLogger(__name__)

FAINTEST_V = EEG_STD_V[0] / 10  # of a header's word less is demanded than of a guess
MAX_SAMPLES = 256  # are looked at; the spread of a second shows in them


class AmplitudeWatch:
    """Look at the first second of a stream, and on while that is no EEG in the unit that its header names.

    Units are three decades apart, and so are the bounds. A whitened signal has no unit.

    Attributes
    ----------
    warning : str
        What is wrong, in words; "" for nothing.
    """

    def __init__(self) -> None:
        self.warning = ""
        self._info: StreamInfo | None = None
        self._chunks: list[Chunk] = []
        self._n_times = 0
        self._is_over = False

    def add(self, chunk: Chunk) -> None:
        """Take in what came of the stream."""
        if chunk.info is not self._info:  # opened, or opened again
            self.warning, self._info, self._chunks, self._n_times = "", chunk.info, [], 0
            self._is_over = "whiten" in chunk.info.applied
        if self._is_over:
            return
        self._chunks.append(chunk)
        self._n_times += chunk.data.shape[1]
        if self._n_times < chunk.info.sfreq:
            return
        data = np.concatenate([one.data for one in self._chunks], axis=1)[:, :: math.ceil(self._n_times / MAX_SAMPLES)]
        self._chunks, self._n_times = [], 0
        data = data[np.isfinite(data).all(axis=1)].astype(np.float64)
        spread = eeg_spread(data.T) if 2 * len(data) >= len(chunk.info.ch_names) else 0.0
        if spread == 0.0 or spread < 1e-9 * float(np.abs(data).max()):
            return  # a signal that is not there says nothing of its unit
        self._is_over = FAINTEST_V <= spread < EEG_STD_V[1]
        if self._is_over:
            self.warning = ""
            return
        if not self.warning:
            logger.warning("no EEG spreads over %.2g V: is the unit in the header right (--unit)?", spread)
        self.warning = (
            f"the signal is no EEG in the unit of its header: a standard deviation of {spread:.2g} V "
            "(median of the channels); --unit says the right one, or see to the cap"
        )
