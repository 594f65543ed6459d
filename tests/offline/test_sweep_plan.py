"""A sweep is planned whole before anything is trained, and what cannot work is refused then, in words."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.errors import ConfigError, DatasetError, NecomimiError
from necomimi.gallery import Gallery
from necomimi.offline.engine import TrainSettings
from necomimi.offline.sweep_plan import count_at_once, find_subjects, plan_jobs, settings_of

SETTINGS = [TrainSettings(encoder=name, device="cpu") for name in ("multiblur", "nice")]


def plan(people: Path, settings: list[TrainSettings] = SETTINGS, **changes: Any) -> list[Any]:
    options: dict[str, Any] = {
        "gallery": people / "training", "test_gallery": people / "test", "leave_one_out": False, "folder": None,
    }  # fmt: skip
    return plan_jobs(find_subjects(people / "epochs"), settings[:1], 2, **{**options, **changes})


def rewrite(table: Path, old: str, new: str) -> None:
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new), encoding="utf-8")


def test_each_subject_and_seed_once(people: Path) -> None:
    jobs = plan(people)
    assert [job.name for job in jobs] == [f"sub-0{i}_multiblur_{seed}" for seed in (0, 1) for i in (1, 2, 3)]
    assert [job.trained_on for job in jobs[:3]] == [("sub-01",), ("sub-02",), ("sub-03",)]
    assert len({job.identity for job in jobs}) == 6
    assert 1 <= count_at_once(jobs, find_subjects(people / "epochs")) <= 6


def test_who_is_left_out_is_never_learnt_from(people: Path) -> None:
    jobs = plan(people, leave_one_out=True)
    assert [job.trained_on for job in jobs[:3]] == [("sub-02", "sub-03"), ("sub-01", "sub-03"), ("sub-01", "sub-02")]
    assert all(job.leave_one_out for job in jobs)


def test_one_directory_is_one_subject_and_one_being_written_is_none(people: Path, tmp_path: Path) -> None:
    assert list(find_subjects(people / "epochs" / "sub-02")) == ["sub-02"]
    shutil.copytree(people / "epochs" / "sub-01", tmp_path / "a")
    shutil.copytree(people / "epochs" / "sub-02", tmp_path / "b.partial")
    assert list(find_subjects(tmp_path)) == ["sub-01"]
    shutil.copytree(people / "epochs" / "sub-01", tmp_path / "c")
    with pytest.raises(DatasetError, match="are both of sub-01"):
        find_subjects(tmp_path)


def test_what_a_test_shows_to_anybody_is_taught_to_nobody(people: Path, tmp_path: Path) -> None:
    folder = tmp_path / "epochs"
    for name in ("sub-01", "sub-02"):
        shutil.copytree(people / "epochs" / name, folder / name)
    rewrite(folder / "sub-02" / "test.tsv", "c29\t00029_c29/c29_0.jpg", "c3\t00003_c3/c3_0.jpg")
    parts = [Gallery.load(people / name) for name in ("training", "test")]
    Gallery(
        labels=parts[0].labels + parts[1].labels, files=parts[0].files + parts[1].files,
        embeddings=np.concatenate([part.embeddings for part in parts]), space=parts[0].space,
    ).save(tmp_path / "all")  # fmt: skip
    for leave_one_out, name in ((False, "sub-02"), (True, "sub-01")):
        with pytest.raises(DatasetError, match=rf"1 test concepts are among the training concepts of {name}.*'c3'"):
            plan_jobs(
                find_subjects(folder), SETTINGS[:1], 1,
                gallery=tmp_path / "all", test_gallery=None, leave_one_out=leave_one_out, folder=None,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gallery": None}, "no gallery of them is given"),
        ({"test_gallery": None}, "6 of 6 pictures or labels are not in the gallery"),
        ({"settings": [TrainSettings(encoder="nobody")]}, "nobody"),
        ({"settings": [TrainSettings(options={"n_filter": 3})]}, "n_filter"),
    ],
)
def test_what_would_fail_after_training_is_refused_before(people: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(NecomimiError, match=words):
        plan(people, **changes)


def test_leaving_one_out_of_one_is_refused(people: Path) -> None:
    subjects = find_subjects(people / "epochs" / "sub-01")
    with pytest.raises(ConfigError, match="--leave-one-out with one subject, sub-01"):
        plan_jobs(subjects, SETTINGS, 1, gallery=None, test_gallery=None, leave_one_out=True, folder=None)


@pytest.mark.parametrize("name", ["training", "absent"])
def test_a_folder_without_epochs_is_refused(people: Path, name: str) -> None:
    with pytest.raises(NecomimiError, match=name):
        find_subjects(people / name)


def test_each_encoder_may_have_settings_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(
        'epochs = 7\nlr = 1e-3\n[encoders.nerv]\nlr = 1e-4\nepochs = 9\n[encoders."braindecode:EEGNet"]\nepochs = 3\n'
    )
    found = settings_of(file, [], {"device": "cpu", "epochs": None})
    assert [(one.encoder, one.epochs, one.lr) for one in found] == [
        ("nerv", 9, 1e-4), ("braindecode:EEGNet", 3, 1e-3),
    ]  # fmt: skip
    found = settings_of(file, ["nerv", "nice", "nerv"], {"epochs": 2})
    assert [(one.encoder, one.epochs, one.lr) for one in found] == [("nerv", 2, 1e-4), ("nice", 2, 1e-3)]
    assert [one.encoder for one in settings_of(None, [], {})] == ["multiblur"]
    file.write_text("[encoders.nerv]\nepoch = 9\n")
    with pytest.raises(ConfigError, match="'epoch'"):
        settings_of(file, [], {})
