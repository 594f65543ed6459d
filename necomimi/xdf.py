"""Read what LabRecorder wrote, whole or broken off: XDF file -> Recording with its own sample stamps.

pyxdf brings all streams on one clock. Its jitter removal is not used: it closes every hole shorter than a second. The
stamps are kept as they are, so that a replay gives the live chain what it had, and `necomimi.stamps` finds the holes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from necomimi.errors import ChannelMismatchError, DatasetError
from necomimi.montage import match_channels, volts_per_unit
from necomimi.recordings import Recording
from necomimi.records import StreamInfo, stated_speed, stated_steps
from necomimi.stamps import place_events
from necomimi.xdf_chunks import VALUE_BYTES, Contents, XDFStream, read_contents, whole_chunks
from necomimi.xdf_markers import read_markers

__all__ = ["open_xdf"]

logger = logging.getLogger(__name__)

MAX_MARKERS = 5_000_000
RATE_TOLERANCE = 0.005


def open_xdf(path: Path, stream: str | None = None, *, needs_events: bool = True) -> Recording:
    """Open the EEG of an XDF file, with the markers of all its marker streams, and what a decoder said.

    Marker streams are those of text, and those of numbers whose type is Markers, with one channel.

    Parameters
    ----------
    path : Path
        An .xdf file, or one packed by gzip (.xdfz, .xdf.gz).
    stream : str, optional
        Name or source_id of the stream to take as EEG; by default the only one of type EEG.
    needs_events : bool
        Refuse a file without markers.

    Raises
    ------
    DatasetError
        It cannot be read, holds no such stream or several, or no markers.
    """
    contents = read_contents(path)
    if contents.is_cut:
        logger.warning("%s breaks off, or is damaged, after %d bytes: what comes before is read", path, contents.end)
    eeg = _choose(path, contents.streams, stream)
    markers = _marker_streams(path, eeg, contents.streams)
    loaded, raw = _load(path, contents, [eeg, *markers])
    samples = loaded[eeg.id]["time_series"]
    stamps, stimuli, decisions = read_markers(path, eeg, markers, loaded, raw)
    if needs_events and not stimuli:
        raise DatasetError(
            f"{path} has no markers beside its {eeg.n_samples} samples of EEG",
            "a stream that names what was shown; the file holds " + _listing(contents.streams),
            "record the stimulus computer's marker stream as well",
        )
    speed = stated_speed(eeg.desc.findtext("replay/speed") or "")
    onsets = np.array([onset for onset, _ in stimuli])
    asked, told = (np.array([decision[i] for decision in decisions]) for i in (0, 1))
    times = (np.concatenate([onsets, asked, told]) - stamps[0]) * speed
    stamps = (stamps - stamps[0]) * speed
    sfreq = eeg.sfreq / speed
    order = np.argsort(times, kind="stable")
    firsts, placed = place_events(stamps, sfreq, times[order])
    places = np.empty_like(placed)
    places[order] = placed
    events, *spans = np.split(places, [len(stimuli), len(stimuli) + len(decisions)])
    _check_rate(path, stamps, sfreq, firsts)
    names, types, factors, units = _channels(eeg, samples[: max(1, round(eeg.sfreq))])

    def read(start: int, stop: int, picks: list[int] | None) -> NDArray[np.float64]:
        block = samples[start:stop] if picks is None else samples[start:stop, picks]
        factor = factors if picks is None else factors[picks]
        volts: NDArray[np.float64] = block.T.astype(np.float64) * factor[:, None]
        return volts

    return Recording(
        name=path.name.split(".")[0],
        ch_names=names,
        ch_types=types,
        units=units,
        sfreq=sfreq,
        n_times=len(samples),
        events=tuple((place, label) for place, (_, label) in zip(events.tolist(), stimuli, strict=True)),
        decisions=tuple(zip(*(span.tolist() for span in spans), (words for _, _, words in decisions), strict=True)),
        seams=tuple(firsts[1:].tolist()),
        stamps=stamps,
        onsets=times[: len(stimuli)],
        applied=stated_steps(eeg.desc.findtext("preprocessing/applied") or ""),
        reader=read,
    )


def _marker_streams(path: Path, eeg: XDFStream, streams: Sequence[XDFStream]) -> list[XDFStream]:
    """Return the streams that name events, and say which cannot."""
    found = [stream for stream in streams if stream.is_markers and stream.n_samples and stream is not eeg]
    for stream in found:
        if stream.n_channels != 1:
            logger.warning("%s: %s is left out: a marker is one value", path, stream.describe())
    return [stream for stream in found if stream.n_channels == 1]


def _listing(streams: Sequence[XDFStream]) -> str:
    return "; ".join(stream.describe() for stream in streams) or "no streams"


def _choose(path: Path, streams: Sequence[XDFStream], wanted: str | None) -> XDFStream:
    """Return the stream that is the EEG."""
    if wanted is None:
        named = [s for s in streams if s.type.lower() == "eeg"]
    else:
        named = [s for s in streams if wanted in (s.name, s.source_id)]
    matches = [s for s in named if not s.is_text and s.sfreq and s.n_samples] or named
    expected = "one stream of type EEG" if wanted is None else f"one stream called {wanted!r}"
    if len(matches) != 1:
        raise DatasetError(
            f"{path} holds {len(matches) or 'no'} stream{'s' if len(matches) != 1 else ''} "
            f"{'of type EEG' if wanted is None else f'called {wanted!r}'}: {_listing(matches or streams)}",
            expected,
            "choose one by its name: --stream NAME",
        )
    eeg = matches[0]
    if eeg.is_text or not eeg.sfreq or not eeg.n_samples:
        raise DatasetError(
            f"{path}: stream {eeg.describe()} cannot be EEG", "numbers at a regular rate, and at least one sample"
        )
    return eeg


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's logger silent: it warns of what is checked here, without saying in which file."""
    library = logging.getLogger(name)
    level = library.level
    library.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        library.setLevel(level)


