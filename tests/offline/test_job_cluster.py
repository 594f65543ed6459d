"""On a real Ray cluster a job whose worker is killed is done again, once, and counts once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from necomimi.errors import ConfigError
from necomimi.offline.engine import TrainSettings
from necomimi.offline.job_cluster import share_out, work_on_ray
from necomimi.offline.jobs import Job, work
from necomimi.offline.sweep_plan import find_subjects, plan_jobs

SETTINGS = TrainSettings(options={"n_filters": 8, "n_hidden": 16}, batch_size=16, val_concepts=4, device="cpu")


@pytest.fixture
def jobs(people: Path) -> list[Job]:
    return plan_jobs(
        find_subjects(people / "epochs" / "sub-01"), [SETTINGS.model_copy(update={"epochs": 200})], 2,
        gallery=people / "training", test_gallery=people / "test", leave_one_out=False, folder=None,
    )  # fmt: skip


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a Ray cluster of two cores on this machine."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch compute on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def kill_first_worker(training: Path, killed: list[int]) -> None:
    """Wait for a training to begin; kill a worker that runs a task."""
    deadline = time.monotonic() + 120
    while not killed and time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True) if any(training.glob("*/logs")) else []:
            try:
                if process.name().startswith("ray::") and "_task" in " ".join(process.cmdline()):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)
                    return
            except (psutil.Error, ProcessLookupError):  # it has just ended
                continue
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_job_whose_worker_is_killed_is_done_again(jobs: list[Job], tmp_path: Path) -> None:
    killed: list[int] = []
    jobs = [replace(job, folder=tmp_path) for job in jobs]  # shows when a training has begun
    assassin = threading.Thread(target=kill_first_worker, args=(tmp_path, killed))
    assassin.start()
    outcomes = list(work_on_ray(jobs, "ray", None))
    assassin.join()
    assert len(killed) == 1
    assert sorted(outcome.job.name for outcome in outcomes) == ["sub-01_multiblur_0", "sub-01_multiblur_1"]
    assert [outcome.error for outcome in outcomes] == ["", ""]
    for outcome in outcomes:
        assert outcome.record is not None
        assert outcome.record["identity"] == outcome.job.identity
    first = next(outcome for outcome in outcomes if outcome.job.settings.seed == 0)
    assert first.record is not None
    with threads(1):  # as a worker has: sums of more are in another order, and differ in the seventh digit
        here = work(replace(first.job, folder=None))
    assert first.record["test"] == here["test"]
    (refused,) = work_on_ray([replace(jobs[0], conditions="another")], "ray", None)
    assert "not those that the sweep began with" in refused.error


def test_ray_is_asked_for_in_words(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="ray://HOST:PORT"):
        list(work_on_ray(jobs, "slurm", None))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'pip install "necomimi\[ray\]"'):
        list(work_on_ray(jobs, "ray", None))


def test_tasks_share_a_cluster_and_each_fits_a_machine() -> None:
    two = [{"CPU": 8.0}, {"CPU": 16.0}]
    assert share_out(two, None, on_gpu=True) == (24, {"num_cpus": 1})
    assert share_out(two, 4, on_gpu=True) == (4, {"num_cpus": 6})
    assert share_out(two, 1, on_gpu=True) == (1, {"num_cpus": 16})
    gpus = [{"CPU": 32.0, "GPU": 4.0}, {"CPU": 32.0, "GPU": 4.0}]
    assert share_out(gpus, None, on_gpu=True) == (8, {"num_cpus": 8, "num_gpus": 1.0})
    assert share_out(gpus, 16, on_gpu=True) == (16, {"num_cpus": 4, "num_gpus": 0.5})
    assert share_out(gpus, None, on_gpu=False) == (64, {"num_cpus": 1})
