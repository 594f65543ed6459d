"""The amplifier without a file: what its words mean, that its samples count themselves, that none is lost on LSL."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.errors import ConfigError
from necomimi.lsl import EEGInlet, Finder, MarkerInlet, find_stream
from necomimi.replay.outlet import stream_info
from necomimi.replay.replay import open_timeline
from necomimi.replay.synthetic import SAMPLE_MODULUS, synthetic_timeline
from necomimi.replay.timeline import Timeline
from necomimi.synthetic import CLASSES, Synthetic

NECOMIMI = Path(sys.executable).with_name("necomimi")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("synthetic:63x1000x5", Synthetic(n_channels=63, sfreq=1000.0, events=5.0, seconds=7200)),
        ("synthetic:256x2000x20x600", Synthetic(n_channels=256, sfreq=2000.0, events=20.0, seconds=600)),
        ("synthetic:8x512x0.5x60", Synthetic(n_channels=8, sfreq=512.0, events=0.5, seconds=60)),
    ],
)
def test_words_are_understood(text: str, expected: Synthetic) -> None:
    assert Synthetic.parse(text) == expected
    assert Synthetic.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "synthetic:", "synthetic:63", "synthetic:63x1000", "synthetic:63x1000x5x", "synthetic:63x1000x5x60x1",
        "synthetic:-1x1000x5", "synthetic:63.5x1000x5", "synthetic:63x1e3x5", "synthetic:63x1000x5x60.5",
        "synthetic:63 x1000x5", "synthetic:63x1000x5\n", "synthetic:٦٣x1000x5", "Synthetic:63x1000x5",
        "synthetic:63X1000X5", "synthetic:0x1000x5", "synthetic:1025x1000x5", "synthetic:63x10x5",
        "synthetic:63x99999x5", "synthetic:63x1000x0", "synthetic:63x1000x251", "synthetic:63x1000x5x4",
        "synthetic:63x1000x5x999999999", "synthetic:63x1000x200x86400", "synthetic:63x1000x0.1x10",
    ],
)  # fmt: skip
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Synthetic.parse(text)
    assert refused.value.expected


def test_options_of_a_data_set_are_refused() -> None:
    with pytest.raises(ConfigError, match="--subject with synthetic:"):
        open_timeline(Path("synthetic:63x1000x5"), subject=1)


def test_channels_have_places_as_far_as_there_are_any() -> None:
    timeline = open_timeline(Path("synthetic:70x1000x5"))
    known = set(mne.channels.make_standard_montage("easycap-M1").ch_names)
    assert set(timeline.ch_names[:63]) <= known
    assert timeline.ch_names[63:] == ("E64", "E65", "E66", "E67", "E68", "E69", "E70", "sample", "trigger")
    assert len(set(timeline.ch_names)) == 72
    info = stream_info(timeline)
    assert info.ch_types == ("EEG",) * 70 + ("MISC", "STIM")
    assert info.units == ("microvolts",) * 70 + ("", "")
    assert stream_info(open_timeline(Path("synthetic:70x1000x5"))).source_id == info.source_id


@cache
def two_hours() -> Timeline:
    return synthetic_timeline("synthetic:3x2000x7x7200")


@given(st.integers(0, 14_000_000), st.integers(1, 3000), st.data())
def test_signal_is_the_same_however_it_is_read(start: int, n_times: int, data: st.DataObject) -> None:
    timeline = two_hours()
    cut = data.draw(st.integers(0, n_times))
    whole = timeline.read(start, start + n_times)
    parts = timeline.read(start, start + cut), timeline.read(start + cut, start + n_times)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    np.testing.assert_array_equal(whole[3].astype(np.float32), np.arange(start, start + n_times) % SAMPLE_MODULUS)


def test_trigger_rises_at_each_event_to_the_number_of_its_class() -> None:
    timeline = synthetic_timeline("synthetic:1x1000x30x60")  # 33.3 samples from event to event
    trigger = timeline.read(0, timeline.n_times)[2]
    rises = np.flatnonzero((trigger[1:] > 0) & (trigger[:-1] == 0)) + 1
    assert [(int(sample), CLASSES[int(trigger[sample]) - 1]) for sample in rises] == list(timeline.events)
    assert len(timeline.events) == 56 * 30
    assert len({label for _, label in timeline.events}) == len(CLASSES)
    first, last = timeline.events[0][0], timeline.events[-1][0]
    assert first >= 2000
    assert last < timeline.n_times - 2000


def test_signal_is_of_the_size_of_eeg_and_closes_on_itself() -> None:
    timeline = synthetic_timeline("synthetic:16x1000x5x60")
    signal = timeline.read(0, timeline.n_times)[:16]
    assert np.all((signal.std(axis=1) > 10e-6) & (signal.std(axis=1) < 25e-6))
    assert np.ptp(signal, axis=1).max() < 300e-6
    steps = np.abs(np.diff(signal, axis=1))
    seams = steps[:, 4095::4096]
    assert seams.max() < np.quantile(steps, 0.9999)
    assert np.abs(np.corrcoef(signal) - np.eye(16)).max() < 0.6  # channels of their own


@pytest.mark.lsl
def test_every_sample_and_event_arrives_once() -> None:
    arguments = ["replay", "synthetic:63x1000x20x10", "--chunk", "10", "--speed", "4", "--wait", "60"]
    process = subprocess.Popen(
        [str(NECOMIMI), *arguments, "--name", "counted"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        eeg = EEGInlet(find_stream(Finder(name="counted"), 60.0))
        markers = MarkerInlet(find_stream(Finder(name="counted-markers"), 60.0))
        blocks, stamps, events = [], [], []
        deadline = time.monotonic() + 60
        while sum(map(len, stamps)) < 10_000 or len(events) < 120:
            assert time.monotonic() < deadline, f"{sum(map(len, stamps))} samples, {len(events)} events"
            samples, times = eeg.pull(0.1)
            blocks.append(samples.copy())
            stamps.append(times.copy())
            events += markers.pull(0.0)
        eeg.close()
        markers.close()
        said = process.communicate(timeout=30)[0]
    finally:
        process.kill()
        process.wait()
    samples, times = np.concatenate(blocks), np.concatenate(stamps)
    np.testing.assert_array_equal(samples[:, 63], np.arange(10_000))
    wanted = Synthetic.parse("synthetic:63x1000x20x10")
    assert [label for label, _ in events] == [CLASSES[i % 200] for i in range(120)]
    onsets = times[wanted.onsets()]
    np.testing.assert_allclose([onset for _, onset in events], onsets, atol=1e-3)
    assert "10000 samples, 120 events" in " ".join(said.split())


def test_a_wrong_source_is_told_in_words() -> None:
    done = subprocess.run(
        [str(NECOMIMI), "replay", "synthetic:63x1000"], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 2
    assert "expected: synthetic:CHANNELSxRATExEVENTS[xSECONDS]" in done.stderr
    assert "Traceback" not in done.stderr
