"""Plan a sweep: epochs of subjects, encoders, seeds -> jobs that share no test concept with what they learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from pydantic import Field

from necomimi.config import load_settings
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError, DatasetError

from .job_pool import n_cores
from .jobs import Job, Sources, fingerprint
from .settings import TrainSettings
from .targets import find_targets
from .train import galleries_for

__all__ = ["SweepSettings", "count_at_once", "find_subjects", "plan_jobs", "settings_of"]


class SweepSettings(TrainSettings):
    """How to train all encoders of a sweep, and what is different for some.

    Parameters
    ----------
    encoders : dict
        Settings of a `TrainSettings` that hold for one encoder only, by its name.
    """

    encoders: dict[str, dict[str, Any]] = Field(default_factory=dict)


def settings_of(path: Path | None, names: Sequence[str], options: dict[str, Any]) -> list[TrainSettings]:
    """Return the settings of each encoder.

    Parameters
    ----------
    path : Path or None
        TOML file of `SweepSettings`: keys for all encoders, and tables such as ``[encoders.nerv]``.
    names : sequence of str
        Encoders; without any, those that have a table, or else the file's `encoder`.
    options : dict
        Settings that win over the file; None counts as not given.

    Raises
    ------
    ConfigError
        See `necomimi.config.load_settings`.
    """
    shared = load_settings(SweepSettings, path)
    common = shared.model_dump(exclude={"encoders"})
    given = {key: value for key, value in options.items() if value is not None}
    return [
        load_settings(TrainSettings, None, {**common, **shared.encoders.get(name, {}), **given, "encoder": name})
        for name in dict.fromkeys(names or shared.encoders or [shared.encoder])
    ]


def find_subjects(path: Path) -> dict[str, Epochs]:
    """Return the epochs of each subject by name: of one epochs directory, or of all those in a folder.

    Raises
    ------
    DatasetError
        There are none, one has no test epochs, or two are of one subject.
    """
    folders = [path] if (path / "config.json").is_file() else sorted(file.parent for file in path.glob("*/train.tsv"))
    found: dict[str, Epochs] = {}
    for folder in folders:
        if folder.suffix == ".partial":  # being written
            continue
        epochs = Epochs.load(folder)
        name = epochs.subject or folder.resolve().name
        if name in found:
            raise DatasetError(f"{found[name].path} and {folder} are both of {name}", "one directory for each subject")
        if epochs.test is None or not len(epochs.test):
            raise DatasetError(f"{folder} has no test epochs", "a test set", "necomimi preprocess with a test set")
        found[name] = epochs
    if not found:
        raise DatasetError(
            f"{path} holds no epochs", "an epochs directory, or a folder of them", "necomimi preprocess RAW OUT"
        )
    return found


def plan_jobs(
    subjects: dict[str, Epochs],
    settings: Sequence[TrainSettings],
    n_seeds: int,
    *,
    gallery: Path | None,
    test_gallery: Path | None,
    leave_one_out: bool,
    folder: Path | None,
) -> list[Job]:
    """Return one job per subject, encoder and seed, after all that can be checked before training.

    Parameters
    ----------
    subjects : dict of str to Epochs
    settings : sequence of TrainSettings
        One per encoder; seeds are counted from its own.
    n_seeds : int
    gallery, test_gallery : Path or None
        See `necomimi.offline.train.galleries_for`.
    leave_one_out : bool
        Learn from all other subjects instead of from the subject.
    folder : Path or None
        See `Job`.

    Raises
    ------
    ConfigError
        Leave-one-out with one subject, or an encoder that cannot be built for these epochs.
    DatasetError
        A picture is not in its gallery, or a test concept is among the training concepts.
    """
    from necomimi.encoders import build

    if leave_one_out and len(subjects) < 2:
        raise ConfigError(f"--leave-one-out with one subject, {next(iter(subjects))}", "a folder of at least two")
    first = next(iter(subjects.values()))
    towards, search = galleries_for(list(subjects.values()), gallery, test_gallery)
    for epochs in subjects.values():
        assert epochs.test is not None
        find_targets(epochs.train, towards)
        find_targets(epochs.test, search or towards)
    if any(first.train.pictures):
        _require_unseen(subjects, leave_one_out=leave_one_out)
    for chosen in settings:
        _, n_chans, n_times = first.train.data.shape
        build(chosen.encoder, n_chans=n_chans, n_times=n_times, n_outputs=towards.n_dims, **chosen.options)
    sources = Sources(
        epochs={name: epochs.path.resolve() for name, epochs in subjects.items()},
        gallery=gallery and gallery.resolve(),
        test_gallery=test_gallery and test_gallery.resolve(),
    )
    conditions = sources.digest()
    data = {name: fingerprint(path) for name, path in sources.epochs.items()}
    jobs = []
    for seed in range(n_seeds):
        for subject in subjects:
            trained_on = tuple(name for name in subjects if (name == subject) != leave_one_out)
            for chosen in settings:
                job = Job(
                    subject=subject,
                    trained_on=trained_on,
                    settings=chosen.model_copy(update={"seed": chosen.seed + seed}),
                    sources=sources,
                    conditions=conditions,
                    data=tuple(data[name] for name in (subject, *trained_on)),
                    folder=folder,
                )
                jobs.append(job)
    names = {job.name for job in jobs}
    if len(names) < len(jobs):
        raise ConfigError("subjects or encoders whose names differ only in signs", "names that make different files")
    return jobs


def _require_unseen(subjects: dict[str, Epochs], *, leave_one_out: bool) -> None:
    """Make sure that no job learns from, or is chosen by, a concept that it is judged on."""
    learnt = {name: set(epochs.train.labels) for name, epochs in subjects.items()}
    tested = {name: set(epochs.test.labels) for name, epochs in subjects.items() if epochs.test is not None}
    for name, concepts in learnt.items():
        shown = set().union(*tested.values()) if leave_one_out else tested[name]
        shared = sorted(concepts & shown)
        if shared:
            raise DatasetError(
                f"{len(shared)} test concepts are among the training concepts of {name}, such as {shared[0]!r}",
                "test concepts that nobody was trained or validated on",
                "preprocess again without these pictures in the training set",
            )


def count_at_once(jobs: Sequence[Job], subjects: dict[str, Epochs]) -> int:
    """Return how many jobs to do at once here: one per GPU, or without any one per core, as far as memory goes."""
    import torch

    from necomimi.device import choose_device

    if choose_device(jobs[0].settings.device).type != "cpu":
        return max(1, torch.cuda.device_count())
    n_bytes = {
        name: 4 * epochs.train.data[0].size * len(set(epochs.train.names)) for name, epochs in subjects.items()
    }  # of averaged epochs, which are what pictures are trained on
    needed = 3 * max(sum(n_bytes[name] for name in job.trained_on) for job in jobs)  # with noise and activations
    return max(1, min(len(jobs), n_cores(), int(psutil.virtual_memory().available // needed)))
