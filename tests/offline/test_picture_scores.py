"""All metrics of one condition at once: ceilings, floors, seeds, and features taken once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from necomimi.errors import DatasetError
from necomimi.offline.picture_scores import picture_features, score_pictures
from necomimi.offline.vision_networks import Measure, VisionNetwork
from necomimi.picture_metrics import correlation_distance, frechet_distance, pixel_correlation, ssim, two_way

N = 8
WEIGHTS = np.random.default_rng(9).normal(0, 1, (16 * 16 * 3, 30)).astype(np.float32)


class Linear:
    """A fixed linear map of the pixels; it counts the pictures that it was shown."""

    def __init__(self) -> None:
        self.n_shown = 0

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.n_shown += len(pictures)
        every = pictures.shape[1] // 16
        pixels = pictures[:, ::every, ::every].reshape(len(pictures), -1).astype(np.float32)
        return (pixels - 127.5) @ WEIGHTS


def networks() -> list[VisionNetwork]:
    measures: list[tuple[str, Measure]] = [("clip", "two-way"), ("swav", "distance"), ("fid", "fid")]
    return [VisionNetwork(name, name.upper(), measure, Linear()) for name, measure in measures]


@pytest.fixture(scope="module")
def truth() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (N, 32, 32, 3), dtype=np.uint8)


def test_ceiling_is_perfect(truth: NDArray[np.uint8]) -> None:
    scores = score_pictures(truth, np.stack([truth, truth]), networks())
    assert list(scores) == ["pixcorr", "ssim", "clip", "swav", "fid"]
    assert [score.mean for score in scores.values()] == pytest.approx([1, 1, 1, 0, 0], abs=1e-6)
    assert [score.is_higher_better for score in scores.values()] == [True, True, True, False, False]
    assert [score.chance for score in scores.values()] == [None, None, 0.5, None, None]
    assert [score.label for score in scores.values()] == ["PixCorr", "SSIM", "CLIP", "SWAV", "FID"]
    assert [score.measure for score in scores.values()] == ["pixels", "pixels", "two-way", "distance", "fid"]


def test_one_picture_for_all_is_at_chance(truth: NDArray[np.uint8]) -> None:
    floor = np.repeat(truth[:1], N, axis=0)[None]
    scores = score_pictures(truth, floor, networks())
    assert scores["clip"].mean == pytest.approx(0.5)
    assert scores["swav"].mean > 0.5
    assert scores["fid"].mean > 1


def test_each_seed_is_scored_by_itself(truth: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(1)
    painted = (0.5 * truth + 0.5 * rng.integers(0, 256, (3, *truth.shape))).astype(np.uint8)[:, :, ::2, ::2]
    judges = networks()
    scores = score_pictures(truth, painted, judges)
    known = picture_features(truth, judges)
    functions: dict[str, Any] = {"clip": two_way, "swav": correlation_distance}
    for i in range(3):
        assert scores["pixcorr"].by_seed[i] == pytest.approx(pixel_correlation(truth, painted[i]).mean())
        seen = picture_features(painted[i], judges)
        for name, function in functions.items():
            assert scores[name].by_seed[i] == pytest.approx(function(known[name], seen[name]).mean())
        assert scores["fid"].by_seed[i] == pytest.approx(frechet_distance(known["fid"], seen["fid"]))
    expected = np.mean([ssim(truth, pictures) for pictures in painted], axis=0)
    np.testing.assert_allclose(scores["ssim"].by_picture, expected)
    assert scores["fid"].by_picture is None
    for score in scores.values():
        assert score.mean == pytest.approx(score.by_seed.mean())
        if score.by_picture is not None:
            assert score.by_picture.shape == (N,)
            assert score.mean == pytest.approx(score.by_picture.mean())


def test_features_of_the_true_pictures_are_taken_once(truth: NDArray[np.uint8]) -> None:
    judges = networks()[:1]
    known = picture_features(truth, judges)
    again = score_pictures(truth, truth[None, ::-1], judges, known)["clip"]
    assert judges[0].features.n_shown == 2 * N  # type: ignore[attr-defined]
    np.testing.assert_array_equal(again.by_picture, score_pictures(truth, truth[None, ::-1], judges)["clip"].by_picture)


@pytest.mark.parametrize("shape", [(N, 32, 32, 3), (0, N, 32, 32, 3), (1, N - 1, 32, 32, 3), (1, N, 32, 16, 3)])
def test_pictures_of_another_shape_are_refused(truth: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    with pytest.raises(DatasetError, match="painted"):
        score_pictures(truth, np.zeros(shape, np.uint8), [])


def test_one_picture_cannot_be_scored(truth: NDArray[np.uint8]) -> None:
    with pytest.raises(DatasetError, match="1 true pictures"):
        score_pictures(truth[:1], truth[None, :1], [])
