"""Put a presentation together and run it: folder, paradigm, screen -> pictures, LSL markers, log, summary."""

from __future__ import annotations

import gc
import getpass
import logging
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from necomimi import __version__
from necomimi.errors import ConfigError, StreamNotFoundError
from necomimi.lsl import MarkerOutlet, local_clock
from necomimi.markers import PRESENTER_NAME
from necomimi.picture_folder import picture_files, picture_label, picture_markers
from necomimi.sequence import CATCH, Paradigm, choose_pictures, draw_sequences

from .events_log import EventsLog
from .flips import BLANK, FlipIntervals, RateTest, Show
from .presentation import END, INSTRUCTION, REST, Picture, Presentation
from .presenter_pages import Pages
from .presenter_window import open_stage
from .stage import Corner, Diode, Stage

__all__ = ["Run", "Screen", "measure_timing", "present", "source_id"]

logger = logging.getLogger(__name__)

WATCH_MS = 50
LISTEN_S = 0.1


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is shown, and what is told of it.

    Parameters
    ----------
    folder : Path
        Pictures, in folders by concept or flat.
    limit : int or None
        Show so many of them, drawn with the paradigm's seed.
    target : Path or None
        Picture of the target; a drawn one if absent.
    auto : bool
        Go on without keys.
    offset_s : float
        From a flip to the light.
    wait_s : float
        Seconds to wait for somebody who listens to the markers; 0 not to.
    log : Path or None
        The events.tsv to write.
    """

    folder: Path
    limit: int | None = None
    target: Path | None = None
    auto: bool = False
    offset_s: float = 0.0
    wait_s: float = 0.0
    log: Path | None = None


def source_id() -> str:
    """Return the marker stream's identity: the same for each run of this person on this machine, and for no other."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "user"
    return f"{PRESENTER_NAME}-{socket.gethostname()}-{user}"


def present(run: Run, paradigm: Paradigm, screen: Screen) -> dict[str, Any]:
    """Show the pictures; return the summary of the run.

    Raises
    ------
    ConfigError, DatasetError
        An option or picture will not do.
    StreamNotFoundError
        Nobody came to listen to the markers.
    """
    paths = picture_files(run.folder)
    files = [path.relative_to(run.folder).as_posix() for path in paths]
    markers = picture_markers(files)
    chosen = choose_pictures(len(paths), run.limit, paradigm.seed)
    sequences = draw_sequences(chosen, paradigm)
    pictures = {
        i: Picture(file=files[i], concept=picture_label(paths[i], run.folder), marker=markers[i]) for i in chosen
    }
    outlet = MarkerOutlet(PRESENTER_NAME, source_id())
    with _told_to_end() as told:
        if run.wait_s and not _is_heard(outlet, run.wait_s, told):
            raise StreamNotFoundError(
                f"nobody has listened to the markers ({PRESENTER_NAME!r}) for {run.wait_s:g} s",
                "a recorder, or a decoder",
                f"start it, with the marker stream {PRESENTER_NAME!r} chosen, then present",
            )
        log = None if run.log is None else EventsLog(run.log, _facts(run, paradigm, screen))
        stage = None
        result: dict[str, Any] = {}
        try:
            application = _application()
            stage = screen.open()
            pages = Pages(*stage.pixels(), screen.size, screen.background, run.target)
            stage.upload(BLANK, pages.blank())
            stage.upload(CATCH, pages.target())
            stage.upload(INSTRUCTION, pages.instruction(paradigm.catch, run.auto))
            stage.upload(END, pages.end())
            images = _Images(stage, pages, paths, sequences, paradigm.long_break_every, run.auto)
            show = Presentation(
                *(sequences, pictures, paradigm),
                nominal_hz=stage.nominal_hz,
                load=images.load,
                send=outlet.push,
                log=log.add if log is not None else lambda row: None,
                clock=local_clock,
                offset_s=run.offset_s,
                auto=run.auto,
            )
            try:
                _play(stage, show, told)
            finally:
                show.stop("an error")  # if it has not ended before
                result = _summary(show, stage, len(chosen) * paradigm.repetitions, application.platformName())
        finally:
            if stage is not None:
                _close(stage)
            if log is not None:
                log.close(result)
    if log is not None and log.error is not None:
        raise OSError(f"{run.log} is not whole: {log.error}")
    return result


