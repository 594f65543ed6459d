"""Keep a log of a run through a full disk: JSON objects -> lines of a file, each whole or counted as lost."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from necomimi.errors import ConfigError

__all__ = ["DecisionLog"]

logger = logging.getLogger(__name__)


class DecisionLog:
    """A JSON Lines file; an existing one is continued.

    What cannot be written (a full disk) is left out, which is told once. As soon as there is room again the log goes
    on: a line that was torn is finished, and a line of type "lost" counts those that are missing.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    warning : str
        Why the log is not written, in words; "" while it is.

    Raises
    ------
    ConfigError
        The file cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self.warning = ""
        self._path = path
        self._rest = b""  # of the line at the file's end
        self._n_lost = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)  # with a buffer, nobody knows what of it was written
            if path.is_file() and self._file.tell():  # a crash may have cut the last line
                with path.open("rb") as file:
                    file.seek(-1, io.SEEK_END)
                    self._rest = b"" if file.read() == b"\n" else b"\n"
        except OSError as error:
            raise ConfigError(f"--log {path} cannot be written: {error.strerror}", "a writable file") from error

    def write(self, entry: Mapping[str, Any]) -> None:
        """Add a line, through to the system; never raises for a disk that is full or gone."""
        lines = _line(entry)
        if self._n_lost:
            lines = _line({"type": "lost", "n_lines": self._n_lost}) + lines
        data, n, problem = self._rest + lines, 0, ""
        try:
            while n < len(data):
                n += self._file.write(data[n:]) or 0
        except OSError as error:
            problem = f"the log {self._path} is not written: {error.strerror}"
        is_begun = n > len(self._rest)
        if not problem and self._n_lost:
            logger.info("the log %s is written again; %d lines are missing in it", self._path, self._n_lost)
        self._rest, self._n_lost = data[n:] if is_begun else self._rest[n:], 0 if is_begun else self._n_lost + 1
        if problem and not self.warning:
            logger.error("%s; decisions go on without it", problem)
        self.warning = problem

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            logger.debug("closing the log: %s", error)


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
