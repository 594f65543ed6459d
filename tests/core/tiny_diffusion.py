"""Tiny random weights in the hub's own layout: FOLDER/sdxl-turbo, FOLDER/IP-Adapter, FOLDER/taesdxl, ..."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from necomimi.diffusion_choices import CHOICES, Choice
from necomimi.diffusion_weights import adapter_state, pipeline_class

N_DIMS = 32  # of a tiny text encoder
XL = {
    "sample_size": 8,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 2 * N_DIMS,
    "transformer_layers_per_block": (1, 2),
    "attention_head_dim": (2, 4),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + N_DIMS,
}
SD15 = {
    "sample_size": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": N_DIMS,
    "attention_head_dim": 2,
}


def tiny(name: str) -> Choice:
    """Return a choice with a tiny architecture."""
    return replace(CHOICES[name], unet=XL if CHOICES[name].is_xl else SD15)


def write(choice: Choice, steps: int, folder: Path, text: bool = False) -> None:
    """Write what `choice` needs for so many steps, and text encoders too if they are wanted."""
    import diffusers

    torch.manual_seed(0)
    places = {repository: folder / repository.rpartition("/")[2] for repository in choice.files(steps)}
    unet = diffusers.UNet2DConditionModel(**choice.unet)
    image, pairs = adapter_state(unet).values()
    tensors = {f"image_proj.{key}": value for key, value in image.items()}
    tensors |= {f"ip_adapter.{key}": value for key, value in pairs.items()}
    file = places[choice.adapter] / choice.adapter_file
    file.parent.mkdir(parents=True)
    save_file(tensors, file)

    decoder = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )
    with torch.no_grad():  # pictures that are not all black, so that what changes them shows
        decoder.decoder.layers[-1].weight *= 20
        decoder.decoder.layers[-1].bias.fill_(0.5)
    decoder.save_pretrained(places[choice.autoencoder])

    scheduler = diffusers.EulerAncestralDiscreteScheduler if choice.name == "sdxl-turbo" else diffusers.PNDMScheduler
    options: dict[str, Any] = {"timestep_spacing": "trailing"} if choice.name == "sdxl-turbo" else {"steps_offset": 1}
    names = ["text_encoder", "tokenizer"]
    names += ["text_encoder_2", "tokenizer_2"] if choice.is_xl else ["safety_checker", "feature_extractor"]
    parts = dict.fromkeys(names) | ({} if choice.is_xl else {"requires_safety_checker": False})
    if text:
        parts |= _text_encoders(choice, folder)
    pipeline = pipeline_class(choice)(
        unet=unet,
        vae=decoder,
        scheduler=scheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **options),
        **parts,
    )
    base = places[choice.base]
    pipeline.save_pretrained(base, variant="fp16")
    shutil.rmtree(base / "vae")  # not downloaded
    for file in base.rglob("unet/*.safetensors"):
        if file.relative_to(base).as_posix() not in choice.files(steps)[choice.base]:
            file.unlink()

    if name := choice.recipe(steps).file:
        places[choice.distilled].mkdir()
        if name.endswith("lora.safetensors"):
            save_file(_lora(unet), places[choice.distilled] / name)
        else:
            distilled = diffusers.UNet2DConditionModel(**choice.unet)
            save_file(dict(distilled.state_dict()), places[choice.distilled] / name)


def _lora(unet: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a LoRA of every query projection, named as the distillers' files name them."""
    tensors = {}
    for name, module in unet.named_modules():
        if name.endswith("to_q"):
            key = f"lora_unet_{name.replace('.', '_')}"
            assert isinstance(module, torch.nn.Linear)
            tensors[f"{key}.lora_down.weight"] = torch.randn(4, module.in_features)
            tensors[f"{key}.lora_up.weight"] = torch.randn(module.out_features, 4)
            tensors[f"{key}.alpha"] = torch.tensor(4.0)
    return tensors


def _text_encoders(choice: Choice, folder: Path) -> dict[str, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    tokens = ["<|startoftext|>", "<|endoftext|>", "a</w>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    config = CLIPTextConfig(
        vocab_size=3, hidden_size=N_DIMS, intermediate_size=N_DIMS, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=N_DIMS, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    parts: dict[str, Any] = {"text_encoder": CLIPTextModel(config), "tokenizer": tokenizer}
    if choice.is_xl:
        parts |= {"text_encoder_2": CLIPTextModelWithProjection(config), "tokenizer_2": tokenizer}
    return parts
