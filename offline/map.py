"""Map when and where the signal tells what was seen: epochs, galleries -> accuracy by time window, region, channel."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from necomimi.config import load_settings
from necomimi.console import console, output, progress
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError

from .jobs import Sources, fingerprint
from .map_report import channel_means, row_of, tabulate_parts, write_map
from .masking import Part, growing_windows, regions, sliding_windows, whole
from .settings import TrainSettings
from .train import galleries_for

if TYPE_CHECKING:
    from .trainer import TrainStep

__all__ = ["Windows", "command", "map_signal"]

logger = logging.getLogger(__name__)


class Windows(StrEnum):
    """Which windows of time to map."""

    growing = "growing"
    sliding = "sliding"
    both = "both"


def command(
    epochs: Annotated[Path, typer.Argument(metavar="EPOCHS", help="An epochs directory (necomimi preprocess).")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make; a map begun there goes on.")],
    gallery: Annotated[Path | None, typer.Option(help="Gallery of the training pictures.")] = None,
    test_gallery: Annotated[
        Path | None, typer.Option(help="Gallery to search; the training gallery by default.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Which encoder; multiblur by default.")] = None,
    windows: Annotated[
        Windows | None, typer.Option(help="Windows that grow from the onset, slide (100 ms long), or both.")
    ] = None,
    by_region: Annotated[
        bool, typer.Option("--regions", help="Each region of the head alone, and all but each.")
    ] = False,
    by_channel: Annotated[
        bool, typer.Option("--channels", help="What a trained decoder loses without each channel, as a topography.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each part.")] = 1,
    step: Annotated[float, typer.Option(help="Milliseconds from one window to the next.")] = 50.0,
    passes: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of training settings; options win over it.")] = None,
) -> None:
    """Train on parts of the epochs, each from fresh weights, and show which parts tell what was seen.

    Without --windows, --regions and --channels, all of them. OUT gets map.json, map.csv and report.html.

    Example: necomimi map epochs map --gallery training-gallery --test-gallery test-gallery
    """
    chosen = {"encoder": encoder, "epochs": passes, "device": device}
    settings = load_settings(TrainSettings, config, chosen)
    if windows is None and not by_region and not by_channel:
        windows, by_region, by_channel = Windows.both, True, True
    result = map_signal(
        epochs, out, gallery, test_gallery, settings,
        windows=windows, by_region=by_region, by_channel=by_channel, n_seeds=seeds, step=step / 1e3,
    )  # fmt: skip
    output.print(tabulate_parts(result["rows"], f"{settings.encoder}; gallery: {result['gallery']}"))
    console.print(f"report: {out / 'report.html'}")


def map_signal(
    epochs: Path,
    out: Path,
    gallery: Path | None,
    test_gallery: Path | None,
    settings: TrainSettings,
    *,
    windows: Windows | None,
    by_region: bool,
    by_channel: bool,
    n_seeds: int,
    step: float,
) -> dict[str, Any]:
    """Train on each part of the epochs that is not finished yet, and write the map.

    Parameters
    ----------
    epochs, out : Path
    gallery, test_gallery : Path or None
        As for `necomimi.offline.train.galleries_for`.
    settings : TrainSettings
        Truncation is off unless they say otherwise: each training is to see just its part.
    windows : Windows or None
    by_region, by_channel : bool
    n_seeds : int
        Trainings of each part, with the settings' seed and those after it.
    step : float
        Seconds from one window to the next.

    Returns
    -------
    dict
        What ``map.json`` holds, see `necomimi.offline.map_report.write_map`.

    Raises
    ------
    ConfigError
        OUT cannot be written, there are no test epochs, or the epochs do not have the windows or regions.
    """
    from .mapping import MapRun, averaged_epochs

    if settings.truncation is None:
        settings = settings.model_copy(update={"truncation": 0.0})
    try:
        (out / "jobs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}", "a folder that can be written") from error
    data = Epochs.load(epochs)
    parts = _parts(data, windows, by_region, by_channel, step)
    training, search = galleries_for(data, gallery, test_gallery)
    run = MapRun(
        epochs=averaged_epochs(data, settings),
        gallery=training,
        search=search,
        settings=settings,
        conditions=(fingerprint(epochs), Sources(epochs={}, gallery=gallery, test_gallery=test_gallery).digest()),
        folder=out / "jobs",
    )
    all_seeds = range(settings.seed, settings.seed + n_seeds)
    records = run.finished()
    missing: dict[str, tuple[Part, int]] = {}
    for part, seed in ((part, seed) for part in parts for seed in all_seeds):
        identity = run.identity(part, seed)
        if identity not in records:
            missing.setdefault(identity, (part, seed))  # parts of two names may be the same
    if records and len(missing) == len(parts) * n_seeds:
        logger.warning("%s holds trainings of other epochs, galleries or settings: all are done again", run.folder)
    with progress() as bar:
        task = bar.add_task("map", total=len(missing))
        for done, (identity, (part, seed)) in enumerate(missing.items()):

            def show(at: TrainStep, done: int = done, what: str = f"{part.name}, seed {seed}") -> None:
                bar.update(task, completed=done + at.done / at.total, description=f"{what}: loss {at.loss:.3f}")

            records[identity] = run.measure(part, seed, show)
    found = {part: [records[run.identity(part, seed)] for seed in all_seeds] for part in parts}
    result = {
        "epochs": str(epochs),
        "source": data.source,
        "gallery": found[parts[0]][0]["gallery"],
        "settings": settings.model_dump(mode="json", exclude={"seed", "device"}),
        "seeds": n_seeds,
        "rows": [row_of(part, of_part) for part, of_part in found.items()],
        "channels": channel_means(found[whole(data.preprocessor)]) if by_channel else {},
    }
    write_map(result, out)
    return result


def _parts(data: Epochs, windows: Windows | None, by_region: bool, by_channel: bool, step: float) -> list[Part]:
    """Return what to train on."""
    parts = [whole(data.preprocessor)] if by_region or by_channel else []
    parts += growing_windows(data.preprocessor, step) if windows in (Windows.growing, Windows.both) else []
    parts += sliding_windows(data.preprocessor, step) if windows in (Windows.sliding, Windows.both) else []
    parts += regions(data.preprocessor) if by_region else []
    if not parts:
        raise ConfigError("nothing to map", "--windows, --regions or --channels")
    return parts
