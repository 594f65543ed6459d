"""A map finds the one window and the one region that hold the signal; a map that was cut short goes on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.epochs import EpochsWriter, Trial
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.offline import mapping
from necomimi.offline.engine import TrainSettings, train_encoder
from necomimi.offline.map import Windows, map_signal
from necomimi.preprocessing import Preprocessor

CH_NAMES = ("Fz", "F3", "F4", "Cz", "C3", "O1", "Oz", "O2")
N_TIMES, N_DIMS = 20, 6  # 200 ms at 100 Hz: the signal is in the second half, at the back of the head
BACK, LATE = (5, 6, 7), slice(10, 20)
PREPROCESSOR = Preprocessor(
    ch_names=CH_NAMES, sfreq=100.0, tmin=0.0, tmax=0.19, baseline=None, start=0.0, n_times=N_TIMES,
    spatial=np.eye(len(CH_NAMES), dtype=np.float32),
)  # fmt: skip
SETTINGS = TrainSettings(
    options={"n_filters": 8, "n_hidden": 16, "dropout": [0.0, 0.0]},
    epochs=12, batch_size=50, lr=1e-2, noise=0, smoothing=0, val_concepts=20, device="cpu", precision="float32",
)  # fmt: skip


def write_split(
    rng: np.random.Generator, mixing: np.ndarray, prefix: str, counts: tuple[int, int, int]
) -> tuple[list[Trial], np.ndarray, Gallery]:
    """Return trials, epochs and gallery of (concepts, pictures of each, presentations of each)."""
    n_concepts, n_pictures, n_repetitions = counts
    files = tuple(f"{c:03d}_{prefix}{c}/{p}.jpg" for c in range(n_concepts) for p in range(n_pictures))
    labels = tuple(f"{prefix}{c}" for c in range(n_concepts) for _ in range(n_pictures))
    embeddings = rng.normal(size=(len(files), N_DIMS))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    items = np.repeat(np.arange(len(files)), n_repetitions)
    data = 0.3 * rng.normal(size=(len(items), len(CH_NAMES), N_TIMES))
    data[:, BACK, LATE] += np.einsum("nd,dct->nct", embeddings[items], mixing)
    trials = [
        Trial(label=labels[item], picture=files[item], repetition=i % n_repetitions + 1, onset=float(i))
        for i, item in enumerate(items)
    ]
    return trials, data, Gallery(labels=labels, files=files, embeddings=embeddings, space="random:6")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with epochs and both galleries."""
    path, rng = tmp_path_factory.mktemp("map"), np.random.default_rng(0)
    mixing = rng.normal(size=(N_DIMS, len(BACK), LATE.stop - LATE.start))
    with EpochsWriter(path / "epochs") as writer:
        for split, prefix, counts in (("train", "c", (120, 2, 2)), ("test", "t", (40, 1, 3))):
            trials, data, gallery = write_split(rng, mixing, prefix, counts)
            writer.create(split, trials, len(CH_NAMES), N_TIMES)[:] = data
            gallery.save(path / f"{split}-gallery")
        writer.finish(PREPROCESSOR, "a test")
    return path


