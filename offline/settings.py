"""How to train an encoder: options and data sizes -> settings with nothing left open."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from necomimi.config import Settings
from necomimi.errors import ConfigError

__all__ = ["TrainSettings"]


class TrainSettings(Settings):
    """How to train an encoder; None stands for a value that suits the data (see `resolved`).

    Parameters
    ----------
    encoder : str
        A name `necomimi.encoders.build` knows, and
    options : dict
        its options.
    epochs : int
        Passes over the training data.
    batch_size : int, optional
        Epochs per step, all of which are contrasted with each other.
    micro_batch : int, optional
        Most epochs that are encoded at once, where a batch does not fit in memory; costs a third more time.
    lr : float, optional
        Peak learning rate of AdamW, which falls to zero as a cosine.
    weight_decay : float
    noise : float
        Standard deviation of the noise added to each training sample, relative to the data's.
    truncation : float, optional
        Share of the epochs whose signal is set to zero after a random time, so that unfinished epochs can be decoded.
    smoothing : float
        Label smoothing.
    normalize : bool, optional
        Whether the loss sees EEG embeddings at unit norm, as retrieval does.
    temperature : "learned" or float
        What similarities are divided by in the loss; learned from .07 on (Radford et al. 2021), or fixed.
    adapter : bool, optional
        Learn an `ImageAdapter` of the gallery's blur levels together with the encoder; where there are levels, by
        default.
    average : bool, optional
        Train on the mean over the repetitions of each picture.
    val_concepts : int, optional
        Concepts held out, where epochs have pictures.
    val_fraction : float
        Share of the trials held out, where they have only labels.
    shuffle_labels : bool
        Permute the targets: the control that must give chance.
    seed : int
    device : str
        "auto", "cuda", "mps" or "cpu".
    precision : {"auto", "float32", "bfloat16"}
        Of matrix products in training, and of the epochs and blur levels in memory; "auto" takes bfloat16 on CUDA and
        on CPUs that have it.
    compile : bool
        Compile the encoder (torch.compile; needs a C++ compiler), which takes a minute before the first pass.
    wandb : str, optional
        The project of Weights & Biases that curves are sent to, beside TensorBoard's files; the variable WANDB_PROJECT
        where absent.
    """

    encoder: str = "multiblur"
    options: dict[str, Any] = Field(default_factory=dict)
    epochs: int = Field(default=40, ge=1)
    batch_size: int | None = Field(default=None, ge=2)
    micro_batch: int | None = Field(default=None, ge=1)
    lr: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.3, ge=0)
    noise: float = Field(default=0.5, ge=0)
    truncation: float | None = Field(default=None, ge=0, le=1)
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    normalize: bool | None = None
    temperature: Literal["learned"] | PositiveFloat = "learned"
    adapter: bool | None = None
    average: bool | None = None
    val_concepts: int | None = Field(default=None, ge=2)
    val_fraction: float = Field(default=0.2, gt=0, lt=0.5)
    shuffle_labels: bool = False
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    wandb: str | None = None

    def resolved(self, n_epochs: int, n_concepts: int, *, pictures: bool, levels: bool = False) -> TrainSettings:
        """Return the settings with every None replaced.

        Parameters
        ----------
        n_epochs, n_concepts : int
            Size of the training set.
        pictures : bool
            Whether the targets are pictures, or only labels.
        levels : bool
            Whether the targets are known at several levels of blur.

        Raises
        ------
        ConfigError
            An adapter is wanted, and there are no levels.
        """
        if self.adapter and not levels:
            raise ConfigError(
                "an image adapter is wanted, and the gallery holds no blur levels",
                "a gallery of several levels",
                "necomimi embed PICTURES OUT --levels 1,3,9,15",
            )
        defaults = {
            "batch_size": int(np.clip(n_epochs // 16, 32, 1024)),
            "lr": 2e-3 if self.encoder == "multiblur" else 3e-4,
            "normalize": True,
            "adapter": levels,
            "average": pictures,
            "truncation": 0.5 if pictures else 0.0,
            "val_concepts": min(150, max(2, n_concepts // 10)) if pictures else None,
        }
        return self.model_copy(update={key: value for key, value in defaults.items() if getattr(self, key) is None})
