"""Metrics of painted pictures: against scikit-image, torchmetrics, scipy and numpy, and by hand on small cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import torch
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity
from torch import nn
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance

from necomimi.errors import DatasetError
from necomimi.picture_metrics import (
    correlation_distance,
    frechet_distance,
    pixel_correlation,
    resize,
    ssim,
    two_way,
)


def draw(n: int, size: int, seed: int) -> NDArray[np.uint8]:
    """Return smooth random pictures."""
    coarse = torch.rand((n, 3, 6, 6), generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def plain(n: int, value: int, size: int = 32) -> NDArray[np.uint8]:
    return np.full((n, size, size, 3), value, np.uint8)


@pytest.fixture(scope="module")
def truth() -> NDArray[np.uint8]:
    return draw(18, 96, 0)  # more than one batch


@pytest.fixture(scope="module")
def painted(truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the true pictures, smaller and ever noisier."""
    small = (resize(truth, 64).permute(0, 2, 3, 1).numpy() * 255).round()
    noise = np.random.default_rng(0).normal(0, 1, small.shape) * np.arange(0, 90, 5)[:, None, None, None]
    return np.clip(small + noise, 0, 255).astype(np.uint8)


def test_resize_is_that_of_torchvision(painted: NDArray[np.uint8]) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    shown = torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 255
    for size in (425, 40):
        assert torch.equal(resize(painted, size), transforms.Resize(size)(shown))


def test_pixel_correlation_is_numpys(truth: NDArray[np.uint8], painted: NDArray[np.uint8]) -> None:
    x, y = (resize(pictures, 425).flatten(1).numpy() for pictures in (truth, painted))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    found = pixel_correlation(truth, painted)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found[0] > 0.99
    assert found[-1] < 0.9


def test_pixel_correlation_by_hand(truth: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(pixel_correlation(truth, truth), 1)
    np.testing.assert_allclose(pixel_correlation(truth, 255 - truth), -1)
    np.testing.assert_array_equal(pixel_correlation(truth, plain(len(truth), 77)), 0)


def test_ssim_is_that_of_scikit_image_and_torchmetrics(truth: NDArray[np.uint8], painted: NDArray[np.uint8]) -> None:
    found = ssim(truth, painted)
    grey = [rgb2gray(resize(pictures, 425).permute(0, 2, 3, 1).double().numpy()) for pictures in (truth, painted)]
    options: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for i in range(0, len(truth), 6):
        assert found[i] == pytest.approx(
            structural_similarity(grey[1][i], grey[0][i], data_range=1, **options), abs=1e-9
        )
        x, y = (torch.from_numpy(each[i])[None, None] for each in grey)
        _, peer = structural_similarity_index_measure(y, x, sigma=1.5, data_range=1.0, return_full_image=True)
        assert found[i] == pytest.approx(float(peer[..., 5:-5, 5:-5].mean()), abs=1e-9)  # it mirrors over the edge
    assert (np.diff(found[::3]) < 0).all()  # the noisier, the less alike


def test_ssim_by_hand(truth: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(ssim(truth, truth), 1)
    a, b = 51 / 255, 204 / 255  # constant pictures differ by their luminance only
    np.testing.assert_allclose(ssim(plain(2, 51), plain(2, 204)), (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4), atol=1e-6)


@pytest.mark.parametrize("metric", [pixel_correlation, ssim])
def test_pictures_that_are_no_pairs_are_refused(metric: Any) -> None:
    for first, second, words in [
        (plain(2, 0), plain(3, 0), "3 painted and 2 true"),
        (plain(2, 0), plain(2, 0)[:, :20], "painted pictures of type uint8"),
        (plain(2, 0).astype(np.float32), plain(2, 0), "true pictures of type float32"),
        (plain(0, 0), plain(0, 0), "shape \\(0, 32"),
    ]:
        with pytest.raises(DatasetError, match=words):
            metric(first, second)


def features(n: int, width: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(3, 1, (n, width))
    return truth.astype(np.float32), (0.3 * truth + rng.normal(0, 1, truth.shape)).astype(np.float32)


@pytest.mark.parametrize(("n", "width"), [(2, 5), (37, 11), (9, 40_000)])
def test_two_way_is_the_published_count(n: int, width: int) -> None:
    truth, painted = features(n, width, seed=n)
    correlations = np.corrcoef(truth, painted)[:n, n:]
    expected = (correlations < np.diag(correlations)).sum(0) / (n - 1)
    np.testing.assert_allclose(two_way(truth, painted), expected)


def test_two_way_by_hand() -> None:
    truth = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.0]])
    painted = np.array([[5, 4, 0, 0], [2, 1, 0, 0], [1, 1, 0, 0.0]])
    # Correlations with the true ones: .70 .44 -.57, then .87 .17 -.52, then .58 .58 -.58.
    np.testing.assert_array_equal(two_way(truth, painted), [1, 0.5, 0])


