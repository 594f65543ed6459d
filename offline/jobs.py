"""One job of a sweep: training epochs, test epochs, encoder, seed -> a record of what was found, in its own file."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from necomimi import __version__
from necomimi.epochs import Epochs, EpochSet
from necomimi.errors import DatasetError
from necomimi.gallery import Gallery
from necomimi.gallery_files import digest

from . import published
from .settings import TrainSettings

if TYPE_CHECKING:
    from .trainer import TrainStep

__all__ = ["Job", "Sources", "fingerprint", "read_records", "work", "write_record"]

FORMAT = "necomimi-job"
VERSION = 1
REPETITIONS = (1, 4, 10, 20, 40, 80)
N_LOOKED_AT = 64  # epochs of each split that stand for all of them in a fingerprint


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the jobs of a sweep find what they all use.

    Parameters
    ----------
    epochs : dict of str to Path
        The epochs directory of each subject.
    gallery, test_gallery : Path or None
        As `necomimi.offline.train.galleries_for` takes them.
    """

    epochs: dict[str, Path]
    gallery: Path | None
    test_gallery: Path | None

    def digest(self) -> str:
        """Return a hash of this program's version and of the galleries: what all numbers of a table must share."""
        galleries = [None if path is None else fingerprint(path) for path in (self.gallery, self.test_gallery)]
        return digest([__version__, *galleries])


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training and its judgement.

    Parameters
    ----------
    subject : str
        Whose test epochs are judged.
    trained_on : tuple of str
        Whose training epochs are learnt from: the subject, or everybody else.
    settings : TrainSettings
    sources : Sources
    conditions : str
        `Sources.digest` as it was when the sweep was planned.
    data : tuple of str
        `fingerprint` of the epochs of `subject` and of each of `trained_on`, likewise.
    folder : Path or None
        Where trainings keep what they need to go on after a kill, each under its job's name.
    """

    subject: str
    trained_on: tuple[str, ...]
    settings: TrainSettings
    sources: Sources
    conditions: str
    data: tuple[str, ...]
    folder: Path | None = None

    @property
    def leave_one_out(self) -> bool:
        """Whether the subject is not among those learnt from."""
        return self.subject not in self.trained_on

    @property
    def name(self) -> str:
        """The name of the job and, with ".json", of its file."""
        name = f"{self.subject}_{self.settings.encoder}_{self.settings.seed}"
        return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)

    @property
    def lasting_settings(self) -> dict[str, Any]:
        """The settings that all seeds of an encoder share, and that change what is found."""
        return self.settings.model_dump(mode="json", exclude={"seed", "device", "wandb"})

    @property
    def identity(self) -> str:
        """A hash of everything that matters: two jobs with the same one are the same job."""
        return digest(
            [self.conditions, self.lasting_settings, self.settings.seed, self.subject, self.trained_on, self.data]
        )


def fingerprint(path: Path) -> str:
    """Return a hash of an epochs directory or a gallery that is the same for a copy elsewhere.

    Of an epochs directory it covers the tables, the preprocessing (with whitening, a function of every training epoch)
    and epochs spread over each split, not all of them: reading 40 GB would take minutes. Of a gallery it covers all but
    the thumbnails.
    """
    found = hashlib.sha256()
    if (path / "train.tsv").is_file():
        for file in sorted((*path.glob("*.json"), *path.glob("*.tsv"), *path.glob("*.safetensors"))):
            found.update(file.name.encode() + file.read_bytes())
        for array in sorted(path.glob("*.npy")):
            data = np.load(array, mmap_mode="r", allow_pickle=False)
            rows = np.unique(np.linspace(0, len(data) - 1, min(N_LOOKED_AT, len(data))).astype(int))
            found.update(f"{array.name}{data.shape}".encode() + np.ascontiguousarray(data[rows]).tobytes())
        return found.hexdigest()
    gallery = Gallery.load(path, thumbnails=False)
    for part in fields(gallery):
        value = getattr(gallery, part.name)
        found.update(value.tobytes() if isinstance(value, np.ndarray) else json.dumps(value).encode())
    return found.hexdigest()


def work(job: Job, on_epoch: Callable[[TrainStep], None] = lambda step: None) -> dict[str, Any]:
    """Train from fresh weights, judge once on the test set, and return what was found.

    Parameters
    ----------
    job : Job
    on_epoch : callable
        Called after each pass.

    Returns
    -------
    dict
        "name", "identity", "conditions", "settings", "subject", "encoder", "seed", "leave_one_out", "trained_on",
        "source", "things_eeg2" (`necomimi.offline.published.applies`), "transductive" (whether whitening has seen test
        epochs), "test" (`necomimi.offline.judgement.judge_decoder`), "guards" (a dict for each that
        `necomimi.offline.guards` found), "validation" ("best", "last", "best_epoch", "n_ways"), "n_train" (epochs
        learnt from), "n_parameters", "training_s" and "judging_s" (seconds).

    Raises
    ------
    DatasetError
        The epochs or galleries here are not those that the sweep was planned with.
    """
    from .engine import train_encoder
    from .guards import check_decoder
    from .judgement import judge_decoder
    from .matching import match_person
    from .train import galleries_for

    sources = job.sources
    names = (job.subject, *job.trained_on)
    if job.conditions != sources.digest() or job.data != tuple(fingerprint(sources.epochs[name]) for name in names):
        raise DatasetError(
            f"{job.name}: the program, the galleries or the epochs here are not those that the sweep began with",
            "the same on every machine, unchanged until the sweep is done",
            "start the sweep again with another OUT",
        )
    test, *others = (replace(Epochs.load(sources.epochs[name]), subject=name) for name in names)
    assert test.test is not None
    gallery, search = galleries_for(others, sources.gallery, sources.test_gallery)
    began = time.perf_counter()
    result = train_encoder(
        others if job.leave_one_out else others[0], gallery, job.settings,
        search=search, on_epoch=on_epoch, folder=job.folder and job.folder / job.name,
    )  # fmt: skip
    trained = time.perf_counter()
    if job.leave_one_out:  # a decoder of one person would refuse everybody else
        result.decoder.subjects = {epochs.subject: epochs.preprocessor.spatial for epochs in others}
    match_person(result.decoder, test)
    judged = judge_decoder(result.decoder, test.test, _repetitions_of(test.test))
    return {
        "name": job.name,
        "identity": job.identity,
        "conditions": job.conditions,
        "settings": job.lasting_settings,
        "subject": job.subject,
        "encoder": job.settings.encoder,
        "seed": job.settings.seed,
        "leave_one_out": job.leave_one_out,
        "trained_on": list(job.trained_on),
        "source": test.source,
        "things_eeg2": published.applies(test),
        "transductive": test.transductive or any(epochs.transductive for epochs in others),
        "test": judged,
        "guards": [asdict(guard) for guard in check_decoder(result.decoder, test, test.test)],
        "validation": {
            "best": result.best_validation,
            "last": result.last_validation,
            "best_epoch": result.best_epoch,
            "n_ways": result.n_ways,
        },
        "n_train": result.decoder.training["n_train"],
        "n_parameters": sum(weights.numel() for weights in result.decoder.encoder.parameters()),
        "training_s": round(trained - began, 3),
        "judging_s": round(time.perf_counter() - trained, 3),
    }


def _repetitions_of(part: EpochSet) -> list[int | None]:
    """Return the numbers of presentations to judge: some, and all (None); of labels without pictures, one."""
    if not any(part.pictures):
        return [1]
    most = int(np.unique(np.asarray(part.names), return_counts=True)[1].max())
    return [*(n for n in REPETITIONS if n < most), None]


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``folder/NAME.json``, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{record['name']}.partial"
    text = json.dumps({"format": FORMAT, "version": VERSION, **record}, indent=1, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, folder / f"{record['name']}.json")


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the records in a folder, in the order of their names.

    Raises
    ------
    DatasetError
        A file is damaged, or not the record of a job.
    """
    records = []
    for file in sorted(folder.glob("*.json")):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{file} cannot be read: {error}", "the record of a job", "delete it") from error
        found = (record.get("format"), record.get("version")) if isinstance(record, dict) else None
        if found != (FORMAT, VERSION):
            raise DatasetError(f"{file} says its format and version are {found}", f"{(FORMAT, VERSION)}", "delete it")
        records.append(record)
    return records
