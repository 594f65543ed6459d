"""Measure preprocessing against the plain recipe in one run: seconds, peak memory, ratio, largest difference.

A simulated subject in the THINGS-EEG2 raw layout is preprocessed twice, each time in a process of its own: by
`necomimi preprocess --whiten session`, and by the recipe as it is usually written: MNE finds the events, cuts and
resamples the epochs in memory, scikit-learn shrinks a covariance per epoch, SciPy takes its power -1/2.

    python benchmarks/preprocess.py --json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.table import Table

from necomimi.console import console, output
from necomimi.epochs import Epochs
from necomimi.things_eeg2 import MODEL_CH_NAMES, load_raw, raw_path, sessions


def plain(root: Path, out: Path, ours: Path) -> None:
    """Preprocess subject 1 by the plain recipe; write its training epochs, onsets in samples, and sessions.

    Of surplus repetitions the same are taken as in `ours`.
    """
    import mne
    from scipy.linalg import fractional_matrix_power
    from sklearn.covariance import ledoit_wolf

    same = Epochs.load(ours)
    found, onsets, numbers = [], [], []
    for session in sessions(root, 1):
        whitened = {}
        for split in ("training", "test"):
            file = load_raw(raw_path(root, 1, session, split))
            data = np.vstack([file.read(0, file.n_times, MODEL_CH_NAMES), file.stim()[None]])
            info = mne.create_info([*MODEL_CH_NAMES, "stim"], file.sfreq, ["eeg"] * 63 + ["stim"])
            raw = mne.io.RawArray(data, info, verbose="error")
            events = mne.find_events(raw, "stim", shortest_event=1, verbose="error")
            events = events[events[:, 2] != 99999]
            epochs = mne.Epochs(
                raw, events, tmin=-0.2, tmax=1.0, baseline=(None, 0), picks="eeg", preload=True, verbose="error"
            )
            epochs.resample(250, verbose="error")
            part = same.train if split == "training" else same.test
            assert part is not None
            kept = np.isin(epochs.events[:, 0], np.round(part.onsets[part.sessions == session] * file.sfreq))
            whitened[split] = epochs.events[kept, 0], epochs.get_data(copy=False)[kept, :, 50:]
        sigma = np.mean([ledoit_wolf(epoch.T)[0] for epoch in whitened["training"][1]], axis=0)
        matrix = fractional_matrix_power(sigma, -0.5)
        for split, (_, epoch) in whitened.items():
            whitened[split] = whitened[split][0], (matrix @ epoch).astype(np.float32)
        onsets.append(whitened["training"][0])
        found.append(whitened["training"][1])
        numbers.append(np.full(len(onsets[-1]), session))
    np.save(out / "data.npy", np.concatenate(found))
    np.savez(out / "rows.npz", onsets=np.concatenate(onsets), sessions=np.concatenate(numbers))


def timed(command: list[str]) -> tuple[float, float]:
    """Run a program; return its seconds and its peak memory in MB."""
    code = (
        "import json, resource, subprocess, sys, time; t = time.monotonic(); "
        "r = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL).returncode; "
        "print(json.dumps([r, time.monotonic() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    status, seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return seconds, megabytes


def largest_difference(ours: Path, theirs: Path, sfreq: float) -> tuple[int, float]:
    """Return how many epochs both have, and their largest difference relative to the largest value."""
    epochs = Epochs.load(ours).train
    data, rows = np.load(theirs / "data.npy", mmap_mode="r"), np.load(theirs / "rows.npz")
    place = {(int(s), int(o)): i for i, (s, o) in enumerate(zip(rows["sessions"], rows["onsets"], strict=True))}
    worst, n = 0.0, 0
    for i, (session, onset) in enumerate(zip(epochs.sessions, epochs.onsets, strict=True)):
        expected = data[place[int(session), round(float(onset) * sfreq)]]
        worst = max(worst, float(np.abs(epochs.data[i] - expected).max() / np.abs(expected).max()))
        n += 1
    return n, worst


def main() -> None:
    """Simulate, preprocess twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concepts", type=int, default=400, help="training concepts of 10 pictures, shown twice")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--plain", nargs=3, type=Path, metavar=("RAW", "OUT", "OURS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain(*options.plain)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        necomimi = [sys.executable, "-m", "necomimi"]
        console.print(f"simulating {options.concepts} concepts x 10 pictures x 2")
        simulate = ["simulate", str(folder / "raw"), "--concepts", str(options.concepts), "--test-concepts", "20"]
        simulate += ["--pictures", "10", "--repetitions", "2", "--test-repetitions", "10", "--sessions", "1"]
        subprocess.run([*necomimi, *simulate], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        sfreq = load_raw(raw_path(folder / "raw", 1, 1, "training")).sfreq
        console.print("necomimi preprocess")
        ours = timed([*necomimi, "preprocess", str(folder / "raw"), str(folder / "epochs"), "--whiten", "session"])
        console.print("the plain recipe")
        (folder / "plain").mkdir()
        theirs = timed(
            [sys.executable, __file__, "--plain", *(str(folder / name) for name in ("raw", "plain", "epochs"))]
        )
        n, difference = largest_difference(folder / "epochs", folder / "plain", sfreq)
    result = {
        "n_epochs": n,
        "necomimi_s": round(ours[0], 2),
        "plain_s": round(theirs[0], 2),
        "ratio": round(theirs[0] / ours[0], 2),
        "necomimi_peak_mb": round(ours[1]),
        "plain_peak_mb": round(theirs[1]),
        "largest_difference": difference,
    }
    if options.json:
        output.print_json(json.dumps(result))
        return
    table = Table("", "seconds", "peak MB", box=None)
    table.add_row("necomimi", f"{ours[0]:.1f}", f"{ours[1]:.0f}")
    table.add_row("plain recipe", f"{theirs[0]:.1f}", f"{theirs[1]:.0f}")
    table.add_row("plain / necomimi", f"{result['ratio']:.1f}x", f"{theirs[1] / ours[1]:.1f}x")
    output.print(table)
    output.print(f"{n} training epochs, the same to {difference:.0e} of their largest value")


if __name__ == "__main__":
    main()
