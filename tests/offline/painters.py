"""A small world in which pictures can be painted from embeddings exactly, and people whose EEG tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from necomimi.epochs import Epochs, EpochsWriter, Trial
from necomimi.gallery import THUMBNAIL_SIZE, Gallery
from necomimi.generators import check_embeddings
from necomimi.offline.engine import TrainSettings, train_encoder
from necomimi.offline.train_prior import prior
from necomimi.preprocessing import Preprocessor

SIDE = 3  # blocks of colour along each side of a picture
N_DIMS = SIDE * SIDE * 3
SPACE = "blocks:27"
CH_NAMES, N_TIMES = ("Fz", "Cz", "O1", "Oz"), 12
N_TEST = 20
SETTINGS = TrainSettings(
    options={"n_filters": 8, "n_hidden": 16, "dropout": [0.0, 0.0]},
    epochs=20, batch_size=50, lr=1e-2, noise=0, smoothing=0, val_concepts=20, device="cpu", precision="float32",
)  # fmt: skip


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def blocks(vector: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Return the picture that an embedding stands for: its values as the colours of blocks."""
    colours = (127.5 + 250 * vector.reshape(SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    return colours.repeat(size // SIDE, axis=0).repeat(size // SIDE, axis=1)


class Blocks:
    """A generator that paints what an embedding stands for, with a little noise where it has any."""

    name, space, n_dims, size, steps = "blocks", SPACE, N_DIMS, 12, 1

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise

    def paint(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> NDArray[np.uint8]:
        check_embeddings(self, embeddings, seeds)
        pictures = np.stack([blocks(vector, self.size) for vector in embeddings]).astype(float)
        for picture, seed in zip(pictures, seeds, strict=True):
            picture += self.noise * np.random.default_rng(seed).normal(size=picture.shape)
        return pictures.clip(0, 255).astype(np.uint8)

    def stages(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        yield self.paint(embeddings, seeds)


def write_person(
    folder: Path,
    n_dims: int = N_DIMS,
    space: str = SPACE,
    *,
    with_prior: bool = True,
    settings: TrainSettings = SETTINGS,
) -> None:
    """Write FOLDER/{epochs,gallery,training,decoder,pictures}: EEG that is a noisy linear function of the embedding."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(n_dims, len(CH_NAMES), N_TIMES)) * np.sqrt(N_DIMS / n_dims)
    galleries = {}
    for split, name, n in (("train", "training", 100), ("test", "gallery", N_TEST)):
        vectors = unit(rng.normal(size=(n, n_dims)))
        labels = tuple(f"{split}{i:02d}" for i in range(n))
        files = tuple(f"{i:05d}_{label}/{label}_01b.png" for i, label in enumerate(labels))
        whole = np.stack([blocks(vector[:N_DIMS], THUMBNAIL_SIZE) for vector in vectors])
        galleries[split] = Gallery(labels=labels, files=files, embeddings=vectors, space=space, thumbnails=whole)
        galleries[split].save(folder / name)
    for file, vector in zip(galleries["test"].files, galleries["test"].embeddings, strict=True):
        path = folder / "pictures" / file
        path.parent.mkdir(parents=True)
        wide = np.pad(blocks(vector[:N_DIMS], 60), ((0, 0), (10, 10), (0, 0)))  # black bars beside the middle square
        Image.fromarray(wide).save(path)
    preprocessor = Preprocessor(
        ch_names=CH_NAMES, sfreq=100.0, tmin=0.0, tmax=0.11, baseline=None, start=0.0, n_times=N_TIMES,
        spatial=np.eye(len(CH_NAMES), dtype=np.float32),
    )  # fmt: skip
    with EpochsWriter(folder / "epochs") as writer:
        for split, gallery in galleries.items():
            items = np.tile(np.arange(len(gallery)), 3)
            trials = [
                Trial(label=gallery.labels[item], picture=gallery.files[item], repetition=1 + i // len(gallery))
                for i, item in enumerate(items)
            ]
            data = 0.5 * rng.normal(size=(len(items), len(CH_NAMES), N_TIMES))
            data += np.einsum("nd,dct->nct", gallery.embeddings[items], mixing)
            writer.create(split, trials, len(CH_NAMES), N_TIMES)[:] = data
        writer.finish(preprocessor, "a test", subject="sub-01")
    trained = train_encoder(Epochs.load(folder / "epochs"), galleries["train"], settings, search=galleries["test"])
    trained.decoder.save(folder / "decoder")
    if with_prior:
        prior(
            folder / "decoder", [folder / "epochs"], folder / "training",
            kind=None, steps=None, guidance=None, updates=None, repetitions=None, seed=None, device="cpu",
        )  # fmt: skip
