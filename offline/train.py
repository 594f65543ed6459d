"""Train what the live chain uses, from the command line: epochs, galleries -> decoder directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from necomimi.checkpoint import check_overwritable
from necomimi.config import load_settings
from necomimi.console import console, progress
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery

from .generator_command import generator
from .settings import TrainSettings
from .train_prior import prior

if TYPE_CHECKING:
    from .engine import TrainResult
    from .trainer import TrainStep

__all__ = ["app", "encoder"]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)

app.command("prior")(prior)
app.command("generator")(generator)


@app.callback()
def _train() -> None:
    """Train a part of the decoder.

    Example: necomimi train encoder epochs decoder
    """


def galleries_for(
    epochs: Epochs | Sequence[Epochs], training: Path | None, search: Path | None
) -> tuple[Gallery, Gallery | None]:
    """Return what the encoder is trained towards and, where it differs, what the decoder will search.

    Parameters
    ----------
    epochs : Epochs, or a sequence of them
    training : Path or None
        Gallery of the training pictures; without one the labels themselves are the classes.
    search : Path or None
        Gallery that the decoder searches.

    Raises
    ------
    ConfigError
        The epochs have pictures and no gallery is given.
    """
    people = [epochs] if isinstance(epochs, Epochs) else epochs
    if training is not None:
        gallery = Gallery.load(training)
    elif any(any(epochs.train.pictures) for epochs in people):
        raise ConfigError(
            f"{people[0].path} holds epochs of pictures, and no gallery of them is given",
            "--gallery, the embeddings of the training pictures",
            "make it with: necomimi embed image_set/training_images GALLERY",
        )
    else:
        gallery = Gallery.from_labels([label for epochs in people for label in epochs.train.labels])
    if search is None:
        return gallery, None
    found = Gallery.load(search)
    found.require_space(gallery.space)
    return gallery, found


def _report(result: TrainResult, decoder: Path) -> None:
    """Print what validation says of the chosen weights, and of the first and last ones beside them."""
    rows = (
        ("start", None, result.start),
        ("best", result.best_epoch, result.best_validation),
        ("last", None, result.last_validation),
    )
    for name, epoch, validation in rows:
        if not validation:
            continue
        figures = [f"top-1 {validation['top1']:.1%}"]
        figures += [f"top-5 {validation['top5']:.1%}"] if result.n_ways > 5 else []
        figures += [f"AUC {validation['auc']:.3f}"] if "auc" in validation else []
        which = "" if epoch is None else f" (pass {epoch})"
        console.print(
            f"validation, {name}{which}: {', '.join(figures)} of {result.n_ways}; chance {1 / result.n_ways:.1%}"
        )
    averaging = result.decoder.averaging
    fitted = "fitted on validation" if averaging.calibrated else "assumed: nothing held out was presented twice"
    console.print(f"averages of presentations: {averaging.method}, exponent {averaging.exponent:g} ({fitted})")
    console.print(f"decoder: {decoder}")


@app.command("encoder")
def encoder(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="EPOCHS... DECODER",
            help="Epochs directories (necomimi preprocess), one for each person, and the decoder directory to make.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--encoder", help="Which encoder; multiblur by default.")] = None,
    base: Annotated[
        Path | None,
        typer.Option("--from", metavar="DECODER", help="Start from this decoder: fewer passes, a lower learning rate."),
    ] = None,
    gallery: Annotated[Path | None, typer.Option(help="Gallery of the training pictures.")] = None,
    test_gallery: Annotated[
        Path | None, typer.Option(help="Gallery that the decoder searches; the training gallery by default.")
    ] = None,
    passes: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Epochs per step, compared with each other.")] = None,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, help="Most epochs encoded at once, where a batch does not fit in memory.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    average: Annotated[
        bool | None, typer.Option("--average/--single", help="Train on means over repetitions, or on single trials.")
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of epochs cut short, to decode unfinished ones.")
    ] = None,
    adapter: Annotated[
        bool | None,
        typer.Option("--adapter/--no-adapter", help="Learn how much of each blur level of the pictures to aim at."),
    ] = None,
    val_concepts: Annotated[int | None, typer.Option(min=2, help="Concepts held out for validation.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and held-out concepts.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.")] = None,
    compile_it: Annotated[
        bool, typer.Option("--compile", help="Compile the encoder first; needs a C++ compiler.")
    ] = False,
    wandb: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Send the curves to this project of Weights & Biases too.")
    ] = None,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="The control: permuted targets must give chance.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; options win over it.")] = None,
) -> None:
    """Train an encoder and save it, with its preprocessing and gallery, as a decoder directory.

    With several EPOCHS, one encoder learns from all these people, with a layer of its own for each. With --from, an
    encoder that has learned from other people learns from one more. A training that was killed goes on when the same
    command is given again. Curves: tensorboard --logdir DECODER.training

    Example: necomimi train encoder epochs decoder --gallery training-gallery --test-gallery test-gallery
    """
    from safetensors.torch import save_file

    from .distributed import is_first_process
    from .engine import train_encoder
    from .fine_tuning import Base

    if len(paths) < 2:
        raise ConfigError(f"only {paths[0]} is given", "EPOCHS... DECODER: at least two directories")
    *sources, decoder = paths
    check_overwritable(decoder, "decoder")  # before hours of work
    settings = load_settings(
        TrainSettings,
        config,
        {
            "encoder": name,
            "epochs": passes,
            "batch_size": batch_size,
            "micro_batch": micro_batch,
            "lr": lr,
            "average": average,
            "truncation": truncation,
            "adapter": adapter,
            "val_concepts": val_concepts,
            "seed": seed,
            "device": device,
            "compile": compile_it or None,
            "wandb": wandb,
            "shuffle_labels": shuffle_labels or None,
        },
    )
    people = [Epochs.load(path) for path in sources]
    training, search = galleries_for(people, gallery, test_gallery)
    start = None if base is None else Base.load(base)
    if start is not None:
        settings = start.settle(settings)
    first = is_first_process()
    with progress() as bar:
        task = bar.add_task("train", total=settings.epochs, visible=first)

        def show(step: TrainStep) -> None:
            found = "".join(
                f", {key} {step.validation[key]:.3f}" for key in ("top1", "top5", "auc") if key in step.validation
            )
            bar.update(task, completed=step.done, total=step.total, description=f"train: loss {step.loss:.3f}{found}")

        folder = decoder.with_name(f"{decoder.name}.training")
        result = train_encoder(people, training, settings, search=search, base=start, on_epoch=show, folder=folder)
    if not first:
        return
    result.decoder.save(decoder)
    for part, weights in result.last.items():
        file = decoder / ("last.safetensors" if part == "encoder" else f"last-{part}.safetensors")
        save_file({name: tensor.cpu().contiguous() for name, tensor in weights.items()}, file)
    _report(result, decoder)