def _load(
    path: Path, contents: Contents, streams: Sequence[XDFStream]
) -> tuple[dict[int, Any], dict[int, NDArray[np.float64]]]:
    """Return pyxdf's streams by number, on the recorder's clock, and their stamps on their own clocks."""
    import pyxdf

    need = sum(
        stream.n_samples * (2 * stream.n_channels * VALUE_BYTES.get(stream.channel_format, 100) + 24)
        for stream in streams
    )
    free = psutil.virtual_memory().available
    n_markers = sum(stream.n_samples for stream in streams if stream.is_markers)
    if need > free or n_markers > MAX_MARKERS:
        raise DatasetError(
            f"{path} needs {need / 2**30:.1f} GiB of memory for {n_markers} markers and the EEG",
            f"at most the {free / 2**30:.1f} GiB that are free, and {MAX_MARKERS} markers",
            "record a session in several files, or read it on a larger machine",
        )
    raw: dict[int, list[NDArray[np.float64]]] = {stream.id: [] for stream in streams}

    def keep(values: Any, stamps: Any, header: Any, number: int) -> tuple[Any, Any, Any]:
        raw[number].append(stamps)
        return values, stamps, header

    try:
        with _quiet("pyxdf"), whole_chunks(path, contents) as file:
            loaded, _ = pyxdf.load_xdf(
                file, select_streams=[s.id for s in streams], on_chunk=keep, dejitter_timestamps=False
            )
    except Exception as error:  # pyxdf raises whatever it meets
        raise DatasetError(
            f"{path} is damaged: {' '.join(repr(error).split())[:200]}", "an XDF file that pyxdf reads"
        ) from error
    by_id = {stream["info"]["stream_id"]: stream for stream in loaded}
    for stream in streams:
        n = len(by_id[stream.id]["time_stamps"])
        if not n or not np.isfinite(by_id[stream.id]["time_stamps"]).all():
            raise DatasetError(f"{path}: stream {stream.describe()} has no usable time stamps", "finite stamps")
    return by_id, {number: np.concatenate(parts)[: len(by_id[number]["time_stamps"])] for number, parts in raw.items()}


def _check_rate(path: Path, stamps: NDArray[np.float64], sfreq: float, firsts: NDArray[np.int64]) -> None:
    """Warn where the stamps tell another rate than the header."""
    edges = np.append(firsts, len(stamps))
    longest = int(np.argmax(np.diff(edges)))
    begin, end = int(edges[longest]), int(edges[longest + 1])
    if end - begin > sfreq and stamps[end - 1] > stamps[begin]:
        rate = (end - begin - 1) / float(stamps[end - 1] - stamps[begin])
        if abs(rate / sfreq - 1.0) > RATE_TOLERANCE:
            logger.warning("%s: the header says %g Hz and the stamps say %.1f Hz", path, sfreq, rate)


def _channels(
    eeg: XDFStream, samples: NDArray[Any]
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64], tuple[str, ...]]:
    """Return names, types, factors to volts and units of the channels; a unit that is no voltage is left as it is.

    Where the header is silent about the unit of EEG, it is guessed from `samples`, the first second, as a live chain
    would.
    """
    entries = eeg.desc.findall("channels/channel")[: eeg.n_channels]
    texts = [tuple((entry.findtext(key) or "").strip() for key in ("label", "unit", "type")) for entry in entries]
    texts += [("", "", "")] * (eeg.n_channels - len(texts))
    names = tuple(label or f"#{i + 1}" for i, (label, _, _) in enumerate(texts))
    types = tuple(kind.lower() or "eeg" for _, _, kind in texts)
    factors, units = np.ones(eeg.n_channels), [unit for _, unit, _ in texts]
    silent = [i for i, (unit, kind) in enumerate(zip(units, types, strict=True)) if not unit and kind == "eeg"]
    for i, unit in enumerate(units):
        try:
            factors[i], units[i] = volts_per_unit(unit), "V"
        except ChannelMismatchError:  # a trigger's, an accelerometer's, or none
            continue
    if silent:
        numbers = tuple(str(i) for i in silent)
        info = StreamInfo(
            name=eeg.name,
            type="EEG",
            source_id="",
            uid="",
            ch_names=numbers,
            sfreq=eeg.sfreq,
            units=("",) * len(silent),
        )
        try:
            matched = match_channels(info, numbers, samples=samples[:, silent])
        except ChannelMismatchError as error:
            logger.warning("stream %r is left as it is: %s", eeg.name, error.found)
        else:
            logger.warning("stream %r: %s", eeg.name, "; ".join(matched.info.warnings))
            factors[silent] = matched.factors
            units = ["V" if i in silent else unit for i, unit in enumerate(units)]
    return names, types, factors, tuple(units)
