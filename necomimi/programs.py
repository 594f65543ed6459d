"""Start other programs of this package, each its own process, and end them in order: name, arguments -> log file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from necomimi.errors import NecomimiError

__all__ = ["ProgramError", "Programs"]


class ProgramError(NecomimiError):
    """A program that was started here failed."""


class Programs:
    """Programs that run side by side; none outlives the with block.

    Parameters
    ----------
    folder : Path
        Where each program's remarks go, as NAME.log.
    environment : mapping of str to str
        Added to this process's own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = {**os.environ, **(environment or {})}
        self._files: list[IO[bytes]] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, *arguments: object, module: str = "necomimi", **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start ``python -m MODULE ARGUMENTS`` with its remarks going to FOLDER/NAME.log."""
        log = self._log(name).open("wb")
        self._files.append(log)
        flags: dict[str, Any] = {}
        if os.name == "nt":
            flags["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP  # type: ignore[attr-defined]
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdout=log, stderr=subprocess.STDOUT, env=self._environment | environment, **flags,
        )  # fmt: skip
        self._running[name] = process
        return process

    def finish(self, name: str, timeout: float = 20.0) -> None:
        """Ask one program to end, as Ctrl-C does, unless it has already; wait for it.

        Raises
        ------
        ProgramError
            It failed, or did not end.
        """
        process = self._running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)  # type: ignore[attr-defined]
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise ProgramError(f"{name} did not end within {timeout:g} s", remedy=f"see {self._log(name)}") from error
        if status:
            raise self._failure(name, status)

    def check(self) -> None:
        """Raise if a program has failed.

        Raises
        ------
        ProgramError
            With its last words.
        """
        for name, process in self._running.items():
            if process.poll():
                raise self._failure(name, process.returncode)

    def said(self, name: str) -> str:
        """Return all that a program has printed so far."""
        return self._log(name).read_text(encoding="utf-8", errors="replace")

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _failure(self, name: str, status: int) -> ProgramError:
        """Return the error for a program that ended by itself, with its last words."""
        lines = self.said(name).strip().splitlines()
        return ProgramError(
            f"{name} ended with status {status}: {' | '.join(lines[-3:])}", remedy=f"see {self._log(name)}"
        )

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        for file in self._files:
            file.close()
