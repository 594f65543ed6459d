"""Preprocessing gives what the plain recipe with MNE and scikit-learn gives, from both kinds of source."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import mne
import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.covariance import ledoit_wolf
from typer.testing import CliRunner

from necomimi.cli import app
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError, DatasetError
from necomimi.offline import whitening
from necomimi.offline.cutting import Window
from necomimi.offline.recorded import preprocess_recording
from necomimi.offline.things_raw import preprocess_things
from necomimi.things_eeg2 import (
    MODEL_CH_NAMES,
    RAW_CH_NAMES,
    ImageMetadata,
    RawWriter,
    raw_path,
    save_metadata,
)

SFREQ = 1000.0
N_CONCEPTS, N_PICTURES, N_TEST = 3, 2, 2


def write_session(root: Path, session: int, rng: np.random.Generator, subject: int = 1) -> None:
    for split, codes in (
        ("training", [1, 2, 3, 4, 5, 6, 99999] * 2 + [3]),  # one picture has a surplus repetition
        ("test", [1, 2] * 3 + [99999, 2]),
    ):
        codes = rng.permutation(codes)
        n = 3000 + 200 * len(codes)
        data = np.cumsum(rng.normal(scale=1e-6, size=(64, n)), axis=1) + rng.normal(scale=1e-2, size=(64, 1))
        data[-1] = 0
        samples = 1000 + 200 * np.arange(len(codes))
        data[-1, samples] = codes
        path = raw_path(root, subject, session, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        with RawWriter(path, n, RAW_CH_NAMES, SFREQ, ["eeg"] * 63 + ["stim"], np.float64) as writer:
            writer.write(data, 0)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    for session in (1, 2):
        write_session(root, session, rng)
    write_pictures(root)
    return root


def write_pictures(root: Path) -> None:
    (root / "image_set").mkdir()
    save_metadata(
        root / "image_set" / "image_metadata.npy",
        ImageMetadata(
            train_concepts=tuple(f"0000{c + 1}_thing{c + 1}" for c in range(N_CONCEPTS) for _ in range(N_PICTURES)),
            train_files=tuple(f"thing{c + 1}_{i}.jpg" for c in range(N_CONCEPTS) for i in range(N_PICTURES)),
            test_concepts=("00001_left", "00002_right"),
            test_files=("left.jpg", "right.jpg"),
        ),
    )


def plain_recipe(root: Path, session: int, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes, onsets in samples, and epochs (n, 63, 250) before whitening, through MNE alone."""
    values = np.load(raw_path(root, 1, session, split), allow_pickle=True).item()
    info = mne.create_info(values["ch_names"], SFREQ, ["eeg"] * 63 + ["stim"])
    raw = mne.io.RawArray(values["raw_eeg_data"], info, verbose="error")
    events = mne.find_events(raw, "stim", shortest_event=1, verbose="error")
    events = events[events[:, 2] != 99999]
    raw = raw.pick("eeg", verbose="error").reorder_channels(list(MODEL_CH_NAMES))
    epochs = mne.Epochs(raw, events, tmin=-0.2, tmax=1.0, baseline=(None, 0), preload=True, verbose="error")
    epochs.resample(250, verbose="error")
    return epochs.events[:, 2], epochs.events[:, 0], epochs.get_data()[..., 50:]


@pytest.mark.parametrize("whiten", ["pooled", "session", "transductive", "none"])
def test_things_is_the_plain_recipe(subject: Path, tmp_path: Path, whiten) -> None:
    fitted = preprocess_things(subject, tmp_path / "e", subject=1, whiten=whiten)
    epochs = Epochs.load(tmp_path / "e")
    assert epochs.train.data.shape == (6 * 2 * 2, 63, 250)
    assert epochs.test is not None
    assert epochs.test.data.shape == (2 * 3 * 2, 63, 250)
    kept = {s: epochs.train.onsets[epochs.train.sessions == s] for s in (1, 2)}
    sigma = {}
    plain = {}
    for session in (1, 2):
        codes, samples, data = plain_recipe(subject, session, "training")
        rows = np.isin(samples, np.round(kept[session] * SFREQ).astype(int))
        plain[session] = (codes[rows], samples[rows], data[rows])
        sigma[session] = np.mean([ledoit_wolf(epoch.T)[0] for epoch in data[rows]], axis=0)
        if whiten == "transductive":
            _, samples, data = plain_recipe(subject, session, "test")
            rows = np.isin(samples, np.round(epochs.test.onsets[epochs.test.sessions == session] * SFREQ).astype(int))
            sigma[session] = (sigma[session] + np.mean([ledoit_wolf(e.T)[0] for e in data[rows]], axis=0)) / 2
    assert epochs.transductive is (whiten == "transductive")
    assert epochs.subject == "sub-01"
    pooled = np.mean([sigma[1], sigma[2]], axis=0)
    for split, epoch_set in (("training", epochs.train), ("test", epochs.test)):
        for session in (1, 2):
            if whiten == "none":
                matrix = np.eye(63) / np.sqrt(np.trace(pooled) / 63)
            else:
                matrix = fractional_matrix_power(pooled if whiten == "pooled" else sigma[session], -0.5)
            codes, samples, data = plain_recipe(subject, session, split)
            expected = {int(s): (int(c), matrix @ d) for c, s, d in zip(codes, samples, data, strict=True)}
            for i in np.flatnonzero(epoch_set.sessions == session):
                code, epoch = expected[round(epoch_set.onsets[i] * SFREQ)]
                assert np.abs(epoch_set.data[i] - epoch).max() < 1e-4 * np.abs(epoch).max()
                if split == "training":
                    concept, picture = divmod(code - 1, N_PICTURES)
                    name = f"0000{concept + 1}_thing{concept + 1}/thing{concept + 1}_{picture}.jpg"
                    assert epoch_set.pictures[i] == name
                    assert epoch_set.labels[i] == f"thing{concept + 1}"
                else:
                    assert epoch_set.labels[i] == ("left", "right")[code - 1]
    assert fitted.spatial.shape == (63, 63)
    assert fitted.tmin == -0.2


