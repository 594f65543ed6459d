"""Measure what a part of the signal says: epochs, part, settings -> accuracies after a training on that part alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from necomimi.decoder import Decoder
from necomimi.epochs import Epochs, EpochSet
from necomimi.gallery import Gallery
from necomimi.gallery_files import digest

from .engine import TrainSettings, TrainStep, train_encoder
from .jobs import read_records, write_record
from .judgement import judge_decoder
from .masking import Part, keep, replaced, whole
from .matching import choose_split

__all__ = ["MapRun", "averaged_epochs", "channel_losses"]

FIGURES = ("top1", "top5")


@dataclass(frozen=True, kw_only=True)
class MapRun:
    """What all trainings of a map share.

    Parameters
    ----------
    epochs : Epochs
        As `averaged_epochs` returns them.
    gallery : Gallery
        Of the training pictures.
    search : Gallery or None
        What is searched; the training gallery where absent.
    settings : TrainSettings
        But for the seed.
    conditions : tuple of str
        Fingerprints of the epochs, galleries and program: a record made under others is not used.
    folder : Path
        Holds one record per finished training.
    """

    epochs: Epochs
    gallery: Gallery
    search: Gallery | None
    settings: TrainSettings
    conditions: tuple[str, ...]
    folder: Path

    def identity(self, part: Part, seed: int) -> str:
        """Return a hash of everything that a training's result depends on."""
        settings = self.settings.model_dump(mode="json", exclude={"seed", "device"})
        return digest([self.conditions, settings, seed, part.mask])

    def finished(self) -> dict[str, dict[str, Any]]:
        """Return the records in the folder, by identity."""
        return {str(record["identity"]): record for record in read_records(self.folder)}

    def measure(
        self, part: Part, seed: int, on_epoch: Callable[[TrainStep], None] = lambda step: None
    ) -> dict[str, Any]:
        """Train from fresh weights on `part`, judge on the same part of the test epochs, and keep the record.

        Parameters
        ----------
        part : Part
            Everything outside is zero, in training, validation and test alike.
        seed : int
        on_epoch : callable
            Called after each pass.

        Returns
        -------
        dict
            "name", "identity", "part", "seed", "test" (a row of `judge_decoder`), "gallery" (kind), "validation" (of
            the chosen pass), "n_ways" (of validation), "best_epoch" and, of the whole epoch, "channels"
            (`channel_losses`).
        """
        everything = part.mask == whole(self.epochs.preprocessor).mask
        train, test = self.epochs.train, self.epochs.test
        assert test is not None
        if not everything:
            train, test = (replace(one, data=keep(one.data, part)) for one in (train, test))
        settings = self.settings.model_copy(update={"seed": seed})
        result = train_encoder(
            replace(self.epochs, train=train, test=test), self.gallery, settings, search=self.search, on_epoch=on_epoch
        )
        judged = judge_decoder(result.decoder, test, [None] if any(test.pictures) else [1])
        record = {
            "name": f"{part.windows if part.channels == 'all' else 'channels'}-{part.name.replace(' ', '-')}-{seed}",
            "identity": self.identity(part, seed),
            "part": part.facts(),
            "seed": seed,
            "test": judged["rows"][0],
            "gallery": judged["gallery"]["kind"],
            "validation": result.best_validation,
            "n_ways": result.n_ways,
            "best_epoch": result.best_epoch,
        }
        if everything:
            record["channels"] = channel_losses(result.decoder, train, test)
        write_record(self.folder, record)
        return record


def averaged_epochs(epochs: Epochs, settings: TrainSettings) -> Epochs:
    """Return epochs whose presentations of one picture are averaged: all in the test set, and in training as trained.

    Averaged once here, they need not be averaged again for every part. Epochs without pictures stay as they are.

    Raises
    ------
    ConfigError
        There are no test epochs.
    """
    test = choose_split(epochs, "test")
    if not any(epochs.train.pictures):
        return epochs
    train = epochs.train if settings.average is False else epochs.train.averaged()
    return replace(epochs, train=train, test=test.averaged())


def channel_losses(decoder: Decoder, train: EpochSet, test: EpochSet) -> dict[str, dict[str, float]]:
    """Return how much worse a trained decoder is without each channel.

    The channel is replaced by its mean over the training epochs, sample by sample: what stays is plausible and says
    nothing about the picture. Nothing is trained again, so a channel whose neighbours tell the same loses little.

    Parameters
    ----------
    decoder : Decoder
    train, test : EpochSet

    Returns
    -------
    dict of str to dict
        By channel name: the loss of "top1", "top5" and "two_way" (2-way accuracy, which moves with every rank).
    """
    repetitions: list[int | None] = [None] if any(test.pictures) else [1]

    def judge(part: EpochSet) -> dict[str, float]:
        row = judge_decoder(decoder, part, repetitions)["rows"][0]
        return {**{name: row[name] for name in FIGURES}, "two_way": row["k_way"]["2"]}

    means = np.asarray(train.data.mean(axis=0, dtype=np.float64))  # (n_channels, n_times)
    before, data = judge(test), np.array(test.data)
    losses = {}
    for channel, name in enumerate(decoder.preprocessor.ch_names):
        with replaced(data, [channel], means[channel]):
            after = judge(replace(test, data=data))
        losses[name] = {figure: before[figure] - after[figure] for figure in before}
    return losses
