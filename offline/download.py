"""Download a data set or weights, going on where it stopped: hosts' lists, files -> the layout on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from necomimi.console import console, output
from necomimi.diffusion_choices import CHOICES
from necomimi.errors import ConfigError, DatasetError, NecomimiError

from .download_generator import download_generator
from .download_networks import download_networks
from .fetching import PATIENCE, FetchError, Patience, Remote, fetch, part_path
from .layout import KINDS, N_SUBJECTS, Target, absent, place, targets
from .mirrors import Entry, File, Listing, Mirrors, entries, load_mirrors
from .subject_numbers import numbers_in
from .unpacking import unpack
from .vision_choices import DOWNLOAD as NETWORKS

__all__ = ["command", "download"]

DEFAULT_KINDS = {"things-eeg2": ("raw", "images", "metadata"), "things-meg": ("preprocessed",)}


def _listed(table: Mirrors, dataset: str, kinds: Sequence[str], patience: Patience) -> tuple[list[Entry], list[str]]:
    """Return what the hosts list, and which of them could not be asked."""
    found: list[Entry] = []
    problems = []
    sources: list[File | Listing] = [*table.file, *table.listing]
    for source in sources:
        if source.dataset == dataset and source.kind in kinds:
            try:
                found += entries(source, patience)
            except FetchError as error:
                problems.append(f"{source.kind}: {error}")
    return found, problems


def _check_disk(wanted: Sequence[Target], out: Path, jobs: int) -> None:
    """Refuse to begin what cannot fit: archives unpack to their own size at least, `jobs` of them lie beside it."""
    missing = sum(target.missing for target in wanted)
    archives = sorted((target.remotes[0].size or 0 for target in wanted if target.is_archive), reverse=True)
    # An archive that has come already is not missing, but what is in it takes room.
    here = sum(target.path.stat().st_size for target in wanted if target.is_archive and target.path.exists())
    needed = missing + here + sum(archives[:jobs])
    free = shutil.disk_usage(out).free
    if needed > free:
        raise DatasetError(
            f"{out.resolve()} has {decimal(free)} free",
            f"at least {decimal(needed)} for {len(wanted)} files",
            "fewer --subjects, one --kind, or another OUT",
        )


def _get(
    target: Target, dataset: str, subjects: Sequence[int], out: Path, patience: Patience, stop: Event, bar: Progress
) -> None:
    """Fetch one file from the first mirror that gives it, and unpack it if it is an archive."""
    target.path.parent.mkdir(parents=True, exist_ok=True)
    task = bar.add_task("/".join(target.parts), total=target.remotes[0].size)
    try:
        source = _fetch_any(target, patience, stop, bar, task)
        if target.is_archive:
            bar.update(task, description=f"unpack {target.path.name}")
            folders = (*target.parts[:-1], target.path.stem)
            try:
                files = unpack(target.path, out, place(dataset, target.kind, subjects, folders), stop)
                if not files:
                    raise DatasetError(f"{target.path.name} holds nothing that belongs to {dataset}", target.kind)
            except DatasetError:
                target.path.unlink(missing_ok=True)  # it would fail again; the next run fetches it anew
                raise
            note = {"source": [source.size, source.checksum], "files": files}
            target.note.write_text(json.dumps(note), encoding="utf-8")
            target.path.unlink()
    finally:
        bar.remove_task(task)


def _fetch_any(target: Target, patience: Patience, stop: Event, bar: Progress, task: TaskID) -> Remote:
    """Fetch a file from the first mirror that gives it; return that mirror."""
    errors = []
    for remote in target.remotes:
        if target.path.exists() and remote.size in (None, target.path.stat().st_size):
            return remote  # an archive that came whole before, and was not unpacked
        try:
            fetch(
                remote,
                target.path,
                patience=patience,
                stop=stop,
                moved=lambda position: bar.update(task, completed=position),
            )
        except FetchError as error:
            errors.append(error)
        else:
            return remote
    last = errors[-1]
    raise FetchError("; ".join(error.found for error in errors), last.expected, last.remedy)


def download(
    wanted: Sequence[Target],
    dataset: str,
    subjects: Sequence[int],
    out: Path,
    *,
    jobs: int = 4,
    patience: Patience = PATIENCE,
) -> list[str]:
    """Fetch files side by side; what fails does not hold up the others.

    Parameters
    ----------
    wanted : sequence of Target
    dataset : str
    subjects : sequence of int
    out : Path
        The data set's folder.
    jobs : int
        Files fetched at once.
    patience : Patience

    Returns
    -------
    list of str
        What failed, and why.
    """
    stop = Event()
    problems = []
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    text = TextColumn("{task.description}", markup=False)
    with Progress(text, *columns, console=console) as bar, ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_get, target, dataset, subjects, out, patience, stop, bar): target for target in wanted}
        try:
            for future in as_completed(futures):
                name = "/".join(futures[future].parts)
                try:
                    future.result()
                    console.print(f"{name}: done", markup=False)
                except (NecomimiError, OSError) as error:
                    problems.append(f"{name}: {error}")
                    console.print(f"{name}: failed", markup=False)
        except BaseException:  # Ctrl-C above all: each thread ends at its next block
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return problems


def _numbers(text: str, dataset: str) -> tuple[int, ...]:
    """Return the subjects that "1-3,5" means."""
    highest = N_SUBJECTS[dataset]
    numbers = numbers_in(text)
    if numbers is None or numbers[-1] > highest:
        raise ConfigError(f"--subjects {text}", f"numbers from 1 to {highest}, such as 1-{highest} or 1,2")
    return numbers


def _show(wanted: Sequence[Target], out: Path) -> None:
    """Print what would be fetched."""
    table = Table("file", "kind", "bytes", "checksum", "host", "state")
    for target in wanted:
        remote = target.remotes[0]
        size = "unknown" if remote.size is None else f"{remote.size:,}"
        state = "done" if target.is_done(out) else "begun" if part_path(target.path).exists() else ""
        host = remote.url.split("/")[2] if remote.url.count("/") > 1 else remote.url
        checksum = remote.checksum.partition(":")[0] or "none"
        table.add_row(escape("/".join(target.parts)), target.kind, size, checksum, escape(host), state)
    output.print(table)
    total = sum(target.remotes[0].size or 0 for target in wanted)
    missing = sum(target.missing for target in wanted if not target.is_done(out))
    output.print(f"{len(wanted)} files, {decimal(total)}; {decimal(missing)} to come")


def command(
    dataset: Annotated[
        str,
        typer.Argument(metavar="NAME", help=f"things-eeg2, things-meg, or weights: {', '.join((*CHOICES, NETWORKS))}."),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(metavar="[OUT]", help=f"Its folder; ./NAME by default, torch's cache for {NETWORKS}."),
    ] = None,
    subjects: Annotated[str | None, typer.Option(help="Such as 1-10, or 1,2; all by default.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="raw, preprocessed, images or metadata; repeatable. Default: raw, images and metadata."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files fetched at once.")] = 4,
    mirrors: Annotated[Path | None, typer.Option(help="A TOML table of other places to fetch from.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Give a silent connection up after so many s.")] = 30.0,
    attempts: Annotated[int, typer.Option(min=1, help="Tries in a row without any new byte.")] = 6,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the files and their sizes.")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps a picture that the weights are for; 1.")] = None,
) -> None:
    """Download a data set into the layout that preprocess and embed read; the same command goes on after a break.

    The weights of a picture generator come from the hub, after their licence has been shown; those of the networks
    that judge pictures from their makers, in the same way.

    Example: necomimi download things-eeg2 data --subjects 1,2 --kind preprocessed
    """
    if dataset in CHOICES:
        if subjects or kind or mirrors or dry_run:
            raise ConfigError("--subjects, --kind, --mirrors or --dry-run with the weights of a generator", "--steps")
        download_generator(dataset, steps or 1, out or Path(dataset))
        return
    if dataset == NETWORKS:
        if subjects or kind or mirrors or dry_run or steps:
            raise ConfigError(f"--subjects, --kind, --mirrors, --dry-run or --steps with {NETWORKS}", "none of them")
        download_networks(out, Patience(timeout=timeout, attempts=attempts))
        return
    if dataset not in KINDS:
        raise ConfigError(f"data set {dataset!r}", f"{', '.join(KINDS)}, or weights: {', '.join((*CHOICES, NETWORKS))}")
    if steps is not None:
        raise ConfigError(f"--steps with the data set {dataset}", f"it with weights: {', '.join(CHOICES)}")
    if unknown := [name for name in kind or () if name not in KINDS[dataset]]:
        raise ConfigError(f"--kind {unknown[0]}", f"{' or '.join(KINDS[dataset])} for {dataset}")
    kinds = tuple(dict.fromkeys(kind or DEFAULT_KINDS[dataset]))
    if kind and dataset == "things-eeg2" and "metadata" not in kinds:
        kinds = (*kinds, "metadata")  # small, and nothing else can be read without it
    chosen = _numbers(subjects or f"1-{N_SUBJECTS[dataset]}", dataset)
    out = out or Path(dataset)
    patience = Patience(timeout=timeout, attempts=attempts)
    found, problems = _listed(load_mirrors(mirrors), dataset, kinds, patience)
    wanted, refused = targets(found, dataset, chosen, out)
    problems += refused
    if dry_run:
        _show(wanted, out)
    else:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatasetError(f"{out} cannot be made: {error}", "a folder") from error
        pending = [target for target in wanted if not target.is_done(out)]
        _check_disk(pending, out, jobs)
        try:
            problems += download(pending, dataset, chosen, out, jobs=jobs, patience=patience)
        except KeyboardInterrupt:
            console.print("interrupted; the same command goes on from here")
            raise typer.Exit(1) from None
        for name in kinds:
            problems += absent(out, dataset, name, chosen)
        if wanted and not problems:
            console.print(f"{out}: {len(wanted)} files, all there")
    for problem in problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if problems or not wanted:
        raise typer.Exit(1)
