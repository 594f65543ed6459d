"""Every form of a THINGS-EEG2 subject becomes a timeline with the right label at the right sample."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from necomimi.epochs import EpochsWriter, Trial
from necomimi.errors import CheckpointError, DatasetError, NecomimiError
from necomimi.preprocessing import Preprocessor
from necomimi.replay.dataset import dataset_timeline, is_dataset
from necomimi.replay.timeline import Timeline
from necomimi.things_eeg2 import (
    MODEL_CH_NAMES,
    RAW_CH_NAMES,
    ImageMetadata,
    RawWriter,
    preprocessed_path,
    raw_path,
    save_metadata,
)

METADATA = ImageMetadata(
    train_concepts=("00001_aardvark", "00001_aardvark", "00002_abacus"),
    train_files=("aardvark_01b.jpg", "aardvark_02s.jpg", "abacus_01b.jpg"),
    test_concepts=("00001_aircraft_carrier", "00002_antelope"),
    test_files=("aircraft_carrier_06s.jpg", "antelope_01b.jpg"),
)
CODES = {"test": [2, 99999, 1, 2], "training": [3, 1, 99999, 2]}
LABELS = {
    "test": ["antelope", "aircraft_carrier", "antelope"],
    "training": ["abacus_01b", "aardvark_01b", "aardvark_02s"],
}
N_TIMES = 1000


def write_session(path: Path, codes: list[int], seed: int) -> np.ndarray:
    """Write a raw file with a code every 200 samples; return its EEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).standard_normal((64, N_TIMES)).astype(np.float32) * 1e-5
    data[63] = 0
    data[63, 100 : 100 + 200 * len(codes) : 200] = codes
    with RawWriter(path, N_TIMES, RAW_CH_NAMES, 1000, ["eeg"] * 63 + ["stim"]) as writer:
        writer.write(data, 0)
    return data[:63]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a data set of subjects 1 (sessions 1 and 2) and 3 (session 1)."""
    root = tmp_path / "things"
    (root / "image_set").mkdir(parents=True)
    save_metadata(root / "image_set" / "image_metadata.npy", METADATA)
    for subject, session in ((1, 1), (1, 2), (3, 1)):
        for split, codes in CODES.items():
            write_session(raw_path(root, subject, session, split), codes, 10 * subject + session)  # type: ignore[arg-type]
    return root


def eeg(subject: int, session: int) -> np.ndarray:
    return np.random.default_rng(10 * subject + session).standard_normal((64, N_TIMES)).astype(np.float32)[:63] * 1e-5


def onsets(line: Timeline) -> list[int]:
    return [sample for sample, _ in line.events]


def labels(line: Timeline) -> list[str]:
    return [label for _, label in line.events]


@pytest.mark.parametrize("split", ["test", "training"])
def test_raw_sessions_one_after_another(root: Path, split: str) -> None:
    line = dataset_timeline(root, subject=1, session=None, split=split)  # type: ignore[arg-type]
    assert line.n_times == 2 * N_TIMES
    assert line.seams == (N_TIMES,)
    assert line.ch_names == RAW_CH_NAMES[:63]
    assert set(line.units) == {"microvolts"}
    assert (line.sfreq, line.applied) == (1000.0, ())
    assert labels(line) == LABELS[split] * 2
    assert 99999 in CODES[split]
    kept = [100 + 200 * i for i, code in enumerate(CODES[split]) if code != 99999]
    assert onsets(line) == [*kept, *(N_TIMES + onset for onset in kept)]
    assert line.description.count("1 catch trials left out") == 2
    np.testing.assert_array_equal(line.read(N_TIMES - 5, N_TIMES + 5)[:, :5], eeg(1, 1)[:, -5:])
    np.testing.assert_array_equal(line.read(N_TIMES - 5, N_TIMES + 5)[:, 5:], eeg(1, 2)[:, :5])


def test_one_session_subject_folder_and_single_file(root: Path) -> None:
    by_session = dataset_timeline(root, subject=1, session=2, split="test")
    by_file = dataset_timeline(raw_path(root, 1, 2, "test"), subject=None, session=None, split="training")
    for line in (by_session, by_file):
        np.testing.assert_array_equal(line.read(0, 10), eeg(1, 2)[:, :10])
        assert labels(line) == LABELS["test"]
        assert line.source == by_session.source
    by_folder = dataset_timeline(root / "sub-03", subject=None, session=None, split="test")
    np.testing.assert_array_equal(by_folder.read(0, 10), eeg(3, 1)[:, :10])
    first = dataset_timeline(root, subject=None, session=1, split="test")
    np.testing.assert_array_equal(first.read(0, 10), eeg(1, 1)[:, :10])


def test_what_is_a_data_set(root: Path, tmp_path: Path) -> None:
    assert is_dataset(root)
    assert is_dataset(root / "sub-01")
    assert is_dataset(raw_path(root, 1, 1, "test"))
    assert not is_dataset(tmp_path)
    assert not is_dataset(tmp_path / "recording.fif")


def published(path: Path, n_conditions: int, n_repetitions: int) -> np.ndarray:
    """Write published epochs as a bare pickle; each epoch holds 100 * condition + repetition."""
    data = np.zeros((n_conditions, n_repetitions, 63, 250))
    data += 100 * np.arange(n_conditions)[:, None, None, None] + np.arange(n_repetitions)[:, None, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"preprocessed_eeg_data": data, "ch_names": list(MODEL_CH_NAMES), "times": np.arange(300) / 250 - 0.2}
    path.write_bytes(pickle.dumps(values, 4))
    return data


@pytest.mark.parametrize("split", ["test", "training"])
def test_published_epochs(root: Path, split: str) -> None:
    pictures = METADATA.markers(split)  # type: ignore[arg-type]
    path = preprocessed_path(root, 5, split)
    published(path, len(pictures), 3)
    for source, subject in ((root, 5), (path, None)):
        line = dataset_timeline(source, subject=subject, session=None, split=split)  # type: ignore[arg-type]
        assert labels(line) == [*pictures] * 3  # all pictures once, then again
        assert onsets(line) == [250 * i for i in range(len(pictures) * 3)]
        assert (line.sfreq, line.applied) == (250.0, ("baseline", "resample", "whiten"))
        assert line.ch_names == MODEL_CH_NAMES
        i = len(pictures) + 1  # second repetition of the second picture
        np.testing.assert_array_equal(line.read(250 * i, 250 * i + 250), np.full((63, 250), 101))
        assert "a bare pickle" in line.description
        assert "the last 250 of 300 times" in line.description


def test_published_epochs_that_begin_before_the_onset(root: Path) -> None:
    path = root / "sub-05" / "preprocessed_eeg_test.npy"
    path.parent.mkdir()
    np.save(path, np.zeros((2, 3, 17, 100)))
    line = dataset_timeline(path, subject=None, session=None, split="test")
    assert onsets(line)[:2] == [20, 120]  # -0.2 s at 100 Hz


def write_epochs(path: Path, start: float = 0.0) -> None:
    preprocessor = Preprocessor(
        ch_names=("Oz", "O1"),
        sfreq=50.0,
        tmin=-0.2,
        tmax=0.4,
        baseline=(-0.2, 0.0),
        start=start,
        n_times=20,
        spatial=np.eye(2, dtype=np.float32),
    )
    trials = [
        Trial(label=concept, picture=f"{concept}/{concept}_01b.jpg", session=session, repetition=repetition)
        for concept in ("dog", "cat")
        for repetition, session in ((1, 1), (2, 2))
    ]
    with EpochsWriter(path) as writer:
        array = writer.create("train", trials, 2, 20)
        array[:] = np.arange(4)[:, None, None]
        writer.create("test", trials[:1], 2, 20)[:] = 7
        writer.finish(preprocessor, "test")


def test_epochs_directory(tmp_path: Path) -> None:
    path = tmp_path / "epochs"
    write_epochs(path)
    assert is_dataset(path)
    line = dataset_timeline(path, subject=None, session=None, split="training")
    assert labels(line) == ["dog_01b", "cat_01b", "dog_01b", "cat_01b"]
    assert [line.read(onset, onset + 20)[0].tolist() for onset in onsets(line)] == [[row] * 20 for row in (0, 2, 1, 3)]
    assert (line.ch_names, line.sfreq) == (("Oz", "O1"), 50.0)
    assert line.applied == ("baseline", "resample", "whiten")
    test = dataset_timeline(path, subject=None, session=None, split="test")
    assert labels(test) == ["dog"]
    second = dataset_timeline(path, subject=None, session=2, split="training")
    assert [second.read(onset, onset + 1)[0, 0] for onset in onsets(second)] == [1, 3]


@pytest.mark.parametrize("start", [-0.2, 0.1])
def test_epochs_directory_that_begins_off_the_onset(tmp_path: Path, start: float) -> None:
    path = tmp_path / "epochs"
    write_epochs(path, start)
    line = dataset_timeline(path, subject=None, session=None, split="training")
    first = onsets(line)[1] + round(start * 50)
    np.testing.assert_array_equal(line.read(first, first + 20), np.full((2, 20), 2))


def expect(error: type[NecomimiError], found: str, path: Path, **options: object) -> None:
    with pytest.raises(error) as caught:
        dataset_timeline(path, **({"subject": None, "session": None, "split": "test"} | options))  # type: ignore[arg-type]
    assert found in caught.value.found


def test_errors_say_what_is_there(root: Path, tmp_path: Path) -> None:
    expect(DatasetError, "has no subject 2", root, subject=2)
    expect(DatasetError, "has no session 4", root, subject=1, session=4)
    raw_path(root, 3, 1, "test").unlink()
    expect(DatasetError, "raw_eeg_test.npy cannot be read", root, subject=3)
    published(preprocessed_path(root, 5, "test"), 3, 1)
    expect(DatasetError, "holds 3 pictures, and the picture list 2 test", root, subject=5)
    expect(DatasetError, "all sessions together", root, subject=5, session=1)
    write_session(raw_path(root, 6, 1, "test"), [0, 0], 0)
    expect(DatasetError, "no events", root, subject=6)
    write_session(raw_path(root, 7, 1, "test"), [3], 0)
    expect(DatasetError, "stimulus code 3, and the picture list 2", root, subject=7)
    (root / "image_set" / "image_metadata.npy").unlink()
    expect(DatasetError, "holds no image_metadata.npy", root, subject=1)
    other = tmp_path / "other.npy"
    other.write_bytes(pickle.dumps(["text"], 4))
    expect(DatasetError, "a bare pickle of a list", other)
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    (gallery / "config.json").write_text("{}", encoding="utf-8")
    expect(CheckpointError, "config.json", gallery)
    write_epochs(tmp_path / "epochs")
    expect(DatasetError, "no epochs of session 9", tmp_path / "epochs", session=9, split="training")
