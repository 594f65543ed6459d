"""Write the reference of the command line from the commands themselves: entry points -> commands.md."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from necomimi.cli import app

__all__ = ["write_commands"]


def _leaves(command: Any, words: list[str], context: Any) -> Iterator[tuple[list[str], Any]]:
    """Yield every command that does something, with the words that call it."""
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    if not names:
        yield words, command
    for name in names:
        yield from _leaves(command.get_command(context, name), [*words, name], context)


def _cell(text: str) -> str:
    """Return text as a cell of a Markdown table holds it."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _row(parameter: Any) -> str:
    """Return the table row of an argument or option."""
    options = [*parameter.opts, *parameter.secondary_opts]
    name = ", ".join(f"`{option}`" for option in options)
    if parameter.param_type_name == "argument":
        name = f"`{parameter.metavar or parameter.name.upper()}`"
    default = parameter.default
    shown = "" if default in (None, False, ()) or callable(default) or parameter.required else f"`{default}`"
    return f"| {name} | {_cell(getattr(parameter, 'help', None) or '')} | {shown} |"


def write_commands(path: Path) -> None:
    """Write one section for each command: what it does, its example, its arguments and options."""
    root = typer.main.get_command(app)
    lines = ["# Commands", "", "Made from the programs themselves; `necomimi COMMAND --help` says the same.", ""]
    with root.make_context("necomimi", [], resilient_parsing=True) as context:
        for words, command in _leaves(root, ["necomimi"], context):
            text = inspect.cleandoc(command.help or "")
            what, _, example = text.partition("Example:")
            lines += [f"## {' '.join(words)}", "", what.strip(), ""]
            if example:
                lines += ["```sh", " ".join(example.split()), "```", ""]
            shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
            if shown:
                lines += ["| argument or option | what it is | by default |", "| --- | --- | --- |"]
                lines += [*(_row(parameter) for parameter in shown), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
