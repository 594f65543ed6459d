"""Diffusion with an IP-Adapter: unit-norm embedding, seed -> noise -> latents in one to eight steps -> pixels.

The networks and schedulers are those of diffusers. Its pipelines show every picture of a batch all the embeddings, so
the UNet is called here, where each picture has its own. One step of the Euler samplers is written out (no scheduler, no
value that must come back from the device), so that a picture can be one CUDA graph; it gives what the pipeline gives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from necomimi.device import choose_device
from necomimi.diffusion_choices import ADAPTER_DIMS, CLIP_SPACE, Choice, find_choice
from necomimi.diffusion_weights import load_pipeline, random_pipeline
from necomimi.empty_prompt import empty_prompt
from necomimi.errors import ConfigError, DeviceMemoryError
from necomimi.generators import check_embeddings

__all__ = ["CLIP_NORM", "DiffusionGenerator", "build_diffusion"]

CLIP_NORM = 20.0  # about the mean norm of ViT-H-14's vectors over natural pictures
LATENT = 8  # pixels per value of the latents, along each side
log = logging.getLogger(__name__)


class DiffusionGenerator:
    """A stock diffusion model that paints from picture embeddings.

    Parameters
    ----------
    choice : Choice
    pipeline : StableDiffusionXLPipeline or StableDiffusionPipeline
        With the IP-Adapter, and without text and picture encoders.
    prompt : dict of str to Tensor
        Text embeddings of the empty prompt: "prompt_embeds", shape (1, 77, n_dims), and for SDXL
        "pooled_prompt_embeds", shape (1, n_dims).
    device : torch.device
    steps : int
    size : int
        Pixels.
    clip_norm, scale, compile
        As `necomimi.generators.build_generator` takes them.
    """

    space = CLIP_SPACE
    n_dims = ADAPTER_DIMS

    def __init__(
        self,
        choice: Choice,
        pipeline: Any,
        prompt: dict[str, torch.Tensor],
        device: torch.device,
        *,
        steps: int,
        size: int,
        clip_norm: float = CLIP_NORM,
        scale: float = 1.0,
        compile: bool = False,
    ) -> None:
        self.name = choice.name
        self.size = size
        self.steps = steps
        self._choice = choice
        self._recipe = choice.recipe(steps)
        self._clip_norm = clip_norm
        self._device = device
        self._pipeline = pipeline
        pipeline.set_ip_adapter_scale(scale)
        self._unet, self._vae, self._scheduler = pipeline.unet, pipeline.vae, pipeline.scheduler
        self._unet.requires_grad_(False)
        self._vae.requires_grad_(False)
        self._unet.to(device, memory_format=torch.channels_last)
        self._vae.to(device, memory_format=torch.channels_last)
        self._dtype: torch.dtype = self._unet.dtype
        self._prompt = {key: value.to(device, self._dtype) for key, value in prompt.items()}
        # Height, width, top, left, target height, target width: whole pictures, as in SDXL's training.
        self._time_ids = torch.tensor([[size, size, 0, 0, size, size]], dtype=self._dtype, device=device)
        self._set_timesteps()
        self._timesteps = self._scheduler.timesteps.to(device)
        self._is_one_euler_step = steps == 1 and "Euler" in type(self._scheduler).__name__
        if self._is_one_euler_step:
            self._sigma = float(self._scheduler.sigmas[0])
            self._init_sigma = float(self._scheduler.init_noise_sigma)
        if compile:
            # A compiled form takes the place of the method, which mypy takes for a slip.
            options: dict[str, Any] = {"mode": "reduce-overhead", "fullgraph": True, "dynamic": False}
            if self._is_one_euler_step:
                self._one_step_pixels = torch.compile(self._one_step_pixels, **options)  # type: ignore[method-assign]
            else:
                self._predict = torch.compile(self._predict, **options)  # type: ignore[method-assign]
                self._decode = torch.compile(self._decode, **options)  # type: ignore[method-assign]

    def paint(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Paint one picture from each embedding; see `necomimi.generators.Generator.paint`."""
        check_embeddings(self, embeddings, seeds)
        with torch.inference_mode(), _enough_memory(self._choice, self.size, self._device):
            vectors = torch.as_tensor(embeddings, dtype=torch.float32) * self._clip_norm
            images = vectors.to(self._device, self._dtype)[:, None]  # (n, 1, n_dims)
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]  # of the CPU: the same on any device
            shape = (1, 4, self.size // LATENT, self.size // LATENT)
            noise = torch.cat([torch.randn(shape, generator=each, dtype=self._dtype) for each in generators])
            noise = noise.to(self._device)
            if self._is_one_euler_step:
                pixels = self._one_step_pixels(noise, images)
            else:
                pixels = self._decode(self._denoise(noise, images, generators))
            return pixels.cpu().numpy()

    def stages(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures of `paint`: what lies before the last step is noise."""
        yield self.paint(embeddings, seeds)

    def _one_step_pixels(self, noise: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return pixels in one Euler step, rounding as the scheduler does: x0 = x - sigma * eps."""
        noisy = noise * self._init_sigma
        predicted = self._predict(noisy / (self._sigma**2 + 1) ** 0.5, self._timesteps[0], images)
        sample = noisy.float()
        is_sample = self._scheduler.config.prediction_type == "sample"
        clean = predicted if is_sample else sample - self._sigma * predicted
        latents = sample + (sample - clean) / self._sigma * -self._sigma
        return self._decode(latents.to(predicted.dtype))

    def _denoise(self, noise: torch.Tensor, images: torch.Tensor, generators: list[torch.Generator]) -> torch.Tensor:
        """Return latents (n, 4, size / 8, size / 8) by the stock scheduler."""
        self._set_timesteps()
        options = self._pipeline.prepare_extra_step_kwargs(generators, self._recipe.eta)
        latents: torch.Tensor = noise * self._scheduler.init_noise_sigma
        # The scheduler keeps its own time steps on the CPU, where looking one up makes no one wait.
        for step, on_device in zip(self._scheduler.timesteps, self._timesteps, strict=True):
            torch.compiler.cudagraph_mark_step_begin()
            predicted = self._predict(self._scheduler.scale_model_input(latents, step), on_device, images)
            latents = self._scheduler.step(predicted, step, latents, **options, return_dict=False)[0]
        return latents

    def _set_timesteps(self) -> None:
        if self._recipe.timesteps:
            self._scheduler.set_timesteps(timesteps=list(self._recipe.timesteps), device="cpu")
        else:
            self._scheduler.set_timesteps(self.steps, device="cpu")

    def _predict(self, latents: torch.Tensor, timestep: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return what the UNet predicts from noisy latents, each picture with its own embedding."""
        n = len(latents)
        conditions: dict[str, Any] = {"image_embeds": [images]}
        if self._choice.is_xl:
            conditions["text_embeds"] = self._prompt["pooled_prompt_embeds"].expand(n, -1)
            conditions["time_ids"] = self._time_ids.expand(n, -1)
        predicted: torch.Tensor = self._unet(
            latents,
            timestep,
            encoder_hidden_states=self._prompt["prompt_embeds"].expand(n, -1, -1),
            added_cond_kwargs=conditions,
            return_dict=False,
        )[0]
        return predicted

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return uint8 pixels (n, size, size, 3)."""
        pictures: torch.Tensor = self._vae.decode(latents / self._vae.config.scaling_factor, return_dict=False)[0]
        pictures = (pictures * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float()
        return (pictures * 255).round().to(torch.uint8)


@contextmanager
def _enough_memory(choice: Choice, size: int, device: torch.device) -> Iterator[None]:
    """Tell in words where the device's memory does not suffice."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        smaller = f"--generator {choice.smaller}, which needs less" if choice.smaller else "no pictures"
        raise DeviceMemoryError(
            f"{device} has too little memory for the generator {choice.name} at {size} pixels",
            "about 8 GB free" if choice.is_xl else "about 3 GB free",
            f"close what else uses the device, or {smaller}",
        ) from error


def build_diffusion(
    name: str,
    device: str = "auto",
    *,
    steps: int = 1,
    size: int | None = None,
    model: str | None = None,
    random_weights: bool = False,
    clip_norm: float | None = None,
    scale: float = 1.0,
    compile: bool = False,
) -> DiffusionGenerator:
    """Build a diffusion generator; the parameters are those of `necomimi.generators.build_generator`.

    Raises
    ------
    ConfigError
        A name or setting is unknown or does not fit the others.
    CheckpointError
        Weights are missing, damaged or of another architecture.
    NecomimiError
        A package is missing.
    DeviceMemoryError
        The device has too little memory.
    """
    choice = find_choice(name)
    choice.recipe(steps)
    size = choice.size if size is None else size
    if size < 64 or size % 64:
        raise ConfigError(f"pictures of {size} pixels", "a multiple of 64, from 64")
    if clip_norm is not None and not clip_norm > 0:
        raise ConfigError(f"clip_norm {clip_norm}", "a number above 0")
    if random_weights and model is not None:
        raise ConfigError(f"random weights and the model {model}", "one of the two")
    place = choose_device(device)
    if compile and place.type != "cuda":
        raise ConfigError(f"compiling for {place.type}", "a CUDA device")
    dtype = torch.float32 if place.type == "cpu" else torch.float16  # half precision is slow on a CPU
    folder: Path | None = None
    with _enough_memory(choice, size, place):
        if random_weights:
            pipeline = random_pipeline(choice, steps, dtype, torch.device("cpu") if place.type == "mps" else place)
        else:
            pipeline, folder = load_pipeline(choice, steps, dtype, model)
        prompt = empty_prompt(choice, pipeline, folder)
        log.info("%s: %d steps, %d pixels, %s on %s", name, steps, size, dtype, place)
        return DiffusionGenerator(
            choice, pipeline, prompt, place, steps=steps, size=size, clip_norm=clip_norm or CLIP_NORM, scale=scale,
            compile=compile,
        )  # fmt: skip
