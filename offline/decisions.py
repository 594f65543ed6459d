"""Judge a live session by its log: decisions.jsonl -> accuracies with chance and intervals, AUC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from necomimi.errors import DatasetError

from .scoring import area_under_curve, interval_of

__all__ = ["judge_decisions", "read_decisions"]


def read_decisions(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the verdicts of the last run in a log, and its summary (empty where it ended without one).

    A log that several runs have written to holds them one after the other; the last run with a verdict is judged. A
    line that was cut short by a crash ends its run.

    Raises
    ------
    DatasetError
        The file cannot be read, or holds no decisions.
    """
    runs: list[tuple[list[dict[str, Any]], dict[str, Any]]] = []
    run: list[dict[str, Any]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")  # a crash may cut a character, too
        for line in filter(None, text.split("\n")):
            try:
                item = json.loads(line)
            except json.JSONDecodeError:
                item = {"type": "cut"}
            if item["type"] in ("retrieval", "refusal"):
                run.append(item)
            else:
                runs.append((run, item if item["type"] == "summary" else {}))
                run = []
    except (OSError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "the log of necomimi decode --log") from error
    runs.append((run, {}))
    run, summary = next((pair for pair in reversed(runs) if pair[0]), ([], {}))
    if not any(item["type"] == "retrieval" for item in run):
        raise DatasetError(f"{path} holds no decisions", "the log of necomimi decode --log")
    return run, summary


def judge_decisions(path: Path) -> dict[str, Any]:
    """Return how well a live session's answers name what was shown.

    Parameters
    ----------
    path : Path
        The log of ``necomimi decode --log``.

    Returns
    -------
    dict
        "n_queries" (retrievals), "n_refusals", "n_classes", "top1" and "top5" with intervals and chance; "auc" for two
        classes, of the first label in alphabetical order against the second.
    """
    run, summary = read_decisions(path)
    answers = [item for item in run if item["type"] == "retrieval"]
    truth = np.array([item["label"] for item in answers])
    n_classes = int(summary.get("n_classes") or len({label for item in answers for label in item["labels"]}))
    found: dict[str, Any] = {"n_queries": len(answers), "n_refusals": len(run) - len(answers), "n_classes": n_classes}
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
    found["kway"] = {}
    return found
