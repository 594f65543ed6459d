"""Paint what was shown and judge it: decoder, epochs, generator -> pictures, their metrics with floor and ceiling."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from necomimi.console import console, output, progress
from necomimi.errors import ConfigError
from necomimi.report import require_folders

from .evaluate import parse_repetition

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from necomimi.generators import Generator

    from .reconstruction import Condition, Shown

__all__ = ["command", "paint_conditions", "reconstruct"]

logger = logging.getLogger(__name__)

GRID_DPI = 144  # of grid.png: about what the pictures in it have


def paint_conditions(
    generator: Generator, conditions: Sequence[Condition], shown: Shown, n_seeds: int, out: Path | None = None
) -> tuple[dict[str, NDArray[np.uint8]], float]:
    """Paint every picture from every condition.

    Parameters
    ----------
    generator : Generator
    conditions : sequence of Condition
    shown : Shown
    n_seeds : int
        Seeds 0 to n_seeds - 1; all pictures of one seed begin with the same noise.
    out : Path, optional
        A folder for ``CONDITION/NAME-SEED.png``, and ``floor/mean-SEED.png``.

    Returns
    -------
    painted : dict of str to ndarray of uint8, shape (n_seeds, n, size, size, 3)
        By the condition's name; a picture that all share is repeated.
    ms : float
        Milliseconds a picture.

    Raises
    ------
    ConfigError
        The folder cannot be written.
    """
    import numpy as np
    from PIL import Image

    from .reconstruction import paint

    painted: dict[str, NDArray[np.uint8]] = {}
    spent, n_painted = 0.0, 0
    with progress() as bar:
        for condition in conditions:
            task = bar.add_task(f"paint {condition.name}", total=None)
            seeds = []
            for seed in range(n_seeds):
                vectors = condition.vectors(seed)
                bar.update(task, total=n_seeds * len(vectors))
                batches, started = [], time.perf_counter()
                for batch in paint(generator, vectors, seed):
                    batches.append(batch)
                    bar.advance(task, len(batch))
                spent += time.perf_counter() - started
                n_painted += len(vectors)
                pictures = np.concatenate(batches)
                names = shown.names if len(pictures) == len(shown) else ("mean",)
                if out is not None:
                    try:
                        (out / condition.name).mkdir(parents=True, exist_ok=True)
                        for name, picture in zip(names, pictures, strict=True):
                            Image.fromarray(picture).save(out / condition.name / f"{name}-{seed}.png")
                    except OSError as error:
                        raise ConfigError(f"{out} cannot be written: {error}", "a writable folder") from error
                seeds.append(np.broadcast_to(pictures, (len(shown), *pictures.shape[1:])))
            painted[condition.name] = np.stack(seeds)
    return painted, 1e3 * spent / n_painted


def reconstruct(
    decoder: Path,
    epochs: Path,
    *,
    generator: str = "embedded",
    model: str | None = None,
    steps: int | None = None,
    gallery: Path | None = None,
    pictures: Path | None = None,
    split: str = "test",
    repetitions: int | None = None,
    seeds: int = 3,
    limit: int | None = None,
    networks: Sequence[str] | None = None,
    weights: Path | None = None,
    judge: str = "pictures",
    tags: Path | None = None,
    form: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    """Paint the pictures of a split from EEG and judge them; the arguments are the command's options.

    Returns
    -------
    result : dict
        "decoder", "epochs", "source", "split", "subject", "subject_known", "transductive_epochs"; "repetitions" (a
        number or "all"), "n_averaged" (presentations behind the embedding with the fewest); "gallery" (kind),
        "pictures" ("files" or "thumbnails"); "generator": "name", "space", "size", "steps"; "prior" (kind, or None),
        "seeds", "n_pictures", "n_concepts", "ms_per_picture"; "conditions" (name -> what was painted from); "rows"
        (`necomimi.offline.reconstruct_scores.rows_of`), "differences" (`compare_stages` there); "skipped" (network
        -> why); "cat" (condition -> `necomimi.offline.cat_score.cat_score`), "cat_skipped" (why there is none, or
        ""); "names" and "concepts" (of the pictures), "out" (the folder, or None).
    grid : dict of str to ndarray of uint8, shape (n, size, size, 3)
        The true pictures ("shown") and those of the first seed, by condition.

    Raises
    ------
    ConfigError
        Spaces do not fit each other, or an option is unknown.
    DatasetError
        Pictures or tags are missing, or there are fewer than two pictures.
    NecomimiError
        Weights or packages of the generator are missing, or the device has too little memory.
    """
    from necomimi.decoder import Decoder
    from necomimi.epochs import Epochs
    from necomimi.gallery import Gallery
    from necomimi.generators import build_generator

    from .judgement import gallery_kind, searched
    from .matching import choose_split, match_person
    from .reconstruct_scores import cat_rows, compare_stages, rows_of, score_conditions
    from .reconstruct_tags import blank_form, choose_tags, find_judge
    from .reconstruction import choose_shown, depends_on_seed, list_conditions, true_pictures
    from .vision_networks import NAMES, load_networks

    data, own = Epochs.load(epochs), Decoder.load(decoder, device)
    part, person = choose_split(data, split), match_person(own, data)
    images = Gallery.load(gallery) if gallery is not None else searched(own)
    kind = gallery_kind(images, part)
    if not person.known:
        logger.warning("%s", person.words)
    shown = choose_shown(own, part, images, repetitions, limit)
    if kind != "exact picture":
        logger.warning("the gallery holds %s: the true pictures are not those that were shown", kind)
    truth = true_pictures(images, shown.items, pictures)
    table = None if judge == "none" and form is None else choose_tags(shown, tags)
    if form is not None and table is None:
        raise ConfigError("--form without tags of these concepts", "a table of them: --tags FILE")
    loaded, skipped = load_networks(NAMES if networks is None else networks, weights, device)
    chosen: dict[str, Any] = {} if steps is None else {"steps": steps}
    painter = build_generator(generator, device, model=model, clip_norm=own.clip_norm, **chosen)
    conditions = list_conditions(own, painter, images, shown)
    give_points, cat_skipped = find_judge(
        judge, table, shown, truth, [condition.name for condition in conditions], device
    )
    drawn = own.prior is not None and own.prior.kind != "regression"
    if seeds > 1 and not drawn and not depends_on_seed(painter, images.embeddings[shown.items[0]]):
        console.print(f"{painter.name} paints the same whatever the seed: one picture each")
        seeds = 1
    painted, ms = paint_conditions(painter, conditions, shown, seeds, out)
    with console.status("comparing"):
        scores = score_conditions(truth, painted, loaded, shown.concepts)
        points = {name: give_points(name, found) for name, found in painted.items()} if give_points else {}
        cat = {name: found for name, found in points.items() if found is not None}
    if form is not None and out is not None and table is not None:
        blank_form(form, out, shown, painted, table)
    result = {
        "decoder": str(decoder),
        "epochs": str(epochs),
        "source": data.source,
        "split": split,
        "subject": person.name,
        "subject_known": person.known,
        "transductive_epochs": data.transductive,
        "repetitions": repetitions or "all",
        "n_averaged": shown.n_averaged,
        "gallery": kind,
        "pictures": "files" if pictures is not None else "thumbnails",
        "generator": {key: getattr(painter, key) for key in ("name", "space", "size", "steps")},
        "prior": own.prior.kind if own.prior is not None and "two-stage" in painted else None,
        "seeds": seeds,
        "n_pictures": len(shown),
        "n_concepts": len(set(shown.concepts)),
        "ms_per_picture": round(ms, 1),
        "conditions": {condition.name: condition.words for condition in conditions},
        "rows": rows_of(scores, shown.concepts) + cat_rows(cat),
        "differences": compare_stages(scores, shown.concepts),
        "skipped": skipped,
        "cat": cat,
        "cat_skipped": cat_skipped,
        "names": list(shown.names),
        "concepts": list(shown.concepts),
        "out": None if out is None else str(out),
    }
    return result, {"shown": truth, **{name: found[0] for name, found in painted.items()}}


def command(
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="A decoder directory.")],
    epochs: Annotated[Path, typer.Argument(metavar="EPOCHS", help="An epochs directory.")],
    generator: Annotated[str, typer.Option(help="What paints: embedded, sdxl-turbo and others.")] = "embedded",
    model: Annotated[str | None, typer.Option(help="Folder of its weights, or hub id of another base model.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps a picture; the generator's own by default.")] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Gallery of the pictures shown; the decoder's own by default.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of those pictures; without it the gallery's thumbnails are compared.")
    ] = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    repetitions: Annotated[str, typer.Option(help="Presentations averaged before encoding: a number or all.")] = "all",
    seeds: Annotated[int, typer.Option(min=1, help="Pictures painted from each embedding.")] = 3,
    limit: Annotated[int | None, typer.Option(min=2, help="Take this many pictures, spread over all.")] = None,
    networks: Annotated[
        str | None, typer.Option(help="Networks to compare by, such as alexnet2,clip; all that are at hand by default.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder with the weights of such networks.")] = None,
    judge: Annotated[
        str,
        typer.Option(help="Of tags: pictures, open_clip:ARCHITECTURE/PRETRAINED, a filled form (FILE.csv), or none."),
    ] = "pictures",
    tags: Annotated[Path | None, typer.Option(help="Table of tags (CSV) for concepts that ours does not have.")] = None,
    form: Annotated[Path | None, typer.Option(help="Write a form for a person who judges tags; with --out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures and grid.png.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every figure to this CSV file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report with the pictures to this HTML file.")] = None,
) -> None:
    """Paint what was shown from what was decoded, and judge the pictures beside a floor and a ceiling.

    Floor: painted from the mean embedding; shuffled: what EEG gave, beside pictures of other concepts; ceiling: painted
    from the true picture's embedding. Networks whose weights are not at hand are skipped by name.

    Example: necomimi reconstruct decoder epochs --pictures image_set/test_images --out painted --report painted.html
    """
    wanted = parse_repetition(repetitions)
    if form is not None and out is None:
        raise ConfigError("--form without --out", "a folder for the pictures that the form asks about")
    require_folders(out, csv, report, form)
    result, grid = reconstruct(
        decoder, epochs,
        generator=generator, model=model, steps=steps, gallery=gallery, pictures=pictures, split=split,
        repetitions=wanted, seeds=seeds, limit=limit,
        networks=None if networks is None else [name.strip() for name in networks.split(",")], weights=weights,
        judge=judge, tags=tags, form=form, out=out, device=device,
    )  # fmt: skip
    from .reconstruct_report import draw_grid, reconstruct_report, tables_of
    from .sweep_tables import write_rows

    if out is not None:
        draw_grid(grid, result["concepts"]).savefig(out / "grid.png", dpi=GRID_DPI)
    if csv is not None:
        write_rows(result["rows"], [], csv)
    if report is not None:
        reconstruct_report(result, grid, report)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        for table in tables_of(result):
            output.print(table)
    for name, why in result["skipped"].items():
        console.print(f"skipped: {name}: {why}", soft_wrap=True)
    if result["cat_skipped"]:
        console.print(f"no CAT score: {result['cat_skipped']}", soft_wrap=True)
    for path in (out, form, csv, report):
        if path is not None:
            console.print(f"written: {path}")
