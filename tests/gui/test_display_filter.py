from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import sosfilt, sosfilt_zi

from necomimi.gui.display_filter import (
    AVERAGE,
    HIGHPASS_HZ,
    LOWPASS_HZ,
    NOTCH_HZ,
    START_S,
    DisplayFilter,
    DisplaySettings,
    design,
)

SFREQ = 500.0
NAMES = ("Fz", "Cz", "Pz", "Oz")
ALL = DisplaySettings(AVERAGE, 1.0, 40.0, 50.0)


def signal(n: int = 1500, seed: int = 0) -> np.ndarray:
    """Return noise on electrode offsets of millivolts, in microvolts."""
    rng = np.random.default_rng(seed)
    return (10 * rng.normal(size=(4, n)) + rng.uniform(-5000, 5000, (4, 1))).astype(np.float32)


def in_parts(display_filter: DisplayFilter, data: np.ndarray, cuts: list[int]) -> np.ndarray:
    """Return what is drawn of a stretch that comes in parts, having seen that no time is lost or doubled."""
    times = np.arange(data.shape[1]) / SFREQ
    pieces = [display_filter.add(times[part], data[:, part]) for part in np.split(np.arange(len(times)), sorted(cuts))]
    last = display_filter.finish()
    pieces += [] if last is None else [last]
    np.testing.assert_array_equal(np.concatenate([piece[0] for piece in pieces]), times)
    return np.concatenate([piece[1] for piece in pieces], axis=1)


def shown(chosen: DisplaySettings, data: np.ndarray, bad: Collection[str] = (), sfreq: float = SFREQ) -> np.ndarray:
    return in_parts(DisplayFilter(chosen, NAMES, sfreq, bad), data, [])


