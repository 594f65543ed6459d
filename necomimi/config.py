"""Settings of a program: a TOML file and command-line options -> typed settings; unknown keys refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from necomimi.errors import ConfigError

__all__ = ["Settings", "load_settings"]


class Settings(BaseModel):
    """Base of all settings: frozen, and no key that was not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Settings)


def load_settings(cls: type[S], path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> S:
    """Read settings from a TOML file and put command-line options on top.

    Parameters
    ----------
    cls : type
        The settings to build, a subclass of `Settings`.
    path : Path, optional
        A TOML file whose top-level keys are fields of `cls`.
    overrides : mapping, optional
        Values that win over the file; those that are None count as not given.

    Returns
    -------
    Settings
        An instance of `cls`.

    Raises
    ------
    ConfigError
        The file cannot be read, a key is unknown (the nearest known one is named), or a value is of the wrong kind.
    """
    values = {} if path is None else _read_toml(path)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        return cls(**{**values, **given})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        where = f"in {path}" if path is not None and key.split(".")[0] not in given else "among the options"
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(key, cls.model_fields, n=1)
            raise ConfigError(
                f"unknown key {key!r} {where}",
                f"one of {', '.join(sorted(cls.model_fields))}",
                f"{near[0]} is the nearest" if near else "",
            ) from error
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{key or 'settings'} = {problem['input']!r} {where}: {message}") from error


def _read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "a TOML file of settings") from error
