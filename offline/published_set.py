"""Turn published THINGS-EEG2 epochs into an epochs directory: preprocessed_eeg_*.npy and picture list -> directory."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from necomimi.console import console, progress
from necomimi.epochs import EpochsWriter, Trial
from necomimi.errors import DatasetError
from necomimi.preprocessing import Preprocessor
from necomimi.safe_pickle import release_pages
from necomimi.things_eeg2 import load_metadata, load_preprocessed, metadata_path, preprocessed_path

from .things_raw import SPLITS

__all__ = ["convert_published"]

logger = logging.getLogger(__name__)

BLOCK_BYTES = 2**26


def convert_published(root: Path, out: Path, *, subject: int) -> Preprocessor:
    """Write the published epochs of one subject as an epochs directory.

    They are whitened already, and their whitening has seen the test epochs: the directory says so (transductive).

    Parameters
    ----------
    root : Path
        Holds ``sub-XX/preprocessed_eeg_{training,test}.npy``, in any published layout, and
        ``image_set/image_metadata.npy``, whose order of pictures theirs is.
    out : Path
        The epochs directory to make.
    subject : int
        From 1.

    Returns
    -------
    Preprocessor
        Says what has been applied; its spatial matrix is the identity.

    Raises
    ------
    DatasetError
        A file is missing or damaged, or the files do not fit together.
    """
    paths = {split: preprocessed_path(root, subject, name) for split, name in SPLITS}
    sets = {split: load_preprocessed(path) for split, path in paths.items()}
    metadata = load_metadata(metadata_path(root))
    train, test = sets["train"], sets["test"]
    if train.ch_names != test.ch_names or len(train.times) != len(test.times):
        raise DatasetError(
            f"{paths['test']} has {len(test.ch_names)} channels x {len(test.times)} samples",
            f"the channels and times of {paths['train'].name}: {len(train.ch_names)} x {len(train.times)}",
        )
    trials = {}
    for split, name in SPLITS:
        pictures, labels, data = metadata.pictures(name), metadata.concepts(name), sets[split].data
        logger.info("%s: %s", paths[split].name, sets[split].layout)
        if len(data) != len(pictures):
            raise DatasetError(
                f"{paths[split]} holds {len(data)} conditions", f"{len(pictures)}, the pictures of image_metadata.npy"
            )
        trials[split] = [
            Trial(label=label, picture=picture, repetition=repetition)
            for label, picture in zip(labels, pictures, strict=True)
            for repetition in range(1, data.shape[1] + 1)
        ]
    logger.warning(
        "published epochs are transductive: the test epochs took part in their whitening; figures from them are no "
        "inductive ones (preprocess the raw files for those)"
    )
    start, n_times = float(train.times[0]), len(train.times)
    preprocessor = Preprocessor(
        ch_names=train.ch_names,
        sfreq=train.sfreq,
        tmin=start,
        tmax=start + n_times / train.sfreq,
        baseline=None,
        start=start,
        n_times=n_times,
        spatial=np.eye(len(train.ch_names), dtype=np.float32),
        applied=("baseline", "resample", "whiten"),
    )
    with EpochsWriter(out) as writer, progress() as bar:
        task = bar.add_task("convert", total=sum(map(len, trials.values())))
        for split, rows in trials.items():
            data = sets[split].data
            array = writer.create(split, rows, len(train.ch_names), n_times)
            n = data.shape[1]
            size = max(1, BLOCK_BYTES // data[:1].nbytes)
            for begin in range(0, len(data), size):
                block = np.asarray(data[begin : begin + size], dtype=np.float32).reshape(-1, *array.shape[1:])
                if not np.isfinite(block).all():
                    raise DatasetError(f"{paths[split]} holds values that are not finite", "finite values")
                array[begin * n : begin * n + len(block)] = block
                release_pages(data)
                release_pages(array)
                bar.advance(task, len(block))
        source = f"THINGS-EEG2 published epochs, subject {subject}: {train.layout}"
        writer.finish(preprocessor, source, subject=f"sub-{subject:02d}", transductive=True)
    counts = ", ".join(f"{len(rows)} {split}" for split, rows in trials.items())
    console.print(f"{out}: {counts} epochs of {len(train.ch_names)} channels x {n_times} samples, as published")
    return preprocessor
