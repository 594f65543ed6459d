"""The only file that imports pylsl: LSL streams in reach -> StreamInfo, Chunk, markers; and back.

Streams are neither encrypted nor authenticated: whoever reaches the network can read and send them. Time is
`local_clock()` in seconds everywhere. Figures in volts inside, in the stream's own unit on the wire.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
import pylsl.lib
import pylsl.util
from numpy.typing import NDArray
from pylsl import local_clock

from necomimi.errors import StreamLostError, StreamNotFoundError
from necomimi.records import StreamInfo

__all__ = [
    "CONTROL_PREFIX",
    "EEGInlet",
    "EEGOutlet",
    "Finder",
    "MarkerInlet",
    "MarkerOutlet",
    "SimilarityOutlet",
    "configuration_file",
    "describe",
    "describe_handle",
    "find_stream",
    "library",
    "local_clock",
    "open_inlet",
    "resolve_handles",
    "resolve_streams",
    "write_loopback_config",
]

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 5.0
HEADER_TIMEOUT_S = 2.0
DISCOVERY_S = 1.0  # streams answer a second round of questions, half a second after the first
MAX_PARALLEL = 32  # streams looked at at once
FORGET_S = 2.0  # a stream that has not answered for so long is gone
EEG_BUFFER_S = 20  # liblsl drops the oldest samples silently beyond this; the ring notices the hole
SIMILARITY_BUFFER = 10  # hundreds of decisions kept for a listener that hangs; each may be thousands of numbers
MAX_PULL_SAMPLES = 4096
MAX_LABEL_CHARS = 1024  # a longer marker is cut: nothing from the network is unbounded
CONTROL_PREFIX = "replay/"  # a marker that begins so announces something of the player; it is no stimulus
STEP_NAMES = ("baseline", "resample", "whiten")


def library() -> tuple[str, str]:
    """Return liblsl's version and path."""
    version = pylsl.library_version()
    return f"{version // 100}.{version % 100}", str(pylsl.lib.lib._name)


def configuration_file() -> str:
    """Return the path of the `lsl_api.cfg` that liblsl reads, or "" for its built-in defaults."""
    candidates = [os.environ.get("LSLAPICFG", ""), "lsl_api.cfg", str(Path("~/lsl_api/lsl_api.cfg").expanduser())]
    candidates.append("/etc/lsl_api/lsl_api.cfg")
    return next((path for path in candidates if path and Path(path).is_file()), "")


def write_loopback_config(path: Path, session_id: str) -> Path:
    """Write an LSL configuration that sees only this machine's streams of one session.

    Set the environment variable ``LSLAPICFG`` to the returned path before the first LSL call of a process.

    Parameters
    ----------
    path : Path
        The file to write.
    session_id : str
        Streams of other sessions stay invisible.
    """
    path.write_text(
        "[ports]\nIPv6 = disable\nBasePort = 26572\nMulticastPort = 26571\nPortRange = 64\n"
        "[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {session_id}\n[log]\nlevel = -2\n",
        encoding="utf-8",
    )
    return path


def _text(value: Any) -> str:
    """Return a header string, whatever its bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _speed(text: str) -> float:
    """Return the speed that a player's header states; 1 where it is silent or makes no sense."""
    try:
        speed = float(text)
    except ValueError:
        return 1.0
    return speed if 0 < speed < math.inf else 1.0


def _to_record(info: pylsl.StreamInfo) -> StreamInfo:
    """Return our record of a pylsl header (full only after an inlet was opened)."""
    labels: list[str] = []
    units: list[str] = []
    types: list[str] = []
    channel = info.desc().child("channels").child("channel")
    while not channel.empty() and len(labels) < info.channel_count():
        labels.append(_text(channel.child_value("label")).strip())
        units.append(_text(channel.child_value("unit")).strip())
        types.append(_text(channel.child_value("type")).strip())
        channel = channel.next_sibling("channel")
    n_silent = info.channel_count() - len(labels)
    labels = [label or f"#{i + 1}" for i, label in enumerate(labels + [""] * n_silent)]
    applied = _text(info.desc().child("preprocessing").child_value("applied"))
    return StreamInfo(
        name=_text(info.name()),
        type=_text(info.type()),
        source_id=_text(info.source_id()),
        uid=_text(info.uid()),
        ch_names=tuple(labels),
        sfreq=float(info.nominal_srate()),
        units=tuple(units + [""] * n_silent),
        ch_types=tuple(types + [""] * n_silent),
        applied=tuple(step for step in applied.split() if step in STEP_NAMES),
        speed=_speed(_text(info.desc().child("replay").child_value("speed"))),
    )


