"""Text embeddings of the empty prompt: a file beside the base model, else its text encoders, else zeros -> tensors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from necomimi.diffusion_choices import Choice
from necomimi.diffusion_weights import pipeline_class
from necomimi.errors import CheckpointError

__all__ = ["EMPTY_PROMPT_FILE", "empty_prompt"]

EMPTY_PROMPT_FILE = "empty-prompt.safetensors"  # beside the base model's own folders
N_TOKENS = 77  # of a prompt
log = logging.getLogger(__name__)


def empty_prompt(choice: Choice, pipeline: Any, folder: Path | None) -> dict[str, torch.Tensor]:
    """Return the text embeddings of the empty prompt: from its file, else by the text encoders, else zeros.

    The encoders run once, where they lie beside the base model; what they gave is kept in a file beside them.

    Parameters
    ----------
    choice : Choice
    pipeline : StableDiffusionXLPipeline or StableDiffusionPipeline
        Whose UNet takes them.
    folder : Path or None
        Of the base model; None for random weights.

    Returns
    -------
    dict of str to Tensor
        "prompt_embeds", shape (1, 77, n_dims), and for SDXL "pooled_prompt_embeds", shape (1, n_dims).
    """
    config = pipeline.unet.config
    shapes: dict[str, tuple[int, ...]] = {"prompt_embeds": (1, N_TOKENS, config.cross_attention_dim)}
    if choice.is_xl:
        n_pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        shapes["pooled_prompt_embeds"] = (1, n_pooled)
    if folder is None:
        return {key: torch.zeros(shape) for key, shape in shapes.items()}
    file = folder / EMPTY_PROMPT_FILE
    weights = [name for name in choice.text_files if name.endswith(".safetensors")]
    try:
        if file.is_file():
            vectors = load_file(file)
        elif all((folder / name).is_file() for name in weights):
            vectors = _encode_empty_prompt(choice, folder)
            _keep(vectors, file)
        else:
            log.warning(
                "%s: no text encoder and no %s in %s: zeros stand for the text embeddings of the empty prompt, and "
                "pictures will differ somewhat from the published way",
                choice.name, EMPTY_PROMPT_FILE, folder,
            )  # fmt: skip
            return {key: torch.zeros(shape) for key, shape in shapes.items()}
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the text embeddings of the empty prompt cannot be had from {folder}: {str(error)[:200]}",
            f"{EMPTY_PROMPT_FILE}, or whole text encoders",
            f"remove {EMPTY_PROMPT_FILE} and the text_encoder folders; zeros then take their place",
        ) from error
    found = {key: tuple(value.shape) for key, value in vectors.items()}
    if found != shapes:
        raise CheckpointError(f"{file}: {found}", str(shapes), f"remove {file}")
    return vectors


def _keep(vectors: dict[str, torch.Tensor], file: Path) -> None:
    """Write the text embeddings beside the model, unless its folder is not ours to write to."""
    try:
        save_file(vectors, file)
    except OSError as error:
        log.info("%s was not written, the text encoders will run each time: %s", file, error)


def _encode_empty_prompt(choice: Choice, folder: Path) -> dict[str, torch.Tensor]:
    log.info("%s: computing the text embeddings of the empty prompt once, with the text encoders", choice.name)
    pipeline = pipeline_class(choice).from_pretrained(
        folder,
        **dict.fromkeys(("unet", "vae", *([] if choice.is_xl else ["safety_checker", "feature_extractor"]))),
        dtype=torch.float32,
        variant="fp16",
        use_safetensors=True,
    )
    with torch.inference_mode():
        if choice.is_xl:
            prompt, _, pooled, _ = pipeline.encode_prompt("", do_classifier_free_guidance=False)
            return {"prompt_embeds": prompt.clone(), "pooled_prompt_embeds": pooled.clone()}
        prompt, _ = pipeline.encode_prompt("", torch.device("cpu"), 1, do_classifier_free_guidance=False)
    return {"prompt_embeds": prompt.clone()}
