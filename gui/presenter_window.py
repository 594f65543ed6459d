"""Open the presenter's window: a screen -> a stage that keeps its time, or a timer's where that cannot be had."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyqtgraph.Qt import QtCore, QtGui

from .flips import FlipIntervals, RateTest
from .stage import NOMINAL_HZ, Diode, Stage, TimedStage

__all__ = ["open_stage"]

logger = logging.getLogger(__name__)

SOFTWARE_PLATFORMS = ("offscreen", "minimal", "vnc", "linuxfb")
PROBE_S = 0.7
PROBE_TIMEOUT_MS = 3000
RATE_RANGE = (0.45, 1.25)  # of the nominal rate; swaps that do not wait are many times faster
PLAUSIBLE_HZ = (20.0, 1000.0)
WINDOW_SIZE = QtCore.QSize(960, 600)
SETTLE_MS = 200  # a window manager takes some time to give a window its size


def open_stage(background: Any, diode: Diode | None, clock: Callable[[], float], screen: Any, windowed: bool) -> Stage:
    """Open a window and return it: one that keeps the display's time if that can be had.

    Parameters
    ----------
    background : QColor
    diode : Diode or None
    clock : callable
        Seconds on the LSL clock.
    screen : QScreen
    windowed : bool
        Leave the rest of the screen as it is.
    """
    low, high = PLAUSIBLE_HZ
    hz = screen.refreshRate() if low < screen.refreshRate() < high else NOMINAL_HZ
    try:
        return _open_gl(background, diode, clock, screen, windowed, hz)
    except _NoSync as reason:
        words = "no vertical sync (%s): a timer of %.2f Hz takes its place, stamps are those of drawing"
        logger.warning(words, reason, hz)
    stage = TimedStage(background, diode, clock)
    stage.nominal_hz = hz
    stage.setWindowTitle("necomimi")
    stage.winId()  # makes the window that has a screen
    _open(stage, stage.windowHandle(), screen, windowed)
    return stage


class _NoSync(Exception):
    """The display's time cannot be kept, for this reason."""


def _open_gl(
    background: Any, diode: Diode | None, clock: Callable[[], float], screen: Any, windowed: bool, hz: float
) -> Stage:
    """Open a window of OpenGL, and try whether it keeps the time of a display of `hz` refreshes a second."""
    platform = QtGui.QGuiApplication.platformName()
    if platform in SOFTWARE_PLATFORMS:
        raise _NoSync(f"the platform {platform} draws without a display")
    try:
        from .gl_stage import GLStage
    except ImportError as error:
        raise _NoSync(f"Qt has no OpenGL: {error}") from error
    stage = GLStage(background, diode, clock)
    stage.vsync, stage.nominal_hz = True, hz
    stage.setTitle("necomimi")
    _open(stage, stage, screen, windowed)
    stage.requestActivate()
    probe = RateTest(PROBE_S)
    limit = QtCore.QTimer(singleShot=True, interval=PROBE_TIMEOUT_MS, timeout=lambda: stage.stop("no flips"))
    limit.start()
    stage.play(probe)
    limit.stop()
    measured = FlipIntervals.of(probe.stamps).refresh_hz if len(probe.stamps) > 2 else 0.0
    if stage.is_ready and RATE_RANGE[0] < measured / hz < RATE_RANGE[1]:
        return stage
    stage.close()
    stage.deleteLater()
    if not stage.is_ready:
        raise _NoSync("the graphics driver has no OpenGL 2.1")
    raise _NoSync(f"swaps do not wait for the display: {measured:.0f} flips a second on one of {hz:.0f} Hz")


def _open(stage: Any, window: Any, screen: Any, windowed: bool) -> None:
    """Put a stage, whose QWindow is `window`, on a screen, and let it get its size."""
    stage.setCursor(QtCore.Qt.CursorShape.BlankCursor)
    window.setScreen(screen)
    area = screen.geometry()
    if windowed:
        stage.setMinimumSize(WINDOW_SIZE)  # images are made for this size: it must stay
        stage.setMaximumSize(WINDOW_SIZE)
        corner = area.center() - QtCore.QPoint(WINDOW_SIZE.width() // 2, WINDOW_SIZE.height() // 2)
        stage.setGeometry(QtCore.QRect(corner, WINDOW_SIZE))
        stage.show()
    else:
        stage.setGeometry(area)
        stage.showFullScreen()
    wait = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(SETTLE_MS, wait.quit)
    wait.exec()
