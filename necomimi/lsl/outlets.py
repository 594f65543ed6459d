"""Send: samples, markers, similarities -> LSL streams with full headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pylsl
from numpy.typing import NDArray

from necomimi.records import StreamInfo

from .headers import to_record
from .network import silence_remarks

__all__ = ["EEGOutlet", "MarkerOutlet", "SimilarityOutlet"]

SIMILARITY_BUFFER = 10  # hundreds of decisions kept for a listener that hangs; each may be thousands of numbers


class _Outlet:
    """An LSL stream of our own; it ends with the object."""

    def __init__(self, header: pylsl.StreamInfo, chunk_size: int = 0, max_buffered: int = 360) -> None:
        self._outlet = pylsl.StreamOutlet(header, chunk_size, max_buffered)

    @property
    def stream(self) -> StreamInfo:
        """The stream as others see it, its `uid` included."""
        return to_record(self._outlet.get_info())

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
        header = _header(info.name, info.type, len(info.ch_names), info.sfreq, pylsl.cf_float32, info.source_id)
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
        super().__init__(_header(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id))

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
        header = _header(name, "Similarities", len(classes), pylsl.IRREGULAR_RATE, pylsl.cf_float32, source_id)
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


def _header(
    name: str, kind: str, n_channels: int, sfreq: float, channel_format: int, source_id: str
) -> pylsl.StreamInfo:
    silence_remarks()
    return pylsl.StreamInfo(name, kind, n_channels, sfreq, channel_format, source_id)


def _describe_channels(header: pylsl.StreamInfo, channels: Iterable[tuple[str, str, str]]) -> None:
    """Write (label, unit, type) of each channel into a header."""
    parent = header.desc().append_child("channels")
    for label, unit, kind in channels:
        channel = parent.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", unit)
        channel.append_child_value("type", kind)
