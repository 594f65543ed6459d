"""Play noise that needs no file, every sample with its own number: "synthetic:63x1000x5" -> Timeline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from necomimi.synthetic import CLASSES, PREFIX, Synthetic

from .timeline import Timeline

__all__ = ["SAMPLE_MODULUS", "is_synthetic", "synthetic_timeline"]

SAMPLE_MODULUS = 2**23  # float32 on the wire holds every whole number up to here, and the next one
PULSE_S = 0.01
TABLE_TIMES = 4096
SEED = 20240229
RHYTHM_V = 15e-6  # standard deviation of the slow part, whose power falls as 1/f
HISS_V = 2e-6  # and of the white part


def is_synthetic(source: object) -> bool:
    """Return whether a SOURCE names an amplifier without a file."""
    return str(source).startswith(PREFIX)


def synthetic_timeline(text: str) -> Timeline:
    """Return noise of an EEG's size and spectrum, with evenly spaced events.

    Two channels follow the EEG. "sample", of type MISC, holds the number of each sample modulo `SAMPLE_MODULUS`, so
    that any loss or shift shows. "trigger", of type STIM, is 0, and from each event on for 10 ms the number of its
    class, from 1.

    Parameters
    ----------
    text : str
        ``synthetic:CHANNELSxRATExEVENTS[xSECONDS]``; the same text gives the same signal, sample for sample.

    Raises
    ------
    ConfigError
        As `Synthetic.parse`.
    """
    wanted = Synthetic.parse(text)
    table = _noise(wanted.n_channels, wanted.sfreq)
    onsets = wanted.onsets()
    codes = (np.arange(len(onsets)) % len(CLASSES) + 1).astype(np.float32)
    pulse = max(1, min(round(PULSE_S * wanted.sfreq), int(wanted.sfreq / wanted.events) - 1))

    def read(start: int, stop: int) -> NDArray[np.floating]:
        index = np.arange(start, stop)
        latest = np.searchsorted(onsets, index, side="right") - 1
        in_pulse = (latest >= 0) & (index - onsets[latest] < pulse)
        block = np.empty((wanted.n_channels + 2, len(index)), dtype=np.float32)
        np.take(table, index % TABLE_TIMES, axis=1, out=block[:-2])
        block[-2] = index % SAMPLE_MODULUS
        block[-1] = np.where(in_pulse, codes[latest], 0)
        return block

    return Timeline(
        name="synthetic EEG",
        source=text,
        description=f"synthetic noise, {wanted.events:g} events a second of {len(CLASSES)} classes",
        ch_names=(*wanted.ch_names, "sample", "trigger"),
        ch_types=("EEG",) * wanted.n_channels + ("MISC", "STIM"),
        units=("microvolts",) * wanted.n_channels + ("", ""),
        sfreq=wanted.sfreq,
        n_times=wanted.n_times,
        events=tuple((sample, CLASSES[i % len(CLASSES)]) for i, sample in enumerate(onsets.tolist())),
        read=read,
    )


def _noise(n_channels: int, sfreq: float) -> NDArray[np.float32]:
    """Return one turn of noise that closes on itself, in volts, shape (n_channels, TABLE_TIMES)."""
    rng = np.random.default_rng(SEED)
    frequencies = np.fft.rfftfreq(TABLE_TIMES, 1 / sfreq)
    shape = np.zeros(len(frequencies))
    shape[1:] = 1 / np.sqrt(frequencies[1:])
    phases = rng.uniform(0, 2 * np.pi, size=(n_channels, len(frequencies)))
    slow = np.fft.irfft(shape * np.exp(1j * phases), TABLE_TIMES)
    slow *= RHYTHM_V / slow.std(axis=1, keepdims=True)
    return (slow + rng.normal(scale=HISS_V, size=slow.shape)).astype(np.float32)
