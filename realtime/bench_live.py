"""Measure live systems one after another against the same amplifier: settings -> milliseconds, CPU share, counts."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from necomimi.console import console
from necomimi.feed import Subscriber
from necomimi.lsl import local_clock, write_loopback_config
from necomimi.programs import ProgramError, Programs, free_port
from necomimi.records import GeneratedImage, Refusal, Retrieval, Status

from .bench_setup import LSL_CONFIG, Measurement, Settings, machine, random_decoder
from .latency import quantiles

__all__ = [
    "ANSWER_S",
    "FIGURES",
    "START_S",
    "amplifier_count",
    "measure",
    "ratios",
    "session",
    "workplace",
]

PEERS = ("mne_lsl", "mne_lsl_manual", "pylsl")  # those of `bench_peers`, which is not imported here: it loads them
FIGURES = ("sample_age_ms", "epoch_ready_ms", "decision_ms")
START_S = 60.0  # for a system to find its streams and be ready
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ANSWER_S = 10.0  # from the amplifier's end to the last answer


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield a temporary folder; it stays where a program failed, for the error names a log in it."""
    folder, is_kept = Path(tempfile.mkdtemp(prefix="necomimi-bench-")), False
    try:
        yield folder
    except ProgramError:
        is_kept = True
        raise
    finally:
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)


def session(folder: Path, name: str) -> Programs:
    """Return programs that share an LSL session of their own, with their remarks in `folder`.

    Their linear algebra runs on one thread: on two, numpy's idle threads spin, and a loop of MNE and numpy takes four
    times as long (20 ms rather than 5 on two cores), which says nothing of how the systems differ.
    """
    config = write_loopback_config(folder / LSL_CONFIG, f"necomimi-bench-{os.getpid()}-{name}")
    return Programs(folder, {"LSLAPICFG": str(config), **ONE_THREAD})


def amplifier_count(programs: Programs) -> tuple[int, int, float]:
    """Return samples and events that the amplifier has sent, and its worst lateness in milliseconds.

    Raises
    ------
    ProgramError
        It did not play to the end.
    """
    said = " ".join(programs.said("amplifier").split())
    found = re.search(r"played to the end: (\d+) samples, (\d+) events; worst lateness ([\d.]+) ms", said)
    if found is None:
        raise ProgramError(f"the amplifier did not play to the end: {said[-200:]}")
    return int(found[1]), int(found[2]), float(found[3])


def measure(settings: Settings, peers: bool) -> dict[str, Any]:
    """Measure necomimi, without and with pictures, a plain pylsl loop and, where it is wanted and installed, mne-lsl.

    Parameters
    ----------
    settings : Settings
    peers : bool
        Measure mne-lsl too.

    Returns
    -------
    dict
        "necomimi"; "painting", "mne_lsl" and "mne_lsl_manual", None where they were not measured; "pylsl"; "ratios" as
        of `ratios`; "settings" and "machine".

    Raises
    ------
    ProgramError
        A system failed.
    """
    if peers and importlib.util.find_spec("mne_lsl") is None:
        console.print('mne-lsl is not installed, so it is not measured: pip install "necomimi\\[bench]"')
        peers = False
    about = machine()
    with workplace() as folder:
        random_decoder(settings, folder / "decoder")
        settings.save(folder / "settings.json")
        results: dict[str, Any] = {"necomimi": _measure_necomimi(settings, folder), "painting": None}
        if settings.generator != "none":
            results["painting"] = _measure_necomimi(settings, folder, is_painting=True)
        for system in PEERS:
            is_measured = peers or system == "pylsl"
            results[system] = _measure_peer(system, settings, folder) if is_measured else None
    return {**results, "ratios": ratios(results), "settings": settings.to_json(), "machine": about}


def ratios(results: dict[str, Any]) -> dict[str, Any]:
    """Return how many times longer each other takes than necomimi without pictures, per figure and percentile."""
    ours = results["necomimi"]
    return {
        peer: {
            figure: {name: round(value / ours[figure][name], 2) for name, value in results[peer][figure].items()}
            for figure in FIGURES
        }
        for peer in ("painting", *PEERS)
        if results[peer] is not None
    }


def _start_amplifier(settings: Settings, programs: Programs) -> subprocess.Popen[bytes]:
    return programs.start("amplifier", "replay", settings.amplifier, "--chunk", settings.chunk, "--wait", START_S)


