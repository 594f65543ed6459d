from __future__ import annotations

import numpy as np
import pytest

from necomimi.offline.fit_projection import half_whitening


def test_half_whitening_leaves_the_square_root_of_each_deviation():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    features = rng.normal(size=(5000, 6)) * [8, 4, 2, 1, 0.5, 0.1] @ rotation + 3.0
    weight, mean = half_whitening(features, 4)
    projected = (features - mean) @ weight.T
    assert projected.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-9)
    assert projected.std(axis=0) == pytest.approx(np.sqrt([8, 4, 2, 1]), rel=0.05)
    assert np.abs(np.corrcoef(projected.T) - np.eye(4)).max() < 1e-6


def test_the_signs_of_the_components_are_fixed():
    features = np.random.default_rng(1).normal(size=(50, 5))
    weight, mean = half_whitening(features, 3)
    mirrored, _ = half_whitening(features[::-1], 3)  # the decomposition is free to flip signs
    np.testing.assert_allclose(mirrored, weight, atol=1e-9)
    assert np.all(weight[np.arange(3), np.abs(weight).argmax(axis=1)] > 0)
    np.testing.assert_allclose(mean, features.mean(axis=0))
