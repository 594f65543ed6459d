"""The last run of a live log is judged, whatever befell the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from necomimi.errors import DatasetError
from necomimi.intervals import wilson
from necomimi.offline.decisions import judge_decisions, read_decisions


def retrieval(label: str, labels: list[str], scores: list[float] | None = None) -> dict[str, Any]:
    given = scores or [1.0 / len(labels)] * len(labels)
    return {"type": "retrieval", "code": 1, "onset": 1.0, "label": label, "labels": labels, "scores": given}


REFUSAL = {"type": "refusal", "code": 2, "onset": 2.0, "label": "a", "reason": "gap", "detail": "3 samples missing"}
SUMMARY = {"type": "summary", "n_classes": 10}
GOOD = [retrieval("a", ["a", "b", "c", "d", "e"])] * 3
BAD = [retrieval("a", ["b", "c", "d", "e", "f"])] * 2


def write(path: Path, *items: dict[str, Any], tail: bytes = b"") -> Path:
    log = path / "decisions.jsonl"
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    log.write_bytes(text.encode() + tail)
    return log


def test_answers_are_counted(tmp_path: Path) -> None:
    second = retrieval("b", ["a", "b", "c", "d", "e"])
    log = write(tmp_path, *GOOD, second, REFUSAL, REFUSAL, retrieval("f", ["a", "b", "c", "d", "e"]), SUMMARY)
    found = judge_decisions(log)
    assert (found["n_queries"], found["n_refusals"], found["n_classes"]) == (5, 2, 10)
    assert (found["top1"], found["top5"]) == (0.6, 0.8)
    assert (found["chance_top1"], found["chance_top5"]) == (0.1, 0.5)
    assert found["top1_interval"] == list(wilson(3, 5))
    assert "auc" not in found


def test_without_a_summary_the_classes_are_those_answered(tmp_path: Path) -> None:
    found = judge_decisions(write(tmp_path, *GOOD, *BAD))
    assert (found["n_classes"], found["chance_top1"], found["chance_top5"]) == (6, 1 / 6, 5 / 6)


@pytest.mark.parametrize(
    ("items", "n_queries", "n_classes"),
    [
        ([*GOOD, SUMMARY, *BAD, {**SUMMARY, "n_classes": 7}], 2, 7),
        ([*GOOD, SUMMARY, *BAD], 2, 5),  # the last run ended without a summary: the first run's is not its own
        ([*GOOD, SUMMARY, {**SUMMARY, "n_classes": 7}], 3, 10),  # the last run saw nothing
    ],
)
def test_the_last_run_is_judged(tmp_path: Path, items: list[dict[str, Any]], n_queries: int, n_classes: int) -> None:
    found = judge_decisions(write(tmp_path, *items))
    assert (found["n_queries"], found["n_classes"]) == (n_queries, n_classes)


RUN = {"type": "run", "decoder": "d"}


def test_a_run_that_ended_without_a_summary_does_not_merge_with_the_next(tmp_path: Path) -> None:
    found = judge_decisions(write(tmp_path, RUN, *GOOD, RUN, *BAD, SUMMARY))
    assert (found["n_queries"], found["n_classes"]) == (2, 10)
    assert judge_decisions(write(tmp_path, RUN, *GOOD, SUMMARY, RUN, *BAD))["n_queries"] == 2
    assert judge_decisions(write(tmp_path, RUN, *GOOD, RUN))["n_queries"] == 3  # the last run saw nothing
    assert judge_decisions(write(tmp_path, RUN, *GOOD, {"type": "state", "state": "STALE"}, *GOOD))["n_queries"] == 6


def provisional(until: float, label: str, labels: list[str]) -> dict[str, Any]:
    return {**retrieval(label, labels, [0.5, 0.3, 0.2]), "type": "provisional", "until": until}


def test_provisional_answers_are_judged_apart(tmp_path: Path) -> None:
    items = [
        provisional(0.2, "a", ["b", "a", "c"]), provisional(0.3, "a", ["a", "b", "c"]),
        retrieval("a", ["a", "b", "c"], [0.8, 0.1, 0.1]),
        provisional(0.2, "b", ["b", "a", "c"]), {**REFUSAL, "label": "b"},
    ]  # fmt: skip
    found = judge_decisions(write(tmp_path, RUN, *items, SUMMARY))
    assert (found["n_queries"], found["n_refusals"], found["top1"]) == (1, 1, 1.0)
    early = found["provisional"]
    assert {until: (row["n_queries"], row["top1"]) for until, row in early.items()} == {
        "0.2": (2, 0.5),
        "0.3": (1, 1.0),
    }
    assert early["0.2"]["confidence"] == 0.5
    assert early["0.2"]["chance_top1"] == 0.1
    unfinished = write(tmp_path, RUN, *GOOD, RUN, provisional(0.2, "a", ["b", "a", "c"]))
    assert judge_decisions(unfinished)["n_queries"] == 3  # the last run has no verdict yet
    assert judge_decisions(write(tmp_path, *GOOD))["provisional"] == {}


def test_averaged_answers_are_judged_by_the_number_of_presentations(tmp_path: Path) -> None:
    def averaged(n: int, label: str, labels: list[str], score: float) -> dict[str, Any]:
        return {**retrieval(label, labels, [score, 1 - score]), "n_averaged": n}

    items = [
        averaged(1, "a", ["b", "a"], 0.5), averaged(1, "b", ["b", "a"], 0.6),
        averaged(2, "a", ["a", "b"], 0.9), averaged(2, "b", ["b", "a"], 0.95), averaged(3, "a", ["a", "b"], 0.99),
    ]  # fmt: skip
    found = judge_decisions(write(tmp_path, *items), sure=0.9)
    assert [(row["repetitions"], row["n_queries"], row["top1"]) for row in found["rows"]] == [
        (1, 2, 0.5), (2, 2, 1.0), (3, 1, 1.0),
    ]  # fmt: skip
    assert [row["sure"] for row in found["rows"]] == [0.0, 1.0, 1.0]
    assert (found["n_queries"], found["top1"]) == (5, 0.8)
    single = judge_decisions(write(tmp_path, *items[:2]))
    assert [row["n_queries"] for row in single["rows"]] == [2]
    assert "repetitions" not in single["rows"][0]


def test_confidence_of_live_answers(tmp_path: Path) -> None:
    items = [retrieval("a", ["a", "b"], [0.9, 0.1]), retrieval("a", ["b", "a"], [0.7, 0.3])]
    found = judge_decisions(write(tmp_path, *items))
    assert found["confidence"] == pytest.approx(0.8)
    assert found["ece"] == pytest.approx((0.1 + 0.7) / 2)


@pytest.mark.parametrize("tail", [b'{"type": "retr', b"{", '{"type": "retrieval", "label": "ü'.encode()[:-1]])
def test_a_line_cut_by_a_crash_costs_only_itself(tmp_path: Path, tail: bytes) -> None:
    assert judge_decisions(write(tmp_path, *GOOD, tail=tail))["n_queries"] == 3
    found = judge_decisions(write(tmp_path, *GOOD, SUMMARY, tail=tail))
    assert (found["n_queries"], found["n_classes"]) == (3, 10)


def test_a_run_after_a_crash_is_judged_by_itself(tmp_path: Path) -> None:
    log = write(tmp_path, *GOOD, tail=b'{"type": "retr')
    with log.open("a") as file:  # as necomimi decode continues a log: the first line joins the one that was cut
        file.writelines(json.dumps(item) + "\n" for item in [*BAD, *BAD, SUMMARY])
    run, summary = read_decisions(log)
    assert run == (BAD + BAD)[1:]
    assert summary == SUMMARY


def test_two_classes_give_the_auc_of_the_second_in_alphabetical_order(tmp_path: Path) -> None:
    items = [
        retrieval("target", ["target", "standard"], [0.9, 0.1]),
        retrieval("target", ["standard", "target"], [0.6, 0.4]),
        retrieval("standard", ["standard", "target"], [0.8, 0.2]),
        retrieval("standard", ["target", "standard"], [0.7, 0.3]),
    ]
    found = judge_decisions(write(tmp_path, *items))
    assert found["auc"] == pytest.approx(0.75)  # three of the four pairs are in order
    assert found["top1"] == 0.5
    assert "auc" not in judge_decisions(write(tmp_path, *items[:2]))  # nothing but targets was shown


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no decisions"),
        (b"\x89PNG\r\n\x1a\n\x00", "holds no decisions"),
        (json.dumps(REFUSAL).encode(), "holds no decisions"),
        (b"[1]\n", "cannot be read"),
        (b'{"label": "a"}\n', "cannot be read"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        judge_decisions(tmp_path / "log")


def test_an_absent_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_decisions(tmp_path / "absent.jsonl")
