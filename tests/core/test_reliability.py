from __future__ import annotations

import numpy as np
import pytest

from necomimi.reliability import Reliability, calibration_error


def test_error_by_hand() -> None:
    # Bins of a fifteenth: .70 and .72 share [.667, .733), .95 is alone in [.933, 1].
    confidence, hits = np.array([0.70, 0.72, 0.95]), np.array([1.0, 0.0, 0.0])
    expected = 2 / 3 * abs(0.5 - 0.71) + 1 / 3 * 0.95
    assert calibration_error(confidence, hits) == pytest.approx(expected)
    assert calibration_error(confidence, hits, n_bins=1) == pytest.approx(abs(1 / 3 - confidence.mean()))


@pytest.mark.parametrize(
    ("confidence", "hits", "error"),
    [
        ([1.0, 1.0], [1, 1], 0.0),
        ([1.0, 1.0], [0, 0], 1.0),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 1], 0.0),
        ([0.0, 0.0], [1, 1], 1.0),
        ([0.25, 0.75], [1, 0], 0.75),  # the errors of two bins do not cancel
        ([2 / 15, 2 / 15 - 1e-9], [1, 0], 0.5 * (13 / 15) + 0.5 * (2 / 15)),  # a bin holds its lower edge
    ],
)
def test_extremes(confidence: list[float], hits: list[int], error: float) -> None:
    assert calibration_error(np.array(confidence), np.array(hits)) == pytest.approx(error, abs=1e-6)


def test_answers_that_come_one_by_one_or_in_parts_give_the_same_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(200)
    hits = (rng.random(200) < confidence**2).astype(float)
    whole, one_by_one, part = Reliability(30), Reliability(30), Reliability(30)
    whole.add(confidence, hits)
    for chance, hit in zip(confidence[:150], hits[:150], strict=True):
        one_by_one.add(chance, hit)
    part.add(confidence[150:], hits[150:])
    one_by_one.merge(part)
    assert (whole.n, one_by_one.n, part.n) == (200, 200, 50)
    np.testing.assert_allclose(one_by_one.hits, whole.hits)
    assert one_by_one.error == pytest.approx(whole.error)


def test_pooled_bins_are_those_of_fewer_bins_from_the_start() -> None:
    rng = np.random.default_rng(1)
    confidence, hits = rng.random(500), rng.integers(0, 2, 500)
    fine = Reliability(30)
    fine.add(confidence, hits)
    assert fine.pooled(15).error == pytest.approx(calibration_error(confidence, hits, n_bins=15))
    assert fine.pooled(10).counts.tolist() == np.histogram(confidence, bins=10, range=(0, 1))[0].tolist()
