"""A sender to be killed, frozen and restarted: JSON lines on standard input -> EEG and markers on LSL.

Run as a program, ``python sender.py``. Each command is one JSON object with a key "do"; each is answered by one line
``{"at": local clock}`` when it is done. The first channel of a stream holds the sample's own number.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import numpy as np
import pylsl


def signal(numbers: np.ndarray) -> np.ndarray:
    """Return samples of given numbers, shape (n, 3): the number itself, and two channels that tell themselves apart.

    All of it is exact in float32.
    """
    return np.stack([numbers, numbers * 7919 % 1009 + 1 / 8, numbers * 104729 % 1013 + 2 / 8], axis=1)


class Sender:
    """One EEG outlet and one marker outlet."""

    def __init__(self) -> None:
        self.eeg: pylsl.StreamOutlet | None = None
        self.markers: pylsl.StreamOutlet | None = None
        self.t0 = self.sfreq = 0.0
        self.order: list[int] = []
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def open(self, name: str, ch_names: list[str], sfreq: float, order: list[int] | None = None,
             unit: str = "microvolts", source_id: str | None = None) -> None:  # fmt: skip
        """Offer channels; `order` says which of the channels (number, 0, 1, ...) each holds."""
        source_id = f"{name}-id" if source_id is None else source_id
        info = pylsl.StreamInfo(name, "EEG", len(ch_names), sfreq, pylsl.cf_double64, source_id)
        channels = info.desc().append_child("channels")
        for label in ch_names:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", unit)
            channel.append_child_value("type", "EEG")
        self.sfreq, self.order = sfreq, order or list(range(len(ch_names)))
        self.t0 = pylsl.local_clock()
        self.eeg = pylsl.StreamOutlet(info)

    def open_markers(self, name: str, source_id: str | None = None) -> None:
        source_id = f"{name}-id" if source_id is None else source_id
        self.markers = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Markers", 1, 0, pylsl.cf_string, source_id))

    def samples(self, first: int, n: int) -> np.ndarray:
        """Return samples, shape (n, n_channels), in the order of this sender's channels."""
        return signal(np.arange(first, first + n))[:, self.order]

    def send(self, first: int, n: int, chunk: int = 25, at: float | None = None, stamps: list[float] | None = None,
             scale: float = 1.0) -> None:  # fmt: skip
        """Send samples, stamped from `at` or t0 on, or as `stamps` says, without waiting for time to pass."""
        assert self.eeg is not None
        t0 = self.t0 if at is None else at
        for i in range(0, n, chunk):
            m = min(chunk, n - i)
            times = stamps[i : i + m] if stamps else list(t0 + np.arange(first + i, first + i + m) / self.sfreq)
            self.eeg.push_chunk(self.samples(first + i, m) * scale, times)

    def send_noise(self, n: int, scale: float, chunk: int = 25) -> None:
        """Send white noise in real time."""
        noise = np.random.default_rng(0).normal(scale=scale, size=(n, len(self.order)))
        self.samples = lambda first, m: noise[np.arange(first, first + m) % n]  # type: ignore[method-assign]
        self.run(chunk)

    def run(self, chunk: int = 10) -> None:
        """Send in real time until told otherwise, sample 0 now."""
        self.stopping.clear()
        self.t0 = pylsl.local_clock()
        self.thread = threading.Thread(target=self._run, args=(chunk,), daemon=True)
        self.thread.start()

    def _run(self, chunk: int) -> None:
        sent = 0
        while not self.stopping.wait(max(0.0, self.t0 + (sent + chunk - 1) / self.sfreq - pylsl.local_clock())):
            self.send(sent, chunk, chunk)
            sent += chunk

    def pause(self) -> None:
        self.stopping.set()
        assert self.thread is not None
        self.thread.join()

    def mark(self, label: str, at: float) -> None:
        assert self.markers is not None
        self.markers.push_sample([label], at)


def main() -> None:
    sender = Sender()
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        getattr(sender, command.pop("do"))(**command)
        print(json.dumps({"at": pylsl.local_clock(), "t0": sender.t0}), flush=True)


if __name__ == "__main__":
    main()
