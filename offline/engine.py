"""Train an encoder: epochs of one or more people, gallery, settings -> a decoder with the best weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.device import choose_device
from necomimi.encoders.braindecode import PREFIX as BRAINDECODE
from necomimi.epochs import Epochs
from necomimi.gallery import Gallery

from .distributed import joined
from .fine_tuning import Base
from .holdout import hold_out_blocks, hold_out_concepts
from .logbook import Logbook
from .objective import Judge
from .people import People, pool
from .resume import RunFile, fingerprint
from .run import Weights
from .settings import TrainSettings
from .stack import Stack
from .targets import find_targets
from .temperatures import Temperatures, fit_temperatures
from .trainer import Trainer, TrainStep, seeded
from .truncation import earliest_sample, ends

__all__ = ["TrainResult", "TrainSettings", "TrainStep", "train_encoder"]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A trained decoder, and the weights after the last pass.

    Parameters
    ----------
    decoder : Decoder
        Holds the weights that validation chose.
    last : dict
        Weights after the last pass: state dicts by module, "encoder" and, where there is one, "adapter".
    best_validation, last_validation : dict
        What validation said of either.
    best_epoch : int
        The pass that was chosen, from 1; 0 for what it started from.
    n_ways : int
        Concepts that validation chose from.
    start : dict
        What validation said before the first pass, where that started from another decoder; else empty.
    """

    decoder: Decoder
    last: Weights
    best_validation: dict[str, float]
    last_validation: dict[str, float]
    best_epoch: int
    n_ways: int
    start: dict[str, float]


