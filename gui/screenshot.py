"""Write what a window shows: QWidget -> PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from necomimi.errors import ConfigError

__all__ = ["save_png"]


def save_png(widget: Any, path: Path) -> None:
    """Write a PNG.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    if not widget.grab().save(str(path), "PNG"):
        raise ConfigError(f"the screenshot {path} cannot be written", "a file in a folder that exists")
