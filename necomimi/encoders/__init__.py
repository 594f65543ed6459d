"""Build an encoder by its name: name, sizes -> module (B, n_chans, n_times) -> (B, n_outputs)."""

from __future__ import annotations

from typing import Any

from necomimi.errors import ConfigError
from necomimi.plugins import find_plugin, plugin_names

from .atms import ATMS
from .base import Encoder, SubjectLayers
from .braindecode import PREFIX, BraindecodeEncoder
from .multiblur import MultiBlur
from .muse import MUSE
from .nerv import NERV
from .nervformer import NervFormer
from .nice import NICE

__all__ = ["Encoder", "build", "names"]

_ENCODERS: dict[str, Any] = {
    "atms": ATMS,
    "multiblur": MultiBlur,
    "muse": MUSE,
    "nerv": NERV,
    "nervformer": NervFormer,
    "nice": NICE,
}


def names() -> tuple[str, ...]:
    """Return the names of our own encoders, and of those that other installed packages bring."""
    return (*_ENCODERS, *(name for name in plugin_names("encoders") if name not in _ENCODERS))


def build(
    name: str, *, n_chans: int, n_times: int, n_outputs: int, personal_layer: bool = False, **kwargs: Any
) -> Encoder:
    """Build an encoder with fresh weights.

    Parameters
    ----------
    name : str
        One of `names`, or any model of braindecode as ``braindecode:EEGNet``. Other packages offer encoders by entry
        points of the group ``necomimi.encoders``.
    n_chans, n_times : int
        Channels and samples of an epoch.
    n_outputs : int
        Dimensions of the embedding.
    personal_layer : bool
        A layer along time for a single person too, as somebody has who was added to several others.
    **kwargs
        Options of that encoder, JSON values, as a decoder's ``config.json`` stores them; of all encoders
        ``n_subjects``, the people it learns from (1).

    Returns
    -------
    Encoder
        Maps (B, n_chans, n_times), and where it has several people the index of each epoch's, to (B, n_outputs).

    Raises
    ------
    ConfigError
        If the name or an option is unknown, or the epoch is too short for the encoder.
    """
    encoder = _build(name, n_chans=n_chans, n_times=n_times, n_outputs=n_outputs, **kwargs)
    if personal_layer and encoder.subject_wise_linear is None:
        encoder.subject_wise_linear = SubjectLayers(n_times, 1)
    return encoder


def _build(name: str, **kwargs: Any) -> Encoder:
    """Build an encoder as it is for so many people."""
    if name.startswith(PREFIX):
        return BraindecodeEncoder(name.removeprefix(PREFIX), **kwargs)
    make = _ENCODERS.get(name) or find_plugin("encoders", name)
    if make is None:
        raise ConfigError(
            f"encoder is {name!r}",
            f"one of {', '.join(names())}, or {PREFIX}MODEL as {PREFIX}EEGNet",
            "an encoder of another package must be installed too",
        )
    try:
        encoder = make(**kwargs)
    except TypeError as error:
        options = sorted(set(kwargs) - {"n_chans", "n_times", "n_outputs"})
        raise ConfigError(f"encoder {name!r} was given options {options}: {error}") from error
    if not isinstance(encoder, Encoder):
        raise ConfigError(f"encoder {name!r} is a {type(encoder).__name__}", "a subclass of necomimi.encoders.Encoder")
    return encoder
