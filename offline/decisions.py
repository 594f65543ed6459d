"""Judge a live session by its log: decisions.jsonl -> accuracies with chance and intervals, AUC, confidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from necomimi.errors import DatasetError
from necomimi.gallery import Gallery

from .confidence import judge_confidence
from .scoring import area_under_curve, interval_of

__all__ = ["judge_decisions", "read_decisions"]

VERDICTS = ("retrieval", "refusal")
BORDERS = ("run", "summary", "cut")  # first line, last line, a line that a crash cut short
Line = dict[str, Any]


def read_decisions(path: Path) -> tuple[list[Line], Line]:
    """Return the answers and refusals of the last run in a log, and its summary (empty where it ended without one).

    A log that several runs have written to holds them one after the other; the last run with a verdict is returned,
    its provisional answers included. A run begins with its "run" line; a summary, or a line that was cut short by a
    crash, ends it. Lines of other types are passed over.

    Raises
    ------
    DatasetError
        The file cannot be read, or holds no decisions.
    """
    runs: list[tuple[list[Line], Line]] = []
    run: list[Line] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")  # a crash may cut a character, too
        for line in filter(None, text.split("\n")):
            try:
                item = json.loads(line)
            except json.JSONDecodeError:
                item = {"type": "cut"}
            if item["type"] in (*VERDICTS, "provisional"):
                run.append(item)
            elif item["type"] in BORDERS:
                runs.append((run, item if item["type"] == "summary" else {}))
                run = []
    except (OSError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "the log of necomimi decode --log") from error
    runs.append((run, {}))
    with_verdicts = (pair for pair in reversed(runs) if any(item["type"] in VERDICTS for item in pair[0]))
    run, summary = next(with_verdicts, ([], {}))
    if not any(item["type"] == "retrieval" for item in run):
        raise DatasetError(f"{path} holds no decisions", "the log of necomimi decode --log")
    return run, summary


def judge_decisions(path: Path, sure: float | None = None, gallery: Gallery | None = None) -> dict[str, Any]:
    """Return how well a live session's answers name what was shown.

    Parameters
    ----------
    path : Path
        The log of ``necomimi decode --log``.
    sure : float, optional
        Confidence from which an answer is announced.
    gallery : Gallery, optional
        Says which label each marker stands for: of a picture, or a trigger code. Without one they are labels.

    Returns
    -------
    dict
        "n_queries" (retrievals), "n_refusals", "n_classes", "top1" and "top5" with intervals and chance; "auc" for two
        classes, of the first label in alphabetical order against the second; "confidence" and "ece". "rows" holds the
        same figures by number of presentations, where some answers are of several, else only these. "provisional"
        holds those of the answers that came before the epoch was over, by the seconds of signal behind them: they
        count in no other figure.
    """
    run, summary = read_decisions(path)
    if gallery is not None:
        run = [item | {"label": _label_in(gallery, item["label"])} for item in run]
    answers = [item for item in run if item["type"] == "retrieval"]
    n_refusals = sum(item["type"] == "refusal" for item in run)
    given = [item for item in run if item["type"] != "refusal"]
    n_classes = int(summary.get("n_classes") or len({label for item in given for label in item["labels"]}))
    found: dict[str, Any] = {"n_refusals": n_refusals, **_judge(answers, n_classes, sure)}
    numbers = sorted({int(item.get("n_averaged", 1)) for item in answers})
    found["rows"] = [dict(found)]
    if numbers != [1]:
        found["rows"] = [
            {"repetitions": n, **_judge([item for item in answers if item.get("n_averaged", 1) == n], n_classes, sure)}
            for n in numbers
        ]
    times = sorted({float(item["until"]) for item in run if item["type"] == "provisional"})
    found["provisional"] = {
        f"{until:g}": _judge(
            [item for item in run if item["type"] == "provisional" and item["until"] == until], n_classes, sure
        )
        for until in times
    }
    return found


def _label_in(gallery: Gallery, name: str) -> str:
    item = gallery.index_of(name)
    return name if item is None else gallery.labels[item]


def _judge(answers: Sequence[Line], n_classes: int, sure: float | None) -> dict[str, Any]:
    """Return the figures of some answers."""
    truth = np.array([item["label"] for item in answers])
    found: dict[str, Any] = {"n_queries": len(answers), "n_classes": n_classes}
    for top in (1, 5):
        hits = np.array([item["label"] in item["labels"][:top] for item in answers], dtype=np.float64)
        low, high, kind = interval_of(hits, truth)
        found[f"top{top}"] = float(hits.mean())
        found[f"top{top}_interval"] = [low, high]
        found[f"chance_top{top}"] = min(1.0, top / n_classes)
        found["interval"] = kind
    labels = sorted({label for item in answers for label in item["labels"]})
    if len(labels) == 2 and set(truth) == set(labels):
        scores = [dict(zip(item["labels"], item["scores"], strict=True)).get(labels[1], 0.0) for item in answers]
        found["auc"] = area_under_curve(np.array(scores), truth == labels[1])
    found["k_way"] = {}
    first = np.array([item["label"] == item["labels"][0] for item in answers], dtype=np.float64)
    confidence = np.array([item["scores"][0] for item in answers])
    return {**found, **judge_confidence(confidence, first, truth, sure)}
