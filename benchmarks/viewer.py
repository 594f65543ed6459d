"""Measure the viewer while a made-up decoder feeds it: frames a second, share of a core, milliseconds a frame.

The window runs in this process as `necomimi view` would run it (offscreen unless QT_QPA_PLATFORM says otherwise), the
decoder in another. A frame is one turn of the draw timer with all painting that follows from it. For comparison, the
same EEG is drawn in the same run as polylines by pyqtgraph, decimated to the lowest and highest value per pixel.

With --minutes the window is then watched for longer, and by how much its memory has grown is told; under xvfb-run with
QT_QPA_PLATFORM=xcb it is drawn on a real display.

Example: python benchmarks/viewer.py --seconds 10 --json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
import pyqtgraph
from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from necomimi.gallery import Gallery
from necomimi.gui.display_filter import AVERAGE
from necomimi.gui.display_state import DisplayState
from necomimi.gui.receiver import Receiver
from necomimi.gui.theme import DARK
from necomimi.gui.window import ViewerWindow

SYNTHETIC = Path(__file__).with_name("synthetic_feed.py")
WINDOW_S = 10.0


class TimedWindow(ViewerWindow):
    """The viewer, with a stop watch around each frame."""

    def __init__(self, *arguments: Any) -> None:
        self.frames_ms: list[float] = []
        super().__init__(*arguments)

    def draw(self) -> None:
        """Draw and paint a frame, and note how long it took."""
        start = time.perf_counter()
        super().draw()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.UpdateRequest)  # paint now
        self.frames_ms.append(1e3 * (time.perf_counter() - start))


def polyline_ms(window: ViewerWindow, n_frames: int = 60) -> float:
    """Return the median milliseconds of drawing the same outline as polylines with pyqtgraph."""
    ring = window.state.eeg
    assert ring is not None
    assert ring.newest is not None
    width = int(window.traces.plot_rect().width())
    column_s = WINDOW_S / width
    plot = pyqtgraph.PlotWidget()
    plot.resize(window.traces.size())
    plot.setRange(xRange=(0, width), yRange=(-1, len(ring.info.ch_names)), padding=0)
    plot.disableAutoRange()
    curves = [pyqtgraph.PlotCurveItem(pen=pyqtgraph.mkPen("#b4c2cf", width=1)) for _ in ring.info.ch_names]
    for curve in curves:
        plot.addItem(curve)
    plot.show()
    x = np.repeat(np.arange(width, dtype=float), 2)
    last = int(ring.newest / column_s) - 1
    times = []
    for frame in range(n_frames):
        start = time.perf_counter()
        low, high = ring.outline(column_s, width + n_frames + 8).read(last - width - n_frames + frame, width)
        values = np.stack([low, high], axis=-1).reshape(len(low), -1) / 50.0
        for row, curve in enumerate(curves):
            curve.setData(x, np.nan_to_num(values[row]) + row)
        QtWidgets.QApplication.processEvents()
        plot.viewport().repaint()
        times.append(1e3 * (time.perf_counter() - start))
    plot.close()
    return float(np.median(times[5:]))


def growth_mib(process: psutil.Process, minutes: float, wait: Callable[[float], None]) -> float:
    """Return by how many MiB the memory of a process has grown after some minutes; a fifth of them are a warm-up."""
    wait(0.2 * 60 * minutes)
    before = process.memory_info().rss
    wait(0.8 * 60 * minutes)
    return (process.memory_info().rss - before) / 2**20


def measure(
    n_channels: int, sfreq: float, seconds: float, folder: Path, size: int, is_filtered: bool, minutes: float = 0.0
) -> dict[str, Any]:
    """Run a decoder and a window for a warm-up and `seconds`, and return the figures; pictures of `size` pixels."""
    limit = 600 + 60 * minutes
    command = [sys.executable, str(SYNTHETIC), "--feed", "tcp://127.0.0.1:*", "--seconds", f"{limit:g}"]
    command += ["--channels", str(n_channels), "--sfreq", str(sfreq), "--make-gallery", str(folder)]
    command += ["--generator", "made up", "--size", str(size)] if size else []
    decoder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert decoder.stdout is not None
        address = decoder.stdout.readline().split()[-1]
        window = TimedWindow(DisplayState(Gallery.load(folder), address), Receiver(address), DARK)
        if is_filtered:
            window.traces.set_reference(AVERAGE)
            window.traces.set_highpass(1.0)
            window.traces.set_lowpass(40.0)
            window.traces.set_notch(50.0)
        window.show()
        window.start()
        process = psutil.Process()
        loop = QtCore.QEventLoop()

        def wait(wait_s: float) -> None:
            QtCore.QTimer.singleShot(round(1000 * wait_s), loop.quit)
            loop.exec()

        wait(WINDOW_S + 2)  # the window fills
        window.frames_ms.clear()
        cpu, start = sum(process.cpu_times()[:2]), time.perf_counter()
        wait(seconds)
        wall = time.perf_counter() - start
        cpu = sum(process.cpu_times()[:2]) - cpu
        frames = np.array(window.frames_ms)
        rss = process.memory_info().rss
        growth = growth_mib(process, minutes, wait) if minutes else None
        window.close()
        p50, p95 = np.percentile(frames, [50, 95])
        polyline = polyline_ms(window)
    finally:
        decoder.kill()
        decoder.wait()
    return {
        "platform": QtGui.QGuiApplication.platformName(),
        "n_channels": n_channels,
        "sfreq": sfreq,
        "window_s": WINDOW_S,
        "pictures": size,
        "filtered": is_filtered,
        "fps": round(len(frames) / wall, 1),
        "cpu_percent": round(100 * cpu / wall, 1),
        "frame_ms": {"p50": round(p50, 2), "p95": round(p95, 2)},
        "polyline_ms": round(polyline, 2),
        "rss_mib": round(rss / 2**20),
        "rss_growth_mib": None if growth is None else round(growth, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=63)
    parser.add_argument("--sfreq", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pictures", type=int, default=0, help="pixels of painted pictures, 20 a second; 0 for none")
    parser.add_argument("--filters", action="store_true", help="show the EEG against its average, 1-40 Hz, notch 50 Hz")
    parser.add_argument("--minutes", type=float, default=0.0, help="watch the memory for so long; 0 for not at all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    application = QtWidgets.QApplication(["viewer"])
    with tempfile.TemporaryDirectory() as folder:
        application.processEvents()
        gallery = Path(folder) / "gallery"
        figures = measure(
            options.channels,
            options.sfreq,
            options.seconds,
            gallery,
            options.pictures,
            options.filters,
            options.minutes,
        )
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{figures['n_channels']} channels x {WINDOW_S:g} s x {figures['sfreq']:g} Hz, {figures['platform']}")
    if options.filters:
        print("the EEG is shown  against its average, 1-40 Hz, notch 50 Hz")
    if options.pictures:
        print(f"painted pictures  20 a second of {options.pictures} x {options.pictures} pixels")
    print(f"frames a second   {figures['fps']}")
    print(f"share of a core   {figures['cpu_percent']} %")
    print(f"frame             p50 {figures['frame_ms']['p50']} ms, p95 {figures['frame_ms']['p95']} ms (all views)")
    print(f"as polylines      p50 {figures['polyline_ms']} ms (the traces alone, pyqtgraph)")
    print(f"memory            {figures['rss_mib']} MiB")
    if options.minutes:
        print(f"growth            {figures['rss_growth_mib']} MiB in {0.8 * options.minutes:g} min")


if __name__ == "__main__":
    main()
