"""An XDF file becomes a recording with true times, whole, cut or damaged; nothing in it is believed unchecked."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import mne
import numpy as np
import pytest

from necomimi.errors import DatasetError, NecomimiError
from necomimi.markers import OUR_SOURCE_IDS
from necomimi.mne_raw import read_raw
from necomimi.offline.cutting import Window
from necomimi.offline.recorded import preprocess_recording
from necomimi.realtime.outlets import DECISIONS_SOURCE_ID
from necomimi.recordings import Recording, open_recording
from necomimi.replay.recording import recording_timeline
from necomimi.xdf_chunks import read_contents

SFREQ = 500.0
N = 3000
T0 = 5000.0
FORMATS = {"int16": "<i2", "int32": "<i4", "float32": "<f4", "double64": "<f8"}


def varlen(n: int) -> bytes:
    return b"\x04" + struct.pack("<I", n)


def chunk(tag: int, content: bytes, stream: int | None = None) -> bytes:
    body = struct.pack("<H", tag) + (b"" if stream is None else struct.pack("<I", stream)) + content
    return varlen(len(body)) + body


def header(
    stream: int, name: str, kind: str, n_channels: int, rate: float, form: str, desc: str = "", host: str = "lab"
) -> bytes:
    return chunk(
        2,
        f'<?xml version="1.0"?><info><name>{name}</name><type>{kind}</type><channel_count>{n_channels}</channel_count>'
        f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format><source_id>{name}-id</source_id>"
        f"<hostname>{host}</hostname><desc>{desc}</desc></info>".encode(),
        stream,
    )


def numbers(stream: int, stamps: Sequence[float], data: np.ndarray, form: str = "float32") -> bytes:
    """Return a chunk of samples, data of shape (n_times, n_channels), every other stamp left to be counted on."""
    rows = np.ascontiguousarray(data, dtype=FORMATS[form])
    body = varlen(len(rows))
    for i, (stamp, row) in enumerate(zip(stamps, rows, strict=True)):
        even = i % 2 and stamps[i - 1] + 1 / SFREQ == stamp
        body += (b"\0" if even else b"\x08" + struct.pack("<d", stamp)) + row.tobytes()
    return chunk(3, body, stream)


def words(stream: int, stamps: Sequence[float], labels: Sequence[str]) -> bytes:
    body = varlen(len(labels))
    for stamp, label in zip(stamps, labels, strict=True):
        text = label.encode()
        body += b"\x08" + struct.pack("<d", stamp) + varlen(len(text)) + text
    return chunk(3, body, stream)


def offset(stream: int, time: float, value: float) -> bytes:
    return chunk(4, struct.pack("<dd", time, value), stream)


HEAD = b"XDF:" + chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
BOUNDARY = chunk(5, bytes.fromhex("43A546DCCBF5410FB30ED5467383CBE4"))
CHANNELS = "<channels>" + "".join(
    f"<channel><label>{label}</label><unit>{unit}</unit><type>{kind}</type></channel>"
    for label, unit, kind in (("Oz", "microvolts", "EEG"), ("Cz", "mV", "EEG"), ("STI", "", "Trigger"))
) + "</channels>"  # fmt: skip


def values(n: int = N) -> np.ndarray:
    """Return (n, 3) small whole numbers, the third the sample's own."""
    data = np.random.default_rng(3).integers(-100, 100, size=(n, 3))
    data[:, 2] = np.arange(n)
    return data


def eeg_header(desc: str = CHANNELS, **changes: object) -> bytes:
    options = {"name": "amp", "kind": "EEG", "n_channels": 3, "rate": SFREQ, "form": "float32", "desc": desc} | changes
    return header(1, **options)  # type: ignore[arg-type]


