"""Send EEG as an amplifier would: THINGS-EEG2 subject, epochs, recording, or a simulated person -> LSL streams."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from necomimi.console import console, progress
from necomimi.errors import ConfigError, DatasetError
from necomimi.lsl import EEGOutlet, MarkerOutlet, StreamChoice
from necomimi.programs import told_to_end

from .dataset import dataset_timeline, is_dataset
from .outlet import Player, stream_info
from .recording import recording_timeline
from .subject import PRESENTER, Subject, is_subject, open_subject, pictures_of, play_subject
from .synthetic import is_synthetic, synthetic_timeline
from .timeline import Timeline, duration_text

__all__ = ["command", "open_timeline"]

logger = logging.getLogger(__name__)

WAIT_S = 30.0
CHUNK_S = 0.005  # a packet's default length in recording time
POLL_S = 0.05
EEG_ONLY_S = 5.0
LINGER_S = 0.5  # what was sent last is still on its way when an outlet closes
DATASET_OPTIONS = ("--subject", "--session", "--split")


def open_timeline(
    source: Path,
    *,
    subject: int | None = None,
    session: int | None = None,
    split: str | None = None,
    stream: str | None = None,
) -> Timeline:
    """Return what a file or folder holds, found by looking at it.

    Parameters
    ----------
    source : Path
        A THINGS-EEG2 root, subject folder or .npy file; an epochs directory; a file that MNE or pyxdf reads; or the
        words for an amplifier without a file, "synthetic:63x1000x5".
    subject, session : int, optional
        Which of a data set's.
    split : {"test", "training"}, optional
        Which of a data set's; "test" by default.
    stream : str, optional
        XDF: name or source_id of the EEG stream, where there is not just one of type EEG.

    Raises
    ------
    ConfigError
        The options contradict each other or the source.
    DatasetError
        It is not a recording, or has no events.
    """
    if stream is not None and (is_synthetic(source) or is_dataset(source)):
        raise ConfigError(f"--stream {stream!r} with {source}", "an XDF file, or no such option")
    if is_synthetic(source):
        _refuse_dataset_options(source, subject, session, split)
        return synthetic_timeline(str(source))
    if not source.exists() or (source.is_dir() and not is_dataset(source) and source.suffix != ".mff"):
        raise DatasetError(
            f"{source} holds no recording" if source.exists() else f"{source} does not exist",
            "a THINGS-EEG2 folder, an epochs directory, or a recording (FIF, BrainVision, EDF, SET, XDF)",
        )
    if is_dataset(source):
        which: Literal["test", "training"] = "training" if split == "training" else "test"
        if split not in (None, "test", "training"):
            raise ConfigError(f"--split {split!r}", "test or training")
        return dataset_timeline(source, subject=subject, session=session, split=which)
    _refuse_dataset_options(source, subject, session, split)
    return recording_timeline(source, stream)


def _refuse_dataset_options(source: Path, *values: object) -> None:
    """Raise where options that choose from a data set were given with a source that is none."""
    _refuse(source, dict(zip(DATASET_OPTIONS, values, strict=True)), "a THINGS-EEG2 data set")


def _refuse(source: Path, options: Mapping[str, object], fitting: str) -> None:
    """Raise where options were given that need another source, `fitting`."""
    if given := [option for option, value in options.items() if value is not None]:
        raise ConfigError(f"{', '.join(given)} with {source}", f"{fitting}, or no such option")


def _within(seconds: float | None, should_stop: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function that is true when `should_stop` is, or some seconds from now."""
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    return lambda: should_stop() or time.monotonic() >= deadline


