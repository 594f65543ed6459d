"""Check the electrodes before a session: LSL EEG stream -> every channel judged, in a window or a table."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from necomimi.console import console, output
from necomimi.errors import ConfigError, StreamNotFoundError
from necomimi.programs import has_display, told_to_end

from .ending import open_application

if TYPE_CHECKING:
    from .signal_report import SignalReport
    from .signal_source import SignalSource

__all__ = ["command"]

JUDGED_S = 4.0  # of the newest signal
HEADLESS_S = 4.0
SCREENSHOT_AFTER_S = 6.0
POLL_S = 0.05


def command(
    eeg_name: Annotated[str | None, typer.Option(help="Name of the EEG stream.")] = None,
    eeg_type: Annotated[str | None, typer.Option(help="Type of the EEG stream.")] = "EEG",
    eeg_source_id: Annotated[str | None, typer.Option(help="source_id of the EEG stream.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the EEG, where the stream's header is wrong.")] = None,
    timeout: Annotated[
        float,
        typer.Option(help="Seconds to wait for the stream, and where the check ends by itself, for its first samples."),
    ] = 10.0,
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of bad channels with which a session may begin.")
    ] = 0.1,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Measure for so long, then end: status 0 if ready, 1 if not.")
    ] = None,
    headless: Annotated[bool, typer.Option(help=f"No window: a table after --seconds ({HEADLESS_S:g}).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="No window: one JSON object after --seconds.")] = False,
    theme: Annotated[Literal["dark", "light", "auto"], typer.Option(help="Colours.")] = "auto",
    language: Annotated[Literal["en", "ja", "auto"], typer.Option(help="Words of the window.")] = "auto",
    screenshot: Annotated[
        Path | None,
        typer.Option(help=f"Save a PNG just before closing (after {SCREENSHOT_AFTER_S:g} s if --seconds is absent)."),
    ] = None,
) -> None:
    """Check the electrodes before a session: which are good, which are not, and what to do about those.

    In the window, Space or Enter goes on (exit status 0), Q or Esc cancels (1), T changes the colours.

    Example: necomimi signal --max-bad 0.05
    """
    without_window = headless or as_json
    if screenshot is not None and (without_window or not screenshot.absolute().parent.is_dir()):
        raise ConfigError(f"--screenshot {screenshot}", "a file in a folder that exists, and a window")
    if not without_window and not has_display():
        if screenshot is None:
            raise ConfigError("there is no display", "a graphical session", "--headless prints a table instead")
        os.environ["QT_QPA_PLATFORM"] = "offscreen"

    from .signal_source import SignalSource

    if seconds is None and (without_window or screenshot is not None):
        seconds = HEADLESS_S if without_window else SCREENSHOT_AFTER_S
    source = SignalSource(
        name=eeg_name,
        type=eeg_type,
        source_id=eeg_source_id,
        unit=unit,
        timeout=timeout,
        patience=math.inf if seconds is None else timeout,
        seconds=JUDGED_S,
    )
    try:
        with told_to_end() as told:
            if without_window:
                ready = _measure(source, seconds or HEADLESS_S, max_bad, told, as_json)
            else:
                ready = _show(source, seconds, max_bad, told, theme, language, screenshot)
        if source.error is not None:
            raise source.error
    except StreamNotFoundError as error:  # an answer to the question that was asked, rather than a wrong option
        typer.echo(f"necomimi: {error}", err=True)
        raise typer.Exit(1) from error
    if not ready:
        raise typer.Exit(1)


def _measure(source: SignalSource, seconds: float, max_bad: float, told: threading.Event, as_json: bool) -> bool:
    """Listen for some seconds, print the report, and return whether a session may begin."""
    from .signal_report import report_of

    source.start()
    report, end = None, None
    while source.error is None and not told.wait(POLL_S) and (end is None or time.monotonic() < end):
        if end is None and source.latest() is not None:
            end = time.monotonic() + seconds
    heard = source.latest()
    source.stop()
    if source.error is not None:
        return False
    if heard is not None:
        report = report_of(*heard, max_bad)
    if report is None:
        console.print("too little signal came to judge by")
        return False
    if as_json:
        output.print_json(json.dumps(report.as_json()))
    else:
        output.print(_table(report))
        output.print(report.sentence())
    return report.ready


def _table(report: SignalReport) -> Table:
    """Return the channels as lines, the bad ones with what to do."""
    from .eeg_ring import VOLTS_TO_MICROVOLTS
    from .signal_report import advice

    table = Table(box=None, pad_edge=False)
    table.add_column("channel")
    table.add_column("verdict")
    for name in ("1-40 Hz µV", "mains µV", "65-200 Hz µV", "drift µV"):
        table.add_column(name, justify="right")
    table.add_column("what to do")
    for channel in report.channels:
        figures = (channel.rms, channel.mains, channel.high, channel.drift)
        words = (f"{volts * VOLTS_TO_MICROVOLTS:.1f}" for volts in figures)
        name = escape("".join(char if char.isprintable() else "\ufffd" for char in channel.name))
        table.add_row(name, channel.verdict, *words, advice(channel.verdict))
    return table


def _show(
    source: SignalSource,
    seconds: float | None,
    max_bad: float,
    told: threading.Event,
    theme: Literal["dark", "light", "auto"],
    language: Literal["en", "ja", "auto"],
    screenshot: Path | None,
) -> bool:
    """Open the window until the person has decided or time is up; return whether to go on."""
    from .language import choose_language, use_language
    from .screenshot import save_png
    from .signal_window import SignalWindow
    from .theme import choose

    use_language(choose_language(language))
    application = open_application(told)
    window = SignalWindow(source, choose(theme), max_bad, seconds)
    window.show()
    window.start()
    status = application.exec()
    source.stop()
    if status:
        raise typer.Exit(status)
    if screenshot is not None and source.error is None:
        save_png(window, screenshot)
        console.print(f"screenshot: {screenshot}", markup=False, soft_wrap=True)
    if not window.accepted and window.report is not None:
        console.print(window.report.sentence(), markup=False)
    return window.accepted
