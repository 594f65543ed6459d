"""A training that is killed goes on, and ends with the weights that it would have had."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from necomimi.epochs import Epochs, EpochsWriter, Trial
from necomimi.gallery import Gallery
from necomimi.offline.engine import TrainResult, TrainSettings, TrainStep, train_encoder
from necomimi.offline.resume import RunFile, fingerprint
from necomimi.preprocessing import Preprocessor

SETTINGS = TrainSettings(
    options={"n_filters": 4, "n_hidden": 8}, epochs=6, batch_size=16, truncation=0.5, device="cpu"
)  # fmt: skip
# Trains as the test does, says each pass, and after the pass it is told waits to be killed.
PROGRAM = """
import sys, time
from pathlib import Path
import torch
from necomimi.epochs import Epochs
from necomimi.gallery import Gallery
from necomimi.offline.engine import TrainSettings, train_encoder

def say(step):
    print(step.done, flush=True)
    if step.done == int(sys.argv[4]):
        time.sleep(600)

if __name__ == "__main__":
    torch.set_num_threads(1)
    epochs = Epochs.load(Path(sys.argv[1]))
    settings = TrainSettings.model_validate_json(sys.argv[3])
    result = train_encoder(epochs, Gallery.from_labels("ab"), settings, on_epoch=say, folder=Path(sys.argv[2]))
    result.decoder.save(Path(sys.argv[2]) / "decoder")
"""


class Stopped(Exception):
    pass


def stop_after(n: int) -> Callable[[TrainStep], None]:
    def stop(step: TrainStep) -> None:
        if step.done == n:
            raise Stopped

    return stop


@pytest.fixture(scope="module")
def epochs(tmp_path_factory: pytest.TempPathFactory) -> Epochs:
    path = tmp_path_factory.mktemp("resume") / "e"
    preprocessor = Preprocessor(
        ch_names=("A", "B", "C"), sfreq=100.0, tmin=0.0, tmax=0.19, baseline=None, start=0.0, n_times=20,
        spatial=np.eye(3, dtype=np.float32),
    )  # fmt: skip
    with EpochsWriter(path) as writer:
        trials = [Trial(label="ab"[i % 2], onset=float(i)) for i in range(90)]
        writer.create("train", trials, 3, 20)[:] = np.random.default_rng(0).normal(size=(90, 3, 20))
        writer.finish(preprocessor, "a test")
    return Epochs.load(path)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep to one thread: how many there are decides in which order numbers are added."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(first: TrainResult, second: TrainResult) -> bool:
    pairs = [(first.last["encoder"], second.last["encoder"])]
    pairs.append((first.decoder.encoder.state_dict(), second.decoder.encoder.state_dict()))
    return first.decoder.training == second.decoder.training and all(
        torch.equal(a[name], b[name]) for a, b in pairs for name in a
    )


def test_a_killed_training_ends_with_the_same_weights(epochs: Epochs, tmp_path: Path) -> None:
    whole = train_encoder(epochs, Gallery.from_labels("ab"), SETTINGS)
    arguments = [sys.executable, "-c", PROGRAM, str(epochs.path), str(tmp_path), SETTINGS.model_dump_json()]
    begun = []
    for fatal in (4, 6 + 3):  # while it looks for the best pass, and while it trains again on all trials
        with subprocess.Popen([*arguments, str(fatal)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            passes = []
            while not passes or passes[-1] < fatal:
                passes.append(int(process.stdout.readline()))
            process.kill()
        begun.append(passes[0])
    assert begun[0] == 1
    assert 1 < begun[1] <= 4  # the second process did not begin afresh
    steps: list[TrainStep] = []
    result = train_encoder(epochs, Gallery.from_labels("ab"), SETTINGS, on_epoch=steps.append, folder=tmp_path)
    assert 6 + 1 < steps[0].done <= 6 + 3  # nor did this one
    assert same(result, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs"]  # what is not needed any more is gone


def test_other_settings_or_data_begin_afresh_and_say_so(
    epochs: Epochs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = Gallery.from_labels("ab")
    other = SETTINGS.model_copy(update={"seed": 1})
    for settings, folder in ((SETTINGS, tmp_path / "a"), (SETTINGS, tmp_path / "b")):
        with pytest.raises(Stopped):
            train_encoder(epochs, gallery, settings, on_epoch=stop_after(4), folder=folder)
    changed = np.array(epochs.train.data)
    changed[-1, 0, 0] += 1
    altered = replace(epochs, train=replace(epochs.train, data=changed))
    for found, settings, folder in ((epochs, other, tmp_path / "a"), (altered, SETTINGS, tmp_path / "b")):
        steps: list[TrainStep] = []
        with caplog.at_level(logging.WARNING, logger="necomimi"):
            result = train_encoder(found, gallery, settings, on_epoch=steps.append, folder=folder)
        assert "starts afresh" in caplog.text
        caplog.clear()
        assert steps[0].done == 1
        assert same(result, train_encoder(found, gallery, settings))


def test_a_finished_part_is_not_done_again_and_the_device_does_not_matter(epochs: Epochs, tmp_path: Path) -> None:
    gallery = Gallery.from_labels("ab")
    with pytest.raises(Stopped):
        train_encoder(epochs, gallery, SETTINGS, on_epoch=stop_after(7), folder=tmp_path)
    steps: list[TrainStep] = []
    settings = SETTINGS.model_copy(update={"device": "auto" if not torch.cuda.is_available() else "cpu"})
    train_encoder(epochs, gallery, settings, on_epoch=steps.append, folder=tmp_path)
    assert [step.done for step in steps] == list(range(7, 13))


def test_a_damaged_or_malicious_file_is_of_no_use(
    epochs: Epochs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = RunFile(tmp_path / "fit.run", "key")
    assert file.load() is None
    file.save({"done": 3, "weights": {"encoder": {"w": torch.ones(2)}}})
    assert torch.equal(file.load()["weights"]["encoder"]["w"], torch.ones(2))  # type: ignore[index]
    assert [path.name for path in tmp_path.iterdir()] == ["fit.run"]
    assert RunFile(file.path, "other key").load() is None
    whole = file.path.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        file.path.write_bytes(content)
        assert file.load() is None
        assert "cannot be read" in caplog.text
        caplog.clear()
    torch.save({"key": "key", "state": epochs}, file.path)  # anything but tensors and plain values
    assert file.load() is None
    assert "cannot be read" in caplog.text


def test_writing_stays_a_small_part_of_the_time(tmp_path: Path) -> None:
    file = RunFile(tmp_path / "fit.run", "key")
    assert file.due(last=False)  # the first time, whatever it may cost
    file.save({"done": 1})
    file._cost = 10.0  # as if it had taken ten seconds
    assert not file.due(last=False)
    assert file.due(last=True)
    file._written -= 250.0  # as if that were some minutes ago
    assert file.due(last=False)


def test_a_fingerprint_is_of_every_byte_and_every_fact() -> None:
    data = np.arange(24.0).reshape(2, 3, 4)
    one = fingerprint({"a": 1}, arrays=[data])
    assert one == fingerprint({"a": 1}, arrays=[data.copy()])
    data[1, 2, 3] += 1e-9
    others = {fingerprint({"a": 1}, arrays=[data]), fingerprint({"a": 2}, arrays=[data])}
    others.add(fingerprint({"a": 1}, arrays=[data.reshape(3, 2, 4)]))
    assert len(others | {one}) == 4
