"""The grid shows every condition below what was shown; tables and report say what they are of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.offline.reconstruct_report import compare_conditions, draw_grid, reconstruct_report, tables_of

CONDITIONS = ("floor", "shuffled", "one-stage", "two-stage", "ceiling")


def cells(table: Any) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


@pytest.fixture
def result() -> dict[str, Any]:
    rows = []
    for i, condition in enumerate(CONDITIONS):
        for metric, label, measure, chance, value in (
            ("pixcorr", "PixCorr", "pixels", None, 0.1 * i - 0.05),
            ("alexnet2", "AlexNet(2)", "two-way", 0.5, 0.5 + 0.1 * i),
            ("swav", "SwAV", "distance", None, 0.9 - 0.1 * i),
            ("fid", "FID", "fid", None, 300.0 - 10 * i),
            ("cat", "CAT, matched tags", "share", 0.5, 0.5 + 0.05 * i),
        ):
            if condition == "shuffled" and metric in ("fid", "cat"):
                continue
            interval = None if metric == "fid" else [value - 0.05, min(value + 0.05, 1.0)]
            rows.append(
                {
                    "metric": metric, "label": label, "measure": measure, "condition": condition, "value": value,
                    "value_sd": None, "value_interval": interval, "chance": chance,
                    "higher_is_better": metric not in ("swav", "fid"),
                }
            )  # fmt: skip
    column = {"share": 0.6, "interval": (0.5, 0.7), "n_judged": 30, "n_not_judged": 0}
    tags = {
        "points": 90.0, "points_possible": 150.0, "points_chance": 75.0, "points_interval": (80.0, 100.0),
        "share": 0.6, "share_interval": (0.53, 0.67), "chance": 0.5, "columns": {"broad_1": column, "specific": column},
        "n_concepts": 30, "judge": "pictures", "tags": "a table",
    }  # fmt: skip
    change = {"metric": "pixcorr", "label": "PixCorr", "conditions": ["two-stage", "one-stage"], "value": 0.1}
    return {
        "decoder": "decoder", "epochs": "epochs", "source": "a test", "split": "test", "subject": "sub-01",
        "subject_known": True, "transductive_epochs": False, "repetitions": "all", "n_averaged": 80,
        "gallery": "exact picture", "pictures": "files", "prior": "regression", "seeds": 3, "n_pictures": 30,
        "generator": {"name": "blocks", "space": "blocks:27", "size": 64, "steps": 1},
        "n_concepts": 30, "ms_per_picture": 1.0,
        "conditions": {name: f"words of {name}" for name in CONDITIONS if name != "shuffled"},
        "rows": rows, "differences": [change | {"value_interval": [0.05, 0.15], "p": 0.0004}],
        "skipped": {"clip": "weights absent: necomimi download"}, "cat": {"floor": tags, "ceiling": tags},
        "cat_skipped": "", "names": [f"n{i}" for i in range(30)], "concepts": [f"thing_{i}" for i in range(30)],
        "out": None,
    }  # fmt: skip


@pytest.fixture
def pictures() -> dict[str, np.ndarray]:
    """Return pictures whose colour is their number, of another size each."""
    numbers = np.arange(30, dtype=np.uint8)[:, None, None, None]
    sizes = {"shown": 96, "floor": 16, "one-stage": 64, "two-stage": 64, "ceiling": 200}
    return {name: numbers.repeat(size, 1).repeat(size, 2).repeat(3, 3) for name, size in sizes.items()}


def test_grid_shows_pictures_of_everywhere_in_order(pictures: dict[str, np.ndarray]) -> None:
    figure = draw_grid(pictures, [f"thing_{i}" for i in range(30)])
    (axes,) = figure.axes
    drawn = [image.get_array() for image in axes.images]
    assert len(drawn) == 5 * 20
    assert {image.shape for image in drawn} == {(128, 128, 3)}
    expected = np.linspace(0, 29, 20).round().astype(int).tolist()
    assert [int(image[0, 0, 0]) for image in drawn[:10]] == expected[:10]
    assert [int(image[0, 0, 0]) for image in drawn[50:60]] == expected[10:]
    words = [text.get_text() for text in axes.texts]
    assert words[:1] == ["shown"]
    assert [word for word in words if word in pictures][:5] == ["shown", "ceiling", "two-stage", "one-stage", "floor"]
    assert [word for word in words if word.startswith("thing")] == [f"thing {i}" for i in expected]


def test_grid_of_few_pictures(pictures: dict[str, np.ndarray]) -> None:
    few = {name: found[:3] for name, found in pictures.items()}
    assert len(draw_grid(few, ["a", "b", "c"]).axes[0].images) == 15


def test_tables_say_what_is_better_and_what_chance_is(result: dict[str, Any]) -> None:
    metrics, stages, tags = tables_of(result)
    assert [str(column.header) for column in metrics.columns] == ["metric", *CONDITIONS, "chance"]
    rows = {row[0]: row[1:] for row in cells(metrics)}
    assert rows["PixCorr +"][0] == "-0.050 (-.10, .00)"
    assert rows["AlexNet(2) two-way +"] == [
        "50.0% (45-55)", "60.0% (55-65)", "70.0% (65-75)", "80.0% (75-85)", "90.0% (85-95)", "50.0%"
    ]  # fmt: skip
    assert rows["SwAV -"][4] == "0.500 (.45, .55)"
    assert rows["FID -"] == ["300.0", "", "280.0", "270.0", "260.0", ""]
    assert "biased upwards by few pictures" in str(metrics.caption)
    assert "words of ceiling" in str(metrics.caption)
    assert cells(stages) == [["PixCorr", "+0.100 (+0.050 to +0.150)", "<.001"]]
    assert cells(tags)[-2:] == [["points", "90 of 150", "90 of 150"], ["chance", "50.0%", "50.0%"]]
    assert "not to be set beside published" in str(tags.caption)
    assert len(tables_of({**result, "differences": [], "cat": {}})) == 1


def test_report_holds_the_pictures_and_what_was_left_out(
    result: dict[str, Any], pictures: dict[str, np.ndarray], tmp_path: Path
) -> None:
    reconstruct_report({**result, "cat": {}, "cat_skipped": "no judge"}, pictures, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 100
    for words in ("weights absent: necomimi download", "no judge", "80 presentations", "3 seeds each"):
        assert words in page
    for name, why in (("clip", "weights absent"), ("CAT score", "no judge")):
        assert re.search(rf"<td>{name}</td><td>{why}", page)
    assert "not trained on this person" not in page


def test_nothing_to_draw_without_rates(result: dict[str, Any]) -> None:
    assert compare_conditions(result) is not None
    assert compare_conditions({**result, "rows": [row for row in result["rows"] if row["metric"] == "fid"]}) is None
