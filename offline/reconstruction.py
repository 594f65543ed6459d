"""Paint what was shown from what was decoded: epochs, decoder, generator -> pictures of ceiling, stages and floor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from necomimi.decoder import Decoder
from necomimi.epochs import EpochSet
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.generators import Generator, check_space
from necomimi.picture_folder import open_picture
from necomimi.spaces import SHARP, Space

from .averaging import average_groups, group_repetitions
from .targets import find_targets

__all__ = [
    "CONDITIONS",
    "PICTURE_SIZE",
    "Condition",
    "Shown",
    "choose_shown",
    "choose_stage",
    "depends_on_seed",
    "list_conditions",
    "paint",
    "sharp_space",
    "true_pictures",
]

CONDITIONS = ("floor", "one-stage", "two-stage", "ceiling")
PICTURE_SIZE = 425  # pixels: the size at which reconstructions are compared since MindEye
BATCH = 4  # pictures painted at once
Stage = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """The pictures to paint again, each once, and what the decoder makes of their epochs.

    Parameters
    ----------
    names : tuple of str, length n
        One per picture, all different, fit for file names.
    concepts : tuple of str, length n
    items : ndarray of int, shape (n,)
        Rows of the gallery.
    vectors : ndarray of float32, shape (n, n_dims)
        What the decoder makes of the mean epoch of each; unit norm, of the decoder's space.
    n_averaged : int
        Presentations behind each vector; of the one with fewest.
    """

    names: tuple[str, ...]
    concepts: tuple[str, ...]
    items: NDArray[np.intp]
    vectors: NDArray[np.float32]
    n_averaged: int

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, eq=False)
class Condition:
    """What is painted from.

    Parameters
    ----------
    name : str
        One of `CONDITIONS`.
    words : str
        The embedding, in words.
    vectors : callable
        Seed -> float32 of shape (n, n_dims), unit norm, of the generator's space; (1, n_dims) where all pictures share
        one embedding.
    """

    name: str
    words: str
    vectors: Callable[[int], NDArray[np.float32]]


def sharp_space(gallery: Gallery) -> str:
    """Return the space of a gallery's `embeddings`, which are of the sharp pictures at whatever levels it has."""
    return str(replace(Space.parse(gallery.space), levels=SHARP))


def choose_shown(
    decoder: Decoder, part: EpochSet, gallery: Gallery, repetitions: int | None, limit: int | None = None
) -> Shown:
    """Return the pictures of a split, each once, with the decoder's embedding of each.

    Parameters
    ----------
    decoder : Decoder
        It decodes the person's epochs already (`necomimi.offline.matching`).
    part : EpochSet
    gallery : Gallery
        Of the pictures shown.
    repetitions : int or None
        Presentations averaged before the encoding, drawn once for each picture; None for all of it.
    limit : int, optional
        Take this many pictures, evenly spread over all in order of name.

    Raises
    ------
    ConfigError
        No picture has so many presentations.
    DatasetError
        The gallery holds no pictures, or lacks some of those that were shown.
    """
    if not any(gallery.files):
        raise DatasetError("a gallery of labels", "pictures to compare with", "--gallery DIR (necomimi embed PICTURES)")
    targets = find_targets(part, gallery)
    first: dict[int, NDArray[np.int64]] = {}
    for group in group_repetitions(part.names, repetitions, seed=0):
        first.setdefault(int(targets[group[0]]), group)
    if not first:
        raise ConfigError(f"--repetitions {repetitions}", "as many as some picture has, or all")
    items = np.array(sorted(first, key=lambda item: (gallery.files[item], item)), dtype=np.intp)
    if limit is not None and limit < len(items):
        items = items[np.linspace(0, len(items) - 1, limit).round().astype(int)]
    groups = [first[int(item)] for item in items]
    return Shown(
        names=_file_names([gallery.files[item] or gallery.labels[item] for item in items]),
        concepts=tuple(gallery.labels[item] for item in items),
        items=items,
        vectors=decoder.embed(average_groups(part.data, groups)),
        n_averaged=min(len(group) for group in groups),
    )


def _file_names(files: list[str]) -> tuple[str, ...]:
    """Return names without folders or characters that a file system may refuse; numbered where two are the same."""
    names: dict[str, None] = {}
    for file in files:
        stem = re.sub(r"[^\w.-]", "_", PurePosixPath(file).stem).lstrip(".") or "picture"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names[name] = None
    return tuple(names)


