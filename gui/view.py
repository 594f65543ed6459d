"""Watch a running decoder, or a recording of it, in a window of its own: feed or file, gallery -> window."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from necomimi.console import console
from necomimi.errors import ConfigError
from necomimi.feed import DEFAULT_ADDRESS
from necomimi.gallery import Gallery
from necomimi.programs import has_display
from necomimi.report import require_folders

__all__ = ["command"]

SCREENSHOT_AFTER_S = 10.0


def command(
    feed: Annotated[
        str | None, typer.Option(help="Address of the decoder's feed.", show_default=DEFAULT_ADDRESS)
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Gallery or decoder directory, for the pictures; without it labels only."),
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Folder of the keys for an encrypted feed (necomimi keys).")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Keep every message of the feed in this new file, for --playback.")
    ] = None,
    playback: Annotated[
        Path | None, typer.Option(help="Show a recording (--record) as it was; no decoder is needed.")
    ] = None,
    theme: Annotated[
        Literal["dark", "light", "auto"] | None,
        typer.Option(help="Colours; auto is the desktop's.", show_default="as last time, at first auto"),
    ] = None,
    language: Annotated[
        Literal["en", "ja", "auto"] | None,
        typer.Option(help="English or Japanese; auto is the desktop's.", show_default="as last time, at first auto"),
    ] = None,
    reset_layout: Annotated[
        bool, typer.Option("--reset-layout", help="Forget how the window was arranged last time.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Close after this many seconds.")] = None,
    screenshot: Annotated[
        Path | None,
        typer.Option(
            help=f"Save a PNG just before closing (after {SCREENSHOT_AFTER_S:g} s if --seconds is absent); with "
            "--playback that many seconds into the recording, at once. The layout is neither taken nor kept."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a report of what was watched when the window closes (HTML).")
    ] = None,
) -> None:
    """Watch a running decoder, or a recording of it: EEG, what is seen, read and painted, how well, how fast.

    It may be started before or after the decoder, and finds it again after a restart. F1 lists the keys.

    Example: necomimi view --gallery decoders/demo
    """
    require_folders(screenshot, report)
    if playback is not None:
        for name, value in (("--feed", feed), ("--keys", keys), ("--record", record)):
            if value is not None:
                raise ConfigError(f"--playback and {name}", "one of them: a recording is played, or a feed is watched")
    _require_display(screenshot)
    pictures = None if gallery is None else Gallery.load(gallery)
    if seconds is None and screenshot is not None:
        seconds = SCREENSHOT_AFTER_S

    from .watching import Wishes, watch

    status = watch(
        playback or feed or DEFAULT_ADDRESS,
        Wishes(
            gallery=pictures,
            keys=keys,
            record=record,
            theme=theme,
            language=language,
            reset_layout=reset_layout,
            seconds=seconds,
            screenshot=screenshot,
            report=report,
        ),
    )
    if status:
        raise typer.Exit(status)
    for name, path in (("screenshot", screenshot), ("report", report), ("recording", record)):
        if path is not None:
            console.print(f"{name}: {path}", markup=False, soft_wrap=True)


def _require_display(screenshot: Path | None) -> None:
    """Make sure that there is a screen, or draw without one for a screenshot.

    Raises
    ------
    ConfigError
        There is no screen, and a window is wanted.
    """
    if has_display():
        return
    if screenshot is None:
        raise ConfigError(
            "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            "a graphical session",
            "--screenshot FILE draws without one; on a distant machine use ssh -X",
        )
    console.print("no display: drawing offscreen for the screenshot")
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
