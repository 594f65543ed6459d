"""Do jobs on a Ray cluster, each as one task: jobs -> outcomes, in the order they end."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from necomimi.errors import ConfigError

from .job_pool import MAX_RETRIES, Outcome, attempt
from .jobs import Job

__all__ = ["share_out", "work_on_ray"]


def work_on_ray(jobs: Sequence[Job], address: str, at_once: int | None) -> Iterator[Outcome]:
    """Do jobs as Ray tasks, and yield what became of each as soon as that is known.

    A task that is lost with its worker or its machine, or that fails, is tried again up to `MAX_RETRIES` times, unless
    its error is one that would come again. Every machine must have this version of necomimi, and the epochs and
    galleries under the same paths; each task makes sure of both.

    Parameters
    ----------
    jobs : sequence of Job
    address : str
        "ray" for the cluster that this machine belongs to (or RAY_ADDRESS names), or else one started here for the
        time of the sweep; "ray://HOST:PORT" for another.
    at_once : int, optional
        Tasks at a time. By default one per GPU of the cluster, or without any, one per core.

    Raises
    ------
    ConfigError
        Ray is not installed, or there is no such cluster.
    """
    if address != "ray" and not address.startswith("ray://"):
        raise ConfigError(f"--on {address!r}", "ray, or ray://HOST:PORT")
    # Ray would report its use over the network; whoever wants that can set it to 1.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--on ray needs the package ray", "it installed", 'pip install "necomimi[ray]"') from error
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(None if address == "ray" else address, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"no Ray cluster answers at {address}: {reason}",
                "the address of a running one",
                "on its head: ray start --head; if it wants a token (ray get-auth-token), set RAY_AUTH_TOKEN here",
            ) from error
    try:
        machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
        n_tasks, needs = share_out(machines, at_once, on_gpu=all(job.settings.device != "cpu" for job in jobs))
        options: dict[str, Any] = {"max_retries": MAX_RETRIES, "retry_exceptions": True, **needs}
        task: Any = ray.remote(**options)(_task)
        waiting = deque(jobs)
        running: dict[Any, Job] = {}
        while waiting or running:
            while waiting and len(running) < n_tasks:
                job = waiting.popleft()
                running[task.remote(job, int(needs["num_cpus"]))] = job
            (done,), _ = ray.wait(list(running), num_returns=1)
            job = running.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[-1].strip()
                yield Outcome(job=job, error=f"{reason} ({MAX_RETRIES + 1} tries)")
    finally:
        if ours:
            ray.shutdown()


def _task(job: Job, n_threads: int) -> Outcome:
    """Do a job on whatever machine this is."""
    return attempt(job, lambda *_: None, n_threads)


def share_out(
    machines: Sequence[dict[str, float]], at_once: int | None, *, on_gpu: bool
) -> tuple[int, dict[str, float]]:
    """Return how many tasks run at a time, and the cores and GPUs to set aside for each: no more than a machine has."""
    cpus = [int(machine.get("CPU", 0)) for machine in machines]
    n_gpus = sum(int(machine.get("GPU", 0)) for machine in machines) if on_gpu else 0
    n_tasks = at_once or n_gpus or max(1, sum(cpus))
    needs: dict[str, float] = {"num_cpus": max(1, min(sum(cpus) // n_tasks, max(cpus)))}
    if n_gpus:
        needs["num_gpus"] = min(1.0, n_gpus / n_tasks)
    return n_tasks, needs
