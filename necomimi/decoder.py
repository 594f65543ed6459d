"""A trained decoder directory: EEG epochs -> embeddings -> labels.

A decoder directory holds ``config.json`` (what it is and how it was trained), ``encoder.safetensors`` (weights),
``preprocessing.safetensors`` (the spatial matrix) and, where it knows what to search, ``gallery/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from necomimi.checkpoint import read_config, whole_directory, write_config
from necomimi.encoders import build
from necomimi.errors import CheckpointError, ConfigError
from necomimi.evidence import Averaging
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor, apply_operators

__all__ = ["Decoder", "choose_device"]

VERSION = 1


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device to decode or train on.

    Parameters
    ----------
    name : {"auto", "cuda", "mps", "cpu"}
        "auto" takes CUDA, then MPS, then the CPU.

    Raises
    ------
    ConfigError
        The device is unknown or not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, is_there in there.items() if is_there))
    if name not in there:
        raise ConfigError(f"device {name!r}", "auto, cuda, mps or cpu")
    if not there[name]:
        raise ConfigError(f"device {name!r} is not available here", "--device auto or cpu")
    return torch.device(name)


@dataclass(eq=False, kw_only=True)
class Decoder:
    """A trained encoder with the preprocessing it needs and the gallery it searches.

    Parameters
    ----------
    encoder_config : dict
        What `necomimi.encoders.build` needs: "name", "n_chans", "n_times", "n_outputs", and options.
    encoder : torch.nn.Module
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
    """

    encoder_config: dict[str, Any]
    encoder: torch.nn.Module
    preprocessor: Preprocessor
    space: str
    logit_scale: float
    gallery: Gallery | None = None
    training: dict[str, Any] = field(default_factory=dict)
    averaging: Averaging = field(default_factory=Averaging)
    early_scales: tuple[tuple[float, float], ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        found = (self.encoder_config.get("n_chans"), self.encoder_config.get("n_times"))
        expected = (len(self.preprocessor.ch_names), self.preprocessor.n_times)
        if found != expected:
            raise CheckpointError(
                f"the encoder takes (channels, samples) = {found}", f"{expected}, what the preprocessing gives"
            )
        if self.gallery is not None:
            self.use_gallery(self.gallery)
        self.encoder.to(self.device).eval()
        self._operators: dict[tuple[float, tuple[str, ...], float | None], tuple[Any, Any]] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that can be answered."""
        return self.gallery.classes if self.gallery else ()

    def use_gallery(self, gallery: Gallery) -> None:
        """Search `gallery` from now on.

        Raises
        ------
        CheckpointError
            The gallery is of another embedder.
        """
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
            operators = self.preprocessor.operators(sfreq, applied, until)
            self._operators[key] = tuple(
                None if matrix is None else torch.tensor(matrix, device=self.device) for matrix in operators
            )  # type: ignore[assignment]
        batch = self._to_device(self.preprocessor.centred(data, applied))
        with torch.inference_mode():
            batch = apply_operators(batch, *self._operators[key])
        return self._encode(batch)

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

    def _searched(self) -> Gallery:
        """Return the gallery, which must be there."""
        if self.gallery is None:
            raise ConfigError("the decoder has no gallery", "one to search", "give --gallery DIR (necomimi embed)")
        return self.gallery

    def save(self, path: Path | str) -> None:
        """Write the decoder directory; an existing decoder there is replaced once the new one is whole."""
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            read_config(path, "decoder", VERSION)  # never overwrite anything else
        fields = {
            "encoder": self.encoder_config,
            "preprocessing": self.preprocessor.to_config(),
            "space": self.space,
            "logit_scale": self.logit_scale,
            "averaging": self.averaging.to_config(),
            "early_scales": self.early_scales,
            "training": self.training,
        }
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.encoder.state_dict().items()}
        with whole_directory(path) as partial:
            write_config(partial, "decoder", VERSION, fields)
            save_file(weights, partial / "encoder.safetensors")
            self.preprocessor.save_matrix(partial / "preprocessing.safetensors")
            if self.gallery is not None:
                self.gallery.save(partial / "gallery")

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> Decoder:
        """Read a decoder directory, strictly.

        Raises
        ------
        CheckpointError
            The directory is absent, foreign or damaged, or its parts do not fit each other.
        """
        path = Path(path)
        config = read_config(path, "decoder", VERSION)
        try:
            encoder_config = dict(config["encoder"])
            encoder = build(**encoder_config)
            space, logit_scale = str(config["space"]), float(config["logit_scale"])
            averaging = Averaging.from_config(config["averaging"]) if "averaging" in config else Averaging()
            early_scales = tuple((float(until), float(scale)) for until, scale in config.get("early_scales", ()))
            preprocessing = config["preprocessing"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path / 'config.json'} does not describe a decoder: {error}", "what necomimi train encoder wrote"
            ) from error
        try:
            encoder.load_state_dict(load_file(path / "encoder.safetensors"), strict=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            detail = " ".join(str(error).split())[:300]
            raise CheckpointError(
                f"the weights in {path / 'encoder.safetensors'} do not load: {detail}",
                f"the weights of a {encoder_config['name']} of these sizes",
                "train again, or fetch the directory again",
            ) from error
        return cls(
            encoder_config=encoder_config,
            encoder=encoder,
            preprocessor=Preprocessor.from_config(preprocessing, path / "preprocessing.safetensors"),
            space=space,
            logit_scale=logit_scale,
            gallery=Gallery.load(path / "gallery") if (path / "gallery").is_dir() else None,
            training=dict(config.get("training", {})),
            averaging=averaging,
            early_scales=early_scales,
            device=choose_device(device),
        )
