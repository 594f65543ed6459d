"""Measure this machine: settings -> latency and CPU share beside peers; memory and lag over hours; painting."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from necomimi.console import output
from necomimi.errors import ConfigError
from necomimi.generators import NAMES, generator_names

from .bench_generator import generator
from .bench_live import FIGURES, measure
from .bench_setup import Settings
from .bench_soak import Soak, soak
from .latency import QUANTILES

__all__ = ["app", "live", "soak_command"]

TARGETS_MS = {"epoch_ready_ms": {"p50": 2.0, "p99": 10.0}, "decision_ms": {"p50": 5.0, "p99": 20.0}}
PICTURE_TARGETS_MS = {"preview_ms": 60.0, "picture_ms": 250.0}
RATIO_TARGET = 1.1  # of decisions with pictures to those without
ACQUISITION_PERCENT = 10.0
TREND_S = 600  # a growth in MB an hour that is seen over less says nothing
SYSTEMS = {
    "necomimi": "necomimi",
    "painting": "necomimi painting",
    "mne_lsl": "mne-lsl",
    "mne_lsl_manual": "mne-lsl by hand",
    "pylsl": "plain pylsl",
}
TITLES = {
    "sample_age_ms": "age of the newest sample after a pull",
    "epoch_ready_ms": "whole epoch after its last packet was due",
    "decision_ms": "decision after the last packet was due",
}

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Channels = Annotated[int, typer.Option(help="EEG channels.")]
Sfreq = Annotated[float, typer.Option(help="The amplifier's rate in Hz.")]
Chunk = Annotated[int, typer.Option(help="Samples a packet.")]
Events = Annotated[float, typer.Option(help="Events a second.")]
EncoderName = Annotated[str, typer.Option(help="Such as multiblur or nerv; its weights are random.")]


@app.callback()
def _bench() -> None:
    """Measure what this machine can do."""


app.command("generator")(generator)


@app.command("live")
def live(
    seconds: Annotated[int, typer.Option(min=1, help="Length of each measurement.")] = 60,
    channels: Channels = 63,
    sfreq: Sfreq = 1000.0,
    chunk: Chunk = 10,
    events: Events = 5.0,
    encoder: EncoderName = "multiblur",
    generator: Annotated[str, typer.Option(help=f"Measure with pictures too: none, {', '.join(NAMES)}.")] = "none",
    model: Annotated[str | None, typer.Option(help="The generator's folder of weights.")] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Measure mne-lsl too, where it is installed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure sample age, epoch and decision latency and CPU share, beside a plain pylsl loop and mne-lsl.

    All decode the same amplifier, made up and running in a process of its own, with the same encoder, one after
    another. A packet is due at the stamp of its last sample; latencies count from there.

    Example: necomimi bench live --seconds 60 --peers
    """
    _check_encoder(encoder)
    if generator not in ("none", *generator_names()):
        raise ConfigError(f"--generator {generator!r}", f"none, {', '.join(generator_names())}")
    settings = Settings(
        seconds=seconds, n_channels=channels, sfreq=sfreq, chunk=chunk, events=events, encoder=encoder,
        generator=generator, model=model,
    )  # fmt: skip
    results = measure(settings, peers)
    if as_json:
        output.print_json(json.dumps(results))
        return
    _print_live(results)


def _print_live(results: dict[str, Any]) -> None:
    """Print one table per figure, and one of CPU shares and counts."""
    systems = {key: title for key, title in SYSTEMS.items() if results[key] is not None}
    table = Table("milliseconds", box=None)
    for name in QUANTILES:
        table.add_column(name, justify="right")
    for figure in FIGURES:
        table.add_row(f"[bold]{TITLES[figure]}[/]")
        for key, title in systems.items():
            table.add_row(title, *(f"{results[key][figure][name]:.2f}" for name in QUANTILES))
        for key, factors in results["ratios"].items():
            table.add_row(f"{SYSTEMS[key]} / necomimi", *(f"{factors[figure][name]:.1f}x" for name in QUANTILES))
        if targets := TARGETS_MS.get(figure):
            table.add_row("target", *(f"{targets[name]:g}" if name in targets else "" for name in QUANTILES))
        table.add_section()
    output.print(table)
    table = Table("", box=None)
    for name in ("CPU", "events", "answered", "refused", "lost"):
        table.add_column(name, justify="right")
    for key, title in systems.items():
        row = results[key]
        counts = (str(row[name]) for name in ("n_events", "n_retrievals", "n_refusals", "n_lost"))
        table.add_row(title, f"{row['cpu_percent']:.1f} %", *counts)
    output.print(table)
    if results["painting"] is not None:
        _print_pictures(results)
    ours = results["necomimi"]
    output.print(
        f"acquisition of necomimi: {ours['acquisition_percent']:.1f} % of a core in its thread, at most "
        f"{ours['acquisition_percent_at_most']:.1f} % with liblsl's own threads (target {ACQUISITION_PERCENT:g} %)"
    )
    machine, settings = results["machine"], results["settings"]
    output.print(
        f"{settings['n_channels']} channels at {settings['sfreq']:g} Hz in packets of {settings['chunk']}, "
        f"{settings['events']:g} events a second, {settings['encoder']}, {settings['seconds']} s each; "
        f"{machine['n_cpus']} cores of {machine['processor']}, load before the run {machine['load_average']:.2f}"
    )


