"""Play a show with nothing else going on: Screen, Show -> the window, its flips, its end."""

from __future__ import annotations

import gc
import os
import sys
import threading
from dataclasses import dataclass
from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from necomimi.errors import ConfigError
from necomimi.lsl import local_clock
from necomimi.programs import told_to_end

from .ending import WATCH_MS
from .flips import FlipIntervals, RateTest, Show
from .presenter_window import open_stage
from .stage import Corner, Diode, Stage

__all__ = ["Screen", "close", "make_application", "measure_timing", "play"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Where and how large pictures are shown.

    Parameters
    ----------
    display : int
        Number of the screen, from 0.
    windowed : bool
    size : float
        Side of a picture, as a share of the screen's height.
    background : int
        Grey, 0 to 255.
    photodiode : str or None
        Corner of the photodiode's square.
    photodiode_size : float
        Its side, as a share of the screen's height.
    """

    display: int = 0
    windowed: bool = False
    size: float = 0.3
    background: int = 128
    photodiode: Corner | None = None
    photodiode_size: float = 0.06

    def open(self) -> Stage:
        """Open the window.

        Raises
        ------
        ConfigError
            There is no such screen.
        """
        screens = QtGui.QGuiApplication.screens()
        if self.display >= len(screens):
            names = ", ".join(f"{i}: {screen.name()}" for i, screen in enumerate(screens))
            raise ConfigError(f"--display {self.display}", f"one of {names}")
        diode = None if self.photodiode is None else Diode(self.photodiode, self.photodiode_size)
        grey = QtGui.QColor(*3 * (self.background,))
        return open_stage(grey, diode, local_clock, screens[self.display], self.windowed)


def measure_timing(screen: Screen, seconds: float) -> dict[str, Any]:
    """Show blanks for some seconds; return how regular the flips were, and a verdict."""
    with told_to_end() as told:
        application = make_application()
        stage = screen.open()
        test = RateTest(seconds)
        play(stage, test, told)
        vsync = stage.vsync
        close(stage)
    if len(test.stamps) < 3:
        raise ConfigError(f"{len(test.stamps)} flips before the end", "3 at least", "let it go on for longer")
    flips = FlipIntervals.of(test.stamps)
    facts = {"vsync": vsync, "platform": application.platformName(), "verdict": flips.verdict(vsync)}
    return {**flips.to_json(), **facts}


def make_application() -> Any:
    """Return Qt's application, set so that a frame follows a flip at once."""
    os.environ.setdefault("QT_QPA_UPDATE_IDLE_TIME", "0")  # Qt waits 5 ms else, too long above 120 Hz
    application = QtWidgets.QApplication.instance()
    if application is None:
        form = QtGui.QSurfaceFormat()
        form.setVersion(2, 1)
        form.setSwapInterval(1)
        form.setSwapBehavior(QtGui.QSurfaceFormat.SwapBehavior.DoubleBuffer)
        QtGui.QSurfaceFormat.setDefaultFormat(form)
        application = QtWidgets.QApplication(["necomimi"])
        application.setQuitOnLastWindowClosed(False)
    return application


def play(stage: Stage, show: Show, told: threading.Event) -> None:
    """Play a show with nothing else going on in this process; raise what went wrong in the middle of it."""
    failures: list[BaseException] = []

    def give_up(kind: Any, error: BaseException, trace: Any) -> None:
        failures.append(error)
        stage.stop("an error")

    hook, sys.excepthook = sys.excepthook, give_up  # PyQt would abort the process
    # Python runs signal handlers between two byte codes only: this timer sees to it that there are some.
    watch = QtCore.QTimer(interval=WATCH_MS, timeout=lambda: stage.stop("told to end") if told.is_set() else None)
    watch.start()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        stage.play(show)
    finally:
        gc.enable()
        gc.unfreeze()
        watch.stop()
        sys.excepthook = hook
    if failures:
        raise failures[0]


def close(stage: Any) -> None:
    """Close a stage's window for good."""
    stage.close()
    stage.deleteLater()
