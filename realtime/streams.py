"""List the LSL streams in reach, and how alive each is: network -> channels, rate, unit, age of the newest sample."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from necomimi.console import console, output
from necomimi.errors import StreamLostError
from necomimi.lsl import EEGInlet, configuration_file, local_clock, open_inlet, resolve_handles, to_record
from necomimi.records import StreamInfo

__all__ = ["Sighting", "command", "look", "look_at_all"]

OPEN_TIMEOUT_S = 3.0
LOOK_S = 1.0  # how long a stream is listened to
LATE_S = 1.0
AHEAD_S = 0.05
MAX_PARALLEL = 64

State = Literal["live", "late", "ahead", "stale", "silent", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How a stream was found.

    Parameters
    ----------
    info : StreamInfo
    state : str
        "live"; "late" or "ahead" (its newest sample is over 1 s old, or stamped in the future); "stale" (a stream of a
        fixed rate that sent nothing); "silent" (an irregular one that sent nothing, which says nothing);
        "unreachable" (it is announced, but does not open).
    age_s : float or None
        Age of the newest sample when it arrived, in seconds; None where none came.
    rate_hz : float or None
        Samples per second by their stamps; None where too few came.
    listened_s : float
        Seconds that it was listened to.
    """

    info: StreamInfo
    state: State
    age_s: float | None = None
    rate_hz: float | None = None
    listened_s: float = LOOK_S

    @property
    def newest(self) -> str:
        """The age of the newest sample, in words."""
        if self.state == "unreachable":
            return "does not answer"
        if self.state == "stale":
            return f"none in {self.listened_s:g} s: stale"
        if self.age_s is None:
            return "-"
        if self.state == "ahead":
            return f"{_duration(-self.age_s)} ahead of now"
        return _duration(self.age_s) + (": late" if self.state == "late" else "")


def look_at_all(timeout: float, seconds: float = LOOK_S) -> list[Sighting]:
    """Find all streams in reach and listen to all of them at once.

    Parameters
    ----------
    timeout : float
        Seconds to wait for streams to answer.
    seconds : float
        Seconds to listen to each.
    """
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        return list(pool.map(lambda handle: look(handle, seconds), resolve_handles(timeout)))


def look(handle: Any, seconds: float = LOOK_S) -> Sighting:
    """Open a stream from `resolve_handles`, and listen to it for some seconds."""
    try:
        with open_inlet(handle, OPEN_TIMEOUT_S) as inlet:
            stamps: list[float] = []
            age = None
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                pulled = inlet.pull(left)
                new = pulled[1] if isinstance(inlet, EEGInlet) else [stamp for _, stamp in pulled]
                if len(new):
                    age = local_clock() - float(new[-1])
                    stamps.extend(float(stamp) for stamp in new)
            return Sighting(
                info=inlet.info, state=_state(inlet.info, age), age_s=age, rate_hz=_rate(stamps), listened_s=seconds
            )
    except StreamLostError:
        return Sighting(info=to_record(handle), state="unreachable", listened_s=seconds)


def _state(info: StreamInfo, age: float | None) -> State:
    """Return how alive a stream is by the age of its newest sample, in seconds."""
    if age is None:
        return "stale" if info.sfreq else "silent"
    return "late" if age > LATE_S else "ahead" if age < -AHEAD_S else "live"


def _rate(stamps: Sequence[float]) -> float | None:
    """Return samples per second by their stamps, where there are enough."""
    span = stamps[-1] - stamps[0] if len(stamps) > 2 else 0.0
    return (len(stamps) - 1) / span if span > 0 else None


def _duration(seconds: float) -> str:
    """Return a duration in words."""
    return (
        f"{1e3 * seconds:.1f} ms" if seconds < 0.0995 else f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"
    )


def command(
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for streams to answer.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """List the LSL streams in reach: channels, rate, unit, and the age of the newest sample.

    Each stream is opened and listened to for a second, so a sender that hangs shows. A marker stream that is silent
    meanwhile has no age.

    Example: necomimi streams
    """
    sightings = look_at_all(timeout)
    if as_json:
        streams = [
            {**asdict(s.info), "state": s.state, "age_s": s.age_s, "rate_hz": s.rate_hz, "newest": s.newest}
            for s in sightings
        ]
        output.print_json(json.dumps({"configuration": configuration_file(), "streams": streams}))
        return
    if not sightings:
        console.print(f"no LSL stream in reach (lsl_api.cfg: {configuration_file() or 'built-in defaults'})")
        return
    output.print(_table(sightings))


def _table(sightings: Sequence[Sighting]) -> Table:
    """Return the sightings as lines."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "type", "channels", "rate", "unit", "newest", "source_id"):
        table.add_column(column, overflow="fold")  # names are there to be copied
    for sighting in sightings:
        info = sighting.info
        rate = f"{info.sfreq:g} Hz" if info.sfreq else "irregular"
        if info.sfreq and sighting.rate_hz is not None:
            rate += f", seen {sighting.rate_hz:.5g}"
        units = ", ".join(dict.fromkeys(unit or "(silent)" for unit in info.units))
        names = ", ".join(info.ch_names[:3]) + (", ..." if len(info.ch_names) > 3 else "")
        cells = (info.name, info.type, f"{len(info.ch_names)}: {names}", rate, units, sighting.newest, info.source_id)
        table.add_row(*(_plain(cell) for cell in cells))
    return table


def _plain(text: str) -> str:
    """Return text from the network without what a terminal or a table would act on."""
    return escape("".join(char if char.isprintable() else "\ufffd" for char in text))
