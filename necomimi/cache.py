"""Where this user's programs keep what they can make again: operating system -> folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["user_cache"]


def user_cache() -> Path:
    """Return the folder, which need not exist yet."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "necomimi"
