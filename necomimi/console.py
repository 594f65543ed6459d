"""What programs print for people: remarks, progress -> standard error; answers -> standard output."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["console", "output", "progress"]

console = Console(stderr=True, highlight=False)  # progress and remarks
output = Console(highlight=False)  # the answer itself: tables


def progress() -> Progress:
    """Return a progress display, to be used in a with block; it leaves its last state on screen."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
