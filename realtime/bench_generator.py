"""Measure how fast a generator paints here: its name, steps -> ms per picture, pictures per second, GPU memory."""

from __future__ import annotations

import gc
import json
import time
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.table import Table

from necomimi.console import console, output, progress
from necomimi.decoder import choose_device
from necomimi.errors import ConfigError
from necomimi.generators import NAMES, Generator, build_generator

from .bench_setup import machine
from .latency import quantiles

__all__ = ["generator", "measure_painting"]

WARM_UP = 3  # pictures; a compiled network is made, and its graph recorded, on the first ones


def measure_painting(generator: Generator, n_pictures: int, batch: int, device: torch.device) -> dict[str, Any]:
    """Paint pictures from random embeddings one batch after another.

    Parameters
    ----------
    generator : Generator
    n_pictures : int
        At least; whole batches are painted.
    batch : int
        Pictures at once.
    device : torch.device
        Whose memory is looked at, where it is a GPU.

    Returns
    -------
    dict
        "n_pictures"; "ms", a batch's time from the embeddings to the pixels in this process's memory, divided by its
        pictures ("p50", "p95", "p99", "max"); "pictures_per_s"; "peak_vram_gb", the most that torch held on the
        GPU, weights and reserve included (1e9 bytes), or None.
    """
    random = np.random.default_rng(0)
    times = []
    n_batches = -(-n_pictures // batch)
    with progress() as bar:
        task = bar.add_task(f"{generator.name}, {generator.steps} steps", total=WARM_UP + n_batches)
        for i in range(-WARM_UP, n_batches):
            vectors = random.normal(size=(batch, generator.n_dims)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            started = time.perf_counter()
            generator.paint(vectors, range(batch))
            if i >= 0:
                times.append(1e3 * (time.perf_counter() - started) / batch)
            bar.advance(task)
    vram = torch.cuda.max_memory_reserved(device) / 1e9 if device.type == "cuda" else None
    return {
        "n_pictures": n_batches * batch,
        "ms": quantiles(times),
        "pictures_per_s": round(1e3 / float(np.mean(times)), 2),
        "peak_vram_gb": None if vram is None else round(vram, 2),
    }


def generator(
    name: Annotated[str, typer.Option("--generator", help=f"One of {', '.join(NAMES)}.")] = "sdxl-turbo",
    model: Annotated[str | None, typer.Option(help="Folder of weights, or hub id of another base model.")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Full size without any file: the same speed and memory.")
    ] = False,
    steps: Annotated[str, typer.Option(help="Steps a picture, such as 1,4.")] = "1,4",
    compile: Annotated[bool, typer.Option("--compile", help="Measure compiled too; needs a CUDA GPU.")] = False,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures painted for each figure.")] = 50,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 1,
    size: Annotated[int | None, typer.Option(help="Height and width in pixels; the model's own by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure milliseconds a picture, pictures a second and peak GPU memory of a picture generator.

    Example: necomimi bench generator --generator sdxl-turbo --random-weights --compile
    """
    try:
        counts = [int(part) for part in steps.split(",")]
    except ValueError as error:
        raise ConfigError(f"--steps {steps}", "numbers such as 1,4") from error
    place = choose_device(device)
    if compile and place.type != "cuda":
        raise ConfigError(f"--compile on {place.type}", "a CUDA GPU")
    if place.type == "cpu":
        console.print("no GPU is used here: these are figures of the processor")
    runs = []
    for count in counts:
        for is_compiled in (False, True) if compile else (False,):
            gc.collect()  # the generator before
            if place.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(place)
            painter = build_generator(
                name, device, steps=count, size=size, model=model, random_weights=random_weights, compile=is_compiled
            )
            figures = measure_painting(painter, pictures, batch, place)
            runs.append({"steps": count, "compiled": is_compiled, "size": painter.size, "batch": batch, **figures})
            del painter
    result = {
        "generator": name,
        "random_weights": random_weights,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "runs": runs,
        "machine": machine(),
    }
    if as_json:
        output.print_json(json.dumps(result))
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    table = Table(f"{result['generator']}, steps", "compiled", "size", "batch", box=None)
    for column in ("ms a picture, p50", "p95", "pictures a second", "peak GPU memory"):
        table.add_column(column, justify="right")
    for run in result["runs"]:
        vram = "" if run["peak_vram_gb"] is None else f"{run['peak_vram_gb']:.2f} GB"
        table.add_row(
            str(run["steps"]), "yes" if run["compiled"] else "no", f"{run['size']} px", str(run["batch"]),
            f"{run['ms']['p50']:.1f}", f"{run['ms']['p95']:.1f}", f"{run['pictures_per_s']:.2f}", vram,
        )  # fmt: skip
    output.print(table)
    facts = result["machine"]
    weights = "random weights" if result["random_weights"] else "real weights"
    output.print(
        f"{weights}; {result['device']}; {facts['n_cpus']} cores of {facts['processor']}, torch {facts['torch']}"
    )
