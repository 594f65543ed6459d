"""`necomimi replay` as a user meets it: what it says, how it ends, what it refuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mne
import numpy as np
import pytest

from necomimi.errors import ConfigError, DatasetError
from necomimi.lsl import EEGInlet, Finder, MarkerInlet, find_stream
from necomimi.replay.outlet import stream_info
from necomimi.replay.replay import open_timeline
from necomimi.things_eeg2 import RAW_CH_NAMES, ImageMetadata, RawWriter, raw_path, save_metadata

NECOMIMI = Path(sys.executable).with_name("necomimi")
SFREQ = 250.0


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a FIF file of 8 s whose first channel counts samples in microvolts, with an event a second."""
    path = tmp_path / f"{tmp_path.name}_raw.fif"
    data = np.stack([np.arange(2000) * 1e-6, np.zeros(2000)])
    raw = mne.io.RawArray(data, mne.create_info(["Oz", "O1"], SFREQ, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations(np.arange(1, 8), np.zeros(7), [f"event {i}" for i in range(1, 8)]))
    raw.save(path, fmt="double", verbose="error")
    return path


@pytest.fixture
def things(tmp_path: Path) -> Path:
    """Return a data set of one subject."""
    root = tmp_path / "things"
    root.mkdir()
    names = {"train_concepts": ("00001_dog",), "train_files": ("dog_01b.jpg",)}
    names |= {"test_concepts": ("00001_cat",), "test_files": ("cat_01b.jpg",)}
    save_metadata(root / "image_metadata.npy", ImageMetadata(**names))
    path = raw_path(root, 1, 1, "test")
    path.parent.mkdir(parents=True)
    data = np.zeros((64, 1000), dtype=np.float32)
    data[63, 500] = 1
    with RawWriter(path, 1000, RAW_CH_NAMES, 1000, ["eeg"] * 63 + ["stim"]) as writer:
        writer.write(data, 0)
    return root


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NECOMIMI), "replay", *map(str, arguments)], capture_output=True, text=True, encoding="utf-8", timeout=60
    )


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Return a list of processes that do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], *arguments: object) -> subprocess.Popen[str]:
    command = [str(NECOMIMI), "replay", *map(str, arguments)]
    started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8"))
    return started[-1]


def test_source_is_found_by_looking_at_it(recording: Path, things: Path) -> None:
    assert "recording" in open_timeline(recording).description
    for source in (things, things / "sub-01", raw_path(things, 1, 1, "test")):
        line = open_timeline(source)
        assert line.events == ((500, "cat"),)
        assert "raw recording sub-01 ses-01 test, 1 stimuli" in line.description


def test_source_id_is_stable_and_its_own(recording: Path, things: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {stream_info(open_timeline(source)).source_id for source in (recording, things)}
    assert len(ids) == 2
    monkeypatch.chdir(recording.parent)
    assert stream_info(open_timeline(Path(recording.name))).source_id in ids


def test_options_that_do_not_fit_are_refused(recording: Path, things: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--subject, --split with"):
        open_timeline(recording, subject=1, split="test")
    with pytest.raises(ConfigError, match="--split 'tset'"):
        open_timeline(things, split="tset")
    with pytest.raises(DatasetError, match="does not exist"):
        open_timeline(tmp_path / "absent.fif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no recording"):
        open_timeline(tmp_path / "empty")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--speed", "0"], "--speed 0"),
        (["--speed", "nan"], "--speed nan"),
        (["--chunk", "0"], "--chunk 0"),
        (["--wait", "-1"], "--wait -1"),
        (["--start", "5", "--stop", "4"], "--start 5 --stop 4"),
        (["--start", "7.5"], "no event from 7.5 to 8.0 s"),
        (["--subject", "1"], "--subject with"),
    ],
)
def test_refusals(recording: Path, refused: Callable[..., str], options: list[str], found: str) -> None:
    assert found in refused("replay", recording, *options)