def test_repetitions_are_equal_and_in_order(subject: Path, tmp_path: Path) -> None:
    preprocess_things(subject, tmp_path / "e", subject=1)
    train = Epochs.load(tmp_path / "e").train
    assert list(train.pictures) == sorted(train.pictures)
    assert list(train.repetitions) == [1, 2, 3, 4] * 6
    assert list(train.sessions) == [1, 1, 2, 2] * 6
    preprocess_things(subject, tmp_path / "again", subject=1)
    np.testing.assert_array_equal(Epochs.load(tmp_path / "again").train.data, train.data)


def test_whitening_never_sees_the_test_set(subject: Path, tmp_path: Path) -> None:
    before = preprocess_things(subject, tmp_path / "e", subject=1)
    path = raw_path(subject, 1, 1, "test")
    original = path.read_bytes()
    try:
        values = np.load(path, allow_pickle=True).item()
        values["raw_eeg_data"][:63] *= 100
        np.save(path, values, allow_pickle=True)  # type: ignore[arg-type]
        after = preprocess_things(subject, tmp_path / "e2", subject=1)
    finally:
        path.write_bytes(original)
    np.testing.assert_array_equal(before.spatial, after.spatial)


# Sessions and subjects

DYING = """
import os, signal, sys
from pathlib import Path
from necomimi.offline import things_raw, whitening
write, left = whitening._Store.write, [int(sys.argv[3])]

def dying_write(self, rows, epochs):
    if not left[0]:
        epochs = epochs[:1]  # killed in the middle of a block
        rows = rows[:1]
    write(self, rows, epochs)
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1

whitening._Store.write = dying_write
things_raw.preprocess_things(Path(sys.argv[1]), Path(sys.argv[2]), subject=1, whiten="session")
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# Two sessions of training and two of test: one block each is cut, then one each is whitened.
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize(
    ("writes", "cut_again"),
    [(0, {"train-1", "train-2", "test-1", "test-2"}), (1, {"train-2", "test-1", "test-2"}), (5, {"train-2"})],
)
def test_a_killed_run_goes_on_with_what_is_whole(
    subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, cut_again: set[str]
) -> None:
    preprocess_things(subject, tmp_path / "whole", subject=1, whiten="session")
    died = subprocess.run(
        [sys.executable, "-c", DYING, str(subject), str(tmp_path / "e"), str(writes)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not (tmp_path / "e").exists()
    cut, cut_part = [], whitening._Run._cut_part
    monkeypatch.setattr(
        whitening._Run,
        "_cut_part",
        lambda self, part: cut.append(f"{part.split}-{part.session}") or cut_part(self, part),
    )
    preprocess_things(subject, tmp_path / "e", subject=1, whiten="session")
    assert set(cut) == cut_again
    assert contents(tmp_path / "e") == contents(tmp_path / "whole")
    assert not list(tmp_path.glob("*.partial"))


def test_other_settings_start_afresh(subject: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DYING, str(subject), str(tmp_path / "e"), "5"], capture_output=True)
    assert (tmp_path / "e.partial").is_dir()
    window = Window(sfreq=125.0)
    preprocess_things(subject, tmp_path / "e", subject=1, window=window)
    preprocess_things(subject, tmp_path / "whole", subject=1, window=window)
    assert contents(tmp_path / "e") == contents(tmp_path / "whole")


def test_a_subject_that_fails_is_named_and_the_rest_go_on(tmp_path: Path) -> None:
    root, rng = tmp_path / "raw", np.random.default_rng(3)
    for number, numbers in ((1, (1, 2)), (2, (1,)), (3, (1, 2)), (4, (1, 2))):
        for session in numbers:
            write_session(root, session, rng, number)
    write_pictures(root)
    damaged = raw_path(root, 3, 2, "training")
    damaged.write_bytes(damaged.read_bytes()[:5000])
    (root / "sub-05").mkdir()
    result = CliRunner().invoke(app, ["preprocess", str(root), str(tmp_path / "out"), "--subject", "all"])
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "sub-02: " in said
    assert "has no ses-02" in said
    assert "sub-03: " in said
    assert "damaged or cut short" in said
    assert "sub-05 has no sessions" in said
    assert "3 of 5 subjects failed" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sub-01", "sub-04"]
    assert Epochs.load(tmp_path / "out" / "sub-04").subject == "sub-04"
    few = CliRunner().invoke(app, ["preprocess", str(root), str(tmp_path / "few"), "--subject", "1,7"])
    assert few.exit_code == 1
    assert "no subject 7" in few.stderr
    assert [path.name for path in (tmp_path / "few").iterdir()] == ["sub-01"]


def test_a_subject_without_test_epochs_cannot_be_transductive(tmp_path: Path) -> None:
    write_recording(tmp_path / "r_raw.fif")
    with pytest.raises(ConfigError, match="transductive"):
        preprocess_recording(tmp_path / "r_raw.fif", tmp_path / "e", window=Window(tmax=0.5), whiten="transductive")
    assert not list(tmp_path.glob("e*"))


# Recordings


def write_recording(path: Path, n_events: int = 40) -> mne.io.RawArray:
    rng = np.random.default_rng(1)
    data = rng.normal(scale=1e-5, size=(4, 250 * 60))
    raw = mne.io.RawArray(data, mne.create_info(["C3", "EOG", "Cz", "C4"], 250.0, ["eeg", "eog", "eeg", "eeg"]),
                          verbose="error")  # fmt: skip
    onsets = 1.0 + 1.4 * np.arange(n_events)
    if n_events:
        raw.set_annotations(mne.Annotations(onsets, 0, ["left", "right"] * (n_events // 2)))
    raw.save(path, verbose="error")
    return raw


def test_recording_is_the_plain_recipe(tmp_path: Path) -> None:
    raw = write_recording(tmp_path / "r_raw.fif")
    window = Window(tmin=-0.1, tmax=0.5, sfreq=125.0)
    preprocess_recording(tmp_path / "r_raw.fif", tmp_path / "e", window=window, whiten="none", test_from=30.0)
    epochs = Epochs.load(tmp_path / "e")
    raw = mne.io.read_raw_fif(tmp_path / "r_raw.fif", preload=True, verbose="error").pick("eeg", verbose="error")
    events, ids = mne.events_from_annotations(raw, verbose="error")
    plain = mne.Epochs(raw, events, ids, tmin=-0.1, tmax=0.5, baseline=(None, 0), preload=True, verbose="error")
    plain = plain.resample(125, verbose="error").get_data()[..., 12:74]  # 0 s is sample 12.5
    assert epochs.preprocessor.ch_names == ("C3", "Cz", "C4")
    assert epochs.test is not None
    onsets = np.concatenate((epochs.train.onsets, epochs.test.onsets))
    crossing = [s / 250 for s in events[:, 0] if s / 250 not in np.round(onsets, 9)]
    assert all(29.5 < onset < 30.1 for onset in crossing)
    scale = epochs.preprocessor.spatial[0, 0]
    for part in (epochs.train, epochs.test):
        for onset, data in zip(part.onsets, part.data, strict=True):
            expected = plain[np.flatnonzero(events[:, 0] == round(onset * 250))[0]]
            assert data.shape == expected.shape
            assert np.abs(data - expected * scale).max() < 1e-4 * np.abs(expected * scale).max()


def test_mistakes_are_told_in_words(tmp_path: Path, subject: Path) -> None:
    write_recording(tmp_path / "silent_raw.fif", n_events=0)
    with pytest.raises(DatasetError, match="no events"):
        preprocess_recording(tmp_path / "silent_raw.fif", tmp_path / "e")
    (tmp_path / "junk.fif").write_bytes(b"junk" * 100)
    with pytest.raises(DatasetError, match="not a recording"):
        preprocess_recording(tmp_path / "junk.fif", tmp_path / "e")
    write_recording(tmp_path / "r_raw.fif")
    with pytest.raises(DatasetError, match="move --test-from"):
        preprocess_recording(tmp_path / "r_raw.fif", tmp_path / "e", test_from=59.9)
    with pytest.raises(ConfigError, match="baseline"):
        preprocess_recording(tmp_path / "r_raw.fif", tmp_path / "e", window=Window(tmin=0.0, tmax=0.5))
    with pytest.raises(DatasetError, match="no subject 7"):
        preprocess_things(subject, tmp_path / "e", subject=7)
    assert not (tmp_path / "e").exists()
