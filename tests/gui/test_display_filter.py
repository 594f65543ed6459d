from __future__ import annotations

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
    return np.concatenate([display_filter(part) for part in np.split(data, sorted(cuts), axis=1)], axis=1)


def rms_of_tone(settings: DisplaySettings, hz: float) -> float:
    """Return what is left of a sine of rms 1 once the filters have settled."""
    time = np.arange(20 * int(SFREQ)) / SFREQ
    tone = np.sqrt(2) * np.sin(2 * np.pi * hz * time).astype(np.float32)
    out = DisplayFilter(settings, ("Cz",), SFREQ)(tone[None])
    return float(out[0, len(time) // 2 :].std())


@settings(max_examples=40, deadline=None)
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
        start = sosfilt_zi(sections)[:, None] * expected[:, :1]
        expected, _ = sosfilt(sections, expected, axis=1, zi=start)
    ours = in_parts(DisplayFilter(chosen, NAMES, SFREQ), data, cuts)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=20), seed=st.integers(0, 99))
def test_holes_in_single_channels_do_not_depend_on_the_cuts_either(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = signal(300, seed)
    data[rng.random(data.shape) < 0.2] = np.nan
    data[0, : rng.integers(0, 300)] = np.nan
    whole = DisplayFilter(ALL, NAMES, SFREQ)(data)
    np.testing.assert_allclose(in_parts(DisplayFilter(ALL, NAMES, SFREQ), data, cuts), whole, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(data))


def test_a_hole_in_a_channel_costs_the_others_nothing() -> None:
    chosen = DisplaySettings(None, 1.0, 40.0, 50.0)
    data = signal()
    whole = DisplayFilter(chosen, NAMES, SFREQ)(data)
    data[2, 500:700] = np.nan
    out = DisplayFilter(chosen, NAMES, SFREQ)(data)
    np.testing.assert_array_equal(out[[0, 1, 3]], whole[[0, 1, 3]])
    assert np.abs(out[2, 700:]).max() < 100  # of an offset of thousands


def test_an_average_reference_sums_to_zero_over_the_good_channels() -> None:
    data = signal()
    out = DisplayFilter(DisplaySettings(AVERAGE), NAMES, SFREQ, bad={"Cz"})(data)
    np.testing.assert_allclose(out[[0, 2, 3]].sum(axis=0), 0.0, atol=2e-3)
    np.testing.assert_allclose(out[1], data[1] - data[[0, 2, 3]].mean(axis=0, dtype=np.float64), atol=1e-3)
    assert np.abs(out.sum(axis=0)).min() > 10  # with the bad one it does not: its offset is its own


def test_a_channel_that_is_the_reference_is_flat() -> None:
    data = signal()
    out = DisplayFilter(DisplaySettings("Pz"), NAMES, SFREQ)(data)
    assert not out[2].any()
    np.testing.assert_allclose(out[0], data[0] - data[2], atol=1e-3)


def test_no_good_channel_is_no_reference() -> None:
    data = signal()
    np.testing.assert_array_equal(DisplayFilter(DisplaySettings(AVERAGE), NAMES, SFREQ, bad=NAMES)(data), data)


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
    np.testing.assert_allclose(DisplayFilter(DisplaySettings(highpass=0.1), NAMES, SFREQ)(flat), 0.0, atol=1e-3)
    np.testing.assert_allclose(DisplayFilter(DisplaySettings(lowpass=30.0), NAMES, SFREQ)(flat), 25000.0, rtol=1e-6)


def test_what_comes_in_is_never_written_to() -> None:
    data = signal()
    before = data.copy()
    data.flags.writeable = False
    out = DisplayFilter(ALL, NAMES, SFREQ)(data)
    np.testing.assert_array_equal(data, before)
    assert not np.shares_memory(out, data)


def test_a_stream_that_cannot_hold_a_frequency_is_shown_without_that_filter() -> None:
    possible = ALL.possible(NAMES, 100.0)
    assert possible == DisplaySettings(AVERAGE, 1.0, 40.0, None)
    assert DisplaySettings("T7", lowpass=100.0).possible(NAMES, 200.0) == DisplaySettings()
    data = signal(100)
    np.testing.assert_array_equal(DisplayFilter(DisplaySettings("T7", notch=50.0), NAMES, 100.0)(data), data)
    assert DisplayFilter(ALL, NAMES, 0.0)(data).shape == data.shape  # an irregular stream has no frequencies


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
