"""A decoder as an estimator of scikit-learn: epochs of MNE or arrays, labels -> fit, predict, predict_proba, score."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from necomimi.console import console
from necomimi.decoder import Decoder
from necomimi.epochs import Epochs, Trial
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.mne_epochs import volts_of

from .cutting import BLOCK, MICROVOLTS, Part, Window
from .engine import train_encoder
from .settings import TrainSettings
from .whitening import write_epochs

if TYPE_CHECKING:
    from mne import BaseEpochs

__all__ = ["EpochsClassifier"]


class EpochsClassifier(ClassifierMixin, BaseEstimator):
    """Train an encoder on epochs, and answer others, in the manner of scikit-learn.

    Parameters
    ----------
    encoder : str
        A name that `necomimi.encoders.build` knows.
    epochs : int
        Passes over the training data.
    gallery : Gallery, optional
        Embeddings of the pictures that were shown, whose names are the labels; without one the labels are the classes.
    window : Window, optional
        What of an epoch is looked at, by default from 0 s to its end at 250 Hz, less the mean before the onset.
    settings : dict, optional
        Further fields of `necomimi.offline.settings.TrainSettings`.
    seed : int

    Attributes
    ----------
    decoder_ : Decoder
        The trained decoder; ``decoder_.save(path)`` makes a directory for ``necomimi decode``.
    classes_ : ndarray of str
        What can be answered, sorted.
    """

    def __init__(
        self,
        encoder: str = "multiblur",
        *,
        epochs: int = 40,
        gallery: Gallery | None = None,
        window: Window | None = None,
        settings: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.encoder = encoder
        self.epochs = epochs
        self.gallery = gallery
        self.window = window
        self.settings = settings
        self.seed = seed

    def fit(self, X: BaseEpochs | Sequence[BaseEpochs], y: ArrayLike) -> EpochsClassifier:
        """Train on epochs.

        Parameters
        ----------
        X : mne.Epochs, or a sequence of them
            In volts; a sequence is what ``cross_val_score`` makes of them.
        y : array-like of str, shape (n_epochs,)
            The label of each.

        Raises
        ------
        ConfigError
            There are not as many labels as epochs, or the epochs do not hold the window.
        DatasetError
            Labels are not in the gallery, or there are too few trials to hold some out.
        """
        epochs, labels = _joined(X), [str(label) for label in np.asarray(y)]
        if len(labels) != len(epochs):
            raise ConfigError(f"{len(labels)} labels for {len(epochs)} epochs", "one label for each epoch")
        gallery = self.gallery or Gallery.from_labels(labels)
        settings = TrainSettings(encoder=self.encoder, epochs=self.epochs, seed=self.seed, **(self.settings or {}))
        with _silent(), tempfile.TemporaryDirectory(prefix="necomimi-") as folder:
            self._write(epochs, labels, Path(folder) / "epochs")
            self.decoder_ = train_encoder(Epochs.load(Path(folder) / "epochs"), gallery, settings).decoder
        self.classes_ = np.array(self.decoder_.classes)
        return self

    def _write(self, epochs: BaseEpochs, labels: Sequence[str], path: Path) -> None:
        """Preprocess epochs, whitened by their own noise, into an epochs directory."""
        sfreq = float(epochs.info["sfreq"])
        window = self.window or Window(
            tmin=float(epochs.tmin),
            tmax=float(epochs.tmax),
            start=max(0.0, float(epochs.tmin)),
            sfreq=min(250.0, sfreq),
            baseline=float(epochs.tmin) < 0,
        )
        preprocessor = window.preprocessor(epochs.ch_names)
        _, temporal = preprocessor.operators(sfreq)
        assert temporal is not None
        data, _ = volts_of(epochs, preprocessor)

        def cut(block: NDArray[np.int64]) -> NDArray[np.float32]:
            centred = preprocessor.centred(data[block])
            return np.asarray(MICROVOLTS * centred @ temporal, dtype=np.float32)

        counts: dict[str, int] = {}
        trials = []
        for label, sample in zip(labels, epochs.events[:, 0], strict=True):
            counts[label] = counts.get(label, 0) + 1
            trials.append(Trial(label=label, repetition=counts[label], onset=float(sample) / sfreq))
        rows = np.arange(len(labels))
        blocks = tuple(np.array_split(rows, -(-len(rows) // BLOCK)))
        part = Part(split="train", session=1, rows=rows, blocks=blocks, cut=cut)
        write_epochs(path, [part], {"train": trials}, preprocessor, whiten="pooled", source="mne.Epochs")

    def predict(self, X: BaseEpochs | Sequence[BaseEpochs]) -> NDArray[np.str_]:
        """Return the best label of each epoch, shape (n_epochs,)."""
        return np.array(self._fitted().predict(_joined(X)))

    def predict_proba(self, X: BaseEpochs | Sequence[BaseEpochs]) -> NDArray[np.float32]:
        """Return the probability of each class, shape (n_epochs, n_classes), columns as `classes_`."""
        return self._fitted().predict_proba(_joined(X))

    def _fitted(self) -> Decoder:
        if not hasattr(self, "decoder_"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("this EpochsClassifier is not fitted yet: call fit(epochs, labels) first")
        return self.decoder_


@contextmanager
def _silent() -> Iterator[None]:
    """Print no progress, as estimators do not."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def _joined(X: BaseEpochs | Sequence[BaseEpochs]) -> BaseEpochs:
    """Return epochs that scikit-learn has taken apart as one object again."""
    if hasattr(X, "get_data"):
        return X
    import mne

    # The times of the events stay: trials that share signal must not be held out from each other.
    return mne.concatenate_epochs(list(X), add_offset=False, verbose="error")
