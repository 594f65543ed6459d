"""The ring gives back what went in, however it went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.realtime.ring import Ring


@given(
    capacity=st.integers(1, 40),
    lengths=st.lists(st.integers(0, 60), max_size=20),
    cut=st.tuples(st.integers(0, 200), st.integers(0, 200)),
)
def test_any_stretch_comes_back(capacity: int, lengths: list[int], cut: tuple[int, int]) -> None:
    ring = Ring(2, capacity)
    total = sum(lengths)
    signal = np.stack([np.arange(total), -np.arange(total)]).astype(np.float32)
    at = 0
    for n in lengths:
        ring.write(signal[:, at : at + n])
        at += n
    assert (ring.end, ring.first) == (total, max(0, total - capacity))
    start, stop = sorted(cut)
    if ring.first <= start and stop <= ring.end:
        got = ring.read(start, stop)
        np.testing.assert_array_equal(got, signal[:, start:stop])
        got[:] = 7  # a copy: the ring is untouched
        np.testing.assert_array_equal(ring.read(start, stop), signal[:, start:stop])
    else:
        with pytest.raises(IndexError):
            ring.read(start, stop)
