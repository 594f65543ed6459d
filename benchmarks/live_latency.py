"""Time from the stamp of the last needed sample to the published decision, beside a plain pylsl loop, in one run.

Both decode the same simulated subject, replayed over real LSL at 5 events a second, with the demo's decoder (which is
made first where it is absent). The plain loop is what one writes without necomimi: pull, concatenate, cut, MNE
preprocessing, the same encoder and gallery on the same number of threads.

    python benchmarks/live_latency.py --seconds 30
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.table import Table

from necomimi.console import console, output
from necomimi.demo import default_cache, prepare
from necomimi.feed import Subscriber
from necomimi.lsl import EEGInlet, Finder, MarkerInlet, find_stream, local_clock, write_loopback_config
from necomimi.records import Retrieval

TARGETS_MS = {"p50": 10.0, "p95": 25.0, "p99": 50.0}
CHUNK = 5  # samples a packet, of 1 ms each: a sample waits 0 to 4 ms for its packet
WARM_UP = 10  # decisions that are not counted: the streams have just been opened
FEED = "tcp://127.0.0.1:5799"


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start a necomimi program with its remarks thrown away."""
    command = [sys.executable, "-m", "necomimi", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, and wait for it."""
    process.send_signal(signal.SIGINT)
    process.wait(20)


def replay(subject: Path) -> subprocess.Popen[bytes]:
    """Start the amplifier."""
    return start("replay", subject, "--split", "test", "--loop", "--wait", 60, "--chunk", CHUNK)


def measure_necomimi(decoder: Path, subject: Path, seconds: float) -> list[float]:
    """Return milliseconds per decision, taken where a subscriber of the feed receives it."""
    from necomimi.decoder import Decoder

    window = Decoder.load(decoder).preprocessor
    subscriber = Subscriber(FEED, (Retrieval,))
    amplifier = replay(subject)
    live = start("decode", decoder, "--timeout", 60, "--feed", FEED)
    latencies: list[float] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        retrieval = subscriber.receive(0.2)
        if retrieval is None:
            continue
        if not latencies:
            deadline = time.monotonic() + seconds
        latencies.append(1e3 * (local_clock() - retrieval.event.onset - window.tmax))
    end(live)
    end(amplifier)
    subscriber.close()
    return latencies


def measure_plain(decoder: Path, subject: Path, seconds: float) -> list[float]:
    """Return milliseconds per decision of a plain pylsl loop with the same encoder."""
    import mne
    import torch

    from necomimi.decoder import Decoder

    torch.set_num_threads(1)
    model = Decoder.load(decoder)
    window = model.preprocessor
    assert model.gallery is not None
    amplifier = replay(subject)
    inlet = EEGInlet(find_stream(Finder(type="EEG"), 60))
    markers = MarkerInlet(find_stream(Finder(type="Markers"), 60))
    order = [inlet.info.ch_names.index(name) for name in window.ch_names]
    info = mne.create_info(list(window.ch_names), inlet.info.sfreq, "eeg")
    data, stamps = np.empty((0, len(order))), np.empty(0)
    pending: list[float] = []
    latencies: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        samples, new = inlet.pull(0.05)
        data = np.concatenate((data, samples[:, order] * 1e-6))[-30000:]
        stamps = np.concatenate((stamps, new))[-30000:]
        pending += [onset for _, onset in markers.pull(0.0)]
        for onset in [p for p in pending if len(stamps) and stamps[-1] >= p + window.tmax]:
            pending.remove(onset)
            first = int(np.abs(stamps - onset).argmin()) + round(window.tmin * inlet.info.sfreq)
            n = round((window.tmax - window.tmin) * inlet.info.sfreq) + 1
            if first < 0 or first + n > len(data):
                continue
            epochs = mne.EpochsArray(data[first : first + n].T[None], info, tmin=window.tmin, verbose="error")
            epochs.apply_baseline((None, 0), verbose="error").resample(window.sfreq, verbose="error")
            skip = round((window.start - window.tmin) * window.sfreq)
            epoch = window.spatial @ epochs.get_data()[..., skip : skip + window.n_times]
            model.retrieve(model.embed(epoch), 5)
            latencies.append(1e3 * (local_clock() - onset - window.tmax))
    end(amplifier)
    inlet.close()
    markers.close()
    return latencies


def main() -> None:
    """Run both, print figures and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each measurement")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = write_loopback_config(Path(folder) / "lsl_api.cfg", f"necomimi-bench-{os.getpid()}")
        os.environ["LSLAPICFG"] = str(config)
        cache = default_cache()
        decoder = prepare(cache)
        results = {}
        for name, measure in (("necomimi", measure_necomimi), ("plain loop", measure_plain)):
            console.print(f"{name}: {options.seconds:g} s")
            latencies = measure(decoder, cache / "subject", options.seconds)[WARM_UP:]
            figures = {f"p{q}": float(np.percentile(latencies, q)) for q in (50, 95, 99)}
            results[name] = {**figures, "max": max(latencies), "n": len(latencies)}
    if options.json:
        output.print_json(json.dumps(results))
        return
    table = Table("ms after the last needed sample", "p50", "p95", "p99", "max", "decisions", box=None)
    for name, row in results.items():
        table.add_row(name, *(f"{row[key]:.2f}" for key in ("p50", "p95", "p99", "max")), str(row["n"]))
    ratios = [results["plain loop"][key] / results["necomimi"][key] for key in ("p50", "p95", "p99", "max")]
    table.add_row("plain / necomimi", *(f"{ratio:.1f}x" for ratio in ratios))
    table.add_row("target", *(f"{limit:.0f}" for limit in TARGETS_MS.values()))
    output.print(table)


if __name__ == "__main__":
    main()