def test_a_hostile_file_is_refused_and_not_executed(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = raw_path(tmp_path, 1, 1, "test")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x80\x04cposix\nsystem\nX\x05\x00\x00\x00touch\x85R.")
    assert "posix.system" in refused("replay", tmp_path)


@pytest.mark.lsl
def test_plays_to_the_end_and_sums_up(recording: Path) -> None:
    result = run(recording, "--start", 2, "--stop", 6, "--speed", 8, "--wait", 0)
    assert result.returncode == 0
    assert f"recording {recording.name}, 7 kinds of event" in result.stderr
    assert "2 channels at 250 Hz, 4.0 s, 4 events" in result.stderr
    assert re.search(r"played to the end: 1000 samples, 4 events; worst lateness \d+\.\d ms", result.stderr)


@pytest.mark.lsl
def test_waits_for_a_listener_and_says_when_none_comes(recording: Path) -> None:
    began = time.monotonic()
    result = run(recording, "--stop", 2, "--speed", 8, "--wait", 1.5)
    assert time.monotonic() - began > 1.5
    assert "nobody listens to both streams after 1.5 s" in result.stderr
    assert result.returncode == 0


@pytest.mark.lsl
def test_a_listener_may_want_no_markers(recording: Path, started: list[subprocess.Popen[str]]) -> None:
    process = start(started, recording, "--name", "alone", "--stop", 2, "--speed", 4, "--wait", 200)
    with EEGInlet(find_stream(Finder(name="alone"))) as eeg:
        assert len(eeg.pull(60.0)[1])
    assert "nobody listens to the markers" in process.communicate(timeout=60)[1]


@pytest.mark.lsl
def test_a_listener_gets_every_sample_and_event(recording: Path, started: list[subprocess.Popen[str]]) -> None:
    process = start(started, recording, "--name", "amplifier", "--start", 1, "--speed", 4)
    info = stream_info(open_timeline(recording))
    markers = MarkerInlet(find_stream(Finder(name="amplifier-markers", type="Markers")))
    eeg = EEGInlet(find_stream(Finder(name="amplifier", source_id=info.source_id)))
    assert (eeg.info.type, eeg.info.speed, eeg.info.sfreq) == ("EEG", 4.0, 1000.0)
    samples: list[float] = []
    stamps: list[float] = []
    events: list[tuple[str, float]] = []
    while len(samples) < 1750 or len(events) < 7:
        data, times = eeg.pull(5.0)
        assert len(times), "the stream dried up"
        samples += data[:, 0].tolist()
        stamps += times.tolist()
        events += markers.pull(0.0)
        if len(samples) == 1750 and len(events) < 7:
            events += markers.pull(1.0)
    eeg.close()
    markers.close()
    assert samples == list(range(250, 2000))
    assert [label for label, _ in events] == [f"event {i}" for i in range(1, 8)]
    for i, (_, stamp) in enumerate(events):
        assert abs(stamp - stamps[250 * i]) < 1e-3
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "played to the end: 1750 samples, 7 events" in stderr


@pytest.mark.lsl
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a single child on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(
    recording: Path, started: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = start(started, recording, "--loop", "--speed", 4, "--wait", 0)
    info = stream_info(open_timeline(recording))
    eeg = EEGInlet(find_stream(Finder(source_id=info.source_id)))
    assert len(eeg.pull(10.0)[1])
    process.send_signal(number)
    _, stderr = process.communicate(timeout=10)
    eeg.close()
    assert process.returncode == 0
    assert re.search(r"stopped: \d+ samples, \d+ events, \d+ whole passes; worst lateness", stderr)
    assert "Traceback" not in stderr


@pytest.mark.lsl
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a single child on Windows")
def test_a_signal_ends_the_wait_for_a_listener(recording: Path, started: list[subprocess.Popen[str]]) -> None:
    process = start(started, recording, "--wait", 300)
    assert process.stderr is not None
    assert any("are in reach" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "stopped: 0 samples, 0 events" in stderr


@pytest.mark.lsl
def test_real_recording_plays(shared_data: Path) -> None:
    result = run(
        shared_data / "p300" / "sub-02_task-p300_raw.fif", "--start", 100, "--stop", 130, "--speed", 10, "--wait", 0
    )
    assert result.returncode == 0
    assert "8 channels at 250 Hz, 30.0 s" in result.stderr
    assert "played to the end: 7500 samples" in result.stderr
