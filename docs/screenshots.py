"""Make every picture of the documents: the recorded feed of a demo, a made-up amplifier -> docs/*.png.

    python docs/screenshots.py

runs the demo without a window (a minute, and two before it the first time), plays its recording in windows that are
drawn off screen, and brings each into the state that a page speaks of.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PIL import Image
from pyqtgraph.Qt import QtCore, QtWidgets

from necomimi.demo import default_cache
from necomimi.gallery import Gallery
from necomimi.gui.display_state import DisplayState
from necomimi.gui.language import use_language
from necomimi.gui.playback import PlaybackReceiver
from necomimi.gui.presenter_pages import Pages
from necomimi.gui.receiver import Receiver
from necomimi.gui.signal_report import report_of
from necomimi.gui.signal_view import SignalView
from necomimi.gui.theme import DARK, LIGHT
from necomimi.gui.window import ViewerWindow
from necomimi.records import StreamInfo
from necomimi.simulated_cortex import SFREQ
from necomimi.simulated_noise import Noise
from necomimi.things_eeg2 import RAW_CH_NAMES

DOCS = Path(__file__).resolve().parent
SECONDS = 60
PLACE_S = 52.6  # in the recording: much has been decided
SILENT = "tcp://127.0.0.1:9"  # where no decoder is


def save(widget: Any, name: str, n_colours: int = 256) -> None:
    """Write what a widget (or an image) shows; with few colours the file is small, and none are missed in a window."""
    QtWidgets.QApplication.processEvents()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        widget.grab().save(str(path)) if hasattr(widget, "grab") else widget.save(str(path))
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
            if n_colours:
                picture = picture.quantize(n_colours, dither=Image.Dither.NONE)
            picture.save(DOCS / f"{name}.png", optimize=True)
    print(f"docs/{name}.png")


def play(recording: Path, gallery: Gallery) -> ViewerWindow:
    """Return a window that stands still at a place in a recording, and has seen all that lies before it."""
    receiver = PlaybackReceiver(recording)
    window = ViewerWindow(DisplayState(gallery, recording.name), receiver, DARK)
    window.show_menus(False)
    window.show()
    window.start()
    receiver.wait_for_length()
    receiver.play(False)
    QtWidgets.QApplication.processEvents()
    while receiver.position < PLACE_S:
        window.seek(min(receiver.position + 1.0, PLACE_S))
        window.draw()
        QtWidgets.QApplication.processEvents()
    return window


def as_window(window: ViewerWindow) -> None:
    """Give a window that fills the screen, which is small where there is none, the shape of a common screen."""
    window.setWindowState(QtCore.Qt.WindowState.WindowNoState)
    window.resize(1280, 720)


def viewer_states(recording: Path, gallery: Gallery) -> None:
    """Make the pictures of the viewer."""
    window = play(recording, gallery)
    states: dict[str, Callable[[], object]] = {
        "viewer-keys": window.toggle_keys,
        "viewer-past": lambda: (window.toggle_keys(), window.filmstrip.step(-6)),
        "viewer-filters": lambda: (
            window.filmstrip.return_to_live(),
            window.traces.set_reference("average"),
            window.traces.set_highpass(1.0),
            window.traces.set_lowpass(40.0),
            window.accuracy.turn(),
        ),
        "viewer-exhibition": lambda: (window.exhibit(True), as_window(window)),
        "viewer-japanese": lambda: (
            window.exhibit(False),
            window.resize(1520, 920),
            window.set_theme(LIGHT),
            window.set_language_choice("ja"),
        ),
    }
    for name, enter in states.items():
        enter()
        for _ in range(60):  # the exhibition fades in
            QtWidgets.QApplication.processEvents()
            window.draw()
            QtCore.QThread.msleep(20)
        save(window, name, 0 if window.is_exhibiting else 256)
    window.close()
    use_language("en")
    waiting = ViewerWindow(DisplayState(gallery, SILENT), Receiver(SILENT), DARK)
    waiting.show_menus(False)
    waiting.show()
    waiting.draw()
    save(waiting, "viewer-waiting")
    waiting.close()


def presenter_page() -> None:
    """Make the picture of what a person reads before pictures are shown."""
    save(Pages(1280, 720, 0.5, 128).instruction(catch=True, auto=False), "presenter-instruction")


def signal_check() -> None:
    """Make the picture of `necomimi signal`: a simulated head on which a channel is loose and another one flat."""
    names = RAW_CH_NAMES[:-1]
    seeds = np.random.SeedSequence(7).spawn(3)
    _, block = next(iter(Noise(names, *seeds).blocks(4 * int(SFREQ))))
    info = StreamInfo(
        name="simulated",
        type="EEG",
        source_id="",
        uid="",
        ch_names=names,
        sfreq=SFREQ,
        units=("V",) * len(names),
    )
    block[names.index("T8")] += np.random.default_rng(0).normal(scale=60e-6, size=block.shape[1])
    block[names.index("P7")] = 0.0
    view = SignalView(DARK)
    view.resize(1000, 700)
    report = report_of(info, block, 0.1)
    assert report is not None
    view.show_report(report, info.name)
    save(view, "signal")


def main() -> None:
    """Run the demo, and make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, help="the --out of a demo that has been run already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = options.demo or Path(folder)
        if options.demo is None:
            command = [sys.executable, "-m", "necomimi", "demo", "--headless", "--seconds", SECONDS, "--out", out]
            subprocess.run([str(part) for part in command], check=True)
        application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["screenshots"])
        gallery = Gallery.load(default_cache() / "decoder" / "gallery")
        shutil.copy(out / "viewer.png", DOCS / "viewer.png")
        viewer_states(out / "session.feed", gallery)
        presenter_page()
        signal_check()
        application.processEvents()


if __name__ == "__main__":
    main()
