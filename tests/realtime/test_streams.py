"""Every stream in reach is listed with how alive it is, and ten take no longer than one; real liblsl."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from necomimi import lsl
from necomimi.realtime import streams
from necomimi.realtime.streams import Sighting, look, look_at_all
from necomimi.records import StreamInfo

pytestmark = pytest.mark.lsl


def outlet(name: str, sfreq: float = 250.0, n_channels: int = 2, unit: str = "microvolts") -> lsl.EEGOutlet:
    names = tuple(f"C{i + 1}" for i in range(n_channels))
    return lsl.EEGOutlet(
        StreamInfo(
            name=name, type="EEG", source_id=f"{name}-id", uid="", ch_names=names, sfreq=sfreq,
            units=(unit,) * n_channels,
        )
    )  # fmt: skip


class Senders:
    """Amplifiers that send in a thread: five samples each 20 ms, stamped `shifts` seconds from now."""

    def __init__(self, shifts: dict[str, float]) -> None:
        self._outlets = {name: (outlet(name), shift) for name, shift in shifts.items()}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        sent, began = 0, lsl.local_clock()
        while not self._stopping.wait(0.02):
            due = int((lsl.local_clock() - began) * 250.0) - sent
            sent += due
            for out, shift in self._outlets.values():
                if due:
                    out.push(np.zeros((due, 2), dtype=np.float32), began + sent / 250.0 + shift)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture(scope="module")
def looked() -> Iterator[tuple[dict[str, Sighting], float]]:
    """Return what is seen of senders of every kind, looked at together, and the seconds that it took."""
    senders = Senders({"live": 0.0, "laggard": -7.0, "player": 3.0})
    others = [outlet("frozen", unit=""), *(outlet(f"frozen-{i}") for i in range(10))]
    markers = lsl.MarkerOutlet("Stimuli", "stimuli-id")
    numbers = lsl.SimilarityOutlet("numbers", "numbers-id", ["a", "b"], "what they are")
    began = time.monotonic()
    seen = {sighting.info.source_id: sighting for sighting in look_at_all(2.0)}
    yield seen, time.monotonic() - began
    senders.stop()
    del others, markers, numbers


@pytest.fixture
def sightings(looked: tuple[dict[str, Sighting], float]) -> dict[str, Sighting]:
    """Return what is seen, by source_id."""
    return looked[0]


def test_how_alive_each_stream_is(sightings: dict[str, Sighting]) -> None:
    states = {name: sightings[f"{name}-id"].state for name in ("live", "laggard", "player", "frozen", "numbers")}
    assert states == {"live": "live", "laggard": "late", "player": "ahead", "frozen": "stale", "numbers": "silent"}
    assert sightings["stimuli-id"].state == "silent"


def test_the_age_of_the_newest_sample_and_the_rate(sightings: dict[str, Sighting]) -> None:
    live, laggard, player = (sightings[f"{name}-id"] for name in ("live", "laggard", "player"))
    assert live.age_s is not None
    assert laggard.age_s is not None
    assert player.age_s is not None
    assert -0.05 < live.age_s < 1.0
    assert 7.0 <= laggard.age_s < 8.0
    assert -3.0 <= player.age_s < -2.0
    assert live.rate_hz == pytest.approx(250.0, rel=0.02)
    assert live.newest.endswith((" ms", " s"))
    assert laggard.newest == f"{laggard.age_s:.3g} s: late"
    assert player.newest.endswith("s ahead of now")
    frozen = sightings["frozen-id"]
    assert (frozen.newest, frozen.age_s, frozen.rate_hz) == ("none in 1 s: stale", None, None)
    assert sightings["stimuli-id"].newest == "-"
    assert sightings["live-id"].info.ch_names == ("C1", "C2")


def test_many_streams_take_no_longer_than_one(looked: tuple[dict[str, Sighting], float]) -> None:
    sightings, elapsed = looked
    assert len([name for name in sightings if name.startswith("frozen")]) == 11
    assert elapsed < 10.0  # listening alone would take 16 s, one after the other


def test_a_marker_that_comes_meanwhile_has_an_age() -> None:
    markers = lsl.MarkerOutlet("blinking", "blinking-id")
    handle = lsl.find_stream(lsl.Finder(source_id="blinking-id"))
    stopping = threading.Event()

    def blink() -> None:
        while not stopping.wait(0.1):
            markers.push("x", lsl.local_clock())

    thread = threading.Thread(target=blink)
    thread.start()
    sighting = look(handle)
    stopping.set()
    thread.join()
    assert sighting.state == "live"
    assert sighting.age_s is not None
    assert -0.05 < sighting.age_s < 1.0


def test_a_sender_that_has_gone_does_not_answer() -> None:
    gone = outlet("gone")
    handle = lsl.find_stream(lsl.Finder(source_id="gone-id"))
    del gone
    sighting = look(handle)
    assert (sighting.state, sighting.newest) == ("unreachable", "does not answer")
    assert sighting.info.source_id == "gone-id"


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(streams.command)
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_table_and_the_json() -> None:
    sender = Senders({"[red]sly[/red]\x1b[2J": 0.0})
    markers = lsl.MarkerOutlet("Stimuli 2", "stimuli-2")
    table = run("--timeout", "1.5")
    answer = json.loads(run("--timeout", "1.5", "--json"))
    sender.stop()
    lines = table.splitlines()
    line = next(line for line in lines if "[red]sly[/red]" in line)  # no markup, no escape codes from the network
    assert "\x1b[2J" not in table
    assert "2: C1, C2" in line
    assert "250 Hz, seen 2" in line
    assert "microvolts" in line
    head = lines[0].split()
    assert head == ["name", "type", "channels", "rate", "unit", "newest", "source_id"]
    assert "irregular" in next(line for line in lines if "Stimuli 2" in line)
    stream = next(s for s in answer["streams"] if s["name"].startswith("[red]sly"))
    assert stream["state"] == "live"
    assert stream["sfreq"] == 250.0
    assert stream["rate_hz"] == pytest.approx(250.0, rel=0.02)
    assert stream["age_s"] < 1.0
    assert answer["configuration"].endswith("lsl_api.cfg")
    assert next(s for s in answer["streams"] if s["name"] == "Stimuli 2")["age_s"] is None
    del markers