def rms_of_tone(settings: DisplaySettings, hz: float) -> float:
    """Return what is left of a sine of rms 1 once the filters have settled."""
    time = np.arange(20 * int(SFREQ)) / SFREQ
    tone = np.sqrt(2) * np.sin(2 * np.pi * hz * time).astype(np.float32)
    out = in_parts(DisplayFilter(settings, ("Cz",), SFREQ), tone[None], [])
    return float(out[0, len(time) // 2 :].std())


@settings(max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 1500), max_size=40),
    highpass=st.sampled_from(HIGHPASS_HZ),
    lowpass=st.sampled_from(LOWPASS_HZ),
    notch=st.sampled_from(NOTCH_HZ),
)
def test_however_it_is_cut_it_is_the_filter_over_the_whole_stretch(
    cuts: list[int], highpass: float | None, lowpass: float | None, notch: float | None
) -> None:
    chosen = DisplaySettings(None, highpass, lowpass, notch)
    data = signal()
    expected = data.astype(np.float64)
    sections = design(chosen, SFREQ)
    if sections is not None:
        n_start = 1 if highpass is None else round(START_S * SFREQ)
        start = sosfilt_zi(sections)[:, None] * expected[:, :n_start].mean(axis=1, keepdims=True)
        expected, _ = sosfilt(sections, expected, axis=1, zi=start)
    ours = in_parts(DisplayFilter(chosen, NAMES, SFREQ), data, cuts)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-3)


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 300), max_size=20), seed=st.integers(0, 99))
def test_holes_in_single_channels_do_not_depend_on_the_cuts_either(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = signal(300, seed)
    data[rng.random(data.shape) < 0.2] = np.nan
    data[0, : rng.integers(0, 300)] = np.nan
    whole = shown(ALL, data)
    np.testing.assert_allclose(in_parts(DisplayFilter(ALL, NAMES, SFREQ), data, cuts), whole, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(data))


def test_a_hole_in_a_channel_costs_the_others_nothing() -> None:
    chosen = DisplaySettings(None, 1.0, 40.0, 50.0)
    data = signal()
    whole = shown(chosen, data)
    data[2, 500:700] = np.nan
    out = shown(chosen, data)
    np.testing.assert_array_equal(out[[0, 1, 3]], whole[[0, 1, 3]])
    assert np.abs(out[2, 700:]).max() < 100  # of an offset of thousands


def test_an_average_reference_sums_to_zero_over_the_good_channels() -> None:
    data = signal()
    out = shown(DisplaySettings(AVERAGE), data, bad={"Cz"})
    np.testing.assert_allclose(out[[0, 2, 3]].sum(axis=0), 0.0, atol=2e-3)
    np.testing.assert_allclose(out[1], data[1] - data[[0, 2, 3]].mean(axis=0, dtype=np.float64), atol=1e-3)
    assert np.abs(out.sum(axis=0)).min() > 10  # with the bad one it does not: its offset is its own


def test_a_channel_that_is_the_reference_is_flat() -> None:
    data = signal()
    out = shown(DisplaySettings("Pz"), data)
    assert not out[2].any()
    np.testing.assert_allclose(out[0], data[0] - data[2], atol=1e-3)


def test_no_good_channel_is_no_reference() -> None:
    data = signal()
    np.testing.assert_array_equal(shown(DisplaySettings(AVERAGE), data, bad=NAMES), data)


@pytest.mark.parametrize(
    ("chosen", "kept", "left_out"),
    [
        (DisplaySettings(highpass=1.0), 10.0, 0.1),
        (DisplaySettings(lowpass=40.0), 10.0, 150.0),
        (DisplaySettings(notch=50.0), 40.0, 50.0),
        (DisplaySettings(notch=60.0), 50.0, 60.0),
    ],
)
def test_filters_leave_out_what_they_say(chosen: DisplaySettings, kept: float, left_out: float) -> None:
    assert rms_of_tone(chosen, kept) == pytest.approx(1.0, abs=0.03)
    assert rms_of_tone(chosen, left_out) < 0.03


def test_an_offset_makes_no_transient() -> None:
    flat = np.full((4, 400), 25000.0, dtype=np.float32)
    np.testing.assert_allclose(shown(DisplaySettings(highpass=0.1), flat), 0.0, atol=1e-3)
    np.testing.assert_allclose(shown(DisplaySettings(lowpass=30.0), flat), 25000.0, rtol=1e-6)


def test_a_high_pass_starts_from_the_level_and_not_from_a_single_sample() -> None:
    time = np.arange(3 * int(SFREQ)) / SFREQ
    hum = (3000 + 50 * np.cos(2 * np.pi * 50 * time)).astype(np.float32)  # the first sample is a crest
    out = shown(DisplaySettings(highpass=0.1, notch=50.0), np.tile(hum, (4, 1)))
    assert np.abs(out[:, int(SFREQ) :]).max() < 1.0


def test_a_stretch_too_short_to_learn_from_is_drawn_in_the_end() -> None:
    display_filter = DisplayFilter(DisplaySettings(highpass=1.0), NAMES, SFREQ)
    data, times = signal(100), np.arange(100) / SFREQ
    assert display_filter.add(times, data)[1].shape == (4, 0)
    last = display_filter.finish()
    assert last is not None
    assert last[1].shape == (4, 100)
    assert np.abs(last[1]).max() < 100  # without the offset of thousands
    assert display_filter.finish() is None


def test_what_comes_in_is_never_written_to() -> None:
    data = signal()
    before = data.copy()
    data.flags.writeable = False
    out = shown(ALL, data)
    np.testing.assert_array_equal(data, before)
    assert not np.shares_memory(out, data)


def test_a_stream_that_cannot_hold_a_frequency_is_shown_without_that_filter() -> None:
    possible = ALL.possible(NAMES, 100.0)
    assert possible == DisplaySettings(AVERAGE, 1.0, 40.0, None)
    assert DisplaySettings("T7", lowpass=100.0).possible(NAMES, 200.0) == DisplaySettings()
    data = signal(100)
    np.testing.assert_array_equal(shown(DisplaySettings("T7", notch=50.0), data, sfreq=100.0), data)
    assert shown(ALL, data, sfreq=0.0).shape == data.shape  # an irregular stream has no frequencies


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (DisplaySettings(), ""),
        (ALL, "average reference · 1–40 Hz · notch 50 Hz"),
        (DisplaySettings("Cz", highpass=0.1), "reference Cz · from 0.1 Hz"),
        (DisplaySettings(lowpass=30.0, notch=60.0), "up to 30 Hz · notch 60 Hz"),
    ],
)
def test_words(chosen: DisplaySettings, words: str) -> None:
    assert chosen.describe() == words
