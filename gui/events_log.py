"""Write what was shown as BIDS events: rows -> FILE_events.tsv, with FILE_events.json that describes its columns."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from necomimi.errors import ConfigError

__all__ = ["COLUMNS", "EventsLog", "check_log"]

logger = logging.getLogger(__name__)

COLUMNS: dict[str, dict[str, Any]] = {
    "onset": {"Description": "When it began, from the first flip of the run (marker present/begin).", "Units": "s"},
    "duration": {"Description": "From its first flip to the flip that ended it; 0 for a response.", "Units": "s"},
    "trial_type": {
        "Description": "What it is.",
        "Levels": {
            "stimulus": "a picture",
            "catch": "a target, which the person answers by a key",
            "response": "a key that the person pressed",
            "break": "the pause before a sequence, or a long one; pictures are read meanwhile",
        },
    },
    "stim_file": {"Description": "The picture, relative to the folder StimulusFolder."},
    "concept": {"Description": "What the picture shows: its folder's name, or its own in a flat folder."},
    "sequence": {"Description": "Number of the sequence, from 1; of a break, that of the sequence after it."},
    "position": {"Description": "Place in the sequence, from 1, targets included."},
    "value": {"Description": "The LSL marker that was sent."},
    "flip_time_lsl": {
        "Description": "The marker's time stamp on the LSL clock of this machine: the flip, and the display's offset "
        "DisplayOffset; for a response, when the key's event was read.",
        "Units": "s",
    },
    "dropped_frames": {
        "Description": "Refreshes by which the display was late since the picture before: of the blank, of this "
        "picture's onset, and of its end."
    },
    "response_time": {
        "Description": "From the target to the response; n/a for a response without a target, which is a false alarm.",
        "Units": "s",
    },
}
DIGITS = 6


def check_log(path: Path) -> None:
    """Make sure that a log may be written there.

    Raises
    ------
    ConfigError
        The name is none of BIDS, or a file exists.
    """
    if not path.name.endswith("events.tsv"):
        raise ConfigError(f"--log {path}", "a name that ends in events.tsv, such as sub-01_task-rsvp_events.tsv")
    for file in (path, path.with_suffix(".json")):
        if file.exists():
            raise ConfigError(f"--log {path}: {file} exists", "a new file", "another name, or move that run away")


class EventsLog:
    """A table that is on disk row by row: a run that is killed keeps what it has shown.

    Rows are written in a thread of their own, as a disk may let a writer wait for longer than a refresh.

    Parameters
    ----------
    path : Path
        Its name ends in "events.tsv"; neither it nor the .json beside it may exist.
    facts : mapping
        What else the .json says of the run.

    Raises
    ------
    ConfigError
        The name is another, a file exists, or cannot be made.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        check_log(path)
        self.error: OSError | None = None
        self._sidecar, self._facts = path.with_suffix(".json"), dict(facts)
        try:
            self._describe()
            self._file = path.open("x", encoding="utf-8", newline="")
        except OSError as error:
            raise ConfigError(f"--log {path} cannot be written: {error}", "a file in a folder that exists") from error
        self._rows: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._file.write("\t".join(COLUMNS) + "\n")
        self._file.flush()
        self._writer = threading.Thread(target=self._write, name="events log", daemon=True)
        self._writer.start()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row: values by column; those that are absent or None are "n/a"."""
        self._rows.put(row)

    def close(self, result: Mapping[str, Any]) -> None:
        """Write what is left, and how the run went, into the .json."""
        self._rows.put(None)
        self._writer.join()
        try:
            self._file.close()
            self._facts["Result"] = dict(result)
            self._describe()
        except OSError as error:
            self.error = error

    def _describe(self) -> None:
        """Write the .json."""
        words = json.dumps({**COLUMNS, **self._facts}, indent=2, ensure_ascii=False)
        self._sidecar.write_text(words + "\n", encoding="utf-8")

    def _write(self) -> None:
        while (row := self._rows.get()) is not None:
            try:
                self._file.write("\t".join(_cell(row.get(column)) for column in COLUMNS) + "\n")
                self._file.flush()
            except OSError as error:
                if self.error is None:
                    logger.error("the log cannot be written any more: %s", error)
                self.error = error


def _cell(value: Any) -> str:
    """Return a value as BIDS wants it: tabs and line breaks, which a file name may hold, would be a new cell."""
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.{DIGITS}f}"
    return " ".join(str(value).split()) or "n/a"
