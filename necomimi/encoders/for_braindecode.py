"""Our encoders as models of braindecode: sizes as braindecode gives them -> module (B, n_chans, n_times) -> outputs.

They fit wherever a model of braindecode does: in its `EEGClassifier` and `EEGRegressor`, its configs, its way to the
hub. The encoder itself is the attribute `encoder`, the same module that `necomimi.encoders.build` makes. The other way
round, a braindecode model as our encoder, is `necomimi.encoders.braindecode`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from necomimi.errors import ConfigError

from . import Encoder, build
from .braindecode import not_importable

try:
    from braindecode.models.base import EEGModuleMixin
except ImportError as error:
    raise not_importable(error) from error

__all__ = ["ATMS", "MUSE", "NERV", "NICE", "MultiBlur", "NervFormer"]


class _Model(EEGModuleMixin, nn.Module):
    """An encoder of ours.

    Parameters
    ----------
    n_chans, n_outputs, n_times : int, optional
        Channels; classes, or dimensions of the embedding; samples of an epoch.
    chs_info : list of dict, optional
        ``info["chs"]`` of MNE, in place of `n_chans`.
    input_window_seconds, sfreq : float, optional
        Seconds and Hz, in place of `n_times`.
    **options
        Those of the encoder.

    Raises
    ------
    ValueError
        The sizes contradict each other, or do not say what is needed.
    ConfigError
        An option is unknown, or the epoch is too short for the encoder.
    """

    name: ClassVar[str]
    encoder: Encoder

    def __init__(
        self,
        n_chans: int | None = None,
        n_outputs: int | None = None,
        n_times: int | None = None,
        chs_info: list[dict[str, Any]] | None = None,
        input_window_seconds: float | None = None,
        sfreq: float | None = None,
        **options: Any,
    ) -> None:
        if "n_subjects" in options:
            raise ConfigError(
                f"n_subjects = {options['n_subjects']}",
                "a model for one person: braindecode does not tell a model whose an epoch is",
                "several people: necomimi train encoder",
            )
        super().__init__(
            n_outputs=n_outputs,
            n_chans=n_chans,
            chs_info=chs_info,
            n_times=n_times,
            input_window_seconds=input_window_seconds,
            sfreq=sfreq,
        )
        self._options = options
        self.encoder = build(**self.encoder_config)

    @property
    def encoder_config(self) -> dict[str, Any]:
        """What `necomimi.decoder.Decoder` must know of the encoder: its name, sizes and options."""
        sizes = {"n_chans": self.n_chans, "n_times": self.n_times, "n_outputs": self.n_outputs}
        return {"name": self.name, **sizes, **self._options}

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, n_chans, n_times) into (B, n_outputs): logits, or an embedding."""
        outputs: Tensor = self.encoder(x)
        return outputs

    def reset_head(self, n_outputs: int) -> None:
        """Give the model so many outputs, with fresh weights in the layers that make them."""
        if n_outputs == self.n_outputs:
            return
        self._set_n_outputs(n_outputs)  # type: ignore[operator]
        old, place = self.encoder.state_dict(), next(self.encoder.parameters()).device
        self.encoder = build(**self.encoder_config).to(place)
        new = self.encoder.state_dict()
        self.encoder.load_state_dict(new | {key: old[key] for key in new if old[key].shape == new[key].shape})


class ATMS(_Model):
    """ATM-S (Li et al. 2024)."""

    name = "atms"


class MUSE(_Model):
    """MUSE (Chen and Wei 2024)."""

    name = "muse"


class MultiBlur(_Model):
    """The encoder of the multi-level blur recipe; options `n_filters`, `n_hidden`, `dropout`."""

    name = "multiblur"


class NERV(_Model):
    """NERV, that is NervFormer V2."""

    name = "nerv"


class NervFormer(_Model):
    """NervFormer V1."""

    name = "nervformer"


class NICE(_Model):
    """NICE (Song et al. 2024)."""

    name = "nice"
