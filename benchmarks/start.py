"""Measure how soon programs are there: the help of each command, `decode` until it is live, `view` until it has drawn.

Each runs as a process of its own and is timed from its start, the best of several; `decode` finds a stream that is
sent already, so that no search is counted that a person would wait for anyhow. "first" is a start that finds no
bytecode of Python, as the first one after an installation does. The slowest imports of `decode` are named.

Example: python benchmarks/start.py --json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from necomimi.programs import free_port
from necomimi.realtime.bench_live import session
from necomimi.realtime.bench_setup import Settings, random_decoder

READY = "decoding;"
N_SLOWEST = 8


def to_the_end(*arguments: str | Path, **environment: str) -> float:
    """Return the seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(command(*arguments), check=True, capture_output=True, env=os.environ | environment)
    return time.perf_counter() - began


def until_ready(*arguments: str | Path, **environment: str) -> tuple[float, str]:
    """Return the seconds until `necomimi decode` says that it decodes, and what it had said before."""
    began, said = time.perf_counter(), ""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env=os.environ | environment,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(READY):
                break
            said += line
        taken = time.perf_counter() - began
        process.kill()
    if process.poll() == 0 or READY not in line:
        raise SystemExit(f"necomimi decode was never ready: {said}")
    return taken, said


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `necomimi`."""
    return [sys.executable, "-m", "necomimi", *map(str, arguments)]


def slowest(importtime: str) -> dict[str, float]:
    """Return the packages in what ``-X importtime`` printed that took longest to import, in seconds without others."""
    found: dict[str, float] = {}
    for line in importtime.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():
            package = parts[2].strip().split(".")[0]
            found[package] = found.get(package, 0.0) + int(parts[0]) / 1e6
    return dict(sorted(found.items(), key=lambda item: -item[1])[:N_SLOWEST])


def measure(n_runs: int) -> dict[str, Any]:
    """Return seconds for each program."""
    names = sorted(point.name for point in entry_points(group="necomimi.commands"))
    result: dict[str, Any] = {"help": {name: min(to_the_end(name, "--help") for _ in range(n_runs)) for name in names}}
    with tempfile.TemporaryDirectory(prefix="necomimi-start-") as name:
        folder = Path(name)
        random_decoder(Settings(seconds=1), folder / "decoder")
        with session(folder, "start") as programs:
            programs.start("amplifier", "replay", "synthetic:63x1000x5x3600")
            lsl = str(folder / "lsl_api.cfg")
            arguments = ("decode", folder / "decoder", "--timeout", "60", "--feed", f"tcp://127.0.0.1:{free_port()}")
            first = {"LSLAPICFG": lsl, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
            result["decode_first"] = until_ready(*arguments, **first)[0]
            result["decode"] = min(until_ready(*arguments, LSLAPICFG=lsl)[0] for _ in range(n_runs))
            result["imports"] = slowest(until_ready(*arguments, LSLAPICFG=lsl, PYTHONPROFILEIMPORTTIME="1")[1])
        view = ("view", "--seconds", "0.1", "--screenshot", folder / "view.png")
        result["view_first"] = to_the_end(*view, PYTHONPYCACHEPREFIX=str(folder / "bytecode-view"))
        result["view"] = min(to_the_end(*view) for _ in range(n_runs))
    result["torch"] = min(torch_alone() for _ in range(n_runs))
    return result


def torch_alone() -> float:
    """Return the seconds that a process takes that does nothing but import torch."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the figures, in seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="starts of each program; the best counts")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    result = measure(options.runs)
    if options.json:
        print(json.dumps(result))
        return
    slow = sorted(result["help"].items(), key=lambda item: -item[1])
    print("help of a command: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in slow) + " s")
    print(f"decode until it is live: {result['decode']:.2f} s, first {result['decode_first']:.2f} s")
    print("  imports: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in result["imports"].items()) + " s")
    print(f"a bare `import torch`: {result['torch']:.2f} s")
    print(f"view opened, drawn for 0.1 s and closed: {result['view']:.2f} s, first {result['view_first']:.2f} s")


if __name__ == "__main__":
    main()
