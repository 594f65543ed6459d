"""THINGS-MEG becomes an epochs directory: no catch trial, no test concept in training, each subject for itself."""

from __future__ import annotations

import csv
from pathlib import Path

import mne
import numpy as np
import pytest
from typer.testing import CliRunner

from necomimi.cli import app
from necomimi.epochs import Epochs
from necomimi.errors import DatasetError
from necomimi.offline.things_meg import FOLDER, preprocess_meg
from necomimi.preprocessing import ledoit_wolf, whitening_matrix

N_CHANNELS, N_TIMES = 24, 281
N_CONCEPTS, N_SHOWN = 6, 12
TESTED = (2, 4)  # concepts, from 0: their 13th picture is the test picture


def number(concept: int, exemplar: int) -> int:
    return concept * 13 + exemplar + 1


def name(code: int) -> str:
    concept, exemplar = divmod(code - 1, 13)
    return f"images_meg/thing{concept}/thing{concept}_{exemplar:02d}b.jpg"


def write(root: Path, subject: int, *, table: str, tested: tuple[int, ...] = TESTED) -> tuple[np.ndarray, np.ndarray]:
    """Write a subject whose epochs file goes on in a second one; return codes and data (n, 24, 281)."""
    rng = np.random.default_rng(subject)
    codes = [number(concept, i) for concept in range(N_CONCEPTS) for i in range(N_SHOWN)]
    codes += [number(concept, 12) for concept in tested] * 12 + [999999] * 10
    codes = rng.permutation(codes)
    data = rng.normal(size=(len(codes), N_CHANNELS, N_TIMES)).astype(np.float32) * np.arange(1, N_CHANNELS + 1)[:, None]
    info = mne.create_info([f"MLC{i}" for i in range(N_CHANNELS)], 200.0, "mag")
    events = np.column_stack((np.arange(len(codes)) * 1800 + 500, np.zeros(len(codes), int), codes))
    epochs = mne.EpochsArray(data, info, events, tmin=-0.1, verbose="error")
    rows = [
        {
            "trial_type": "catch" if code == 999999 else "test" if (code - 1) % 13 == 12 else "exp",
            "session_nr": 1 + (i >= len(codes) // 2),
            "things_image_nr": "" if code == 999999 else float(code),
            "image_path": "images_catch_meg/1.jpg" if code == 999999 else name(code),
        }
        for i, code in enumerate(codes.tolist())
    ]
    if table == "fif":
        pandas = pytest.importorskip("pandas")
        epochs.metadata = pandas.DataFrame(rows)
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"preprocessed_P{subject}-epo.fif"
    epochs.save(path, split_size="2MB", split_naming="neuromag", verbose="error")
    assert path.with_name(f"preprocessed_P{subject}-epo-1.fif").is_file()
    if table == "csv":
        (root / "sourcedata").mkdir(exist_ok=True)
        with (root / "sourcedata" / f"sample_attributes_P{subject}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return codes, data


@pytest.mark.parametrize("table", ["fif", "csv"])
def test_the_split_is_concept_by_concept(tmp_path: Path, table: str) -> None:
    codes, data = write(tmp_path / "d", 1, table=table)
    result = CliRunner().invoke(app, ["preprocess", str(tmp_path / "d"), str(tmp_path / "e"), "--whiten", "session"])
    assert result.exit_code == 0, result.stderr
    epochs = Epochs.load(tmp_path / "e")
    assert epochs.test is not None
    trained = [code for concept in range(N_CONCEPTS) if concept not in TESTED for code in
               (number(concept, i) for i in range(N_SHOWN))]  # fmt: skip
    assert epochs.train.pictures == tuple(name(code).removeprefix("images_meg/") for code in trained)
    assert set(epochs.train.labels).isdisjoint(epochs.test.labels)
    assert epochs.test.labels == ("thing2",) * 12 + ("thing4",) * 12
    assert list(epochs.test.repetitions) == list(range(1, 13)) * 2
    assert set(epochs.train.sessions) == {1, 2}
    assert epochs.preprocessor.applied == ("baseline", "resample")
    assert epochs.preprocessor.window(200.0, ("baseline", "resample")) == (0.0, 201)
    assert (epochs.subject, epochs.transductive) == ("sub-01", False)
    session = 1 + (np.arange(len(codes)) >= len(codes) // 2)
    cropped = data[..., 20:221]
    for number_ in (1, 2):
        rows = [np.flatnonzero(codes == code)[0] for code in trained]
        own = [row for row in rows if session[row] == number_]
        matrix = whitening_matrix(ledoit_wolf(cropped[own].astype(np.float64)).mean(axis=0))
        for i, row in enumerate(rows):
            if session[row] == number_:
                assert np.abs(epochs.train.data[i] - matrix @ cropped[row]).max() < 1e-4
    first_test = np.flatnonzero(codes == number(2, 12))
    assert list(epochs.test.onsets[:12]) == pytest.approx([(row * 1800 + 500) / 1200 for row in first_test])


def test_without_a_table_pictures_go_by_number_and_nothing_leaks(tmp_path: Path, caplog) -> None:
    write(tmp_path / "d", 1, table="")
    preprocess_meg(tmp_path / "d", tmp_path / "e", subject=1, whiten="none")
    epochs = Epochs.load(tmp_path / "e")
    assert "no table of pictures" in caplog.text
    left = {int(label.removeprefix("picture ")) for label in epochs.train.labels}
    assert left
    assert all((code - 1) // 13 not in TESTED for code in left)
    assert not any(epochs.train.pictures)
    assert "numbers only" in epochs.source
    assert set(epochs.train.sessions) == {1}


def test_each_subject_has_its_own_test_pictures(tmp_path: Path) -> None:
    write(tmp_path / "d", 1, table="csv")
    write(tmp_path / "d", 2, table="csv", tested=(0,))
    (tmp_path / "d" / FOLDER / "preprocessed_P3-epo.fif").write_bytes(b"not an epochs file" * 10)
    result = CliRunner().invoke(app, ["preprocess", str(tmp_path / "d"), str(tmp_path / "out"), "--subject", "all"])
    assert result.exit_code == 1
    assert "sub-03" in result.stderr
    labels = [set(Epochs.load(tmp_path / "out" / f"sub-0{i}").test.labels) for i in (1, 2)]  # type: ignore[union-attr]
    assert labels == [{"thing2", "thing4"}, {"thing0"}]


def test_what_is_missing_is_told_in_words(tmp_path: Path) -> None:
    write(tmp_path / "d", 1, table="csv")
    with pytest.raises(DatasetError, match=r"P2-epo\.fif does not exist"):
        preprocess_meg(tmp_path / "d", tmp_path / "e", subject=2)
    table = tmp_path / "d" / "sourcedata" / "sample_attributes_P1.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if "thing3_05b" not in line))
    with pytest.raises(DatasetError, match=f"no picture {number(3, 5)}"):
        preprocess_meg(tmp_path / "d", tmp_path / "e", subject=1)
    (tmp_path / "d" / FOLDER / "preprocessed_P1-epo-1.fif").unlink()
    with pytest.raises(DatasetError, match="parts of the subject beside each other"):
        preprocess_meg(tmp_path / "d", tmp_path / "e", subject=1)
    assert not list(tmp_path.glob("e*"))
