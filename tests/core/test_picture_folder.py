"""The markers of a presentation find their pictures in a gallery of the same folder, and are never control markers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from necomimi.errors import DatasetError
from necomimi.gallery import Gallery
from necomimi.markers import is_control
from necomimi.picture_folder import picture_label, picture_markers


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("00001_owl/owl_1.jpg", "00001_owl/owl_2.jpg"), ("owl_1", "owl_2")),
        (("owl/1.jpg", "bat/1.jpg"), ("owl/1.jpg", "bat/1.jpg")),
        (("a.png", "a.png.jpg"), ("a.png", "a.png.jpg")),  # the stem of the second is the name of the first
    ],
)
def test_a_marker_finds_its_picture_in_a_gallery(files: tuple[str, ...], expected: tuple[str, ...]) -> None:
    markers = picture_markers(files)
    assert markers == expected
    gallery = Gallery(
        labels=("x",) * len(files), files=files, embeddings=np.eye(len(files), dtype=np.float32), space="s"
    )
    assert [gallery.index_of(marker) for marker in markers] == list(range(len(files)))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("00001_aircraft_carrier/b.jpg", "aircraft_carrier"),
        ("owl/b.jpg", "owl"),
        ("owl.jpg", "owl"),
        ("7_/b.jpg", "7_"),
    ],
)
def test_a_picture_shows_what_its_folder_is_called(file: str, expected: str) -> None:
    assert picture_label(Path("pictures") / file, Path("pictures")) == expected


def test_a_picture_whose_marker_would_be_no_stimulus_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"'present/1\.jpg' would say"):
        picture_markers(("present/1.jpg", "owl/1.jpg"))
    assert picture_markers(("present/1.jpg", "owl/2.jpg")) == ("1", "2")


@pytest.mark.parametrize(("label", "expected"), [("replay/loop", True), ("present/catch", True), ("present", False)])
def test_control_markers(label: str, expected: bool) -> None:
    assert is_control(label) is expected
