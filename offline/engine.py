"""Train an encoder: epochs, gallery, settings -> a decoder with the best weights, and the last ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.epochs import Epochs, EpochSet
from necomimi.gallery import Gallery

from .calibration import calibrate
from .holdout import hold_out_blocks, hold_out_concepts
from .objective import Judge
from .settings import TrainSettings
from .targets import find_targets
from .trainer import State, Trainer, seeded
from .truncation import earliest_sample, ends

__all__ = ["TrainResult", "TrainSettings", "TrainStep", "train_encoder"]


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """What one pass over the data gave, for progress displays.

    Parameters
    ----------
    done, total : int
        Passes.
    loss : float
        Mean training loss.
    validation : dict
        "top1" and "top5"; for labels "log_loss", for two classes "auc"; empty while refitting on all data.
    """

    done: int
    total: int
    loss: float
    validation: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A trained decoder, and the weights after the last pass.

    Parameters
    ----------
    decoder : Decoder
        Holds the weights that validation chose.
    last : dict of Tensor
        State dict after the last pass.
    best_validation, last_validation : dict
        What validation said of either.
    best_epoch : int
        The pass that was chosen, from 1.
    n_ways : int
        Concepts that validation chose from.
    """

    decoder: Decoder
    last: State
    best_validation: dict[str, float]
    last_validation: dict[str, float]
    best_epoch: int
    n_ways: int


def train_encoder(
    epochs: Epochs,
    gallery: Gallery,
    settings: TrainSettings,
    *,
    search: Gallery | None = None,
    on_epoch: Callable[[TrainStep], None] = lambda step: None,
) -> TrainResult:
    """Train an encoder to turn epochs into the embeddings of what was seen.

    Pictures: whole concepts are held out, and the best pass on them is kept. Labels: blocks of trials are held out to
    choose the number of passes and the temperature, then the encoder is trained again on all trials for as long.

    Parameters
    ----------
    epochs : Epochs
        Only the training set is looked at.
    gallery : Gallery
        The embedding of each picture or label seen.
    settings : TrainSettings
    search : Gallery, optional
        What the decoder searches; the training gallery where absent.
    on_epoch : callable
        Called after each pass.

    Raises
    ------
    DatasetError
        An epoch's picture is not in the gallery, or nothing can be held out.
    """
    pictures = any(gallery.files)
    part = epochs.train
    if any(part.pictures) and (settings.average is None or settings.average):
        part = part.averaged()
    targets = find_targets(part, gallery)
    concepts = [gallery.labels[item] for item in targets]
    settings = settings.resolved(len(part), len(set(concepts)), pictures=pictures)
    if pictures:
        assert settings.val_concepts is not None
        train, held = hold_out_concepts(concepts, settings.val_concepts, settings.seed)
    else:
        duration = epochs.preprocessor.tmax - epochs.preprocessor.tmin
        train, held = hold_out_blocks(concepts, part.sessions, part.onsets, duration, settings.val_fraction)
    if settings.shuffle_labels:
        for rows in (train, held):
            targets[rows] = np.random.default_rng(settings.seed).permutation(targets[rows])

    items = np.unique(targets[held]) if pictures else np.arange(len(gallery))
    judge = Judge(gallery.embeddings[items], gallery.item_classes[items], np.searchsorted(items, targets[held]))
    total = settings.epochs * (1 if pictures else 2)

    def report(done: int, loss: float, validation: dict[str, float]) -> None:
        on_epoch(TrainStep(done=done, total=total, loss=loss, validation=validation))

    with seeded(settings.seed):
        trainer = Trainer(part.data, targets, gallery, settings, earliest_sample(epochs.preprocessor))
        fit = trainer.fit(train, held, judge, report)
        single, shown = _presentations(epochs.train, part, held, np.searchsorted(items, targets))
        calibration = calibrate(
            lambda data: trainer.embed(fit.best, data), epochs.train.data[single], shown, gallery.select(items),
            ends=ends(epochs.preprocessor), seed=settings.seed,
        )  # fmt: skip
        chosen = fit if pictures else trainer.refit(np.arange(len(part)), fit.epoch, report)
        trainer.encoder.load_state_dict(chosen.best)
    facts = {
        "settings": settings.model_dump(exclude={"device"}),
        "n_train": len(train),
        "n_validation": len(held),
        "refit_on_all": not pictures,
        "val_concepts": sorted({concepts[row] for row in held}) if pictures else [],
        "n_ways": judge.n_ways,
        "best_epoch": fit.epoch,
        "best": fit.history[fit.epoch - 1],
        "last": fit.history[-1],
        "history": fit.history,
        "truncated": bool(settings.truncation),
        "calibration": calibration.facts,
        "source": epochs.source,
    }
    return TrainResult(
        decoder=Decoder(
            encoder_config=trainer.config,
            encoder=trainer.encoder,
            preprocessor=epochs.preprocessor,
            space=gallery.space,
            logit_scale=calibration.logit_scale,
            averaging=calibration.averaging,
            early_scales=calibration.early_scales,
            gallery=search or gallery,
            training=facts,
            device=trainer.device,
        ),
        last=chosen.last,
        best_validation=fit.history[fit.epoch - 1],
        last_validation=fit.history[-1],
        best_epoch=fit.epoch,
        n_ways=judge.n_ways,
    )


def _presentations(
    whole: EpochSet, part: EpochSet, held: NDArray[np.int64], targets: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the rows of the held-out single presentations, of which `part` may hold the means, and their targets."""
    if part is whole:
        return held, targets[held]
    names = part.names
    target_of = {names[row]: targets[row] for row in held}
    rows = np.array([i for i, name in enumerate(whole.names) if name in target_of])
    return rows, np.array([target_of[whole.names[row]] for row in rows])