def true_pictures(gallery: Gallery, items: NDArray[np.intp], folder: Path | None) -> NDArray[np.uint8]:
    """Return the middle square of the pictures that were shown.

    Parameters
    ----------
    gallery : Gallery
    items : ndarray of int, shape (n,)
    folder : Path or None
        The folder that was embedded, read by the names that the gallery has for its files; None for thumbnails.

    Returns
    -------
    ndarray of uint8, shape (n, `PICTURE_SIZE`, `PICTURE_SIZE`, 3), or that of thumbnails
        RGB.

    Raises
    ------
    DatasetError
        A file is missing or no picture, or there is no folder and the gallery has no thumbnails.
    """
    if folder is None:
        if gallery.thumbnails is None:
            raise DatasetError("a gallery without thumbnails", "the pictures that were shown", "--pictures FOLDER")
        return gallery.thumbnails[items]
    paths = [folder / gallery.files[item] for item in items]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(paths)} pictures are not in {folder}, such as {missing[0].relative_to(folder)}",
            "the folder that the gallery was made from",
        )
    size = (PICTURE_SIZE, PICTURE_SIZE)
    return np.stack([np.asarray(ImageOps.fit(open_picture(path), size)) for path in paths])


def choose_stage(decoder: Decoder, generator: Generator) -> Stage:
    """Return what brings a decoder's embeddings to the generator's space: the prior where it leads there, else nothing.

    Returns
    -------
    callable
        Embeddings, float32 of shape (n, n_dims), and a seed -> embeddings of the generator's space.

    Raises
    ------
    ConfigError
        The decoder is of another space, and no prior leads to the generator's.
    """
    if decoder.prior is not None and decoder.prior.space == generator.space:
        return lambda vectors, seed: decoder.to_image_space(vectors, [seed] * len(vectors))
    check_space(generator, decoder.space)
    return lambda vectors, seed: vectors


def list_conditions(decoder: Decoder, generator: Generator, gallery: Gallery, shown: Shown) -> list[Condition]:
    """Return what can be painted from, in the order of `CONDITIONS`.

    One stage needs a decoder of the generator's own space, two stages need a prior that leads there. The floor is the
    mean embedding of the pictures that the prior was fitted on, where there is such a prior, else of the gallery.

    Raises
    ------
    ConfigError
        The gallery is of another space than the generator's, or neither stage leads to it.
    """
    space, prior = generator.space, decoder.prior
    if sharp_space(gallery) != space:
        raise ConfigError(
            f"a gallery of the space {gallery.space}",
            f"{space}, which the generator {generator.name} takes",
            "--gallery DIR of the pictures shown, or another generator",
        )
    stage = choose_stage(decoder, generator)
    found: dict[str, Condition] = {}

    def add(name: str, words: str, vectors: Callable[[int], NDArray[np.float32]]) -> None:
        found[name] = Condition(name=name, words=words, vectors=vectors)

    mean, words = gallery.embeddings.mean(axis=0), "mean embedding of the gallery's pictures"
    if prior is not None and prior.space == space:
        mean, words = prior.image_mean.cpu().numpy(), "mean embedding of the training pictures"
        drawn = f"EEG embedding through the {prior.kind} prior"
        add("two-stage", drawn, lambda seed: stage(shown.vectors, seed))
    floor = (mean / np.linalg.norm(mean))[None].astype(np.float32)
    add("floor", words, lambda seed: floor)
    if decoder.space == space:
        add("one-stage", "EEG embedding", lambda seed: shown.vectors)
    truth = gallery.embeddings[shown.items]
    add("ceiling", "embedding of the picture itself", lambda seed: truth)
    return [found[name] for name in CONDITIONS if name in found]


def depends_on_seed(generator: Generator, vector: NDArray[np.float32]) -> bool:
    """Return whether another seed paints another picture from a unit-norm embedding, shape (n_dims,)."""
    one, other = generator.paint(np.stack([vector, vector]), [0, 1])
    return not np.array_equal(one, other)


def paint(generator: Generator, vectors: NDArray[np.float32], seed: int) -> Iterator[NDArray[np.uint8]]:
    """Paint one picture from each embedding with the same seed; yield batches, in order.

    Parameters
    ----------
    generator : Generator
    vectors : ndarray of float32, shape (n, n_dims)
    seed : int

    Yields
    ------
    ndarray of uint8, shape (n_batch, size, size, 3)
    """
    for start in range(0, len(vectors), BATCH):
        batch = vectors[start : start + BATCH]
        yield generator.paint(batch, [seed] * len(batch))
