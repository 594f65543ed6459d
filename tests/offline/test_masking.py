"""Windows and regions keep the samples and channels that they say, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from necomimi.errors import ConfigError
from necomimi.offline.masking import growing_windows, keep, regions, sliding_windows, whole
from necomimi.preprocessing import Preprocessor
from necomimi.things_eeg2 import MODEL_CH_NAMES

PUBLISHED = Preprocessor(
    ch_names=MODEL_CH_NAMES, sfreq=250.0, tmin=-0.2, tmax=1.0, baseline=(-0.2, 0.0), start=0.0, n_times=250,
    spatial=np.eye(63, dtype=np.float32),
)  # fmt: skip


def test_published_windows_grow_by_50_ms_to_the_whole_epoch() -> None:
    parts = growing_windows(PUBLISHED, 0.05)
    assert [part.name for part in parts] == [f"0-{end} ms" for end in range(50, 1001, 50)]
    assert {part.first for part in parts} == {0}
    assert [part.last for part in parts][:3] == [12, 25, 37]  # 12.5 samples each: only those that are over count
    assert parts[-1].mask == whole(PUBLISHED).mask
    assert {len(part.indices) for part in parts} == {63}


def test_sliding_windows_are_100_ms_long() -> None:
    parts = sliding_windows(PUBLISHED, 0.05)
    assert [part.name for part in parts][:2] == ["0-100 ms", "50-150 ms"]
    assert parts[-1].name == "900-1000 ms"
    assert len(parts) == 19
    assert {part.last - part.first for part in parts} == {25}
    apart = sliding_windows(PUBLISHED, 0.1)
    assert [(part.first, part.last) for part in apart] == [(i, i + 25) for i in range(0, 250, 25)]


def test_windows_begin_at_the_onset_or_where_the_epoch_does() -> None:
    before = replace(PUBLISHED, start=-0.2, n_times=300)
    assert [part.first for part in growing_windows(before, 0.5)] == [50, 50]
    assert growing_windows(before, 0.5)[-1].last == 300
    assert growing_windows(before, 0.5)[-1].mask != whole(before).mask
    after = replace(PUBLISHED, start=0.1, n_times=100)
    assert [part.name for part in sliding_windows(after, 0.1)] == [
        "100-200 ms", "200-300 ms", "300-400 ms", "400-500 ms",
    ]  # fmt: skip
    assert sliding_windows(after, 0.1)[0].mask[:2] == (0, 25)


def test_regions_and_all_but_them_are_all_channels() -> None:
    parts = regions(PUBLISHED)
    assert [part.name for part in parts][:2] == ["only frontal", "without frontal"]
    assert len(parts) == 10
    for only, without in zip(parts[::2], parts[1::2], strict=True):
        assert sorted(only.indices + without.indices) == list(range(63))
        assert only.facts()["n_channels"] == len(only.indices)
    unknown = replace(PUBLISHED, ch_names=("Oz", "Fz", "X1x"), spatial=np.eye(3, dtype=np.float32))
    assert [part.indices for part in regions(unknown)] == [(1,), (0, 2), (0,), (1, 2)]
    with pytest.raises(ConfigError, match=r"the 2 channels lie in occipital\n.*two or more regions"):
        regions(replace(PUBLISHED, ch_names=("Oz", "O1"), spatial=np.eye(2, dtype=np.float32)))
    with pytest.raises(ConfigError, match=r"no known region"):
        regions(replace(PUBLISHED, ch_names=("MEG1", "MEG2"), spatial=np.eye(2, dtype=np.float32)))


def test_everything_outside_is_zero() -> None:
    data = np.random.default_rng(0).normal(size=(5, 63, 250)).astype(np.float32)
    untouched = data.copy()
    part = replace(sliding_windows(PUBLISHED, 0.05)[3], indices=(1, 60))
    kept = keep(data, part)
    np.testing.assert_array_equal(data, untouched)
    np.testing.assert_array_equal(kept[:, [1, 60], part.first : part.last], data[:, [1, 60], part.first : part.last])
    assert np.count_nonzero(kept) == 5 * 2 * (part.last - part.first)
    np.testing.assert_array_equal(keep(data, whole(PUBLISHED)), data)


def test_steps_that_the_epochs_do_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--step 1 ms\n.*at least 4 ms"):
        growing_windows(PUBLISHED, 0.001)
    with pytest.raises(ConfigError, match=r"a window of 2000 ms\n.*at most 1000 ms"):
        growing_windows(PUBLISHED, 2.0)
    with pytest.raises(ConfigError, match=r"a window of 100 ms\n.*at most 80 ms"):
        sliding_windows(replace(PUBLISHED, n_times=20), 0.05)
