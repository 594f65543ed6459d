"""Holes are found and events placed on the right sample, whatever the stamps' jitter and drift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from necomimi.stamps import place_events

SFREQ = 250.0


def recorded(n: int, holes: dict[int, int], drift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return true sample numbers and times of `n` samples; a hole of so many samples before each key."""
    numbers = np.arange(n)
    for at, missing in holes.items():
        numbers[at:] += missing
    return numbers, 100.0 + numbers / SFREQ * (1 + drift)


@given(
    holes=st.dictionaries(st.integers(600, 19_000), st.integers(1, 5000), max_size=5),
    drift=st.floats(-5e-5, 5e-5),
    events=st.lists(st.floats(0, 19_999), min_size=1, max_size=20),
)
@example(holes={655: 1, 690: 1}, drift=0.0, events=[0.0])  # the second in what is held to judge the first
@example(holes={655: 900, 675: 30}, drift=0.0, events=[0.0])  # half of that before it, half after
def test_even_stamps(holes: dict[int, int], drift: float, events: list[float]) -> None:
    _, stamps = recorded(20_000, holes, drift)
    whole = np.array([round(event) for event in sorted(events)])
    part = np.clip(np.array(sorted(events)) - whole, -0.45, 0.45)
    firsts, samples = place_events(stamps, SFREQ, stamps[whole] + part / SFREQ)
    assert firsts.tolist() == [0, *sorted(holes)]
    assert samples.tolist() == whole.tolist()


@pytest.mark.parametrize("kind", ["gauss", "uniform", "chunks"])
def test_jitter(kind: str) -> None:
    """Events are placed by fitted lines: far better than by the nearest stamp; a hole shows all the same."""
    rng = np.random.default_rng(0)
    _, true = recorded(20_000, {9000: 500}, 3e-5)
    jitter = {
        "gauss": rng.normal(scale=5e-3, size=20_000),
        "uniform": rng.uniform(-5e-3, 5e-3, size=20_000),
        "chunks": np.repeat(rng.normal(scale=2e-3, size=800), 25),
    }[kind]
    at = np.sort(rng.integers(500, 20_000, size=300))
    firsts, found = place_events(true + jitter, SFREQ, true[at] + 0.3 / SFREQ)
    assert firsts.tolist() == [0, 9000]
    near_hole = (at > 8985) & (at < 9000)
    assert (found == at)[~near_hole].mean() > 0.97
    assert (np.abs(found - at)[~near_hole] <= 1).all()


def test_around_holes_and_ends() -> None:
    _, stamps = recorded(1000, {400: 250}, 0.0)
    onsets = np.array([stamps[0] - 1, stamps[399] + 0.5, stamps[400] - 0.001, stamps[-1] + 1])
    firsts, samples = place_events(stamps, SFREQ, onsets)
    assert firsts.tolist() == [0, 400]
    assert samples.tolist() == [-250, 399, 400, 1249]
    firsts, samples = place_events(stamps[:1], SFREQ, stamps[:1])
    assert (firsts.tolist(), samples.tolist()) == ([0], [0])


def test_steps_back() -> None:
    _, stamps = recorded(1000, {}, 0.0)
    stamps[500:] -= 0.5
    firsts, samples = place_events(stamps, SFREQ, stamps[[100, 900]])
    assert firsts.tolist() == [0, 500]
    assert samples.tolist() == [100, 900]
