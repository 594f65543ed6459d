"""Judge a generator by what a vision network sees in its pictures: generator, PictureWorld -> identification rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from necomimi.embedders import Embedder, in_threads
from necomimi.generators import Generator, check_space
from necomimi.intervals import bootstrap_interval, wilson
from necomimi.picture_metrics import two_way
from necomimi.picture_world import PictureWorld

__all__ = ["Vectors", "check_generator", "identification", "painted_embeddings"]

Vectors = NDArray[np.float32]
BATCH = 16  # pictures that a thread paints or embeds at once


def painted_embeddings(generator: Generator, world: PictureWorld, embedder: Embedder) -> dict[str, Vectors]:
    """Paint from the true embeddings of held-out pictures, and embed the paintings.

    Parameters
    ----------
    generator : Generator
    world : PictureWorld
        Its held-out pictures are used.
    embedder : Embedder
        Of the generator's space.

    Returns
    -------
    dict of ndarray of float32, shape (n, n_dims)
        "known", new pictures of concepts that it was trained on, and "unseen", in the order of `PictureWorld.judging`.

    Raises
    ------
    ConfigError
        The generator is of another space.
    """
    check_space(generator, embedder.space)

    def paint_and_look(rows: NDArray[np.intp]) -> Vectors:
        painted = generator.paint(world.embeddings[rows], rows.tolist())
        return embedder.embed([Image.fromarray(picture) for picture in painted])

    return {
        name: np.concatenate(list(in_threads(paint_and_look, np.array_split(rows, -(-len(rows) // BATCH)))))
        for name, rows in world.judging.items()
    }


def check_generator(generator: Generator, world: PictureWorld, embedder: Embedder) -> dict[str, dict[str, Any]]:
    """Return how well held-out pictures are told apart by what is painted from their true embeddings: the ceiling.

    Parameters
    ----------
    generator, world, embedder
        As `painted_embeddings` takes them.

    Returns
    -------
    dict of dict
        Figures of `identification` for "known" and for "unseen" concepts.
    """
    painted = painted_embeddings(generator, world, embedder)
    return {
        name: identification(world.embeddings[rows], painted[name], world.concepts[rows])
        for name, rows in world.judging.items()
    }


def identification(truth: Vectors, painted: Vectors, concepts: NDArray[np.integer]) -> dict[str, Any]:
    """Return how well paintings are told apart by their embeddings, one picture of each concept at a time.

    Parameters
    ----------
    truth, painted : ndarray of float32, shape (n, n_dims)
        Unit norm, of the true pictures and of the paintings.
    concepts : ndarray of int, shape (n,)

    Returns
    -------
    dict
        "n_pictures", "n_concepts"; "two_way" and "top1" among pictures of other concepts, with "chance_two_way",
        "chance_top1" and 95 % intervals; "cosine" with the truth (mean).
    """
    _, places = np.unique(concepts, return_inverse=True)
    order = np.argsort(places, kind="stable")
    numbers = np.empty(len(places), dtype=np.intp)  # of each picture within its concept
    numbers[order] = np.concatenate([np.arange(count) for count in np.bincount(places)])
    two, first = np.empty(len(truth)), np.empty(len(truth))
    for number in range(int(numbers.max()) + 1):
        rows = np.flatnonzero(numbers == number)
        two[rows] = two_way(truth[rows], painted[rows])
        first[rows] = (painted[rows] @ truth[rows].T).argmax(axis=1) == np.arange(len(rows))
    n_concepts = int(places.max()) + 1
    return {
        "n_pictures": len(truth),
        "n_concepts": n_concepts,
        "two_way": float(two.mean()),
        "two_way_interval": list(bootstrap_interval(two, concepts)),
        "chance_two_way": 0.5,
        "top1": float(first.mean()),
        "top1_interval": list(wilson(int(first.sum()), len(first))),
        "chance_top1": 1 / n_concepts,
        "cosine": float((truth * painted).sum(axis=1).mean()),
    }
