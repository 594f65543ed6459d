"""Start other programs of this package, each its own process, and end them in order: name, arguments -> log file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from necomimi.console import console
from necomimi.errors import NecomimiError

__all__ = [
    "STOP_SIGNALS",
    "ProgramError",
    "Programs",
    "free_port",
    "has_display",
    "has_screen",
    "private_session",
    "run_step",
    "told_to_end",
]

# How a program is asked to end; on Windows by Ctrl-Break, the only one that can be sent to another process.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))


class ProgramError(NecomimiError):
    """A program that was started here failed."""

    exit_status = 1


def run_step(
    title: str,
    made: Path,
    *arguments: object,
    answer: bool = False,
    statuses: tuple[int, ...] = (0,),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run one program of this package in the foreground unless what it makes is there; its progress shows as it goes.

    Parameters
    ----------
    title : str
        Said before it begins.
    made : Path
        What it makes, whole or not at all.
    *arguments
        Of ``necomimi``.
    answer : bool
        What it makes is what it prints: `made` is the file for that.
    statuses : tuple of int
        Those with which it has not failed.
    environment : mapping of str to str, optional
        Added to this process's own.

    Raises
    ------
    ProgramError
        It failed.
    """
    if made.exists():
        console.print(f"{title}: kept from an earlier run", markup=False, soft_wrap=True)
        return
    console.print(title, markup=False, soft_wrap=True)
    started = time.monotonic()
    partial = made.with_name(f"{made.name}.partial")
    with ExitStack() as stack:
        out = stack.enter_context(partial.open("wb")) if answer else None
        command = [sys.executable, "-m", "necomimi", *map(str, arguments)]
        status = subprocess.run(command, stdout=out, env={**os.environ, **(environment or {})}, check=False).returncode
    if status in (130, -signal.SIGINT):  # of Ctrl-C, which this process gets too
        raise KeyboardInterrupt
    words = f"`necomimi {' '.join(map(str, arguments))}`"
    if status < 0:
        found = f"{words} was ended by signal {-status} ({signal.strsignal(-status)})"
        raise ProgramError(found, remedy="free memory: the system ends what takes too much" if status == -9 else "")
    if status not in statuses:
        raise ProgramError(f"{words} ended with status {status}", remedy="see its message above")
    if answer:
        partial.replace(made)
    console.print(f"  {time.monotonic() - started:.0f} s")


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """Give an event that is set by any signal to end."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in STOP_SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def has_display() -> bool:
    """Return whether there is a screen to open a window on, or a Qt platform was chosen that needs none."""
    return has_screen() or bool(os.environ.get("QT_QPA_PLATFORM"))


def has_screen() -> bool:
    """Return whether there is a screen to open a window on."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def private_session(folder: Path, name: str) -> dict[str, str]:
    """Return the environment that gives programs an LSL session of their own, unless this process has one already.

    Parameters
    ----------
    folder : Path
        Where LSL's configuration file goes.
    name : str
        Of the session; this process's number is added.
    """
    if "LSLAPICFG" in os.environ:
        return {}
    from necomimi.lsl import write_loopback_config

    return {"LSLAPICFG": str(write_loopback_config(folder / "lsl_api.cfg", f"{name}-{os.getpid()}"))}


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
        if sys.platform == "win32":
            flags["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
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
            if sys.platform == "win32":
                process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                process.send_signal(signal.SIGINT)
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
