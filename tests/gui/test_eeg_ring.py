from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from necomimi.gui.display_filter import AVERAGE, DisplayFilter, DisplaySettings
from necomimi.gui.eeg_ring import EEGRing, Outline
from necomimi.records import Chunk, StreamInfo

SFREQ = 1000.0


def make_info(n_channels: int = 3, sfreq: float = SFREQ, applied: tuple[str, ...] = ()) -> StreamInfo:
    names = tuple(f"E{i}" for i in range(n_channels))
    return StreamInfo(
        name="amp",
        type="EEG",
        source_id="a",
        uid="u",
        ch_names=names,
        sfreq=sfreq,
        units=("V",) * n_channels,
        applied=applied,
    )


def make_chunk(times: np.ndarray, data: np.ndarray, info: StreamInfo) -> Chunk:
    return Chunk(data=data, timestamps=times, info=info)


def signal(n: int, n_channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_channels, n)).astype(np.float32)


def test_outline_of_dense_samples_is_their_extremes() -> None:
    times = 100.0003 + np.arange(2000) / SFREQ
    data = signal(2000)
    outline = Outline(3, column_s=0.01, n_columns=300, gap_s=0.0065)
    outline.add(times, data)
    first = int(np.floor(times[0] / 0.01))
    low, high = outline.read(first, 200)
    columns = np.floor(times / 0.01).astype(int) - first
    for i in range(1, 199):  # the borders also hold the line to the neighbouring column
        inside = data[:, columns == i]
        assert (low[:, i] <= inside.min(axis=1)).all()
        assert (high[:, i] >= inside.max(axis=1)).all()
        neighbourhood = data[:, (columns >= i - 1) & (columns <= i + 1)]
        assert (low[:, i] >= neighbourhood.min(axis=1)).all()
        assert (high[:, i] <= neighbourhood.max(axis=1)).all()


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(1, 399), max_size=30, unique=True),
    hole=st.integers(0, 399),
    column_s=st.sampled_from([0.0004, 0.003, 0.0111]),
)
def test_chunking_does_not_matter(cuts: list[int], hole: int, column_s: float) -> None:
    times = 50.0 + np.arange(400) / SFREQ
    times[hole:] += 0.05
    data = signal(400)
    whole = Outline(3, column_s, 1200, 0.0065)
    whole.add(times, data)
    parts = Outline(3, column_s, 1200, 0.0065)
    for some in np.split(np.arange(400), sorted(cuts)):
        parts.add(times[some], data[:, some])
    first = int(50.0 / column_s)
    for ours, theirs in zip(parts.read(first, 1200), whole.read(first, 1200), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_slow_streams_are_drawn_as_lines_between_samples() -> None:
    outline = Outline(1, column_s=0.01, n_columns=200, gap_s=0.2)
    outline.add(np.array([1.0, 1.1]), np.array([[0.0, 10.0]], dtype=np.float32))
    low, high = outline.read(100, 10)
    np.testing.assert_allclose(low[0], np.arange(10), atol=1e-3)
    np.testing.assert_allclose(high[0], np.arange(1, 11), atol=1e-3)


def test_a_gap_is_left_empty_and_listed() -> None:
    ring = EEGRing(make_info(), seconds=5.0)
    outline = ring.outline(0.01, 600)
    ring.add(make_chunk(10.0 + np.arange(1000) / SFREQ, signal(1000), ring.info))
    ring.add(make_chunk(13.0 + np.arange(500) / SFREQ, signal(500), ring.info))
    low, high = outline.read(1000, 350)
    empty = np.isnan(low).all(axis=0) & np.isnan(high).all(axis=0)
    np.testing.assert_array_equal(np.flatnonzero(empty), np.arange(100, 300))
    assert list(ring.gaps) == [pytest.approx((10.999, 13.0))]


def test_healthy_jitter_is_no_gap() -> None:
    ring = EEGRing(make_info(), seconds=5.0)
    jitter = np.random.default_rng(1).uniform(0, 0.005, 3000)
    ring.add(make_chunk(10.0 + np.arange(3000) / SFREQ + jitter, signal(3000), ring.info))
    assert not ring.gaps


def test_volts_become_microvolts_and_the_newest_seconds_are_kept() -> None:
    ring = EEGRing(make_info(), seconds=1.0)
    data = signal(2500) * 1e-6
    for i in range(0, 2500, 50):
        ring.add(make_chunk(5.0 + np.arange(i, i + 50) / SFREQ, data[:, i : i + 50], ring.info))
    times, kept = ring.latest(10.0)
    assert len(times) == 1000
    np.testing.assert_allclose(times, 5.0 + np.arange(1500, 2500) / SFREQ)
    np.testing.assert_allclose(kept, data[:, 1500:] * 1e6, rtol=1e-5)
    assert ring.newest == pytest.approx(7.499)
    assert ring.unit == "µV"


def test_a_chunk_longer_than_the_ring_keeps_its_end() -> None:
    ring = EEGRing(make_info(), seconds=1.0)
    data = signal(1700)
    ring.add(make_chunk(np.arange(1700) / SFREQ, data, ring.info))
    np.testing.assert_allclose(ring.latest(1.0)[1], data[:, 700:] * 1e6, rtol=1e-5)


def test_whitened_signals_have_no_unit() -> None:
    ring = EEGRing(make_info(applied=("whiten",)), seconds=1.0)
    ring.add(make_chunk(np.arange(10) / SFREQ, np.ones((3, 10), dtype=np.float32), ring.info))
    assert ring.unit == "a.u."
    assert ring.latest(1.0)[1].max() == 1.0


def test_another_grid_is_the_same_signal() -> None:
    times = 20.0 + np.arange(3000) / SFREQ
    data = signal(3000)
    early = EEGRing(make_info(), seconds=5.0)
    early.outline(0.02, 300)
    late = EEGRing(make_info(), seconds=5.0)
    for ring in (early, late):
        for i in range(0, 3000, 50):
            ring.add(make_chunk(times[i : i + 50], data[:, i : i + 50], ring.info))
    for ours, theirs in zip(
        early.outline(0.01, 500).read(2000, 300), late.outline(0.01, 500).read(2000, 300), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
        assert not np.isnan(ours).any()


def test_old_columns_give_way_and_unknown_ones_are_empty() -> None:
    outline = Outline(1, column_s=0.1, n_columns=10, gap_s=0.5)
    outline.add(np.arange(0.05, 3.0, 0.1), np.arange(30, dtype=np.float32)[None])
    low, _ = outline.read(15, 20)
    assert np.isnan(low[0, :5]).all()  # columns 15 to 19 have been overwritten
    assert not np.isnan(low[0, 5:15]).any()
    assert np.isnan(low[0, 15:]).all()  # the future


def test_values_that_are_not_finite_are_holes_of_their_channel_only() -> None:
    ring = EEGRing(make_info(), seconds=1.0)
    outline = ring.outline(0.01, 100)
    data = signal(100)
    data[1] = np.nan
    data[2, 50] = np.inf
    ring.add(make_chunk(1.0 + np.arange(100) / SFREQ, data, ring.info))
    low, high = outline.read(100, 10)
    assert np.isnan(low[1]).all()
    assert np.isfinite(low[[0, 2]]).all()
    assert np.isfinite(high[[0, 2]]).all()
    assert ring.amplitude(1.0) == pytest.approx(1e6, rel=0.3)


@pytest.mark.parametrize("jump", [-0.4, -1e4, 1e12])
def test_stamps_that_jump_do_not_break_the_outline(jump: float) -> None:
    outline = Outline(3, column_s=0.01, n_columns=100, gap_s=0.0065)
    times = 100.0 + np.arange(500) / SFREQ
    outline.add(times, signal(500))
    outline.add(times + jump, signal(500, seed=1))
    newest = int(np.floor(max(times[-1], times[-1] + jump) / 0.01))
    low, _ = outline.read(newest - 10, 11)
    assert not np.isnan(low).any()


def test_amplitude_is_the_median_channels_deviation() -> None:
    ring = EEGRing(make_info(5), seconds=2.0)
    assert ring.amplitude(1.0) is None
    data = signal(2000, 5) * 1e-5
    data[4] *= 1000  # one channel has come off
    ring.add(make_chunk(np.arange(2000) / SFREQ, data, ring.info))
    assert ring.amplitude(2.0) == pytest.approx(10.0, rel=0.1)


def test_layouts() -> None:
    ring = EEGRing(make_info(3), seconds=1.0)
    assert ring.serves(make_info(3))
    assert not ring.serves(make_info(4))
    assert not ring.serves(make_info(3, sfreq=500.0))
    assert not ring.serves(make_info(3, applied=("whiten",)))


SHOWN = DisplaySettings(AVERAGE, 1.0, 40.0, 50.0)


def fill(ring: EEGRing, times: np.ndarray, data: np.ndarray, step: int = 50) -> None:
    for i in range(0, len(times), step):
        ring.add(make_chunk(times[i : i + step], data[:, i : i + step], ring.info))


def test_another_setting_is_of_the_seconds_that_are_kept_too() -> None:
    times, data = 20.0 + np.arange(4000) / SFREQ, signal(4000) * 1e-5
    early, late = EEGRing(make_info(), seconds=5.0), EEGRing(make_info(), seconds=5.0)
    early.show(SHOWN)
    early.outline(0.01, 500)
    late.outline(0.01, 500)
    for ring in (early, late):
        fill(ring, times, data)
    raw = late.outline(0.01, 500).read(2000, 400)
    late.show(SHOWN)
    for ours, theirs, unfiltered in zip(
        early.outline(0.01, 500).read(2000, 400), late.outline(0.01, 500).read(2000, 400), raw, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
        assert np.abs(ours - unfiltered).max() > 1
    late.show(DisplaySettings())
    np.testing.assert_array_equal(late.outline(0.01, 500).read(2000, 400)[0], raw[0])


def test_samples_and_chunks_stay_as_they_came() -> None:
    ring = EEGRing(make_info(), seconds=5.0)
    ring.show(SHOWN, bad={"E1"})
    ring.outline(0.01, 500)
    chunk = make_chunk(5.0 + np.arange(1000) / SFREQ, signal(1000) * 1e-5, ring.info)
    before = chunk.data.copy()
    ring.add(chunk)
    np.testing.assert_array_equal(chunk.data, before)
    np.testing.assert_allclose(ring.latest(1.0)[1], before * 1e6, rtol=1e-6)


def test_no_filter_rings_across_a_gap() -> None:
    outlines = []
    for before in (np.zeros((3, 1000)), np.full((3, 1000), 5e-3), signal(1000) * 1e-3):
        ring = EEGRing(make_info(), seconds=5.0)
        ring.show(DisplaySettings(highpass=0.1, lowpass=30.0, notch=50.0))
        outline = ring.outline(0.01, 600)
        fill(ring, 10.0 + np.arange(1000) / SFREQ, before.astype(np.float32))
        fill(ring, 12.0 + np.arange(1000) / SFREQ, signal(1000, seed=3) * 1e-5)
        outlines.append(outline.read(1000, 300))
        assert np.isnan(outlines[-1][0][:, 101:199]).all()
    for low, high in outlines[1:]:
        np.testing.assert_array_equal(low[:, 200:], outlines[0][0][:, 200:])
        np.testing.assert_array_equal(high[:, 200:], outlines[0][1][:, 200:])
    alone = DisplayFilter(DisplaySettings(highpass=0.1, lowpass=30.0, notch=50.0), ring.info.ch_names, SFREQ)
    _, expected = alone.add(12.0 + np.arange(1000) / SFREQ, signal(1000, seed=3) * np.float32(10))
    np.testing.assert_allclose(outlines[0][1][:, 200:].max(axis=1), expected.max(axis=1), rtol=1e-3)


def test_who_is_bad_matters_to_an_average_only() -> None:
    ring = EEGRing(make_info(), seconds=5.0)
    outline = ring.outline(0.01, 100)
    ring.show(DisplaySettings(), bad={"E1"})
    assert ring.outline(0.01, 100) is outline
    ring.show(DisplaySettings(AVERAGE), bad={"E1"})
    average = ring.outline(0.01, 100)
    assert average is not outline
    ring.show(DisplaySettings(AVERAGE), bad={"E1"})
    assert ring.outline(0.01, 100) is average
    ring.show(DisplaySettings(AVERAGE), bad={"E2"})
    assert ring.outline(0.01, 100) is not average


def test_the_amplitude_is_that_of_what_is_drawn() -> None:
    ring = EEGRing(make_info(), seconds=5.0)
    time = np.arange(5000) / SFREQ
    data = 1e-4 * np.sin(2 * np.pi * 50 * time) + 1e-5 * np.sin(2 * np.pi * 10 * time)
    fill(ring, 10.0 + time, np.tile(data, (3, 1)).astype(np.float32))
    assert ring.amplitude(2.0) == pytest.approx(71, rel=0.02)
    ring.show(DisplaySettings(notch=50.0))
    assert ring.amplitude(2.0) == pytest.approx(7.1, rel=0.05)


def test_a_recording_played_fast_is_filtered_by_its_own_frequencies() -> None:
    ring = EEGRing(replace(make_info(sfreq=4000.0), speed=4.0), seconds=5.0)
    ring.show(DisplaySettings(notch=50.0))
    life = np.arange(6000) / 1000.0
    data = np.tile(1e-5 * np.sin(2 * np.pi * 50 * life), (3, 1)).astype(np.float32)
    fill(ring, 10.0 + life / 4, data)
    amplitude = ring.amplitude(0.5)
    assert amplitude is not None
    assert amplitude < 0.1
    assert ring.shown == DisplaySettings(notch=50.0)


def test_the_outline_says_what_has_changed() -> None:
    outline = Outline(1, column_s=0.1, n_columns=50, gap_s=0.5)
    outline.add(np.array([1.05, 1.25]), np.zeros((1, 2), dtype=np.float32))
    assert outline.changed_from == 10
    outline.changed_from = None
    outline.add(np.array([1.45]), np.zeros((1, 1), dtype=np.float32))
    assert outline.changed_from == 12  # the line from the last sample begins in its column
