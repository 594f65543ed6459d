"""Every figure of an evaluation stands in the CSV file, once."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from necomimi.offline import published
from necomimi.offline.evaluate import command
from necomimi.offline.judgement import judge_scores
from necomimi.offline.long_format import COLUMNS, lines_of, write_csv
from necomimi.offline.transductive import judge_as_a_set


def test_every_figure_has_a_line() -> None:
    scores, targets = np.random.default_rng(0).normal(size=(24, 12)), np.tile(np.arange(12), 2)
    row = {**judge_scores(scores, targets), "confidence": 0.5, "ece": 0.1, "right_when_sure": None}
    result: dict[str, Any] = {
        "rows": [{"repetitions": 1, **row}, {"repetitions": "all", **row}],
        "windows": [{"until": 0.2, **row}],
        "transductive": judge_as_a_set(scores, scores, targets, judge_scores),
        "confusion": {"categories": ["a", "b"], "matrix": [[0.75, 0.25], [0.0, 1.0]]},
        "published": {"protocol": "within subject", "rows": published.rows("within subject")},
    }
    lines = list(lines_of(result))
    assert all(set(line) <= set(COLUMNS) for line in lines)
    tables = [line["table"] for line in lines]
    # top-1, top-5, 2-, 4- and 10-way; confidence and its error where there is one; an assignment has top-1 alone
    assert {name: tables.count(name) for name in set(tables)} == {
        "inductive": 14, "early": 7, "transductive": 11, "confusion": 4, "published": 20,
    }  # fmt: skip
    first = lines[0]
    assert (first["figure"], first["value"], first["chance"]) == ("top1", row["top1"], 1 / 12)
    assert [first["low"], first["high"]] == row["top1_interval"]
    keys = [
        tuple(str(line.get(name, "")) for name in COLUMNS if name not in ("value", "low", "high")) for line in lines
    ]
    assert len(set(keys)) == len(keys)


def test_provisional_answers_of_a_live_session_are_early_ones(tmp_path: Path) -> None:
    row = judge_scores(np.eye(2), np.arange(2))
    write_csv({"rows": [row], "provisional": {"0.3": row}}, tmp_path / "f.csv")
    with (tmp_path / "f.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["until"] for row in rows if row["table"] == "early"} == {"0.3"}
    assert [row["value"] for row in rows if row["figure"] == "auc"] == ["1.0", "1.0"]


def test_the_command_writes_it_beside_its_tables(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.eye(12))
    command(scores=tmp_path / "s.npy", csv=tmp_path / "f.csv")
    with (tmp_path / "f.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == COLUMNS
        found = {row["figure"]: row for row in reader}
    assert (found["top1"]["value"], found["top1"]["n_queries"]) == ("1.0", "12")
    assert float(found["4-way top1"]["chance"]) == 0.25
