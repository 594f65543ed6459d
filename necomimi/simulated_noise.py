"""Make the EEG that no picture causes: seeds -> background, alpha, blinks, drift, mains and a bad channel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from necomimi.simulated_cortex import SFREQ, lead_field

__all__ = ["BLOCK", "Noise"]

# Samples made at once. It is part of the simulation: the same seed gives other samples with another value.
BLOCK = 32768
CUTOFF_HZ = 100.0  # of the amplifier
N_SOURCES = 200
BACKGROUND_V = 10e-6  # rms over channels
SENSOR_V = 0.7e-6
ALPHA_V = 8e-6  # rms at the electrode that shows it best, over bursts and pauses
BLINK_V = 120e-6  # peak at the electrode that shows it best
BLINKS_PER_S = 0.2
BLINK_SAMPLES = 400
MAINS_HZ = 50.0
MAINS_V = 0.8e-6
DRIFT_V = 30e-6
OFFSET_V = 3e-3
BAD_CHANNEL_PROBABILITY = 0.3
BAD_CHANNEL_V = 40e-6
EXPONENTS = (0.7, 1.7)  # of the power spectra of the background's sources
ALPHA_PLACES = ((-0.25, -0.8, 0.2), (0.25, -0.8, 0.2), (0.0, -0.7, 0.45))  # head radii from the middle
EYES = ((-0.25, 0.75, -0.35), (0.25, 0.75, -0.35))
_Floats32 = NDArray[np.float32]


class Noise:
    """One recording's noise, in blocks from its beginning.

    Parameters
    ----------
    ch_names : sequence of str
    subject : SeedSequence
        Of what belongs to the subject: where the sources lie.
    session : SeedSequence
        Of what belongs to the session: the cap and its bad channel.
    recording : SeedSequence
        Of what belongs to the recording.

    Attributes
    ----------
    bad_channel : str or None
        The session's noisy channel.
    """

    def __init__(
        self,
        ch_names: Sequence[str],
        subject: np.random.SeedSequence,
        session: np.random.SeedSequence,
        recording: np.random.SeedSequence,
    ) -> None:
        self._n = len(ch_names)
        self._recording = recording
        self._draw_subject(ch_names, np.random.default_rng(subject))
        self._draw_session(ch_names, np.random.default_rng(session))

    def _draw_subject(self, ch_names: Sequence[str], rng: np.random.Generator) -> None:
        """Place the sources of background, alpha and blinks; lay out their spectra."""
        directions = rng.normal((0, 0, 0.4), size=(N_SOURCES, 3))
        places = directions / np.linalg.norm(directions, axis=1, keepdims=True) * rng.uniform(0.3, 0.78, (N_SOURCES, 1))
        alpha, eyes = np.array(ALPHA_PLACES), np.array(EYES)
        moments = np.concatenate(
            [rng.normal(size=(N_SOURCES, 3)), alpha + rng.normal(0, 0.2, alpha.shape), [[0, 1, 0.2]] * len(eyes)]
        )
        gain = lead_field(ch_names, np.concatenate([places, alpha, eyes]), moments)
        background, alpha, eyes = np.split(gain, [N_SOURCES, N_SOURCES + len(alpha)], axis=1)
        background = background / np.linalg.norm(background, axis=0)
        self._gain = (background * BACKGROUND_V / np.sqrt((background**2).sum(axis=1).mean())).astype(np.complex64)
        self._alpha_gain = (alpha * ALPHA_V / np.sqrt((alpha**2).sum(axis=1).max())).astype(np.float32)
        blink = eyes.sum(axis=1, keepdims=True)
        self._blink_gain = (blink * BLINK_V / np.abs(blink).max()).astype(np.float32)

        n_bins = int(1.3 * CUTOFF_HZ * 2 * BLOCK / SFREQ)  # above, the amplifier leaves nothing
        frequencies = np.arange(n_bins) * SFREQ / (2 * BLOCK)
        amplitude = np.maximum(frequencies, 0.3) ** (-rng.uniform(*EXPONENTS, (N_SOURCES, 1)) / 2)
        amplitude[:, 0] = 0
        self._background = _unit_spectrum(amplitude / np.sqrt(1 + (frequencies / CUTOFF_HZ) ** 16))
        self._alpha = _unit_spectrum(np.exp(-0.5 * ((frequencies - rng.uniform(9.5, 10.5)) / 0.5) ** 2)[None])
        self._burst = _unit_spectrum(np.exp(-0.5 * (frequencies / 0.25) ** 2)[None])

    def _draw_session(self, ch_names: Sequence[str], rng: np.random.Generator) -> None:
        """Put on the cap: offsets, drifts, mains pick-up, and at times a bad channel."""
        self._offsets = rng.normal(0, OFFSET_V, (self._n, 1))
        mains, phase = np.sqrt(2) * MAINS_V * np.exp(rng.normal(0, 0.5, self._n)), rng.normal(0, 0.4, self._n)
        self._mains = np.stack([mains * np.cos(phase), mains * np.sin(phase)], axis=1).astype(np.float32)
        self._drift_hz = rng.uniform(0.003, 0.03, (self._n, 3, 1))
        self._drift_phase = rng.uniform(0, 2 * np.pi, (self._n, 3, 1))
        is_bad = rng.uniform() < BAD_CHANNEL_PROBABILITY
        worst = int(rng.integers(self._n))
        self.bad_channel = ch_names[worst] if is_bad else None
        self._sensor = np.full((self._n, 1), SENSOR_V, dtype=np.float32)
        if is_bad:
            self._sensor[worst] = BAD_CHANNEL_V

    def blocks(self, n_samples: int) -> Iterator[tuple[int, _Floats32]]:
        """Yield the recording in blocks, as (first sample, volts of shape (n_channels, n)).

        Parameters
        ----------
        n_samples : int
            The recording's length.
        """
        blink_key, first_key, *keys = self._recording.spawn(2 + -(-n_samples // BLOCK))
        blinks = _draw_blinks(np.random.default_rng(blink_key), n_samples)
        tail = self._segment(np.random.default_rng(first_key))[:, BLOCK:]
        for start, key in zip(range(0, n_samples, BLOCK), keys, strict=True):
            n = min(BLOCK, n_samples - start)
            block, tail = self._block(start, n, blinks[start : start + n], tail, np.random.default_rng(key))
            yield start, block

    def endless(self) -> Iterator[_Floats32]:
        """Yield blocks, volts of shape (n_channels, BLOCK), for as long as they are asked for.

        They are those of `blocks`, except for the blinks, which are drawn block by block here.
        """
        blink_key, first_key = self._recording.spawn(2)
        blink_rng = np.random.default_rng(blink_key)
        begun = np.zeros(BLINK_SAMPLES, dtype=np.float32)  # what the blinks of one block leave to the next
        tail = self._segment(np.random.default_rng(first_key))[:, BLOCK:]
        for start in itertools.count(0, BLOCK):
            blinks = _draw_blinks(blink_rng, BLOCK)
            blinks[:BLINK_SAMPLES] += begun
            begun = blinks[BLOCK:]
            (key,) = self._recording.spawn(1)
            block, tail = self._block(start, BLOCK, blinks[:BLOCK], tail, np.random.default_rng(key))
            yield block

    def _block(
        self, start: int, n: int, blinks: _Floats32, tail: _Floats32, rng: np.random.Generator
    ) -> tuple[_Floats32, _Floats32]:
        """Return one block, shape (n_channels, n), and the tail that fades out in the next one."""
        fade_in = np.sin(np.pi * np.arange(BLOCK) / (2 * BLOCK)).astype(np.float32)
        fade_out = np.sqrt(1 - fade_in**2)  # the powers of two segments add up to one
        segment = self._segment(rng)
        block = (tail * fade_out + segment[:, :BLOCK] * fade_in)[:, :n]
        block += self._sensor * rng.standard_normal((self._n, n), dtype=np.float32)
        block += self._blink_gain * blinks
        block += self._slow(start, n)
        return block, segment[:, BLOCK:]

    def _segment(self, rng: np.random.Generator) -> _Floats32:
        """Return background and alpha of two blocks, shape (n_channels, 2 * BLOCK)."""
        background = self._gain @ (self._background * _complex_normal(rng, self._background.shape))
        segment = scipy.fft.irfft(background, 2 * BLOCK, axis=1)
        shape = (self._alpha_gain.shape[1], self._alpha.shape[1])
        alpha = scipy.fft.irfft(self._alpha * _complex_normal(rng, shape), 2 * BLOCK, axis=1)
        envelope = scipy.fft.irfft(self._burst * _complex_normal(rng, shape), 2 * BLOCK, axis=1)
        alpha *= np.maximum(envelope, 0) * np.float32(np.sqrt(2))  # pauses half of the time
        mixed: _Floats32 = segment + self._alpha_gain @ alpha
        return mixed

    def _slow(self, start: int, n: int) -> _Floats32:
        """Return offsets, drift and mains, shape (n_channels, n): functions of time alone."""
        grid, knots = np.arange(n), np.arange(0, n + 100, 100)  # the drift's periods are over 30 s
        angles = 2 * np.pi * self._drift_hz * ((start + knots) / SFREQ) + self._drift_phase  # (n_channels, 3, n_knots)
        drift = DRIFT_V * np.sqrt(2 / 3) * np.sin(angles).sum(axis=1) + self._offsets
        slow = np.stack([np.interp(grid, knots, row) for row in drift]).astype(np.float32)
        turns = 2 * np.pi * ((start + grid) * (MAINS_HZ / SFREQ) % 1.0)
        return slow + self._mains @ np.stack([np.sin(turns), np.cos(turns)]).astype(np.float32)


def _unit_spectrum(amplitude: NDArray[np.floating[Any]]) -> _Floats32:
    """Scale amplitudes, shape (n_sources, n_bins), so that with `_complex_normal` they make signals of variance 1."""
    scaled = amplitude * BLOCK / np.sqrt((amplitude**2).sum(axis=1, keepdims=True))
    spectrum: _Floats32 = scaled.astype(np.float32)
    return spectrum


def _complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Draw complex numbers whose real and imaginary parts have variance 1."""
    return rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]


def _draw_blinks(rng: np.random.Generator, n_samples: int) -> _Floats32:
    """Draw the course of the blinks that begin in `n_samples`, shape (n_samples + BLINK_SAMPLES,), peaks about 1."""
    t = np.arange(BLINK_SAMPLES) / BLINK_SAMPLES
    shape = (t**2 * (1 - t) ** 4).astype(np.float32)
    shape /= shape.max()
    course = np.zeros(n_samples + BLINK_SAMPLES, dtype=np.float32)
    for onset in rng.integers(0, n_samples, rng.poisson(BLINKS_PER_S * n_samples / SFREQ)):
        course[onset : onset + BLINK_SAMPLES] += shape * np.float32(rng.uniform(0.6, 1.2))
    return course