def _measure_necomimi(settings: Settings, folder: Path, is_painting: bool = False) -> dict[str, Any]:
    """Return the figures of `necomimi decode`, each decision and picture taken where a subscriber receives it.

    With pictures, "preview_ms" and "picture_ms" run from the received decision to its coarse and its finest picture.
    """
    console.print(f"necomimi{f' painting, {settings.generator}' if is_painting else ''}: {settings.seconds} s")
    name = "painting" if is_painting else "necomimi"
    feed, log = f"tcp://127.0.0.1:{free_port()}", folder / f"{name}.jsonl"
    options = ["--generator", settings.generator] if is_painting else []
    options += ["--model", settings.model] if is_painting and settings.model is not None else []
    waits_for_packet = 1e3 * (settings.due_s - settings.last_s)
    decode_percent: list[float] = []
    acquisition_percent: list[float] = []
    decided_at: dict[int, float] = {}
    painted_ms: dict[str, list[float]] = {"preview_ms": [], "picture_ms": []}
    n_answers = 0
    with session(folder, name) as programs:
        subscriber = Subscriber(feed, (Retrieval, Refusal, Status, GeneratedImage))
        amplifier = _start_amplifier(settings, programs)
        decoder = folder / "decoder"
        live = programs.start(
            "necomimi", "decode", decoder, "--timeout", START_S, "--feed", feed, "--log", log, *options
        )
        measurement = Measurement(psutil.Process(live.pid))
        deadline = math.inf
        while n_answers < settings.amplifier.n_events and time.monotonic() < deadline:
            programs.check()
            record = subscriber.receive(0.2)
            now = local_clock()
            if isinstance(record, Retrieval) and record.until is None:
                n_answers += 1
                decided_at[record.event.code] = now
                ready = record.latency_ms["epoch"] - waits_for_packet
                measurement.decided(1e-3 * ready, now - record.event.onset - settings.due_s, now)
            elif isinstance(record, Refusal):
                n_answers += 1
            elif isinstance(record, GeneratedImage) and measurement.is_warm and record.event.code in decided_at:
                since = 1e3 * (now - decided_at[record.event.code])
                painted_ms["preview_ms" if record.preview else "picture_ms"].append(since)
            elif isinstance(record, Status) and measurement.is_warm:
                decode_percent.append(record.cpu_percent.get("decode", 0.0))
                acquisition_percent.append(record.cpu_percent.get("acquisition", 0.0))
            if amplifier.poll() is not None and deadline == math.inf:
                deadline = time.monotonic() + ANSWER_S
        subscriber.close()
        amplifier.wait()
        programs.finish("necomimi")
        _, n_sent, lateness = amplifier_count(programs)
    summary = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    result = measurement.result()
    result["sample_age_ms"] = summary["latency_ms"]["sample_age"]
    result["steps_ms"] = summary["latency_ms"]
    shares = (quantiles(shares)["p50"] for shares in (acquisition_percent, decode_percent))
    result["acquisition_percent"], decode = (0.0 if math.isnan(share) else share for share in shares)
    result["acquisition_percent_at_most"] = round(max(0.0, result["cpu_percent"] - decode), 1)
    counts = {key: summary[key] for key in ("n_events", "n_retrievals", "n_refusals", "refusals", "n_missing")}
    if is_painting:
        counts |= {key: summary[key] for key in ("n_pictures", "n_pictures_dropped")}
        counts |= {key: quantiles(values) if values else None for key, values in painted_ms.items()}
    return {**result, **counts, "n_lost": n_sent - summary["n_events"], "amplifier_worst_lateness_ms": lateness}


def _measure_peer(system: str, settings: Settings, folder: Path) -> dict[str, Any]:
    """Return the figures that a peer's process writes."""
    console.print(f"{system}: {settings.seconds} s")
    out = folder / f"{system}.json"
    with session(folder, system) as programs:
        amplifier = _start_amplifier(settings, programs)
        peer = programs.start(
            system, system, folder / "settings.json", folder / "decoder", out, module="necomimi.realtime.bench_peers"
        )
        while peer.poll() is None:
            programs.check()
            time.sleep(0.1)
        programs.check()
        amplifier.wait(ANSWER_S)
        _, n_sent, lateness = amplifier_count(programs)
    result = json.loads(out.read_text(encoding="utf-8"))
    return {**result, "n_lost": n_sent - result["n_retrievals"], "amplifier_worst_lateness_ms": lateness}
