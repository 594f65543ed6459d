"""What a tag is to a judge: true pictures that bear it, or its words -> how like it painted pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError, DatasetError
from necomimi.open_clip_networks import load_open_clip_texts

from .cat_tags import Tags

__all__ = ["Judge", "PictureJudge", "TextJudge", "build_judge"]

PROMPTS = {
    "broad_2": "a photo that has to do with {}",
    "background": "a photo of something, in the background: {}",
    "attribute": "a close-up photo of something {}",
}
PROMPT = "a photo of {}"  # of every other column


class Judge(Protocol):
    """Says how like its tags a picture is.

    Attributes
    ----------
    name : str
        For reports.
    space : str
        Of the embeddings it can judge.
    """

    name: str
    space: str

    def likeness(
        self, concepts: Sequence[str], embeddings: NDArray[np.float32], tags: Tags, column: int
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return the column's tags, and how like each of them each picture is.

        Parameters
        ----------
        concepts : sequence of str
            Of each picture.
        embeddings : ndarray of float32, shape (n_pictures, n_dims)
            Unit norm, of the judge's space.
        tags : Tags
        column : int

        Returns
        -------
        vocabulary : list of str
            Sorted.
        likeness : ndarray of float32, shape (n_pictures, n_tags)
            Higher is more alike; NaN where the judge cannot tell.
        """


class PictureJudge:
    """A judge to whom a tag is what the true pictures of the concepts that bear it have in common.

    A tag's vector is the mean over those concepts of their pictures' mean, as it differs from the mean of all concepts.
    The concept that is judged is left out of its own tags, so a tag that no other concept bears cannot be judged.

    Parameters
    ----------
    concepts : sequence of str
        Of each true picture.
    embeddings : ndarray of float32, shape (n_true, n_dims)
        Of the true pictures.
    space : str
        Of the embeddings.
    """

    name = "pictures"

    def __init__(self, concepts: Sequence[str], embeddings: NDArray[np.float32], space: str) -> None:
        self.space = space
        names, index = np.unique(np.array(concepts), return_inverse=True)
        if not len(names) or len(index) != len(embeddings):
            raise DatasetError(f"{len(concepts)} concepts of {len(embeddings)} true pictures", "one for each picture")
        means = np.zeros((len(names), embeddings.shape[1]))
        np.add.at(means, index, embeddings)
        means /= np.bincount(index)[:, None]
        self._number = {str(name): i for i, name in enumerate(names)}
        self._centre = means.mean(axis=0)
        self._means = means - self._centre  # (n_concepts, n_dims)

    def likeness(
        self, concepts: Sequence[str], embeddings: NDArray[np.float32], tags: Tags, column: int
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return the column's tags, and the cosine of each picture and each tag; see `Judge.likeness`."""
        known = {name: i for name, i in self._number.items() if name in tags.of}
        bearers, owners = tags.column(known, column), tags.column(concepts, column)
        vocabulary = sorted({*bearers, *owners})
        number = {tag: i for i, tag in enumerate(vocabulary)}
        borne = np.array([number[tag] for tag in bearers], dtype=np.intp)
        own = np.array([number[tag] for tag in owners], dtype=np.intp)
        sums = np.zeros((len(vocabulary), embeddings.shape[1]))
        np.add.at(sums, borne, self._means[np.array(list(known.values()), dtype=np.intp)])
        counts = np.bincount(borne, minlength=len(vocabulary))
        is_known = np.array([concept in known for concept in concepts])
        rest = sums[own]
        rest[is_known] -= self._means[[known[concept] for concept in concepts if concept in known]]

        pictures = _unit(embeddings - self._centre)
        likeness = pictures @ _unit(sums).T
        likeness[:, counts == 0] = np.nan
        is_alone = counts[own] == is_known  # no other concept bears the tag
        likeness[np.arange(len(own)), own] = np.where(is_alone, np.nan, (pictures * _unit(rest)).sum(axis=1))
        return vocabulary, likeness.astype(np.float32)


class TextJudge:
    """A judge to whom a tag is its words, as the text half of an OpenCLIP model embeds them.

    Parameters
    ----------
    name : str
        "open_clip:ARCHITECTURE/PRETRAINED", PRETRAINED a tag of OpenCLIP or a file of weights.
    device : str
        Where the text network runs.

    Raises
    ------
    ConfigError
        There is no such model.
    CheckpointError
        The weights cannot be read or downloaded.
    NecomimiError
        OpenCLIP is not installed.
    """

    def __init__(self, name: str, device: str = "auto") -> None:
        kind, _, model = name.partition(":")
        architecture, _, pretrained = model.partition("/")
        if kind != "open_clip" or not architecture or not pretrained:
            raise ConfigError(f"judge {name!r}", '"pictures", or "open_clip:ARCHITECTURE/PRETRAINED"')
        weights, self._encode = load_open_clip_texts(architecture, pretrained, device)
        self.name = self.space = f"open_clip:{architecture}/{weights}"

    def likeness(
        self, concepts: Sequence[str], embeddings: NDArray[np.float32], tags: Tags, column: int
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return the tags of the concepts, and the cosine of each picture and each tag; see `Judge.likeness`."""
        vocabulary = sorted(set(tags.column(concepts, column)))
        prompt = PROMPTS.get(tags.columns[column], PROMPT)
        return vocabulary, embeddings @ self._encode([prompt.format(tag) for tag in vocabulary]).T


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return vectors, shape (n, n_dims), at unit norm; zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


def build_judge(
    name: str,
    *,
    space: str,
    concepts: Sequence[str],
    embeddings: NDArray[np.float32],
    device: str = "auto",
) -> Judge:
    """Build a judge from its name.

    Parameters
    ----------
    name : str
        "pictures", or "open_clip:ARCHITECTURE/PRETRAINED" (text prompts; PRETRAINED is a tag of OpenCLIP or a file).
    space : str
        Of `embeddings`, for example `Gallery.space`; unused by a judge of texts.
    concepts : sequence of str
        Of each true picture: `Gallery.labels`.
    embeddings : ndarray of float32, shape (n_true, n_dims)
        Of the true pictures: `Gallery.embeddings`.
    device : str
        Where the text network runs.

    Raises
    ------
    ConfigError
        There is no such judge or model.
    CheckpointError
        The weights cannot be read or downloaded.
    DatasetError
        There are no true pictures, or concepts of another number of them.
    """
    return PictureJudge(concepts, embeddings, space) if name == PictureJudge.name else TextJudge(name, device)