def run(folder: Path, out: Path, settings: TrainSettings = SETTINGS, **options: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"windows": None, "by_region": False, "by_channel": False, "n_seeds": 1, "step": 0.1}
    return map_signal(
        folder / "epochs", out, folder / "train-gallery", folder / "test-gallery", settings, **(chosen | options)
    )


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return a finished map of everything, and its folder."""
    out = folder / "everything"
    return out, run(folder, out, windows=Windows.both, by_region=True, by_channel=True)


def test_the_signal_is_found_where_and_when_it_is(whole: tuple[Path, dict[str, Any]]) -> None:
    rows = {(row["windows"], row["name"]): row for row in whole[1]["rows"]}
    assert list(rows) == [
        ("whole", "whole epoch"), ("growing", "0-100 ms"), ("growing", "0-200 ms"),
        ("sliding", "0-100 ms"), ("sliding", "100-200 ms"),
        ("whole", "only frontal"), ("whole", "without frontal"), ("whole", "only central"),
        ("whole", "without central"), ("whole", "only occipital"), ("whole", "without occipital"),
    ]  # fmt: skip
    good = [("whole", "whole epoch"), ("growing", "0-200 ms"), ("sliding", "100-200 ms"), ("whole", "only occipital")]
    good += [("whole", "without frontal"), ("whole", "without central")]
    for key, row in rows.items():
        low, high = row["top1_interval"]
        assert low <= row["top1"] <= high
        assert (row["n_queries"], row["chance_top1"], row["validation_n_ways"]) == (40, 1 / 40, 20)
        if key in good:
            assert row["top1"] > 0.5
            assert row["validation_top1"] > 0.5
        else:
            assert row["top1"] <= 0.125  # 6 hits of 40 or more happen by chance in less than 1 of 1,000
            assert row["validation_top1"] < 0.2


def test_a_channel_that_says_something_is_missed(whole: tuple[Path, dict[str, Any]]) -> None:
    losses = whole[1]["channels"]
    assert tuple(losses) == CH_NAMES
    two_way = [losses[name]["two_way"] for name in CH_NAMES]
    assert min(two_way[5:]) > max(two_way[:5])
    assert max(two_way) > 0.005


def test_parts_that_are_the_same_are_trained_once(whole: tuple[Path, dict[str, Any]]) -> None:
    names = sorted(file.stem for file in (whole[0] / "jobs").iterdir())
    assert len(names) == 9  # for 11 rows: 0-200 ms is the whole epoch, and 0-100 ms both grows and slides
    assert "whole-whole-epoch-0" in names
    assert "channels-only-occipital-0" in names


def test_files_hold_what_was_found(whole: tuple[Path, dict[str, Any]]) -> None:
    out, result = whole
    assert sorted(path.name for path in out.iterdir()) == ["jobs", "map.csv", "map.json", "report.html"]
    assert json.loads((out / "map.json").read_text()) == json.loads(json.dumps(result))
    with (out / "map.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == [row["name"] for row in result["rows"]]
    for line, row in zip(lines, result["rows"], strict=True):
        assert float(line["top1"]) == row["top1"]
        assert [float(line["top1_interval_low"]), float(line["top1_interval_high"])] == row["top1_interval"]
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 5  # growing, sliding, regions, two topographies
    assert page.count("<table") == 4
    for words in (
        "everything outside was set to zero",
        "only occipital",
        "100-200 ms",
        "exact picture",
        "Wilson",
        "No epoch was cut",
    ):
        assert words in page


def test_a_map_that_was_cut_short_goes_on(
    whole: tuple[Path, dict[str, Any]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, before = whole
    trained: list[int] = []

    def count(epochs: Any, *arguments: Any, **options: Any) -> Any:
        trained.append(np.count_nonzero(epochs.train.data[0]))
        return train_encoder(epochs, *arguments, **options)

    monkeypatch.setattr(mapping, "train_encoder", count)
    kept = {path.name: path.read_text() for path in (out / "jobs").iterdir()}
    (out / "jobs" / "channels-only-occipital-0.json").unlink()
    (out / "jobs" / "whole-whole-epoch-0.partial").write_text("cut sh")  # of a process that was killed
    again = run(folder, out, windows=Windows.both, by_region=True, by_channel=True)
    assert trained == [3 * N_TIMES]  # of that part alone
    assert again == before
    (out / "jobs" / "whole-whole-epoch-0.partial").unlink()
    assert {path.name: path.read_text() for path in (out / "jobs").iterdir()} == kept
    assert "done again" not in caplog.text
    short = run(folder, folder / "short", SETTINGS.model_copy(update={"epochs": 1}), by_channel=True)
    other = run(folder, folder / "short", SETTINGS.model_copy(update={"epochs": 2}), by_channel=True)
    assert len(trained) == 3
    assert [one["settings"]["epochs"] for one in (short, other)] == [1, 2]
    assert "all are done again" in caplog.text


def test_seeds_are_averaged_and_their_spread_is_told(folder: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2})
    one, two = (run(folder, folder / "seeds", settings, windows=Windows.sliding, n_seeds=n) for n in (1, 2))
    assert one["rows"][1]["top1_sd"] is None
    second = run(folder, folder / "seeds", settings.model_copy(update={"seed": 1}), windows=Windows.sliding)
    for single, other, both in zip(one["rows"], second["rows"], two["rows"], strict=True):
        assert both["n_seeds"] == 2
        assert both["top1"] == pytest.approx((single["top1"] + other["top1"]) / 2)
        assert both["top1_sd"] == pytest.approx(abs(single["top1"] - other["top1"]) / np.sqrt(2))
    assert len(list((folder / "seeds" / "jobs").iterdir())) == 4


def test_validation_and_training_see_the_part_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def look(epochs: Any, gallery: Any, settings: TrainSettings, **options: Any) -> Any:
        assert settings.truncation == 0
        seen.extend((epochs.train.data, epochs.test.data))
        return train_encoder(epochs, gallery, settings, **options)

    monkeypatch.setattr(mapping, "train_encoder", look)
    run(folder, folder / "alone", SETTINGS.model_copy(update={"epochs": 1}), windows=Windows.sliding, step=0.2)
    (train, test) = seen
    assert (len(train), len(test)) == (240, 40)  # presentations are averaged
    for data in (train, test):
        assert np.count_nonzero(data[:, :, 10:]) == 0
        assert np.count_nonzero(data[:, :, :10]) == data[:, :, :10].size


def test_the_command_prints_a_table(here: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.toml").write_text("[options]\nn_filters = 4\nn_hidden = 8\n")
    done = here(
        "map", folder / "epochs", "map", "--gallery", folder / "train-gallery",
        "--test-gallery", folder / "test-gallery", "--windows", "growing", "--step", 100, "--epochs", 1,
        "--config", "settings.toml", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0-200 ms" in done.stdout
    assert "multiblur; gallery: exact picture" in done.stdout
    assert "report.html" in done.stderr
    assert (tmp_path / "map" / "report.html").is_file()


def test_mistakes_are_told_in_words(here: Any, folder: Path, tmp_path: Path) -> None:
    done = here("map", folder / "epochs", tmp_path / "map", "--gallery", folder / "train-gallery", "--step", 1)
    assert done.returncode == 2
    assert "--step 1 ms" in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"file cannot be made"):
        run(folder, tmp_path / "file", windows=Windows.growing)
    with EpochsWriter(tmp_path / "no-test") as writer:
        writer.create("train", [Trial(label="a", picture="a/1.jpg")], len(CH_NAMES), N_TIMES)[:] = 0
        writer.finish(PREPROCESSOR, "a test")
    with pytest.raises(ConfigError, match=r"has no test epochs"):
        map_signal(
            tmp_path / "no-test", tmp_path / "map", folder / "train-gallery", None, SETTINGS,
            windows=Windows.growing, by_region=False, by_channel=False, n_seeds=1, step=0.1,
        )  # fmt: skip


def test_labels_without_pictures_have_a_map_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(len(BACK), 10))
    with EpochsWriter(tmp_path / "epochs") as writer:
        for split in ("train", "test"):
            trials = [Trial(label=("left", "right")[i % 2], onset=float(i)) for i in range(120)]
            data = writer.create(split, trials, len(CH_NAMES), N_TIMES)
            data[:] = rng.normal(size=data.shape)
            data[::2, BACK, LATE] += pattern
        writer.finish(PREPROCESSOR, "a test")
    settings = SETTINGS.model_copy(update={"val_concepts": None, "epochs": 6, "batch_size": 24})
    result = map_signal(
        tmp_path / "epochs", tmp_path / "map", None, None, settings,
        windows=Windows.sliding, by_region=False, by_channel=True, n_seeds=1, step=0.1,
    )  # fmt: skip
    assert result["gallery"] == "labels"
    all_of_it, early, late = (row["top1"] for row in result["rows"])
    assert min(all_of_it, late) > 0.9
    assert early < 0.7
