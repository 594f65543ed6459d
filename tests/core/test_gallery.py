from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from necomimi.errors import CheckpointError
from necomimi.gallery import Gallery
from necomimi.search import softmax

LABELS = ("dog", "cat", "dog", "axe")
FILES = ("1_dog/dog_01s.jpg", "2_cat/cat_01s.jpg", "1_dog/dog_02s.jpg", "3_axe/axe_01s.jpg")


def make(n_dims: int = 6, thumbnails: bool = True) -> Gallery:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, n_dims))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pictures = rng.integers(0, 256, (4, 96, 96, 3), dtype=np.uint8) if thumbnails else None
    return Gallery(LABELS, FILES, vectors.astype(np.float32), "test:space", pictures)


def plain_retrieve(gallery: Gallery, vector: np.ndarray, logit_scale: float) -> dict[str, float]:
    """Return the probability of each label, one item at a time."""
    weights = []
    for item in gallery.embeddings:
        cosine = sum(float(a) * float(b) for a, b in zip(item, vector, strict=True)) / float(np.linalg.norm(vector))
        weights.append(float(np.exp(logit_scale * cosine)))
    totals: dict[str, float] = {}
    for label, weight in zip(gallery.labels, weights, strict=True):
        totals[label] = totals.get(label, 0.0) + weight / sum(weights)
    return totals


def test_the_norm_before_normalisation_travels_and_must_be_one(tmp_path):
    measured = replace(make(), clip_norm=21.5)
    measured.save(tmp_path / "g")
    assert Gallery.load(tmp_path / "g").clip_norm == measured.select([2, 0]).clip_norm == 21.5
    config = json.loads((tmp_path / "g" / "config.json").read_text())
    for wrong in (0, -1.0, float("inf"), float("nan"), "20"):
        (tmp_path / "g" / "config.json").write_text(json.dumps(config | {"clip_norm": wrong}))
        with pytest.raises(CheckpointError):
            Gallery.load(tmp_path / "g")
    del config["clip_norm"]  # of an earlier version
    (tmp_path / "g" / "config.json").write_text(json.dumps(config))
    assert Gallery.load(tmp_path / "g").clip_norm is None


def test_importing_the_gallery_does_not_import_torch():
    code = "import sys, necomimi.gallery; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_retrieve_equals_a_plain_computation():
    gallery = make()
    vectors = np.random.default_rng(1).normal(size=(5, 6)) * 3.0  # not of unit norm
    labels, scores = gallery.retrieve(vectors, k=3, logit_scale=7.0)
    assert scores.dtype == np.float32
    assert scores.shape == (5, 3)
    for vector, names, row in zip(vectors, labels, scores, strict=True):
        expected = plain_retrieve(gallery, vector, 7.0)
        assert list(names) == sorted(expected, key=lambda name: -expected[name])
        assert row == pytest.approx([expected[name] for name in names], rel=1e-5)
        assert row.sum() == pytest.approx(1.0, abs=1e-6)


def test_class_scores_are_log_probabilities_up_to_a_constant():
    gallery = make()
    vectors = np.random.default_rng(1).normal(size=(5, 6)) * 3.0
    scores = gallery.class_scores(vectors, 7.0)
    assert scores.shape == (5, 3)
    for vector, row in zip(vectors, scores, strict=True):
        expected = plain_retrieve(gallery, vector, 7.0)
        chances = np.exp(row) / np.exp(row).sum()
        assert chances == pytest.approx([expected[name] for name in gallery.classes], rel=1e-5)
    assert np.isfinite(gallery.class_scores(vectors, 1e5)).all()


def test_similarities_are_cosines_with_the_nearest_item_of_each_class():
    gallery = make()
    vectors = np.random.default_rng(1).normal(size=(5, 6)) * 3.0
    found = gallery.similarities(vectors)
    assert found.dtype == np.float32
    cosines = vectors @ gallery.embeddings.T / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.stack([cosines[:, [0, 2]].max(axis=1), cosines[:, 1], cosines[:, 3]], axis=1)  # dog, cat, axe
    np.testing.assert_allclose(found, expected, atol=1e-6)
    plain = gallery.select([0, 1, 3])  # one item a class
    np.testing.assert_allclose(plain.similarities(vectors), cosines[:, [0, 1, 3]], atol=1e-6)


def test_k_is_cut_to_the_number_of_labels_and_empty_input_gives_empty_output():
    gallery = make()
    labels, scores = gallery.retrieve(gallery.embeddings[:1], k=50, logit_scale=10.0)
    assert set(labels[0]) == set(LABELS)
    assert scores.shape == (1, 3)
    assert gallery.retrieve(np.zeros((0, 6)), k=2, logit_scale=10.0)[0] == []