def _wait_for_listeners(eeg: EEGOutlet, markers: MarkerOutlet, timeout: float, should_stop: Callable[[], bool]) -> None:
    """Wait until both streams have a listener, `timeout` seconds at most, or one that wants no markers."""
    deadline = time.monotonic() + timeout
    without_markers = math.inf  # when a listener to the EEG alone is taken to want no more
    while not should_stop():
        now = time.monotonic()
        hears_eeg, hears_markers = eeg.have_consumers(), markers.have_consumers()
        if hears_eeg and hears_markers:
            return
        without_markers = min(without_markers, now + EEG_ONLY_S) if hears_eeg else math.inf
        if now >= without_markers:
            logger.info("nobody listens to the markers: playing all the same")
            return
        if now >= deadline:
            if timeout > 0:
                logger.info("nobody listens to both streams after %g s: playing all the same", timeout)
            return
        time.sleep(POLL_S)


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A THINGS-EEG2 root, subject or file; an epochs directory; a FIF, BrainVision, EDF, SET or XDF file; "
            "synthetic:63x1000x5, noise of 63 channels at 1000 Hz with 5 events a second (x60 more: for 60 s); or "
            "subject:PICTURES, a simulated person who watches `necomimi present PICTURES`.",
        ),
    ],
    subject: Annotated[int | None, typer.Option(help="Data set: which subject; the first by default.")] = None,
    session: Annotated[
        int | None, typer.Option(help="Data set: which session; all by default. Person: which; 1 by default.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Data set: test (default) or training.")] = None,
    stream: Annotated[str | None, typer.Option(help="XDF: the EEG stream, where there are several.")] = None,
    start: Annotated[float | None, typer.Option(help="From this second of the recording on.")] = None,
    stop: Annotated[float | None, typer.Option(help="Up to this second of the recording.")] = None,
    speed: Annotated[float, typer.Option(help="Seconds of the recording per second.")] = 1.0,
    loop: Annotated[
        bool, typer.Option("--loop", help="Begin again at the end, announced by a marker and a gap of 1 s.")
    ] = False,
    chunk: Annotated[int | None, typer.Option(help="Samples a packet; 5 ms of the recording by default.")] = None,
    wait: Annotated[
        float | None, typer.Option(help="Seconds to wait for a listener on both streams; 30 by default.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after playing for this long.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the EEG stream; NAME-markers is the other.")] = None,
    snr: Annotated[float | None, typer.Option(help="Person: strength of the responses; 3 by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Person: which; 0 by default.")] = None,
    markers_name: Annotated[str | None, typer.Option(help="Person: name of the presenter's stream.")] = None,
    markers_type: Annotated[str | None, typer.Option(help="Person: type of the presenter's stream.")] = None,
    markers_source_id: Annotated[str | None, typer.Option(help="Person: source_id of the presenter's stream.")] = None,
) -> None:
    """Send a recording over LSL at its own pace: an EEG stream, and its events as a Markers stream.

    Stamps are true to the clock and never in the future. Ctrl-C ends it. A simulated person sends no markers: the
    presenter does.

    Example: necomimi replay recording.fif --start 120 --speed 2
    """
    if not (math.isfinite(speed) and speed > 0):
        raise ConfigError(f"--speed {speed:g}", "a number above 0", "1 is the pace of the recording")
    if chunk is not None and chunk < 1:
        raise ConfigError(f"--chunk {chunk}", "at least 1 sample")
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"--seconds {seconds:g}", "seconds above 0")
    for_person = {
        "--snr": snr, "--seed": seed, "--markers-name": markers_name, "--markers-type": markers_type,
        "--markers-source-id": markers_source_id,
    }  # fmt: skip
    if is_subject(source):
        for_recording: dict[str, object] = {
            "--subject": subject,
            "--split": split,
            "--stream": stream,
            "--start": start,
            "--stop": stop,
        }
        for_recording |= {"--speed": speed if speed != 1 else None, "--loop": loop or None, "--wait": wait}
        _refuse(source, for_recording, "a recording")
        presenter = PRESENTER
        if any(value is not None for value in (markers_name, markers_type, markers_source_id)):
            presenter = StreamChoice(
                type=markers_type or PRESENTER.type, name=markers_name, source_id=markers_source_id
            )
        amplifier = open_subject(
            Subject(
                pictures=pictures_of(source),
                snr=3.0 if snr is None else snr,
                seed=0 if seed is None else seed,
                session=1 if session is None else session,
                markers=presenter,
            )
        )
        chunk = chunk or round(amplifier.timeline.sfreq * CHUNK_S)
        with told_to_end() as told:
            play_subject(amplifier, name, chunk, _within(seconds, told.is_set))
        return
    _refuse(source, for_person, "subject:PICTURES")
    wait = WAIT_S if wait is None else wait
    if not (math.isfinite(wait) and wait >= 0):
        raise ConfigError(f"--wait {wait:g}", "seconds, 0 for not at all")
    timeline = open_timeline(source, subject=subject, session=session, split=split, stream=stream).crop(start, stop)
    chunk = chunk or max(1, round(timeline.sfreq * CHUNK_S))
    info = stream_info(timeline, name, speed)
    console.print(
        f"{timeline.description}\n{len(timeline.ch_names)} channels at {timeline.sfreq:g} Hz, "
        f"{duration_text(timeline.duration)}, {len(timeline.events)} events, {chunk} sample(s) a packet"
        + (f", {speed:g} times as fast" if speed != 1 else "")
        + (f", already applied: {', '.join(timeline.applied)}" if timeline.applied else ""),
        markup=False,
        soft_wrap=True,
    )
    with told_to_end() as told:
        eeg = EEGOutlet(info)
        markers = MarkerOutlet(f"{info.name}-markers", f"{info.source_id}-markers")
        console.print(
            f"LSL streams {info.name!r} (EEG) and {info.name + '-markers'!r} (Markers) are in reach",
            markup=False,
            soft_wrap=True,
        )
        _wait_for_listeners(eeg, markers, wait, told.is_set)
        with progress() as bar:
            task = bar.add_task("replay", total=None if loop else timeline.n_times)
            player = Player(
                timeline,
                eeg,
                markers,
                speed=speed,
                chunk=chunk,
                loop=loop,
                should_stop=_within(seconds, told.is_set),
                on_progress=lambda n_samples: bar.advance(task, n_samples),
            )
            summary = player.run()
        if not told.is_set():
            time.sleep(LINGER_S)
        stopped = told.is_set()
    console.print(
        f"{'stopped' if stopped else 'played to the end'}: {summary.n_samples} samples, {summary.n_events} events"
        + (f", {summary.n_passes} whole passes" if loop else "")
        + f"; worst lateness {summary.worst_lateness * 1000:.1f} ms",
        soft_wrap=True,
    )
