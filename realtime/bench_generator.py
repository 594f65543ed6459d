"""Measure how a generator paints here: its name, steps -> ms per picture, pictures per second, GPU memory."""

from __future__ import annotations

import gc
import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from necomimi.console import console, output, progress
from necomimi.errors import ConfigError
from necomimi.generators import EMBEDDED, NAMES, Generator, build_generator

from .bench_setup import machine
from .latency import quantiles

if TYPE_CHECKING:
    import torch

    from necomimi.embedded_generator import EmbeddedGenerator

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
        pictures ("p50", "p95", "p99", "max"); "ms_preview", the same until the first, coarse pictures, where there are
        such; "pictures_per_s"; "peak_vram_gb", the most that torch held on the GPU, weights and reserve included (1e9
        bytes), or None.
    """
    import torch

    random = np.random.default_rng(0)
    times: list[float] = []
    first_times: list[float] = []
    n_batches = -(-n_pictures // batch)
    with progress() as bar:
        task = bar.add_task(f"{generator.name}, {generator.steps} steps", total=WARM_UP + n_batches)
        for i in range(-WARM_UP, n_batches):
            vectors = random.normal(size=(batch, generator.n_dims)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            started = time.perf_counter()
            moments = [time.perf_counter() - started for _ in generator.stages(vectors, range(batch))]
            if i >= 0:
                times.append(1e3 * moments[-1] / batch)
                first_times += [1e3 * moments[0] / batch] if len(moments) > 1 else []
            bar.advance(task)
    vram = torch.cuda.max_memory_reserved(device) / 1e9 if device.type == "cuda" else None
    return {
        "n_pictures": n_batches * batch,
        "ms": quantiles(times),
        "ms_preview": quantiles(first_times) if first_times else None,
        "pictures_per_s": round(1e3 / float(np.mean(times)), 2),
        "peak_vram_gb": None if vram is None else round(vram, 2),
    }


def judge_embedded(generator: EmbeddedGenerator) -> dict[str, dict[str, Any]]:
    """Return what can be told from pictures that the embedded generator paints of held-out pictures' embeddings.

    Returns
    -------
    dict
        Of `necomimi.generator_check.check_generator`; "known" is empty if the generator was not trained here.
    """
    from necomimi.embedders import build_embedder
    from necomimi.generator_check import check_generator
    from necomimi.picture_world import draw_world, n_pictures

    settings = generator.weights.training["settings"]
    sizes, kind = (settings["exemplars"], settings["unseen"]), {"n_concepts": settings["concepts"], "held_only": True}
    with progress() as bar:
        task = bar.add_task("draw held-out pictures", total=n_pictures(*sizes, **kind))
        world = draw_world(*sizes, generator.size, **kind, advance=lambda n: bar.advance(task, n))
        bar.add_task("paint and judge them", total=None)
        return check_generator(generator, world, build_embedder("embedded", "cpu"))


def generator(
    name: Annotated[str, typer.Option("--generator", help=f"One of {', '.join(NAMES)}.")] = EMBEDDED,
    model: Annotated[str | None, typer.Option(help="Folder of weights, or hub id of another base model.")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Full size without any file: the same speed and memory.")
    ] = False,
    steps: Annotated[str | None, typer.Option(help="Steps a picture, such as 1,4, which is usual.")] = None,
    compile: Annotated[bool, typer.Option("--compile", help="Measure compiled too; needs a CUDA GPU.")] = False,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures painted for each figure.")] = 50,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 1,
    size: Annotated[int | None, typer.Option(help="Height and width in pixels; the model's own by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure milliseconds a picture, pictures a second and peak GPU memory of a picture generator.

    Of the embedded generator, also how well held-out pictures are told apart by what it paints of their embeddings.

    Example: necomimi bench generator --generator sdxl-turbo --random-weights --compile
    """
    import torch

    from necomimi.device import choose_device
    from necomimi.embedded_generator import EmbeddedGenerator

    counts = _parse_steps(steps or ("" if name == EMBEDDED else "1,4"))
    place = choose_device(device)
    if compile and place.type != "cuda":
        raise ConfigError(f"--compile on {place.type}", "a CUDA GPU")
    if place.type == "cpu":
        console.print("no GPU is used here: these are figures of the processor")
    runs: list[dict[str, Any]] = []
    quality: dict[str, dict[str, Any]] = {}
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
            runs.append(
                {"steps": painter.steps, "compiled": is_compiled, "size": painter.size, "batch": batch, **figures}
            )
            if isinstance(painter, EmbeddedGenerator) and count == counts[-1]:
                quality = judge_embedded(painter)
            del painter
    result = {
        "generator": name,
        "random_weights": random_weights,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "runs": runs,
        "machine": machine(),
    }
    if quality:
        last = runs[-1]["ms"]["p50"]
        result["ms_preview"] = runs[-1]["ms_preview"]["p50"] if runs[-1]["ms_preview"] else last
        result["ms_picture"] = last
        result |= {f"two_way_{kind}": figures["two_way"] for kind, figures in quality.items()}
        result["identification"] = quality
    if as_json:
        output.print_json(json.dumps(result))
    else:
        _print(result)


def _parse_steps(text: str) -> list[int | None]:
    """Return the numbers in a list such as "1,4"; None, what suits the generator, for an empty one."""
    try:
        return [int(part) for part in text.split(",")] if text else [None]
    except ValueError as error:
        raise ConfigError(f"--steps {text}", "numbers such as 1,4") from error


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
    if "ms_preview" in result:
        output.print(f"first picture after {result['ms_preview']:.1f} ms")
    for kind, row in result.get("identification", {}).items():
        rates = [
            f"{words} {row[key]:.1%} [{row[f'{key}_interval'][0]:.1%}, {row[f'{key}_interval'][1]:.1%}], "
            f"chance {row[f'chance_{key}']:.1%}"
            for words, key in (("two-way", "two_way"), ("top-1", "top1"))
        ]
        output.print(f"{row['n_concepts']} {kind} concepts, from true embeddings: {'; '.join(rates)}")
    facts = result["machine"]
    weights = "random weights" if result["random_weights"] else "real weights"
    output.print(
        f"{weights}; {result['device']}; {facts['n_cpus']} cores of {facts['processor']}, torch {facts['torch']}"
    )