def train_encoder(
    epochs: Epochs | Sequence[Epochs],
    gallery: Gallery,
    settings: TrainSettings,
    *,
    search: Gallery | None = None,
    base: Base | None = None,
    on_epoch: Callable[[TrainStep], None] = lambda step: None,
    folder: Path | None = None,
) -> TrainResult:
    """Train an encoder to turn epochs into the embeddings of what was seen.

    Pictures: whole concepts are held out, of all people, and the best pass on them is kept. Labels: blocks of trials
    are held out to choose the number of passes and the temperature, then the encoder is trained again on all trials for
    as long.

    Several processes that torchrun or accelerate launch started train together as one: each takes a share of every
    batch, and the loss compares all of it. The first of them validates and writes; all return the same result.

    Parameters
    ----------
    epochs : Epochs, or a sequence of them
        Only the training sets are looked at. Several are of several people, each with a layer of their own.
    gallery : Gallery
        The embedding of each picture or label seen.
    settings : TrainSettings
    search : Gallery, optional
        What the decoder searches; the training gallery where absent.
    base : Base, optional
        The decoder to start from, in place of fresh weights.
    on_epoch : callable
        Called after each pass.
    folder : Path, optional
        Where the run is kept while it lasts, so that the same call goes on after the end of its process, with the same
        weights in the end; and where the curves stay, for TensorBoard.

    Raises
    ------
    DatasetError
        An epoch's picture is not in the gallery, or nothing can be held out.
    ConfigError
        The settings, the epochs of several people, or the decoder to start from do not fit each other.
    """
    pictures = any(gallery.files)
    settings = settings if base is None else base.settle(settings)
    given = [epochs] if isinstance(epochs, Epochs) else list(epochs)
    seen = any(any(one.train.pictures) for one in given)
    people = pool(given, average=seen and (settings.average is None or settings.average))
    targets = np.concatenate([find_targets(part, gallery) for part in people.parts])
    concepts = [gallery.labels[item] for item in targets]
    start = None
    if base is not None:
        base.require_fit(people.preprocessor, gallery)
        start = base.weights([one.subject for one in given])
    settings = settings.resolved(len(targets), len(set(concepts)), pictures=pictures, levels=gallery.levels is not None)
    if settings.encoder.startswith(BRAINDECODE):  # some of its models want to know the rate, and all take it
        options = {"sfreq": people.preprocessor.sfreq, **settings.options}
        settings = settings.model_copy(update={"options": options})
    train, held = _split(people, concepts, settings, pictures=pictures)
    if settings.shuffle_labels:
        for rows in (train, held):
            targets[rows] = np.random.default_rng(settings.seed).permutation(targets[rows])
    items = np.unique(targets[held]) if pictures else np.arange(len(gallery))
    judge = Judge(gallery.embeddings[items], gallery.item_classes[items], np.searchsorted(items, targets[held]), items)

    with ExitStack() as stack:
        processes = stack.enter_context(joined(choose_device(settings.device)))
        stack.enter_context(seeded(settings.seed))
        data = [part.data for part in people.parts]
        trainer = Trainer(data, targets, gallery, settings, earliest_sample(people.preprocessor), processes, start)
        learner, files = trainer.learner, dict[str, RunFile]()
        book: Logbook | None = None
        if folder is not None:
            goals = [gallery.embeddings] if gallery.levels is None else [gallery.embeddings, gallery.levels]
            made = (settings.model_dump(exclude={"device", "wandb"}), processes.size)
            first = [tensor.reshape(-1).numpy() for part in (start or {}).values() for tensor in part.values()]
            key = processes.once(lambda: fingerprint(made, arrays=[*data, targets, train, held, *goals, *first]))
            files = {name: RunFile(folder / f"{name}.run", key) for name in ("fit", "refit")}
            if processes.rank == 0:
                book = stack.enter_context(closing(Logbook(folder / "logs", settings)))

        def report(step: TrainStep) -> None:
            on_epoch(step)
            if book is not None:
                book.write(step)

        fit = trainer.fit(train, held, judge, report, files.get("fit"))
        learner.load(fit.best)
        fitted = processes.once(lambda: _temperatures(trainer, people, held, targets, gallery, items))
        chosen = fit if pictures else trainer.refit(np.arange(len(targets)), fit.epoch, report, files.get("refit"))
        learner.load(chosen.best)
        if processes.rank == 0:
            for file in files.values():
                file.path.unlink(missing_ok=True)
    adapter = learner.adapter
    facts = {
        "settings": settings.model_dump(exclude={"device", "wandb"}),
        "n_train": len(train),
        "n_validation": len(held),
        "refit_on_all": not pictures,
        "val_concepts": sorted({concepts[row] for row in held}) if pictures else [],
        "train_concepts": sorted({concepts[row] for row in (train if pictures else range(len(targets)))}),
        "n_ways": judge.n_ways,
        "best_epoch": fit.epoch,
        "best": fit.found,
        "last": fit.history[-1],
        "history": fit.history,
        "truncated": bool(settings.truncation),
        "calibration": fitted.facts,
        "source": "; ".join(dict.fromkeys(one.source for one in given)),
        **({} if base is None else {"base": {**base.facts, "validation": fit.start}}),
    }
    return TrainResult(
        decoder=Decoder(
            encoder_config=learner.config,
            encoder=learner.encoder,
            preprocessor=people.preprocessor,
            space=adapter.adapted_space(gallery.space) if adapter else gallery.space,
            logit_scale=fitted.logit_scale,
            averaging=fitted.averaging,
            early_scales=fitted.early_scales,
            gallery=search or gallery,
            training=facts,
            adapter=adapter,
            base_space=gallery.space if adapter else "",
            subjects=people.spatial,
            clip_norm=gallery.clip_norm,
            device=learner.device,
        ),
        last=chosen.last,
        best_validation=fit.found,
        last_validation=fit.history[-1],
        best_epoch=fit.epoch,
        n_ways=judge.n_ways,
        start=fit.start,
    )


def _split(
    people: People, concepts: Sequence[str], settings: TrainSettings, *, pictures: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on, and those that are held out."""
    if pictures:
        assert settings.val_concepts is not None
        return hold_out_concepts(concepts, settings.val_concepts, settings.seed)
    duration = people.preprocessor.tmax - people.preprocessor.tmin
    return hold_out_blocks(concepts, people.sessions, people.onsets, duration, settings.val_fraction)


def _temperatures(
    trainer: Trainer,
    people: People,
    held: NDArray[np.int64],
    targets: NDArray[np.intp],
    gallery: Gallery,
    items: NDArray[np.intp],
) -> Temperatures:
    """Fit temperatures and averaging on the held-out single presentations, under the present weights."""
    rows, shown = people.presentations(held, np.searchsorted(items, targets))
    singles = Stack([single.data for single in people.singles], trainer.device)
    candidates, adapter = gallery.select(items), trainer.learner.adapter
    candidates = candidates if adapter is None else adapter.gallery(candidates)
    return fit_temperatures(
        lambda some, n_times: trainer.learner.embed(singles, rows[some], n_times), shown, candidates,
        ends=ends(people.preprocessor), seed=trainer.settings.seed,
    )  # fmt: skip
