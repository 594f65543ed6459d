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
from necomimi.markers import MAX_LABEL_CHARS, OUR_SOURCE_IDS, is_control
from necomimi.montage import match_channels, volts_per_unit
from necomimi.recordings import Recording
from necomimi.records import StreamInfo, stated_speed, stated_steps
from necomimi.stamps import place_events
from necomimi.xdf_chunks import VALUE_BYTES, Contents, XDFStream, read_contents, whole_chunks

__all__ = ["open_xdf"]

logger = logging.getLogger(__name__)

MAX_MARKERS = 5_000_000
MAX_OUTSIDE_S = 10.0  # a marker further from the signal than this is not about it
MAX_BACK_S = 5.0
SAME_CLOCK_S = 0.05  # clocks of two machines differ by more: each counts from its own start
RATE_TOLERANCE = 0.005


def open_xdf(path: Path, stream: str | None = None) -> Recording:
    """Open the EEG of an XDF file, with the markers of all its marker streams.

    Parameters
    ----------
    path : Path
        An .xdf file, or one packed by gzip (.xdfz, .xdf.gz).
    stream : str, optional
        Name or source_id of the stream to take as EEG; by default the only one of type EEG.

    Raises
    ------
    DatasetError
        It cannot be read, holds no such stream or several, or no markers.
    """
    contents = read_contents(path)
    if contents.is_cut:
        logger.warning("%s breaks off, or is damaged, after %d bytes: what comes before is read", path, contents.end)
    eeg = _choose(path, contents.streams, stream)
    texts = [s for s in contents.streams if s.is_text and not s.source_id.startswith(OUR_SOURCE_IDS) and s.n_samples]
    loaded, raw = _load(path, contents, [eeg, *texts])
    samples = loaded[eeg.id]["time_series"]
    stamps, onsets, labels = _on_one_clock(path, eeg, texts, loaded, raw)
    if not labels:
        raise DatasetError(
            f"{path} has no markers beside its {eeg.n_samples} samples of EEG",
            "a stream of strings that name what was shown; the file holds " + _listing(contents.streams),
            "record the stimulus computer's marker stream as well",
        )
    speed = stated_speed(eeg.desc.findtext("replay/speed") or "")
    stamps, onsets = (stamps - stamps[0]) * speed, (onsets - stamps[0]) * speed
    sfreq = eeg.sfreq / speed
    firsts, events = place_events(stamps, sfreq, onsets)
    _check_rate(path, stamps, sfreq, firsts)
    names, types, factors, units = _channels(eeg, samples[: max(1, round(eeg.sfreq))])

    def read(start: int, stop: int, picks: list[int] | None) -> NDArray[np.float64]:
        block = samples[start:stop] if picks is None else samples[start:stop, picks]
        return block.T.astype(np.float64) * (factors if picks is None else factors[picks])[:, None]

    return Recording(
        name=path.name.split(".")[0],
        ch_names=names,
        ch_types=types,
        units=units,
        sfreq=sfreq,
        n_times=len(samples),
        events=tuple(zip(events.tolist(), labels, strict=True)),
        seams=tuple(firsts[1:].tolist()),
        stamps=stamps,
        onsets=onsets,
        applied=stated_steps(eeg.desc.findtext("preprocessing/applied") or ""),
        reader=read,
    )


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
    n_markers = sum(stream.n_samples for stream in streams if stream.is_text)
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


def _on_one_clock(
    path: Path,
    eeg: XDFStream,
    texts: Sequence[XDFStream],
    loaded: dict[int, Any],
    raw: dict[int, NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return the EEG's stamps, and the onsets and labels of the markers, in order of time, all in seconds of one clock.

    Streams of one machine share its clock, and the measured offset between them is nothing but noise (tens of
    microseconds on a local network): their stamps are compared as they are. Others are brought together by pyxdf.
    """
    synced = loaded[eeg.id]["time_stamps"]
    shares = {s.id: _same_clock(eeg, s, loaded) for s in texts}
    if not _is_forward(raw[eeg.id]):  # the computer was started anew: its clock too
        shares = dict.fromkeys(shares, False)
    stamps = raw[eeg.id] if all(shares.values()) else synced
    if not _is_forward(stamps):
        back = -float(np.diff(stamps).min())
        raise DatasetError(
            f"{path}: the stamps of the EEG step back by {back:.1f} s, and no clock offsets say by how much",
            f"steps back of at most {MAX_BACK_S:g} s",
            "record each start of the amplifier's computer in a file of its own",
        )
    onsets: list[float] = []
    labels: list[str] = []
    for stream in texts:
        times = raw[stream.id] if shares[stream.id] else loaded[stream.id]["time_stamps"]
        if shares[stream.id] and stamps is synced:
            times = times + np.interp(times, raw[eeg.id], synced - raw[eeg.id])
        onsets.extend(times.tolist())
        labels.extend(str(row[0])[:MAX_LABEL_CHARS] for row in loaded[stream.id]["time_series"])
    stimuli = [
        (onset, label)
        for onset, label in zip(onsets, labels, strict=True)
        if not is_control(label) and stamps[0] - MAX_OUTSIDE_S < onset < stamps[-1] + MAX_OUTSIDE_S
    ]
    stimuli.sort(key=lambda stimulus: stimulus[0])
    return stamps, np.array([onset for onset, _ in stimuli]), [label for _, label in stimuli]


def _is_forward(stamps: NDArray[np.float64]) -> bool:
    return bool((np.diff(stamps) > -MAX_BACK_S).all())


def _same_clock(one: XDFStream, other: XDFStream, loaded: dict[int, Any]) -> bool:
    """Return whether two streams were stamped by one machine: one host name, and no other offset."""
    values = [loaded[stream.id]["clock_values"] for stream in (one, other)]
    apart = abs(np.median(values[0]) - np.median(values[1])) if all(values) else 0.0
    return bool(one.hostname) and one.hostname == other.hostname and bool(apart < SAME_CLOCK_S)


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
