"""A made-up decoder (benchmarks/synthetic_feed.py), pictures for it and its account, for all tests of the windows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from necomimi.records import Status

__all__ = ["GALLERY", "SYNTHETIC", "make_status", "synthetic"]

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


def make_status(**changes: Any) -> Status:
    """Return the account of a decoder that has done nothing yet, but for some changes."""
    counts = dict.fromkeys(("n_samples", "n_missing", "n_events", "n_retrievals", "n_refusals", "n_pending"), 0)
    values: dict[str, Any] = {
        "state": "LIVE", "message": "", "sfreq": 100.0, "refusals": {}, "lag_s": 0.0, "latency_ms": {}, "n_classes": 2,
    }  # fmt: skip
    return Status(**counts | values | changes)