def describe(info: StreamInfo) -> str:
    """Return one line that tells a stream from its neighbours."""
    rate = f"{info.sfreq:g} Hz" if info.sfreq else "irregular"
    return f"{info.name!r} (type {info.type}, {len(info.ch_names)} channels, {rate}, source_id {info.source_id!r})"


def resolve_handles(timeout: float = 1.0) -> list[pylsl.StreamInfo]:
    """Return handles of all streams in reach, by type and name, for `open_inlet`.

    Parameters
    ----------
    timeout : float
        Seconds to listen for answers.
    """
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
            return _to_record(inlet.info(HEADER_TIMEOUT_S))
        except (pylsl.util.LostError, pylsl.util.TimeoutError):
            return _to_record(handle)
        finally:
            inlet.close_stream()

    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        return list(pool.map(header, resolve_handles(timeout)))


def describe_handle(handle: pylsl.StreamInfo) -> StreamInfo:
    """Return what a stream says of itself before it is opened: everything but its channels' names, units and types."""
    return _to_record(handle)


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
        self._resolver = pylsl.ContinuousResolver(forget_after=FORGET_S)

    @property
    def request(self) -> str:
        """What is wanted, in words."""
        return ", ".join(f"{key} {value!r}" for key, value in self._wanted.items()) or "any stream"

    def in_reach(self) -> str:
        """Return what is in reach, in words."""
        infos = [_to_record(handle) for handle in self._resolver.results()]
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
            info = _to_record(handle)
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


