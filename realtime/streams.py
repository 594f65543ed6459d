"""List the LSL streams in reach, with their channels, rate and units: network -> table."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from necomimi.console import console, output
from necomimi.lsl import configuration_file, resolve_streams

__all__ = ["command"]


def command(
    timeout: Annotated[float, typer.Option(help="Seconds to listen.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """List the LSL streams in reach.

    Example: necomimi streams
    """
    infos = resolve_streams(timeout)
    if as_json:
        output.print_json(json.dumps({"streams": [asdict(info) for info in infos]}))
        return
    if not infos:
        console.print(f"no LSL stream in reach (lsl_api.cfg: {configuration_file() or 'built-in defaults'})")
        return
    table = Table(box=None)
    for column in ("name", "type", "channels", "rate", "units", "source_id"):
        table.add_column(column, overflow="fold")  # names are there to be copied
    for info in infos:
        names = ", ".join(info.ch_names[:6]) + (", ..." if len(info.ch_names) > 6 else "")
        units = ", ".join(sorted({unit or "(silent)" for unit in info.units}))
        rate = f"{info.sfreq:g} Hz" if info.sfreq else "irregular"
        table.add_row(info.name, info.type, f"{len(info.ch_names)}: {names}", rate, units, info.source_id)
    output.print(table)
