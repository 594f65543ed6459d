"""A simulated subject has the layout of the real data set, and its pictures can be read from its EEG."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from necomimi.embedders import build_embedder
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError, DatasetError
from necomimi.offline.simulate import PRESETS, SimulationSettings, command, simulate
from necomimi.offline.things_raw import preprocess_things
from necomimi.things_eeg2 import (
    RAW_CH_NAMES,
    ImageMetadata,
    load_metadata,
    load_raw,
    metadata_path,
    raw_events,
    raw_path,
    sessions,
    subjects,
)

TINY = SimulationSettings(
    subjects=1, concepts=12, test_concepts=4, pictures=2, repetitions=2, test_repetitions=4, sessions=2, seed=3
)
STRONG = SimulationSettings(
    concepts=60, test_concepts=60, pictures=2, repetitions=2, test_repetitions=4, sessions=1, snr=10.0
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "subject"
    root.mkdir()  # an empty folder may be filled
    simulate(TINY, root)
    return root


def hashes(root: Path) -> dict[str, str]:
    """Return the hash of each file below a folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_layout_is_that_of_the_data_set(tiny: Path) -> None:
    assert subjects(tiny) == (1,)
    assert sessions(tiny, 1) == (1, 2)
    assert not tiny.with_name("subject.partial").exists()
    for session in (1, 2):
        for split in ("training", "test"):
            path = raw_path(tiny, 1, session, split)
            published = np.load(path, allow_pickle=True).item()
            assert tuple(published["ch_names"]) == RAW_CH_NAMES
            assert published["ch_types"] == ["eeg"] * 63 + ["stim"]
            assert published["sfreq"] == 1000
            raw = load_raw(path)
            assert raw.data.dtype == np.float32
            np.testing.assert_array_equal(raw.data, published["raw_eeg_data"])
            eeg = raw.read(0, raw.n_times)
            assert np.isfinite(eeg).all()
            assert np.abs(eeg).max() < 0.1  # volts


def test_pictures_and_their_list_agree(tiny: Path) -> None:
    metadata = load_metadata(metadata_path(tiny))
    assert len(metadata.train_files) == 24
    assert len(metadata.test_files) == 4
    for split in ("training", "test"):
        folder = tiny / "image_set" / f"{split}_images"
        found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
        assert tuple(found) == metadata.pictures(split)
        with Image.open(folder / found[0]) as picture:
            assert picture.format == "JPEG"
    assert metadata.train_concepts[0].startswith("00001_")


def test_no_concept_is_for_training_and_test(tiny: Path) -> None:
    metadata = load_metadata(metadata_path(tiny))
    train, test = set(metadata.concepts("training")), set(metadata.concepts("test"))
    assert (len(train), len(test)) == (12, 4)
    assert not train & test


def test_presentations_are_counted_and_timed_as_planned(tiny: Path) -> None:
    seen: list[set[int]] = []
    for session in (1, 2):
        for split, times in (("training", 2), ("test", 2)):
            stim = load_raw(raw_path(tiny, 1, session, split)).stim()
            samples, codes, n_catch = raw_events(stim, split)
            counts = Counter(codes.tolist())
            assert set(counts.values()) <= {times, times + 1}
            assert len(counts) == (12 if split == "training" else 4)
            if split == "training":
                seen.append(set(counts))
            onsets = np.flatnonzero(stim)
            assert len(onsets) == len(samples) + n_catch
            gaps = np.diff(onsets)
            assert gaps.min() == 200
            breaks = np.flatnonzero(gaps > 200)
            assert ((gaps[breaks] >= 1200) & (gaps[breaks] <= 2200)).all()
            sequences = np.split(stim[onsets], breaks + 1)
            assert [np.count_nonzero(sequence == 99999) for sequence in sequences] == [1] * n_catch
            assert all(len(sequence) == 20 for sequence in sequences[:-1])
    assert seen[0].isdisjoint(seen[1])
    assert seen[0] | seen[1] == set(range(1, 25))