class _Inlet:
    """An open connection to one stream; closed by `close()` or a with block."""

    def __init__(self, handle: pylsl.StreamInfo, *, buffer_s: int, flags: int, timeout: float) -> None:
        self._inlet = pylsl.StreamInlet(handle, max_buflen=buffer_s, recover=False, processing_flags=flags)
        try:
            self._inlet.open_stream(timeout)
            self.info = _to_record(self._inlet.info(timeout))
        except (pylsl.util.LostError, pylsl.util.TimeoutError) as error:
            name = _text(handle.name())
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
            samples, stamps = self._pull_into(self._buffer, timeout)
        except pylsl.util.LostError as error:
            raise StreamLostError(f"stream {self.info.name!r} was lost", remedy="restart the sender") from error
        n = len(stamps)
        if 0 < n < MAX_PULL_SAMPLES:  # the first sample may have woken us before the rest of its packet was there
            try:
                more = self._pull_into(self._buffer[n:], 0.0)[1]
            except pylsl.util.LostError:  # the next pull will say so
                return samples, stamps
            if len(more):
                return self._buffer[: n + len(more)], np.concatenate((stamps, more))
        return samples, stamps

    def _pull_into(self, buffer: NDArray[Any], timeout: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
        samples, stamps = self._inlet.pull_chunk(timeout, len(buffer), dest_obj=buffer, min_samples=1, as_numpy=True)
        return samples, stamps


class MarkerInlet(_Inlet):
    """Pull string markers, stamped on the local clock.

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
        labels = [_text(row[0])[:MAX_LABEL_CHARS] for row in values]
        return [(label, float(t) + self._offset) for label, t in zip(labels, stamps, strict=True)]


def open_inlet(handle: pylsl.StreamInfo, timeout: float = OPEN_TIMEOUT_S) -> EEGInlet | MarkerInlet:
    """Open a stream of either kind; raises StreamLostError where it does not open within `timeout` seconds."""
    inlet = MarkerInlet if handle.channel_format() == pylsl.cf_string else EEGInlet
    return inlet(handle, timeout)


class _Outlet:
    """An LSL stream of our own; it ends with the object."""

    def __init__(self, header: pylsl.StreamInfo, chunk_size: int = 0, max_buffered: int = 360) -> None:
        self._outlet = pylsl.StreamOutlet(header, chunk_size, max_buffered)

    @property
    def stream(self) -> StreamInfo:
        """The stream as others see it, its `uid` included."""
        return _to_record(self._outlet.get_info())

    def wait_for_consumers(self, timeout: float) -> bool:
        """Wait until somebody listens; return whether somebody does."""
        return bool(self._outlet.wait_for_consumers(timeout))

    def have_consumers(self) -> bool:
        """Return whether somebody listens."""
        return bool(self._outlet.have_consumers())


class EEGOutlet(_Outlet):
    """Offer numeric channels as an LSL stream with a full header.

    Parameters
    ----------
    info : StreamInfo
        `uid` is ignored; `source_id` must be stable across restarts of the same device.
    chunk_size : int
        Samples a packet.
    """

    def __init__(self, info: StreamInfo, chunk_size: int = 0) -> None:
        header = pylsl.StreamInfo(
            info.name, info.type, len(info.ch_names), info.sfreq, pylsl.cf_float32, info.source_id
        )
        types = info.ch_types or ("EEG",) * len(info.ch_names)
        _describe_channels(header, zip(info.ch_names, info.units, types, strict=True))
        if info.applied:
            header.desc().append_child("preprocessing").append_child_value("applied", " ".join(info.applied))
        if info.speed != 1.0:
            header.desc().append_child("replay").append_child_value("speed", repr(info.speed))
        header.desc().append_child("acquisition").append_child_value("application", "necomimi")
        self.info = info
        super().__init__(header, chunk_size)

    def push(self, samples: NDArray[np.float32], last_timestamp: float) -> None:
        """Send consecutive samples.

        Parameters
        ----------
        samples : ndarray of float32, shape (n_times, n_channels)
            In the units of the header.
        last_timestamp : float
            Local clock of the LAST sample; liblsl counts back by the nominal rate.
        """
        self._outlet.push_chunk(np.ascontiguousarray(samples, dtype=np.float32), last_timestamp)


class MarkerOutlet(_Outlet):
    """Offer one string channel as an irregular LSL stream of type Markers."""

    def __init__(self, name: str, source_id: str) -> None:
        super().__init__(pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id))

    def push(self, label: str, timestamp: float) -> None:
        """Send one marker, stamped on the local clock."""
        self._outlet.push_sample([label], timestamp)


class SimilarityOutlet(_Outlet):
    """Offer one number per class, at each decision, as an irregular LSL stream of type Similarities.

    Parameters
    ----------
    name, source_id : str
    classes : sequence of str
        Channel labels.
    meaning : str
        What these cosines compare; stands in the header.
    """

    def __init__(self, name: str, source_id: str, classes: Sequence[str], meaning: str) -> None:
        header = pylsl.StreamInfo(name, "Similarities", len(classes), pylsl.IRREGULAR_RATE, pylsl.cf_float32, source_id)
        _describe_channels(header, ((label, "cosine", "Similarity") for label in classes))
        header.desc().append_child_value("meaning", meaning)
        header.desc().append_child("acquisition").append_child_value("application", "necomimi")
        self._shape = (len(classes),)
        super().__init__(header, max_buffered=SIMILARITY_BUFFER)

    def push(self, similarities: NDArray[np.float32], timestamp: float) -> None:
        """Send the numbers of one decision, shape (n_classes,), stamped on the local clock."""
        values = np.ascontiguousarray(similarities, dtype=np.float32)
        if values.shape != self._shape:
            raise ValueError(f"similarities of shape {values.shape}, expected {self._shape}")
        self._outlet.push_chunk(values[None], timestamp)


def _describe_channels(header: pylsl.StreamInfo, channels: Iterable[tuple[str, str, str]]) -> None:
    """Write (label, unit, type) of each channel into a header."""
    parent = header.desc().append_child("channels")
    for label, unit, kind in channels:
        channel = parent.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", unit)
        channel.append_child_value("type", kind)
