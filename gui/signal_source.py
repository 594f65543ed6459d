"""Listen to an amplifier in a thread: LSL EEG stream -> the newest seconds, in volts."""

from __future__ import annotations

import logging
import math
import threading
import time

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ChannelMismatchError, NecomimiError, StreamLostError, StreamNotFoundError
from necomimi.lsl import EEGInlet, Finder, find_stream
from necomimi.montage import SIGNAL_TYPES, ChannelMap, match_channels, needs_samples
from necomimi.records import StreamInfo

__all__ = ["SignalSource"]

logger = logging.getLogger(__name__)

GUESS_S = 1.0  # of signal from which a unit is guessed
PULL_S = 0.1
GUESS_WAIT_S = 10.0
SILENT_S = 2.0  # what was heard longer ago says nothing of now


class SignalSource:
    """The newest seconds of one EEG stream.

    A stream that goes away is looked for until it is back.

    Parameters
    ----------
    name, type, source_id : str, optional
        What the stream must be called; None matches anything.
    unit : str, optional
        Of its samples, where the header is wrong or silent.
    timeout : float
        Seconds to look for it at first.
    patience : float
        Seconds to wait for its first samples.
    seconds : float
        How much to keep.

    Attributes
    ----------
    info : StreamInfo or None
        The stream, its EEG channels in volts, once it was found.
    error : NecomimiError or None
        Why the thread has ended.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        type: str | None = "EEG",
        source_id: str | None = None,
        unit: str | None = None,
        timeout: float = 10.0,
        patience: float = math.inf,
        seconds: float = 4.0,
    ) -> None:
        self.info: StreamInfo | None = None
        self.error: NecomimiError | None = None
        self.seconds = seconds
        self._name, self._type, self._source_id = name, type, source_id
        self._unit = unit
        self._timeout, self._patience = timeout, patience
        self._lock = threading.Lock()
        self._data: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
        self._n = 0
        self._heard_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="necomimi-signal", daemon=True)

    def start(self) -> None:
        """Begin to look and to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def latest(self) -> tuple[StreamInfo, NDArray[np.float32]] | None:
        """Return the stream and its newest samples in volts, shape (n_channels, n_times); None while none come.

        The rate of the samples is ``info.sfreq / info.speed``.
        """
        with self._lock:
            if self.info is None or not self._n or time.monotonic() - self._heard_at > SILENT_S:
                return None
            capacity = self._data.shape[1]
            order = np.arange(self._n - min(self._n, capacity), self._n) % capacity
            return self.info, self._data[:, order]

    def _run(self) -> None:
        """Listen, and look again where the stream was lost."""
        timeout, gone = self._timeout, ""  # the instance that was lost: it may still be listed for seconds
        while not self._stopping.is_set():
            try:
                finder = Finder(
                    name=self._name,
                    type=self._type,
                    source_id=self._source_id,
                    ignore=lambda info, gone=gone: info.uid == gone,  # type: ignore[misc]  # mypy infers no default
                )
                handle = find_stream(finder, timeout, self._stopping.is_set)
                with EEGInlet(handle) as inlet:
                    self._listen(inlet)
            except StreamLostError as error:
                logger.warning("%s; looking for it", error)
                timeout = self._patience = math.inf
                with self._lock:
                    gone = self.info.uid if self.info is not None else gone
                    self.info, self._n = None, 0
            except NecomimiError as error:
                if not self._stopping.is_set():
                    self.error = error
                return

    def _listen(self, inlet: EEGInlet) -> None:
        """Keep samples until asked to stop.

        Raises
        ------
        ChannelMismatchError
            The stream is no EEG of a fixed rate, or its unit is unknown.
        StreamLostError
            The sender has gone.
        StreamNotFoundError
            It has never sent anything.
        """
        mapping = self._match(inlet)
        rate = inlet.info.sfreq / inlet.info.speed
        with self._lock:
            self.info, self._n = mapping.info, 0
            self._data = np.zeros((len(mapping.info.ch_names), max(2, round(self.seconds * rate))), dtype=np.float32)
        end = time.monotonic() + self._patience
        while not self._stopping.is_set():
            samples, _ = inlet.pull(PULL_S)
            if len(samples):
                end = math.inf
                self._keep(mapping(samples))
            elif time.monotonic() > end:
                raise StreamNotFoundError(
                    f"stream {inlet.info.name!r} sends nothing",
                    f"its first samples within {self._patience:g} s",
                    "start the acquisition in the amplifier's program",
                )

    def _match(self, inlet: EEGInlet) -> ChannelMap:
        """Return how the stream's EEG channels become volts."""
        info = inlet.info
        types = info.ch_types or ("",) * len(info.ch_names)
        names = [name for name, kind in zip(info.ch_names, types, strict=True) if kind.strip().lower() in SIGNAL_TYPES]
        if not names or info.sfreq <= 0:
            found = f"of {info.sfreq:g} Hz" if names else "without channels of type EEG"
            raise ChannelMismatchError(
                f"stream {info.name!r} {found}", "EEG of a fixed rate", "choose another stream with --eeg-name"
            )
        samples = None
        if self._unit is None and needs_samples(info, names):
            samples = self._second(inlet)
        return match_channels(info, names, self._unit, samples=samples)

    def _second(self, inlet: EEGInlet) -> NDArray[np.floating]:
        """Return about a second of the stream as it comes on the wire, shape (n_times, n_channels)."""
        parts: list[NDArray[np.floating]] = []
        end = time.monotonic() + GUESS_WAIT_S
        while sum(map(len, parts)) < GUESS_S * inlet.info.sfreq and time.monotonic() < end:
            if self._stopping.is_set():
                break
            parts.append(inlet.pull(PULL_S)[0].copy())
        return np.concatenate(parts) if parts else np.zeros((0, len(inlet.info.ch_names)))

    def _keep(self, volts: NDArray[np.float32]) -> None:
        """Enter samples, shape (n_channels, n_times)."""
        with self._lock:
            capacity = self._data.shape[1]
            place = (self._n + np.arange(volts.shape[1])[-capacity:]) % capacity
            self._data[:, place] = volts[:, -capacity:]
            self._n += volts.shape[1]
            self._heard_at = time.monotonic()