def test_ties_go_to_the_label_that_comes_first():
    gallery = Gallery.from_labels(["d", "b", "a", "c"])
    labels, scores = gallery.retrieve(np.zeros((1, 4)), k=4, logit_scale=20.0)
    assert labels == [("a", "b", "c", "d")]
    assert scores == pytest.approx(np.full((1, 4), 0.25))


def test_a_large_logit_scale_does_not_overflow():
    gallery = make()
    labels, scores = gallery.retrieve(gallery.embeddings, k=3, logit_scale=1e4)
    assert [names[0] for names in labels] == list(LABELS)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("vectors", [np.zeros(6), np.zeros((2, 5)), np.full((1, 6), np.nan)])
def test_vectors_of_another_shape_or_not_finite_are_refused(vectors):
    with pytest.raises(ValueError, match="expected finite numbers of shape"):
        make().retrieve(vectors, k=1, logit_scale=1.0)


def test_index_of_prefers_file_then_stem_then_label():
    gallery = Gallery(
        ("dog", "dog_01s", "cat"), ("a/x.jpg", "a/y.jpg", "a/dog.jpg"), np.eye(3, dtype=np.float32), "test:space"
    )
    assert gallery.index_of("a/y.jpg") == 1
    assert gallery.index_of("dog") == 2  # the stem of a file, before a label
    assert gallery.index_of("dog_01s") == 1
    assert gallery.index_of("cat") == 2
    assert gallery.index_of("") is None
    assert make().index_of("dog") == 0  # the first of several
    assert make().index_of("wolf") is None


def test_indices_name_what_is_missing():
    assert make().indices(["axe", FILES[2]]).tolist() == [3, 2]
    with pytest.raises(CheckpointError, match="wolf"):
        make().indices(["dog", "wolf"])


def test_select_keeps_rows_together():
    gallery = make()
    part = gallery.select([3, 1])
    assert part.labels == ("axe", "cat")
    assert part.files == (FILES[3], FILES[1])
    np.testing.assert_array_equal(part.embeddings, gallery.embeddings[[3, 1]])
    np.testing.assert_array_equal(part.thumbnails, gallery.thumbnails[[3, 1]])
    assert part.classes == ("axe", "cat")


def test_label_gallery_has_one_dimension_per_distinct_label_in_sorted_order():
    gallery = Gallery.from_labels(["target", "nontarget", "target"])
    assert gallery.labels == ("nontarget", "target")
    assert gallery.files == ("", "")
    assert gallery.thumbnails is None
    np.testing.assert_array_equal(gallery.embeddings, np.eye(2))
    digest = hashlib.sha256(json.dumps(["nontarget", "target"]).encode()).hexdigest()[:12]
    assert gallery.space == f"labels:{digest}"
    assert gallery.space != Gallery.from_labels(["target", "other"]).space


@pytest.mark.parametrize("thumbnails", [True, False])
def test_save_and_load_give_the_same_gallery(tmp_path, thumbnails):
    gallery = make(thumbnails=thumbnails)
    gallery.save(tmp_path / "g")
    loaded = Gallery.load(tmp_path / "g")
    assert (loaded.labels, loaded.files, loaded.space) == (gallery.labels, gallery.files, gallery.space)
    np.testing.assert_array_equal(loaded.embeddings, gallery.embeddings)
    assert (loaded.thumbnails is None) == (not thumbnails)
    if thumbnails:
        np.testing.assert_array_equal(loaded.thumbnails, gallery.thumbnails)
    assert Gallery.load(tmp_path / "g", thumbnails=False).thumbnails is None
    gallery.save(tmp_path / "g")  # over itself
    assert sorted(path.name for path in (tmp_path / "g").iterdir()) == ["config.json", "gallery.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_a_gallery_replaces_nothing_but_a_gallery(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        make().save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_gallery_of_an_earlier_version_loads(tmp_path):
    make().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["blur_levels"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert Gallery.load(tmp_path).levels is None


def with_levels() -> Gallery:
    levels = np.random.default_rng(2).normal(size=(4, 3, 6)).astype(np.float32)
    levels /= np.linalg.norm(levels, axis=2, keepdims=True)
    return Gallery(LABELS, FILES, levels[:, 0], "test:space?levels=1,3,9", levels=levels, blur_levels=(1, 3, 9))


def test_levels_stay_with_their_items_on_disk_and_in_a_selection(tmp_path):
    gallery = with_levels()
    assert gallery.levels is not None
    gallery.save(tmp_path / "g")
    loaded = Gallery.load(tmp_path / "g")
    np.testing.assert_array_equal(loaded.levels, gallery.levels)
    assert loaded.blur_levels == (1, 3, 9)
    part = loaded.select([3, 1])
    np.testing.assert_array_equal(part.levels, gallery.levels[[3, 1]])
    np.testing.assert_array_equal(part.embeddings, gallery.levels[[3, 1], 0])
    assert part.blur_levels == (1, 3, 9)
    with pytest.raises(ValueError, match="read-only"):
        part.levels[0] = 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blur_levels": (1, 3)}, r"\(4, 2, 6\)"),
        ({"blur_levels": (3, 9, 15)}, "the sharp level 1 first"),
        ({"levels": None}, "without embeddings"),
        ({"levels": with_levels().levels.astype(np.float64)}, "float64"),
        ({"levels": with_levels().levels * 2}, "levels with norms"),
        ({"embeddings": with_levels().levels[:, 1]}, "not its first level"),
        ({"labels": LABELS[1:]}, "3 labels, 4 files"),
        ({"files": ["../secret.jpg", *FILES[1:]]}, "secret"),
    ],
)
def test_parts_that_disagree_are_refused_in_words(changes, words):
    with pytest.raises(CheckpointError, match=words):
        replace(with_levels(), **changes)


