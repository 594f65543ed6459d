"""The log is a table as BIDS wants it, on disk row by row, and never written over another."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest

from necomimi.errors import ConfigError
from necomimi.gui.events_log import COLUMNS, EventsLog


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a log."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_rows_are_on_disk_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_task-rsvp_events.tsv"
    log = EventsLog(path, {"StimulusFolder": "/pictures"})
    log.add({"onset": 0.1, "duration": 1 / 3, "trial_type": "stimulus", "stim_file": "a\tb\n.png", "sequence": 3})
    deadline = time.monotonic() + 20
    while len(path.read_text().splitlines()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    (row,) = table(path)
    assert list(row) == list(COLUMNS)
    assert (row["onset"], row["duration"], row["sequence"]) == ("0.100000", "0.333333", "3")
    assert row["stim_file"] == "a b .png"
    assert row["response_time"] == row["concept"] == "n/a"
    log.add({"onset": 0.2, "duration": 0.0, "trial_type": "response"})
    log.close({"n_pictures": 1})
    assert [row["trial_type"] for row in table(path)] == ["stimulus", "response"]
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert set(COLUMNS) < set(sidecar)
    assert all("Description" in sidecar[column] for column in COLUMNS)
    assert sidecar["StimulusFolder"] == "/pictures"
    assert sidecar["Result"] == {"n_pictures": 1}


@pytest.mark.parametrize("existing", ["x_events.tsv", "x_events.json"])
def test_a_log_is_never_written_over(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        EventsLog(tmp_path / "x_events.tsv", {})
    assert (tmp_path / existing).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_log_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.csv") as caught:
        EventsLog(tmp_path / "log.csv", {})
    assert "events.tsv" in caught.value.expected
    with pytest.raises(ConfigError, match="cannot be written"):
        EventsLog(tmp_path / "absent" / "x_events.tsv", {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_remembered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x_events.tsv"
    log = EventsLog(path, {})
    log._file.close()
    log._file = open("/dev/full", "w")  # noqa: SIM115
    log.add({"onset": 0.0})
    log.close({})
    assert log.error is not None
    assert "cannot be written any more" in caplog.text
