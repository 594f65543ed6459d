"""The same decoder in mne-lsl and in a plain pylsl loop, each its own process: LSL streams -> JSON file of figures.

Started by `necomimi bench live` as ``python -m necomimi.realtime.bench_peers SYSTEM SETTINGS DECODER OUT``.

They are written as their documentation says, and tuned in their favour: short buffers, MNE's resampling called on
arrays rather than on Epochs objects, one torch thread on a CPU as in `necomimi decode`. mne-lsl runs twice: as it
comes, its acquisition in threads of its own every millisecond, and by hand, one loop that does nothing but acquire and
answer, which is the fastest that we could make it.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.synthetic import CLASSES

from .bench_setup import Measurement, Settings

__all__ = ["SYSTEMS", "main"]

OPEN_S = 60.0  # to find the amplifier
SILENCE_S = 3.0  # without samples, the amplifier has ended
TOP_K = 5
POLL_S = 0.0005  # of mne-lsl, which cannot wait for a sample


class _Answer:
    """From epochs in volts to labels, with MNE's preprocessing."""

    def __init__(self, decoder: Path, sfreq: float) -> None:
        from mne.filter import resample

        self._model = Decoder.load(decoder, "auto")
        if self._model.device.type == "cpu":
            torch.set_num_threads(1)
        self._resample = resample
        self._sfreq = sfreq
        self.window = self._model.preprocessor
        for _ in range(3):
            self(np.zeros((1, len(self.window.ch_names), self.window.window(sfreq)[1])))

    def __call__(self, epochs: NDArray[Any]) -> tuple[list[tuple[str, ...]], NDArray[np.float32]]:
        """Return labels and probabilities of epochs (n, n_channels, n_in) in volts, less their baseline."""
        window = self.window
        epochs = np.asarray(epochs, dtype=np.float64)
        epochs = self._resample(epochs, up=window.sfreq, down=self._sfreq, npad="auto", pad="edge", verbose="error")
        skip = round((window.start - window.tmin) * window.sfreq)
        epochs = window.spatial @ epochs[..., skip : skip + window.n_times]
        return self._model.retrieve(self._model.embed(epochs), TOP_K)


def pylsl_loop(settings: Settings, decoder: Path) -> dict[str, Any]:
    """Pull, concatenate, cut, decode: the loop one writes with pylsl alone.

    Returns
    -------
    dict
        The figures of `Measurement.result`, and the counts.
    """
    from necomimi.lsl import EEGInlet, Finder, MarkerInlet, find_stream, local_clock

    answer = _Answer(decoder, settings.sfreq)
    window = answer.window
    inlet = EEGInlet(find_stream(Finder(type="EEG"), OPEN_S))
    markers = MarkerInlet(find_stream(Finder(type="Markers"), OPEN_S))
    order = [inlet.info.ch_names.index(name) for name in window.ch_names]
    tmin, n_in = window.window(settings.sfreq)
    before, n_kept = round(tmin * settings.sfreq), 2 * n_in
    n_baseline = round(-tmin * settings.sfreq) + 1
    data, stamps = np.empty((0, len(order)), dtype=np.float32), np.empty(0)
    measurement = Measurement(psutil.Process())
    waiting: list[float] = []
    n_events, last_sample = 0, time.monotonic() + OPEN_S
    while measurement.n_decisions < settings.amplifier.n_events and time.monotonic() - last_sample < SILENCE_S:
        samples, new = inlet.pull(0.05)
        if len(new):
            measurement.pulled(local_clock() - new[-1])
            last_sample = time.monotonic()
            data = np.concatenate((data, samples[:, order]))[-n_kept:]
            stamps = np.concatenate((stamps, new))[-n_kept:]
        onsets = [onset for _, onset in markers.pull(0.0)]
        n_events += len(onsets)
        waiting += onsets
        for onset in list(waiting):
            if not len(stamps):
                break
            first = int(np.abs(stamps - onset).argmin()) + before
            if stamps[-1] < onset or first + n_in > len(data):
                continue
            waiting.remove(onset)
            if first < 0:
                continue
            epoch = data[first : first + n_in].T * 1e-6
            epoch -= epoch[:, :n_baseline].mean(axis=1, keepdims=True)
            due = onset + settings.due_s
            ready = local_clock() - due
            answer(epoch[None])
            measurement.decided(ready, local_clock() - due, local_clock())
    inlet.close()
    markers.close()
    return {**measurement.result(), **_counts(n_events, measurement.n_decisions)}


