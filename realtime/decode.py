"""Decode live EEG: LSL streams, decoder directory -> decisions on the feed, on LSL and in a log."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from necomimi.console import console
from necomimi.decoder import Decoder
from necomimi.errors import ConfigError, NecomimiError
from necomimi.feed import DEFAULT_ADDRESS
from necomimi.gallery import Gallery
from necomimi.lsl import configuration_file
from necomimi.records import Status, StreamInfo

from .epoching import Limits
from .outlets import Outlets
from .pipeline import Pipeline
from .source import LSLSource, StreamChoice

__all__ = ["command", "summary_of"]

logger = logging.getLogger(__name__)


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
        "latency_ms": {step: dict(values) for step, values in status.latency_ms.items()},
    }


def _print_summary(status: Status) -> None:
    """Print the count of events, the refusals by reason, and milliseconds per step."""
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(status.refusals.items())) or "none"
    console.print(
        f"{status.n_events} events = {status.n_retrievals} retrievals + {status.n_refusals} refusals ({reasons}); "
        f"{status.n_samples} samples, {status.n_missing} missing"
    )
    if status.latency_ms:
        table = Table("ms", *next(iter(status.latency_ms.values())), box=None)
        for step, values in status.latency_ms.items():
            table.add_row(step, *(f"{value:.2f}" for value in values.values()))
        console.print(table)


def command(
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="A decoder directory (necomimi train encoder).")],
    gallery: Annotated[Path | None, typer.Option(help="Search this gallery instead of the decoder's own.")] = None,
    eeg_name: Annotated[str | None, typer.Option(help="Name of the EEG stream.")] = None,
    eeg_type: Annotated[str | None, typer.Option(help="Type of the EEG stream.")] = "EEG",
    eeg_source_id: Annotated[str | None, typer.Option(help="source_id of the EEG stream.")] = None,
    markers_name: Annotated[str | None, typer.Option(help="Name of the marker stream.")] = None,
    markers_type: Annotated[str | None, typer.Option(help="Type of the marker stream.")] = "Markers",
    markers_source_id: Annotated[str | None, typer.Option(help="source_id of the marker stream.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the EEG, where the stream's header is wrong.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the streams.")] = 10.0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    top_k: Annotated[int, typer.Option(min=1, help="Labels in each answer.")] = 5,
    reject: Annotated[float | None, typer.Option(help="Refuse epochs over this many µV peak to peak.")] = None,
    log: Annotated[Path | None, typer.Option(help="JSON Lines file of all decisions.")] = None,
    log_embeddings: Annotated[bool, typer.Option(help="Write each embedding into the log.")] = False,
    feed: Annotated[str, typer.Option(help="Address of the feed, on 127.0.0.1.")] = DEFAULT_ADDRESS,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
    exit_when_lost: Annotated[
        float | None, typer.Option(help="Stop when the EEG has been away for this many seconds.")
    ] = None,
) -> None:
    """Decode live EEG until Ctrl-C. Every event is answered: by labels, or by a refusal with its reason.

    Example: necomimi decode decoder/ --log decisions.jsonl
    """
    model = Decoder.load(decoder, device)
    if gallery is not None:
        model.use_gallery(Gallery.load(gallery))
    if model.gallery is None:
        raise ConfigError(f"{decoder} has no gallery of its own", "one to search", "--gallery DIR (necomimi embed)")
    if model.device.type == "cpu":
        torch.set_num_threads(1)  # one epoch is too little work to share; a second thread only adds waiting
    logger.info("%s on %s; %d classes; lsl_api.cfg: %s", decoder, model.device, len(model.classes),
                configuration_file() or "built-in defaults")  # fmt: skip

    def check(info: StreamInfo) -> None:
        model.preprocessor.check_stream(info.sfreq / info.speed, info.applied)

    stopping = threading.Event()
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # SIGBREAK is how Windows asks a console program to end
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stopping.set())
    source = LSLSource(
        ch_names=model.preprocessor.ch_names,
        check=check,
        eeg=StreamChoice(type=eeg_type, name=eeg_name, source_id=eeg_source_id),
        markers=StreamChoice(type=markers_type, name=markers_name, source_id=markers_source_id),
        unit=unit,
    )
    model.preprocessor.operators(4 * model.preprocessor.sfreq)  # MNE's resampling loads before samples wait for it
    outlets = Outlets(feed, log, eeg_source_id or eeg_name or eeg_type or "any", log_embeddings)
    try:
        source.open(timeout, stopping.is_set)
    except NecomimiError:
        source.close()
        if stopping.is_set():
            raise typer.Exit(130) from None  # Ctrl-C while it was still looking
        raise
    limits = Limits(amplitude=reject * 1e-6) if reject is not None else Limits()
    pipeline = Pipeline(model, source, outlets, limits, top_k)
    source.on_state = pipeline.announce
    pipeline.start()
    console.print(f"decoding; the feed is {outlets.address}; Ctrl-C ends")
    _wait(pipeline, source, stopping, seconds, exit_when_lost)
    status = pipeline.stop()
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
