"""The summary of a sweep is what a statistician would compute by hand from its records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from necomimi.offline import published
from necomimi.offline.summary import summarise, t_interval


def record(encoder: str, subject: str, seed: int, top1: float, **changes: Any) -> dict[str, Any]:
    """Return the record of a job, whose accuracy with one presentation is half that with all."""
    rows = [
        {"repetitions": repetitions, "n_queries": n, "n_classes": 200, "chance_top1": 0.005, "chance_top5": 0.025,
         "top1": found, "top5": 2 * found, "k_way": {"2": 0.9, "200": found}}
        for repetitions, n, found in ((1, 16000, top1 / 2), ("all", 200, top1))
    ]  # fmt: skip
    return {
        "name": f"{subject}_{encoder}_{seed}", "encoder": encoder, "subject": subject, "seed": seed,
        "leave_one_out": False, "source": "a test", "things_eeg2": False, "transductive": False,
        "settings": {"epochs": 40}, "test": {"gallery": {"kind": "exact picture"}, "rows": rows},
        "guards": [{"name": name, "passed": passed, "detail": ""} for name, passed in (("a", True), ("b", None))],
        "validation": {"best": {"top1": 0.5}, "last": {"top1": 0.4}, "best_epoch": 10 + seed, "n_ways": 150},
        "n_parameters": 1000, "training_s": 60.0 + seed, **changes,
    }  # fmt: skip


GRID = [
    record(encoder, subject, seed, top1 + {"nerv": 0.0, "nice": -0.05}[encoder] * (i + 1) + (0.02 if seed else -0.02))
    for encoder in ("nice", "nerv")
    for i, (subject, top1) in enumerate((("sub-01", 0.2), ("sub-02", 0.3), ("sub-03", 0.4)))
    for seed in (0, 1)
]


def test_seeds_are_averaged_within_subjects_and_subjects_are_the_units() -> None:
    summary = summarise(GRID)
    assert (summary["protocol"], summary["n_jobs"], summary["missing"]) == ("within subject", 12, [])
    assert (summary["encoders"], summary["subjects"], summary["seeds"]) == (
        ["nerv", "nice"], ["sub-01", "sub-02", "sub-03"], [0, 1],
    )  # fmt: skip
    first = summary["rows"][1]
    assert [(row["subject"], row["repetitions"]) for row in summary["rows"][:4]] == [
        ("sub-01", 1), ("sub-01", "all"), ("sub-02", 1), ("sub-02", "all"),
    ]  # fmt: skip
    assert first["top1"] == pytest.approx(0.2)
    assert first["top1_sd"] == pytest.approx(0.02 * np.sqrt(2))
    assert first["top5_sd"] == pytest.approx(0.04 * np.sqrt(2))
    assert first["k_way"] == pytest.approx({"2": 0.9, "200": 0.2})
    assert (first["n_seeds"], first["n_parameters"], first["training_s"], first["best_epoch"]) == (2, 1000, 60.5, 10.5)
    assert (first["validation_top1"], first["validation_top1_last"], first["epochs"]) == (0.5, 0.4, 40)
    mean = summary["means"][1]
    assert (mean["encoder"], mean["repetitions"], mean["n_subjects"]) == ("nerv", "all", 3)
    assert mean["top1"] == pytest.approx(0.3)
    half = 4.302653 * 0.1 / np.sqrt(3)  # t of two degrees of freedom, from a printed table
    assert mean["top1_interval"] == pytest.approx([0.3 - half, 0.3 + half], abs=1e-6)
    assert mean["top5_interval"][1] == 1.0  # a rate does not exceed one


def test_encoders_are_compared_on_the_same_subjects_and_seeds() -> None:
    (difference,) = summarise(GRID)["differences"]
    assert difference["encoders"] == ["nerv", "nice"]
    assert difference["top1"] == pytest.approx(0.1)  # of .05, .10 and .15
    half = 4.302653 * 0.05 / np.sqrt(3)
    assert difference["top1_interval"] == pytest.approx([0.1 - half, 0.1 + half], abs=1e-6)
    assert difference["top1_p"] == pytest.approx(0.0742, abs=1e-4)  # t = 3.4641, two degrees of freedom
    lacking = [one for one in GRID if one["name"] not in ("sub-01_nice_0", "sub-02_nice_0", "sub-02_nice_1")]
    summary = summarise(lacking)
    assert summary["missing"] == ["sub-01_nice_0", "sub-02_nice_0", "sub-02_nice_1"]
    (difference,) = summary["differences"]
    assert difference["n_subjects"] == 2
    assert difference["top1"] == pytest.approx((0.05 + 0.15) / 2)  # of sub-01 the seed that both have
    assert [mean["n_subjects"] for mean in summary["means"]] == [3, 3, 2, 2]


def test_one_subject_has_no_interval_and_one_seed_no_deviation() -> None:
    summary = summarise([record(encoder, "sub-01", 0, 0.2) for encoder in ("nice", "nerv")])
    assert summary["rows"][0]["top1_sd"] is None
    assert summary["means"][0]["top1_interval"] is None
    (difference,) = summary["differences"]
    assert (difference["top1"], difference["top1_interval"], difference["top1_p"]) == (0.0, None, None)
    assert t_interval([0.1]) is None


def test_encoders_that_share_no_subject_are_not_compared() -> None:
    (difference,) = summarise([record("nice", "sub-01", 0, 0.2), record("nerv", "sub-02", 0, 0.3)])["differences"]
    assert (difference["n_subjects"], difference["top1"], difference["top1_interval"]) == (0, None, None)


def test_published_figures_stand_beside_things_eeg2_only() -> None:
    assert summarise(GRID)["published"] == []
    real = [{**one, "things_eeg2": True, "leave_one_out": True} for one in GRID]
    summary = summarise(real)
    assert summary["protocol"] == "leave-one-subject-out"
    assert summary["published"] == published.rows("leave-one-subject-out")
    assert summarise([*real[1:], GRID[0]])["published"] == []


def test_failed_checks_and_transductive_epochs_are_named() -> None:
    failed = {"name": "gallery in the order of its files", "passed": False, "detail": "it is not"}
    odd = record("nerv", "sub-01", 2, 0.2, guards=[failed], transductive=True)
    summary = summarise([*GRID, odd])
    assert summary["failed_guards"] == {"sub-01_nerv_2": ["gallery in the order of its files"]}
    assert summary["transductive"]
    assert not summarise(GRID)["transductive"]
    assert summarise(GRID)["failed_guards"] == {}
