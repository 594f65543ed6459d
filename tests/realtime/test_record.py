"""`necomimi record` as a user meets it: what it finds, how it ends, what is in the file, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.errors import StreamNotFoundError
from necomimi.lsl import StreamChoice
from necomimi.realtime.record import choose_streams
from necomimi.recordings import open_recording
from necomimi.records import StreamInfo

NECOMIMI = Path(sys.executable).with_name("necomimi")
SFREQ = 500.0
EEG, MARKERS = StreamChoice(type="EEG"), StreamChoice(type="Markers")


def info(name: str, kind: str) -> StreamInfo:
    return StreamInfo(
        name=name, type=kind, source_id=f"{name}-id", uid=name, ch_names=("Oz",), sfreq=SFREQ, units=("microvolts",)
    )


def looks(*rounds: Sequence[StreamInfo]) -> Callable[[float], Sequence[StreamInfo]]:
    """Return what sees other streams each time, and the last ones from then on."""
    waiting = list(rounds)
    return lambda seconds: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def test_all_marker_streams_are_taken_once_they_are_there() -> None:
    amp, keys, pictures = info("amp", "EEG"), info("keys", "Markers"), info("pictures", "Markers")
    look = looks([], [amp], [amp, keys, pictures])
    assert choose_streams(EEG, MARKERS, 60.0, look=look) == (amp, (keys, pictures))
    assert choose_streams(EEG, None, 60.0, look=looks([amp, keys])) == (amp, ())
    chosen = StreamChoice(type="Markers", source_id="keys-id")
    assert choose_streams(EEG, chosen, 60.0, look=looks([amp, keys, pictures])) == (amp, (keys,))


def test_what_is_not_there_or_there_twice_is_told() -> None:
    amp, other, keys = info("amp", "EEG"), info("other", "EEG"), info("keys", "Markers")
    with pytest.raises(StreamNotFoundError, match=r"2 EEG streams match: 'amp' .*'other'"):
        choose_streams(EEG, MARKERS, 60.0, look=looks([amp, other, keys]))
    with pytest.raises(StreamNotFoundError, match=r"no EEG stream matches within 0 s; in reach: 'keys'"):
        choose_streams(EEG, MARKERS, 0.0, look=looks([keys]))
    with pytest.raises(StreamNotFoundError, match="--no-markers"):
        choose_streams(EEG, MARKERS, 0.0, look=looks([amp]))
    with pytest.raises(StreamNotFoundError):
        choose_streams(EEG, MARKERS, 600.0, lambda: True, look=looks([amp]))  # Ctrl-C


# Over LSL


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Return a list of processes that do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def record(started: list[subprocess.Popen[str]], name: str, *arguments: object) -> subprocess.Popen[str]:
    """Start to record a sender's streams; return when it does."""
    command = [NECOMIMI, "record", *arguments, "--eeg-name", name, "--timeout", 30]
    if "--no-markers" not in arguments:
        command += ["--markers-name", f"{name}-markers"]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    started.append(process)
    assert process.stderr is not None
    assert any("recording to" in line for line in process.stderr), "it did not begin to record"
    return process


def sender(spawn: Any, name: str) -> Any:
    """Return a running sender of three channels, whose first one counts samples."""
    child = spawn()
    child("open", name=name, ch_names=["Oz", "Cz", "Fp1"], sfreq=SFREQ)
    child("open_markers", name=f"{name}-markers")
    child("run")
    return child


@pytest.mark.lsl
def test_records_until_a_marker_says_so(
    tmp_path: Path, spawn: Any, started: list[subprocess.Popen[str]], request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    child = sender(spawn, name)
    process = record(started, name, tmp_path, "--until", "present/end", "--json")
    time.sleep(3.0)
    onsets = {}
    for label in ("owl", "bat", "present/end"):
        tick = child("mark", label="present/tick", at=0.0)  # tells what the sender's clock says
        t0, onsets[label] = tick["t0"], tick["at"]
        child("mark", label=label, at=onsets[label])
        time.sleep(0.5)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    said = json.loads(out)
    path = Path(said["path"])
    assert path == tmp_path / "sub-01" / "ses-01" / "eeg" / "sub-01_ses-01_task-record_run-001_eeg.xdf"
    assert [stream["type"] for stream in said["streams"]] == ["EEG", "Markers"]
    assert said["streams"][0] | {"name": "", "source_id": ""} == {
        "name": "", "type": "EEG", "source_id": "", "n_channels": 3, "sfreq": SFREQ,
    }  # fmt: skip
    assert said["n_markers"] == 6
    assert said["seconds"] > 4.0
    assert 0.5 * said["seconds"] < said["n_samples"] / SFREQ < 1.5 * said["seconds"]

    recording = open_recording(path)
    count = recording.read(0, recording.n_times)[0] * 1e6
    np.testing.assert_allclose(np.diff(count), 1, atol=1e-3)  # every sample, once, in order
    first = t0 + count[0] / SFREQ  # the stamp of the first sample that was recorded
    assert [label for _, label in recording.events] == ["owl", "bat"]
    for sample, label in recording.events:
        assert sample == pytest.approx((onsets[label] - first) * SFREQ, abs=1.5)
    assert first + recording.n_times / SFREQ > onsets["present/end"] + 1.0  # and what follows the last marker


@pytest.mark.lsl
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a single child on Windows")
def test_ctrl_c_ends_it_and_prints_the_path(
    tmp_path: Path, spawn: Any, started: list[subprocess.Popen[str]], request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    sender(spawn, name)
    process = record(started, name, tmp_path / "sub-02_task-rest", "--no-markers")
    time.sleep(3.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    path = tmp_path / "sub-02_task-rest_run-001_eeg.xdf"
    assert out.strip() == str(path)
    assert path.stat().st_size > 3 * 2 * SFREQ
    assert "recorded: " in err
    assert "Traceback" not in err


@pytest.mark.lsl
def test_an_amplifier_that_goes_is_told_and_one_that_comes_back_is_recorded(
    tmp_path: Path, spawn: Any, started: list[subprocess.Popen[str]], request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    child = sender(spawn, name)
    process = record(started, name, tmp_path / "s.xdf", "--no-markers", "--seconds", 14)
    time.sleep(2.0)
    child.kill()
    time.sleep(3.0)
    sender(spawn, name)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"the EEG stream {name!r} is away" in " ".join(err.split())
    import pyxdf

    (stream,), _ = pyxdf.load_xdf(tmp_path / "s.xdf", dejitter_timestamps=False, synchronize_clocks=False)
    restarts = np.flatnonzero(np.diff(stream["time_series"][:, 0]) < 0)
    assert len(restarts) == 1
    assert len(stream["time_series"]) - restarts[0] > SFREQ


@pytest.mark.lsl
def test_refusals_are_words(tmp_path: Path) -> None:
    (tmp_path / "there.xdf").touch()

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(part) for part in (NECOMIMI, "record", *arguments)]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)

    for arguments, found in (
        ((tmp_path, "--until", "end", "--no-markers"), "--until 'end' with --no-markers"),
        ((tmp_path, "--eeg-name", "nobody", "--timeout", 0.1), "no EEG stream matches within 0.1 s"),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert found in done.stderr
        assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.xdf"]
