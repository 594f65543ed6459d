"""Draw what a generator learns: the embedded picture set, seed -> embeddings of pictures, and what to paint from them.

An embedding hardly says where in the picture an object is, how large, how it is turned, or which way it faces; a
generator that must match those paints a blur of all of them. What it learns to paint is therefore the same picture with
its object upright in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from necomimi.embedders import build_embedder, in_threads
from necomimi.errors import ConfigError
from necomimi.pictures import Concept, concepts, draw_picture

__all__ = ["SEED", "PictureWorld", "draw_world", "n_pictures"]

SEED = 2000  # the pictures of simulated subjects, and those behind the embedder's projection, have other seeds
TENSORS = ("unseen", "concepts", "held", "embeddings", "pixels")
N_HELD = 2  # pictures of each known concept, and
N_UNSEEN = 3  # of each unseen one, that only judge


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureWorld:
    """Pictures of the embedded set with their embeddings.

    Parameters
    ----------
    names : tuple of str
        The concepts.
    unseen : ndarray of int, shape (n_unseen,)
        The concepts that no training picture shows, ascending.
    concepts : ndarray of int, shape (n,)
        The concept of each picture.
    held : ndarray of bool, shape (n,)
        Pictures that are not for training.
    embeddings : ndarray of float32, shape (n, n_dims)
        Unit norm, of the picture as it was drawn.
    pixels : ndarray of uint8, shape (n, size, size, 3)
        RGB, the object upright.
    """

    names: tuple[str, ...]
    unseen: NDArray[np.int64]
    concepts: NDArray[np.int64]
    held: NDArray[np.bool_]
    embeddings: NDArray[np.float32]
    pixels: NDArray[np.uint8]

    @property
    def training(self) -> NDArray[np.intp]:
        """The rows to train on."""
        return np.flatnonzero(~self.held)

    @property
    def judging(self) -> dict[str, NDArray[np.intp]]:
        """The rows that judge: "known", new pictures of concepts that were trained on, and "unseen"."""
        is_unseen = np.isin(self.concepts, self.unseen)
        return {"known": np.flatnonzero(self.held & ~is_unseen), "unseen": np.flatnonzero(self.held & is_unseen)}

    def prototypes(self) -> NDArray[np.float32]:
        """Return the mean direction of the training embeddings of each known concept, shape (n_known, n_dims)."""
        concepts, rows = self.concepts[self.training], self.embeddings[self.training]
        means = np.stack([rows[concepts == concept].mean(axis=0) for concept in np.unique(concepts)])
        directions: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return directions

    def save(self, path: Path, key: str) -> None:
        """Write everything to a file of tensors."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in TENSORS}
        save_file(tensors, partial, metadata={"key": key, "names": "\n".join(self.names)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, key: str) -> PictureWorld | None:
        """Read what `save` wrote; None where nothing of that key is there."""
        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
                if facts.get("key") != key:
                    return None
                tensors = {name: file.get_tensor(name) for name in TENSORS}
        except (OSError, SafetensorError):
            return None
        return cls(names=tuple(facts["names"].split("\n")), **tensors)


def n_pictures(n_exemplars: int, n_unseen: int, *, n_concepts: int | None = None, held_only: bool = False) -> int:
    """Return how many pictures `draw_world` draws."""
    n_known = (len(concepts()) if n_concepts is None else n_concepts) - n_unseen
    return n_known * (N_HELD + (0 if held_only else n_exemplars)) + n_unseen * N_UNSEEN


def draw_world(
    n_exemplars: int,
    n_unseen: int,
    size: int,
    *,
    n_concepts: int | None = None,
    held_only: bool = False,
    advance: Callable[[int], object] = lambda n: None,
) -> PictureWorld:
    """Draw and embed the pictures; the same arguments give the same ones.

    Parameters
    ----------
    n_exemplars : int
        Training pictures of each known concept.
    n_unseen : int
        Concepts that are held out whole.
    size : int
        Height and width of what is painted, in pixels.
    n_concepts : int, optional
        Take so many concepts; all by default.
    held_only : bool
        Leave the training pictures out.
    advance : callable
        Told how many pictures were drawn since the last call.

    Raises
    ------
    ConfigError
        There are not so many concepts.
    NecomimiError
        A package of the extra ``demo`` is missing.
    """
    chosen = concepts()
    n_wanted = len(chosen) if n_concepts is None else n_concepts
    if not n_unseen + 2 <= n_wanted <= len(chosen):
        raise ConfigError(
            f"{n_wanted} concepts, {n_unseen} of them unseen", f"at most {len(chosen)}, and two or more to learn from"
        )
    if n_concepts is not None:
        rows = np.random.default_rng([SEED, 1]).permutation(len(chosen))[:n_concepts]
        chosen = tuple(chosen[row] for row in np.sort(rows))
    unseen = np.sort(np.random.default_rng(SEED).permutation(len(chosen))[:n_unseen])
    embedder = build_embedder("embedded", "cpu")

    def draw(job: tuple[Concept, range]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        concept, exemplars = job
        drawn = [draw_picture(concept, i, SEED) for i in exemplars]
        wanted = [draw_picture(concept, i, SEED, upright=True) for i in exemplars]
        small = [picture.resize((size, size), Image.Resampling.LANCZOS) for picture in wanted]
        advance(len(exemplars))
        return embedder.embed(drawn), np.stack([np.asarray(picture) for picture in small])

    first = n_exemplars if held_only else 0
    known, others = range(first, n_exemplars + N_HELD), range(N_UNSEEN)
    shown = [others if i in unseen else known for i in range(len(chosen))]
    parts: Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]] = in_threads(draw, zip(chosen, shown, strict=True))
    embeddings, pixels = zip(*parts, strict=True)
    numbers = np.concatenate([np.array(exemplars) for exemplars in shown])
    of = np.repeat(np.arange(len(chosen)), [len(exemplars) for exemplars in shown])
    return PictureWorld(
        names=tuple(concept.name for concept in chosen),
        unseen=unseen,
        concepts=of,
        held=np.isin(of, unseen) | (numbers >= n_exemplars),
        embeddings=np.concatenate(embeddings),
        pixels=np.concatenate(pixels),
    )
