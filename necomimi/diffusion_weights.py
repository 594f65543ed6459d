"""Weights of a diffusion generator: folder or hub cache -> a stock pipeline without picture and text encoders.

Nothing is downloaded here; `necomimi download NAME` does that, after it has shown the licence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from necomimi.diffusion_choices import ADAPTER_DIMS, Choice
from necomimi.errors import CheckpointError, missing_package

__all__ = ["adapter_state", "load_pipeline", "locate", "pipeline_class", "random_pipeline"]


def _diffusers() -> Any:
    try:
        import diffusers
        import peft  # noqa: F401  diffusers needs it for a LoRA
        import transformers  # noqa: F401
    except ImportError as error:
        raise missing_package("this generator", error, "diffusion") from error
    diffusers.utils.logging.set_verbosity_error()  # it warns of each part that we leave out on purpose
    diffusers.utils.logging.disable_progress_bar()
    return diffusers


def locate(choice: Choice, steps: int, model: str | None = None) -> dict[str, Path]:
    """Find the folders that hold the weights.

    Parameters
    ----------
    choice : Choice
    steps : int
    model : str, optional
        A folder with one folder per repository (``sdxl-turbo``, ``IP-Adapter``, ...), as `necomimi download` makes it,
        or the hub id of another base model of the same architecture; the hub's cache where absent.

    Returns
    -------
    dict of str to Path
        Repository (of the choice's own names) to folder.

    Raises
    ------
    CheckpointError
        Files are missing.
    """
    folders, missing = {}, []
    for repository, files in choice.files(steps).items():
        if model is not None and Path(model).is_dir():
            folder: Path | None = Path(model) / repository.rpartition("/")[2]
        else:
            folder = _cached(model if model is not None and repository == choice.base else repository)
        absent = [file for file in files if folder is None or not (folder / file).is_file()]
        missing += [f"{repository}/{file}" for file in absent]
        if folder is not None:
            folders[repository] = folder
    if missing:
        where = model or "the hub's cache on this machine"
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(
            f"generator {choice.name}, {steps} steps: {missing[0]}{others} not in {where}",
            f"the weights, about {choice.gigabytes:g} GB",
            f"necomimi download {choice.name} FOLDER, then --model FOLDER; meanwhile everything but its pictures works",
        )
    return folders


def _cached(repository: str) -> Path | None:
    """Return the snapshot of a repository in the hub's cache, if there is one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None


def load_pipeline(choice: Choice, steps: int, dtype: torch.dtype, model: str | None = None) -> tuple[Any, Path]:
    """Load the stock pipeline with the tiny autoencoder, the distilled weights and the IP-Adapter, on the CPU.

    Parameters
    ----------
    choice, steps
        As `locate` takes them.
    dtype : torch.dtype
        Of the weights.
    model
        As `locate` takes it.

    Returns
    -------
    pipeline : StableDiffusionXLPipeline or StableDiffusionPipeline
    folder : Path
        Of the base model.

    Raises
    ------
    CheckpointError
        Weights are missing, damaged or of another architecture.
    NecomimiError
        A package is missing.
    """
    diffusers = _diffusers()
    folders = locate(choice, steps, model)
    recipe = choice.recipe(steps)
    base = folders[choice.base]
    try:
        parts: dict[str, Any] = {
            "vae": diffusers.AutoencoderTiny.from_pretrained(
                folders[choice.autoencoder], dtype=dtype, use_safetensors=True
            )
        }
        is_lora = recipe.file.endswith("lora.safetensors")
        if recipe.file and not is_lora:
            unet_config = diffusers.UNet2DConditionModel.load_config(base, subfolder="unet")
            with torch.device("meta"):
                unet = diffusers.UNet2DConditionModel.from_config(unet_config)
            unet.load_state_dict(load_file(folders[choice.distilled] / recipe.file), assign=True)
            parts["unet"] = unet.to(dtype).eval()
        pipeline = pipeline_class(choice).from_pretrained(
            base,
            **parts,
            **_no_encoders(choice),
            dtype=dtype,
            variant=None if "unet" in parts else "fp16",  # refused where no file of the folder has that variant
            use_safetensors=True,
        )
        if is_lora:
            pipeline.load_lora_weights(load_file(folders[choice.distilled] / recipe.file))
            pipeline.fuse_lora()
            pipeline.unload_lora_weights()
        subfolder, _, file = choice.adapter_file.rpartition("/")
        pipeline.load_ip_adapter(
            str(folders[choice.adapter]), subfolder=subfolder, weight_name=file, image_encoder_folder=None
        )
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights of {choice.name} cannot be read: {type(error).__name__}: {str(error)[:200]}",
            f"complete files of {', '.join(folders)}",
            f"remove them and run necomimi download {choice.name} FOLDER again",
        ) from error
    _set_scheduler(pipeline, choice, steps)
    return pipeline, base


