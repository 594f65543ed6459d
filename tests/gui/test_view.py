from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from necomimi.gallery import Gallery
from necomimi.gui.settings import Layout, Settings
from necomimi.gui.theme import DARK, LIGHT

from .screen import is_color

pytestmark = pytest.mark.qt

SYNTHETIC = Path(__file__).parents[2] / "benchmarks" / "synthetic_feed.py"
LIMIT_S = 90
SILENT_ADDRESS = "tcp://127.0.0.1:1"  # nobody may listen there


def environment(**changes: str | None) -> dict[str, str]:
    """Return this environment with some variables set, or taken out (None)."""
    merged: dict[str, str | None] = {**os.environ, "OMP_NUM_THREADS": "1", **changes}
    return {name: value for name, value in merged.items() if value is not None}


def view(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run `necomimi view` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "necomimi", "view", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment(**changes),
        check=False,
    )


def load(picture: Path) -> np.ndarray:
    """Return a picture's pixels, shape (height, width, 3)."""
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))


def holds(area: np.ndarray, color: str, tolerance: int = 6) -> bool:
    """Return whether some pixel of an area (height, width, 3) has a colour."""
    return bool(is_color(area.astype(int), color, tolerance).any())


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Run a made-up decoder as a process of its own; give its address and its gallery."""
    folder = tmp_path_factory.mktemp("decoder")
    command = [sys.executable, str(SYNTHETIC), "--feed", "tcp://127.0.0.1:*", "--seconds", "600", "--hits", "1"]
    command += ["--make-gallery", str(folder / "gallery"), "--classes", "30", "--refuse", "0.1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[:2] == ["publishing", "on"]
    yield words[2], folder
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_gallery_is_found_in_its_own_folder_and_in_a_decoders(feed: tuple[str, Path]) -> None:
    own, decoders = Gallery.load(feed[1] / "gallery"), Gallery.load(feed[1])
    assert own.labels == decoders.labels
    assert len(own.labels) == 30


def test_a_screenshot_of_a_running_decoder(feed: tuple[str, Path], tmp_path: Path) -> None:
    """It attaches late."""
    address, folder = feed
    picture = tmp_path / "viewer.png"
    run = view(
        *("--feed", address, "--gallery", str(folder), "--screenshot", str(picture)),
        *("--seconds", "4", "--theme", "dark"),
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    image = load(picture)
    assert image.shape == (920, 1520, 3)
    assert holds(image[5:35, 110:130], DARK.accent)  # the dot of a live source
    assert holds(image[160:540, 90:900], DARK.trace, 40)
    assert holds(image[380:720, 1010:1510], DARK.accent)  # the right answer's bar

    thumbnails = Gallery.load(folder / "gallery").thumbnails
    assert thumbnails is not None
    shown = image[185, 1252].astype(int)  # the middle of the picture
    assert np.abs(thumbnails[:, 48, 48].astype(int) - shown).max(axis=1).min() <= 3


def test_without_a_decoder_it_waits_and_says_so(tmp_path: Path) -> None:
    picture = tmp_path / "[bold]" / "waiting.png"
    picture.parent.mkdir()
    run = view("--feed", SILENT_ADDRESS, "--screenshot", str(picture), "--seconds", "1", "--theme", "light")
    assert run.returncode == 0, run.stderr
    image = load(picture)
    assert holds(image[5:35, 110:130], LIGHT.faint)
    assert not holds(image[:600, :980], LIGHT.accent)
    assert holds(image[230:360, 330:660], LIGHT.text, 40)  # the words in the middle
    assert f"screenshot: {picture}" in run.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_without_a_display_a_screenshot_is_drawn_offscreen_and_that_is_said(
    necomimi: Callable[..., tuple[Any, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = {"QT_QPA_PLATFORM": None, "DISPLAY": None, "WAYLAND_DISPLAY": None}
    picture = tmp_path / "offscreen.png"
    run = view("--feed", SILENT_ADDRESS, "--screenshot", str(picture), "--seconds", "0.5", **bare)
    assert run.returncode == 0, run.stderr
    assert "offscreen" in run.stderr
    assert picture.is_file()

    for name in bare:
        monkeypatch.delenv(name, raising=False)
    status, _, remarks = necomimi("view", "--feed", SILENT_ADDRESS)
    assert status == 2
    assert "no display" in remarks
    assert "--screenshot" in remarks


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_told_to_end_it_ends_well(tmp_path: Path) -> None:
    picture = tmp_path / "last.png"
    command = [sys.executable, "-m", "necomimi", "view", "--feed", SILENT_ADDRESS, "--seconds", "600"]
    process = subprocess.Popen(
        [*command, "--screenshot", str(picture)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    for line in process.stderr:
        if "listening on" in line:
            break
    process.terminate()
    rest = process.stderr.read()
    assert process.wait() == 0, rest
    watchdog.cancel()
    process.stderr.close()
    assert "Traceback" not in rest
    assert picture.is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--feed", "nonsense"], "feed address 'nonsense'"),
        (["--gallery", "/nowhere"], "/nowhere is not a directory"),
        (["--screenshot", "/nowhere/x.png"], "there is no folder /nowhere"),
        (["--theme", "pink"], "pink"),
        (["--seconds", "0"], "0.1"),
        (["--language", "de"], "de"),
        (["--report", "/nowhere/x.html"], "there is no folder /nowhere"),
        (["--record", "/nowhere/x.feed"], "/nowhere/x.feed cannot be written"),
        (["--record", __file__], "exists"),
        (["--playback", "/nowhere/x.feed"], "/nowhere/x.feed cannot be read"),
        (["--playback", __file__], "is no recording of a feed"),
        (["--playback", __file__, "--feed", SILENT_ADDRESS], "--playback and --feed"),
        (["--playback", __file__, "--keys", "."], "--playback and --keys"),
        (["--playback", __file__, "--record", "x.feed"], "--playback and --record"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    necomimi: Callable[..., tuple[Any, str, str]], arguments: list[str], words: str
) -> None:
    status, _, remarks = necomimi("view", *arguments)
    assert status == 2, remarks
    assert words in remarks


def test_a_foreign_gallery_is_refused(
    necomimi: Callable[..., tuple[Any, str, str]], feed: tuple[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(feed[1] / "gallery", tmp_path / "gallery")
    (tmp_path / "gallery" / "config.json").write_text("{}")
    status, _, remarks = necomimi("view", "--gallery", tmp_path)
    assert status == 2
    assert "expected: 'necomimi-gallery'" in remarks


def test_what_was_recorded_is_played_and_reported(feed: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = feed
    gallery = ("--gallery", str(folder), "--theme", "dark")
    first, file = tmp_path / "live.png", tmp_path / "session.feed"
    run = view("--feed", address, *gallery, "--record", str(file), "--seconds", "4", "--screenshot", str(first))
    assert run.returncode == 0, run.stderr
    assert f"recording: {file}" in run.stderr
    pictures = [tmp_path / f"{number}.png" for number in range(3)]
    report = tmp_path / "session.html"
    for picture, seconds in zip(pictures, ("2", "2", "60"), strict=True):
        options = ("--seconds", seconds, "--screenshot", str(picture), "--report", str(report))
        run = view("--playback", str(file), *gallery, *options)
        assert run.returncode == 0, run.stderr
    at_two, again, at_the_end = (load(picture) for picture in pictures)
    assert (at_two == again).all()  # the same place is the same picture
    assert (at_two != at_the_end).any()
    assert holds(at_two[5:35, 110:130], DARK.accent)  # live as it was, though no decoder is there
    assert holds(at_two[330:640, 1000:1270], DARK.accent)
    page = report.read_text(encoding="utf-8")
    assert "session.feed, at 0:0" in page
    assert "data:image/png;base64," in page
    assert list(tmp_path.glob("*.ini")) == []


def test_at_a_fractional_scale_nothing_is_left_unpainted(tmp_path: Path) -> None:
    picture = tmp_path / "scaled.png"
    run = view("--feed", SILENT_ADDRESS, "--screenshot", str(picture), "--seconds", "0.5", QT_SCALE_FACTOR="1.5")
    assert run.returncode == 0, run.stderr
    image = load(picture)
    assert image.shape == (1380, 2280, 3)
    border = image[60:, -14:].astype(int)  # where the panels end: greys only
    assert np.ptp(border, axis=2).max() <= 24


def test_the_layout_is_kept_where_that_is_told(tmp_path: Path) -> None:
    settings = tmp_path / "viewer.ini"
    told = {"NECOMIMI_VIEWER_SETTINGS": str(settings)}
    Settings(settings).save(Layout(theme="light", language="ja"))
    picture = tmp_path / "light.png"
    run = view("--feed", SILENT_ADDRESS, "--seconds", "0.5", "--screenshot", str(picture), **told)
    assert run.returncode == 0, run.stderr
    assert holds(load(picture)[300:500, 20:60], LIGHT.panel)
    run = view("--feed", SILENT_ADDRESS, "--seconds", "0.5", "--reset-layout", "--theme", "dark", **told)
    assert run.returncode == 0, run.stderr
    kept = settings.read_text()
    assert "theme=dark" in kept
    assert "language=auto" in kept


def test_help_answers_without_qt() -> None:
    script = "import sys; import necomimi.gui.view; print([m for m in sys.modules if 'Qt' in m or m == 'pyqtgraph'])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert run.stdout.strip() == "[]"
