"""Say which stream is wanted, and wait for it however often it goes: StreamChoice -> the one stream in reach."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pylsl

from necomimi.errors import StreamNotFoundError
from necomimi.markers import OUR_SOURCE_IDS
from necomimi.records import StreamInfo

from .finding import Finder

__all__ = ["StreamChoice", "finder", "search"]

ROUND_S = 0.1  # between questions to the network
N_ROUNDS = 5  # answers to so many questions are still heard
AMBIGUOUS_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChoice:
    """Which stream to take; None matches anything."""

    type: str | None = None
    name: str | None = None
    source_id: str | None = None

    def again(self, lost: StreamInfo) -> StreamChoice:
        """Return how to choose the device behind a stream that was lost: by its source_id, or else by its name.

        The type stays, as a device may send its signal and its triggers under one source_id.
        """
        if lost.source_id:
            return StreamChoice(type=lost.type, name=self.name, source_id=lost.source_id)
        return StreamChoice(type=lost.type, name=lost.name)


def finder(choice: StreamChoice, ignore: Callable[[StreamInfo], bool] = lambda info: False) -> Finder:
    """Return a finder for a choice, blind to our own answers."""
    return Finder(
        name=choice.name,
        type=choice.type,
        source_id=choice.source_id,
        ignore=lambda info: info.source_id.startswith(OUR_SOURCE_IDS) or ignore(info),
    )


def search(
    choice: StreamChoice,
    ignore: Callable[[StreamInfo], bool],
    stopping: threading.Event,
    tell: Callable[[str], None],
) -> pylsl.StreamInfo | None:
    """Wait until exactly one stream matches.

    Parameters
    ----------
    choice : StreamChoice
    ignore : callable
        Streams for which it is true are passed over.
    stopping : threading.Event
        Ends the search.
    tell : callable
        Told in words where several streams match.

    Returns
    -------
    pylsl.StreamInfo or None
        A handle for an inlet; None when stopped.
    """
    finders: deque[Finder] = deque(maxlen=N_ROUNDS)
    while not stopping.is_set():
        # A new finder asks the network at once, and knows nothing of the dead; liblsl asks again only each half second.
        finders.append(finder(choice, ignore))
        until = time.monotonic() + ROUND_S
        while time.monotonic() < until:
            try:
                handle = next((handle for found in finders if (handle := found.poll()) is not None), None)
            except StreamNotFoundError as error:
                tell(error.found)
                finders.clear()
                stopping.wait(AMBIGUOUS_S)
                break
            if handle is not None:
                return handle
            stopping.wait(0.01)
    return None
