"""Published figures are complete, marked with how they were chosen, and kept away from other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from necomimi.epochs import Epochs, EpochSet
from necomimi.errors import ConfigError
from necomimi.offline import published
from necomimi.offline.tables import tabulate_published
from necomimi.preprocessing import Preprocessor


def make_part(labels: list[str]) -> EpochSet:
    n = len(labels)
    return EpochSet(
        data=np.zeros((n, 1, 1), dtype=np.float32), labels=tuple(labels), pictures=("",) * n,
        sessions=np.ones(n, dtype=np.int64), repetitions=np.ones(n, dtype=np.int64), onsets=np.zeros(n),
    )  # fmt: skip


def things() -> Epochs:
    return Epochs(
        train=make_part(["aardvark", *(f"a{i}" for i in range(1653))]),
        test=make_part(["aircraft_carrier", *(f"b{i}" for i in range(199))] * 2),
        preprocessor=Preprocessor(
            ch_names=("Oz",), sfreq=1.0, tmin=0.0, tmax=0.0, baseline=None, start=0.0, n_times=1,
            spatial=np.eye(1, dtype=np.float32),
        ),
        source="a test", path=Path("e"),
    )  # fmt: skip


def test_both_protocols_have_their_rows() -> None:
    within, across = (published.rows(protocol) for protocol in published.PROTOCOLS)
    assert len(within) == 10
    assert [row["method"] for row in across] == [
        row["method"] for row in within if row["method"] not in ("MUSE", "NERV")
    ]  # fmt: skip
    by_name = {row["method"]: row for row in within}
    assert by_name["NICE"] == {
        "method": "NICE", "top1": 0.138, "top5": 0.395, "chosen_on": "validation", "candidates": "concept centres",
    }  # fmt: skip
    assert by_name["SAMGA"]["chosen_on"] == "test"
    for row in (*within, *across):
        assert 0 < row["top1"] < row["top5"] < 1
        assert row["chosen_on"]
    with pytest.raises(ConfigError, match="'both'"):
        published.rows("both")  # type: ignore[arg-type]


def test_subject_rows_have_the_means_that_were_published() -> None:
    rows = [published.subject_rows(f"sub-{i:02d}") for i in range(1, 11)]
    assert [row["method"] for row in rows[0]] == ["NERV", "ATM-S", "MUSE", "NICE", "Nervformer"]
    assert (rows[7][0]["top1"], rows[7][0]["top5"]) == (0.408, 0.674)
    mean = {row["method"]: row["top1"] for row in published.rows("within subject")}
    assert np.mean([row[0]["top1"] for row in rows]) == pytest.approx(mean["NERV"], abs=1e-3)
    assert published.subject_rows("sub-11") == published.subject_rows("") == []


def test_only_things_eeg2_itself_is_compared() -> None:
    epochs = things()
    assert published.applies(epochs)
    assert not published.applies(replace(epochs, test=None))
    assert not published.applies(replace(epochs, test=make_part([f"b{i}" for i in range(200)])))
    assert not published.applies(replace(epochs, train=make_part(["aardvark", "abacus"])))


def test_the_table_says_how_each_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    shown = {
        "protocol": "within subject", "rows": published.rows("within subject"),
        "subject_rows": published.subject_rows("sub-08"),
    }  # fmt: skip
    Console(width=140).print(tabulate_published(shown))
    lines = capsys.readouterr().out.splitlines()
    nerv = next(line for line in lines if "NERV" in line)
    assert [cell.strip() for cell in nerv.strip("│").split("│")] == [
        "NERV", "27.9%", "54.7%", "40.8%", "67.4%", "test", "exact picture",
    ]  # fmt: skip
    nice = next(line for line in lines if "NICE" in line)
    assert "concept centres" in nice
