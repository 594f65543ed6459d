"""Cross-validate how a decoder was trained: decoder directory, its epochs -> table and verdict, or JSON."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from necomimi.console import console, output, progress
from necomimi.errors import ConfigError

from .tables import caption, tabulate

if TYPE_CHECKING:
    from necomimi.decoder import Decoder
    from necomimi.gallery import Gallery

    from .trainer import TrainStep

__all__ = ["validate_again"]

logger = logging.getLogger(__name__)


def validate_again(
    decoder: Path, epochs: Path, gallery: Path | None, n_folds: int, device: str, *, as_json: bool = False
) -> None:
    """Train as a decoder was, once for each fold, judge, and print what came of it.

    Parameters
    ----------
    decoder, epochs : Path
        A decoder directory, and the epochs directory that it was trained on.
    gallery : Path or None
        The one that the decoder was trained towards; the decoder's own where absent.
    n_folds : int
    device : str
    as_json : bool
        Print one JSON object in place of a table.

    Raises
    ------
    ConfigError
        The decoder is of several people, does not say how it was trained, or its own gallery does not serve.
    """
    from necomimi.config import load_settings
    from necomimi.decoder import Decoder
    from necomimi.epochs import Epochs

    from .cross_validation import cross_validate
    from .fine_tuning import Base
    from .settings import TrainSettings

    model = Decoder.load(decoder)
    if "settings" not in model.training or model.subjects:
        raise ConfigError(
            f"{decoder} is of several people, or does not say how it was trained",
            "a decoder of one person that necomimi train encoder made",
        )
    settings = load_settings(TrainSettings, overrides={**model.training["settings"], "device": device})
    base = Base.load(Path(model.training["base"]["path"])) if "base" in model.training else None
    with progress() as bar:
        task = bar.add_task("cross-validate", total=n_folds * settings.epochs)

        def show(fold: int, step: TrainStep) -> None:
            bar.update(task, completed=fold * step.total + step.done, description=f"fold {fold + 1} of {n_folds}")

        targets = _gallery(model, gallery)
        found = cross_validate(Epochs.load(epochs), targets, settings, n_folds, base=base, on_epoch=show)
    result = {"decoder": str(decoder), "epochs": str(epochs), **found}
    if found["known_to_base"] != 0:
        many = "some" if found["known_to_base"] is None else found["known_to_base"]
        logger.warning(
            "%s of the %d concepts were known to the decoder it started from, by other people's EEG: new pictures may "
            "be harder", many, found["n_concepts"],
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result))
        return
    rows = found["rows"]
    heading = f"{n_folds} folds of {found['n_concepts']} concepts, each answered by an encoder that never saw it"
    words = f"{caption(rows)}\np of guessing: {found['p']:.2g}, by permuting the concepts"
    output.print(tabulate(rows, heading, words))
    console.print(found["sentence"], markup=False, soft_wrap=True)


def _gallery(model: Decoder, path: Path | None) -> Gallery:
    """Return what the encoder is trained towards."""
    from necomimi.gallery import Gallery

    if path is not None:
        return Gallery.load(path, thumbnails=False)
    if model.gallery is None or model.adapter is not None:
        raise ConfigError(
            "the decoder's own gallery is none to train towards", "--gallery, the one it was trained with"
        )
    return model.gallery
