"""Receive: stream handle -> samples and markers, stamped on the local clock."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pylsl
import pylsl.util
from numpy.typing import NDArray

from necomimi.errors import StreamLostError
from necomimi.markers import label_of

from .headers import text_of, to_record

__all__ = ["EEGInlet", "MarkerInlet", "open_inlet"]

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 5.0
EEG_BUFFER_S = 20  # liblsl drops the oldest samples silently beyond this; the ring notices the hole
MAX_PULL_SAMPLES = 4096


class _Inlet:
    """An open connection to one stream; closed by `close()` or a with block."""

    def __init__(self, handle: pylsl.StreamInfo, *, buffer_s: int, flags: int, timeout: float) -> None:
        self._inlet = pylsl.StreamInlet(handle, max_buflen=buffer_s, recover=False, processing_flags=flags)
        try:
            self._inlet.open_stream(timeout)
            self.info = to_record(self._inlet.info(timeout))
        except (pylsl.util.LostError, pylsl.util.TimeoutError) as error:
            name = text_of(handle.name())
            self.close()
            raise StreamLostError(
                f"stream {name!r} was found but did not open within {timeout:g} s",
                "a stream that answers",
                "restart the sender, or check the firewall",
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._inlet.close_stream()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EEGInlet(_Inlet):
    """Pull numeric samples, stamped on the local clock.

    Stamps are mapped by liblsl's clock synchronisation only. Its dejitter is never used: it ignores gaps, and is
    wrong by seconds after one.

    Parameters
    ----------
    handle : pylsl.StreamInfo
        From `find_stream`.
    timeout : float
        Seconds to wait for the connection and its header.

    Attributes
    ----------
    info : StreamInfo
    """

    def __init__(self, handle: pylsl.StreamInfo, timeout: float = OPEN_TIMEOUT_S) -> None:
        super().__init__(handle, buffer_s=EEG_BUFFER_S, flags=pylsl.proc_clocksync, timeout=timeout)
        self._measure_clock(timeout)
        self._buffer: NDArray[Any] = np.empty((MAX_PULL_SAMPLES, len(self.info.ch_names)), dtype=self._inlet_dtype())

    def _measure_clock(self, timeout: float) -> None:
        """Ask for the sender's clock now (0.65 s; samples queue meanwhile): else the first pull would wait for it."""
        try:
            self._inlet.time_correction(timeout)
        except (pylsl.util.LostError, pylsl.util.TimeoutError) as error:
            self.close()
            raise StreamLostError(
                f"stream {self.info.name!r} opened but does not say what its clock reads (asked by UDP)",
                f"an answer within {timeout:g} s",
                "restart the sender, or let UDP through the firewall on the ports of lsl_api.cfg",
            ) from error

    def _inlet_dtype(self) -> type:
        """Return the wire format as a numpy type."""
        formats = {pylsl.cf_float32: np.float32, pylsl.cf_double64: np.float64}
        formats |= {pylsl.cf_int8: np.int8, pylsl.cf_int16: np.int16, pylsl.cf_int32: np.int32}
        return formats.get(self._inlet.channel_format, np.float64)

    def pull(self, timeout: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Wait for the first sample, then drain what else is there.

        Returns
        -------
        samples : ndarray, shape (n_times, n_channels)
            In the stream's own unit; valid until the next pull.
        timestamps : ndarray of float64, shape (n_times,)
            Seconds on the local clock.

        Raises
        ------
        StreamLostError
            The sender has gone.
        """
        try:
            samples, stamps = self._inlet.pull_chunk(
                timeout, MAX_PULL_SAMPLES, dest_obj=self._buffer, min_samples=1, as_numpy=True
            )
        except pylsl.util.LostError as error:
            raise StreamLostError(f"stream {self.info.name!r} was lost", remedy="restart the sender") from error
        return samples, stamps


class MarkerInlet(_Inlet):
    """Pull markers, text or numbers, stamped on the local clock.

    Marker streams are sparse, and liblsl refreshes its own synchronisation only every 50 samples, so the offset is
    asked for here: `refresh_clock` blocks the first time (up to 0.7 s) and is instant after.
    """

    def __init__(self, handle: pylsl.StreamInfo, timeout: float = OPEN_TIMEOUT_S) -> None:
        super().__init__(handle, buffer_s=3600, flags=pylsl.proc_none, timeout=timeout)
        self._offset = 0.0
        self.refresh_clock(timeout)

    def refresh_clock(self, timeout: float = 0.5) -> None:
        """Ask for the offset between the sender's clock and ours; keep the last one where none comes."""
        try:
            self._offset = self._inlet.time_correction(timeout)
        except (pylsl.util.LostError, pylsl.util.TimeoutError):
            logger.debug("no clock offset from marker stream %r; keeping %.6f s", self.info.name, self._offset)

    def pull(self, timeout: float) -> list[tuple[str, float]]:
        """Return the (label, local time) pairs that have arrived, waiting up to `timeout` s for the first.

        Raises
        ------
        StreamLostError
            The sender has gone.
        """
        try:
            values, stamps = self._inlet.pull_chunk(timeout, 1024, min_samples=1, as_numpy=True)
        except pylsl.util.LostError as error:
            raise StreamLostError(f"stream {self.info.name!r} was lost", remedy="restart the sender") from error
        return [(label_of(row[0]), float(t) + self._offset) for row, t in zip(values, stamps, strict=True)]


def open_inlet(handle: pylsl.StreamInfo, timeout: float = OPEN_TIMEOUT_S) -> EEGInlet | MarkerInlet:
    """Open a stream of either kind; raises StreamLostError where it does not open within `timeout` seconds."""
    inlet = MarkerInlet if handle.channel_format() == pylsl.cf_string else EEGInlet
    return inlet(handle, timeout)
