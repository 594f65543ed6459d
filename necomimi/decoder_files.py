"""A decoder on disk: config, weights, matrices and gallery <-> decoder directory, loaded strictly.

A decoder directory holds ``config.json`` (what it is and how it was trained), ``encoder.safetensors`` (weights),
``preprocessing.safetensors`` (the spatial matrix) and, where there are any, ``adapter.safetensors`` (the image
adapter), ``subjects.safetensors`` (each person's spatial matrix), ``gallery/`` (what is searched) and ``prior/``
(``config.json`` and ``prior.safetensors``), which is added to a decoder that is already there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from necomimi.adapter import ImageAdapter
from necomimi.checkpoint import check_overwritable, read_config, whole_directory, write_config
from necomimi.encoders import build
from necomimi.errors import CheckpointError
from necomimi.evidence import Averaging
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor
from necomimi.prior import Prior

if TYPE_CHECKING:
    from necomimi.decoder import Decoder

__all__ = ["read_decoder", "read_preprocessing", "write_decoder", "write_prior"]


def write_decoder(decoder: Decoder, path: Path) -> None:
    """Write a decoder directory; an existing decoder there is replaced once the new one is whole."""
    check_overwritable(path, "decoder")
    adapter, subjects = decoder.adapter, decoder.subjects
    fields = {
        "encoder": decoder.encoder_config,
        "preprocessing": decoder.pooled_preprocessor.to_config(),
        "space": decoder.space,
        "base_space": decoder.base_space,
        "adapter": None if adapter is None else adapter.config,
        "subjects": list(subjects),  # in the order of the encoder's subject layers, which safetensors do not keep
        "logit_scale": decoder.logit_scale,
        "averaging": decoder.averaging.to_config(),
        "early_scales": decoder.early_scales,
        "clip_norm": decoder.clip_norm,
        "training": decoder.training,
    }
    with whole_directory(path) as partial:
        write_config(partial, "decoder", fields)
        _save_weights(decoder.encoder, partial / "encoder.safetensors")
        decoder.pooled_preprocessor.save_matrix(partial / "preprocessing.safetensors")
        if adapter is not None:
            _save_weights(adapter, partial / "adapter.safetensors")
        if subjects:
            matrices = {name: torch.tensor(spatial) for name, spatial in subjects.items()}
            save_file(matrices, partial / "subjects.safetensors")
        if decoder.gallery is not None:
            decoder.gallery.save(partial / "gallery")
        if decoder.prior is not None:
            write_prior(decoder.prior, partial)


def write_prior(prior: Prior, path: Path) -> None:
    """Put a prior into a decoder directory, in place of any other once it is whole; all else there stays."""
    with whole_directory(path / "prior") as partial:
        write_config(partial, "prior", prior.config)
        _save_weights(prior, partial / "prior.safetensors")


def read_decoder(path: Path) -> dict[str, Any]:
    """Return the arguments of `necomimi.decoder.Decoder`, but for the device.

    Raises
    ------
    CheckpointError
        The directory is absent, foreign or damaged.
    """
    config = read_config(path, "decoder")
    try:
        encoder_config = dict(config["encoder"])
        encoder = build(**encoder_config)
        adapter = ImageAdapter(**config["adapter"]) if config.get("adapter") else None
        found = {
            "encoder_config": encoder_config,
            "space": str(config["space"]),
            "base_space": str(config.get("base_space", "")),
            "logit_scale": float(config["logit_scale"]),
            "averaging": Averaging.from_config(config["averaging"]) if "averaging" in config else Averaging(),
            "early_scales": tuple((float(until), float(scale)) for until, scale in config.get("early_scales", ())),
            "training": dict(config.get("training", {})),
            "clip_norm": None if config.get("clip_norm") is None else float(config["clip_norm"]),
        }
        preprocessing, names = config["preprocessing"], [str(name) for name in config.get("subjects", ())]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path / 'config.json'} does not describe a decoder: {error}", "what necomimi train encoder wrote"
        ) from error
    _load_weights(encoder, path / "encoder.safetensors", f"the weights of a {encoder_config['name']} of these sizes")
    if adapter is not None:
        _load_weights(adapter, path / "adapter.safetensors", "the weights of an image adapter of these sizes")
    return {
        **found,
        "encoder": encoder,
        "adapter": adapter,
        "subjects": _read_subjects(path / "subjects.safetensors", names) if names else {},
        "preprocessor": Preprocessor.from_config(preprocessing, path / "preprocessing.safetensors"),
        "gallery": Gallery.load(path / "gallery") if (path / "gallery").is_dir() else None,
        "prior": _read_prior(path / "prior") if (path / "prior").is_dir() else None,
    }


def read_preprocessing(path: Path) -> Preprocessor:
    """Return what a decoder directory does to its epochs, without the rest of it."""
    config = read_config(path, "decoder")
    return Preprocessor.from_config(config.get("preprocessing", {}), path / "preprocessing.safetensors")


def _read_prior(path: Path) -> Prior:
    """Read the prior of a decoder."""
    fields = read_config(path, "prior")
    try:
        prior = Prior(**{key: value for key, value in fields.items() if key not in ("format", "version")})
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path / 'config.json'} does not describe a prior: {error}", "what necomimi train prior wrote"
        ) from error
    _load_weights(
        prior, path / "prior.safetensors", f"the weights of a {prior.kind} prior of {prior.n_dims} dimensions"
    )
    return prior.eval()


def _save_weights(module: torch.nn.Module, path: Path) -> None:
    """Write a module's state."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}, path)


def _load_weights(module: torch.nn.Module, path: Path, expected: str) -> None:
    """Read a module's state, refusing another module's in words."""
    try:
        module.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"the weights in {path} do not load: {detail}", expected, "train again, or fetch the directory again"
        ) from error


def _read_subjects(path: Path, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Read the spatial matrix of each person."""
    try:
        tensors = load_file(path)
        return {name: tensors[name].numpy() for name in names}
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}", f"matrices of {', '.join(names)}", "fetch the directory again"
        ) from error
