"""Record LSL streams without decoding them: EEG, markers -> one XDF file."""

from __future__ import annotations

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from necomimi.console import console, output
from necomimi.errors import ConfigError, NecomimiError, StreamLostError, StreamNotFoundError
from necomimi.lsl import EEGInlet, Finder, MarkerReader, StreamChoice, describe, find_stream, resolve_streams
from necomimi.programs import STOP_SIGNALS
from necomimi.records import StreamInfo

from .alarms import Alarms
from .recorder import Recorder

__all__ = ["Session", "choose_streams", "command"]

logger = logging.getLogger(__name__)

LOOK_S = 1.0  # for answers, before it is decided what is there
OPEN_TIMEOUT_S = 10.0
RECORDER_TIMEOUT_S = 15.0
PULL_S = 0.1
PROBLEM_S = 1.0  # between looks at the file
TAIL_S = 1.5  # of EEG after the marker that ends a recording: an epoch may be under way, and an amplifier late


def choose_streams(
    eeg: StreamChoice,
    markers: StreamChoice | None,
    timeout: float,
    should_stop: Callable[[], bool] = lambda: False,
    look: Callable[[float], Sequence[StreamInfo]] = resolve_streams,
) -> tuple[StreamInfo, tuple[StreamInfo, ...]]:
    """Wait for the streams to record; return the EEG stream and all marker streams that match.

    Parameters
    ----------
    eeg : StreamChoice
    markers : StreamChoice or None
        None for no markers.
    timeout : float
        Seconds to wait.
    should_stop : callable
        Asked between looks; true ends the wait early.
    look : callable
        Gives the streams in reach, having listened for so many seconds.

    Raises
    ------
    StreamNotFoundError
        Not one EEG stream, or no marker stream, is in reach.
    """
    deadline = time.monotonic() + timeout
    while True:
        there = look(LOOK_S)
        signals = [info for info in there if _matches(eeg, info)]
        texts = [] if markers is None else [info for info in there if _matches(markers, info)]
        if len(signals) > 1:
            listing = "; ".join(map(describe, signals))
            raise StreamNotFoundError(
                f"{len(signals)} EEG streams match: {listing}", "exactly one", "choose one by its source_id or name"
            )
        if signals and (texts or markers is None):
            return signals[0], tuple(texts)
        if time.monotonic() >= deadline or should_stop():
            missing = "marker stream" if signals else "EEG stream"
            listing = "; ".join(map(describe, there)) or "none"
            raise StreamNotFoundError(
                f"no {missing} matches within {timeout:g} s; in reach: {listing}",
                "an amplifier and a sender of markers on this network and session",
                "start the senders first, or record without markers: --no-markers",
            )


def _matches(choice: StreamChoice, info: StreamInfo) -> bool:
    """Return whether a stream is what was asked for."""
    wanted = ((choice.type, info.type), (choice.name, info.name), (choice.source_id, info.source_id))
    return all(value is None or value == found for value, found in wanted)


class Session:
    """A recording under way, heard along with: LabRecorder does not say what comes.

    Parameters
    ----------
    recorder : Recorder
        Started: a presenter that waits for a listener must not take us for the recorder.
    eeg : StreamInfo
    markers : sequence of StreamInfo

    Attributes
    ----------
    n_samples, n_markers : int
        What has come so far.

    Raises
    ------
    StreamNotFoundError, StreamLostError
        A stream has gone, or does not open.
    """

    def __init__(self, recorder: Recorder, eeg: StreamInfo, markers: Sequence[StreamInfo]) -> None:
        self.n_samples = self.n_markers = 0
        self._recorder = recorder
        self._eeg = eeg
        self._finder = Finder(name=eeg.name, type=eeg.type, source_id=eeg.source_id)
        self._alarms = Alarms(self._problem)
        self._began = self._looked = time.monotonic()
        self._readers: list[MarkerReader] = []
        self._inlet: EEGInlet | None = EEGInlet(find_stream(self._finder, OPEN_TIMEOUT_S))
        try:
            for info in markers:
                if len(info.ch_names) != 1:
                    logger.warning("%s is recorded and not listened to: a marker is one value", describe(info))
                    continue
                reader = MarkerReader(StreamChoice(type=info.type, name=info.name, source_id=info.source_id))
                reader.open(OPEN_TIMEOUT_S)
                reader.start()
                self._readers.append(reader)
        except NecomimiError:
            self.close()
            raise

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return time.monotonic() - self._began

    @property
    def progress(self) -> str:
        """One line that says how far it is."""
        try:
            size = self._recorder.path.stat().st_size / 2**20
        except OSError:
            size = 0.0
        away = "" if self._inlet is not None else "; the EEG is away"
        return f"{self.seconds:.0f} s, {self.n_samples} samples, {self.n_markers} markers, {size:.1f} MiB{away}"

    def run(self, should_stop: Callable[[], bool], until: str | None = None, seconds: float = math.inf) -> None:
        """Listen until asked to stop, until a marker says `until`, for some seconds, or until the recorder ends.

        What is wrong meanwhile goes into the log.
        """
        end = self._began + seconds
        with console.status(self.progress) as status:
            while not should_stop() and time.monotonic() < end and self._recorder.is_running:
                self._hear()
                labels = [label for reader in self._readers for label, _ in reader.take()]
                self.n_markers += len(labels)
                if until in labels:
                    end = min(end, time.monotonic() + TAIL_S)
                if time.monotonic() - self._looked > PROBLEM_S:
                    self._looked = time.monotonic()
                    self._alarms.ask()
                status.update(self.progress)
        self._alarms.ask()

    def _hear(self) -> None:
        """Count what comes of the EEG; look for it where it is away."""
        try:
            if self._inlet is None:
                time.sleep(PULL_S)
                handle = self._finder.poll()
                if handle is None:
                    return
                self._inlet = EEGInlet(handle)
                self._eeg = self._inlet.info
            self.n_samples += len(self._inlet.pull(PULL_S)[1])
        except (StreamLostError, StreamNotFoundError):
            if self._inlet is not None:
                self._inlet.close()
                self._inlet = None

    def _problem(self) -> str:
        """Return in words what is wrong with the recording or its streams."""
        markers = [reader.info for reader in self._readers]
        away = f"the EEG stream {self._eeg.name!r} is away" if self._inlet is None else ""
        return self._recorder.problem([self._eeg, *markers]) or away

    def close(self) -> None:
        """Let go of the streams."""
        for reader in self._readers:
            reader.stop()
        if self._inlet is not None:
            self._inlet.close()
            self._inlet = None