def test_file_hash_depends_on_the_order():
    gallery = make()
    assert gallery.file_hash == make().file_hash
    assert gallery.file_hash != gallery.select([1, 0, 2, 3]).file_hash


def edit_config(path, **changes):
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    (path / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")


def edit_tensors(path, **changes):
    file = path / "gallery.safetensors"
    with safe_open(file, framework="numpy") as tensors:
        signature = tensors.metadata()
    save_file(load_file(file) | changes, file, metadata=signature)


def unsign(path):
    file = path / "gallery.safetensors"
    save_file(load_file(file), file)


def drop_tensor(path, name):
    file = path / "gallery.safetensors"
    with safe_open(file, framework="numpy") as tensors:
        signature = tensors.metadata()
    save_file({key: value for key, value in load_file(file).items() if key != name}, file, metadata=signature)


DAMAGE = {
    "no config": (lambda p: (p / "config.json").unlink(), r"holds no config\.json"),
    "config is not JSON": (lambda p: (p / "config.json").write_text("{"), "is damaged"),
    "foreign": (lambda p: edit_config(p, format="necomimi-decoder"), "'necomimi-gallery'"),
    "later version": (lambda p: edit_config(p, version=2), "has version 2"),
    "no tensors": (lambda p: (p / "gallery.safetensors").unlink(), "is damaged"),
    "cut short": (
        lambda p: (p / "gallery.safetensors").write_bytes((p / "gallery.safetensors").read_bytes()[:-9]),
        "is damaged",
    ),
    "files swapped": (lambda p: edit_config(p, files=[FILES[1], FILES[0], *FILES[2:]]), "was changed after"),
    "label changed": (lambda p: edit_config(p, labels=["wolf", *LABELS[1:]]), "was changed after"),
    "label missing": (lambda p: edit_config(p, labels=LABELS[1:]), "was changed after"),
    "labels are numbers": (lambda p: edit_config(p, labels=[1, 2, 3, 4]), "not a list of strings"),
    "not of unit norm": (lambda p: edit_tensors(p, embeddings=np.ones((4, 6), np.float32)), "norms from"),
    "not finite": (lambda p: edit_tensors(p, embeddings=np.full((4, 6), np.nan, np.float32)), "norms from"),
    "tensors of another gallery": (lambda p: unsign(p), "was changed after"),
    "no embeddings": (lambda p: drop_tensor(p, "embeddings"), "is damaged"),
    "levels of nothing": (lambda p: edit_config(p, blur_levels=[1, 3]), "without embeddings"),
    "levels are a number": (lambda p: edit_config(p, blur_levels=3), "is damaged"),
    "thumbnails of another size": (
        lambda p: edit_tensors(p, thumbnails=np.zeros((4, 9, 9, 3), np.uint8)),
        "thumbnails",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_in_words(tmp_path, damage):
    make().save(tmp_path)
    spoil, words = DAMAGE[damage]
    spoil(tmp_path)
    with pytest.raises(CheckpointError, match=words):
        Gallery.load(tmp_path)


def test_require_space_names_both_spaces_and_the_remedy():
    gallery = make()
    gallery.require_space("test:space")
    with pytest.raises(CheckpointError) as caught:
        gallery.require_space("open_clip:ViT-H-14/laion2b_s32b_b79k")
    message = str(caught.value)
    assert "test:space" in message
    assert "--model open_clip:ViT-H-14/laion2b_s32b_b79k" in message


def test_gallery_owns_its_embeddings():
    vectors = np.eye(2, dtype=np.float32)
    gallery = Gallery(("a", "b"), ("", ""), vectors, "test:space")
    vectors[:] = 0
    np.testing.assert_array_equal(gallery.embeddings, np.eye(2))
    with pytest.raises(ValueError, match="read-only"):
        gallery.embeddings[0, 0] = 5


def test_softmax_of_large_scores() -> None:
    np.testing.assert_allclose(softmax(np.array([[1e4, 1e4 - np.log(3.0)]])), [[0.75, 0.25]])
