"""Train the embedded generator from the command line: options -> generator directory, table of what it paints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from necomimi.config import load_settings
from necomimi.console import console, output
from necomimi.pictures import ATTRIBUTION

from .tables import rate

__all__ = ["generator"]


def generator(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The generator directory to make.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; options win over it.")] = None,
    passes: Annotated[int | None, typer.Option(min=1, help="Passes over the pictures, for the decoder (16).")] = None,
    refiner_passes: Annotated[int | None, typer.Option(min=0, help="The same for the refiner (4); 0: none.")] = None,
    exemplars: Annotated[int | None, typer.Option(min=1, help="Training pictures of each concept (20).")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and noise.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.")] = None,
) -> None:
    """Train the embedded generator, which paints from embeddings of the embedded embedder on any processor.

    The package has one already. Training takes about 40 minutes on two processor cores; a run that was killed goes on.
    Use the result with --generator embedded --model OUT.

    Example: necomimi train generator my-generator
    """
    from .generator_fit import GeneratorSettings
    from .train_generator import train_generator

    given = {"passes": passes, "refiner_passes": refiner_passes, "exemplars": exemplars, "seed": seed, "device": device}
    facts = train_generator(out, load_settings(GeneratorSettings, config, given))
    output.print(_tabulate(facts))
    if "gain" in facts:
        low, high = facts["gain_interval"]
        kept = "kept" if facts["refiner_kept"] else "left out: the coarse picture is no worse"
        output.print(f"refiner: {facts['gain']:+.4f} in cosine [{low:+.4f}, {high:+.4f}]; {kept}")
    console.print(f"{out}: {facts['minutes']:g} minutes; {ATTRIBUTION}")


def _tabulate(facts: dict[str, Any]) -> Table:
    """Return the identification of known and unseen concepts, chance below."""
    table = Table(title="paintings from true embeddings of held-out pictures", title_justify="left", box=None)
    for column in ("concepts", "picture", "two-way", "top-1", "cosine with the truth"):
        table.add_column(column, justify="left" if column in ("concepts", "picture") else "right")
    for name in ("known", "unseen"):
        for stage in ("coarse", "fine"):
            if stage in facts:
                row = facts[stage][name]
                rates = [rate(row, key) for key in ("two_way", "top1")]
                table.add_row(f"{row['n_concepts']} {name}", stage, *rates, f"{row['cosine']:.3f}")
        chance = [f"{facts['coarse'][name][f'chance_{key}']:.1%}" for key in ("two_way", "top1")]
        table.add_row("chance", "", *chance, "")
    return table