def test_seed_decides_every_byte(tiny: Path, tmp_path: Path) -> None:
    simulate(TINY, tmp_path / "same")
    first = hashes(tiny)
    assert hashes(tmp_path / "same") == first
    simulate(TINY.model_copy(update={"seed": 4}), tmp_path / "other")
    other = hashes(tmp_path / "other")
    eeg = {name for name in first if name.startswith("sub-")}
    assert len(eeg) == 4
    assert all(other[name] != first[name] for name in eeg)


def decode(root: Path) -> float:
    """Return the mean rank (0 best, 1 worst, chance .5) that a ridge regression gives the picture seen."""
    preprocess_things(root, root / "epochs", subject=1)
    epochs = Epochs.load(root / "epochs")
    metadata = load_metadata(metadata_path(root))
    train, test = epochs.train.averaged(), epochs.test.averaged() if epochs.test is not None else None
    assert test is not None
    assert test.pictures == metadata.pictures("test")
    x, y = flatten(train.data), embeddings(root, metadata, "training")
    z, wanted = flatten(test.data), embeddings(root, metadata, "test")
    assert train.pictures == metadata.pictures("training")
    centre, mean = x.mean(axis=0), y.mean(axis=0)
    kernel = (x - centre) @ (x - centre).T
    dual = np.linalg.solve(kernel + 0.3 * np.trace(kernel) / len(kernel) * np.eye(len(kernel)), y - mean)
    similarity = ((z - centre) @ (x - centre).T @ dual) @ (wanted - mean).T
    rank = (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    return float(rank.mean() / (len(rank) - 1))


def flatten(data: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return epochs as rows, four samples averaged."""
    return (
        np.asarray(data, dtype=np.float64)[:, :, :200].reshape(len(data), 63, 50, 4).mean(axis=3).reshape(len(data), -1)
    )


def embeddings(root: Path, metadata: ImageMetadata, split: str) -> NDArray[np.float32]:
    folder = root / "image_set" / f"{split}_images"
    files = metadata.pictures("training" if split == "training" else "test")
    return build_embedder("embedded").embed([Image.open(folder / file) for file in files])


def test_unseen_pictures_can_be_read_from_the_responses(tmp_path: Path) -> None:
    simulate(STRONG, tmp_path / "strong")
    assert decode(tmp_path / "strong") < 0.3  # over five standard deviations below chance


def test_without_responses_nothing_can_be_read(tmp_path: Path) -> None:
    simulate(STRONG.model_copy(update={"snr": 0.0}), tmp_path / "none")
    assert abs(decode(tmp_path / "none") - 0.5) < 0.12  # three standard deviations of chance


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept", encoding="utf-8")
    with pytest.raises(DatasetError, match="not empty"):
        simulate(TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most"):
        simulate(TINY.model_copy(update={"concepts": 5000}), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sessions": 3}, "even"),
        ({"sessions": 4, "repetitions": 3}, "multiple of 2"),
        ({"test_repetitions": 3}, "multiple of the 2"),
        ({"pictures": 99, "concepts": 200}, "16540"),
        ({"test_concepts": 201}, "200"),
        ({"snr": -1.0}, "0"),
        ({"concept": 3}, "Extra"),
    ],
)
def test_settings_that_contradict_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SimulationSettings(**(TINY.model_dump() | values))


def test_command_takes_a_preset_and_what_overrides_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command(out, preset="small", concepts=3, test_concepts=2, pictures=1)
    metadata = load_metadata(metadata_path(out))
    assert (len(metadata.train_files), len(metadata.test_files)) == (3, 2)
    assert len(sessions(out, 1)) == PRESETS["small"].sessions
    with pytest.raises(ConfigError, match="preset"):
        command(tmp_path / "none", preset="large")
    with pytest.raises(ConfigError, match="even"):
        command(tmp_path / "none", sessions=3)
