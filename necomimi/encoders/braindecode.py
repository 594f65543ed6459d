"""Any model of braindecode as an encoder: name, sizes, options -> module (B, n_chans, n_times) -> (B, n_outputs)."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from necomimi.errors import ConfigError

from .base import Encoder

__all__ = ["PREFIX", "BraindecodeEncoder", "not_importable"]

PREFIX = "braindecode:"


def not_importable(error: ImportError) -> ConfigError:
    """Return the error to raise where braindecode cannot be imported."""
    return ConfigError(
        f"braindecode cannot be imported: {error}", "it installed", 'pip install "necomimi[braindecode]"'
    )


def models() -> dict[str, Any]:
    """Return braindecode's models by name.

    Raises
    ------
    ConfigError
        braindecode is not installed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of what it imports
            from braindecode.models.util import models_dict
    except ImportError as error:
        raise not_importable(error) from error
    return dict(models_dict)


class BraindecodeEncoder(Encoder):
    """A braindecode model whose outputs are the embedding.

    Parameters
    ----------
    model : str
        Its class, as ``EEGNet``.
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    n_subjects : int
        People it learns from.
    **options
        Further arguments of the model, such as ``sfreq`` in Hz, which some of them need.

    Raises
    ------
    ConfigError
        braindecode is not installed, has no such model, or the model cannot make embeddings of such epochs.
    """

    def __init__(
        self, model: str, *, n_chans: int, n_times: int, n_outputs: int, n_subjects: int = 1, **options: Any
    ) -> None:
        super().__init__(n_chans, n_times, n_outputs, n_subjects)
        known = models()
        if model not in known:
            raise ConfigError(f"braindecode has no model {model!r}", f"one of {', '.join(sorted(known))}")
        accepted = inspect.signature(known[model]).parameters
        if unknown := sorted(set(options) - set(accepted)):
            raise ConfigError(
                f"braindecode:{model} was given options {', '.join(unknown)}", f"some of {', '.join(accepted)}"
            )
        sizes = {"n_chans": n_chans, "n_times": n_times, "n_outputs": n_outputs}
        try:
            with warnings.catch_warnings(action="ignore"):  # of how it fits itself to short epochs
                self.model: nn.Module = known[model](**sizes, **options)
                shape = self._probe()
        except Exception as error:  # each model refuses sizes in its own way
            detail = " ".join(str(error).split())[:300]
            wants_rate = "sfreq" in detail and "sfreq" not in options
            raise ConfigError(
                f"braindecode:{model} takes no epochs of {n_chans} channels and {n_times} samples: {detail}",
                "a model that these sizes suffice for",
                "give it the rate in Hz: options = { sfreq = 250 }" if wants_rate else "",
            ) from error
        if shape != (1, n_outputs):
            raise ConfigError(
                f"braindecode:{model} turns one epoch into shape {shape}", f"(1, {n_outputs}), one embedding"
            )
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def _probe(self) -> tuple[object, ...]:
        """Return the shape the model makes of one silent epoch."""
        self.model.eval()
        with torch.no_grad():
            found = self.model(torch.zeros(1, self.n_chans, self.n_times))
        self.model.train()
        return tuple(found.shape) if isinstance(found, Tensor) else (type(found).__name__,)

    @property
    def output_bias(self) -> nn.Parameter:
        """The bias that is added to the model's outputs, shape (n_outputs,)."""
        return self.bias

    def encode(self, x: Tensor) -> Tensor:
        """Encode (B, n_chans, n_times) to (B, n_outputs) with what all people share."""
        vectors: Tensor = self.model(x) + self.bias
        return vectors
