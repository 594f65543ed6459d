"""Look at the installation and at this machine: what is there, what is not -> how to mend it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from necomimi.checks import (
    Check,
    check_extras,
    check_folders,
    check_labrecorder,
    check_lsl,
    check_network,
    check_python,
    check_qt,
    check_torch,
)
from necomimi.console import console, output

__all__ = ["CHECKS", "check_all", "command"]

MAX_PARALLEL = 4

CHECKS: tuple[Callable[[], list[Check]], ...] = (
    check_python,
    check_lsl,
    check_network,
    check_qt,
    check_torch,
    check_labrecorder,
    check_extras,
    check_folders,
)


def check_all(checks: Sequence[Callable[[], list[Check]]]) -> list[Check]:
    """Return what all checks give, in their order; they run side by side, and one that breaks is a failure."""

    def guarded(check: Callable[[], list[Check]]) -> list[Check]:
        try:
            return check()
        except Exception as error:  # a doctor that faints helps nobody
            name = check.__name__.removeprefix("check_")
            return [Check(name, "failure", f"the check broke: {type(error).__name__}: {error}", "report this")]

    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        return [check for several in pool.map(guarded, checks) for check in several]


def command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at the installation and this machine, and say how to mend what is not right.

    The exit status is 1 where something has failed.

    Example: necomimi doctor
    """
    checks = check_all(CHECKS)
    n_failures, n_warnings = (sum(check.status == level for check in checks) for level in ("failure", "warning"))
    if as_json:
        output.print_json(json.dumps({"checks": [asdict(check) for check in checks], "ok": n_failures == 0}))
    else:
        table = Table("check", "", box=None, pad_edge=False)
        table.add_column("found", overflow="fold")  # paths are there to be copied
        for check in checks:
            style = {"ok": "green", "warning": "yellow", "failure": "bold red"}[check.status]
            table.add_row(check.name, f"[{style}]{check.status}[/]", escape(check.found))
            if check.remedy:
                table.add_row("", "", escape(f"-> {check.remedy}"))
        output.print(table)
        if n_failures or n_warnings:
            console.print(f"{_count(n_failures, 'failure')}, {_count(n_warnings, 'warning')}")
        else:
            console.print("all is well")
    if n_failures:
        raise typer.Exit(1)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")
