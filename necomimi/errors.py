"""Every exception that necomimi raises on purpose: a user's mistake -> found, expected, remedy.

::

    NecomimiError                        root; a command prints it in one to three lines and exits with 2
    ├── ConfigError(ValueError)          a setting or option is unknown, malformed or contradicts another
    ├── StreamNotFoundError(TimeoutError)    no LSL stream matches, or several do
    ├── StreamLostError(ConnectionError)     a stream that was live has gone
    ├── ChannelMismatchError(ValueError)     a stream's channels, units or rate do not serve the model
    ├── DatasetError(ValueError)         a recording, data set or picture folder cannot be used
    ├── CheckpointError(ValueError)      a decoder or gallery directory is damaged, foreign or does not fit
    ├── FeedError(ValueError)            a message on the feed is not one of ours
    └── DeviceMemoryError(MemoryError)   a device has too little memory for a generator
"""

from __future__ import annotations

__all__ = [
    "ChannelMismatchError",
    "CheckpointError",
    "ConfigError",
    "DatasetError",
    "DeviceMemoryError",
    "FeedError",
    "NecomimiError",
    "StreamLostError",
    "StreamNotFoundError",
    "missing_package",
]


class NecomimiError(Exception):
    """Root of all deliberate errors.

    Parameters
    ----------
    found : str
        What was found, with the name of the argument, file or stream.
    expected : str, optional
        What was expected in its place.
    remedy : str, optional
        What the user can do about it.

    Attributes
    ----------
    exit_status : int
        How a program ends that meets it: 2 where the user must change something, 1 where something failed.
    """

    exit_status = 2

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        self.found = found
        self.expected = expected
        self.remedy = remedy
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return the message as one to three lines."""
        lines = [self.found]
        if self.expected:
            lines.append(f"expected: {self.expected}")
        if self.remedy:
            lines.append(f"try: {self.remedy}")
        return lines


class ConfigError(NecomimiError, ValueError):
    """A setting or option is unknown, malformed or contradicts another."""


class StreamNotFoundError(NecomimiError, TimeoutError):
    """No LSL stream in reach matches the request, or several do."""


class StreamLostError(NecomimiError, ConnectionError):
    """A stream that was live has gone."""


class ChannelMismatchError(NecomimiError, ValueError):
    """A stream's channels, units or rate do not serve the model."""


class DatasetError(NecomimiError, ValueError):
    """A recording, data set or picture folder cannot be used."""


class CheckpointError(NecomimiError, ValueError):
    """A decoder or gallery directory is damaged, foreign or does not fit."""


class FeedError(NecomimiError, ValueError):
    """A message on the feed is not one of ours."""


class DeviceMemoryError(NecomimiError, MemoryError):
    """A device has too little memory for a generator; a smaller one may fit."""


def missing_package(what: str, error: ImportError, extra: str) -> NecomimiError:
    """Return the error to raise where an optional package cannot be imported.

    Parameters
    ----------
    what : str
        What needs it, with which the message begins.
    error : ImportError
        A package that is there and does not work, as beside an older partner, is told with its own words.
    extra : str
        The extra of necomimi that brings it.
    """
    found = f"{what} needs {error.name}" if isinstance(error, ModuleNotFoundError) else f"{what}: {error}"
    return NecomimiError(found, remedy=f'pip install "necomimi[{extra}]"')
