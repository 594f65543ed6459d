"""`necomimi decode` is live soon after it was started, with a stream that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from necomimi.programs import free_port
from necomimi.realtime.bench_live import session
from necomimi.realtime.bench_setup import Settings, random_decoder

START_S = 5.0


@pytest.fixture(scope="module")
def start(load: Callable[[Path], Any]) -> Any:
    """Return benchmarks/start.py as a module."""
    return load(Path(__file__).parents[2] / "benchmarks" / "start.py")


@pytest.mark.lsl
def test_decode_is_live_within_five_seconds(start: Any, tmp_path: Path) -> None:
    """On a machine that is so busy that torch alone takes long, within three times that; else see why."""
    random_decoder(Settings(seconds=1), tmp_path / "decoder")
    with session(tmp_path, "start") as programs:
        programs.start("amplifier", "replay", "synthetic:63x1000x5x3600")
        environment = {"LSLAPICFG": str(tmp_path / "lsl_api.cfg")}
        arguments = ("decode", tmp_path / "decoder", "--timeout", "60", "--feed", f"tcp://127.0.0.1:{free_port()}")
        starts = []
        for _ in range(3):
            taken, limit = start.until_ready(*arguments, **environment)[0], max(START_S, 3 * start.torch_alone())
            if taken < limit:
                return
            starts.append(f"{taken:.1f} s (limit {limit:.1f})")
        said = start.until_ready(*arguments, **environment, PYTHONPROFILEIMPORTTIME="1")[1]
    slow = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in start.slowest(said).items())
    pytest.fail(f"live after {', '.join(starts)}; imports of the next start: {slow}")
