"""`necomimi`: find the sub-command, load only that one: argv -> exit status 0, 1 or 2."""

from __future__ import annotations

import errno
import importlib.util
import io
import logging
import os
import sys
from ast import Constant, Expr, parse
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from necomimi import __version__
from necomimi.errors import NecomimiError

__all__ = ["main"]

COMMAND_GROUP = "necomimi.commands"
# What a command is for: the longest of these that its module begins with, in the order of a first visit.
SECTIONS = {
    "necomimi.": "Start here",
    "necomimi.offline.": "Train and judge",
    "necomimi.realtime.": "Decode live",
    "necomimi.gui.": "Windows",
    "necomimi.replay.": "Play recordings",
    "": "From other packages",
}
STYLE: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 120},
}


@cache
def _commands() -> dict[str, EntryPoint]:
    """Return the installed sub-commands by name."""
    return {point.name: point for point in entry_points(group=COMMAND_GROUP)}


def _arrow(point: EntryPoint) -> str:
    """Return the first docstring line of a sub-command's module, without running the module."""
    try:
        spec = importlib.util.find_spec(point.module)
    except ModuleNotFoundError:
        return "(not installed)"
    if spec is None or spec.origin is None:
        return "(not installed)"
    body = parse(Path(spec.origin).read_text(encoding="utf-8")).body
    if body and isinstance(body[0], Expr) and isinstance(body[0].value, Constant):
        return str(body[0].value.value).strip().splitlines()[0]
    return ""


class LazyGroup(TyperGroup):
    """A command group whose members are entry points, imported only when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the installed sub-commands."""
        return sorted(_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of one sub-command and return its command."""
        point = _commands().get(cmd_name)
        if point is None:
            return None
        target = point.load()
        app = target
        if not isinstance(target, typer.Typer):
            app = typer.Typer(**STYLE)
            app.command(name=cmd_name)(target)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List each sub-command with the arrow of its module, in the section of its folder."""
        sections: dict[str, list[tuple[str, str]]] = {folder: [] for folder in SECTIONS}
        for name, point in sorted(_commands().items()):
            folder = max((folder for folder in SECTIONS if point.module.startswith(folder)), key=len)
            sections[folder].append((name, _arrow(point)))
        width = max(map(len, _commands()))
        for folder, rows in sections.items():
            if rows:
                with formatter.section(SECTIONS[folder]):
                    formatter.write_dl([(name.ljust(width), arrow) for name, arrow in rows])


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, **STYLE)


def _print_version(wanted: bool) -> None:
    """Print the version and leave, when asked to."""
    if wanted:
        typer.echo(f"necomimi {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log milliseconds per step as well.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Show what a person is looking at from their EEG, in real time.

    Start with: necomimi demo
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for noisy in ("matplotlib", "PIL", "numba"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main() -> None:
    """Run `necomimi`: 0 on success, 1 when something failed, 2 when the user must change something."""
    # Threads that wait for each other by spinning take the cores from one another when something else runs: a training
    # pass beside two busy processes took 17.8 s on two cores, 1.4 s with a short spin, and 0.6 s either way when alone.
    os.environ.setdefault("GOMP_SPINCOUNT", "100")
    for stream in (sys.stdout, sys.stderr):  # a console of Windows may have no sign for what a stream is called
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except NecomimiError as error:
        typer.echo(f"necomimi: {error}", err=True)
        sys.exit(error.exit_status)
    except OSError as error:  # a folder that must not be written, a full disk; without a file's name it is our mistake
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        typer.echo(f"necomimi: {where}{error.strerror}", err=True)
        sys.exit(1)
