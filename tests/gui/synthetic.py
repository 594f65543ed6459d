"""The decoder that benchmarks/synthetic_feed.py makes up, and pictures for it, for all tests of the windows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

__all__ = ["GALLERY", "SYNTHETIC", "synthetic"]

SYNTHETIC = Path(__file__).parents[2] / "benchmarks" / "synthetic_feed.py"


def _load() -> Any:
    """Return the program as a module."""
    spec = importlib.util.spec_from_file_location("synthetic_feed", SYNTHETIC)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


synthetic = _load()
GALLERY = synthetic.make_gallery(20, seed=3)