def _print_pictures(results: dict[str, Any]) -> None:
    """Print what painting costs the decisions, and how long the pictures take."""
    painting, ratios = results["painting"], results["ratios"]["painting"]["decision_ms"]
    table = Table(f"pictures by {results['settings']['generator']}", *QUANTILES, "target", box=None)
    table.add_row(
        "decision with pictures / without",
        *(f"{ratios[name]:.2f}x" for name in QUANTILES),
        f"{RATIO_TARGET:g}x",
    )
    for key, title in (("preview_ms", "preview after the decision"), ("picture_ms", "finest picture after it")):
        if painting[key] is not None:
            figures = (f"{painting[key][name]:.1f} ms" for name in QUANTILES)
            table.add_row(title, *figures, f"{PICTURE_TARGETS_MS[key]:g} ms")
    output.print(table)
    output.print(
        f"{painting['n_pictures']} decisions painted, {painting['n_pictures_dropped']} not, or only coarsely, for a "
        "newer one"
    )


@app.command("soak")
def soak_command(
    minutes: Annotated[float, typer.Option(min=0.05, help="Length of the run.")] = 60.0,
    channels: Channels = 63,
    sfreq: Sfreq = 1000.0,
    chunk: Chunk = 10,
    events: Events = 5.0,
    encoder: EncoderName = "multiblur",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Decode a made-up amplifier for a long time, and watch memory, lag and the count of every sample and event.

    Ends with status 1 where something was lost or refused, or where memory grows.

    Example: necomimi bench soak --minutes 60
    """
    _check_encoder(encoder)
    settings = Settings(
        seconds=max(1, round(60 * minutes)), n_channels=channels, sfreq=sfreq, chunk=chunk, events=events,
        encoder=encoder,
    )  # fmt: skip
    result = soak(settings)
    if as_json:
        output.print_json(json.dumps(result.to_json()))
    else:
        _print_soak(result)
    if result.problems:
        raise typer.Exit(1)


def _print_soak(result: Soak) -> None:
    """Print what a long run showed, in words."""
    facts = result.to_json()
    table = Table(box=None, show_header=False)
    table.add_row("events", f"{result.n_events} = {result.n_retrievals} retrievals + {result.n_refusals} refusals")
    if result.refusals:
        table.add_row("refused", ", ".join(f"{reason} {n}" for reason, n in sorted(result.refusals.items())))
    table.add_row("samples", f"{result.n_samples} of {result.n_samples_sent} sent; {result.n_missing} missing")
    memory = facts["memory"]
    is_long = result.settings.seconds >= TREND_S
    trend = f"; {memory['slope_mb_per_hour']:+.1f} MB an hour" if is_long else " (too short a run for a trend)"
    table.add_row("memory", f"{memory['first_mb']:.1f} MB, then {memory['last_mb']:.1f} MB{trend}")
    table.add_row("largest lag", f"{1e3 * result.lag_s_max:.0f} ms")
    for title, key in (("decisions, first minute", "first_minute"), ("decisions, last minute", "last_minute")):
        figures = facts["decision_ms"][key]
        table.add_row(title, " / ".join(f"{figures[name]:.2f}" for name in QUANTILES) + " ms")
    table.add_row("CPU", f"{result.cpu_percent:.1f} % of a core")
    output.print(table)
    output.print("; ".join(result.problems) if result.problems else "nothing lost, memory flat")


def _check_encoder(encoder: str) -> None:
    from necomimi.encoders import names

    if encoder not in names():
        raise ConfigError(f"--encoder {encoder!r}", f"one of {', '.join(names())}")
