"""Show pictures one after another, and say over LSL when each was seen: a folder of pictures -> markers, log."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from necomimi.console import console, output
from necomimi.errors import ConfigError
from necomimi.programs import has_display
from necomimi.sequence import Paradigm

from .language import choose_language, use_language

__all__ = ["command"]

RAPID = Paradigm()


def command(
    pictures: Annotated[
        Path | None, typer.Argument(metavar="PICTURES", help="A folder of pictures, in folders by concept or flat.")
    ] = None,
    on: Annotated[float, typer.Option(min=0.001, help="Seconds that a picture is on.")] = RAPID.on_s,
    off: Annotated[float, typer.Option(min=0.0, help="Seconds of blank after it.")] = RAPID.off_s,
    sequence: Annotated[int, typer.Option(min=1, help="Pictures between two breaks.")] = RAPID.sequence,
    catch: Annotated[bool, typer.Option(help="Put a target to be answered by a key into each sequence.")] = RAPID.catch,
    target: Annotated[Path | None, typer.Option(help="Picture of the target; a drawn one if absent.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each picture is shown.")] = RAPID.repetitions,
    break_s: Annotated[
        float, typer.Option("--break", min=0.0, help="Least seconds between two sequences.")
    ] = RAPID.break_s,
    long_break_every: Annotated[
        int, typer.Option(min=0, help="Sequences between two long breaks, which a key ends; 0 for none.")
    ] = RAPID.long_break_every,
    limit: Annotated[int | None, typer.Option(min=1, help="Show so many of the pictures, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the order: the same one gives the same order.")] = RAPID.seed,
    size: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Side of a picture, as a share of the screen's height.")
    ] = 0.3,
    background: Annotated[int, typer.Option(min=0, max=255, help="Grey of the background.")] = 128,
    display: Annotated[int, typer.Option(min=0, help="Number of the screen.")] = 0,
    windowed: Annotated[bool, typer.Option("--windowed", help="In a window, for a trial.")] = False,
    offscreen: Annotated[bool, typer.Option("--offscreen", help="Without a display, for a rehearsal.")] = False,
    photodiode: Annotated[
        Literal["top-left", "top-right", "bottom-left", "bottom-right"] | None,
        typer.Option(help="Corner of a square that is white while a picture is on."),
    ] = None,
    photodiode_size: Annotated[
        float, typer.Option(min=0.005, max=0.5, help="Its side, as a share of the screen's height.")
    ] = 0.06,
    offset: Annotated[float, typer.Option(help="Milliseconds from a flip to the light, added to the markers.")] = 0.0,
    wait: Annotated[
        float, typer.Option(metavar="S", min=0.0, help="Wait so long for somebody who listens to the markers.")
    ] = 0.0,
    auto: Annotated[bool, typer.Option("--auto", help="Begin, and end long breaks, without a key.")] = False,
    log: Annotated[Path | None, typer.Option(metavar="FILE_events.tsv", help="Write a log in BIDS form.")] = None,
    language: Annotated[Literal["en", "ja", "auto"], typer.Option(help="Of what the screen says.")] = "auto",
    test_timing: Annotated[
        bool, typer.Option("--test-timing", help="Show no pictures, but measure how regular the flips are.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long --test-timing lasts.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON object.")] = False,
) -> None:
    """Show pictures in rapid sequences, as for THINGS-EEG2, with an LSL marker for each flip that shows one.

    The stream is called necomimi-present, and each marker names its picture as a gallery of the same folder does.
    Escape ends at once. Single pictures: --on 1 --off 1 --sequence 1 --no-catch.

    Example: necomimi present image_set/test_images --log sub-01_task-rsvp_events.tsv
    """
    if test_timing == (pictures is not None):
        raise ConfigError("PICTURES and --test-timing" if test_timing else "no PICTURES", "one of the two")
    if offscreen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    if not has_display():
        raise ConfigError(
            "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            "a graphical session",
            "--offscreen to rehearse without one: markers and log are true, but nobody sees the pictures",
        )
    use_language(choose_language(language))
    from .playing import Screen, measure_timing
    from .presenter import Run, present

    screen = Screen(
        display=display,
        windowed=windowed,
        size=size,
        background=background,
        photodiode=photodiode,
        photodiode_size=photodiode_size,
    )
    if pictures is None:
        result = measure_timing(screen, seconds)
        words = _timing_words(result)
    else:
        run = Run(
            folder=pictures,
            limit=limit,
            target=target,
            auto=auto,
            offset_s=1e-3 * offset,
            wait_s=wait,
            log=log,
        )
        paradigm = Paradigm(
            on_s=on,
            off_s=off,
            sequence=sequence,
            catch=catch,
            repetitions=repetitions,
            break_s=break_s,
            long_break_every=long_break_every,
            seed=seed,
        )
        result = present(run, paradigm, screen)
        words = _summary_words(result)
    if as_json:
        output.print_json(json.dumps(result))
    else:
        console.print(words, soft_wrap=True)


def _timing_words(result: dict[str, Any]) -> str:
    """Return a measurement in words."""
    names = ("mean", "sd", "p50", "p95", "p99", "max")
    figures = ", ".join(f"{name} {result[f'{name}_ms']:.3f}" for name in names)
    sync = "with" if result["vsync"] else "without"
    return (
        f"{result['n']} intervals at {result['refresh_hz']:.3f} Hz, {sync} vertical sync ({result['platform']})\n"
        f"{figures} ms; {result['n_dropped']} dropped\n{result['verdict']}"
    )


def _summary_words(result: dict[str, Any]) -> str:
    """Return a summary in words."""
    lines = [f"{result['n_pictures']} of {result['n_planned']} pictures shown"]
    if result["ended"] != "whole":
        lines[0] += f", then {result['ended']}"
    if result["interval_p50_ms"] is not None:
        lines.append(
            f"flips every {result['interval_p50_ms']:.3f} ms (p99 {result['interval_p99_ms']:.3f}), "
            f"{result['n_dropped']} dropped, {'with' if result['vsync'] else 'WITHOUT'} vertical sync"
        )
    if result["n_catches"]:
        lines.append(
            f"{result['n_hits']} of {result['n_catches']} targets answered, {result['n_false_alarms']} false alarms"
        )
    return "\n".join(lines)
