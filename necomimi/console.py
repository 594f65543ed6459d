"""What programs print for people: remarks, progress -> standard error; answers -> standard output."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["console", "output", "progress"]

console = Console(stderr=True, highlight=False)  # progress and remarks
# The answer itself: tables, which must not be cut where they go to a file or another program.
output = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def progress() -> Progress:
    """Return a progress display, to be used in a with block; it leaves its last state on screen."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
