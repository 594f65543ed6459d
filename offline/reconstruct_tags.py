"""Judge painted pictures by tags: true and painted pictures, a judge's name or a filled form -> CAT scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from necomimi.embedders import Embedder, build_embedder, in_threads
from necomimi.errors import ConfigError, DatasetError, NecomimiError
from necomimi.gallery_files import digest

from .cat_form import form_score, write_form
from .cat_judges import build_judge
from .cat_score import cat_score
from .cat_tags import Tags, find_tags, load_tags
from .reconstruction import Shown

__all__ = ["TagJudge", "blank_form", "choose_tags", "find_judge"]

TagJudge = Callable[[str, NDArray[np.uint8]], dict[str, Any] | None]

BATCH = 16  # pictures
FORM_SEED = 0  # a person judges the pictures of this seed
FORM_FOLDER = "to-judge"  # where they lie again, under names that say nothing


def choose_tags(shown: Shown, table: Path | None) -> Tags | None:
    """Return the tags of what was shown, from a file or from a table of ours; None where neither has them.

    Raises
    ------
    DatasetError
        The file is no table of tags, or lacks a concept.
    """
    if table is None:
        return find_tags(shown.concepts)
    tags = load_tags(table)
    missing = sorted(set(shown.concepts) - set(tags.of))
    if missing:
        raise DatasetError(
            f"{table} has no tags for {len(missing)} concepts, such as {missing[0]}", "a row for each concept shown"
        )
    return tags


def _files(shown: Shown, condition: str) -> dict[str, str]:
    """Return the pictures that a person judges, by the names that they have in the form, with the concepts meant."""
    names = [f"{FORM_FOLDER}/{digest([condition, name])[:12]}.png" for name in shown.names]
    return dict(zip(names, shown.concepts, strict=True))


def blank_form(path: Path, out: Path, shown: Shown, painted: Mapping[str, NDArray[np.uint8]], tags: Tags) -> None:
    """Write a form for a person to fill in, with the pictures of the first seed in a folder of their own.

    Neither the form nor the names of those files say what a picture should show or what it was painted from. The floor
    is left out: all its pictures are one.

    Parameters
    ----------
    path : Path
        The form, a CSV file.
    out : Path
        The folder for ``to-judge/``.
    shown : Shown
    painted : mapping of str to ndarray of uint8, shape (n_seeds, n, size, size, 3)
        By condition.
    tags : Tags

    Raises
    ------
    ConfigError
        The pictures cannot be written.
    """
    pictures: dict[str, str] = {}
    try:
        (out / FORM_FOLDER).mkdir(exist_ok=True)
        for condition, found in painted.items():
            if condition != "floor":
                files = _files(shown, condition)
                for file, picture in zip(files, found[FORM_SEED], strict=True):
                    Image.fromarray(picture).save(out / file)
                pictures |= files
    except OSError as error:
        raise ConfigError(f"{out / FORM_FOLDER} cannot be written: {error}", "a writable folder") from error
    write_form(path, pictures, tags)


def find_judge(
    judge: str,
    tags: Tags | None,
    shown: Shown,
    truth: NDArray[np.uint8],
    conditions: Iterable[str],
    device: str = "auto",
) -> tuple[TagJudge | None, str]:
    """Return what gives the CAT score of a condition, tried before anything is painted.

    Parameters
    ----------
    judge : str
        "pictures": a tag is what the true pictures of other concepts with it have in common for the embedded embedder;
        "open_clip:ARCHITECTURE/PRETRAINED": a tag is its words; a CSV file: a person's filled form, of all conditions
        but the floor; "none".
    tags : Tags or None
    shown : Shown
    truth : ndarray of uint8, shape (n, size, size, 3)
    conditions : iterable of str
        Those that will be painted.
    device : str

    Returns
    -------
    score : callable or None
        Condition and painted pictures, uint8 of shape (n_seeds, n, other size, other size, 3) ->
        `necomimi.offline.cat_score.cat_score`, or None where the judge has not seen the condition.
    why : str
        Why there is no judge; "" where there is one.

    Raises
    ------
    ConfigError
        The judge is unknown.
    DatasetError
        The form is damaged, or has not been filled in.
    NecomimiError
        What the judge needs is missing.
    """
    if judge not in ("none", "pictures") and not judge.startswith("open_clip:") and not judge.endswith(".csv"):
        raise ConfigError(
            f"--judge {judge!r}", "pictures, open_clip:ARCHITECTURE/PRETRAINED, a filled form (FILE.csv), or none"
        )
    if judge == "none":
        return None, "no judge was asked for"
    if tags is None:
        return None, "no table of ours has tags for these concepts: --tags FILE"
    if judge.endswith(".csv"):
        told = {name: form_score(Path(judge), _files(shown, name), tags) for name in conditions if name != "floor"}
        return lambda name, _: told.get(name), ""
    try:
        embedder = build_embedder("embedded" if judge == "pictures" else judge, device)
    except NecomimiError as error:
        if judge != "pictures" or isinstance(error, ConfigError):
            raise
        return None, f"{error.found}: {error.remedy}"  # the extra is not installed, and nobody asked for this judge
    vectors = _embed(embedder, truth)
    judging = build_judge(judge, space=embedder.space, concepts=shown.concepts, embeddings=vectors, device=device)
    try:
        cat_score(shown.concepts, vectors, tags, judging, space=embedder.space)
    except DatasetError as error:
        return None, error.found  # too few concepts have tags in common

    def score(name: str, pictures: NDArray[np.uint8]) -> dict[str, Any]:
        painted = np.concatenate([_embed(embedder, of_seed) for of_seed in pictures])
        return cat_score(shown.concepts * len(pictures), painted, tags, judging, space=embedder.space)

    return score, ""


def _embed(embedder: Embedder, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the embeddings of pictures (n, size, size, 3): float32 of shape (n, n_dims), unit norm."""
    if len(pictures) > 1 and (pictures == pictures[:1]).all():  # the floor
        return np.repeat(_embed(embedder, pictures[:1]), len(pictures), axis=0)
    batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
    return np.concatenate(list(in_threads(lambda batch: embedder.embed([*map(Image.fromarray, batch)]), batches)))
