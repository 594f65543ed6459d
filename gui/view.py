"""Watch a running decoder in a window of its own: feed, gallery -> window."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from necomimi.console import console
from necomimi.errors import ConfigError
from necomimi.feed import DEFAULT_ADDRESS
from necomimi.gallery import Gallery

__all__ = ["command"]

logger = logging.getLogger(__name__)

SCREENSHOT_AFTER_S = 10.0
WATCH_MS = 50


def load_gallery(path: Path) -> Gallery:
    """Return the gallery in a gallery directory, or in the `gallery` folder of a decoder directory."""
    inner = path / "gallery"
    return Gallery.load(inner if inner.is_dir() else path)


def has_display() -> bool:
    """Return whether there is a screen to open a window on, or a Qt platform was chosen that needs none."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def command(
    feed: Annotated[str, typer.Option(help="Address of the decoder's feed.")] = DEFAULT_ADDRESS,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Gallery or decoder directory, for the pictures; without it labels only."),
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Folder of the keys for an encrypted feed (necomimi keys).")] = None,
    theme: Annotated[Literal["dark", "light", "auto"], typer.Option(help="Colours.")] = "auto",
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Close after this many seconds.")] = None,
    screenshot: Annotated[
        Path | None,
        typer.Option(help=f"Save a PNG just before closing (after {SCREENSHOT_AFTER_S:g} s if --seconds is absent)."),
    ] = None,
) -> None:
    """Watch a running decoder: EEG, what is seen, what is read and painted, how well, how fast.

    It may be started before or after the decoder, and finds it again after a restart. Keys: Up and Down (or the
    wheel) scale, Left and Right window, A fit, T theme, Q close.

    Example: necomimi view --gallery decoders/demo
    """
    if screenshot is not None and not screenshot.absolute().parent.is_dir():
        raise ConfigError(f"--screenshot {screenshot}: no such folder", "a file in a folder that exists")
    if not has_display():
        if screenshot is None:
            raise ConfigError(
                "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)",
                "a graphical session",
                "--screenshot FILE draws without one; on a distant machine use ssh -X",
            )
        console.print("no display: drawing offscreen for the screenshot")
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    pictures = None if gallery is None else load_gallery(gallery)
    if seconds is None and screenshot is not None:
        seconds = SCREENSHOT_AFTER_S
    _run(feed, keys, pictures, theme, seconds, screenshot)
    if screenshot is not None:
        console.print(f"screenshot: {screenshot}")


def _run(
    feed: str,
    keys: Path | None,
    gallery: Gallery | None,
    theme: Literal["dark", "light", "auto"],
    seconds: float | None,
    screenshot: Path | None,
) -> None:
    """Open the window and keep it open until it is closed, time is up, or the process is told to end."""
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())

    from pyqtgraph.Qt import QtCore, QtWidgets

    from .display_state import DisplayState
    from .receiver import Receiver
    from .theme import choose
    from .window import ViewerWindow

    QtCore.qInstallMessageHandler(_log_qt)
    receiver = Receiver(feed, keys=keys)
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["necomimi"])

    def give_up(*error: Any) -> None:
        sys.__excepthook__(*error)
        application.exit(1)

    sys.excepthook = give_up  # PyQt would abort the process, or go on with half a frame
    window = ViewerWindow(DisplayState(gallery, feed), receiver, choose(theme))
    # Python runs signal handlers between two byte codes only: this timer sees to it that there are some.
    watch = QtCore.QTimer(window, interval=WATCH_MS, timeout=lambda: window.close() if told.is_set() else None)
    watch.start()
    if seconds is not None:
        QtCore.QTimer.singleShot(round(1000 * seconds), window.close)
    window.show()
    window.start()
    logger.info("listening on %s", feed)
    status = application.exec()
    receiver.stop()
    if status:
        raise typer.Exit(status)
    if screenshot is not None:
        window.save_screenshot(screenshot)


def _log_qt(kind: Any, context: Any, message: str) -> None:
    """Pass Qt's own messages to the log; what the offscreen platform cannot do is of no interest."""
    logger.log(logging.DEBUG if "plugin does not support" in message else logging.WARNING, "Qt: %s", message)
