"""Train the generator that needs no download: the embedded picture set, settings -> generator directory."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress as Bar

from necomimi.checkpoint import check_overwritable
from necomimi.console import progress
from necomimi.device import choose_device
from necomimi.embedded_generator import EmbeddedGenerator, GeneratorWeights
from necomimi.embedders import EMBEDDED_SPACE, Embedder, build_embedder
from necomimi.generator_check import Vectors, identification, painted_embeddings
from necomimi.intervals import bootstrap_interval
from necomimi.picture_world import PictureWorld, draw_world, n_pictures
from necomimi.pictures import ATTRIBUTION

from .generator_fit import Fitted, GeneratorSettings, fit_decoder, fit_refiner
from .resume import RunFile, fingerprint

__all__ = ["train_generator"]


def train_generator(out: Path, settings: GeneratorSettings) -> dict[str, Any]:
    """Train the networks, judge them on held-out pictures, and write the generator directory.

    The refiner is kept only if what it paints of known concepts lies nearer to the truth, by the embedding, than what
    the decoder paints: by a 95 % interval over concepts. A run that was killed goes on from ``OUT.training``.

    Parameters
    ----------
    out : Path
        An existing generator there is replaced.
    settings : GeneratorSettings

    Returns
    -------
    dict
        "coarse" and, with a refiner, "fine": figures of `necomimi.generator_check.identification` for "known" and
        "unseen" concepts; "gain" of the refiner in cosine with the truth, "gain_interval", "refiner_kept"; "curves" of
        both networks; "settings", "minutes" (of learning), "machine", "attribution".

    Raises
    ------
    CheckpointError
        `out` holds something else.
    ConfigError
        There are not so many concepts.
    NecomimiError
        A package of the extra ``demo`` is missing.
    """
    check_overwritable(out, "generator")
    folder = out.with_name(f"{out.name}.training")
    device = choose_device(settings.device)
    with progress() as bar:
        world = _world(settings, folder, bar)
        refining = {"refiner_passes", "refiner_widths", "steps"}
        key = fingerprint(settings.model_dump(exclude={"device", *refining}), arrays=[world.embeddings, world.pixels])
        embedder = build_embedder("embedded", "cpu")
        decoder = _learn(bar, "decoder", partial(fit_decoder, world, settings, device), settings.passes, folder, key)
        weights = GeneratorWeights(space=EMBEDDED_SPACE, size=settings.size, decoder=decoder.network)
        facts: dict[str, Any] = {"curves": {"decoder": decoder.history}, "refiner_kept": False}
        coarse = _judge(bar, weights, world, embedder)
        facts["coarse"] = _figures(world, coarse)
        if settings.refiner_passes:
            fit = partial(fit_refiner, world, settings, device, decoder=decoder.network)
            key = fingerprint(key, settings.model_dump(include=refining))
            refiner = _learn(bar, "refiner", fit, settings.refiner_passes, folder, key)
            facts["curves"]["refiner"] = refiner.history
            weights.refiner, weights.steps = refiner.network, settings.steps
            fine = _judge(bar, weights, world, embedder)
            facts["fine"] = _figures(world, fine)
            facts |= _gain(world, coarse["known"], fine["known"])
            if not facts["refiner_kept"]:
                weights.refiner, weights.steps = None, 0
    facts["settings"] = settings.model_dump()
    seconds = [len(world.training) / row["pictures_s"] for curve in facts["curves"].values() for row in curve]
    facts["minutes"] = round(sum(seconds) / 60, 1)
    facts["machine"] = f"{device.type}, {platform.machine()}"
    facts["attribution"] = ATTRIBUTION
    weights.training = facts
    weights.save(out)
    return facts


def _world(settings: GeneratorSettings, folder: Path, bar: Bar) -> PictureWorld:
    """Return the pictures, from an earlier run where they are there."""
    sizes = (settings.exemplars, settings.unseen, settings.size)
    path, key = folder / "pictures.safetensors", fingerprint(*sizes, settings.concepts)
    world = PictureWorld.load(path, key)
    if world is None:
        task = bar.add_task("draw pictures", total=n_pictures(*sizes[:2], n_concepts=settings.concepts))
        world = draw_world(*sizes, n_concepts=settings.concepts, advance=partial(bar.advance, task))
        world.save(path, key)
    return world


def _learn(bar: Bar, name: str, fit: Callable[..., Fitted], passes: int, folder: Path, key: str) -> Fitted:
    """Run a fit with its progress and its run file."""
    task = bar.add_task(name, total=passes)

    def report(figures: dict[str, float]) -> None:
        words = f"{name}: loss {figures['held_loss']:.4f} held out, {figures['pictures_s']:.0f} pictures/s"
        bar.update(task, completed=figures["pass"], description=words)

    fitted = fit(report=report, file=RunFile(folder / f"{name}.pt", key))
    bar.update(task, completed=passes)  # also where an earlier run had done all
    return fitted


def _judge(bar: Bar, weights: GeneratorWeights, world: PictureWorld, embedder: Embedder) -> dict[str, Vectors]:
    """Return the embeddings of what the weights paint of held-out pictures."""
    bar.add_task("paint and judge held-out pictures", total=None)
    return painted_embeddings(EmbeddedGenerator(weights, choose_device("cpu")), world, embedder)


def _figures(world: PictureWorld, painted: dict[str, Vectors]) -> dict[str, dict[str, Any]]:
    """Return how well held-out pictures are told apart by paintings."""
    return {
        name: identification(world.embeddings[rows], painted[name], world.concepts[rows])
        for name, rows in world.judging.items()
    }


def _gain(world: PictureWorld, coarse: Vectors, fine: Vectors) -> dict[str, Any]:
    """Return how much nearer to the truth the finer paintings of known concepts are, and whether that is sure."""
    rows = world.judging["known"]
    gains = (world.embeddings[rows] * (fine - coarse)).sum(axis=1).astype(np.float64)
    low, high = bootstrap_interval(gains, world.concepts[rows])
    return {"gain": float(gains.mean()), "gain_interval": [low, high], "refiner_kept": low > 0}
