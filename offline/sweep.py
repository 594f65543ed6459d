"""Train and judge encoders on subjects with several seeds: epochs, encoders, seeds -> one honest table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from necomimi.console import console, output, progress
from necomimi.errors import ConfigError, DatasetError

from .job_cluster import work_on_ray
from .job_pool import Outcome, work_here
from .jobs import Job, read_records, write_record
from .summary import summarise
from .sweep_plan import count_at_once, find_subjects, plan_jobs, settings_of
from .sweep_tables import (
    tabulate_differences,
    tabulate_published,
    tabulate_repetitions,
    tabulate_subjects,
    write_csv,
)

__all__ = ["command", "run_jobs"]


def run_jobs(jobs: Sequence[Job], out: Path, at_once: int | None, on: str | None) -> list[Outcome]:
    """Do the jobs of a sweep that have no record yet, and write a record of each as soon as it is done.

    Parameters
    ----------
    jobs : sequence of Job
        As `necomimi.offline.sweep_plan.plan_jobs` returns them.
    out : Path
        Records go to ``out/jobs/NAME.json``; what the processes print to ``out/logs/NAME.log``.
    at_once : int or None
        Jobs at a time; None leaves it to Ray.
    on : str or None
        See `necomimi.offline.job_cluster.work_on_ray`; None for processes of this machine.

    Returns
    -------
    list of Outcome
        The jobs that failed.

    Raises
    ------
    DatasetError
        `out` holds records of another sweep.
    """
    folder = out / "jobs"
    records = read_records(folder)
    _require_same_sweep(jobs, records, folder)
    done = {record["name"] for record in records}
    waiting = [job for job in jobs if job.name not in done]
    if len(waiting) < len(jobs):
        console.print(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs are done already")
    failed = []
    shares = dict.fromkeys((job.name for job in waiting), 0.0)
    with progress() as bar:
        task = bar.add_task("sweep", total=len(jobs), completed=len(jobs) - len(waiting))

        def show(job: Job, share: float) -> None:
            shares[job.name] = share
            bar.update(task, completed=len(jobs) - len(waiting) + sum(shares.values()))

        outcomes: Iterator[Outcome] = iter(())
        if waiting and on is not None:
            outcomes = work_on_ray(waiting, on, at_once)
        elif waiting:
            outcomes = work_here(waiting, at_once or 1, out / "logs", show)
        for outcome in outcomes:
            show(outcome.job, 1.0)
            if outcome.record is None:
                failed.append(outcome)
                console.print(f"{outcome.job.name} failed: {outcome.error}", style="red")
            else:
                write_record(folder, outcome.record)
    return failed


def _require_same_sweep(jobs: Sequence[Job], records: Sequence[dict[str, Any]], folder: Path) -> None:
    """Make sure that one table of old records and new ones compares like with like."""
    settings = {job.settings.encoder: job.lasting_settings for job in jobs}
    identities = {job.name: job.identity for job in jobs}
    for record in records:
        different = ""
        if (record["conditions"], record["leave_one_out"]) != (jobs[0].conditions, jobs[0].leave_one_out):
            different = "other galleries, another protocol or another version of necomimi"
        elif record["settings"] != settings.get(record["encoder"], record["settings"]):
            ours = settings[record["encoder"]]
            keys = [key for key in ours if record["settings"].get(key) != ours[key]]
            different = f"other settings: {', '.join(keys)}"
        elif record["identity"] != identities.get(record["name"], record["identity"]):
            different = "other epochs"
        if different:
            raise DatasetError(
                f"{folder / record['name']}.json is of another sweep, with {different}",
                "records of this sweep, or none",
                "choose another OUT",
            )


def _sum_up(out: Path) -> dict[str, Any]:
    """Return the summary of the records in a sweep's folder; write ``summary.csv`` and ``report.html`` there.

    Raises
    ------
    DatasetError
        There is no record.
    """
    from .evaluation_report import sweep_report

    records = read_records(out / "jobs")
    if not records:
        raise DatasetError(f"{out} holds no results of a sweep", f"{out / 'jobs'} with a file for each job")
    summary = summarise(records)
    write_csv(summary, out / "summary.csv")
    sweep_report(summary, out / "report.html")
    return summary


def command(
    epochs: Annotated[Path, typer.Argument(metavar="EPOCHS", help="Epochs of one subject, or a folder of subjects.")],
    out: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="Folder of results; a sweep that was cut short goes on there."),
    ] = None,
    encoders: Annotated[str | None, typer.Option(help="Such as nerv,multiblur; multiblur by default.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each encoder and subject.")] = 5,
    gallery: Annotated[Path | None, typer.Option(help="Gallery of the training pictures.")] = None,
    test_gallery: Annotated[Path | None, typer.Option(help="Gallery of the test pictures, which is searched.")] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Judge each subject by encoders trained on all the others.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="At a time; as many as cores and memory allow.")] = None,
    on: Annotated[str | None, typer.Option(help="ray, or ray://HOST:PORT: a Ray cluster, not this machine.")] = None,
    passes: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of training settings, [encoders.NAME] for one encoder; options win.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train each encoder on each subject with several seeds, judge each once on the test set, and sum up.

    OUT holds one file per job, summary.csv and report.html. Without OUT, EPOCHS is the OUT of an earlier sweep, which
    is summed up again.

    Example: necomimi sweep subjects results --encoders nerv,multiblur --gallery training --test-gallery test
    """
    failed: list[Outcome] = []
    if out is None and not (epochs / "jobs").is_dir():
        raise ConfigError(f"no OUT, and {epochs} is not the folder of an earlier sweep", "EPOCHS and OUT")
    if out is not None:
        names = [name.strip() for name in encoders.split(",")] if encoders else []
        subjects = find_subjects(epochs)
        planned = plan_jobs(
            subjects, settings_of(config, names, {"epochs": passes, "device": device}), seeds,
            gallery=gallery, test_gallery=test_gallery, leave_one_out=leave_one_out,
            folder=None if on else out.resolve() / "training",
        )  # fmt: skip
        at_once = jobs if jobs or on else count_at_once(planned, subjects)
        failed = run_jobs(planned, out, at_once, on)
        if len(failed) == len(planned):
            raise typer.Exit(1)
    summary = _sum_up(out or epochs)
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        for tabulate in (tabulate_subjects, tabulate_repetitions, tabulate_differences, tabulate_published):
            table = tabulate(summary)
            if table is not None:
                output.print(table)
    if summary["missing"]:
        console.print(f"{len(summary['missing'])} jobs without a result: {', '.join(summary['missing'])}")
    for name, checks in summary["failed_guards"].items():
        console.print(f"{name}: these checks failed: {', '.join(checks)}", style="red")
    if failed or summary["failed_guards"]:
        raise typer.Exit(1)
