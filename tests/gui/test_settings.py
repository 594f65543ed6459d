"""The layout survives a round trip through its file; a damaged or foreign file harms nothing."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from pyqtgraph.Qt import QtCore

from necomimi.gui.settings import SETTINGS_VARIABLE, Layout, Settings

pytestmark = pytest.mark.qt

LAYOUT = Layout(
    theme="light",
    language="ja",
    geometry=(-100, 20, 1300, 900),
    is_maximized=True,
    has_menus=False,
    hidden=("Accuracy", "Read from the EEG"),
    sizes={"left": (400, 200), "pair": (120, 130)},
    n_places=2,
)


def test_a_layout_survives_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "viewer.ini"
    Settings(path).save(LAYOUT)
    assert Settings(path).load() == LAYOUT
    assert [file.name for file in path.parent.iterdir()] == ["viewer.ini"]
    Settings(path).forget()
    assert Settings(path).load() == Layout()


def test_the_first_time_there_is_nothing_and_no_file_is_made(tmp_path: Path) -> None:
    assert Settings(tmp_path / "viewer.ini").load() == Layout()
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTINGS_VARIABLE, str(tmp_path / "mine.ini"))
    assert Settings().path == tmp_path / "mine.ini"
    monkeypatch.delenv(SETTINGS_VARIABLE)
    default = Settings().path
    assert (default.parent.name, default.suffix) == ("necomimi", ".ini")


@pytest.mark.parametrize(
    ("line", "default"),
    [
        ("theme=pink", {"theme": None}),
        ("language=de", {"language": None}),
        ("geometry=1 2 3", {"geometry": None}),
        ("geometry=1 2 0 -4", {"geometry": None}),
        ("geometry=1 2 3 99999999", {"geometry": None}),
        ("geometry=@Rect(1 2 3 4)", {"geometry": None}),
        ("hidden=a, b", {"hidden": ()}),
        ("places=many", {"n_places": 0}),
        ("maximized=perhaps", {"is_maximized": False}),
    ],
)
def test_a_value_that_makes_no_sense_is_ignored_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, default: dict[str, object]
) -> None:
    path = tmp_path / "viewer.ini"
    Settings(path).save(LAYOUT)
    key = line.split("=", maxsplit=1)[0]
    lines = [line if old.startswith(f"{key}=") else old for old in path.read_text().splitlines()]
    path.write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING):
        layout = Settings(path).load()
    (name,) = default
    assert getattr(layout, name) == default[name]
    assert layout.sizes == LAYOUT.sizes
    assert f"{key} is ignored" in caplog.text


@pytest.mark.parametrize(
    "content", [b"[General]\nname=value\n", b"\x80\x04K\x01.", b"[General]\nversion=2\n", b"<html>"]
)
def test_a_foreign_file_is_ignored_and_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "viewer.ini"
    path.write_bytes(content)
    settings = Settings(path)
    with caplog.at_level(logging.WARNING):
        assert settings.load() == Layout()
    assert "is ignored" in caplog.text
    settings.save(LAYOUT)
    assert path.read_bytes() == content
    settings.forget()
    settings.save(LAYOUT)
    assert Settings(path).load() == LAYOUT


@pytest.mark.skipif(sys.platform == "win32", reason="folders are protected otherwise there")
def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        Settings(tmp_path / "file" / "viewer.ini").save(LAYOUT)
    assert "cannot be kept" in caplog.text


def test_nothing_in_the_file_is_of_qts_own_kinds(tmp_path: Path) -> None:
    """Values that Qt would have to unpickle are never written, and never read."""
    path = tmp_path / "viewer.ini"
    Settings(path).save(LAYOUT)
    assert "@" not in path.read_text()
    settings = QtCore.QSettings(str(path), QtCore.QSettings.Format.IniFormat)
    assert all(isinstance(settings.value(key), str) for key in settings.allKeys())
