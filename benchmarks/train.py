"""Measure training against a plain loop in one run: samples a second with each encoder, ratio, largest difference.

The plain way is that of the published scripts: a `DataLoader` collates epochs and picture embeddings one by one, the
layers are torch's own in float32, and AdamW is as it comes. Ours is `necomimi.offline.trainer.Trainer`. Both start from
the same architecture, train on the same epochs towards the same pictures, in turns; each counts by its fastest pass,
validation not included. Nothing is added to the epochs, which the published scripts do not do either.

    python benchmarks/train.py --json
"""

from __future__ import annotations

import argparse
import json
import time
from types import MethodType

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from necomimi.console import console, output
from necomimi.device import choose_device
from necomimi.encoders import Encoder, build, names
from necomimi.encoders.attention import ChannelAttention, DualBlock
from necomimi.encoders.blocks import STConv, TSConv
from necomimi.encoders.dropout import Dropout
from necomimi.encoders.multiblur import MultiBlur
from necomimi.gallery import Gallery
from necomimi.offline.objective import Judge
from necomimi.offline.settings import TrainSettings
from necomimi.offline.trainer import Trainer, TrainStep, seeded

SIZES = {"n_chans": 63, "n_times": 250, "n_outputs": 1024}
LARGE = ("multiblur", "muse")  # batches of 1024, as published; one plain convolution of the others would fill 2.3 GB
N_HELD = 64  # epochs


def attend_over_time(module: ChannelAttention, x: Tensor) -> Tensor:
    """Run the published layer: time first."""
    return module.transformer_encoder(x.permute(2, 0, 1) + module.pos_encoder.pe).permute(1, 2, 0)


def attend(attention: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """Run torch's attention."""
    return norm(x + attention(x, x, x, need_weights=False)[0])


def convolve_space(module: MultiBlur, x: Tensor) -> Tensor:
    """Run multiblur with a convolution over channels."""
    x = F.conv2d(x.unsqueeze(1), module.spatial.weight.abs())
    return module.head(module.temporal(module.norm(x).squeeze(2)).flatten(1))


def plain_encoder(name: str) -> Encoder:
    """Return an encoder that computes layer by layer what the published code does."""
    encoder = build(name, **SIZES)
    for module in encoder.modules():
        if isinstance(module, TSConv | STConv):
            module.forward = MethodType(nn.Sequential.forward, module)
        elif isinstance(module, Dropout):
            module.forward = MethodType(nn.Dropout.forward, module)
        elif isinstance(module, ChannelAttention):
            module.forward = MethodType(attend_over_time, module)
        elif isinstance(module, DualBlock):
            module._attend = attend
        elif isinstance(module, MultiBlur):
            module.encode = MethodType(convolve_space, module)
    return encoder


def largest_difference(name: str) -> float:
    """Return how far embeddings of the two ways are apart, with the same weights in float32."""
    torch.manual_seed(0)
    ours, plain = build(name, **SIZES).eval(), plain_encoder(name).eval()
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(4, SIZES["n_chans"], SIZES["n_times"])
    with torch.no_grad():
        return float((ours(x) - plain(x)).abs().max())


def plain_passes(name: str, data: Tensor, features: Tensor, batch: int, passes: int, device: str) -> list[float]:
    """Train in the plain way; return the seconds of each pass."""
    encoder = plain_encoder(name).to(device).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-4)
    loader = DataLoader(TensorDataset(data, features), batch_size=batch, shuffle=True, drop_last=True)
    seconds = []
    for _ in range(passes):
        begin = time.perf_counter()
        total = 0.0
        for epochs, pictures in loader:
            epochs, pictures = epochs.to(device), pictures.to(device)
            optimizer.zero_grad()
            logits = encoder.logit_scale.exp() * F.normalize(encoder(epochs), dim=-1) @ pictures.T
            own = torch.arange(len(epochs), device=device)
            loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds.append(time.perf_counter() - begin)
    return seconds


def our_passes(name: str, data: Tensor, features: Tensor, batch: int, passes: int, device: str) -> list[float]:
    """Train as `necomimi train encoder` does; return the samples a second of each pass."""
    n = len(data)
    labels = tuple(f"picture {i}" for i in range(n))
    gallery = Gallery(labels, tuple(f"{label}.png" for label in labels), features.numpy(), "benchmark")
    settings = TrainSettings(
        encoder=name, epochs=passes, batch_size=batch, noise=0, truncation=0, smoothing=0, device=device
    ).resolved(n, n, pictures=True)
    held = np.arange(n - N_HELD, n)
    judge = Judge(gallery.embeddings[held], gallery.item_classes[held], np.arange(N_HELD), held)
    steps: list[TrainStep] = []
    with seeded(0):
        Trainer(data.numpy(), np.arange(n), gallery, settings).fit(np.arange(n - N_HELD), held, judge, steps.append)
    return [step.samples_s for step in steps]


def compare(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Train both ways in turns; return the figures of the fastest passes."""
    batch = options.batch or (1024 if name in LARGE else 128)
    generator = torch.Generator().manual_seed(0)
    n = batch * options.batches
    data = torch.randn(n + N_HELD, SIZES["n_chans"], SIZES["n_times"], generator=generator)
    features = F.normalize(torch.randn(n + N_HELD, SIZES["n_outputs"], generator=generator), dim=-1)
    ours, plain = [], []
    for _ in range(options.rounds):
        ours += our_passes(name, data, features, batch, 2, options.device)
        plain += plain_passes(name, data[:n], features[:n], batch, 2, options.device)
    return {
        "ratio": round(max(ours) * min(plain) / n, 2),
        "necomimi_samples_s": round(max(ours), 1),
        "plain_samples_s": round(n / min(plain), 1),
        "batch": batch,
        "largest_difference": largest_difference(name),
    }


def main() -> None:
    """Compare each encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", default=",".join(names()), help="some of them, by comma; all by default")
    parser.add_argument("--batch", type=int, help="epochs in a batch; 1024, or 128 for the large encoders")
    parser.add_argument("--batches", type=int, default=2, help="batches in a pass")
    parser.add_argument("--rounds", type=int, default=2, help="turns of two passes each")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    options.device = choose_device(options.device).type
    chosen = options.encoders.split(",")
    if unknown := [name for name in chosen if name not in names()]:
        parser.error(f"no encoder {', '.join(unknown)}; there are {', '.join(names())}")
    found = {}
    for name in chosen:
        console.print(f"training {name} both ways")
        found[name] = compare(name, options)
    main_figures = found.get("multiblur", found[chosen[0]])
    if options.json:
        figures = {key: main_figures[key] for key in ("ratio", "necomimi_samples_s", "plain_samples_s")}
        output.print_json(json.dumps({**figures, "device": options.device, "encoders": found}))
        return
    table = Table("encoder", "necomimi, samples/s", "plain, samples/s", "ratio", "largest difference", box=None)
    for name, row in found.items():
        rates = (f"{row[key]:.0f}" for key in ("necomimi_samples_s", "plain_samples_s"))
        table.add_row(name, *rates, f"{row['ratio']:.1f}x", f"{row['largest_difference']:.0e}")
    output.print(table)


if __name__ == "__main__":
    main()
