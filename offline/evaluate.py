"""Judge a decoder: decoder, epochs -> retrieval tables with chance and intervals."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from necomimi.console import console, output
from necomimi.errors import ConfigError

from .decisions import judge_decisions
from .judgement import judge_decoder, judge_scores, load_scores

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


def evaluate(
    decoder: Path, epochs: Path, gallery: Path | None, split: str, repetitions: list[int | None] | None, device: str
) -> dict[str, Any]:
    """Judge a decoder directory on an epochs directory.

    Parameters
    ----------
    decoder, epochs : Path
    gallery : Path or None
        Searched in place of the decoder's own.
    split : {"test", "train"}
    repetitions : list of int or None
        See `necomimi.offline.judgement.judge_decoder`.
    device : str

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
    result = judge_decoder(model, part, repetitions)
    if split == "test" and result["gallery"]["kind"] != "labels":
        seen = set(part.labels) & set(data.train.labels)
        if seen:
            logger.warning("%d of %d test concepts are training concepts", len(seen), len(set(part.labels)))
    return {"decoder": str(decoder), "epochs": str(epochs), "split": split, **result}


def tabulate(result: dict[str, Any]) -> Table:
    """Return accuracies as a table."""
    rows = result["rows"]
    with_auc, with_top5 = "auc" in rows[0], rows[0]["n_classes"] > 5
    table = Table(title=result.get("title"), caption=result.get("caption"), caption_justify="left")
    names = ["averaged"] * ("repetitions" in rows[0]) + ["queries", "classes", "top-1"] + ["top-5"] * with_top5
    for name in names + ["AUC"] * with_auc:
        table.add_column(name, justify="right")
    for row in rows:
        cells = [str(row["repetitions"])] if "repetitions" in row else []
        cells += [str(row["n_queries"]), str(row["n_classes"]), _rate(row, "top1")]
        cells += [_rate(row, "top5")] if with_top5 else []
        cells += [f"{row['auc']:.3f}"] if with_auc else []
        table.add_row(*cells)
    chance = [f"{rows[0]['chance_top1']:.1%}"] + [f"{rows[0]['chance_top5']:.1%}"] * with_top5 + ["0.500"] * with_auc
    table.add_section()
    table.add_row("chance", *[""] * (len(names) - 2 - with_top5), *chance)
    return table


def tabulate_ways(result: dict[str, Any]) -> Table | None:
    """Return the exact expectations of k-way top-1 as a table, or None where there is nothing to choose among."""
    rows = result["rows"]
    ways = [k for k in rows[0]["kway"] if int(k) < rows[0]["n_classes"]]
    if not ways:
        return None
    table = Table(caption="exact expectation over all sets of distractors", caption_justify="left")
    for name in [*["averaged"] * ("repetitions" in rows[0]), "queries", *(f"{k}-way" for k in ways)]:
        table.add_column(name, justify="right")
    for row in rows:
        cells = [str(row["repetitions"])] if "repetitions" in row else []
        table.add_row(*cells, str(row["n_queries"]), *(f"{row['kway'][k]:.1%}" for k in ways))
    table.add_section()
    table.add_row("chance", *[""] * ("repetitions" in rows[0]), *(f"{1 / int(k):.1%}" for k in ways))
    return table


def _rate(row: dict[str, Any], name: str) -> str:
    """Return a rate with its interval."""
    low, high = row[f"{name}_interval"]
    return f"{row[name]:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def command(
    decoder: Annotated[Path | None, typer.Argument(metavar="[DECODER]", help="A decoder directory.")] = None,
    epochs: Annotated[Path | None, typer.Argument(metavar="[EPOCHS]", help="An epochs directory.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="Gallery to search; the decoder's own by default.")] = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    repetitions: Annotated[str | None, typer.Option(help="Epochs averaged before encoding, such as 1,4,all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    scores: Annotated[Path | None, typer.Option(help="Judge this .npy score matrix instead of a decoder.")] = None,
    targets: Annotated[Path | None, typer.Option(help="With --scores: column of each query's target.")] = None,
    decisions: Annotated[Path | None, typer.Option(help="Judge the log of a live session instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Judge a decoder on held-out epochs, a score matrix whose targets stand on the diagonal, or a live session.

    k-way figures are exact expectations over all sets of distractors. Ties are broken at random, in expectation.

    Example: necomimi evaluate decoder epochs --repetitions 1,4,all
    """
    result: dict[str, Any]
    if (scores or decisions) and (decoder or gallery or (scores and decisions)):
        raise ConfigError("more than one thing to judge", "a decoder with epochs, --scores, or --decisions")
    if decisions is not None:
        found = judge_decisions(decisions)
        result = {"decisions": str(decisions), **found, "rows": [found]}
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
            result = evaluate(decoder, epochs, gallery, split, wanted, device)
        heading = f"{decoder} on the {split} epochs of {epochs}; gallery: {result['gallery']['kind']}"
    if as_json:
        typer.echo(json.dumps(result))
        return
    caption = f"95 % intervals: {result['rows'][0]['interval']}"
    output.print(tabulate({**result, "title": heading, "caption": caption}))
    ways = tabulate_ways(result)
    if ways is not None:
        output.print(ways)
