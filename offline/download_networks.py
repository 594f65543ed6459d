"""Download the vision networks that pictures are judged by: licences shown, known addresses -> files of weights."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from necomimi.console import console
from necomimi.errors import DatasetError

from .fetching import FetchError, Patience, Remote, fetch
from .vision_choices import CHOICES, Weights, weights_folder

__all__ = ["download_networks"]


def download_networks(out: Path | None, patience: Patience) -> None:
    """Show the licences, then fetch each file of weights that is not there yet; goes on after a break.

    Parameters
    ----------
    out : Path, optional
        The folder; torch's own cache, where the networks are looked for, by default.
    patience : Patience

    Raises
    ------
    DatasetError
        The folder cannot be made.
    FetchError
        A file cannot be had, or is another than its name says.
    """
    folder = out or weights_folder()
    files = {choice.weights.file: choice.weights for choice in CHOICES.values() if choice.weights}
    pending = [weights for weights in files.values() if not (folder / weights.file).is_file()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be made: {error}", "a folder") from error
    for weights in pending:
        console.print(f"{weights.file}, about {weights.megabytes} MB: {weights.licence}", markup=False, soft_wrap=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console) as bar:
        for weights in pending:
            _get(weights, folder / weights.file, patience, bar)
    console.print(f"{folder}: {len(files)} files, all there", markup=False, soft_wrap=True)


def _get(weights: Weights, path: Path, patience: Patience, bar: Progress) -> None:
    """Fetch one file of weights."""
    task = bar.add_task(weights.file, total=weights.megabytes * 10**6)
    remote = Remote(url=weights.url, checksum=f"sha256:{weights.digest}" if weights.digest else "")
    try:
        fetch(remote, path, patience=patience, moved=lambda position: bar.update(task, completed=position))
    except FetchError as error:
        by_hand = f"the same command again, or bring {weights.url} to {path} by hand"
        raise FetchError(error.found, error.expected, by_hand) from error
