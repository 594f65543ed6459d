"""Weights of the published training scripts, read without running anything in the file: state dict -> encoder.

Our encoders keep the published layers and names, so most tensors keep their keys. What a published file holds besides:

- ``attention_model.encoder_layer.*``: the layer that its `nn.TransformerEncoder` was copied from, never used again;
- ``attention_model.pos_encoder.pe``: the position code, which we compute;
- ``subject_wise_linear.1.*`` and further: the published forward pass always takes layer 0;
- a prefix before all names, of `nn.DataParallel` or `torch.compile`.
"""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path
from statistics import mode
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from necomimi.encoders import Encoder, build
from necomimi.errors import CheckpointError, ConfigError

__all__ = ["PUBLISHED", "published_encoder", "published_scale", "read_state_dict"]

logger = logging.getLogger(__name__)

PUBLISHED = ("atms", "muse", "nerv", "nervformer", "nice")
N_OUTPUTS = 1024  # where a file does not say
MIN_OUTPUTS = 16  # with fewer our head does not normalise, the published one does
MAX_OUTPUTS = 16384  # a head of more would fill the memory before its shapes are compared
WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which training scripts keep the weights
PREFIXES = ("module.", "_orig_mod.", "model.")
DEAD_LAYER = "attention_model.encoder_layer."
LIVE_LAYER = "attention_model.transformer_encoder.layers.0."
POSITION_CODE = "attention_model.pos_encoder.pe"
OPTIONAL = ("logit_scale", "num_batches_tracked")  # last parts of keys; neither changes an embedding


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a file of `torch.save` or safetensors; no code in it is run.

    Parameters
    ----------
    path : Path
        A state dict, bare or in a dict under "state_dict", "model_state_dict" or "model".

    Returns
    -------
    dict of str to Tensor
        In main memory, without the prefix that all names share.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, or holds anything but named tensors.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}", "a file of weights") from error
    try:
        if head[8:] == b"{":  # a safetensors header: its length in 8 bytes, then JSON
            value: Any = load_file(path)
        else:
            with warnings.catch_warnings(action="ignore"):  # of how the file was written
                value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # every malformed file, by whichever library refuses it
        raise _unreadable(path, error) from None
    state = _tensors_in(value)
    if not state:
        keys = f" of {_some([str(key) for key in value])}" if isinstance(value, dict) and value else ""
        raise CheckpointError(
            f"{path} holds a {type(value).__name__}{keys}: no state dict",
            f"tensors by name, alone or under {', '.join(WRAPPERS)}",
            "write it with torch.save(model.state_dict(), FILE)",
        )
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), ""):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    """Return what to say of a file that neither torch nor safetensors accepts."""
    named = re.search(r"GLOBAL ([\w.]+\.\w+)", str(error))
    if named:
        return CheckpointError(
            f"{path} holds {named[1]}, which is not a tensor",
            "tensors by name and nothing else: anything else could run any program, and is not loaded",
            "where the model was trained, write it with torch.save(model.state_dict(), FILE)",
        )
    return CheckpointError(
        f"{path} is damaged, cut short or of another kind ({type(error).__name__})",
        "a state dict written by torch.save, or safetensors",
        "copy or download it again",
    )


def _tensors_in(value: Any) -> dict[str, Tensor]:
    """Return the state dict in what a file holds, empty where there is none."""
    if not isinstance(value, dict):
        return {}
    for candidate in (value, *(value[key] for key in WRAPPERS if key in value)):
        items = candidate.items() if isinstance(candidate, dict) else ()
        if items and all(isinstance(key, str) and isinstance(item, Tensor) for key, item in items):
            return dict(items)
    return {}


def published_encoder(state: dict[str, Tensor], name: str, *, n_chans: int, n_times: int, source: Path) -> Encoder:
    """Build an encoder with published weights, of as many outputs as they have.

    Parameters
    ----------
    state : dict of str to Tensor
        As `read_state_dict` gives it.
    name : str
        One of `PUBLISHED`.
    n_chans, n_times : int
        Channels and samples of the epochs that the weights were trained on.
    source : Path
        Where they come from, for messages.

    Returns
    -------
    Encoder
        In evaluation mode, float32.

    Raises
    ------
    CheckpointError
        A tensor is missing, unknown, of another shape or not finite.
    ConfigError
        The name is not that of a published encoder.
    """
    if name not in PUBLISHED:
        raise ConfigError(f"--encoder {name!r}", f"one of {', '.join(PUBLISHED)}, whose published layout is known")
    n_outputs = _outputs_of(state)
    if not MIN_OUTPUTS <= n_outputs <= MAX_OUTPUTS:
        raise CheckpointError(
            f"{source}: the weights have {n_outputs} outputs",
            f"{MIN_OUTPUTS} to {MAX_OUTPUTS}, as the embedders have",
            "train an encoder of other sizes with necomimi train encoder",
        )
    encoder = build(name, n_chans=n_chans, n_times=n_times, n_outputs=n_outputs)
    ours = encoder.state_dict()
    state = _without_unused(state, encoder, source)
    _check_names(state, set(ours), name, source)
    sizes = f"for {name} with {n_chans} channels x {n_times} samples and {n_outputs} outputs"
    for key, tensor in state.items():
        _check_tensor(key, tensor, ours[key], sizes, source)
    encoder.load_state_dict({**ours, **state})
    if "logit_scale" not in state:
        logger.warning("%s holds no logit_scale: its value before training is taken", source)
    elif state["logit_scale"] <= 0:
        raise CheckpointError(f"{source}: logit_scale is {float(state['logit_scale']):g}", "a positive number")
    return encoder.eval()


