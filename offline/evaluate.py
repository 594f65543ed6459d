"""Judge a decoder: decoder, epochs -> retrieval tables with chance and intervals."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from necomimi.console import console, output
from necomimi.errors import ConfigError

from .decisions import judge_decisions
from .judgement import judge_decoder, judge_scores, judge_windows, load_scores
from .tables import caption, tabulate, tabulate_ways

__all__ = ["command", "evaluate"]

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

    Raises
    ------
    ConfigError
        The split is unknown or absent, or the epochs were made with other preprocessing than the decoder's.
    """
    import numpy as np

    from necomimi.decoder import Decoder
    from necomimi.epochs import Epochs
    from necomimi.gallery import Gallery

    if split not in ("test", "train"):
        raise ConfigError(f"--split {split!r}", "test or train")
    data, model = Epochs.load(epochs), Decoder.load(decoder, device)
    ours, theirs = model.preprocessor, data.preprocessor
    if ours.to_config() != theirs.to_config() or not np.array_equal(ours.spatial, theirs.spatial):
        raise ConfigError(
            f"the epochs in {epochs} were preprocessed in another way than those the decoder was trained on",
            "the same channels, window, rate and whitening",
            f"judge it on the epochs it was trained from, or train again on {epochs}",
        )
    part = data.test if split == "test" else data.train
    if part is None or not len(part):
        raise ConfigError(f"{epochs} has no test epochs", "a test set", "necomimi preprocess with a test set")
    if gallery is not None:
        model.use_gallery(Gallery.load(gallery))
    result = judge_decoder(model, part, repetitions, evidence=evidence, sure=sure)
    if evidence and not model.averaging.calibrated:
        logger.warning("this decoder's training held out no repetitions: its averages are not calibrated")
    if windows:
        if not model.training.get("truncated"):
            logger.warning("this decoder was trained on whole epochs only: train with --truncation to decode early")
        result["windows"] = judge_windows(model, part, windows, sure)
    if split == "test" and result["gallery"]["kind"] != "labels":
        seen = set(part.labels) & set(data.train.labels)
        if seen:
            logger.warning("%d of %d test concepts are training concepts", len(seen), len(set(part.labels)))
    return {"decoder": str(decoder), "epochs": str(epochs), "split": split, **result}


def command(
    decoder: Annotated[Path | None, typer.Argument(metavar="[DECODER]", help="A decoder directory.")] = None,
    epochs: Annotated[Path | None, typer.Argument(metavar="[EPOCHS]", help="An epochs directory.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="Gallery to search; the decoder's own by default.")] = None,
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
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    scores: Annotated[Path | None, typer.Option(help="Judge this .npy score matrix instead of a decoder.")] = None,
    targets: Annotated[Path | None, typer.Option(help="With --scores: column of each query's target.")] = None,
    decisions: Annotated[Path | None, typer.Option(help="Judge the log of a live session instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Judge a decoder on held-out epochs, a score matrix whose targets stand on the diagonal, or a live session.

    k-way figures are exact expectations over all sets of distractors. Ties are broken at random, in expectation.
    Repetitions are averaged before encoding, or after it with --evidence. ECE is the expected calibration error.

    Example: necomimi evaluate decoder epochs --repetitions 1,4,all
    """
    result: dict[str, Any]
    if (scores or decisions) and (decoder or gallery or (scores and decisions)):
        raise ConfigError("more than one thing to judge", "a decoder with epochs, --scores, or --decisions")
    if decoder is None and (evidence or windows or (scores and sure is not None)):
        raise ConfigError("--evidence, --windows or --sure without DECODER and EPOCHS", "a decoder and epochs to judge")
    if decisions is not None:
        found = judge_decisions(decisions, sure)
        result = {"decisions": str(decisions), **found}
        heading = f"{decisions}: live decisions, {found['n_refusals']} refusals"
    elif scores is not None:
        result = {"scores": str(scores), "rows": [judge_scores(*load_scores(scores, targets))]}
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
            )  # fmt: skip
        heading = f"{decoder} on the {split} epochs of {epochs}; gallery: {result['gallery']['kind']}"
    if as_json:
        typer.echo(json.dumps(result))
        return
    output.print(tabulate(result["rows"], heading, caption(result["rows"])))
    early = result.get("windows") or [{"until": float(t), **row} for t, row in result.get("provisional", {}).items()]
    if early:
        output.print(tabulate(early, "from the part of the epoch that had arrived", caption(early)))
    ways = tabulate_ways(result["rows"])
    if ways is not None:
        output.print(ways)
