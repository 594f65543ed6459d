"""Fit the second stage to a decoder and judge it: decoder, epochs, gallery of the training pictures -> prior."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from necomimi.config import load_settings
from necomimi.console import console, output, progress
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.intervals import bootstrap_interval

from .averaging import average_groups, group_repetitions
from .matching import match_person
from .scoring import expectation, interval_of, ranks
from .tables import rate
from .targets import find_targets

if TYPE_CHECKING:
    from necomimi.decoder import Decoder

__all__ = ["judge_stage", "prior", "shown"]

logger = logging.getLogger(__name__)

Rows = NDArray[np.intp]


def shown(
    decoder: Decoder, people: list[Path], gallery: Gallery, repetitions: int | None, seed: int, *, others: bool
) -> tuple[NDArray[np.float32], Rows, Rows]:
    """Return what the decoder makes of training epochs, and which pictures belong to which concepts.

    Parameters
    ----------
    decoder : Decoder
    people : list of Path
        Epochs directories.
    gallery : Gallery
        Of the pictures shown.
    repetitions : int or None
        Presentations behind each embedding; None for all of a picture.
    seed : int
        Of the groups drawn.
    others : bool
        Embed epochs of the concepts that the encoder was trained on, rather than those of held-out concepts.

    Returns
    -------
    vectors : ndarray of float32, shape (n, n_dims)
    items : ndarray of int, shape (n,)
        The gallery item of each.
    known : ndarray of int
        The gallery items that the encoder was trained on, ascending.

    Raises
    ------
    ConfigError
        The epochs are not such as the decoder was trained on, or no picture has that many repetitions.
    DatasetError
        No epochs of held-out concepts are there, or pictures are missing from the gallery.
    """
    concepts = decoder.training["val_concepts"]
    vectors, items, known = [], [], []
    for path in people:
        data = Epochs.load(path)
        person = match_person(decoder, data)
        if not person.known:
            logger.warning("%s", person.words)
        targets = find_targets(data.train, gallery)
        held = np.isin(np.asarray(gallery.labels)[targets], concepts)
        if not held.any():
            raise DatasetError(
                f"{path} holds no epochs of the {len(concepts)} concepts that the decoder's training held out",
                f"concepts such as {concepts[0]!r}",
                "give the epochs that the decoder was trained from",
            )
        groups = group_repetitions(data.train.names, repetitions, seed)
        chosen = [group for group in groups if held[group[0]] != others]
        if not chosen:
            raise ConfigError(f"--repetitions {repetitions}", "at most what the epochs have")
        vectors.append(decoder.embed(average_groups(data.train.data, chosen)))
        items.append(targets[[group[0] for group in chosen]])
        known.append(targets[~held])
    return np.concatenate(vectors), np.concatenate(items), np.unique(np.concatenate(known))


def judge_stage(vectors: NDArray[np.float32], items: Rows, gallery: Gallery) -> dict[str, Any]:
    """Return how well embeddings find their concept, and how alike they are.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, n_dims)
        Unit norm.
    items : ndarray of int, shape (n,)
        The picture behind each.
    gallery : Gallery
        In the space of the vectors. Only the pictures in `items` are candidates.

    Returns
    -------
    dict
        "n_queries", "n_classes"; "top1" among all concepts and "two_way", the exact expectation of a choice between
        two, with "chance_top1", "chance_two_way" and 95 % intervals over concepts; "cosine" with the truth, "pairwise"
        cosine of the vectors with each other and "pairwise_truth" of the pictures (means).
    """
    candidates = gallery.select(np.unique(items))
    targets = candidates.item_classes[np.searchsorted(np.unique(items), items)]
    found = ranks(candidates.similarities(vectors), targets)
    top1, two_way = expectation(*found), expectation(*found, k=2)
    truth = gallery.embeddings[items]
    return {
        "n_queries": len(items),
        "n_classes": len(candidates.classes),
        "top1": float(top1.mean()),
        "top1_interval": list(interval_of(top1, targets)[:2]),
        "chance_top1": 1 / len(candidates.classes),
        "two_way": float(two_way.mean()),
        "two_way_interval": list(bootstrap_interval(two_way, targets)),
        "chance_two_way": 0.5,
        "cosine": float((vectors * truth).sum(axis=1).mean()),
        "pairwise": _pairwise(vectors),
        "pairwise_truth": _pairwise(truth),
    }


def _pairwise(vectors: NDArray[np.float32]) -> float:
    """Return the mean cosine of unit-norm vectors with each other."""
    n = len(vectors)
    return float(((vectors.sum(axis=0, dtype=np.float64) ** 2).sum() - n) / (n * (n - 1)))


def _tabulate(stages: dict[str, dict[str, Any]], title: str) -> Table:
    """Return the stages side by side, chance and the truth below."""
    table = Table(title=title, caption="95 % intervals over concepts", caption_justify="left")
    for name in ("stage", "top-1", "two-way", "cosine with the truth", "with each other"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, row in stages.items():
        rates = [rate(row, key) for key in ("top1", "two_way")]
        table.add_row(name, *rates, f"{row['cosine']:.3f}", f"{row['pairwise']:.3f}")
    table.add_section()
    table.add_row("chance", f"{row['chance_top1']:.1%}", f"{row['chance_two_way']:.1%}", "", "")
    table.add_row("pictures", "", "", "", f"{row['pairwise_truth']:.3f}")
    return table


def prior(
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="A decoder directory; the prior is put into it.")],
    people: Annotated[
        list[Path], typer.Argument(metavar="EPOCHS...", help="The epochs that the decoder was trained from.")
    ],
    gallery: Annotated[Path, typer.Option(help="Gallery of the training pictures.")],
    kind: Annotated[
        str | None,
        typer.Option("--prior", help="regression (calibrated; default), flow (a few steps) or ddpm (the published)."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of a flow (2) or of ddpm (50).")] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0.0, help="Weight of the EEG embedding in a flow (2.5) or in ddpm (5).")
    ] = None,
    updates: Annotated[int | None, typer.Option(min=1, help="Updates of the weights of a flow or of ddpm.")] = None,
    repetitions: Annotated[
        int | None, typer.Option(min=1, help="Presentations behind each embedding; all of a picture by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches, folds and drawn repetitions.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Fit the second stage, from EEG embeddings to embeddings such as pictures have, and put it into the decoder.

    Everything comes from the training epochs: what EEG embeddings are like, from the concepts that the decoder's
    training held out, what pictures are like, from the others. The table shows held-out concepts with one stage and
    with two, each judged by a prior that was fitted without them.

    Example: necomimi train prior decoder epochs --gallery training-gallery
    """
    from necomimi.decoder import Decoder
    from necomimi.decoder_files import write_prior
    from necomimi.device import choose_device

    from .prior_fit import PriorData, PriorSettings, cross_fit, fit_prior, n_folds, n_updates
    from .reconstruction import sharp_space

    settings = load_settings(
        PriorSettings,
        overrides={"prior": kind, "steps": steps, "guidance": guidance, "updates": updates, "seed": seed},
    )
    model = Decoder.load(decoder, device)
    if not model.training.get("val_concepts"):
        raise ConfigError(
            f"{decoder} does not say which concepts of its training were held out",
            "a decoder of pictures that was trained here",
            "make it with: necomimi train encoder EPOCHS DECODER --gallery GALLERY",
        )
    images = Gallery.load(gallery, thumbnails=False)
    images.require_space(model.base_space or model.space)
    sources = model.adapter.gallery(images) if model.adapter is not None else images
    vectors, items, known = shown(model, people, images, repetitions, settings.seed, others=False)
    held = PriorData(
        vectors=vectors,
        truth=images.embeddings[items],
        concepts=np.asarray(images.labels)[items],
        images=images.embeddings[known],
        sources=sources.embeddings[known],
        source_space=model.space,
        space=sharp_space(images),
    )
    n_fits = 1 + n_folds(settings.prior, held.concepts)
    pairs = held
    if settings.prior == "ddpm":
        those, their_items, _ = shown(model, people, images, repetitions, settings.seed, others=True)
        truth, concepts = images.embeddings[their_items], np.asarray(images.labels)[their_items]
        pairs = replace(held, vectors=those, truth=truth, concepts=concepts)
    total = n_fits * n_updates(settings)
    where = choose_device(device)
    with progress() as bar:
        task = bar.add_task(f"fit {settings.prior}", total=total, visible=bool(total))
        if n_fits > 1:
            second = cross_fit(held, settings, where, lambda: bar.advance(task))
        facts = {"settings": settings.model_dump(), "repetitions": repetitions or "all", "n_held": len(items)}
        fitted = fit_prior(pairs, settings, where, lambda: bar.advance(task), facts)
        if n_fits == 1:
            second = fitted.to_image_space(vectors, range(len(vectors)))
    stages = {"one stage": judge_stage(vectors, items, sources), "two stages": judge_stage(second, items, images)}
    fitted.training_facts["stages"] = stages
    write_prior(fitted, decoder)
    row = stages["one stage"]
    output.print(
        _tabulate(stages, f"{settings.prior}: {row['n_queries']} embeddings of {row['n_classes']} held-out concepts")
    )
    if model.adapter is not None:
        console.print("one stage: among pictures as the image adapter sees them; two stages: among the pictures")
    console.print(f"prior: {decoder / 'prior'}")
