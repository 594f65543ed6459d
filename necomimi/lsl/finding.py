"""Find streams: what must match -> the one handle in reach that does."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pylsl
import pylsl.util

from necomimi.errors import StreamNotFoundError
from necomimi.records import StreamInfo

from .headers import describe, to_record
from .network import silence_remarks

__all__ = ["Finder", "find_stream", "resolve_handles", "resolve_streams"]

HEADER_TIMEOUT_S = 2.0
DISCOVERY_S = 1.0  # streams answer a second round of questions, half a second after the first
MAX_PARALLEL = 32  # streams looked at at once
FORGET_S = 2.0  # a stream that has not answered for so long is gone


def resolve_handles(timeout: float = 1.0) -> list[pylsl.StreamInfo]:
    """Return handles of all streams in reach, by type and name, for `open_inlet`.

    Parameters
    ----------
    timeout : float
        Seconds to listen for answers.
    """
    silence_remarks()
    return sorted(pylsl.resolve_streams(timeout), key=lambda handle: (handle.type(), handle.name(), handle.uid()))


def resolve_streams(timeout: float = 1.0) -> list[StreamInfo]:
    """Return all streams in reach, by type and name, each with its full header where the sender gives it.

    Parameters
    ----------
    timeout : float
        Seconds to listen for answers.
    """

    def header(handle: pylsl.StreamInfo) -> StreamInfo:
        inlet = pylsl.StreamInlet(handle, max_buflen=1, recover=False)
        try:
            return to_record(inlet.info(HEADER_TIMEOUT_S))
        except (pylsl.util.LostError, pylsl.util.TimeoutError):
            return to_record(handle)
        finally:
            inlet.close_stream()

    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        return list(pool.map(header, resolve_handles(timeout)))


class Finder:
    """Watch for streams in the background; asking what is in reach costs nothing.

    Parameters
    ----------
    name, type, source_id : str, optional
        What the wanted stream must be called; None matches anything.
    ignore : callable
        Streams for which it is true are passed over: an instance that was lost, or one of our own.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        type: str | None = None,
        source_id: str | None = None,
        ignore: Callable[[StreamInfo], bool] = lambda info: False,
    ) -> None:
        self._wanted = {
            key: value for key, value in (("name", name), ("type", type), ("source_id", source_id)) if value is not None
        }
        self._ignore = ignore
        silence_remarks()
        self._resolver = pylsl.ContinuousResolver(forget_after=FORGET_S)

    @property
    def request(self) -> str:
        """What is wanted, in words."""
        return ", ".join(f"{key} {value!r}" for key, value in self._wanted.items()) or "any stream"

    def in_reach(self) -> str:
        """Return what is in reach, in words."""
        infos = [to_record(handle) for handle in self._resolver.results()]
        return "; ".join(sorted(describe(info) for info in infos if not self._ignore(info))) or "none"

    def poll(self) -> pylsl.StreamInfo | None:
        """Return the one stream in reach that matches, or None.

        Raises
        ------
        StreamNotFoundError
            Several match.
        """
        matches = []
        for handle in self._resolver.results():
            info = to_record(handle)
            # Filtered here rather than by an XPath predicate: a quote in a name breaks the predicate.
            if all(getattr(info, key) == value for key, value in self._wanted.items()) and not self._ignore(info):
                matches.append((handle, info))
        if len(matches) > 1:
            listing = "; ".join(sorted(describe(info) for _, info in matches))
            raise StreamNotFoundError(
                f"{len(matches)} LSL streams match {self.request}: {listing}",
                "exactly one",
                "choose one by its source_id or name",
            )
        return matches[0][0] if matches else None


def find_stream(
    finder: Finder, timeout: float = 10.0, should_stop: Callable[[], bool] = lambda: False
) -> pylsl.StreamInfo:
    """Return the one stream that matches, waiting for it to appear.

    Parameters
    ----------
    finder : Finder
    timeout : float
        Seconds to wait. The first second is waited out in any case, so that a second match is seen.
    should_stop : callable
        Asked between looks; true ends the wait early.

    Returns
    -------
    pylsl.StreamInfo
        A handle for `EEGInlet` or `MarkerInlet`.

    Raises
    ------
    StreamNotFoundError
        No stream matches in time, or several do; the message lists what is in reach.
    """
    started = time.monotonic()
    while True:
        handle, elapsed = finder.poll(), time.monotonic() - started
        if handle is not None and elapsed >= DISCOVERY_S:
            return handle
        if elapsed >= max(timeout, DISCOVERY_S) or should_stop():
            raise StreamNotFoundError(
                f"no LSL stream matches {finder.request} within {timeout:g} s; in reach: {finder.in_reach()}",
                "a running amplifier or `necomimi replay` on this network and session",
                "necomimi streams lists what is in reach; an lsl_api.cfg or a firewall can hide streams",
            )
        time.sleep(0.02)
