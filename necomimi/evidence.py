"""Add up what several presentations of one stimulus say: embeddings of each -> class scores of all together."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from necomimi.gallery import Gallery

__all__ = ["METHODS", "Averaging", "Method"]

Method = Literal["embeddings", "log-probabilities"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Averaging:
    """How presentations of one stimulus become one answer.

    Of n presentations, "embeddings" takes the mean direction of their unit-norm embeddings and searches with it at the
    inverse temperature ``logit_scale * n ** exponent``; "log-probabilities" takes ``n ** exponent`` times the mean of
    each class's log probability. Independent presentations would ask for an exponent of 1 of the second; presentations
    share their errors, so what fits is less. A single presentation is never changed.

    Parameters
    ----------
    method : {"embeddings", "log-probabilities"}
    exponent : float
        How fast certainty grows with the number of presentations; at least 0.
    calibrated : bool
        Whether method and exponent were fitted on held-out presentations, rather than assumed.

    Raises
    ------
    ValueError
        The method is unknown, or the exponent is negative or not finite.
    """

    method: Method = "embeddings"
    exponent: float = 0.5
    calibrated: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"averaging method is {self.method!r}, expected one of {', '.join(METHODS)}")
        if not math.isfinite(self.exponent) or self.exponent < 0:
            raise ValueError(f"averaging exponent is {self.exponent}, expected a finite number of at least 0")

    def pool(self, vectors: NDArray[np.float32], gallery: Gallery, logit_scale: float) -> NDArray[Any]:
        """Return the mean over presentations, which does not depend on the exponent.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n_stimuli, n, n_dims)
            Unit norm; n presentations of each stimulus.
        gallery : Gallery
        logit_scale : float
            Inverse temperature of a single presentation.

        Returns
        -------
        ndarray
            "embeddings": mean directions of float32, shape (n_stimuli, n_dims); "log-probabilities": mean log
            probabilities of float64, shape (n_stimuli, n_classes).
        """
        pooled: NDArray[Any]
        if self.method == "embeddings":
            pooled = vectors.mean(axis=1)  # the gallery takes its direction
            return pooled
        scores = gallery.class_scores(vectors.reshape(-1, vectors.shape[-1]), logit_scale)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        pooled = scores.reshape(*vectors.shape[:2], -1).mean(axis=1)
        return pooled

    def weigh(self, pooled: NDArray[Any], n: int, gallery: Gallery, logit_scale: float) -> NDArray[np.float64]:
        """Return class scores, shape (n_stimuli, n_classes), of what `pool` returned for `n` presentations."""
        if self.method == "embeddings":
            return gallery.class_scores(pooled, logit_scale * n**self.exponent)
        scores: NDArray[np.float64] = n**self.exponent * pooled
        return scores

    def class_scores(self, vectors: NDArray[np.float32], gallery: Gallery, logit_scale: float) -> NDArray[np.float64]:
        """Return the logarithm of each class's unnormalised probability, given all presentations of a stimulus.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n_stimuli, n, n_dims)
            Unit norm; n presentations of each stimulus.
        gallery : Gallery
        logit_scale : float
            Inverse temperature of a single presentation.

        Returns
        -------
        ndarray of float64, shape (n_stimuli, n_classes)
            For one presentation, exactly ``gallery.class_scores``.
        """
        n = vectors.shape[1]
        if n == 1:
            return gallery.class_scores(vectors[:, 0], logit_scale)
        return self.weigh(self.pool(vectors, gallery, logit_scale), n, gallery, logit_scale)

    def to_config(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Averaging:
        """Return what `to_config` stored.

        Raises
        ------
        KeyError, TypeError, ValueError
            A field is missing or is not what it should be.
        """
        return cls(config["method"], float(config["exponent"]), bool(config["calibrated"]))
