"""Processes that are killed are started again, none takes another with it, and none waits for a mistake to mend."""

from __future__ import annotations

import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from necomimi.offline.engine import TrainSettings
from necomimi.offline.job_pool import attempt, n_cores, work_here
from necomimi.offline.jobs import Job, work
from necomimi.offline.sweep_plan import find_subjects, plan_jobs

SETTINGS = TrainSettings(
    options={"n_filters": 8, "n_hidden": 16}, epochs=6, batch_size=16, val_concepts=4, device="cpu"
)


@pytest.fixture
def jobs(people: Path, tmp_path: Path) -> list[Job]:
    return plan_jobs(
        find_subjects(people / "epochs" / "sub-01"), [SETTINGS], 2,
        gallery=people / "training", test_gallery=people / "test", leave_one_out=False, folder=tmp_path / "training",
    )  # fmt: skip


@pytest.mark.slow
def test_a_killed_process_is_started_again_twice_and_takes_no_other_with_it(
    jobs: list[Job], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[str] = []
    shares: list[float] = []

    def kill(job: Job, share: float) -> None:
        shares.append(share)
        if job.settings.seed == 0 or job.name not in killed:  # one of them always, the other once
            killed.append(job.name)
            (process,) = multiprocessing.active_children()
            process.kill()
            process.join()

    with caplog.at_level(logging.WARNING):
        outcomes = {outcome.job.name: outcome for outcome in work_here(jobs, 1, tmp_path / "logs", kill)}
    lost, found = outcomes["sub-01_multiblur_0"], outcomes["sub-01_multiblur_1"]
    assert lost.record is None
    assert lost.error.startswith("its process ended with status -9 (3 tries); see ")
    assert set(killed) == set(outcomes)
    assert sum("is tried again" in message for message in caplog.messages) == 3
    assert found.record is not None
    assert found.record["test"] == work(replace(jobs[1], folder=None))["test"]  # as if nothing had been
    assert max(shares) == 1.0
    assert multiprocessing.active_children() == []
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {f"{job.name}.log" for job in jobs}


def test_processes_end_with_whoever_listens(jobs: list[Job], tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    def leave(job: Job, share: float) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        list(work_here(jobs[:1], 1, tmp_path / "logs", leave))
    assert multiprocessing.active_children() == []


def test_a_mistake_that_would_come_again_is_not_tried_again(jobs: list[Job]) -> None:
    outcome = attempt(replace(jobs[0], conditions="another"), lambda *_: None, n_cores())
    assert outcome.record is None
    assert "not those that the sweep began with" in outcome.error
    assert "another OUT" in outcome.error
