"""The amplifiers of docs/amplifiers.md: each header as its LSL app sends it, over LSL, is understood or refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pylsl
import pytest
import torch
from typer.testing import CliRunner

from necomimi.cli import app
from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.errors import ChannelMismatchError, NecomimiError, StreamNotFoundError
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor
from necomimi.programs import free_port
from necomimi.realtime.source import LSLSource, StreamChoice
from necomimi.records import StreamInfo

pytestmark = [pytest.mark.lsl, pytest.mark.slow]

PAGE = (Path(__file__).parents[2] / "docs" / "amplifiers.md").read_text(encoding="utf-8")
WANTED = ("C3", "C4", "O1", "O2")
CAP = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
RMS_UV = 12.0
UV = "microvolts"
Channel = tuple[str, str, str]  # label, unit, type


@dataclass(frozen=True)
class Amplifier:
    """A stream as an app sends it; without channels, `n_channels` of which the header says nothing."""

    name: str
    source_id: str
    sfreq: float
    channels: tuple[Channel, ...] = ()
    n_channels: int = 0
    type: str = "EEG"
    markers: tuple[str, str] | None = None  # name, source_id
    scale: float = RMS_UV  # standard deviation on the wire

    def info(self) -> pylsl.StreamInfo:
        n = len(self.channels) or self.n_channels
        info = pylsl.StreamInfo(self.name, self.type, n, self.sfreq, pylsl.cf_float32, self.source_id)
        if self.channels:
            channels = info.desc().append_child("channels")
            for label, unit, kind in self.channels:
                channel = channels.append_child("channel")
                channel.append_child_value("label", label)
                channel.append_child_value("type", kind)
                channel.append_child_value("unit", unit)
        return info


def eeg(unit: str, *more: Channel) -> tuple[Channel, ...]:
    return (*((name, unit, "EEG") for name in CAP), *more)


# As the apps' sources have it: BrainVisionRDA 2020, BrainAmpSeries and actiCHamp 2025, App-g.Tec 2021, UnicornLSL,
# OpenBCI_GUI 2025
UNDERSTOOD = (
    Amplifier(
        "BrainVision RDA", "RDA 127.0.0.1:51244", 500.0, eeg(UV, ("MkIdx", "Counts (decimal)", "Marker")),
        markers=("BrainVision RDA Markers", "RDA 127.0.0.1:51244 Marker"),
    ),
    Amplifier(
        "BrainAmpSeries", "BrainAmpSeries_SR-500", 500.0, eeg(UV, ("triggerStream", "code", "AUX")),
        markers=("BrainAmpSeries-Markers", "BrainAmpSeries_markers"),
    ),
    Amplifier(
        "actiCHamp-17010312", "17010312", 500.0,
        eeg(UV, ("AUX_1", UV, "AUX"), ("Markers", "", "Markers"), ("SampleCounter", "", "SampleCounter")),
        markers=("actiCHampMarkers-17010312", "17010312"),
    ),
    Amplifier(
        "NA-2014.07.67", "NA-2014.07.67", 250.0,
        eeg("uV", ("ACC X", "g", "Accelerometer"), ("Counter", "samples", "Counter"),
            ("Link Quality", "unknown", "LinkQuality"), ("Digital IOs", "unknown", "DigitalIOs")),
    ),
    Amplifier(
        "g.USBamp", "UB-2015.05.10", 512.0, eeg(UV), markers=("g.USBamp-Markers", "UB-2015.05.10_markers"),
    ),
)  # fmt: skip
NAMELESS = (
    Amplifier("obci_eeg1", "openbcigui", 250.0, n_channels=8),
    Amplifier("UN-2019.05.07_EEG", "UN-2019.05.07", 250.0, n_channels=8),
    Amplifier("brainflow", "brainflow", 250.0, n_channels=8, type="EXG"),
)
OTHERS = (
    Amplifier("UN-2020.01.01", "UN-2020.01.01", 250.0, n_channels=17, type="Data"),
    Amplifier("BrainAmpSeries-1", "BrainAmpSeries-1", 500.0, eeg("INT_16"), scale=RMS_UV / 0.1),
    Amplifier("daisy", "daisy", 125.0, eeg(UV)),
    Amplifier("obci_eeg2", "openbcigui", 250.0, n_channels=8),  # its filtered twin
)


class Room:
    """All amplifiers at once, each sending noise at its own rate, and a presenter that shows a picture a second."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.amplifiers = (*UNDERSTOOD, *NAMELESS, *OTHERS)
        self._outlets = [pylsl.StreamOutlet(amplifier.info()) for amplifier in self.amplifiers]
        self._noise = [
            rng.normal(scale=a.scale, size=(int(a.sfreq), len(a.channels) or a.n_channels)).astype(np.float32)
            for a in self.amplifiers
        ]
        names = [a.markers for a in self.amplifiers if a.markers] + [("necomimi-present", "presenter-1")]
        self._markers = [
            pylsl.StreamOutlet(pylsl.StreamInfo(name, "Markers", 1, 0, pylsl.cf_string, source_id))
            for name, source_id in names
        ]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began, n_markers = pylsl.local_clock(), 0
        sent = [0] * len(self.amplifiers)
        while not self._stopping.wait(0.02):
            now = pylsl.local_clock()
            for i, amplifier in enumerate(self.amplifiers):
                due = int((now - began) * amplifier.sfreq) - sent[i]
                if due > 0:
                    sent[i] += due
                    rows = np.arange(sent[i] - due, sent[i]) % len(self._noise[i])
                    self._outlets[i].push_chunk(self._noise[i][rows], began + sent[i] / amplifier.sfreq)
            if now - began > n_markers + 1:
                n_markers += 1
                for outlet in self._markers[:-1]:
                    outlet.push_sample([f"mk{n_markers}=S  5"], now)  # as BrainVision RDA numbers its triggers
                self._markers[-1].push_sample(["cat" if n_markers % 2 else "dog"], now)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.stop()


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a decoder of `WANTED` at 250 Hz that nobody has trained."""
    torch.manual_seed(0)
    gallery = Gallery.from_labels(["cat", "dog"])
    preprocessor = Preprocessor(
        ch_names=WANTED, sfreq=250.0, tmin=-0.1, tmax=0.4, baseline=(-0.1, 0.0), start=0.0, n_times=100,
        spatial=np.eye(4, dtype=np.float32) * 1e5,
    )  # fmt: skip
    config = {"name": "nice", "n_chans": 4, "n_times": 100, "n_outputs": gallery.n_dims}
    path = tmp_path_factory.mktemp("amplifiers") / "decoder"
    Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space,
        logit_scale=5.0, gallery=gallery,
    ).save(path)  # fmt: skip
    return path


def opened(decoder: Path, **choice: str) -> StreamInfo:
    """Open and check a stream as `necomimi decode` does; return it as the decoder sees it."""
    preprocessor = Decoder.load(decoder, "cpu").preprocessor
    source = LSLSource(
        ch_names=preprocessor.ch_names,
        check=lambda info: preprocessor.check_stream(info.sfreq / info.speed, info.applied),
        eeg=StreamChoice(**{"type": "EEG"} | choice),
        markers=None,
    )
    try:
        source.open(10.0)
        return source.info
    finally:
        source.close()


def refused(decoder: Path, kind: type[NecomimiError], **choice: str) -> str:
    with pytest.raises(kind) as error:
        opened(decoder, **choice)
    return str(error.value)


def judged(*options: str) -> dict[str, dict[str, float | str]]:
    """Return what `necomimi signal` says of each channel."""
    result = CliRunner().invoke(app, ["signal", "--json", "--seconds", "1", *options], catch_exceptions=False)
    return {channel["name"]: channel for channel in json.loads(result.stdout)["channels"]}


def test_streams_lists_them_all(room: Room) -> None:
    result = CliRunner().invoke(app, ["streams", "--json"], catch_exceptions=False)
    seen = {(s["name"], s["source_id"]): s for s in json.loads(result.stdout)["streams"]}
    for amplifier in room.amplifiers:
        stream = seen[amplifier.name, amplifier.source_id]
        assert stream["state"] == "live"
        labels = [label for label, _, _ in amplifier.channels] or [f"#{i + 1}" for i in range(amplifier.n_channels)]
        assert stream["ch_names"] == labels
    for name, _ in (amplifier.markers for amplifier in room.amplifiers if amplifier.markers):
        assert any(key[0] == name for key in seen)


@pytest.mark.parametrize("amplifier", UNDERSTOOD, ids=lambda amplifier: amplifier.name)
def test_headers_that_are_understood(amplifier: Amplifier, room: Room, decoder: Path) -> None:
    info = opened(decoder, name=amplifier.name)
    assert (info.ch_names, info.units, info.warnings) == (WANTED, ("V",) * 4, ())
    channels = judged("--eeg-name", amplifier.name)
    assert tuple(channels) == CAP
    assert channels["O1"]["rms_uv"] == pytest.approx(RMS_UV, rel=0.7)


@pytest.mark.parametrize("amplifier", NAMELESS, ids=lambda amplifier: amplifier.name)
def test_streams_without_names_are_refused(amplifier: Amplifier, room: Room, decoder: Path) -> None:
    words = refused(decoder, ChannelMismatchError, name=amplifier.name, type=amplifier.type)
    assert f"stream {amplifier.name!r} lacks 4 of 4 channels: C3, C4, O1, O2" in words
    assert "the stream has #1, #2, #3" in words
    assert "> stream 'obci_eeg1' lacks 8 of 8 channels … the stream has #1, #2, #3, …" in PAGE


def test_what_else_is_refused_and_what_the_page_says_of_it(room: Room, decoder: Path) -> None:
    assert "unit 'INT_16' in the stream's header" in refused(decoder, ChannelMismatchError, name="BrainAmpSeries-1")
    rate = refused(decoder, ChannelMismatchError, name="daisy")
    assert "the stream runs at 125 Hz" in rate
    assert "necomimi preprocess --sfreq" in rate
    assert "`necomimi preprocess --sfreq 125`" in PAGE
    assert "2 LSL streams match" in refused(decoder, StreamNotFoundError, source_id="openbcigui")
    assert "`2 LSL streams match`" in PAGE
    missing = refused(decoder, StreamNotFoundError, name="UN-2020.01.01")  # of type Data
    assert "no LSL stream matches" in missing
    assert all(f"`{word}`" in PAGE for word in ("Data", "openbcigui", "INT_16", "MkIdx"))


def test_the_triggers_of_an_amplifier_are_not_taken_for_pictures(room: Room, decoder: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "necomimi", "decode", str(decoder), "--feed", f"tcp://127.0.0.1:{free_port()}"]
    words += ["--eeg-name", "BrainVision RDA", "--seconds", "4", "--log", str(tmp_path / "log.jsonl")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "LSL streams match" in done.stderr
    assert "'BrainVision RDA Markers'" in done.stderr
    words += re.findall(r"^necomimi decode decoder (--markers-name \S+)$", PAGE, re.MULTILINE)[0].split()
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["n_retrievals"] >= 1
    assert {line["label"] for line in lines if "label" in line} == {"cat", "dog"}


@pytest.mark.parametrize("name", ["obci_eeg1", "UN-2020.01.01"])
def test_the_page_s_script_gives_names(name: str, room: Room, decoder: Path) -> None:
    (script,) = re.findall(r"^```python\n(import pylsl\n\nSOURCE.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    process = subprocess.Popen([sys.executable, "-c", script.replace("obci_eeg1", name)], stderr=subprocess.PIPE)
    try:
        info = opened(decoder, name="named")
        assert info.ch_names == WANTED
        assert info.warnings == ()
        channels = judged("--eeg-name", "named")
        assert tuple(channels) == CAP
        assert channels["O1"]["rms_uv"] == pytest.approx(RMS_UV, rel=0.7)
    finally:
        process.kill()
        process.communicate()
