"""A timeline cuts, joins and lays out signals without moving a sample or an event."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.errors import ConfigError, DatasetError
from necomimi.replay.timeline import Timeline, concatenate, duration_text, lay_end_to_end, positions


def counting(n_times: int = 100, first: int = 0, events: tuple[int, ...] = (10, 50), name: str = "part") -> Timeline:
    """Return a timeline of two channels whose first counts samples; each event's label is its sample."""

    def read(start: int, stop: int) -> np.ndarray:
        assert 0 <= start <= stop <= n_times
        row = np.arange(start, stop) + first
        return np.stack([row, -row]).astype(np.float64)

    return Timeline(
        name=name,
        source=name,
        description=name,
        ch_names=("A", "B"),
        ch_types=("EEG", "EEG"),
        units=("microvolts", "microvolts"),
        sfreq=10.0,
        n_times=n_times,
        events=tuple((sample, str(first + sample)) for sample in events),
        read=read,
    )


@pytest.mark.parametrize(
    ("start", "stop", "n_times", "events"),
    [
        (None, None, 100, [(10, "10"), (50, "50")]),
        (1.0, None, 90, [(0, "10"), (40, "50")]),
        (1.1, 5.1, 40, [(39, "50")]),
        (0.5, 5.0, 45, [(5, "10")]),
        (0.0, 1000.0, 100, [(10, "10"), (50, "50")]),
    ],
)
def test_crop(start: float | None, stop: float | None, n_times: int, events: list[tuple[int, str]]) -> None:
    part = counting().crop(start, stop)
    assert part.n_times == n_times
    assert list(part.events) == events
    for sample, label in part.events:
        assert part.read(sample, sample + 1)[0, 0] == int(label)


@pytest.mark.parametrize(("start", "stop"), [(5.0, 5.0), (6.0, 5.0), (-1.0, 5.0), (10.0, None), (11.0, 12.0)])
def test_crop_refuses_an_empty_part(start: float, stop: float | None) -> None:
    with pytest.raises(ConfigError, match="--start"):
        counting().crop(start, stop)


def test_crop_refuses_a_part_without_events() -> None:
    with pytest.raises(DatasetError, match=r"no event from 2\.0 to 4\.0 s") as caught:
        counting().crop(2, 4)
    assert "1.0 to 5.0 s" in caught.value.expected


@given(st.data())
def test_concatenation_reads_as_one_signal(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=5))
    starts = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    parts = [counting(n, first, events=(n - 1,)) for n, first in zip(lengths, starts, strict=False)]
    whole = concatenate(parts, name="whole", source="whole", description="")
    a = data.draw(st.integers(0, starts[-1] - 1))
    b = data.draw(st.integers(a + 1, starts[-1]))
    np.testing.assert_array_equal(whole.read(a, b)[0], np.arange(a, b))
    assert whole.seams == tuple(starts[1:-1])
    assert whole.segments() == list(pairwise(starts))
    assert [sample for sample, _ in whole.events] == [int(label) for _, label in whole.events]


def test_concatenation_refuses_other_channels_or_rates() -> None:
    for other in (replace(counting(), ch_names=("B", "A")), replace(counting(), sfreq=20.0)):
        with pytest.raises(DatasetError, match="another order or rate"):
            concatenate([counting(), other], name="", source="", description="")


def test_crop_keeps_the_seams_inside() -> None:
    whole = concatenate([counting(100, 100 * i) for i in range(3)], name="", source="", description="")
    assert whole.crop(5.0, 25.0).segments() == [(0, 50), (50, 150), (150, 200)]
    assert whole.crop(10.0, 20.0).segments() == [(0, 100)]


def stamped(stamps: list[float], times: list[float]) -> Timeline:
    """Return a timeline with stamps and an event at each of `times`, called by its number."""
    places = positions(np.array(stamps), 10.0, np.array(times)).tolist()
    events = tuple((place, str(i)) for i, place in enumerate(places))
    return replace(counting(len(stamps)), stamps=np.array(stamps), events=events)


@given(
    steps=st.lists(st.one_of(st.floats(0.05, 0.2), st.floats(-0.5, 30.0)), max_size=30),
    times=st.lists(st.floats(-5.0, 100.0), min_size=1, max_size=10),
)
def test_positions_between_stamps_are_turned_back_into_times(steps: list[float], times: list[float]) -> None:
    """Whatever the stamps do: holes, jitter, steps back."""
    line = stamped(np.concatenate([[0.0], np.cumsum(steps)]).tolist(), sorted(times))
    for (position, _), time in zip(line.events, sorted(times), strict=True):
        assert line.time_of(position) == pytest.approx(time, abs=1e-9)
    places = [position for position, _ in line.events]
    assert places == sorted(places)


def test_crop_by_stamps() -> None:
    line = stamped([0.0, 0.1, 0.2, 5.0, 5.1, 5.2], [-1.0, 0.05, 3.0, 5.15, 9.0])
    assert line.duration == pytest.approx(5.3)
    assert line.crop(None, None).events == line.events
    late = line.crop(0.15, None)
    assert late.read(0, 1)[0, 0] == 2
    assert late.stamps is not None
    np.testing.assert_allclose(late.stamps, [0.0, 4.8, 4.9, 5.0])
    assert [(label, round(late.time_of(place), 9)) for place, label in late.events] == [
        ("2", 2.8), ("3", 4.95), ("4", 8.8),
    ]  # fmt: skip
    early = line.crop(None, 5.05)
    assert (early.n_times, [label for _, label in early.events]) == (4, ["0", "1", "2"])
    with pytest.raises(ConfigError, match=r"recording of 5\.3 s"):
        line.crop(7.0, 8.0)


@pytest.mark.parametrize("start", [0.0, -0.2, 0.5])
@given(data=st.data())
def test_epochs_end_to_end(start: float, data: st.DataObject) -> None:
    n_epochs, n_times = 4, 10
    line = lay_end_to_end(
        lambda i: np.stack([np.arange(n_times) + n_times * i + 1, np.full(n_times, i)]).astype(np.float32),
        [f"e{i}" for i in range(n_epochs)],
        n_times=n_times,
        start=start,
        name="epochs",
        source="epochs",
        description="",
        ch_names=("A", "B"),
        sfreq=10.0,
    )
    lead_in = max(0, round(start * 10))
    whole = np.concatenate([np.zeros(lead_in), np.arange(n_epochs * n_times) + 1])
    assert line.n_times == len(whole)
    a = data.draw(st.integers(0, line.n_times - 1))
    b = data.draw(st.integers(a + 1, line.n_times))
    np.testing.assert_array_equal(line.read(a, b)[0], whole[a:b])
    for i, (sample, label) in enumerate(line.events):
        assert label == f"e{i}"
        first = sample + round(start * 10)  # where a decoder will cut
        np.testing.assert_array_equal(line.read(first, first + n_times)[0], np.arange(n_times) + n_times * i + 1)
    assert line.applied == ("baseline", "resample", "whiten")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.21, "4.2 s"), (59.96, "60.0 s"), (200.4, "3 min 20 s"), (3599.9, "1 h 00 min"), (3900, "1 h 05 min")],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