def published_scale(encoder: Encoder) -> float:
    """Return the inverse temperature of cosines that gives the probabilities of the published scripts.

    They multiply similarities with ``logit_scale`` itself, not its exponential, and the output of the encoder is not
    normalised. A LayerNorm of weights w and biases b gives vectors whose root-mean-square length, over inputs whose
    normalised features are uncorrelated with both, is ``sqrt(sum(w**2) + sum(b**2))``; that is the other factor.

    Parameters
    ----------
    encoder : Encoder
        From `published_encoder`.
    """
    last = {key: value.detach().double() for key, value in encoder.named_parameters() if key.startswith("proj_eeg.2.")}
    length: float = sum(float(value.square().sum()) for value in last.values()) ** 0.5
    return float(encoder.logit_scale.detach()) * length


def _outputs_of(state: dict[str, Tensor]) -> int:
    """Return how many outputs most tensors of the head speak of."""
    keys = (f"proj_eeg.{layer}.{kind}" for layer in ("0", "1.fn.1", "2") for kind in ("bias", "weight"))
    found = [int(state[key].shape[0]) for key in keys if key in state and state[key].ndim]
    return mode(found) if found else N_OUTPUTS


def _without_unused(state: dict[str, Tensor], encoder: Encoder, source: Path) -> dict[str, Tensor]:
    """Return the tensors less those that the published forward pass never uses, or that we compute."""
    if POSITION_CODE not in dict(encoder.named_buffers()):
        return state
    ours = encoder.state_dict()
    kept, unused = {}, 0
    for key, tensor in state.items():
        live = re.sub(r"^subject_wise_linear\.\d+\.", "subject_wise_linear.0.", key.replace(DEAD_LAYER, LIVE_LAYER))
        if key == POSITION_CODE:
            _check_position_code(tensor, encoder, source)
        elif live == key or live not in ours:
            kept[key] = tensor
        else:
            _check_tensor(key, tensor, ours[live], f"as {live}", source)
            unused += 1
    logger.debug("%s: %d tensors left out, which the published forward pass never uses", source, unused)
    return kept


def _check_position_code(found: Tensor, encoder: Encoder, source: Path) -> None:
    """Raise where a stored position code is not the one that we compute; it may go on after the epoch's end."""
    ours = encoder.get_buffer(POSITION_CODE)[:, 0]  # (n_times, n_chans)
    n_times, n_chans = ours.shape
    table = found
    while table.ndim > 2 and 1 in table.shape[:-1]:  # a batch axis, before or after that of time
        table = table.squeeze(table.shape.index(1))
    if table.ndim != 2 or len(table) < n_times or table.shape[1] != n_chans:
        raise CheckpointError(
            f"{source}: {POSITION_CODE} has shape {tuple(found.shape)}", f"(at least {n_times}, {n_chans})"
        )
    _check_tensor(POSITION_CODE, table[:n_times], ours, "", source)
    if not torch.allclose(table[:n_times].to(ours.dtype), ours, rtol=0, atol=1e-3):
        raise CheckpointError(f"{source}: {POSITION_CODE} holds another position code", "sines and cosines of time")


def _check_names(state: dict[str, Tensor], expected: set[str], name: str, source: Path) -> None:
    """Raise where tensors are missing or unknown, and say which encoder they are of where that is plain."""
    missing = sorted(key for key in expected - set(state) if not key.endswith(OPTIONAL))
    unknown = sorted(set(state) - expected)
    if not missing and not unknown:
        return
    parts = [f"{word} {_some(keys)}" for word, keys in (("lacks", missing), ("holds", unknown)) if keys]
    likely = _likely_encoder(set(state))
    raise CheckpointError(
        f"{source} {' and '.join(parts)}",
        f"the names of {name}, as published: {_some(sorted(expected))}",
        f"--encoder {likely}" if likely and likely != name else "",
    )


def _some(keys: list[str]) -> str:
    """Return the first of some names, in words."""
    shown = [ascii(key)[1:-1][:80] for key in keys[:3]]  # a foreign file can hold any text
    return ", ".join(shown) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _likely_encoder(keys: set[str]) -> str:
    """Return the encoder that the names of some tensors speak of, "" where they speak of none."""
    over_time = any(key.startswith("attention_model.") for key in keys)
    if any(key.startswith("enc_eeg.cross_attn.") for key in keys):
        return "nerv" if over_time else "nervformer"
    if any(key.startswith("enc_eeg.0.tsconv.") for key in keys):
        return "atms" if over_time else "nice"
    return "muse" if any(key.startswith("enc_eeg.stconv.") for key in keys) else ""


def _check_tensor(key: str, found: Tensor, expected: Tensor, sizes: str, source: Path) -> None:
    """Raise where a tensor's shape, kind or values cannot be those of a weight."""
    if found.shape != expected.shape:
        raise CheckpointError(
            f"{source}: {key} has shape {tuple(found.shape)}",
            f"{tuple(expected.shape)}, {sizes}",
            "choose the --encoder of these weights, or give with --epochs such epochs as they were trained on",
        )
    plain = found.layout == torch.strided and found.device.type == "cpu" and not found.is_quantized
    if not plain or found.is_floating_point() != expected.is_floating_point() or found.is_complex():
        raise CheckpointError(
            f"{source}: {key} is {found.dtype}, {found.layout}, on {found.device.type}", f"dense {expected.dtype}"
        )
    if not torch.isfinite(found.to(expected.dtype)).all():
        raise CheckpointError(
            f"{source}: {key} holds values that are not finite", "finite numbers", "take an earlier checkpoint"
        )
