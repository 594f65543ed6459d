"""Train on made-up epochs of two people, alone or as one of several processes; write what was found to a file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from necomimi.epochs import Epochs, EpochSet
from necomimi.gallery import Gallery
from necomimi.offline.distributed import joined
from necomimi.offline.engine import TrainSettings, train_encoder
from necomimi.offline.trainer import Trainer
from necomimi.preprocessing import Preprocessor

N_CHANNELS, N_TIMES, N_DIMS, N_ITEMS = 5, 80, 16, 40
ENCODERS = {"multiblur": {"n_filters": 6, "n_hidden": 12, "dropout": [0.0, 0.0]}, "nice": {}}


def make_gallery() -> Gallery:
    levels = np.random.default_rng(0).normal(size=(N_ITEMS, 3, N_DIMS)).astype(np.float32)
    levels /= np.linalg.norm(levels, axis=2, keepdims=True)
    files = tuple(f"{i // 2:03d}_c{i // 2}/p{i}.jpg" for i in range(N_ITEMS))
    labels = tuple(f"c{i // 2}" for i in range(N_ITEMS))
    return Gallery(
        labels=labels, files=files, embeddings=levels[:, 0], space="random:16", levels=levels, blur_levels=(1, 3, 9)
    )


def make_people(gallery: Gallery) -> list[Epochs]:
    people = []
    for person in range(2):
        rng = np.random.default_rng(1 + person)
        spatial = np.diag(rng.uniform(0.5, 2.0, N_CHANNELS)).astype(np.float32)
        preprocessor = Preprocessor(
            ch_names=tuple("ABCDE"), sfreq=100.0, tmin=0.0, tmax=0.79, baseline=None, start=0.0, n_times=N_TIMES,
            spatial=spatial,
        )  # fmt: skip
        part = EpochSet(
            data=rng.normal(size=(N_ITEMS, N_CHANNELS, N_TIMES)).astype(np.float32), labels=gallery.labels,
            pictures=gallery.files, sessions=np.ones(N_ITEMS, np.int64), repetitions=np.ones(N_ITEMS, np.int64),
            onsets=np.arange(N_ITEMS, dtype=float),
        )  # fmt: skip
        people.append(
            Epochs(
                train=part,
                test=None,
                preprocessor=preprocessor,
                source="a test",
                path=Path(f"p{person}"),
                subject=f"sub-{person}",
            )
        )
    return people


def make_settings(encoder: str, **changes: object) -> TrainSettings:
    settings = TrainSettings(
        encoder=encoder, options=ENCODERS[encoder], epochs=3, batch_size=21, val_concepts=4, device="cpu",
        precision="float32",
    )  # fmt: skip
    return settings.model_copy(update=changes)


def one_step(encoder: str) -> dict[str, torch.Tensor]:
    """Return the loss and the gradients of one batch; dropout of the encoder is left out, as it differs."""
    gallery = make_gallery()
    people = make_people(gallery)
    settings = make_settings(encoder).resolved(80, 20, pictures=True, levels=True)
    with joined(torch.device("cpu")) as processes:
        data = [epochs.train.data for epochs in people]
        trainer = Trainer(data, np.tile(np.arange(N_ITEMS), 2), gallery, settings, 10, processes)
        run = trainer._begin(80)
        for module in run.modules["encoder"].modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        run.modules.train()
        run.disturber.begin_pass()
        batch = torch.randperm(80, generator=run.order)[:21]
        loss = trainer._backward(trainer.learner.encoder, batch, run.disturber.draw(), seed=3)
        processes.add_gradients(run.modules.parameters())
        found = {name: p.grad for name, p in run.modules.named_parameters() if p.grad is not None}
        buffers = {name: buffer.float() for name, buffer in run.modules.named_buffers()}
        return {"loss": loss, **found, **buffers}


def whole_training(encoder: str) -> dict[str, object]:
    """Return what a short training finds."""
    gallery = make_gallery()
    result = train_encoder(make_people(gallery), gallery, make_settings(encoder))
    losses = [step["loss"] for step in result.decoder.training["history"]]
    return {"losses": losses, "epoch": result.best_epoch, "scale": result.decoder.logit_scale, **result.last["encoder"]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined(torch.device("cpu")):
        torch.save({name: {"step": one_step(name), "training": whole_training(name)} for name in ENCODERS}, sys.argv[1])
