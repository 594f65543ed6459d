"""A conditions file tells what trigger codes show: in galleries, epochs, decoders' logs; what it cannot is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mne
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from necomimi.cli import app
from necomimi.epochs import Epochs
from necomimi.errors import DatasetError
from necomimi.gallery import Gallery
from necomimi.marker_table import add_markers
from necomimi.offline.recorded import preprocess_recording

PAGE = (Path(__file__).parents[2] / "docs" / "amplifiers.md").read_text(encoding="utf-8")
FILES = ("dog/dog_01.jpg", "dog/dog_02.jpg", "owl/owl_01.jpg")


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the gallery that the page's first command makes of the page's table."""
    folder = tmp_path_factory.mktemp("lab")
    for i, file in enumerate(FILES):
        path = folder / "stimuli" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (80 * i, 200 - 60 * i, 40)).save(path)
    (table,) = re.findall(r"^```text\n(marker,.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (folder / "conditions.csv").write_text(table)
    run("embed", folder / "stimuli", folder / "gallery", "--markers", folder / "conditions.csv")
    return folder / "gallery"


def test_codes_find_their_pictures_also_in_a_part_of_the_gallery(gallery: Path) -> None:
    loaded = Gallery.load(gallery)
    assert loaded.files == FILES
    assert [loaded.index_of(code) for code in ("1", "2", "3", "4", "dog_02", "owl")] == [0, 1, 2, None, 1, 2]
    part = loaded.select([2, 1])
    assert [part.index_of(code) for code in ("1", "2", "3")] == [None, 1, 0]


def test_a_recording_of_codes_becomes_epochs_of_pictures(gallery: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    raw = mne.io.RawArray(1e-5 * rng.normal(size=(3, 5000)), mne.create_info(["Oz", "Cz", "Fz"], 250.0, "eeg"))
    codes = ["1", "2", "3", "255"] * 4
    raw.set_annotations(mne.Annotations(1.0 + np.arange(16), 0, codes))
    raw.save(tmp_path / "session_raw.fif")
    preprocess_recording(tmp_path / "session_raw.fif", tmp_path / "epochs", gallery=Gallery.load(gallery))
    epochs = Epochs.load(tmp_path / "epochs").train
    assert list(epochs.pictures) == list(FILES) * 4
    assert list(epochs.labels) == ["dog", "dog", "owl"] * 4
    with pytest.raises(DatasetError) as caught:
        preprocess_recording(tmp_path / "session_raw.fif", tmp_path / "other", gallery=Gallery.from_labels(["dog"]))
    assert "--markers TABLE" in caught.value.remedy


def test_a_live_log_of_codes_is_judged_by_what_they_show(gallery: Path, tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    lines = [
        {"type": "retrieval", "code": i, "onset": float(i), "label": code, "labels": labels, "scores": [0.6, 0.4]}
        for i, (code, labels) in enumerate([("1", ["dog", "owl"]), ("2", ["owl", "dog"]), ("3", ["owl", "dog"])])
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = json.loads(run("evaluate", "--decisions", log, "--gallery", gallery, "--json").stdout)
    assert (found["n_queries"], found["top1"]) == (3, pytest.approx(2 / 3))
    assert json.loads(run("evaluate", "--decisions", log, "--json").stdout)["top1"] == 0


def test_labels_without_pictures_have_codes_too(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("owl\ndog\n")
    (tmp_path / "codes.tsv").write_text("\ufeffpicture\tnote\tmarker\nowl\tx\tstimulus/owl\ndog\t\t5\nowl\t\t6\n")
    run("embed", "--labels", tmp_path / "labels.txt", tmp_path / "gallery", "--markers", tmp_path / "codes.tsv")
    gallery = Gallery.load(tmp_path / "gallery")
    assert [gallery.labels[gallery.index_of(code)] for code in ("5", "6", "stimulus/owl")] == ["dog", "owl", "owl"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"a header with marker and picture"),
        ("code,picture\n1,dog\n", r"begins with 'code,picture'"),
        ("marker,picture\n1,cat\n", r"line 2: marker '1' for 'cat'[\s\S]*such as dog"),
        ("marker,picture\n1,dog\n1,owl\n", r"line 3: marker '1' for 'owl'[\s\S]*one picture for each[\s\S]*also dog"),
        ("marker,picture\nowl,dog\n", r"marker 'owl' for 'dog'[\s\S]*'owl' is also owl"),
        ("marker;picture\n0;dog\n", r"a number above 0"),
        ("marker;picture\n;dog\n", r"a marker that is a stimulus"),
        ("marker;picture\npresent/dog;dog\n", r"a marker that is a stimulus"),
        ("marker;picture\n1\n", r"marker '1' for ''"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=words):
        add_markers(Gallery.from_labels(["dog", "owl"]), path)
    with pytest.raises(DatasetError, match="cannot be read"):
        add_markers(Gallery.from_labels(["dog", "owl"]), tmp_path / "absent.csv")
