"""Reports hold every table that the commands print, with the figures where they belong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from necomimi.offline.evaluation_report import evaluation_report, sweep_report
from necomimi.offline.judgement import judge_scores
from necomimi.offline.summary import summarise


def judged(n: int = 40, seed: int = 0, **facts: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, n)) + 2 * np.eye(n)
    return {**facts, **judge_scores(scores, np.arange(n))}


def sections(path: Path) -> dict[str, str]:
    """Return the content below each heading."""
    page = path.read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    return dict(zip(headings, re.split(r"<h2>.*?</h2>", page)[1:], strict=True))


def test_an_evaluation_has_its_figures_beside_its_tables(tmp_path: Path) -> None:
    result = {
        "decoder": "decoder", "epochs": "epochs", "split": "test",
        "gallery": {"kind": "exact picture", "n_classes": 40},
        "transductive_epochs": False,
        "rows": [judged(repetitions=1), judged(seed=1, repetitions=4), judged(seed=2, repetitions="all")],
        "windows": [judged(seed=3, until=0.2), judged(seed=4, until=0.4)],
        "confusion": {
            "categories": ["animal", "food"], "matrix": [[0.75, 0.25], [0.5, 0.5]], "n_queries": 40, "n_left_out": 0,
        },
        "published": {
            "protocol": "within subject", "subject_rows": [],
            "rows": [{"method": "NICE", "top1": 0.138, "top5": 0.395, "chosen_on": "validation",
                      "candidates": "concept centres"}],
        },
        "guards": [
            {"name": "batches agree", "passed": True, "detail": "1e-7"},
            {"name": "concepts are disjoint", "passed": False, "detail": "3 of 40 are not"},
            {"name": "whitening", "passed": None, "detail": "transductive by name"},
        ],
    }  # fmt: skip
    evaluation_report(result, tmp_path / "report.html")
    found = sections(tmp_path / "report.html")
    titles = ("Accuracy", "From the part", "K-way accuracy", "Categories of 40", "Published", "Checks of the way")
    assert len(found) == len(titles)
    for (heading, content), title in zip(found.items(), titles, strict=True):
        assert heading.startswith(title)
        assert content.count("<table") == 1
        assert content.count("<svg") == (title in ("Accuracy", "From the part", "Categories of 40"))
    accuracy, windows, _, categories, published, checks = found.values()
    assert f"{result['rows'][2]['top1']:.1%}" in accuracy  # type: ignore[index]
    assert "presentations averaged" in accuracy
    assert "400 ms" in windows
    assert "animal" in re.findall(r"<svg.*?</svg>", categories, flags=re.DOTALL)[0]
    assert "concept centres" in published
    assert re.findall(r"<td>(yes|NO|not claimed)</td>", checks) == ["yes", "NO", "not claimed"]


def test_a_score_matrix_is_a_short_report(tmp_path: Path) -> None:
    evaluation_report({"scores": "scores.npy", "rows": [judged()]}, tmp_path / "report.html")
    assert list(sections(tmp_path / "report.html")) == ["Accuracy", "K-way accuracy"]
    assert "<svg" not in (tmp_path / "report.html").read_text()
    assert "scores.npy" in (tmp_path / "report.html").read_text()


def record(encoder: str, subject: str, seed: int, top1: float) -> dict[str, Any]:
    rows = [judged(seed=seed, repetitions=n) | {"top1": top1 * share} for n, share in ((1, 0.5), ("all", 1.0))]
    return {
        "name": f"{subject}_{encoder}_{seed}", "encoder": encoder, "subject": subject, "seed": seed,
        "leave_one_out": False, "source": "a test", "transductive": False, "n_parameters": 1000, "training_s": 1.0,
        "test": {"gallery": {"kind": "exact picture"}, "rows": rows}, "settings": {"epochs": 3}, "guards": [],
        "failed_guards": [], "things_eeg2": False,
        "validation": {"best": {"top1": 0.5}, "last": {"top1": 0.4}, "best_epoch": 2, "n_ways": 20},
    }  # fmt: skip


def test_a_sweep_shows_subjects_presentations_and_differences(tmp_path: Path) -> None:
    records = [
        record(encoder, subject, seed, top1 + 0.01 * seed)
        for encoder, base in (("nerv", 0.3), ("nice", 0.2))
        for subject, top1 in (("sub-01", base), ("sub-02", base + 0.1))
        for seed in (0, 1)
    ]
    summary = summarise(records[:-1])
    sweep_report(summary, tmp_path / "report.html")
    found = sections(tmp_path / "report.html")
    assert list(found) == ["Subjects", "Presentations", "Differences"]
    assert [content.count("<svg") for content in found.values()] == [1, 1, 0]
    assert [content.count("<table") for content in found.values()] == [1, 1, 1]
    page = (tmp_path / "report.html").read_text()
    assert "2 encoders, 2 subjects, 2 seeds; within subject; a test." in page
    assert "1 job without a result: sub-02_nice_1." in page
    assert "nerv - nice" in found["Differences"]
    assert '<tr class="strong"><td>nerv</td><td>mean of 2</td>' in found["Subjects"]
    svg = re.findall(r"<svg.*?</svg>", found["Subjects"], flags=re.DOTALL)[0]
    assert "nerv" in svg
    assert "nice" in svg
