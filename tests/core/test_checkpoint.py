"""A directory appears under its name when it is whole, replaces only its own kind, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from necomimi.checkpoint import check_overwritable, read_config, whole_directory, write_config
from necomimi.errors import CheckpointError


def write(path: Path, word: str) -> None:
    with whole_directory(path) as partial:
        write_config(partial, "gallery", {"word": word})


def test_what_was_there_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")

    def break_off() -> None:
        with whole_directory(tmp_path / "out"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert read_config(tmp_path / "out", "gallery")["word"] == "old"
    write(tmp_path / "out", "new")
    assert read_config(tmp_path / "out", "gallery")["word"] == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "disk", "old")
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    write(tmp_path / "out", "new")
    assert (tmp_path / "out").is_symlink()
    assert read_config(tmp_path / "disk", "gallery")["word"] == "new"


def test_the_current_folder_can_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    write(Path(), "new")
    assert read_config(tmp_path / "out", "gallery")["word"] == "new"


def test_nothing_of_another_kind_is_replaced(tmp_path: Path) -> None:
    check_overwritable(tmp_path / "absent", "decoder")
    check_overwritable(tmp_path, "decoder")  # it is empty
    write(tmp_path / "out", "new")
    check_overwritable(tmp_path / "out", "gallery")
    for path, words in ((tmp_path / "out", "'necomimi-gallery'"), (tmp_path, "no config.json")):
        with pytest.raises(CheckpointError, match=rf"{words}[\s\S]*another OUT: nothing but a decoder"):
            check_overwritable(path, "decoder")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is damaged"),
        ("1" * 5000, "is damaged"),  # an integer that Python refuses to read
        ('{"format": "necomimi-gallery", "version": 2}', r"version 2\nexpected: at most 1\ntry: update necomimi"),
        ('{"format": "necomimi-gallery"}', "version None"),
    ],
)
def test_a_config_that_does_not_serve_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        read_config(tmp_path, "gallery")
