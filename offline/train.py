"""Train what the live chain uses, from the command line: epochs, galleries -> decoder directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from safetensors.torch import save_file

from necomimi.config import load_settings
from necomimi.console import console, progress
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery

from .engine import TrainResult, TrainSettings, TrainStep, train_encoder

__all__ = ["app", "encoder"]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


@app.callback()
def _train() -> None:
    """Train a part of the decoder.

    Example: necomimi train encoder epochs decoder
    """


def galleries_for(epochs: Epochs, training: Path | None, search: Path | None) -> tuple[Gallery, Gallery | None]:
    """Return what the encoder is trained towards and, where it differs, what the decoder will search.

    Parameters
    ----------
    epochs : Epochs
    training : Path or None
        Gallery of the training pictures; without one the labels themselves are the classes.
    search : Path or None
        Gallery that the decoder searches.

    Raises
    ------
    ConfigError
        The epochs have pictures and no gallery is given.
    """
    if training is not None:
        gallery = Gallery.load(training)
    elif any(epochs.train.pictures):
        raise ConfigError(
            f"{epochs.path} holds epochs of pictures, and no gallery of them is given",
            "--gallery, the embeddings of the training pictures",
            "make it with: necomimi embed image_set/training_images GALLERY",
        )
    else:
        gallery = Gallery.from_labels(epochs.train.labels)
    if search is None:
        return gallery, None
    found = Gallery.load(search)
    found.require_space(gallery.space)
    return gallery, found


def _report(result: TrainResult, decoder: Path) -> None:
    """Print what validation says of the chosen weights, and of the last ones beside them."""
    rows = (("best", result.best_epoch, result.best_validation), ("last", None, result.last_validation))
    for name, epoch, validation in rows:
        if not validation:
            continue
        figures = [f"top-1 {validation['top1']:.1%}"]
        figures += [f"top-5 {validation['top5']:.1%}"] if result.n_ways > 5 else []
        figures += [f"AUC {validation['auc']:.3f}"] if "auc" in validation else []
        which = f" (pass {epoch})" if epoch else ""
        console.print(
            f"validation, {name}{which}: {', '.join(figures)} of {result.n_ways}; chance {1 / result.n_ways:.1%}"
        )
    averaging = result.decoder.averaging
    fitted = "fitted on validation" if averaging.calibrated else "assumed: nothing held out was presented twice"
    console.print(f"averages of presentations: {averaging.method}, exponent {averaging.exponent:g} ({fitted})")
    console.print(f"decoder: {decoder}")


@app.command("encoder")
def encoder(
    epochs: Annotated[Path, typer.Argument(metavar="EPOCHS", help="An epochs directory (necomimi preprocess).")],
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="The decoder directory to make.")],
    name: Annotated[str | None, typer.Option("--encoder", help="Which encoder; multiblur by default.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="Gallery of the training pictures.")] = None,
    test_gallery: Annotated[
        Path | None, typer.Option(help="Gallery that the decoder searches; the training gallery by default.")
    ] = None,
    passes: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Epochs per step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    average: Annotated[
        bool | None, typer.Option("--average/--single", help="Train on means over repetitions, or on single trials.")
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of epochs cut short, to decode unfinished ones.")
    ] = None,
    val_concepts: Annotated[int | None, typer.Option(min=2, help="Concepts held out for validation.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and held-out concepts.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.")] = None,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="The control: permuted targets must give chance.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; options win over it.")] = None,
) -> None:
    """Train an encoder and save it, with its preprocessing and gallery, as a decoder directory.

    Example: necomimi train encoder epochs decoder --gallery training-gallery --test-gallery test-gallery
    """
    settings = load_settings(
        TrainSettings,
        config,
        {
            "encoder": name,
            "epochs": passes,
            "batch_size": batch_size,
            "lr": lr,
            "average": average,
            "truncation": truncation,
            "val_concepts": val_concepts,
            "seed": seed,
            "device": device,
            "shuffle_labels": shuffle_labels or None,
        },
    )
    data = Epochs.load(epochs)
    training, search = galleries_for(data, gallery, test_gallery)
    with progress() as bar:
        task = bar.add_task("train", total=settings.epochs)

        def show(step: TrainStep) -> None:
            found = "".join(
                f", {key} {step.validation[key]:.3f}" for key in ("top1", "top5", "auc") if key in step.validation
            )
            bar.update(task, completed=step.done, total=step.total, description=f"train: loss {step.loss:.3f}{found}")

        result = train_encoder(data, training, settings, search=search, on_epoch=show)
    result.decoder.save(decoder)
    save_file({name: tensor.cpu().contiguous() for name, tensor in result.last.items()}, decoder / "last.safetensors")
    _report(result, decoder)
