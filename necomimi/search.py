"""Compare vectors with labelled items, items of one label summed: Embedding -> Retrieval."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Search", "softmax"]


def softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities over the last axis, of the shape of `scores`."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return probabilities


class Search:
    """What a gallery does once its items are known; the base of `necomimi.gallery.Gallery`.

    Attributes
    ----------
    labels : tuple of str
        One per item; items may share a label.
    embeddings : ndarray of float32, shape (n_items, n_dims)
        Unit norm.
    """

    labels: tuple[str, ...]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_dims(self) -> int:
        """Dimensions of the embedding space."""
        return int(self.embeddings.shape[1])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Distinct labels, in order of first appearance."""
        return tuple(dict.fromkeys(self.labels))

    @cached_property
    def item_classes(self) -> NDArray[np.intp]:
        """Index into `classes` of each item, shape (n_items,)."""
        number = {label: i for i, label in enumerate(self.classes)}
        return np.array([number[label] for label in self.labels], dtype=np.intp)

    def similarities(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Return how near each vector is to each class: the cosine with the nearest item of the class.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Need not be of unit norm.

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
            Columns in the order of `classes`.
        """
        return self._by_class(np.maximum, self._cosines(vectors))

    def class_scores(self, vectors: ArrayLike, logit_scale: float) -> NDArray[np.float64]:
        """Return the logarithm of each class's unnormalised probability, items of one class summed.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Need not be of unit norm.
        logit_scale : float
            Inverse temperature.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Columns in the order of `classes`.
        """
        logits: NDArray[np.float64] = logit_scale * self._cosines(vectors).astype(np.float64)
        if len(self.classes) == len(self):
            return logits
        top = logits.max(axis=1, keepdims=True, initial=-np.inf)
        scores: NDArray[np.float64] = top + np.log(np.maximum(self._by_class(np.add, np.exp(logits - top)), 1e-300))
        return scores

    def best(self, class_scores: ArrayLike, k: int) -> tuple[list[tuple[str, ...]], NDArray[np.float32]]:
        """Return the best `k` labels for each row of class scores: a softmax, sorted.

        Parameters
        ----------
        class_scores : array-like, shape (n, n_classes)
            As `class_scores` returns them.
        k : int
            Labels wanted; at most ``len(classes)`` are given. Ties go to the label that comes first in `classes`.

        Returns
        -------
        labels : list of tuple of str
            `n` tuples, best first.
        scores : ndarray of float32, shape (n, k)
            Probabilities, descending.
        """
        if k < 1:
            raise ValueError(f"k is {k}, expected at least 1")
        scores = softmax(np.asarray(class_scores, dtype=np.float64))
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        labels = [tuple(self.classes[i] for i in row) for row in order]
        return labels, np.take_along_axis(scores, order, axis=1).astype(np.float32)

    def retrieve(
        self, vectors: ArrayLike, k: int, logit_scale: float
    ) -> tuple[list[tuple[str, ...]], NDArray[np.float32]]:
        """Return the best `k` labels for each vector: `best` of its `class_scores`.

        Cosine similarities times `logit_scale` pass through a softmax over the items; the probabilities of items with
        the same label are summed.
        """
        return self.best(self.class_scores(vectors, logit_scale), k)

    def _cosines(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Return the cosine of each vector with each item, shape (n, n_items)."""
        rows = np.asarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_dims or not np.isfinite(rows).all():
            raise ValueError(f"vectors of shape {rows.shape}, expected finite numbers of shape (n, {self.n_dims})")
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        cosines: NDArray[np.float32] = (rows / np.maximum(norms, np.float32(1e-12))) @ self.embeddings.T
        return cosines

    def _by_class(self, reduce: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Reduce values of items, shape (n, n_items), to one a class, shape (n, n_classes)."""
        if len(self.classes) == len(self):
            return values
        order = np.argsort(self.item_classes, kind="stable")
        starts = np.flatnonzero(np.diff(self.item_classes[order], prepend=-1))
        return reduce.reduceat(values[:, order], starts, axis=1)
