"""The pictures that a generator learns from: who is held out, that they come again, and what upright means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from necomimi.picture_world import SEED, PictureWorld, draw_world, n_pictures
from necomimi.pictures import concepts, draw_picture

SIZES = (3, 4, 32)  # training pictures of a concept, unseen concepts, pixels


@pytest.fixture(scope="module")
def world() -> PictureWorld:
    return draw_world(*SIZES, n_concepts=10)


def test_training_never_shows_what_judges(world: PictureWorld) -> None:
    assert len(world.names) == 10
    assert len(world.unseen) == 4
    judging = world.judging
    parts = [set(world.training), set(judging["known"]), set(judging["unseen"])]
    assert [len(part) for part in parts] == [6 * 3, 6 * 2, 4 * 3]
    assert set.union(*parts) == set(range(len(world.concepts)))
    assert not np.isin(world.concepts[world.training], world.unseen).any()
    assert np.isin(world.concepts[judging["unseen"]], world.unseen).all()
    assert not np.isin(world.concepts[judging["known"]], world.unseen).any()
    assert len(np.unique(world.embeddings, axis=0)) == len(world.embeddings)  # no picture is there twice
    np.testing.assert_allclose(np.linalg.norm(world.embeddings, axis=1), 1, atol=1e-5)
    assert world.pixels.shape == (len(world.concepts), 32, 32, 3)


def test_the_judging_pictures_can_be_drawn_alone(world: PictureWorld) -> None:
    drawn: list[int] = []
    alone = draw_world(*SIZES, n_concepts=10, held_only=True, advance=drawn.append)
    assert len(alone.training) == 0
    assert sum(drawn) == len(alone.concepts) == n_pictures(3, 4, n_concepts=10, held_only=True)
    assert len(world.concepts) == n_pictures(3, 4, n_concepts=10)
    for name, rows in alone.judging.items():
        np.testing.assert_array_equal(alone.pixels[rows], world.pixels[world.judging[name]])
        np.testing.assert_allclose(alone.embeddings[rows], world.embeddings[world.judging[name]], atol=1e-6)


def test_a_file_is_read_by_its_key_alone(world: PictureWorld, tmp_path: Path) -> None:
    path = tmp_path / "new" / "pictures.safetensors"
    world.save(path, "key")
    kept = PictureWorld.load(path, "key")
    assert kept is not None
    assert kept.names == world.names
    for name in ("unseen", "concepts", "held", "embeddings", "pixels"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(world, name))
    assert PictureWorld.load(path, "another") is None
    path.write_bytes(path.read_bytes()[:1000])
    assert PictureWorld.load(path, "key") is None
    assert PictureWorld.load(tmp_path / "absent", "key") is None


def test_upright_changes_the_object_alone() -> None:
    concept = next(concept for concept in concepts() if concept.name == "dog")
    for exemplar in range(3):
        seen, upright = (
            np.asarray(draw_picture(concept, exemplar, SEED, upright=is_upright), dtype=np.float32)
            for is_upright in (False, True)
        )
        corner = np.s_[:20, :20]  # behind no object and no shadow
        np.testing.assert_array_equal(seen[corner], upright[corner])
        assert np.abs(seen - upright).mean() > 1


def test_upright_objects_lie_on_each_other() -> None:
    """Two upright pictures of one size of a mirrored and an unmirrored exemplar differ less than turned ones do."""
    concept = next(concept for concept in concepts() if concept.name == "dog")
    sets = {
        is_upright: np.stack(
            [np.asarray(draw_picture(concept, i, SEED, upright=is_upright), dtype=np.float32) for i in range(12)]
        )
        for is_upright in (False, True)
    }
    middle = np.s_[:, 96:160, 96:160]
    assert sets[True][middle].std(axis=0).mean() < 0.8 * sets[False][middle].std(axis=0).mean()
