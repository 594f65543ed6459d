"""Decode live EEG: LSL streams, decoder directory -> decisions on the feed, on LSL and in a log."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from necomimi.console import console
from necomimi.errors import ConfigError, NecomimiError
from necomimi.feed import DEFAULT_ADDRESS
from necomimi.gallery import Gallery
from necomimi.generators import NAMES, StageChoice
from necomimi.lsl import configuration_file
from necomimi.preprocessing import Preprocessor
from necomimi.programs import STOP_SIGNALS
from necomimi.records import Status, StreamInfo

from .outlets import Outlets
from .recorder import Recorder
from .signal_check import Limits
from .source import LSLSource, StreamChoice

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["command", "summary_of"]

logger = logging.getLogger(__name__)

RECORDER_TIMEOUT_S = 10.0
SWITCH_S = 5e-4  # a thread that has samples waits no longer than this for one that computes


def summary_of(status: Status) -> dict[str, Any]:
    """Return the counts and latencies of a run, for the log's last line."""
    return {
        "n_events": status.n_events,
        "n_retrievals": status.n_retrievals,
        "n_refusals": status.n_refusals,
        "refusals": dict(status.refusals),
        "n_samples": status.n_samples,
        "n_missing": status.n_missing,
        "n_classes": status.n_classes,
        "n_pictures": status.n_pictures,
        "n_pictures_dropped": status.n_pictures_dropped,
        "latency_ms": {step: dict(values) for step, values in status.latency_ms.items()},
    }


def _print_summary(status: Status) -> None:
    """Print the count of events, the refusals by reason, and milliseconds per step."""
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(status.refusals.items())) or "none"
    console.print(
        f"{status.n_events} events = {status.n_retrievals} retrievals + {status.n_refusals} refusals ({reasons}); "
        f"{status.n_samples} samples, {status.n_missing} missing"
    )
    if status.n_pictures or status.n_pictures_dropped:
        console.print(
            f"{status.n_pictures} pictures; {status.n_pictures_dropped} left out, or only coarse, for a newer one"
        )
    if status.latency_ms:
        table = Table("ms", *next(iter(status.latency_ms.values())), box=None)
        for step, values in status.latency_ms.items():
            table.add_row(step, *(f"{value:.2f}" for value in values.values()))
        console.print(table)


def parse_early(text: str, preprocessor: Preprocessor) -> tuple[float, ...]:
    """Return the ends in a list of milliseconds such as "200,300,400", in ascending seconds from the onset.

    Raises
    ------
    ConfigError
        An entry is no number, or does not lie inside the decoder's window.
    """
    expected = f"milliseconds between {1e3 * preprocessor.start:g} and {1e3 * preprocessor.tmax:g}, such as 200,300,400"
    try:
        ends = tuple(sorted({float(entry) / 1e3 for entry in text.split(",")}))
    except ValueError as error:
        raise ConfigError(f"--early {text!r}", expected) from error
    if not all(preprocessor.start < end < preprocessor.tmax for end in ends):
        raise ConfigError(f"--early {text!r}", expected, "the answer at the window's end comes in any case")
    return ends


