"""Find a stream again after a loss: StreamChoice -> the one stream in reach, opened and checked."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import NecomimiError, StreamLostError
from necomimi.lsl import EEGInlet, StreamChoice, search
from necomimi.montage import ChannelMap
from necomimi.records import SourceState, StreamInfo

__all__ = ["News", "Opened", "Opener", "Tell", "first_second"]

OPEN_TIMEOUT_S = 2.0
RETRY_S = 0.2
GUESS_S = 1.0  # of signal, to guess a silent unit from
GUESS_TIMEOUT_S = 3.0
RETRY_MISFIT_S = 10.0  # a header stays as it is, but a signal that says nothing of its unit may yet do so


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that was opened and serves.

    Parameters
    ----------
    inlet : EEGInlet
    channels : ChannelMap
    first : tuple of (samples, stamps) or None
        What was read from it while it was checked: wire samples, shape (n_times, n_stream_channels), and seconds.
    """

    inlet: EEGInlet
    channels: ChannelMap
    first: tuple[NDArray[Any], NDArray[np.float64]] | None


def first_second(inlet: EEGInlet) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return about a second of samples, shape (n_times, n_stream_channels), and their stamps.

    Raises
    ------
    StreamLostError
        None come.
    """
    pieces: list[tuple[NDArray[Any], NDArray[np.float64]]] = []
    n_missing = max(1, math.ceil(GUESS_S * inlet.info.sfreq))
    deadline = time.monotonic() + GUESS_TIMEOUT_S
    while n_missing > 0 and time.monotonic() < deadline:
        samples, stamps = inlet.pull(0.05)
        pieces.append((samples.copy(), stamps))
        n_missing -= len(stamps)
    if not any(len(stamps) for _, stamps in pieces):
        raise StreamLostError(
            f"stream {inlet.info.name!r} is silent about its units, and sends no samples to guess them from",
            f"a second of signal within {GUESS_TIMEOUT_S:g} s",
            "start the amplifier, or say the unit with --unit microvolts",
        )
    return np.concatenate([samples for samples, _ in pieces]), np.concatenate([stamps for _, stamps in pieces])


Tell = Callable[[SourceState, str], None]
News = Opened | Exception | tuple[SourceState | None, str]


class Opener(threading.Thread):
    """Find another instance of a lost device, open it and check it, while the acquisition goes on.

    Parameters
    ----------
    choice : StreamChoice
        The device.
    silent : str
        `uid` of an instance that is open but silent, and is not opened again; "" for none.
    prepare : callable
        Given a handle, a timeout in seconds and whom to tell of its progress, opens and checks a stream.

    Attributes
    ----------
    news : queue of Opened, Exception or (state, message)
        What happens, in order; the state is None where one instance does not serve and the search goes on.
    """

    def __init__(self, choice: StreamChoice, silent: str, prepare: Callable[[Any, float, Tell], Opened]) -> None:
        super().__init__(name="open again", daemon=True)
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._choice = choice
        self._prepare = prepare
        self._ignored = {silent: math.inf}  # uid -> until when
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Search until a stream serves, or until cancelled."""
        try:
            while not self._stopping.is_set():
                handle = search(self._choice, self._is_ignored, self._stopping, lambda found: self._tell(None, found))
                if handle is not None:
                    self._try(handle)
        except Exception as error:  # goes to the thread that pulls, which ends the run in words
            self.news.put(error)

    def _is_ignored(self, info: StreamInfo) -> bool:
        return time.monotonic() < self._ignored.get(info.uid, 0.0)

    def _try(self, handle: Any) -> None:
        try:
            opened = self._prepare(handle, OPEN_TIMEOUT_S, self._tell)
        except StreamLostError as error:
            self._tell(None, error.found)
            self._stopping.wait(RETRY_S)
        except NecomimiError as error:
            self._ignored[handle.uid()] = time.monotonic() + RETRY_MISFIT_S
            self._tell(None, f"{handle.name()!r} came back but does not serve: {error.found}")
        else:
            with self._lock:
                if not self._stopping.is_set():
                    self.news.put(opened)
                    self._stopping.set()
                    return
            opened.inlet.close()

    def _tell(self, state: SourceState | None, message: str) -> None:
        self.news.put((state, message))

    def cancel(self) -> None:
        """End the search; what it has opened is closed."""
        with self._lock:
            self._stopping.set()
        while not self.news.empty():
            news = self.news.get()
            if isinstance(news, Opened):
                news.inlet.close()
