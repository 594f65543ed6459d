"""Category tables in the THINGS form are read, and confusions counted by hand come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from necomimi.errors import DatasetError
from necomimi.offline.categories import confuse, embedded_categories, load_categories


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join("\t".join(line.split("|")) for line in lines) + "\n", encoding="utf-8")
    return path


def test_the_wide_format_of_thingsplus_is_read(tmp_path: Path) -> None:
    table = write(
        tmp_path / "t.tsv", "Word|uniqueID|animal|food|part of car", "bass|bass1|1|1|0", "ice cube|ice_cube|0|1|0",
        "wheel|wheel|0||1", "thing|thing|0|0|0",
    )  # fmt: skip
    assert load_categories(table) == {
        "bass1": ("animal", "food"), "ice_cube": ("food",), "wheel": ("part of car",), "thing": (),
    }  # fmt: skip
    first = write(tmp_path / "f.tsv", "concept|animal", "ice bear|1.0", "cube|0.0")
    assert load_categories(first) == {"ice_bear": ("animal",), "cube": ()}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("animal|food", "1|0", "0|1"), "no column of concept names"),
        (("uniqueID|definition", "dog|an animal"), "no column of numbers"),
        (("uniqueID|animal", "dog"), "line 2 of .* is not as long"),
        (("uniqueID|animal",), "holds no concepts"),
    ],
)
def test_tables_of_another_form_are_refused(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        load_categories(write(tmp_path / "t.tsv", *lines))


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY\x01\x00v\x00\xff"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_categories(tmp_path / "t.tsv")


def test_confusions_are_those_counted_by_hand() -> None:
    categories = {"cat": ("animal",), "dog": ("animal",), "bass": ("animal", "food"), "bun": ("food",), "it": ()}
    shown = ["cat", "cat", "dog", "bun", "bass", "it", "cat"]
    answered = ["dog", "bun", "dog", "bun", "bun", "bun", "unknown"]
    found = confuse(shown, answered, categories)
    assert found["categories"] == ["animal", "food"]
    # animal: dog, bun, dog, and half of the bass for bun; food: bun for bun, and half of the bass for bun
    np.testing.assert_allclose(found["matrix"], [[2 / 3.5, 1.5 / 3.5], [0.0, 1.0]])
    assert (found["n_queries"], found["n_left_out"]) == (5, 2)


def test_a_category_that_was_never_shown_has_an_empty_row() -> None:
    found = confuse(["cat"], ["bun"], {"cat": ("animal",), "bun": ("food",)})
    assert found["matrix"] == [[0.0, 1.0], [0.0, 0.0]]
    with pytest.raises(DatasetError, match=r"'x'[\s\S]*'cat'"):
        confuse(["x"], ["y"], {"cat": ("animal",)})


def test_the_embedded_picture_set_knows_its_own_categories() -> None:
    assert embedded_categories(["accordion", "bear"]) == {"accordion": ("object",), "bear": ("nature",)}
    assert embedded_categories(["accordion", "aircraft_carrier"]) is None
