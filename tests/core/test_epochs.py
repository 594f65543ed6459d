"""An epochs directory comes back as it was written, appears whole or not at all, and refuses damage in words."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from necomimi.epochs import Epochs, EpochSet, EpochsWriter, Trial
from necomimi.errors import CheckpointError, DatasetError
from necomimi.preprocessing import Preprocessor

PREPROCESSOR = Preprocessor(
    ch_names=("A", "B"), sfreq=100.0, tmin=0.0, tmax=0.1, baseline=None, start=0.0, n_times=10,
    spatial=np.eye(2, dtype=np.float32),
)  # fmt: skip
TRIALS = [
    Trial(label="cat", picture="1_cat/a.jpg", repetition=1, onset=0.5),
    Trial(label="dog", picture="2_dog/a.jpg", repetition=1, onset=1.0),
    Trial(label="cat", picture="1_cat/a.jpg", session=2, repetition=2, onset=1.5),
    Trial(label="cat", picture="1_cat/b.jpg", repetition=1, onset=2.0),
]


def write(path: Path, seed: int = 0) -> np.ndarray:
    data = np.random.default_rng(seed).normal(size=(4, 2, 10)).astype(np.float32)
    with EpochsWriter(path) as writer:
        writer.create("train", TRIALS, 2, 10)[:] = data
        writer.finish(PREPROCESSOR, "a test")
    return data


def test_round_trip(tmp_path: Path) -> None:
    data = write(tmp_path / "e")
    epochs = Epochs.load(tmp_path / "e")
    np.testing.assert_array_equal(epochs.train.data, data)
    assert epochs.train.labels == ("cat", "dog", "cat", "cat")
    assert epochs.train.names == tuple(trial.picture for trial in TRIALS)
    assert list(epochs.train.sessions) == [1, 1, 2, 1]
    assert list(epochs.train.onsets) == [0.5, 1.0, 1.5, 2.0]
    assert epochs.test is None
    assert epochs.preprocessor.to_config() == PREPROCESSOR.to_config()
    assert not list(tmp_path.glob("*.partial"))


def test_averaging_joins_repetitions_of_one_picture(tmp_path: Path) -> None:
    data = write(tmp_path / "e")
    averaged = Epochs.load(tmp_path / "e").train.averaged()
    assert averaged.pictures == ("1_cat/a.jpg", "2_dog/a.jpg", "1_cat/b.jpg")
    np.testing.assert_allclose(averaged.data, [(data[0] + data[2]) / 2, data[1], data[3]], rtol=1e-6)


def test_averaging_is_the_mean_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    names = tuple(f"{i}.jpg" for i in rng.integers(0, 9, size=50))
    data = rng.normal(size=(50, 3, 4)).astype(np.float32)
    numbers = np.arange(50)
    epochs = EpochSet(
        data=data, labels=names, pictures=names, sessions=numbers, repetitions=numbers, onsets=numbers * 1.0
    )
    for block in (1, 7 * data[:1].nbytes, 2**30):
        monkeypatch.setattr("necomimi.epochs.BLOCK_BYTES", block)
        averaged = epochs.averaged()
        assert averaged.pictures == tuple(dict.fromkeys(names))
        rows = [[i for i, other in enumerate(names) if other == name] for name in averaged.names]
        expected = [data[own].mean(axis=0) for own in rows]
        np.testing.assert_allclose(averaged.data, expected, rtol=1e-5, atol=1e-6)
        assert list(averaged.onsets) == [names.index(name) for name in averaged.names]


def test_whose_epochs_and_whether_the_whitening_saw_the_test_set(tmp_path: Path) -> None:
    write(tmp_path / "e")
    assert (Epochs.load(tmp_path / "e").subject, Epochs.load(tmp_path / "e").transductive) == ("", False)
    config = tmp_path / "e" / "config.json"
    fields = json.loads(config.read_text())
    del fields["subject"], fields["transductive"]  # as directories were before
    config.write_text(json.dumps(fields))
    assert (Epochs.load(tmp_path / "e").subject, Epochs.load(tmp_path / "e").transductive) == ("", False)
    with EpochsWriter(tmp_path / "e") as writer:
        writer.create("train", TRIALS, 2, 10)[:] = 1.0
        writer.finish(PREPROCESSOR, "a test", subject="sub-03", transductive=True)
    assert (Epochs.load(tmp_path / "e").subject, Epochs.load(tmp_path / "e").transductive) == ("sub-03", True)


def test_with_the_same_key_an_interrupted_writer_is_followed(tmp_path: Path) -> None:
    def begin(key: dict | None, error: type[BaseException]) -> bool:
        goes_on = False
        with suppress(error), EpochsWriter(tmp_path / "e", key) as writer:
            array = writer.create("train", TRIALS, 2, 10)
            goes_on = bool(array.any())
            array[:] = 1.0
            writer.keep()
            raise error("stop")
        return goes_on

    assert not begin({"a": 1}, KeyboardInterrupt)
    assert begin({"a": 1}, KeyboardInterrupt)
    assert not begin({"a": 2}, KeyboardInterrupt)
    assert begin({"a": 2}, DatasetError)
    assert not list(tmp_path.iterdir())
    assert not begin({"a": 2}, OSError)
    with EpochsWriter(tmp_path / "e", {"a": 2}) as writer:
        assert writer.create("train", TRIALS, 2, 10).any()
        writer.finish(PREPROCESSOR, "a test")
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == [
        "config.json", "preprocessing.safetensors", "train.npy", "train.tsv",
    ]  # fmt: skip
    assert Epochs.load(tmp_path / "e").train.labels == ("cat", "dog", "cat", "cat")


def test_left_unfinished_nothing_remains_and_the_old_one_stays(tmp_path: Path) -> None:
    old = write(tmp_path / "e")

    def break_off() -> None:
        with EpochsWriter(tmp_path / "e") as writer:
            writer.create("train", TRIALS, 2, 10)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    np.testing.assert_array_equal(Epochs.load(tmp_path / "e").train.data, old)
    new = write(tmp_path / "e", seed=1)
    np.testing.assert_array_equal(Epochs.load(tmp_path / "e").train.data, new)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_nothing_foreign_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("precious")
    with pytest.raises(CheckpointError, match=r"no config.json[\s\S]*another OUT"):
        EpochsWriter(tmp_path / "thesis")
    (tmp_path / "thesis" / "config.json").write_text('{"format": "other"}')
    with pytest.raises(CheckpointError, match="other"):
        EpochsWriter(tmp_path / "thesis")


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "disk" / "e")
    (tmp_path / "e").symlink_to(tmp_path / "disk" / "e")
    new = write(tmp_path / "e", seed=1)
    assert (tmp_path / "e").is_symlink()
    np.testing.assert_array_equal(Epochs.load(tmp_path / "disk" / "e").train.data, new)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "train.npy").unlink(), "cannot be read"),
        (lambda d: np.save(d / "train.npy", np.zeros((4, 2, 10))), "float64"),
        (lambda d: np.save(d / "train.npy", np.zeros((3, 2, 10), np.float32)), r"\(3, 2, 10\)"),
        (lambda d: np.save(d / "train.npy", np.array([{}], dtype=object)), "cannot be read"),
        (lambda d: (d / "train.tsv").write_text("label\nx\n"), "cannot be read"),
        (lambda d: (d / "train.tsv").write_text("x" * 200_000), "cannot be read"),
        (lambda d: (d / "config.json").write_text("{"), "damaged"),
        (lambda d: (d / "config.json").write_text("[]"), "format is None"),
        (lambda d: (d / "config.json").unlink(), "no config.json"),
        (lambda d: (d / "preprocessing.safetensors").write_bytes(b"x"), "cannot be read"),
    ],
)
def test_damage_is_refused_in_words(tmp_path: Path, damage, words: str) -> None:
    write(tmp_path / "e")
    damage(tmp_path / "e")
    with pytest.raises((DatasetError, CheckpointError), match=words):
        Epochs.load(tmp_path / "e")
