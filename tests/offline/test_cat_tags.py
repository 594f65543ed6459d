"""The tables of tags are complete, of the right concepts in their order, and small enough in words for foils."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from necomimi import pictures
from necomimi.errors import DatasetError
from necomimi.offline.cat_tags import Tags, find_tags, load_tags

# Of the 200 folder names in image_metadata.npy of THINGS-EEG2 without their numbers, one a line.
TEST_CONCEPTS = "b5f97049165a571442fd8588a1cb87689c590f20aeb9694c5f4ccb5fa9fa1376"
MOST = {"broad_1": 20, "broad_2": 20, "specific": 70, "background": 30, "attribute": 25}


@pytest.fixture(scope="module")
def things() -> Tags:
    tags = find_tags(["aircraft_carrier", "wok"])
    assert tags is not None
    return tags


@pytest.fixture(scope="module")
def embedded() -> Tags:
    tags = find_tags(concept.name for concept in pictures.concepts())
    assert tags is not None
    return tags


def test_the_table_holds_the_test_concepts_in_the_order_of_the_data_set(things: Tags) -> None:
    assert things.name == "THINGS-EEG2 test concepts"
    assert things.columns == ("broad_1", "broad_2", "specific", "background", "attribute")
    assert hashlib.sha256("\n".join(things.of).encode()).hexdigest() == TEST_CONCEPTS
    assert things.of["banana"] == ("food", "eating", "fruit", "plain surface", "smooth peel")
    assert things.of["punch2"][0] == "office supply"  # the tool, not the drink


@pytest.mark.parametrize("name", ["things", "embedded"])
def test_tags_are_few_shared_and_plain(name: str, request: pytest.FixtureRequest) -> None:
    tags: Tags = request.getfixturevalue(name)
    for i, column in enumerate(tags.columns):
        counts = Counter(row[i] for row in tags.of.values())
        assert 5 <= len(counts) <= MOST[column]
        assert min(counts.values()) >= 2, column  # a tag of one concept could not be judged by pictures of others
        assert all(tag.isascii() and tag == tag.strip() and "_" not in tag for tag in counts)


def test_the_embedded_table_says_what_the_packages_say(embedded: Tags) -> None:
    assert embedded.columns == ("broad_1", "broad_2", "specific", "attribute")
    known = {concept.name: concept for concept in pictures.concepts()}
    assert list(embedded.of) == list(known)
    assert {name: row[0] for name, row in embedded.of.items()} == {name: one.category for name, one in known.items()}
    # graphics that another version of a package draws anew may change a few
    same = [row[3] == commonest_colour(known[name].path) for name, row in embedded.of.items()]
    assert np.mean(same) > 0.98


def commonest_colour(path: Path) -> str:
    """Return the name of the colour that most of a graphic's pixels have."""
    rgba = np.asarray(pictures._render(path, 64), dtype=float) / 255
    red, green, blue = rgba[rgba[..., 3] > 0.5][:, :3].T
    value, low = np.maximum.reduce([red, green, blue]), np.minimum.reduce([red, green, blue])
    span = np.maximum(value - low, 1e-9)
    saturation = np.where(value > 0, (value - low) / np.maximum(value, 1e-9), 0)
    sector = np.where(value == green, (blue - red) / span + 2, (red - green) / span + 4)
    hue = 60 * np.where(value == red, ((green - blue) / span) % 6, sector)
    is_red = (hue < 5) | (hue >= 335)
    rules = {
        "black": value < 0.25,
        "white": (saturation < 0.22) & (value > 0.85),
        "grey": saturation < 0.22,
        "pink": is_red & (saturation < 0.55) & (value > 0.8) | (hue >= 290) & (hue < 335),
        "red": is_red,
        "brown": (hue < 40) & ((value < 0.8) | (saturation < 0.55)),
        "orange": hue < 40,
        "yellow": hue < 68,
        "green": hue < 165,
        "blue": hue < 255,
    }
    names = np.select(list(rules.values()), list(rules), "purple")
    return Counter(names.tolist()).most_common(1)[0][0]


def test_a_table_is_found_only_if_it_knows_every_concept() -> None:
    found = find_tags(["accordion", "yo-yo"])
    assert found is not None
    assert found.name == "embedded picture set"
    assert find_tags(["accordion", "wok"]) is None


def test_a_table_of_ones_own_may_have_other_columns(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text('\ufeffkind,concept\n"food, sweet",pie\nanimal, cat \n\n', encoding="utf-8")
    tags = load_tags(tmp_path / "mine.csv")
    assert (tags.name, tags.columns) == ("mine.csv", ("kind",))
    assert tags.of == {"pie": ("food, sweet",), "cat": ("animal",)}
    assert tags.column(["cat", "pie", "cat"], 0) == ["animal", "food, sweet", "animal"]
    with pytest.raises(DatasetError, match="1 concepts have no tags, among them dog"):
        tags.column(["cat", "dog"], 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no table"),
        ("name,kind\ncat,animal\n", "has the columns name, kind"),
        ("concept\ncat\n", "has the columns concept"),
        ("concept,kind,kind\ncat,a,b\n", "a name of its own"),
        ("concept,kind\ncat,\n", "row of cat has 1 of 2 cells filled"),
        ("concept,kind\ncat,animal,furry\n", "row of cat has 3 of 2"),
        ("concept,kind\ncat,animal\ncat,pet\n", "row of cat stands twice"),
        ('concept,kind\ncat,"animal\n', "is no table"),
    ],
)
def test_bad_tables_are_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        load_tags(tmp_path / "t.csv")


def test_files_that_cannot_be_read_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        load_tags(tmp_path / "absent.csv")
    (tmp_path / "t.csv").write_bytes(b"concept,kind\n\xff\xfe,a\n")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_tags(tmp_path / "t.csv")
