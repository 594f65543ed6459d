"""The diffusion generators that can be named: name, steps -> repositories, files, sampler, licence, architecture.

All of them take the pooled picture embedding of OpenCLIP's ViT-H-14 through an IP-Adapter (Ye et al. 2023,
arXiv:2308.06721) and decode with a tiny autoencoder. Files, samplers and time steps are those of the model cards of
SDXL-Turbo, SDXL-Lightning (arXiv:2402.13929) and Hyper-SD (arXiv:2404.13686).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from necomimi.errors import ConfigError

__all__ = ["ADAPTER_DIMS", "CHOICES", "CLIP_SPACE", "Choice", "Recipe", "find_choice"]

CLIP_SPACE = "open_clip:ViT-H-14/laion2b_s32b_b79k"
ADAPTER_DIMS = 1024  # of that space
SDXL_UNET: Mapping[str, Any] = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "cross_attention_dim": 2048,
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD15_UNET: Mapping[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}


@dataclass(frozen=True)
class Recipe:
    """How one number of steps is sampled.

    Parameters
    ----------
    file : str
        Distilled weights in the choice's `distilled` repository: a LoRA where the name ends in "lora.safetensors", a
        whole UNet otherwise; "" for the base model's own weights.
    scheduler : str
        A scheduler of diffusers, which takes over the base model's settings; "" for the base model's own scheduler.
    options : mapping
        Settings of that scheduler which differ.
    timesteps : tuple of int
        Where they are not those that the scheduler chooses.
    eta : float
        Share of fresh noise in a step, for the schedulers that have it.
    """

    file: str = ""
    scheduler: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    timesteps: tuple[int, ...] = ()
    eta: float = 0.0


@dataclass(frozen=True)
class Choice:
    """One generator that can be named.

    Parameters
    ----------
    name : str
    base, distilled : str
        Repositories of the hub; `distilled` is "" where the base model is used as it is.
    adapter_file : str
        The IP-Adapter within its repository.
    autoencoder : str
        Repository of the tiny autoencoder.
    recipes : mapping of int to Recipe
        By number of steps.
    size : int
        Height and width of the pictures in pixels that the model is meant for.
    licence : str
        In words, to be read before a download.
    gigabytes : float
        What is downloaded, about.
    unet : mapping
        The architecture of the UNet, as the base model's own config.json says.
    smaller : str
        The choice that needs less memory; "" for none.
    adapter : str
        Repository of the IP-Adapter.
    """

    name: str
    base: str
    distilled: str
    adapter_file: str
    autoencoder: str
    recipes: Mapping[int, Recipe]
    size: int
    licence: str
    gigabytes: float
    unet: Mapping[str, Any]
    smaller: str
    adapter: str = "h94/IP-Adapter"

    @property
    def is_xl(self) -> bool:
        """Whether it is of the SDXL family, not of Stable Diffusion 1.5."""
        return "addition_embed_type" in self.unet

    def recipe(self, steps: int) -> Recipe:
        """Return how so many steps are sampled.

        Raises
        ------
        ConfigError
            The model was not made for that number of steps.
        """
        if steps not in self.recipes:
            raise ConfigError(f"{steps} steps of {self.name}", f"{', '.join(map(str, self.recipes))}")
        return self.recipes[steps]

    def files(self, steps: int) -> dict[str, tuple[str, ...]]:
        """Return the files that so many steps need, by repository."""
        file = self.recipe(steps).file
        unet = ["unet/config.json"]
        if not file or file.endswith("lora.safetensors"):
            unet.append("unet/diffusion_pytorch_model.fp16.safetensors")
        wanted = {
            self.base: ("model_index.json", "scheduler/scheduler_config.json", *unet),
            self.adapter: (self.adapter_file,),
            self.autoencoder: ("config.json", "diffusion_pytorch_model.safetensors"),
        }
        return wanted | ({self.distilled: (file,)} if file else {})

    @property
    def text_files(self) -> tuple[str, ...]:
        """What of the base model gives the text embeddings of the empty prompt; patterns of file names."""
        encoders = ("text_encoder", "text_encoder_2") if self.is_xl else ("text_encoder",)
        weights = (f"{name}/{file}" for name in encoders for file in ("config.json", "model.fp16.safetensors"))
        tokenizers = (name.replace("text_encoder", "tokenizer") + "/*" for name in encoders)
        return (*weights, *tokenizers)


TRAILING = {"timestep_spacing": "trailing"}
UNCLIPPED = TRAILING | {"clip_sample": False}  # latents reach beyond 1, where DDIM would cut them off by default
SDXL_BASE = "stabilityai/stable-diffusion-xl-base-1.0"
XL_ADAPTER = "sdxl_models/ip-adapter_sdxl_vit-h.safetensors"
OPENRAIL = (
    "CreativeML Open RAIL++-M: commercial use allowed, with the restrictions of use in its attachment; "
    "IP-Adapter Apache-2.0, tiny autoencoder MIT"
)

CHOICES: dict[str, Choice] = {
    choice.name: choice
    for choice in (
        Choice(
            name="sdxl-turbo",
            base="stabilityai/sdxl-turbo",
            distilled="",
            adapter_file=XL_ADAPTER,
            autoencoder="madebyollin/taesdxl",
            recipes={steps: Recipe() for steps in (1, 2, 3, 4)},
            size=512,
            licence=(
                "Stability AI's licence for SDXL-Turbo: research and other non-commercial use; commercial use needs "
                "their permission (read https://huggingface.co/stabilityai/sdxl-turbo); IP-Adapter Apache-2.0, tiny "
                "autoencoder MIT"
            ),
            gigabytes=7.6,
            unet=SDXL_UNET,
            smaller="sd15",
        ),
        Choice(
            name="sdxl-lightning",
            base=SDXL_BASE,
            distilled="ByteDance/SDXL-Lightning",
            adapter_file=XL_ADAPTER,
            autoencoder="madebyollin/taesdxl",
            recipes={
                1: Recipe(
                    "sdxl_lightning_1step_unet_x0.safetensors",
                    "EulerDiscreteScheduler",
                    TRAILING | {"prediction_type": "sample"},
                ),
                **{
                    steps: Recipe(f"sdxl_lightning_{steps}step_unet.safetensors", "EulerDiscreteScheduler", TRAILING)
                    for steps in (2, 4, 8)
                },
            },
            size=1024,
            licence=OPENRAIL,
            gigabytes=7.6,
            unet=SDXL_UNET,
            smaller="sd15",
        ),
        Choice(
            name="hyper-sd",
            base=SDXL_BASE,
            distilled="ByteDance/Hyper-SD",
            adapter_file=XL_ADAPTER,
            autoencoder="madebyollin/taesdxl",
            recipes={
                1: Recipe("Hyper-SDXL-1step-Unet.safetensors", "LCMScheduler", timesteps=(800,)),
                **{
                    steps: Recipe(f"Hyper-SDXL-{steps}steps-lora.safetensors", "DDIMScheduler", UNCLIPPED)
                    for steps in (2, 4, 8)
                },
            },
            size=1024,
            licence=OPENRAIL,
            gigabytes=8.4,
            unet=SDXL_UNET,
            smaller="sd15",
        ),
        Choice(
            name="sd15",
            base="stable-diffusion-v1-5/stable-diffusion-v1-5",
            distilled="ByteDance/Hyper-SD",
            adapter_file="models/ip-adapter_sd15.safetensors",
            autoencoder="madebyollin/taesd",
            recipes={
                1: Recipe("Hyper-SD15-1step-lora.safetensors", "TCDScheduler", eta=1.0),
                **{
                    steps: Recipe(f"Hyper-SD15-{steps}steps-lora.safetensors", "DDIMScheduler", UNCLIPPED)
                    for steps in (2, 4, 8)
                },
            },
            size=512,
            licence=OPENRAIL.replace("RAIL++-M", "RAIL-M (Hyper-SD's part: RAIL++-M)"),
            gigabytes=2.4,
            unet=SD15_UNET,
            smaller="",
        ),
    )
}


def find_choice(name: str) -> Choice:
    """Return the diffusion generator of that name.

    Raises
    ------
    ConfigError
        There is none.
    """
    if name not in CHOICES:
        raise ConfigError(f"generator {name!r}", f"one of {', '.join(CHOICES)}")
    return CHOICES[name]
