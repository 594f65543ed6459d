"""A trained decoder: EEG epochs -> embeddings -> labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from necomimi.adapter import ImageAdapter
from necomimi.decoder_files import read_decoder, write_decoder
from necomimi.device import choose_device
from necomimi.encoders import Encoder
from necomimi.errors import CheckpointError, ConfigError
from necomimi.evidence import Averaging
from necomimi.gallery import Gallery
from necomimi.hub import HubMixin
from necomimi.preprocessing import Preprocessor, apply_operators
from necomimi.prior import Prior
from necomimi.search import softmax

if TYPE_CHECKING:
    from mne import BaseEpochs

__all__ = ["Decoder"]


@dataclass(eq=False, kw_only=True)
class Decoder(HubMixin):
    """A trained encoder with the preprocessing it needs and the gallery it searches.

    Parameters
    ----------
    encoder_config : dict
        What `necomimi.encoders.build` needs: "name", "n_chans", "n_times", "n_outputs", and options.
    encoder : Encoder
        (B, n_chans, n_times) -> (B, n_outputs).
    preprocessor : Preprocessor
    space : str
        The embedder whose space the encoder's output is in.
    logit_scale : float
        Inverse temperature of a single presentation's probabilities, fitted on held-out training data.
    gallery : Gallery or None
        What is searched.
    training : dict
        How it was trained and what validation said; facts for the reader, such as "truncated": whether it has seen
        unfinished epochs.
    averaging : Averaging
        How several presentations of one stimulus become one answer.
    early_scales : tuple of (float, float)
        Pairs of seconds from the onset, ascending, and the inverse temperature of epochs that end there: the less has
        arrived, the less a similarity means. Empty where none was fitted.
    adapter : ImageAdapter or None
        What brings pictures of `base_space`, at several levels of blur, into `space`.
    base_space : str
        The embedder before the adapter; "" without one.
    subjects : dict of str to ndarray of float32, shape (n_channels, n_channels)
        The people it was trained on together, in the order of the encoder's subject layers, each with the spatial
        matrix (1/V) of their own epochs; empty for a decoder of one person. `preprocessor` is that of all of them.
    prior : Prior or None
        What brings embeddings from `space` to where the embeddings of pictures lie, for a generator.
    clip_norm : float or None
        Mean norm of the training pictures' vectors before they were normalised, for a generator; None where it was
        not measured.
    device : torch.device
        Where the networks compute.
    """

    encoder_config: dict[str, Any]
    encoder: Encoder
    preprocessor: Preprocessor
    space: str
    logit_scale: float
    gallery: Gallery | None = None
    training: dict[str, Any] = field(default_factory=dict)
    averaging: Averaging = field(default_factory=Averaging)
    early_scales: tuple[tuple[float, float], ...] = ()
    adapter: ImageAdapter | None = None
    base_space: str = ""
    subjects: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    prior: Prior | None = None
    clip_norm: float | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        found = (self.encoder_config.get("n_chans"), self.encoder_config.get("n_times"))
        expected = (len(self.preprocessor.ch_names), self.preprocessor.n_times)
        if found != expected:
            raise CheckpointError(
                f"the encoder takes (channels, samples) = {found}", f"{expected}, what the preprocessing gives"
            )
        n_subjects = self.encoder.n_subjects
        if n_subjects not in (1, len(self.subjects)):
            raise CheckpointError(f"{n_subjects} subject layers for {len(self.subjects)} people", "one layer for each")
        for spatial in self.subjects.values():
            replace(self.preprocessor, spatial=spatial)  # refuses a matrix for other channels
        self.encoder.to(self.device).eval()
        if self.adapter is not None:
            self.adapter.to(self.device).eval()
            adapted = self.adapter.adapted_space(self.base_space)
            if adapted != self.space:
                raise CheckpointError(f"the image adapter leads to {adapted}", f"{self.space}, the decoder's space")
        if self.prior is not None:
            self.prior.to(self.device).eval()
            if (self.prior.source_space, self.prior.n_dims) != (self.space, self.encoder_config["n_outputs"]):
                raise CheckpointError(
                    f"a prior from {self.prior.n_dims} dimensions of {self.prior.source_space}",
                    f"from {self.encoder_config['n_outputs']} of {self.space}, the decoder's space",
                    "fit it to this decoder: necomimi train prior",
                )
        if self.gallery is not None:
            self.use_gallery(self.gallery)
        self.pooled_preprocessor = self.preprocessor  # stays, whoever is chosen
        self._operators: dict[tuple[float, tuple[str, ...], float | None], tuple[Any, Any]] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that can be answered."""
        return self.gallery.classes if self.gallery else ()

    def use_subject(self, name: str | None) -> None:
        """Decode the epochs of this person from now on, by their own subject layer and spatial matrix.

        Parameters
        ----------
        name : str or None
            One of `subjects`; None for somebody unknown, by the mean of the subject layers and of the people's
            covariances.

        Raises
        ------
        ConfigError
            The decoder was not trained on this person.
        """
        if name is not None and name not in self.subjects:
            raise ConfigError(f"subject {name!r}", f"one of {', '.join(self.subjects) or 'none: it is of one person'}")
        self.encoder.subject, self.preprocessor = None, self.pooled_preprocessor
        if name is not None:
            self.preprocessor = replace(self.preprocessor, spatial=self.subjects[name])
            if self.encoder.n_subjects > 1:
                self.encoder.subject = list(self.subjects).index(name)
        self._operators.clear()

    def use_gallery(self, gallery: Gallery) -> None:
        """Search `gallery` from now on; one of `base_space` is adapted first.

        Raises
        ------
        CheckpointError
            The gallery is of another embedder.
        """
        if self.adapter is not None and gallery.space == self.base_space:
            gallery = self.adapter.gallery(gallery)
        gallery.require_space(self.space)
        if gallery.n_dims != self.encoder_config["n_outputs"]:
            raise CheckpointError(
                f"the gallery has {gallery.n_dims} dimensions", f"{self.encoder_config['n_outputs']}, as the encoder"
            )
        self.gallery = gallery

    def embed(self, data: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings of preprocessed epochs.

        Parameters
        ----------
        data : ndarray, shape (n_epochs, n_channels, n_times)
            What `preprocessor` returns.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_dims)
            Unit norm.
        """
        expected = (len(self.preprocessor.ch_names), self.preprocessor.n_times)
        if data.ndim != 3 or data.shape[1:] != expected:
            raise ConfigError(f"epochs of shape {data.shape}", f"(n_epochs, {expected[0]}, {expected[1]})")
        blocks = [self._encode(self._to_device(block)) for block in np.array_split(data, max(1, len(data) // 256))]
        return np.concatenate(blocks)

    def embed_raw(
        self, data: NDArray[np.float32], sfreq: float, applied: Sequence[str] = (), until: float | None = None
    ) -> NDArray[np.float32]:
        """Preprocess and embed epochs cut from a signal, on the decoder's device.

        Parameters
        ----------
        data : ndarray of float32, shape (n_epochs, n_channels, n_in)
            Volts, model order, cut as ``preprocessor.window(sfreq, applied, until)`` says.
        sfreq : float
            Rate of `data` in Hz.
        applied : sequence of str
            Steps already done to `data`.
        until : float, optional
            Seconds from the onset at which unfinished epochs end; the model's input after it is zero.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_dims)
            Unit norm.
        """
        key = (sfreq, tuple(applied), until)
        if key not in self._operators:
            spatial, temporal = (
                None if matrix is None else torch.tensor(matrix, device=self.device)
                for matrix in self.preprocessor.operators(sfreq, applied, until)
            )
            self._operators[key] = spatial, temporal
        batch = self._to_device(self.preprocessor.centred(data, applied))
        with torch.inference_mode():
            batch = apply_operators(batch, *self._operators[key])
        return self._encode(batch)

    def embed_epochs(self, epochs: BaseEpochs) -> NDArray[np.float32]:
        """Return the embeddings of epochs of MNE-Python.

        Parameters
        ----------
        epochs : mne.Epochs
            See `necomimi.mne_epochs.volts_of`, which says what is refused.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_dims)
            Unit norm.
        """
        from necomimi.mne_epochs import volts_of

        data, sfreq = volts_of(epochs, self.preprocessor)
        return self.embed_raw(data, sfreq, self.preprocessor.applied)

    def predict(self, epochs: BaseEpochs) -> list[str]:
        """Return the best label of each epoch of MNE-Python, as `embed_epochs` takes them."""
        return [labels[0] for labels in self.retrieve(self.embed_epochs(epochs), k=1)[0]]

    def predict_proba(self, epochs: BaseEpochs) -> NDArray[np.float32]:
        """Return the probability of each class for epochs of MNE-Python, as `embed_epochs` takes them.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_classes)
            Columns in the order of `classes`.
        """
        scores = self._searched().class_scores(self.embed_epochs(epochs), self.logit_scale)
        return softmax(scores).astype(np.float32)

    def _to_device(self, data: NDArray[Any]) -> torch.Tensor:
        """Bring an array to the device, through pinned memory where that is a GPU's; on the CPU without a copy."""
        array = np.ascontiguousarray(data, dtype=np.float32)
        tensor = torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _encode(self, batch: torch.Tensor) -> NDArray[np.float32]:
        """Return unit-norm embeddings of a batch (B, C, T), in half precision on a GPU."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.float16, enabled=self.device.type == "cuda"),
        ):
            vectors = torch.nn.functional.normalize(self.encoder(batch).float(), dim=-1)
        return vectors.cpu().numpy()

    def scale_at(self, until: float | None) -> float:
        """Return the inverse temperature of epochs that end `until` seconds from the onset; None for whole ones."""
        if until is None or not self.early_scales:
            return self.logit_scale
        times, scales = zip(*self.early_scales, strict=True)
        end = self.preprocessor.start + self.preprocessor.n_times / self.preprocessor.sfreq
        return float(np.interp(until, [*times, end], [*scales, self.logit_scale]))

    def retrieve(
        self, embeddings: NDArray[np.float32], k: int = 5, until: float | None = None
    ) -> tuple[list[tuple[str, ...]], NDArray[np.float32]]:
        """Return the best labels of each embedding and their probabilities.

        Parameters
        ----------
        embeddings : ndarray of float32, shape (n, n_dims)
        k : int
            Labels wanted; fewer where the gallery has fewer.
        until : float, optional
            Seconds from the onset at which the epochs behind the embeddings end, where they are unfinished.

        Returns
        -------
        labels : list of tuple of str
            Best first.
        scores : ndarray of float32, shape (n, k)
            Probabilities, descending.
        """
        return self._searched().retrieve(embeddings, k, self.scale_at(until))

    def retrieve_averaged(
        self, vectors: NDArray[np.float32], k: int = 5
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Return the best labels of one stimulus that was presented several times, and their probabilities.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, n_dims)
            The unit-norm embedding of each presentation.
        k : int
            Labels wanted; fewer where the gallery has fewer.

        Returns
        -------
        labels : tuple of str
            Best first.
        scores : ndarray of float32, shape (k,)
            Probabilities, descending; of one presentation, those of `retrieve`.
        """
        gallery = self._searched()
        scores = self.averaging.class_scores(np.asarray(vectors, np.float32)[None], gallery, self.logit_scale)
        labels, probabilities = gallery.best(scores, k)
        return labels[0], probabilities[0]

    def similarities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of embeddings with the nearest item of each class.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, n_dims)

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
            Columns in the order of `classes`.
        """
        return self._searched().similarities(vectors)

    def to_image_space(self, vectors: NDArray[np.float32], seeds: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Return embeddings as pictures have them, the second of two stages; the first alone is `embed`.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, n_dims)
            What `embed` returns.
        seeds : sequence of int, optional
            One for each vector, of what the prior draws; 0 for each by default.

        Returns
        -------
        ndarray of float32, shape (n, n_dims)
            Unit norm, of the space ``prior.space``.

        Raises
        ------
        ConfigError
            The decoder has no prior, or the vectors are not its own.
        """
        if self.prior is None:
            raise ConfigError("the decoder has no prior", "one, for two stages", "fit it: necomimi train prior")
        return self.prior.to_image_space(vectors, seeds)

    def _searched(self) -> Gallery:
        """Return the gallery, which must be there."""
        if self.gallery is None:
            raise ConfigError("the decoder has no gallery", "one to search", "give --gallery DIR (necomimi embed)")
        return self.gallery

    def save(self, path: Path | str) -> None:
        """Write the decoder directory; an existing decoder there is replaced once the new one is whole."""
        write_decoder(self, Path(path))

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> Decoder:
        """Read a decoder directory, strictly.

        Raises
        ------
        CheckpointError
            The directory is absent, foreign or damaged, or its parts do not fit each other.
        """
        return cls(**read_decoder(Path(path)), device=choose_device(device))
