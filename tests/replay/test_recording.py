"""A recording in any format that MNE reads becomes a timeline with its units, types and events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import scipy.io

from necomimi.errors import ConfigError, DatasetError
from necomimi.replay.recording import recording_timeline

SFREQ = 250.0


def make_raw() -> Any:
    """Return a recording of two EEG, one EOG and one stim channel."""
    info = mne.create_info(["Oz", "O1", "EOG", "STI"], SFREQ, ["eeg", "eeg", "eog", "stim"])
    data = np.random.default_rng(0).standard_normal((4, 1000)) * 1e-5
    data[3] = 0
    return mne.io.RawArray(data, info, verbose="error")


def annotated() -> Any:
    raw = make_raw()
    words = ["dog", "BAD_muscle", "New Segment/", "present/catch", "cat"]
    raw.set_annotations(mne.Annotations([0.4, 1.0, 2.0, 2.2, 2.4], [0.0] * 5, words))
    return raw


def test_fif_with_annotations(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif"
    raw = annotated()
    raw.save(path, fmt="double", verbose="error")
    line = recording_timeline(path)
    assert line.events == ((100, "dog"), (600, "cat"))
    assert line.ch_names == ("Oz", "O1", "EOG", "STI")
    assert line.ch_types == ("EEG", "EEG", "EOG", "STIM")
    assert line.units == ("microvolts", "microvolts", "microvolts", "")
    assert (line.sfreq, line.n_times, line.applied, line.stamps) == (250.0, 1000, (), None)
    assert line.seams == (500,)  # where a new segment begins
    np.testing.assert_allclose(line.read(10, 20), raw.get_data()[:, 10:20], rtol=1e-12)


def test_stim_channel_where_there_are_no_annotations(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif"
    raw = make_raw()
    raw._data[3, 50:60] = 3
    raw._data[3, 80] = 4
    raw.save(path, verbose="error")
    assert recording_timeline(path).events == ((50, "3"), (80, "4"))


def test_a_recording_that_began_after_its_clock(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif"
    raw = annotated().crop(0.2)
    assert raw.first_samp == 50
    raw.save(path, verbose="error")
    line = recording_timeline(path)
    assert line.events == ((50, "dog"), (550, "cat"))
    assert line.seams == (450,)


def test_an_interruption_with_a_length_has_two_borders(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif"
    raw = make_raw()
    raw.set_annotations(mne.Annotations([0.4, 1.0, 3.0], [0.0, 0.4, 0.2], ["dog", "BAD_ACQ_SKIP", "BAD_muscle"]))
    raw.save(path, verbose="error")
    assert recording_timeline(path).seams == (250, 350)


def test_a_stream_is_chosen_in_xdf_only(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif"
    annotated().save(path, verbose="error")
    with pytest.raises(ConfigError, match="--stream 'amp'"):
        recording_timeline(path, "amp")


BRAINVISION = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
DataFile=rec.eeg
MarkerFile=rec.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=2
SamplingInterval=4000
[Binary Infos]
BinaryFormat=IEEE_FLOAT_32
[Channel Infos]
Ch1=Oz,,1,µV
Ch2=O1,,1,µV
"""
MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0
[Common Infos]
DataFile=rec.eeg
[Marker Infos]
Mk1=New Segment,,1,1,0,20200101000000000000
Mk2=Stimulus,S  1,101,1,0
Mk3=Stimulus,S  2,601,1,0
Mk4=New Segment,,701,1,0,20200101000300000000
"""


def test_brainvision(tmp_path: Path) -> None:
    (tmp_path / "rec.vhdr").write_text(BRAINVISION, encoding="utf-8")
    (tmp_path / "rec.vmrk").write_text(MARKERS, encoding="utf-8")
    samples = np.arange(2000, dtype="<f4").reshape(1000, 2)
    (tmp_path / "rec.eeg").write_bytes(samples.tobytes())
    line = recording_timeline(tmp_path / "rec.vhdr")
    assert line.events == ((100, "Stimulus/S  1"), (600, "Stimulus/S  2"))
    assert line.seams == (700,)
    assert (line.ch_names, line.units, line.sfreq) == (("Oz", "O1"), ("microvolts",) * 2, 250.0)
    np.testing.assert_allclose(line.read(5, 8), samples[5:8].T * 1e-6, rtol=1e-6)


def edf(path: Path, n_seconds: int, onset: float) -> np.ndarray:
    """Write an EDF+ file of one channel at 100 Hz with one annotation; return its samples in microvolts."""

    def field(text: object, width: int) -> bytes:
        return str(text).encode("ascii").ljust(width)

    samples = (np.arange(100 * n_seconds) % 1000 - 500).astype("<i2")
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    oz = ("Oz", "", "uV", -32768, 32767, -32768, 32767, "", 100, "")
    notes = ("EDF Annotations", "", "", -1, 1, -32768, 32767, "", 30, "")
    header = field(0, 8) + field("X X X X", 80) + field("Startdate 01-JAN-2020 X X X", 80)
    header += b"01.01.2000.00.00" + field(768, 8) + field("EDF+C", 44) + field(n_seconds, 8) + field(1, 8) + field(2, 4)
    header += b"".join(field(a, w) + field(b, w) for a, b, w in zip(oz, notes, widths, strict=True))
    body = b""
    for second in range(n_seconds):
        note = f"+{second}\x14\x14\x00" + (f"+{onset}\x14target\x14\x00" if second == 0 else "")
        body += samples[100 * second : 100 * second + 100].tobytes() + note.encode("ascii").ljust(60, b"\0")
    path.write_bytes(header + body)
    return samples


def test_edf(tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    samples = edf(path, 5, onset=2.5)
    line = recording_timeline(path)
    assert line.events == ((250, "target"),)
    assert (line.ch_names, line.sfreq, line.n_times) == (("Oz",), 100.0, 500)
    np.testing.assert_allclose(line.read(0, 500)[0], samples * 1e-6, atol=1e-9)


def test_eeglab_set(tmp_path: Path) -> None:
    path = tmp_path / "rec.set"
    data = np.arange(1000, dtype=np.float32).reshape(2, 500)
    channels = np.array([("Oz",), ("O1",)], dtype=[("labels", "O")])
    events = np.array([("dog", 101.0), ("cat", 301.0)], dtype=[("type", "O"), ("latency", "O")])  # counted from 1
    sizes = {"nbchan": 2, "trials": 1, "pnts": 500, "srate": SFREQ, "xmin": 0.0, "xmax": 499 / SFREQ}
    empty = np.array([])
    eeg = {"setname": "rec", "data": data, "chanlocs": channels, "event": events, "epoch": empty, "icawinv": empty}
    scipy.io.savemat(path, {"EEG": eeg | sizes}, appendmat=False)
    line = recording_timeline(path)
    assert line.events == ((100, "dog"), (300, "cat"))
    assert (line.ch_names, line.sfreq, line.n_times) == (("Oz", "O1"), SFREQ, 500)
    np.testing.assert_allclose(line.read(0, 500), data * 1e-6, rtol=1e-6)


def test_real_recording(shared_data: Path) -> None:
    line = recording_timeline(shared_data / "p300" / "sub-01_task-p300_raw.fif")
    labels = [label for _, label in line.events]
    assert (labels.count("target"), labels.count("nontarget")) == (150, 1050)
    assert (len(line.ch_names), line.sfreq) == (8, 250.0)
    assert set(line.units) == {"microvolts"}


def test_refuses_a_recording_without_events(tmp_path: Path) -> None:
    path = tmp_path / "silent_raw.fif"
    make_raw().save(path, verbose="error")
    with pytest.raises(DatasetError, match="has no events"):
        recording_timeline(path)


@pytest.mark.parametrize("name", ["text.fif", "text.edf", "text.vhdr", "text.set", "text.txt"])
def test_refuses_what_is_no_recording(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("hello", encoding="utf-8")
    with pytest.raises(DatasetError, match="is not a recording that MNE can read"):
        recording_timeline(path)
