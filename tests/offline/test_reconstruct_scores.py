"""Conditions are scored on the same pictures; shuffled ones lose what they knew of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necomimi.offline.picture_scores import Score
from necomimi.offline.reconstruct_scores import cat_rows, compare_stages, mispair, rows_of, score_conditions
from necomimi.offline.vision_networks import VisionNetwork

# The mean colour of each quarter of a picture, and as a set.
MEANS = VisionNetwork(
    "means", "Means", "two-way", lambda pictures: quarters(pictures).reshape(len(pictures), -1).astype(np.float32)
)
CLOUD = VisionNetwork("cloud", "FID", "fid", MEANS.features)


def quarters(pictures: np.ndarray) -> np.ndarray:
    half = pictures.shape[1] // 2
    return pictures.reshape(len(pictures), 2, half, 2, half, 3).mean(axis=(2, 4))


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    """Return true pictures, painted ones of two seeds by condition, and concepts."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (12, 2, 2, 3)).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)

    def spoilt(share: float) -> np.ndarray:
        noise = rng.integers(0, 256, (2, 12, 2, 2, 3)).astype(np.uint8).repeat(8, axis=2).repeat(8, axis=3)
        return ((1 - share) * truth + share * noise).astype(np.uint8)

    floor = np.broadcast_to(truth.mean(axis=0).astype(np.uint8), (2, *truth.shape)).copy()
    painted = {"floor": floor, "one-stage": spoilt(0.6), "two-stage": spoilt(0.4), "ceiling": spoilt(0.0)}
    return truth, painted, [f"c{i}" for i in range(12)]


@pytest.fixture(scope="module")
def scores(world: tuple) -> dict[str, dict[str, Score]]:
    truth, painted, concepts = world
    return score_conditions(truth, painted, [MEANS, CLOUD], concepts)


def test_rows_have_every_metric_of_every_condition(world: tuple, scores: dict[str, dict[str, Score]]) -> None:
    concepts = world[2]
    assert list(scores) == ["floor", "shuffled", "one-stage", "two-stage", "ceiling"]
    rows = {(row["metric"], row["condition"]): row for row in rows_of(scores, concepts)}
    assert ("cloud", "shuffled") not in rows  # nothing is paired there
    assert len(rows) == 5 * 3 + 4
    assert rows["means", "floor"]["value"] == pytest.approx(0.5)
    assert rows["means", "shuffled"]["value"] == pytest.approx(0.5, abs=0.25)
    assert rows["means", "ceiling"]["value"] == 1.0
    assert rows["pixcorr", "ceiling"]["value"] == pytest.approx(1.0)
    assert rows["cloud", "ceiling"]["value"] == pytest.approx(0.0, abs=1e-3)
    assert rows["pixcorr", "floor"]["value"] < rows["pixcorr", "one-stage"]["value"] < 1
    assert rows["cloud", "floor"]["value_interval"] is None
    assert not rows["cloud", "floor"]["higher_is_better"]
    one = rows["pixcorr", "one-stage"]
    assert one["value_interval"][0] < one["value"] < one["value_interval"][1]
    assert one["value_sd"] > 0
    assert (rows["means", "floor"]["chance"], one["chance"]) == (0.5, None)


def test_second_stage_is_compared_picture_by_picture(world: tuple, scores: dict[str, dict[str, Score]]) -> None:
    concepts = world[2]
    found = {row["metric"]: row for row in compare_stages(scores, concepts)}
    assert set(found) == {"pixcorr", "ssim", "means"}
    row, two, one = found["pixcorr"], scores["two-stage"]["pixcorr"], scores["one-stage"]["pixcorr"]
    assert two.by_picture is not None
    assert one.by_picture is not None
    assert row["value"] == pytest.approx(float((two.by_picture - one.by_picture).mean()))
    assert row["value_interval"][0] < row["value"] < row["value_interval"][1]
    assert row["p"] < 0.05
    assert compare_stages({"one-stage": scores["one-stage"]}, concepts) == []


def test_one_concept_alone_has_no_shuffled_pairing(world: tuple) -> None:
    truth, painted, _ = world
    few = {name: pictures[:1, :3] for name, pictures in painted.items()}
    assert "shuffled" not in score_conditions(truth[:3], few, [], ["c"] * 3)


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30))
def test_mispaired_pictures_are_of_other_concepts(concepts: list[str]) -> None:
    others = mispair(concepts)
    most = max(concepts.count(each) for each in concepts)
    if 2 * most > len(concepts):
        assert others is None
        return
    assert others is not None
    assert sorted(others.tolist()) == list(range(len(concepts)))
    assert all(concepts[other] != own for own, other in zip(concepts, others, strict=True))


def test_tags_make_rows_of_the_same_form(world: tuple, scores: dict[str, dict[str, Score]]) -> None:
    row = rows_of(scores, world[2])[0]
    cat = {"floor": {"share": 0.5, "share_interval": (0.4, 0.6), "chance": 0.5}}
    assert set(cat_rows(cat)[0]) == set(row)
    assert cat_rows(cat)[0]["value_interval"] == [0.4, 0.6]
