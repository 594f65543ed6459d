"""Markers as PsychoPy and trigger boxes send them mean one thing, live and recorded; what cannot be is told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
import pytest

from necomimi.errors import ChannelMismatchError
from necomimi.lsl import EEGOutlet, MarkerReader, StreamChoice, local_clock, to_record
from necomimi.markers import is_control, label_of
from necomimi.mne_raw import read_raw
from necomimi.realtime.record import Session
from necomimi.realtime.recorder import Recorder
from necomimi.recordings import open_recording
from necomimi.records import StreamInfo

PAGE = (Path(__file__).parents[2] / "docs" / "amplifiers.md").read_text(encoding="utf-8")
FORMATS = ("string", "int8", "int16", "int32", "int64", "float32", "double64")
SFREQ = 100.0
lsl = pytest.mark.lsl


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("owl", "owl"), (b"owl\n", "owl"), (" S  5 ", "S  5"), ("stimulus/owl", "stimulus/owl"), ("0", "0"), ("", ""),
        (5, "5"), (np.int8(5), "5"), (np.float32(5), "5"), (5.5, "5.5"), (np.float32(0.1), "0.1"), (-1, "-1"),
        (2**31, "2147483648"), (0, ""), (0.0, ""), (np.int16(0), ""), (float("nan"), "nan"), ("x" * 2000, "x" * 1024),
    ],
)  # fmt: skip
def test_a_value_and_its_label(value: object, label: str) -> None:
    assert label_of(value) == label
    assert is_control(label) == (not label)


def outlet(name: str, form: str, n_channels: int = 1) -> pylsl.StreamOutlet:
    return pylsl.StreamOutlet(pylsl.StreamInfo(name, "Markers", n_channels, 0, form, f"{name}-id"))


def heard(reader: MarkerReader, n: int) -> list[tuple[str, float]]:
    """Return the first `n` markers of a reader."""
    markers: list[tuple[str, float]] = []
    deadline = time.monotonic() + 20.0
    while len(markers) < n:
        assert time.monotonic() < deadline, f"only {markers} came"
        markers += reader.take()
        threading.Event().wait(0.01)
    return markers


@pytest.fixture
def listen() -> Iterator[Callable[[str], MarkerReader]]:
    """Return a function that listens to the stream of a name; all listeners end with the test."""
    readers: list[MarkerReader] = []

    def start(name: str) -> MarkerReader:
        reader = MarkerReader(StreamChoice(type="Markers", name=name))
        readers.append(reader)
        reader.open(10.0)
        reader.start()
        return reader

    yield start
    for reader in readers:
        reader.stop()


@lsl
def test_every_format_means_the_same_live_and_recorded(
    tmp_path: Path, listen: Callable[[str], MarkerReader], caplog: pytest.LogCaptureFixture
) -> None:
    eeg = EEGOutlet(
        StreamInfo(
            name="amp-formats", type="EEG", source_id="amp-formats", uid="", ch_names=("Oz",), sfreq=SFREQ,
            units=("microvolts",),
        )
    )  # fmt: skip
    senders = {form: outlet(f"formats-{form}", form) for form in FORMATS}
    several = outlet("formats-several", "double64", 3)
    streams = [to_record(sender.get_info()) for sender in (*senders.values(), several)]
    readers = {form: listen(f"formats-{form}") for form in FORMATS}
    recorder = Recorder(tmp_path / "formats.xdf", [eeg.stream, *streams], "record")
    recorder.start(20.0)
    session = Session(recorder, eeg.stream, streams[-2:])
    session.close()
    assert "'formats-several' (type Markers, 3 channels" in caplog.text
    assert "is recorded and not listened to" in caplog.text

    t0 = local_clock() - 5.0
    times: dict[str, list[float]] = {}
    for i, (form, sender) in enumerate(senders.items()):
        times[form] = [t0 + 1.0 + i / 2 + j / 10 for j in range(3)]
        for value, at in zip((5, 0, 7), times[form], strict=True):
            sender.push_sample([("" if value == 0 else str(value)) if form == "string" else value], at)
    several.push_sample([1.0, 9.0, 2.0], t0 + 2)
    eeg.push(np.zeros((500, 1), dtype=np.float32), t0 + 499 / SFREQ)
    for form, reader in readers.items():
        labels, stamps = zip(*heard(reader, 3), strict=True)
        assert labels == ("5", "", "7"), form
        np.testing.assert_allclose(stamps, times[form], atol=1e-3)
    recorder.stop()

    caplog.clear()
    with caplog.at_level("INFO", logger="necomimi"):
        recording = open_recording(recorder.path)
    kept = [form for form in FORMATS if form != "int64"]  # which LabRecorder leaves empty, as the page says
    expected = [(t, label) for form in kept for t, label in zip(times[form][::2], ("5", "7"), strict=True)]
    assert [label for _, label in recording.events] == [label for _, label in expected]
    assert recording.onsets is not None
    np.testing.assert_allclose(recording.onsets, [t - t0 for t, _ in expected], atol=1e-3)
    assert "6 markers of 0, or empty, are no stimuli" in caplog.text
    assert "'formats-several' (type Markers, 3 channels of double64, irregular, 1 samples) is left out" in caplog.text
    assert list(read_raw(recorder.path).annotations.description) == ["5", "7"] * len(kept)


@lsl
def test_several_channels_are_refused_at_the_start_and_waited_for_later(listen: Callable[[str], MarkerReader]) -> None:
    name = "changes-its-mind"
    three = outlet(name, "string", 3)
    with pytest.raises(ChannelMismatchError, match=r"'changes-its-mind' has 3 channels") as caught:
        listen(name)
    assert "--markers-name" in caught.value.remedy
    del three
    one = outlet(name, "string")
    reader = listen(name)
    del one
    three = outlet(name, "string", 3)
    wait(lambda: any("has 3 channels" in warning for warning in reader.warnings))
    del three
    one = outlet(name, "string")
    wait(lambda: not reader.warnings)
    one.push_sample(["owl"])
    assert heard(reader, 1)[0][0] == "owl"


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


class Window:
    """What the page needs of psychopy.visual.Window: calls are made when the flip has happened."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def callOnFlip(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.calls.append((function, arguments))

    def flip(self) -> float:
        at = local_clock()
        for function, arguments in self.calls:
            function(*arguments)
        self.calls.clear()
        return at


@lsl
def test_the_page_s_psychopy_lines_are_heard(listen: Callable[[str], MarkerReader]) -> None:
    begin, each = re.findall(r"^```python\n(.*?)^```$", PAGE.partition("### PsychoPy")[2], re.DOTALL | re.MULTILINE)
    win = Window()
    names: dict[str, Any] = {"win": win}
    exec(begin, names)
    reader = listen("pictures")
    flips = []
    for marker in (5, 12):
        exec(each, names | {"marker": marker})
        flips.append(win.flip())
    markers = heard(reader, 2)
    assert [label for label, _ in markers] == ["5", "12"]
    np.testing.assert_allclose([at for _, at in markers], flips, atol=0.02)
    with pytest.raises(ValueError, match="channel count"):
        outlet("without-brackets", "string").push_sample("owl")  # as the page says
