"""Do jobs on this machine, each in a fresh process, several at once: jobs -> outcomes, in the order they end."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from necomimi.errors import NecomimiError

from .jobs import Job, work

__all__ = ["MAX_RETRIES", "Outcome", "attempt", "n_cores", "work_here"]

MAX_RETRIES = 2
END = 30.0  # seconds that a process has to end by itself
logger = logging.getLogger(__name__)
OnPass = Callable[[Job, float], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    job : Job
    record : dict or None
        As `necomimi.offline.jobs.work` returns it; None where the job failed for good.
    error : str
        Why it failed, in words; "" where it did not.
    """

    job: Job
    record: dict[str, Any] | None = None
    error: str = ""


@dataclass(kw_only=True)
class _Running:
    """A job under way: its process, the process's slot among those at once, and how often it has been tried."""

    job: Job
    process: BaseProcess
    slot: int
    n_tries: int


def n_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def work_here(jobs: Sequence[Job], at_once: int, logs: Path, on_pass: OnPass) -> Iterator[Outcome]:
    """Do jobs in processes of this machine, and yield what became of each as soon as that is known.

    Each job has a process of its own, so that none finds what another left, and one that is killed takes no other with
    it: a job that fails is tried again up to `MAX_RETRIES` times, unless its error is one that would come again (what
    a user must change). The processes share the cores evenly, and the GPUs in turn; they end with this one.

    Parameters
    ----------
    jobs : sequence of Job
    at_once : int
        Processes at a time.
    logs : Path
        Folder for what each job's process prints, as NAME.log.
    on_pass : callable
        Called with a job and the share of its passes that are done.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads, and CUDA
    n_threads = max(1, n_cores() // at_once)
    logs.mkdir(parents=True, exist_ok=True)
    waiting = deque((job, 1) for job in jobs)
    free = list(range(at_once))[::-1]
    running: dict[Any, _Running] = {}
    try:
        while waiting or running:
            while waiting and free:
                (job, n_tries), slot = waiting.popleft(), free.pop()
                ours, theirs = context.Pipe(duplex=False)
                arguments = (job, theirs, slot, n_threads, logs / f"{job.name}.log")
                process = context.Process(target=_serve, args=arguments, daemon=True)
                process.start()
                theirs.close()  # so that the end of the process is the end of the pipe
                running[ours] = _Running(job=job, process=process, slot=slot, n_tries=n_tries)
            connection: Any  # of another type on Windows
            for connection in wait(list(running)):
                outcome = _hear(connection, running, on_pass)
                if outcome is None:
                    continue
                done = running.pop(connection)
                connection.close()
                free.append(done.slot)
                if isinstance(outcome, Outcome):
                    yield outcome
                elif done.n_tries <= MAX_RETRIES:
                    logger.warning("%s failed and is tried again: %s", done.job.name, outcome)
                    waiting.append((done.job, done.n_tries + 1))
                else:
                    said = f"{outcome} ({done.n_tries} tries); see {logs / done.job.name}.log"
                    yield Outcome(job=done.job, error=said)
    finally:
        for left in running.values():
            left.process.kill()
            left.process.join()


def attempt(job: Job, on_pass: OnPass, n_threads: int) -> Outcome:
    """Do a job in this process; a mistake that would come again becomes an outcome, any other error is raised.

    Parameters
    ----------
    job : Job
    on_pass : callable
        As for `work_here`.
    n_threads : int
        Threads of torch's operations.
    """
    import torch

    torch.set_num_threads(n_threads)
    try:
        return Outcome(job=job, record=work(job, lambda step: on_pass(job, step.done / step.total)))
    except NecomimiError as error:
        return Outcome(job=job, error="; ".join(error.lines()))


def _hear(connection: Any, running: dict[Any, _Running], on_pass: OnPass) -> Outcome | str | None:
    """Return what a process says: its outcome, how it failed, or None where it is still at work."""
    done = running[connection]
    try:
        said: float | Outcome | str = connection.recv()
    except (EOFError, OSError):
        done.process.join()
        return f"its process ended with status {done.process.exitcode}"
    if isinstance(said, float):
        on_pass(done.job, said)
        return None
    done.process.join(END)
    done.process.kill()  # it has said all it had to say
    return said


def _serve(job: Job, connection: Any, slot: int, n_threads: int, log: Path) -> None:
    """Do a job in a process of its own; say the share of passes done, and at last the outcome or what failed."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(slot % torch.cuda.device_count())
    try:
        connection.send(attempt(job, lambda _, share: connection.send(share), n_threads))
    except Exception as error:
        traceback.print_exc()
        connection.send(f"{type(error).__name__}: {error}")
