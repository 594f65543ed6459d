"""A person's form is blind and repeatable; a filled one gives points, and what saying yes to everything would."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from necomimi.errors import DatasetError
from necomimi.offline.cat_form import form_score, write_form
from necomimi.offline.cat_tags import Tags

KINDS = ("animal", "food", "thing", "plant")
TAGS = Tags(
    name="t",
    columns=("kind", "place"),
    of={f"c{i}": (KINDS[i % 4], "home" if i % 3 else "street, wet") for i in range(24)},
)
PICTURES = {f"one-stage/c{i}-0.png": f"c{i}" for i in range(24)}
Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, answer: Callable[[Row], str], judge: str = "A") -> None:
    """Fill in a form, in place."""
    rows = [{**row, "matched": answer(row), "judge": judge} for row in read(path)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def is_own(row: Row) -> bool:
    return row["tag"] == TAGS.of[PICTURES[row["picture"]]][TAGS.columns.index(row["column"])]


@pytest.fixture
def form(tmp_path: Path) -> Path:
    write_form(tmp_path / "form.csv", PICTURES, TAGS)
    return tmp_path / "form.csv"


def test_each_picture_meets_its_tags_and_as_many_foils_in_an_order_that_tells_nothing(
    form: Path, tmp_path: Path
) -> None:
    rows = read(form)
    assert list(rows[0]) == ["picture", "column", "tag", "matched", "judge"]
    assert not any(row["matched"] or row["judge"] for row in rows)
    order = [row["picture"] for row in rows[::4]]
    assert sorted(order) == sorted(PICTURES) != order != list(PICTURES)
    for i, picture in enumerate(order):
        asked = rows[4 * i : 4 * i + 4]
        assert {row["picture"] for row in asked} == {picture}
        assert sorted((row["column"], is_own(row)) for row in asked) == [
            ("kind", False), ("kind", True), ("place", False), ("place", True),
        ]  # fmt: skip
    first = [is_own(row) for row in rows[::4]]
    assert 4 < sum(first) < 20
    write_form(tmp_path / "again.csv", PICTURES, TAGS)
    assert (tmp_path / "again.csv").read_bytes() == form.read_bytes()
    write_form(tmp_path / "other.csv", PICTURES, TAGS, seed=1)
    assert (tmp_path / "other.csv").read_bytes() != form.read_bytes()


def test_a_filled_form_gives_points_and_the_rate_of_false_matches(form: Path) -> None:
    fill(form, lambda row: "1" if is_own(row) and row["column"] == "kind" else "0")
    found = form_score(form, PICTURES, TAGS)
    assert (found["points"], found["points_possible"], found["chance"]) == (24.0, 48, 0.0)
    assert found["columns"]["kind"]["share"] == 1.0
    assert found["columns"]["place"]["share"] == 0.0
    assert (found["judge"], found["tags"], found["n_pictures"]) == ("A", "t", 24)


def test_who_says_yes_to_everything_gains_nothing(form: Path) -> None:
    fill(form, lambda _: "1")
    found = form_score(form, PICTURES, TAGS)
    assert found["share"] == found["chance"] == 1.0
    assert found["points_chance"] == 48


def test_judges_share_points_and_gaps_are_counted(form: Path, tmp_path: Path) -> None:
    other = tmp_path / "B.csv"
    other.write_bytes(form.read_bytes())
    fill(form, lambda row: str(int(is_own(row))))
    fill(other, lambda row: "" if row["picture"] == "one-stage/c0-0.png" else "0", "B")
    form.write_text(form.read_text() + other.read_text().split("\n", 1)[1])
    found = form_score(form, PICTURES, TAGS)
    assert found["judge"] == "A, B"
    assert found["share"] == pytest.approx((23 * 0.5 + 1) / 24)
    assert found["per_concept"]["c0"] == 1.0
    fill(form, lambda row: "" if row["picture"] == "one-stage/c0-0.png" else str(int(is_own(row))), "A")
    with pytest.raises(DatasetError, match=r"A judged .* twice"):
        form_score(form, PICTURES, TAGS)


def test_only_the_pictures_asked_for_are_read(form: Path) -> None:
    fill(form, lambda row: str(int(is_own(row))))
    some = dict(list(PICTURES.items())[:6])
    found = form_score(form, some, TAGS)
    assert (found["n_concepts"], found["points"]) == (6, 12.0)
    with pytest.raises(DatasetError, match=r"0 own tags and 0 foils of 1 pictures such as two-stage/c0-0.png"):
        form_score(form, {"two-stage/c0-0.png": "c0"}, TAGS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matched": "yes"}, "line 2: 'yes', judged by A"),
        ({"judge": " "}, "line 2: '1', judged by nobody"),
        ({"tag": "mineral"}, "line 2: the tag 'mineral'"),
        ({"column": "colour"}, "of 'colour'"),
    ],
)
def test_answers_that_cannot_be_read_are_named_by_their_line(form: Path, change: Row, words: str) -> None:
    fill(form, lambda _: "1")
    rows = read(form)
    rows[0] |= change
    with form.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(DatasetError, match=words):
        form_score(form, PICTURES, TAGS)


def test_forms_that_are_none_are_refused_in_words(form: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="0 own tags and 0 foils"):
        form_score(form, PICTURES, TAGS)  # still blank
    with pytest.raises(DatasetError, match="cannot be read"):
        form_score(tmp_path / "absent.csv", PICTURES, TAGS)
    (tmp_path / "other.csv").write_text("picture;tag;matched\na;b;1\n")
    with pytest.raises(DatasetError, match="comma-separated"):
        form_score(tmp_path / "other.csv", PICTURES, TAGS)
    (tmp_path / "empty.csv").write_text("picture,column,tag,matched,judge\n")
    with pytest.raises(DatasetError, match="no rows"):
        form_score(tmp_path / "empty.csv", PICTURES, TAGS)


def test_foils_are_drawn_as_often_as_concepts_bear_them(tmp_path: Path) -> None:
    of = {f"c{i:03d}": ("common" if i < 160 else f"rare {i % 4}",) for i in range(240)}
    tags = Tags(name="t", columns=("kind",), of=of)
    write_form(tmp_path / "form.csv", {f"{name}.png": name for name in of}, tags)
    foils = [row["tag"] for row in read(tmp_path / "form.csv") if row["tag"] != of[row["picture"][:4]][0]]
    assert len(foils) == 240
    assert foils.count("common") == pytest.approx(80 * 160 / 220, abs=15)  # of the foils of the 80 others