def measure_timing(screen: Screen, seconds: float) -> dict[str, Any]:
    """Show blanks for some seconds; return how regular the flips were, and a verdict."""
    with _told_to_end() as told:
        application = _application()
        stage = screen.open()
        test = RateTest(seconds)
        _play(stage, test, told)
        vsync = stage.vsync
        _close(stage)
    if len(test.stamps) < 3:
        raise ConfigError(f"{len(test.stamps)} flips before the end", "3 at least", "let it go on for longer")
    flips = FlipIntervals.of(test.stamps)
    facts = {"vsync": vsync, "platform": application.platformName(), "verdict": flips.verdict(vsync)}
    return {**flips.to_json(), **facts}


class _Images:
    """Prepares the pictures of one sequence at a time, so that memory does not grow with their number."""

    def __init__(
        self,
        stage: Stage,
        pages: Pages,
        paths: list[Path],
        sequences: tuple[tuple[int, ...], ...],
        long_break_every: int,
        auto: bool,
    ) -> None:
        self._stage, self._pages, self._paths, self._sequences = stage, pages, paths, sequences
        self._every, self._auto = long_break_every, auto
        self._held: set[int] = set()

    def load(self, number: int) -> Iterator[None]:
        """Prepare sequence `number`, from 0, picture by picture, and the page of the break after it."""
        wanted = {item for item in self._sequences[number] if item != CATCH}
        for item in self._held - wanted:
            self._stage.forget(item)
        missing, self._held = wanted - self._held, wanted
        for item in sorted(missing):
            self._stage.upload(item, self._pages.picture(self._paths[item]))
            yield
        if self._every and (number + 1) % self._every == 0:
            self._stage.upload(REST, self._pages.rest(number + 1, len(self._sequences), self._auto))
            yield


def _application() -> Any:
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


def _play(stage: Stage, show: Show, told: threading.Event) -> None:
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


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """Give an event that is set by Ctrl-C and by SIGTERM."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_heard(outlet: MarkerOutlet, seconds: float, told: threading.Event) -> bool:
    """Wait until somebody listens to the markers."""
    logger.info("waiting for somebody who listens to %r", PRESENTER_NAME)
    end = time.monotonic() + seconds
    while not outlet.have_consumers():
        if told.is_set() or time.monotonic() > end:
            return False
        time.sleep(LISTEN_S)
    return True


def _close(stage: Any) -> None:
    stage.close()
    stage.deleteLater()


def _facts(run: Run, paradigm: Paradigm, screen: Screen) -> dict[str, Any]:
    """Return what the log's .json says of the run."""
    software = {"SoftwareName": "necomimi", "SoftwareVersion": __version__, "OperatingSystem": platform.platform()}
    return {
        "StimulusPresentation": software,
        "StimulusFolder": str(run.folder.absolute()),
        "DisplayOffset": run.offset_s,
        "Paradigm": {**asdict(paradigm), **asdict(screen), "limit": run.limit, "auto": run.auto},
    }


def _summary(show: Presentation, stage: Stage, n_planned: int, name: str) -> dict[str, Any]:
    """Return how a run went."""
    p50, p99 = show.interval_ms or (None, None)
    return {
        "ended": show.ended,
        "n_pictures": show.n_pictures,
        "n_planned": n_planned,
        "n_dropped": show.n_dropped,
        "interval_p50_ms": p50,
        "interval_p99_ms": p99,
        "n_catches": show.catches.n,
        "n_hits": show.catches.n_hits,
        "n_false_alarms": show.catches.n_false_alarms,
        "refresh_hz": show.flips.hz,
        "vsync": stage.vsync,
        "platform": name,
    }
