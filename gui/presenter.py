"""Put a presentation together and run it: folder, paradigm, screen -> pictures, LSL markers, log, summary."""

from __future__ import annotations

import getpass
import logging
import platform
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from necomimi import __version__
from necomimi.errors import NecomimiError, StreamNotFoundError
from necomimi.lsl import MarkerOutlet, local_clock
from necomimi.markers import PRESENTER_NAME
from necomimi.picture_folder import picture_files, picture_label, picture_markers
from necomimi.programs import told_to_end
from necomimi.sequence import CATCH, Paradigm, choose_pictures, draw_sequences

from .events_log import EventsLog, check_log
from .flips import BLANK
from .playing import Screen, close, make_application, play
from .presentation import END, INSTRUCTION, REST, Picture, Presentation
from .presenter_pages import Pages
from .stage import Stage

__all__ = ["Run", "present", "source_id"]

logger = logging.getLogger(__name__)

LISTEN_S = 0.1
FAREWELL_S = 0.3


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
    NecomimiError
        The log could not be written to its end.
    """
    paths = picture_files(run.folder)
    files = [path.relative_to(run.folder).as_posix() for path in paths]
    markers = picture_markers(files)
    chosen = choose_pictures(len(paths), run.limit, paradigm.seed)
    sequences = draw_sequences(chosen, paradigm)
    pictures = {
        i: Picture(file=files[i], concept=picture_label(paths[i], run.folder), marker=markers[i]) for i in chosen
    }
    if run.log is not None:
        check_log(run.log)
    outlet = MarkerOutlet(PRESENTER_NAME, source_id())
    with told_to_end() as told:
        if run.wait_s and not _is_heard(outlet, run.wait_s, told) and not told.is_set():
            raise StreamNotFoundError(
                f"nobody listens to the markers ({PRESENTER_NAME!r})",
                f"a recorder, or a decoder, within {run.wait_s:g} s",
                f"start it, with the marker stream {PRESENTER_NAME!r} chosen, then present",
            )
        stage, log = None, None
        result: dict[str, Any] = {}
        try:
            application = make_application()
            stage = screen.open()
            log = None if run.log is None else EventsLog(run.log, _facts(run, paradigm, screen))
            pages = Pages(*stage.pixels(), screen.size, screen.background, run.target)
            images = _Images(stage, pages, paths, sequences, paradigm, run.auto)
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
                play(stage, show, told)
            finally:
                show.stop("an error")  # if it has not ended before
                result = _summary(show, stage, len(chosen) * paradigm.repetitions, application.platformName())
        finally:
            if stage is not None:
                close(stage)
            if log is not None:
                log.close(result)
            if outlet.have_consumers():
                time.sleep(FAREWELL_S)  # the last marker is on its way, and would be lost with the stream
    if log is not None and log.error is not None:
        raise NecomimiError(
            f"{run.log} is not whole: {log.error}", remedy="a recorder has the markers, which were all sent"
        )
    return result


class _Images:
    """Prepares the pictures of one sequence at a time, so that memory does not grow with their number."""

    def __init__(
        self,
        stage: Stage,
        pages: Pages,
        paths: list[Path],
        sequences: tuple[tuple[int, ...], ...],
        paradigm: Paradigm,
        auto: bool,
    ) -> None:
        self._stage, self._pages, self._paths, self._sequences = stage, pages, paths, sequences
        self._every, self._auto = paradigm.long_break_every, auto
        self._held: set[int] = set()
        stage.upload(BLANK, pages.blank())
        stage.upload(CATCH, pages.target())
        stage.upload(INSTRUCTION, pages.instruction(paradigm.catch, auto))
        stage.upload(END, pages.end())

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


def _is_heard(outlet: MarkerOutlet, seconds: float, told: threading.Event) -> bool:
    """Wait until somebody listens to the markers."""
    logger.info("waiting for somebody who listens to %r", PRESENTER_NAME)
    end = time.monotonic() + seconds
    while not outlet.have_consumers():
        if told.is_set() or time.monotonic() > end:
            return False
        time.sleep(LISTEN_S)
    return True


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
        "source_id": source_id(),
    }
