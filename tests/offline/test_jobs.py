"""A job knows what it depends on, finds the signal, and keeps its record whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from necomimi.epochs import Epochs
from necomimi.errors import DatasetError
from necomimi.gallery import Gallery
from necomimi.offline.engine import TrainSettings, TrainStep
from necomimi.offline.jobs import Job, Sources, fingerprint, read_records, work, write_record

SETTINGS = TrainSettings(
    options={"n_filters": 8, "n_hidden": 16, "dropout": [0.0, 0.0]}, epochs=12, batch_size=16, lr=1e-2, noise=0,
    smoothing=0, truncation=0, val_concepts=4, device="cpu",
)  # fmt: skip


def job_for(people: Path, subject: str = "sub-01", trained_on: tuple[str, ...] = ("sub-01",)) -> Job:
    names = ("sub-01", "sub-02", "sub-03")
    sources = Sources(
        epochs={name: people / "epochs" / name for name in names},
        gallery=people / "training", test_gallery=people / "test",
    )  # fmt: skip
    data = tuple(fingerprint(sources.epochs[name]) for name in (subject, *trained_on))
    conditions = sources.digest()
    return Job(
        subject=subject, trained_on=trained_on, settings=SETTINGS, sources=sources, conditions=conditions, data=data
    )  # fmt: skip


def test_within_a_subject_unseen_pictures_are_found(people: Path, tmp_path: Path) -> None:
    steps: list[TrainStep] = []
    job = replace(job_for(people), folder=tmp_path)
    record = work(job, steps.append)
    assert [step.done for step in steps] == list(range(1, 13))
    rows = record["test"]["rows"]
    assert [row["repetitions"] for row in rows] == [1, 4, "all"]
    assert rows[0]["n_queries"] == 30
    assert rows[-1]["n_queries"] == 6
    assert rows[-1]["top1"] >= 0.5  # chance is 1 of 6
    assert record["validation"]["best"]["top1"] > 0.5
    assert record["validation"]["n_ways"] == 4
    assert record["validation"]["last"].items() >= steps[-1].validation.items()
    assert not record["leave_one_out"]
    assert record["n_train"] == 40
    assert record["n_parameters"] > 500
    assert [guard["name"] for guard in record["guards"] if guard["passed"] is False] == []
    assert not record["things_eeg2"]
    assert (tmp_path / "sub-01_multiblur_0").is_dir()  # the curves
    again = work(job_for(people))
    assert again["test"] == record["test"]
    assert again["identity"] == record["identity"]


def test_a_person_left_out_is_decoded_by_what_others_taught(people: Path) -> None:
    record = work(job_for(people, "sub-01", ("sub-02", "sub-03")))
    assert record["leave_one_out"]
    assert record["trained_on"] == ["sub-02", "sub-03"]
    assert record["n_train"] == 2 * 40
    assert record["test"]["rows"][-1]["top1"] >= 0.5
    one = work(job_for(people, "sub-01", ("sub-02",)))
    assert one["n_train"] == 40
    assert one["identity"] != record["identity"]


def test_training_epochs_of_the_person_left_out_change_nothing(people: Path, tmp_path: Path) -> None:
    shutil.copytree(people, tmp_path / "people")
    job = job_for(people, "sub-01", ("sub-02", "sub-03"))
    expected = work(job)
    data = np.load(tmp_path / "people" / "epochs" / "sub-01" / "train.npy", mmap_mode="r+")
    data[:] = np.random.default_rng(5).normal(size=data.shape)
    data.flush()
    assert work(job_for(tmp_path / "people", "sub-01", ("sub-02", "sub-03")))["test"] == expected["test"]


def test_the_fingerprint_is_of_what_is_there_not_where(people: Path, tmp_path: Path) -> None:
    original = people / "epochs" / "sub-01"
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    assert fingerprint(copy) == fingerprint(original)
    assert fingerprint(people / "epochs" / "sub-02") != fingerprint(original)
    data = np.load(copy / "test.npy", mmap_mode="r+")
    data[0, 0, 0] += 1
    data.flush()
    assert fingerprint(copy) != fingerprint(original)
    gallery = Gallery.load(people / "test")
    gallery.save(tmp_path / "gallery")
    assert fingerprint(tmp_path / "gallery") == fingerprint(people / "test")
    gallery.select(range(5)).save(tmp_path / "gallery")
    assert fingerprint(tmp_path / "gallery") != fingerprint(people / "test")


def test_the_identity_is_of_everything_that_matters(people: Path) -> None:
    job = job_for(people)
    settings = job.settings

    def changed(**values: object) -> Job:
        return replace(job, settings=settings.model_copy(update=values))

    assert changed(device="cuda").identity == job.identity
    assert replace(job, folder=people).identity == job.identity
    others = [changed(seed=1), changed(lr=1e-3), changed(encoder="nerv"), replace(job, conditions="0" * 64)]
    others += [replace(job, subject="sub-02"), replace(job, trained_on=("sub-02",)), replace(job, data=("0", "1"))]
    assert len({one.identity for one in [job, *others]}) == len(others) + 1
    assert changed(encoder="braindecode:EEGNet").name == "sub-01_braindecode-EEGNet_0"


def test_changed_epochs_are_refused(people: Path, tmp_path: Path) -> None:
    shutil.copytree(people, tmp_path / "people")
    job = job_for(tmp_path / "people")
    with (tmp_path / "people" / "epochs" / "sub-01" / "train.tsv").open("a") as file:
        file.write("\n")
    assert len(Epochs.load(tmp_path / "people" / "epochs" / "sub-01").train) == 96
    with pytest.raises(DatasetError, match="not those that the sweep began with"):
        work(job)


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    record = {"name": "sub-01_nerv_0", "test": {"rows": [{"top1": 0.1 + 0.2}]}}
    write_record(tmp_path / "jobs", record)
    write_record(tmp_path / "jobs", record)
    (tmp_path / "jobs" / "sub-02_nerv_0.partial").write_text('{"form')  # of a process that was killed
    (found,) = read_records(tmp_path / "jobs")
    assert {key: found[key] for key in record} == record
    assert read_records(tmp_path / "absent") == []


@pytest.mark.parametrize("text", ['{"form', "[]", json.dumps({"format": "necomimi-gallery", "version": 1})])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "sub-01_nerv_0.json").write_text(text)
    with pytest.raises(DatasetError, match=r"sub-01_nerv_0\.json"):
        read_records(tmp_path)
