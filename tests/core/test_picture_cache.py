"""A folder of pictures is embedded once, and again when a picture, or its name, is another."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from necomimi import picture_embedding
from necomimi.picture_cache import embed_folder_once


def test_a_folder_is_embedded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in (("owl", "red"), ("bat", "blue")):
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
    embedded: list[Path] = []
    embed_folder = picture_embedding.embed_folder
    monkeypatch.setattr(
        picture_embedding, "embed_folder", lambda path, *rest: embedded.append(path) or embed_folder(path, *rest)
    )
    first = embed_folder_once(folder)
    moved = folder.rename(tmp_path / "moved")
    again = embed_folder_once(moved)
    assert embedded == [folder]
    assert (again.files, again.space) == (first.files, first.space)
    np.testing.assert_array_equal(again.embeddings, first.embeddings)

    Image.new("RGB", (40, 30), "green").save(moved / "bat.png")
    other = embed_folder_once(moved)
    (moved / "bat.png").rename(moved / "cat.png")
    assert embed_folder_once(moved).index_of("cat") == 0
    assert len(embedded) == 3
    assert not np.allclose(other.embeddings[0], first.embeddings[0])

    kept = next(path for path in tmp_path.rglob("galleries") if path.is_dir())
    for gallery in kept.iterdir():  # a damaged one is made again
        (gallery / "gallery.safetensors").write_bytes(b"junk")
    assert len(embed_folder_once(moved)) == 2
    assert len(embedded) == 4
    shutil.rmtree(kept)
    kept.write_text("in the way")  # one that cannot be kept is used all the same
    assert len(embed_folder_once(moved)) == 2
