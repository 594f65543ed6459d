"""Judge a decoder: decoder, epochs -> retrieval tables with chance and intervals, and checks of the way to them."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from necomimi.console import console, output
from necomimi.errors import ConfigError
from necomimi.report import require_folders

from .decisions import judge_decisions
from .folds import validate_again
from .long_format import write_csv
from .score_files import load_scores
from .tables import tables_of, validation_line

if TYPE_CHECKING:
    from necomimi.epochs import Epochs

    from .matching import Person

__all__ = ["command", "evaluate", "parse_repetition", "parse_repetitions", "parse_windows"]

logger = logging.getLogger(__name__)


def parse_repetitions(text: str) -> list[int | None]:
    """Return the numbers in a list such as "1,4,all"; None stands for "all".

    Raises
    ------
    ConfigError
        An entry is neither a positive number nor "all".
    """
    entries = [entry.strip() for entry in text.split(",")]
    if not all(entry == "all" or (entry.isascii() and entry.isdigit() and int(entry) > 0) for entry in entries):
        raise ConfigError(f"--repetitions {text!r}", "positive numbers or 'all', separated by commas, such as 1,4,all")
    return [None if entry == "all" else int(entry) for entry in entries]


def parse_repetition(text: str) -> int | None:
    """Return the one number that a text such as "4" or "all" means; None stands for "all".

    Raises
    ------
    ConfigError
        It is neither one positive number nor "all".
    """
    wanted = parse_repetitions(text)
    if len(wanted) != 1:
        raise ConfigError(f"--repetitions {text!r}", "one number, or all")
    return wanted[0]


def parse_windows(text: str) -> list[float]:
    """Return the seconds in a list of milliseconds such as "200,300,400", ascending.

    Raises
    ------
    ConfigError
        An entry is not a positive number of milliseconds.
    """
    try:
        windows = sorted({float(entry) / 1e3 for entry in text.split(",")})
    except ValueError:
        windows = [math.nan]
    if not all(0 < window < math.inf for window in windows):
        raise ConfigError(f"--windows {text!r}", "milliseconds after the onset, separated by commas, such as 200,300")
    return windows


def evaluate(
    decoder: Path,
    epochs: Path,
    gallery: Path | None,
    split: str,
    repetitions: list[int | None] | None,
    device: str,
    *,
    evidence: bool = False,
    windows: Sequence[float] = (),
    sure: float | None = None,
    transductive: bool = False,
    categories: Path | None = None,
) -> dict[str, Any]:
    """Judge a decoder directory on an epochs directory.

    Parameters
    ----------
    decoder, epochs : Path
    gallery : Path or None
        Searched in place of the decoder's own.
    split : {"test", "train"}
    repetitions : list of int or None
        See `necomimi.offline.judgement.judge_decoder`, as for `evidence` and `sure`.
    device : str
    evidence : bool
    windows : sequence of float
        See `necomimi.offline.judgement.judge_windows`; the rows are in "windows", absent where none is wanted.
    sure : float, optional
    transductive : bool
        Add rows of answers that look at the test set as a set.
    categories : Path, optional
        A table of concepts x categories (`necomimi.offline.categories`); by default the embedded picture set's own,
        where the answers are its concepts.

    Returns
    -------
    dict
        That of `judge_decoder`, and "decoder", "epochs", "split", "subject", "subject_known" (False: the decoder has
        not seen this person), "transductive_epochs" (True: no table here is inductive), "guards" (a dict for each of
        `necomimi.offline.guards`), and where there is something to say "windows", "validation" (what held-out concepts
        said of the pass that was chosen and of the last one) and "published" (figures on the same data).

    Raises
    ------
    ConfigError
        The split is unknown or absent, or the epochs were made with other preprocessing than the decoder's.
    """
    from necomimi.decoder import Decoder
    from necomimi.epochs import Epochs
    from necomimi.gallery import Gallery

    from .categories import embedded_categories, load_categories
    from .guards import check_decoder
    from .judgement import judge_decoder, judge_windows, searched
    from .matching import choose_split, match_person

    data, model = Epochs.load(epochs), Decoder.load(decoder, device)
    part = choose_split(data, split)
    person = match_person(model, data)
    if gallery is not None:
        model.use_gallery(Gallery.load(gallery))
    members = load_categories(categories) if categories is not None else None
    if members is None and any(searched(model).files):
        members = embedded_categories(model.classes)
    judged = judge_decoder(
        model, part, repetitions, evidence=evidence, sure=sure, categories=members,
        transductive=data.train if transductive else None,
    )  # fmt: skip
    if evidence and not model.averaging.calibrated:
        logger.warning("this decoder's training held out no repetitions: its averages are not calibrated")
    if windows:
        if not model.training.get("truncated"):
            logger.warning("this decoder was trained on whole epochs only: train with --truncation to decode early")
        judged["windows"] = judge_windows(model, part, windows, sure)
    if not person.known:
        logger.warning("%s", person.words)
    return {
        "decoder": str(decoder),
        "epochs": str(epochs),
        "split": split,
        "subject": person.name,
        "subject_known": person.known,
        "transductive_epochs": data.transductive,
        **judged,
        "guards": [asdict(guard) for guard in check_decoder(model, data, part)],
        **_validation(model.training),
        **_published(data, judged, person, split),
    }


def _validation(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the decoder's directory says of the chosen and of the last pass, where it says so."""
    keys = ("n_ways", "best_epoch", "best", "last", "history")
    if any(key not in training for key in keys):
        return {}
    found = {key: training[key] for key in keys[:-1]}
    return {"validation": {**found, "last_epoch": len(training["history"])}}