def command(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="FILE.xdf, a name such as sub-02_task-rsvp, or a folder to name it in."),
    ],
    eeg_name: Annotated[str | None, typer.Option(help="Name of the EEG stream.")] = None,
    eeg_type: Annotated[str | None, typer.Option(help="Type of the EEG stream.")] = "EEG",
    eeg_source_id: Annotated[str | None, typer.Option(help="source_id of the EEG stream.")] = None,
    markers_name: Annotated[str | None, typer.Option(help="Name of the marker streams; any by default.")] = None,
    markers_type: Annotated[str | None, typer.Option(help="Type of the marker streams.")] = "Markers",
    markers_source_id: Annotated[str | None, typer.Option(help="source_id of the marker stream.")] = None,
    no_markers: Annotated[bool, typer.Option("--no-markers", help="Record the EEG alone.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for the streams.")] = 10.0,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after this long.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Stop when a marker says this, such as present/end.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Record an EEG stream and all marker streams in reach into one XDF file, until Ctrl-C.

    Streams that appear later are not recorded. Nothing is overwritten: a folder or name gets the next free run.

    Example: necomimi record recordings/ --until present/end
    """
    if until is not None and no_markers:
        raise ConfigError(f"--until {until!r} with --no-markers", "one of them")
    stopping = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    chosen = StreamChoice(type=markers_type, name=markers_name, source_id=markers_source_id)
    try:
        eeg, markers = choose_streams(
            StreamChoice(type=eeg_type, name=eeg_name, source_id=eeg_source_id),
            None if no_markers else chosen,
            timeout,
            stopping.is_set,
        )
        recorder = Recorder(out, [eeg, *markers], task="record")
        recorder.start(RECORDER_TIMEOUT_S, stopping.is_set)
    except NecomimiError:
        if stopping.is_set():
            raise typer.Exit(130) from None  # Ctrl-C while it was still looking
        raise
    try:
        console.print(f"recording to {recorder.path}; Ctrl-C ends", markup=False, soft_wrap=True)
        for info in (eeg, *markers):
            console.print(f"  {describe(info)}", markup=False, soft_wrap=True)
        session = Session(recorder, eeg, markers)
        try:
            session.run(stopping.is_set, until, math.inf if seconds is None else seconds)
            lasted, progress = session.seconds, session.progress
        finally:
            session.close()
        is_whole = recorder.is_running
    finally:
        recorder.stop()
    console.print(f"{'recorded' if is_whole else 'broken off'}: {progress}", soft_wrap=True)
    if as_json:
        output.print_json(json.dumps(_summary(recorder.path, lasted, session, (eeg, *markers))))
    else:
        output.print(str(recorder.path), markup=False, soft_wrap=True)
    if not is_whole:
        raise typer.Exit(1)


def _summary(path: Path, seconds: float, session: Session, streams: Sequence[StreamInfo]) -> dict[str, Any]:
    """Return what a program may want to know of a recording."""
    return {
        "path": str(path),
        "seconds": round(seconds, 3),
        "n_samples": session.n_samples,
        "n_markers": session.n_markers,
        "streams": [
            {
                "name": info.name,
                "type": info.type,
                "source_id": info.source_id,
                "n_channels": len(info.ch_names),
                "sfreq": info.sfreq,
            }
            for info in streams
        ],
    }