def random_pipeline(choice: Choice, steps: int, dtype: torch.dtype, device: torch.device) -> Any:
    """Build the stock pipeline with random weights, for timing: neither speed nor memory depends on their values.

    Parameters
    ----------
    choice : Choice
    steps : int
    dtype : torch.dtype
    device : torch.device
        "meta" makes the architecture without any values.
    """
    diffusers = _diffusers()
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**choice.unet).to(dtype)
        unet._load_ip_adapter_weights([adapter_state(unet)], low_cpu_mem_usage=False)
        decoder = diffusers.AutoencoderTiny().to(dtype)
    for network in (unet, decoder):
        network.eval().to_empty(device=device)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    scheduler = diffusers.EulerAncestralDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing", steps_offset=1
    )
    pipeline = pipeline_class(choice)(unet=unet, vae=decoder, scheduler=scheduler, **_no_encoders(choice))
    _set_scheduler(pipeline, choice, steps)
    return pipeline


def adapter_state(unet: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Return an IP-Adapter for a UNet as its file holds it: the right names and shapes, values on the default device.

    Parameters
    ----------
    unet : UNet2DConditionModel
        Without an adapter.
    """
    n_dims = unet.config.cross_attention_dim
    image_proj = {
        "proj.weight": torch.randn(4 * n_dims, ADAPTER_DIMS) / ADAPTER_DIMS**0.5,
        "proj.bias": torch.zeros(4 * n_dims),
        "norm.weight": torch.ones(n_dims),
        "norm.bias": torch.zeros(n_dims),
    }
    pairs = {}
    for i, name in enumerate(name for name in unet.attn_processors if not name.endswith("attn1.processor")):
        n_hidden = unet.get_submodule(name.removesuffix(".processor")).inner_dim
        for kind in ("k", "v"):
            pairs[f"{2 * i + 1}.to_{kind}_ip.weight"] = torch.randn(n_hidden, n_dims) / n_dims**0.5
    dtype = unet.dtype
    return {
        "image_proj": {key: value.to(dtype) for key, value in image_proj.items()},
        "ip_adapter": {key: value.to(dtype) for key, value in pairs.items()},
    }


def pipeline_class(choice: Choice) -> Any:
    """Return the stock pipeline of a choice's family.

    Raises
    ------
    NecomimiError
        A package is missing.
    """
    return getattr(_diffusers(), "StableDiffusionXLPipeline" if choice.is_xl else "StableDiffusionPipeline")


def _no_encoders(choice: Choice) -> dict[str, Any]:
    """Return the arguments that keep the pipeline from loading what an embedding does not need."""
    absent = ["text_encoder", "tokenizer"]
    absent += ["text_encoder_2", "tokenizer_2"] if choice.is_xl else ["safety_checker", "feature_extractor"]
    return dict.fromkeys(absent) | ({} if choice.is_xl else {"requires_safety_checker": False})


def _set_scheduler(pipeline: Any, choice: Choice, steps: int) -> None:
    recipe = choice.recipe(steps)
    if recipe.scheduler:
        kind = getattr(_diffusers(), recipe.scheduler)
        pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **recipe.options)