def _published(data: Epochs, judged: Mapping[str, Any], person: Person, split: str) -> dict[str, Any]:
    """Return published figures, where these are epochs of THINGS-EEG2 itself and the answers are of 200 pictures."""
    from . import published

    if split != "test" or judged["gallery"]["n_classes"] != published.N_TEST or not published.applies(data):
        return {}
    protocol: published.Protocol = "within subject" if person.known else "leave-one-subject-out"
    own = published.subject_rows(person.name) if person.known else []
    return {"published": {"protocol": protocol, "rows": published.rows(protocol), "subject_rows": own}}


def command(
    decoder: Annotated[Path | None, typer.Argument(metavar="[DECODER]", help="A decoder directory.")] = None,
    epochs: Annotated[Path | None, typer.Argument(metavar="[EPOCHS]", help="An epochs directory.")] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Gallery to search, the decoder's own by default; with --decisions, what the markers show."),
    ] = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    repetitions: Annotated[str | None, typer.Option(help="Presentations behind an answer, such as 1,4,all.")] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Add up what each presentation says, as decode --average does.")
    ] = False,
    windows: Annotated[
        str | None, typer.Option(help="Judge unfinished epochs too: milliseconds after the onset, such as 200,300.")
    ] = None,
    sure: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Count answers that are at least this confident.")
    ] = None,
    transductive: Annotated[
        bool, typer.Option("--transductive", help="Add a table of answers that look at the test set as a set.")
    ] = False,
    categories: Annotated[
        Path | None, typer.Option(help="Table of concepts x categories (THINGS, tab-separated) for the confusion.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    scores: Annotated[Path | None, typer.Option(help="Judge this .npy score matrix instead of a decoder.")] = None,
    targets: Annotated[Path | None, typer.Option(help="With --scores: column of each query's target.")] = None,
    decisions: Annotated[Path | None, typer.Option(help="Judge the log of a live session instead.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--cross-validate", metavar="K", min=2, help="Train K times as DECODER was, without a K-th of the concepts."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every figure to this CSV file, one a line.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report with plots to this HTML file.")] = None,
) -> None:
    """Judge a decoder on held-out epochs, a score matrix whose targets stand on the diagonal, or a live session.

    k-way figures are exact expectations over all sets of distractors. Ties are broken at random, in expectation.
    Repetitions are averaged before encoding, or after it with --evidence. ECE is the expected calibration error.
    The way to the figures is checked each time; where a check fails, it is named and the exit status is 1.
    With --cross-validate the training epochs are judged: each concept by an encoder that never saw it.

    Example: necomimi evaluate decoder epochs --repetitions 1,4,all
    """
    result: dict[str, Any]
    if (scores or decisions) and (decoder or (scores and (gallery or decisions))):
        raise ConfigError("more than one thing to judge", "a decoder with epochs, --scores, or --decisions")
    if decoder is None and (evidence or windows or transductive or categories or (scores and sure is not None)):
        raise ConfigError(
            "--evidence, --windows, --sure, --transductive or --categories without DECODER and EPOCHS",
            "a decoder and epochs to judge",
        )
    require_folders(csv, report)
    if folds is not None:
        others = (evidence, windows, sure, transductive, categories, scores, decisions, csv, report, repetitions)
        if decoder is None or epochs is None or any(option not in (None, False) for option in others):
            raise ConfigError("--cross-validate", "DECODER, EPOCHS and, beside them, --gallery, --device and --json")
        validate_again(decoder, epochs, gallery, folds, device, as_json=as_json)
        return
    if decisions is not None:
        from necomimi.gallery import Gallery

        pictures = None if gallery is None else Gallery.load(gallery, thumbnails=False)
        found = judge_decisions(decisions, sure, pictures)
        result = {"decisions": str(decisions), **found}
        heading = f"{decisions}: live decisions, {found['n_refusals']} refusals"
    elif scores is not None:
        from .judgement import judge_scores

        row = judge_scores(*load_scores(scores, targets))
        result = {"scores": str(scores), "n": row["n_queries"], **row, "rows": [row]}
        heading = str(scores)
    elif decoder is None or epochs is None:
        raise ConfigError("no DECODER and EPOCHS", "both, or --scores FILE.npy", "necomimi evaluate --help")
    elif targets is not None:
        raise ConfigError("--targets without --scores", "both, or neither")
    else:
        with console.status("encoding"):
            wanted = None if repetitions is None else parse_repetitions(repetitions)
            result = evaluate(
                decoder, epochs, gallery, split, wanted, device,
                evidence=evidence, windows=parse_windows(windows) if windows else (), sure=sure,
                transductive=transductive, categories=categories,
            )  # fmt: skip
        heading = f"{decoder} on the {split} epochs of {epochs}; gallery: {result['gallery']['kind']}"
    if csv is not None:
        write_csv(result, csv)
    if report is not None:
        from .evaluation_report import evaluation_report

        evaluation_report(result, report)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        for table in tables_of(result, heading).values():
            output.print(table)
        if validation_line(result):
            output.print(validation_line(result))
    if "guards" in result:
        from .guards import describe

        console.print(describe(result["guards"]))
        if any(guard["passed"] is False for guard in result["guards"]):
            raise typer.Exit(1)