def mne_lsl(settings: Settings, decoder: Path, delay: float | None = 0.001) -> dict[str, Any]:
    """Decode with mne-lsl's StreamLSL and EpochsStream.

    EpochsStream takes no string markers, so it reads the amplifier's trigger channel. It forgets the onset, so a
    callback, which sees each pull, notes when the trigger rises.

    Parameters
    ----------
    settings : Settings
    decoder : Path
    delay : float or None
        Seconds from one acquisition to the next, in threads of mne-lsl, as it comes; None for this loop by hand.

    Returns
    -------
    dict
        The figures of `Measurement.result`, and the counts.
    """
    from mne_lsl.lsl import StreamInlet, local_clock, resolve_streams
    from mne_lsl.stream import EpochsStream, StreamLSL

    answer = _Answer(decoder, settings.sfreq)
    window = answer.window
    _find(resolve_streams, "EEG")
    stream = StreamLSL(bufsize=1.3 * settings.n_epoch / settings.sfreq, stype="EEG")
    stream.connect(acquisition_delay=delay, processing_flags=["clocksync"], timeout=10)
    stream.pick([*window.ch_names, "trigger"])
    tmin, n_in = window.window(settings.sfreq)
    codes = {label: i + 1 for i, label in enumerate(CLASSES)}
    epochs = EpochsStream(
        stream, bufsize=2, event_id=codes, event_channels="trigger", tmin=tmin, tmax=tmin + n_in / settings.sfreq,
        baseline=(tmin, 0.0), picks="eeg",
    )  # fmt: skip
    epochs.connect(acquisition_delay=delay)
    measurement = Measurement(psutil.Process())
    onsets: deque[tuple[int, float]] = deque()  # (code, stamp) of each event whose epoch is still to come
    state = {"trigger": 0.0, "n_events": 0, "last_sample": time.monotonic() + OPEN_S}

    def watch(data: NDArray[Any], stamps: NDArray[np.float64], info: object) -> tuple[Any, Any]:
        measurement.pulled(local_clock() - stamps[-1])
        state["last_sample"] = time.monotonic()
        trigger = data[:, -1]
        if trigger.any():
            for i in np.flatnonzero((trigger > 0) & (np.concatenate(([state["trigger"]], trigger[:-1])) == 0)):
                onsets.append((int(trigger[i]), float(stamps[i])))
                state["n_events"] += 1
        state["trigger"] = float(trigger[-1])
        return data, stamps

    stream.add_callback(watch)
    markers = StreamInlet(_find(resolve_streams, "Markers"))
    markers.open_stream(timeout=10)  # the amplifier waits for a listener on both streams
    while measurement.n_decisions < settings.amplifier.n_events and time.monotonic() - state["last_sample"] < SILENCE_S:
        if delay is None:
            stream.acquire()
            epochs.acquire()
        n_new = epochs.n_new_epochs
        if not n_new:
            time.sleep(POLL_S)
            continue
        cut = local_clock()
        data = epochs.get_data(n_new) * 1e-6
        answered = epochs.events[-n_new:]
        answer(data)
        now = local_clock()
        for code in answered:
            while onsets and onsets[0][0] != code:  # an event that EpochsStream has passed over
                onsets.popleft()
            due = onsets.popleft()[1] + settings.due_s
            measurement.decided(cut - due, now - due, now)
    epochs.disconnect()
    stream.disconnect()
    return {**measurement.result(), **_counts(int(state["n_events"]), measurement.n_decisions)}


def _find(resolve_streams: Callable[..., list[Any]], kind: str) -> Any:
    """Return the one stream of a type, waiting for it."""
    deadline = time.monotonic() + OPEN_S
    while time.monotonic() < deadline:
        found = resolve_streams(timeout=1.0, stype=kind)
        if found:
            return found[0]
    raise TimeoutError(f"no LSL stream of type {kind} within {OPEN_S:g} s")


def _counts(n_events: int, n_retrievals: int) -> dict[str, int]:
    """Return the counts; neither system ever refuses, so an event without an answer is lost."""
    return {"n_events": n_events, "n_retrievals": n_retrievals, "n_refusals": 0, "n_lost": n_events - n_retrievals}


SYSTEMS: dict[str, Callable[[Settings, Path], dict[str, Any]]] = {
    "mne_lsl": mne_lsl,
    "mne_lsl_manual": lambda settings, decoder: mne_lsl(settings, decoder, None),
    "pylsl": pylsl_loop,
}


def main(system: str, settings: str, decoder: str, out: str) -> None:
    """Measure one system and write its figures.

    Parameters
    ----------
    system : {"mne_lsl", "mne_lsl_manual", "pylsl"}
    settings : str
        The JSON file of `Settings.save`.
    decoder : str
        The decoder directory.
    out : str
        The JSON file to write.
    """
    result = SYSTEMS[system](Settings.load(Path(settings)), Path(decoder))
    Path(out).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
