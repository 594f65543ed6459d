"""Windows end where they should, whatever the packets; late ones are left out."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.realtime.sliding import Slider


@pytest.mark.parametrize("packet", [0.004, 0.05, 0.13])
def test_a_window_every_so_often(packet: float) -> None:
    slider = Slider(0.2, 1.0)
    ends = [end for t in np.arange(0, 5, packet) if (end := slider.end(0.0, t)) is not None]
    np.testing.assert_allclose(ends, 1.0 + 0.2 * np.arange(len(ends)), atol=1e-9)
    assert len(ends) == pytest.approx((5 - 1) / 0.2, abs=1)


def test_of_many_windows_at_once_the_latest_counts() -> None:
    slider = Slider(0.2, 1.0)
    assert slider.end(0.0, 0.9) is None
    assert slider.end(0.0, 2.5) == pytest.approx(2.4)
    assert slider.end(0.0, 2.55) is None
    assert slider.end(0.0, 2.65) == pytest.approx(2.6)


def test_after_a_hole_the_first_window_lies_behind_it() -> None:
    slider = Slider(0.2, 1.0)
    assert slider.end(0.0, 2.0) == pytest.approx(2.0)
    assert slider.end(5.0, 5.9) is None
    assert slider.end(5.0, 6.1) == pytest.approx(6.0)


def test_windows_go_on_when_the_clock_is_set_back() -> None:
    slider = Slider(0.2, 1.0)
    assert slider.end(0.0, 3600.0) == pytest.approx(3600.0)
    assert slider.end(10.0, 10.9) is None
    assert slider.end(10.0, 11.1) == pytest.approx(11.0)
    assert slider.end(10.0, 11.3) == pytest.approx(11.2)