def command(
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="A decoder directory (necomimi train encoder).")],
    gallery: Annotated[Path | None, typer.Option(help="Search this gallery instead of the decoder's own.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Whose EEG it is, where the decoder is of several people (sub-01).")
    ] = None,
    eeg_name: Annotated[str | None, typer.Option(help="Name of the EEG stream.")] = None,
    eeg_type: Annotated[str | None, typer.Option(help="Type of the EEG stream.")] = "EEG",
    eeg_source_id: Annotated[str | None, typer.Option(help="source_id of the EEG stream.")] = None,
    markers_name: Annotated[str | None, typer.Option(help="Name of the marker stream.")] = None,
    markers_type: Annotated[str | None, typer.Option(help="Type of the marker stream.")] = "Markers",
    markers_source_id: Annotated[str | None, typer.Option(help="source_id of the marker stream.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the EEG, where the stream's header is wrong.")] = None,
    interpolate: Annotated[
        int, typer.Option(min=0, help="Missing channels that may be interpolated from the others.")
    ] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the streams.")] = 10.0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    top_k: Annotated[int, typer.Option(min=1, help="Labels in each answer.")] = 5,
    average: Annotated[
        int, typer.Option(min=1, help="Answer from the last so many presentations of a stimulus (of one label).")
    ] = 1,
    sure: Annotated[
        float | None, typer.Option(min=0, max=1, help="Announce a stimulus whose best label is this probable.")
    ] = None,
    early: Annotated[
        str | None, typer.Option(help="Answer provisionally after these milliseconds, such as 200,300,400.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=0.02, help="Decode the latest window each so many seconds, without markers.")
    ] = None,
    generator: Annotated[str, typer.Option(help=f"Paint each decision: none, {', '.join(NAMES)}.")] = "none",
    generator_model: Annotated[
        str | None, typer.Option("--model", help="The generator's folder of weights, or hub id of another base model.")
    ] = None,
    stage: Annotated[
        StageChoice | None,
        typer.Option(help="Paint the embedding (one), what the prior makes of it (two; default with one), or both."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the generator for each picture.")] = None,
    reject: Annotated[float | None, typer.Option(min=0, help="Refuse epochs over this many µV peak to peak.")] = None,
    flat: Annotated[float, typer.Option(min=0, help="A channel of at most so many µV peak to peak is flat.")] = 0.0,
    max_flat: Annotated[float, typer.Option(min=0, max=1, help="Refuse epochs with a larger share flat.")] = 0.25,
    reference: Annotated[
        float, typer.Option(min=0, help="All channels alike over this many µV: the reference is lost.")
    ] = 300.0,
    record: Annotated[
        Path | None, typer.Option(help="Record EEG, markers and decisions: FILE.xdf, or a folder to name it in.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="JSON Lines file of all decisions.")] = None,
    log_embeddings: Annotated[bool, typer.Option(help="Write each embedding into the log.")] = False,
    similarities: Annotated[bool, typer.Option(help="Offer the similarity to each class as an LSL stream.")] = False,
    feed: Annotated[str, typer.Option(help="Address of the feed: on 127.0.0.1, or any with --keys.")] = DEFAULT_ADDRESS,
    keys: Annotated[Path | None, typer.Option(help="Encrypt the feed with these keys (necomimi keys).")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
    exit_when_lost: Annotated[
        float | None, typer.Option(help="Stop when the EEG has been away for this many seconds.")
    ] = None,
) -> None:
    """Decode live EEG until Ctrl-C. Every event is answered: by labels, or by a refusal with its reason.

    Example: necomimi decode decoder/ --log decisions.jsonl
    """
    import torch

    from necomimi.decoder import Decoder

    from .answering import Answerer
    from .painting import load_painter
    from .pipeline import Pipeline

    if early is not None and every is not None:
        raise ConfigError("--early with --every", "one of them", "a sliding window has no end to wait for")
    model = Decoder.load(decoder, device)
    if subject is not None:
        model.use_subject(subject)
    elif model.subjects:
        people = ", ".join(model.subjects)
        logger.warning("the decoder knows %s, and nobody is named with --subject: it takes the mean of them", people)
    if gallery is not None:
        model.use_gallery(Gallery.load(gallery))
    if model.gallery is None:
        raise ConfigError(f"{decoder} has no gallery of its own", "one to search", "--gallery DIR (necomimi embed)")
    ends = parse_early(early, model.preprocessor) if early is not None else ()
    if ends and not model.training.get("truncated"):
        logger.warning("the decoder was not trained on unfinished epochs: expect little of --early (--truncation)")
    if average > 1 and not model.averaging.calibrated:
        logger.warning("the decoder knows no repetitions: probabilities of averaged answers are not calibrated")
    painter = None
    if generator != "none":
        painter = load_painter(model, generator, device, model=generator_model, stage=stage, steps=steps)
    elif (generator_model, stage, steps) != (None, None, None):
        raise ConfigError("--model, --stage or --steps without a generator", "--generator NAME", "see --help")
    if model.device.type == "cpu":
        torch.set_num_threads(1)  # one epoch is too little work to share; a second thread only adds waiting
    logger.info("%s on %s; %d classes; each answer needs the signal until %g s after the onset; lsl_api.cfg: %s",
                decoder, model.device, len(model.classes), model.preprocessor.tmax,
                configuration_file() or "built-in defaults")  # fmt: skip

    def check(info: StreamInfo) -> None:
        model.preprocessor.check_stream(info.sfreq / info.speed, info.applied)

    stopping = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    markers = StreamChoice(type=markers_type, name=markers_name, source_id=markers_source_id)
    source = LSLSource(
        ch_names=model.preprocessor.ch_names,
        check=check,
        eeg=StreamChoice(type=eeg_type, name=eeg_name, source_id=eeg_source_id),
        markers=markers if every is None else None,
        unit=unit,
        max_interpolated=interpolate,
    )
    with_mne = ThreadPoolExecutor(1)  # its resampling takes a second to load, which the search for streams only waits
    loaded = with_mne.submit(model.preprocessor.operators, 4 * model.preprocessor.sfreq)
    with_mne.shutdown(wait=False)
    outlets = Outlets(
        feed,
        log,
        eeg_source_id or eeg_name or eeg_type or "any",
        log_embeddings,
        keys=keys,
        classes=model.classes if similarities else (),
        run={
            "decoder": str(decoder),
            "average": average,
            "sure": sure,
            "early": ends,
            "every": every,
            "generator": generator,
        },
    )
    recorder = None
    try:
        source.open(timeout, stopping.is_set)
        if record is not None:
            recorder = Recorder(record, [*source.streams, *outlets.streams], task="decode")
            recorder.start(RECORDER_TIMEOUT_S, stopping.is_set)
            console.print(f"recording to {recorder.path}")
    except NecomimiError:
        source.close()
        outlets.close({})
        if stopping.is_set():
            raise typer.Exit(130) from None  # Ctrl-C while it was still looking
        raise
    pipeline = Pipeline(
        Answerer(model, top_k, average, float("inf") if sure is None else sure, similarities),
        source,
        outlets,
        Limits(
            amplitude=float("inf") if reject is None else reject * 1e-6,
            flat=flat * 1e-6,
            max_flat=max_flat,
            common=reference * 1e-6,
        ),
        ends,
        every,
        notices=lambda: recorder.problem(source.streams) if recorder is not None else "",
        painter=painter,
    )
    source.on_state = pipeline.announce
    loaded.result()
    gc.collect()
    gc.freeze()  # what was loaded stays: no collection need look at it again while samples come
    sys.setswitchinterval(SWITCH_S)
    pipeline.start()
    console.print(f"decoding; the feed is {outlets.address}; Ctrl-C ends")
    _wait(pipeline, source, stopping, seconds, exit_when_lost)
    status = pipeline.stop()
    if recorder is not None:
        recorder.stop()
    source.close()
    outlets.close(summary_of(status))
    _print_summary(status)
    if pipeline.failure is not None:
        raise typer.Exit(1)


def _wait(
    pipeline: Pipeline,
    source: LSLSource,
    stopping: threading.Event,
    seconds: float | None,
    exit_when_lost: float | None,
) -> None:
    """Return when the run shall end."""
    started = seen = time.monotonic()
    while not stopping.wait(0.1) and pipeline.is_running:
        now = time.monotonic()
        if source.state == "LIVE":
            seen = now
        if seconds is not None and now - started >= seconds:
            return
        if exit_when_lost is not None and now - seen >= exit_when_lost:
            console.print(f"the EEG stream has been away for {exit_when_lost:g} s")
            return