def write(
    path: Path, stamps: np.ndarray, onsets: Sequence[float], *, eeg: bytes | None = None, form: str = "float32",
    extra: bytes = b"", host: str = "lab", labels: Sequence[str] | None = None,
) -> Path:  # fmt: skip
    """Write a file of one EEG stream (number 1) and one marker stream (number 2), as LabRecorder interleaves them."""
    labels = labels or [f"m{i}" for i in range(len(onsets))]
    body = HEAD + (eeg or eeg_header()) + header(2, "marks", "Markers", 1, 0, "string", host=host) + extra
    data = values(len(stamps))
    for i in range(0, len(stamps), 250):
        body += numbers(1, stamps[i : i + 250].tolist(), data[i : i + 250], form)
        if len(onsets) and i == 500:
            body += words(2, onsets[: len(onsets) // 2], labels[: len(onsets) // 2]) + BOUNDARY
    body += words(2, onsets[len(onsets) // 2 :], labels[len(onsets) // 2 :])
    path.write_bytes(body)
    return path


def even(n: int = N) -> np.ndarray:
    return T0 + np.arange(n) / SFREQ


@pytest.mark.parametrize("form", list(FORMATS))
def test_signal_channels_and_markers(tmp_path: Path, form: str) -> None:
    onsets = [T0 + 0.5, T0 + 1.0007, T0 + 3.9992]
    path = write(tmp_path / "session.xdf", even(), onsets, eeg=eeg_header(form=form), form=form)
    recording = open_recording(path)
    assert (recording.name, recording.sfreq, recording.n_times) == ("session", SFREQ, N)
    assert recording.ch_names == ("Oz", "Cz", "STI")
    assert recording.ch_types == ("eeg", "eeg", "trigger")
    assert recording.units == ("V", "V", "")
    assert recording.picks() == [0, 1]
    assert recording.events == ((250, "m0"), (500, "m1"), (2000, "m2"))
    assert recording.seams == ()
    np.testing.assert_allclose(recording.read(10, 20), values()[10:20].T * np.array([[1e-6], [1e-3], [1]]), rtol=1e-6)
    np.testing.assert_array_equal(recording.read(10, 20, [2]), values()[10:20, 2:].T)
    np.testing.assert_allclose(recording.onsets, np.array(onsets) - T0, atol=1e-9)  # type: ignore[arg-type]
    np.testing.assert_allclose(recording.stamps, np.arange(N) / SFREQ, atol=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".xdfz", ".xdf.gz"])
def test_packed(tmp_path: Path, suffix: str) -> None:
    plain = write(tmp_path / "session.xdf", even(), [T0 + 0.5, T0 + 1])
    packed = tmp_path / f"packed{suffix}"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert open_recording(packed).events == ((250, "m0"), (500, "m1"))
    assert open_recording(packed).name == "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes())[:-3000])
    cut = open_recording(packed)
    assert cut.events == ((250, "m0"),)
    assert 750 <= cut.n_times < N


@pytest.mark.parametrize("garbage", [[], [0], [6], [12], [0, 6, 6, 12]])
def test_two_machines_are_brought_on_one_clock(tmp_path: Path, garbage: list[int]) -> None:
    """The amplifier's clock is 1000 s ahead and 20 ppm fast; the recorder measures it every 5 s, noisily.

    LabRecorder writes zeros where it got no answer, because the sender had gone for a while.
    """
    n, ahead, drift = 60 * 500, 1000.0, 20e-6
    true = T0 + np.arange(n) / SFREQ
    rng = np.random.default_rng(0)
    offsets = [
        offset(1, t + ahead + drift * (t - T0), -ahead - drift * (t - T0) + rng.normal(scale=2e-5))
        for t in np.arange(T0, T0 + 60, 5.0)
    ]
    for place in sorted(garbage, reverse=True):
        offsets.insert(place, offset(1, 0.0, 0.0))
    onsets = [float(true[i]) for i in (300, 15000, 29900)]
    path = write(
        tmp_path / "two.xdf", true + ahead + drift * (true - T0), onsets, eeg=eeg_header(host="amp"),
        extra=b"".join(offsets), host="stimuli",
    )  # fmt: skip
    recording = open_recording(path)
    assert [sample for sample, _ in recording.events] == [300, 15000, 29900]
    np.testing.assert_allclose(recording.onsets, np.array([300, 15000, 29900]) / SFREQ, atol=1e-4)  # type: ignore[arg-type]


def test_one_machine_needs_no_measured_offset(tmp_path: Path) -> None:
    """Streams of one machine share its clock: the offsets' noise must not move markers against samples."""
    noisy = b"".join(offset(i, T0 + t, 1e-4 * (-1) ** i) for i in (1, 2) for t in (1.0, 2.0, 3.0))
    onset = T0 + 100.49 / SFREQ  # half of the noise would push it to the next sample
    recording = open_recording(write(tmp_path / "one.xdf", even(), [onset], extra=noisy))
    assert recording.events == ((100, "m0"),)
    assert recording.onsets is not None
    assert recording.onsets[0] == pytest.approx(100.49 / SFREQ, abs=1e-9)


def holed(seconds: float = 2.0, at: int = 1200) -> np.ndarray:
    stamps = even()
    stamps[at:] += seconds
    return stamps


def test_a_hole_keeps_its_length_and_no_epoch_crosses_it(tmp_path: Path) -> None:
    stamps = holed()
    onsets = [float(stamps[1000]), float(stamps[1190]), T0 + 3.4, float(stamps[1210]), float(stamps[2000])]
    recording = open_recording(write(tmp_path / "hole.xdf", stamps, onsets))
    assert recording.seams == (1200,)
    assert [sample for sample, _ in recording.events] == [1000, 1190, 1199, 1210, 2000]
    first = np.array([sample - 50 for sample, _ in recording.events])
    assert recording.is_whole(first, first + 150).tolist() == [True, False, False, False, True]
    line = recording_timeline(tmp_path / "hole.xdf")
    assert line.seams == ()
    assert line.duration == pytest.approx(N / SFREQ + 2.0)
    for (position, _), onset in zip(line.events, onsets, strict=True):
        assert line.time_of(position) == pytest.approx(onset - T0, abs=1e-9)


def test_preprocessing_leaves_out_what_a_hole_cuts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stamps = holed()
    kept = [*range(100, 900, 25), *range(1300, 2600, 25)]
    onsets = [float(stamps[i]) for i in sorted([*kept, 1150, 1180, 1210])]
    path = write(tmp_path / "hole.xdf", stamps, onsets, labels=[f"c{i % 3}" for i in range(len(onsets))])
    with caplog.at_level("INFO", logger="necomimi.offline"):
        preprocess_recording(path, tmp_path / "epochs", window=Window(tmin=-0.1, tmax=0.4, sfreq=250.0))
    assert f"3 of {len(onsets)} events left out" in caplog.text
    assert np.load(tmp_path / "epochs" / "train.npy").shape[0] == len(kept)


def test_a_file_cut_anywhere_is_read_up_to_its_last_whole_chunk(tmp_path: Path) -> None:
    """Every byte of the end, where a recorder may have been killed."""
    whole = write(tmp_path / "whole.xdf", even(), [T0 + 0.5, T0 + 0.6]).read_bytes()
    stamps = even()[:1250]
    markers = words(2, [T0 + 0.5], ["early"])
    end = numbers(1, stamps[1000:].tolist(), values(1250)[1000:])[:200]
    tail = offset(1, T0, 0.0) + BOUNDARY + words(2, [T0 + 1.0], ["late"])
    lead = HEAD + eeg_header() + header(2, "marks", "Markers", 1, 0, "string")
    lead += numbers(1, stamps[:1000].tolist(), values(1000)) + markers
    path = tmp_path / "cut.xdf"
    for n in range(len(tail)):
        path.write_bytes(lead + tail[:n])
        assert open_recording(path).events == ((250, "early"),)
        assert open_recording(path).n_times == 1000
    for n in range(len(end)):
        path.write_bytes(lead + tail + end[:n])
        assert open_recording(path).events == ((250, "early"), (500, "late"))
        assert read_contents(path).is_cut == (n > 0)
    for n in range(0, len(lead) - len(markers), 97):  # before any marker, or any sample, there is nothing to play
        path.write_bytes(lead[:n])
        with pytest.raises(DatasetError):
            open_recording(path)
    assert len(whole) > len(lead)


def test_damage_is_told_and_not_believed(tmp_path: Path) -> None:
    """Flipped bytes: a recording, shorter perhaps, or an error in words; never a crash, never a flood of memory."""
    good = write(tmp_path / "good.xdf", even(1500), [T0 + 0.5, T0 + 1.5, T0 + 2.5]).read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / "bad.xdf"
    outcomes = set()
    for _ in range(300):
        bad = bytearray(good)
        region = len(good) if rng.random() < 0.5 else 1600  # the headers are worth more trials
        for place in rng.integers(0, region, size=rng.integers(1, 4)):
            bad[place] = rng.integers(0, 256)
        path.write_bytes(bad)
        try:
            outcomes.add(type(open_recording(path)))
        except NecomimiError as error:
            outcomes.add(type(error))
    assert outcomes == {Recording, DatasetError}


@pytest.mark.parametrize("count", [2**31, 2**31 - 1, 10_000])
def test_a_count_that_cannot_be_true_is_not_allocated(tmp_path: Path, count: int) -> None:
    lie = chunk(3, varlen(count) + bytes(1000), 2)
    path = tmp_path / "lie.xdf"
    path.write_bytes(write(path, even(), [T0 + 1]).read_bytes() + lie + words(2, [T0 + 2], ["after"]))
    assert open_recording(path).events == ((500, "m0"),)


def test_which_stream_is_the_eeg(tmp_path: Path) -> None:
    second = header(3, "other", "EEG", 1, 250, "float32") + numbers(3, [T0], np.zeros((1, 1)))
    empty = header(4, "empty", "eeg", 1, 250, "float32")
    path = write(tmp_path / "one.xdf", even(), [T0 + 1], extra=empty)
    assert open_recording(path).ch_names == ("Oz", "Cz", "STI")
    path = write(tmp_path / "two.xdf", even(), [T0 + 1], extra=second)
    with pytest.raises(DatasetError, match=r"holds 2 streams of type EEG: 'amp' .*; 'other'") as caught:
        open_recording(path)
    assert "--stream NAME" in caught.value.remedy
    assert open_recording(path, "amp").events == open_recording(path, "amp-id").events == ((500, "m0"),)
    with pytest.raises(DatasetError, match="holds no streams called 'absent'"):
        open_recording(path, "absent")
    with pytest.raises(DatasetError, match="cannot be EEG"):
        open_recording(path, "marks")
    gait = write(tmp_path / "gait.xdf", even(), [T0 + 1], eeg=eeg_header(kind="MoCap"))
    with pytest.raises(DatasetError, match="holds no streams of type EEG: 'amp'"):
        open_recording(gait)
    irregular = write(tmp_path / "irregular.xdf", even(), [T0 + 1], eeg=eeg_header(rate=0))
    with pytest.raises(DatasetError, match=r"'amp' .*irregular.* cannot be EEG"):
        open_recording(irregular)


@pytest.mark.parametrize("control", ["replay/loop", "present/catch"])
def test_our_own_decisions_and_our_programs_words_are_no_stimuli(control: str, tmp_path: Path) -> None:
    ours = header(5, DECISIONS_SOURCE_ID, "Markers", 1, 0, "string") + words(5, [T0 + 1.1], ['{"type": "retrieval"}'])
    path = write(tmp_path / "s.xdf", even(), [T0 + 1, T0 + 2], labels=["dog", control], extra=ours)
    assert open_recording(path).events == ((500, "dog"),)
    silent = write(tmp_path / "silent.xdf", even(), [T0 + 2], labels=[control], extra=ours)
    with pytest.raises(DatasetError, match="has no markers"):
        open_recording(silent)
    assert DECISIONS_SOURCE_ID in OUR_SOURCE_IDS


def session(path: Path) -> Path:
    """Write EEG whose stamps are 0.7 s ahead of the recorder's clock, and a decoder on a machine 500 s ahead."""
    ahead = 500.7
    answers = [
        (1.9, {"type": "provisional", "onset": T0 + 1 + ahead, "labels": ["owl"]}),
        (2.3, {"type": "retrieval", "onset": T0 + 1 + ahead, "labels": ["dog", "owl"]}),
        (2.4, {"type": "refusal", "onset": T0 + 2 + ahead, "reason": "gap"}),
        (2.5, {"type": "picture"}),
    ]
    extra = header(5, DECISIONS_SOURCE_ID, "Markers", 1, 0, "string", host="decoder")
    extra += words(5, [T0 + t + ahead for t, _ in answers], [json.dumps(answer) for _, answer in answers])
    for t in range(0, 6, 2):
        extra += b"".join(offset(number, T0 + t, -0.7) for number in (1, 2)) + offset(5, T0 + t + 500, -ahead - 0.7)
    return write(path, even(), [T0 + 1, T0 + 2], labels=["dog", "owl"], extra=extra)


def test_decisions_stand_beside_their_events_whichever_machine_decided(tmp_path: Path) -> None:
    recording = open_recording(session(tmp_path / "s.xdf"))
    assert recording.events == ((500, "dog"), (1000, "owl"))
    assert recording.decisions == (
        (500, 950, "provisional/owl"), (500, 1150, "decision/dog"), (1000, 1200, "refusal/gap"),
    )  # fmt: skip


def test_into_mne_and_eeglab(tmp_path: Path) -> None:
    raw = read_raw(session(tmp_path / "s.xdf"))
    assert raw.get_channel_types() == ["eeg", "eeg", "misc"]
    np.testing.assert_allclose(raw.get_data(), values().T * np.array([[1e-6], [1e-3], [1]]), rtol=1e-6)
    assert [(note["description"], note["onset"], round(note["duration"], 6)) for note in raw.annotations] == [
        ("dog", 1.0, 0.0), ("provisional/owl", 1.0, 0.9), ("decision/dog", 1.0, 1.3),
        ("owl", 2.0, 0.0), ("refusal/gap", 2.0, 0.4),
    ]  # fmt: skip
    pytest.importorskip("eeglabio", reason="eeglabio is not installed: pip install eeglabio")
    raw.export(tmp_path / "s.set")
    back = mne.io.read_raw_eeglab(tmp_path / "s.set", verbose="error")
    np.testing.assert_allclose(back.get_data(), raw.get_data(), rtol=1e-6)
    assert list(back.annotations.description) == list(raw.annotations.description)
    np.testing.assert_allclose(back.annotations.onset, raw.annotations.onset)
    np.testing.assert_allclose(back.annotations.duration, raw.annotations.duration, atol=1e-6)


def test_decisions_without_stimuli_are_a_session_too(tmp_path: Path) -> None:
    """Decoding without markers has events of its own."""
    ours = header(5, DECISIONS_SOURCE_ID, "Markers", 1, 0, "string")
    ours += words(5, [T0 + 2], [json.dumps({"type": "retrieval", "onset": T0 + 1, "labels": ["dog"]})])
    path = write(tmp_path / "s.xdf", even(), [], extra=ours)
    assert list(read_raw(path).annotations.description) == ["decision/dog"]
    with pytest.raises(DatasetError, match="has no markers"):
        open_recording(path)


def test_markers_around_the_signal_are_kept_and_far_ones_are_not(tmp_path: Path) -> None:
    onsets = [T0 - 100, T0 - 0.1, T0 + 1, T0 + 6.1, T0 + 1e6]
    assert open_recording(write(tmp_path / "s.xdf", even(), onsets)).events == ((-50, "m1"), (500, "m2"), (3050, "m3"))


def test_what_a_player_said_of_its_stream(tmp_path: Path) -> None:
    desc = CHANNELS + "<preprocessing><applied>baseline resample whiten other</applied></preprocessing>"
    played = eeg_header(desc + "<replay><speed>2.0</speed></replay>")
    path = write(tmp_path / "s.xdf", even(), [T0 + 1], eeg=played)
    recording = open_recording(path)
    assert recording.applied == ("baseline", "resample", "whiten")
    assert (recording.sfreq, recording.events) == (250.0, ((500, "m0"),))
    assert recording.onsets is not None
    assert recording.stamps is not None
    assert (recording.onsets[0], recording.stamps[-1]) == pytest.approx((2.0, (N - 1) / 250))
    assert recording_timeline(path).applied == recording.applied
    with pytest.raises(DatasetError, match="has been through baseline, resample, whiten already"):
        preprocess_recording(path, tmp_path / "epochs")


def test_a_silent_header(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = open_recording(write(tmp_path / "s.xdf", even(), [T0 + 1], eeg=eeg_header("")))
    assert recording.ch_names == ("#1", "#2", "#3")
    assert recording.ch_types == ("eeg",) * 3
    assert recording.units == ("V",) * 3
    assert "unit guessed: microvolts" in caplog.text
    np.testing.assert_allclose(recording.read(0, 5, [0])[0], values()[:5, 0] * 1e-6, rtol=1e-6)


def test_a_clock_that_starts_anew_without_offsets_is_refused(tmp_path: Path) -> None:
    stamps = even()
    stamps[2000:] -= 4000
    with pytest.raises(DatasetError, match=r"step back by 4000\.0 s"):
        open_recording(write(tmp_path / "s.xdf", stamps, [T0 + 1]))
    stamps = even()
    stamps[2000:] -= 0.5
    assert open_recording(write(tmp_path / "s.xdf", stamps, [T0 + 1])).seams == (2000,)


def test_refuses_what_is_no_xdf(tmp_path: Path) -> None:
    path = tmp_path / "s.xdf"
    for content in (b"", b"XD", b"hello world", b"\x1f\x8bnonsense", HEAD, HEAD[:20]):
        path.write_bytes(content)
        with pytest.raises(DatasetError):
            open_recording(path)


def test_files_of_other_writers(shared_data: Path) -> None:
    resets = open_recording(shared_data / "xdf" / "clock_resets.xdf")
    assert (resets.n_times, len(resets.events), resets.sfreq) == (27815, 175, 100.0)
    assert resets.stamps is not None
    assert np.diff(resets.stamps).min() > 0
    assert np.diff(resets.stamps).max() > 60  # the computer was started anew
    minimal = open_recording(shared_data / "xdf" / "minimal.xdf")
    assert minimal.events[1:3] == ((2, "Hello"), (3, "World"))  # by the offsets of -0.1 s
    np.testing.assert_array_equal(minimal.read(0, 2), [[192, 12], [255, 22], [238, 32]])
    with pytest.raises(DatasetError, match=r"holds no streams of type EEG: .*'ctrl'"):
        open_recording(shared_data / "xdf" / "empty_streams.xdf")
    with pytest.raises(DatasetError, match="has no markers beside its 3104 samples"):
        open_recording(shared_data / "xdf" / "lsl_latency_short_test.xdf", "openvibeSignal")
