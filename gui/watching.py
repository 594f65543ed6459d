"""Open the viewer and keep it open for as long as it is wanted: feed address or recording, wishes -> exit status."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyqtgraph.Qt import QtCore, QtWidgets

from necomimi.gallery import Gallery
from necomimi.programs import told_to_end

from .display_state import DisplayState
from .ending import open_application
from .language import LanguageChoice
from .playback import PlaybackReceiver
from .receiver import Receiver
from .settings import SETTINGS_VARIABLE, Settings
from .theme import ThemeName, choose
from .window import ViewerWindow

__all__ = ["Wishes", "watch"]

logger = logging.getLogger(__name__)

STRIDE_S = 5.0  # of a recording that is gone through to a place: every epoch is averaged while its signal is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How the viewer is wanted; see `necomimi.gui.view.command`."""

    gallery: Gallery | None = None
    keys: Path | None = None
    record: Path | None = None
    theme: ThemeName | None = None
    language: LanguageChoice | None = None
    reset_layout: bool = False
    seconds: float | None = None
    screenshot: Path | None = None
    report: Path | None = None

    @property
    def is_unattended(self) -> bool:
        """Whether a picture is all that is wanted: then the layout is nobody's, unless the file for it is named."""
        return self.screenshot is not None and not os.environ.get(SETTINGS_VARIABLE)


def watch(source: str | Path, wishes: Wishes) -> int:
    """Open the window, and return when it is closed, time is up, or the process is told to end.

    Parameters
    ----------
    source : str or Path
        The address of a feed, or the file of a recording.
    wishes : Wishes

    Returns
    -------
    int
        0, or 1 where the window failed.

    Raises
    ------
    NecomimiError
        The source cannot be watched, or a file cannot be written.
    """
    with told_to_end() as told:
        QtCore.qInstallMessageHandler(_log_qt)
        receiver = _open(source, wishes)
        application = open_application(told)
        name = source.name if isinstance(source, Path) else source
        window = ViewerWindow(DisplayState(wishes.gallery, name), receiver, choose("auto"))
        _arrange(window, wishes)
        window.show()
        window.start()
        logger.info("%s %s", "playing" if isinstance(source, Path) else "listening on", source)
        seconds = wishes.seconds
        if seconds is not None and wishes.screenshot is not None and isinstance(receiver, PlaybackReceiver):
            _go_to(window, receiver, seconds)
            seconds = 0.0
        if seconds is not None:
            QtCore.QTimer.singleShot(round(1000 * seconds), window.close)
        status = int(application.exec())
        receiver.stop()
        if status == 0:
            if wishes.screenshot is not None:
                window.save_screenshot(wishes.screenshot)
            if wishes.report is not None:
                window.save_report(wishes.report)
    return status


def _open(source: str | Path, wishes: Wishes) -> Receiver | PlaybackReceiver:
    """Return what the window takes its records from."""
    if isinstance(source, Path):
        return PlaybackReceiver(source)
    return Receiver(source, keys=wishes.keys, record=wishes.record)


def _arrange(window: ViewerWindow, wishes: Wishes) -> None:
    """Give the window the looks that are wanted: by the options, else as it was left, else the desktop's."""
    window.set_theme_choice("auto")
    window.set_language_choice("auto")
    if wishes.is_unattended:
        window.show_menus(False)
    else:
        settings = Settings()
        if wishes.reset_layout:
            settings.forget()
        window.restore(settings)
    if wishes.theme is not None:
        window.set_theme_choice(wishes.theme)
    if wishes.language is not None:
        window.set_language_choice(wishes.language)


def _go_to(window: ViewerWindow, playback: PlaybackReceiver, seconds: float) -> None:
    """Go to a place in the recording, through all that lies before it, and stand still there."""
    playback.wait_for_length()
    playback.play(False)
    QtWidgets.QApplication.processEvents()  # the panels have their sizes
    while playback.position < min(seconds, playback.length):
        window.seek(min(playback.position + STRIDE_S, seconds))
        window.draw()


def _log_qt(kind: Any, context: Any, message: str) -> None:
    """Pass Qt's own messages to the log; what the offscreen platform cannot do is of no interest."""
    logger.log(logging.DEBUG if "plugin does not support" in message else logging.WARNING, "Qt: %s", message)