def test_two_way_of_ties_is_chance() -> None:
    truth, painted = features(20, 300, seed=1)
    assert two_way(truth, np.repeat(painted[:1], 20, axis=0)).mean() == pytest.approx(0.5)  # a floor
    np.testing.assert_array_equal(two_way(np.repeat(truth[:1], 20, axis=0), painted), 0.5)
    np.testing.assert_array_equal(two_way(truth, np.full_like(painted, 0.1)), 0.5)


def test_two_way_of_shuffled_pairs_is_about_chance() -> None:
    truth, _ = features(200, 64, seed=2)
    assert two_way(truth, np.random.default_rng(0).permutation(truth)).mean() == pytest.approx(0.5, abs=0.06)
    np.testing.assert_array_equal(two_way(truth, truth), 1)


def test_correlation_distance_is_scipys() -> None:
    truth, painted = features(7, 50, seed=3)
    expected = [scipy.spatial.distance.correlation(a, b) for a, b in zip(truth, painted, strict=True)]
    np.testing.assert_allclose(correlation_distance(truth, painted), expected, atol=1e-6)
    np.testing.assert_allclose(correlation_distance(truth, truth), 0, atol=1e-12)
    np.testing.assert_allclose(correlation_distance(truth, -truth), 2)
    np.testing.assert_array_equal(correlation_distance(truth, np.full_like(truth, 0.1)), 1)


@pytest.mark.parametrize("metric", [two_way, correlation_distance])
def test_order_of_the_pairs_does_not_matter(metric: Any) -> None:
    truth, painted = features(12, 30, seed=4)
    order = np.random.default_rng(0).permutation(12)
    np.testing.assert_allclose(metric(truth[order], painted[order]), metric(truth, painted)[order], atol=1e-12)


def test_frechet_distance_of_two_known_clouds() -> None:
    """(m1 - m2)^2 + (s1 - s2)^2 for each of two independent axes."""
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt(3) / 2  # standard deviation 1, uncorrelated
    found = frechet_distance(corners * [2, 3] + [1, 0], corners * [5, 3] + [0, 4])
    assert found == pytest.approx((1 + 9) + (16 + 0))
    assert frechet_distance(corners, corners[::-1]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "m", "width"), [(300, 200, 12), (40, 30, 60), (20, 200, 50)])
def test_frechet_distance_is_its_definition_and_that_of_torchmetrics(n: int, m: int, width: int) -> None:
    truth, painted = features(n, width, seed=5)[0], features(m, width, seed=6)[1]
    found = frechet_distance(truth, painted)
    first, second = (np.cov(each.astype(np.float64), rowvar=False) for each in (truth, painted))
    if min(n, m) > width:
        root = scipy.linalg.sqrtm(first @ second).real
        difference = truth.mean(0, dtype=np.float64) - painted.mean(0, dtype=np.float64)
        assert found == pytest.approx(difference @ difference + np.trace(first + second - 2 * root), rel=1e-6)

    class AsPictures(nn.Module):
        num_features = width

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures.flatten(1)

    peer = FrechetInceptionDistance(feature=AsPictures()).set_dtype(torch.float64)
    peer.update(torch.from_numpy(truth)[:, :, None, None], real=True)
    peer.update(torch.from_numpy(painted)[:, :, None, None], real=False)
    assert found == pytest.approx(float(peer.compute()), rel=1e-4)


def test_features_that_cannot_be_compared_are_refused() -> None:
    truth, painted = features(4, 6, seed=7)
    for metric in (two_way, correlation_distance, frechet_distance):
        with pytest.raises(DatasetError, match="of one network"):
            metric(truth, painted[:, :5])
        broken = painted.copy()
        broken[1, 2] = np.nan
        with pytest.raises(DatasetError, match="not finite"):
            metric(truth, broken)
    for metric in (two_way, correlation_distance):
        with pytest.raises(DatasetError, match="one painted for each"):
            metric(truth, painted[:3])
    with pytest.raises(DatasetError, match="at least 2"):
        two_way(truth[:1], painted[:1])
    assert frechet_distance(truth, painted[:3]) > 0
