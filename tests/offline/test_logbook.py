"""Curves are in the event files for each pass once, and elsewhere only where a project is named."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from necomimi.errors import ConfigError
from necomimi.offline.logbook import Logbook
from necomimi.offline.settings import TrainSettings
from necomimi.offline.trainer import TrainStep


def step(done: int) -> TrainStep:
    return TrainStep(done=done, total=9, loss=5.0 - done, validation={"top1": done / 10}, lr=1e-3, samples_s=100.0)


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, round(e.value, 6)) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


@pytest.fixture(autouse=True)
def no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_PROJECT", raising=False)


def log(folder: Path, *passes: int, settings: TrainSettings | None = None) -> None:
    book = Logbook(folder, settings or TrainSettings())
    for done in passes:
        book.write(step(done))
    book.close()


def test_each_pass_is_there_once_even_after_a_kill(tmp_path: Path) -> None:
    log(tmp_path, 1, 2, 3, 4)
    log(tmp_path, 3, 4, 5)  # the state of pass 2 was the last that was kept
    found = read(tmp_path)
    assert set(found) == {"loss", "lr", "samples_s", "validation/top1"}
    assert found["loss"] == [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0), (5, 0.0)]
    assert found["validation/top1"] == [(n, n / 10) for n in range(1, 6)]


def test_a_new_training_replaces_the_curves_of_the_last(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    log(tmp_path, 1, 2, 3)
    log(tmp_path, 1)
    assert read(tmp_path)["loss"] == [(1, 4.0)]
    assert (tmp_path / "notes.txt").read_text() == "mine"


class Recorder(ModuleType):
    """Stands in for the service, which tests must not reach."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.started: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def init(self, **arguments: Any) -> Recorder:
        self.started.append(arguments)
        return self

    def log(self, figures: dict[str, float], step: int) -> None:
        self.logged.append((step, figures))

    def finish(self) -> None:
        self.finished += 1


def test_a_named_project_gets_the_curves_as_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = Recorder()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    log(tmp_path, 1, 2)  # no project: nothing is sent
    assert not wandb.started
    log(tmp_path, 1, 2, settings=TrainSettings(wandb="cats"))
    monkeypatch.setenv("WANDB_PROJECT", "ears")
    log(tmp_path, 3)
    log(tmp_path, 1)
    assert [arguments["project"] for arguments in wandb.started] == ["cats", "ears", "ears"]
    names = [arguments["id"] for arguments in wandb.started]
    assert names[0] == names[1] != names[2]  # a training that goes on is the same run
    assert [n for n, _ in wandb.logged] == [1, 2, 3, 1]
    assert wandb.logged[0][1]["validation/top1"] == 0.1
    assert wandb.finished == 3


def test_a_project_without_wandb_is_refused_before_the_first_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"'cats'[\s\S]*pip install wandb"):
        Logbook(tmp_path, TrainSettings(wandb="cats"))
