"""Judge the electrodes by their signal: some seconds of volts -> good, flat, noisy, mains or drift, each.

This is for the person who puts on the cap, and for averages that shall leave bad channels out. Whether an epoch can be
decoded is another question, which `necomimi.realtime.signal_check` answers: there one sample that is not finite counts
and a bad electrode among good ones does not; here it is the other way round.

=======  ======================================================================================================
verdict  a channel has it where, in this order
=======  ======================================================================================================
flat     `rms` is under 0.5 µV, or most samples are not finite. MNE's examples take 1 µV peak to peak.
mains    `mains` stands out of the noise around it, and is over 10 µV, or over 3 µV and an outlier.
noisy    `rms` is over 75 µV; its part above 4 Hz is over 30 µV and an outlier; `high` is over 15 µV, or over 5 µV
         and an outlier; the 1-40 Hz signal reaches 500 µV, as no blink does but an electrode that loses contact.
drift    the medians of the two halves differ by more than 150 µV, as no eye movement makes them.
good     otherwise.
=======  ======================================================================================================

An outlier lies over the median of all channels by more than 5 robust standard deviations (1.4826 times the median
absolute deviation), as PREP has it, here of the logarithms, since amplitudes are skewed; and by more than a factor of
3, since with few or very similar channels the deviation is close to nothing. A cap that is bad as a whole has no
outliers: hence the absolute limits. Blinks leave frontal channels good, since they are over before they move the
quartiles, and leave little above 4 Hz. Electrodes close to the reference are small by nature, so there is no outlier on
that side.

References
----------
Bigdely-Shamlo et al. (2015), The PREP pipeline, Frontiers in Neuroinformatics 9:16; Appelhoff et al. (2022), pyprep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["MIN_SECONDS", "ChannelQuality", "Verdict", "judge_channels"]

Verdict = Literal["good", "flat", "noisy", "mains", "drift"]

BAND_HZ = (1.0, 40.0)
FAST_HZ = (4.0, 40.0)
HIGH_HZ = (65.0, 200.0)  # muscles and loose contacts; above, amplifiers differ
MAINS_HZ = (50.0, 60.0)
FLAT_V = 0.5e-6
RMS_V, FAST_OUTLIER_V = 75e-6, 30e-6
HIGH_V, HIGH_OUTLIER_V = 15e-6, 5e-6
MAINS_V, MAINS_OUTLIER_V = 10e-6, 3e-6
PEAK_V = 500e-6
DRIFT_V = 150e-6
OUTLIER_DEVIATIONS = 5.0
OUTLIER_FACTOR = 3.0
LINE_FACTOR = 3.0  # by which the power at a line of the mains must exceed what noise would have there
NORMAL_MAD = 1.4826  # standard deviations of a normal distribution per median absolute deviation
NORMAL_IQR = 1.349  # and interquartile range per standard deviation
TINY_V = 1e-9
MIN_SECONDS = 1.0
TAPER = 0.125  # of the window at each end


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelQuality:
    """What a channel's signal says of its electrode.

    Parameters
    ----------
    name : str
    verdict : {"good", "flat", "noisy", "mains", "drift"}
    rms : float
        Volts in 1-40 Hz, from the quartiles, so that blinks add little.
    mains : float
        Volts (rms) at 50 or 60 Hz, whichever is more, above the noise around it.
    mains_hz : float
        Which of the two.
    high : float
        Volts (rms) in 65-200 Hz, as far as the rate goes, without the harmonics of the mains.
    drift : float
        Volts from the median of the first half to that of the second.
    """

    name: str
    verdict: Verdict
    rms: float
    mains: float
    mains_hz: float
    high: float
    drift: float


def judge_channels(data: NDArray[Any], sfreq: float, ch_names: Sequence[str]) -> tuple[ChannelQuality, ...]:
    """Judge each channel by itself and among the others.

    Parameters
    ----------
    data : ndarray, shape (n_channels, n_times)
        Volts; at least one second, some seconds are better. NaN and infinities are bridged.
    sfreq : float
        Hertz.
    ch_names : sequence of str

    Returns
    -------
    tuple of ChannelQuality
        In the order of the channels.

    Raises
    ------
    ValueError
        The shape does not fit, or the signal is shorter than a second.
    """
    if data.ndim != 2 or len(data) != len(ch_names):
        raise ValueError(f"data of shape {data.shape}, expected ({len(ch_names)}, n_times)")
    if data.shape[1] < MIN_SECONDS * sfreq:
        raise ValueError(f"{data.shape[1]} samples at {sfreq:g} Hz, expected at least {MIN_SECONDS:g} s")
    signal, is_mute = _bridge(data)
    half = signal.shape[1] // 2
    drift = np.median(signal[:, half:], axis=1) - np.median(signal[:, :half], axis=1)
    spectrum, window_power = _spectrum(signal)
    n_fft = 2 * (spectrum.shape[1] - 1)
    course, fast = (_course(spectrum, signal.shape[1], sfreq, band) for band in (BAND_HZ, FAST_HZ))
    rms, rms_fast, peak = _robust_rms(course), _robust_rms(fast), np.abs(course).max(axis=1)
    power = (2 / (n_fft * window_power)) * (spectrum.real**2 + spectrum.imag**2)  # of each bin, volts squared
    frequencies = np.arange(power.shape[1]) * (sfreq / n_fft)
    mains, mains_hz, is_line = _mains(power, frequencies, signal.shape[1] / sfreq)
    high = _high(power, frequencies)

    is_flat = is_mute | (rms < FLAT_V)
    has_mains = is_line & ((mains > MAINS_V) | ((mains > MAINS_OUTLIER_V) & _outliers(mains, ~is_flat)))
    is_noisy = (rms > RMS_V) | ((rms_fast > FAST_OUTLIER_V) & _outliers(rms_fast, ~is_flat)) | (peak > PEAK_V)
    is_noisy |= (high > HIGH_V) | ((high > HIGH_OUTLIER_V) & _outliers(high, ~is_flat))
    verdicts = np.select(
        [is_flat, has_mains, is_noisy, np.abs(drift) > DRIFT_V], ["flat", "mains", "noisy", "drift"], "good"
    )
    columns = (rms, mains, mains_hz, high, drift)
    return tuple(
        ChannelQuality(name=name, verdict=verdict, rms=r, mains=m, mains_hz=hz, high=h, drift=d)
        for name, verdict, r, m, hz, h, d in zip(
            ch_names, verdicts.tolist(), *(column.tolist() for column in columns), strict=True
        )
    )


def _bridge(data: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the signal about each channel's own level, holes bridged, and which channels are mostly holes."""
    finite = np.isfinite(data)
    is_mute = finite.sum(axis=1) <= data.shape[1] / 2
    if not finite.all():
        data = np.where(is_mute[:, None], 0.0, data)
        grid = np.arange(data.shape[1])
        for i in np.flatnonzero(~finite.all(axis=1) & ~is_mute):
            data[i] = np.interp(grid, grid[finite[i]], data[i, finite[i]])
    level = data.mean(axis=1, dtype=np.float64, keepdims=True)  # an offset of millivolts, in full precision
    return (data - level).astype(np.float32), is_mute


def _spectrum(signal: NDArray[np.float32]) -> tuple[NDArray[np.complex64], float]:
    """Return the spectrum of a signal without its straight line, its ends tapered, and the taper's power."""
    n = signal.shape[1]
    line = np.linspace(-1.0, 1.0, n, dtype=np.float32)
    slope = np.einsum("ct,t->c", signal, line) / (line**2).sum()  # no BLAS: its threads spin, for so little work
    level = signal - slope[:, None] * line
    ramp = np.sin(0.5 * np.pi * np.arange(int(TAPER * n)) / int(TAPER * n)) ** 2
    taper = np.ones(n, dtype=np.float32)
    taper[: len(ramp)], taper[n - len(ramp) :] = ramp, ramp[::-1]
    n_fft = 2 * scipy.fft.next_fast_len((n + 1) // 2, real=True)
    return scipy.fft.rfft(level * taper, n_fft, axis=1), float((taper**2).sum())


def _course(
    spectrum: NDArray[np.complex64], n_times: int, sfreq: float, band: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the signal in a band (Hz) between the tapers, at the lowest rate that holds it."""
    n_fft = 2 * (spectrum.shape[1] - 1)
    low, high = (min(round(edge * n_fft / sfreq), spectrum.shape[1] - 1) for edge in band)
    kept = np.zeros((len(spectrum), high + 2), dtype=np.complex64)
    kept[:, low : high + 1] = spectrum[:, low : high + 1]
    n_out = 2 * (high + 1)
    per_sample = n_out / n_fft
    course: NDArray[np.float32] = scipy.fft.irfft(kept, n_out, axis=1) * np.float32(per_sample)
    return course[:, math.ceil(TAPER * n_times * per_sample) : int((1 - TAPER) * n_times * per_sample)]


def _robust_rms(course: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rms that the interquartile range speaks for, shape (n_channels,)."""
    lower, upper = np.percentile(course, (25, 75), axis=1)
    rms: NDArray[np.float32] = (upper - lower) / NORMAL_IQR
    return rms


def _mains(
    power: NDArray[np.float32], frequencies: NDArray[np.float64], seconds: float
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Return volts (rms) at the mains, at which of its frequencies, and whether it is a line there at all."""
    excess = np.zeros((len(MAINS_HZ), len(power)), dtype=np.float32)
    is_line = np.zeros(excess.shape, dtype=bool)
    width = max(1.0, 2 / seconds)
    for i, line in enumerate(MAINS_HZ):
        distance = np.abs(frequencies - line)
        inside, around = distance <= width, (distance > width) & (distance <= width + 3)
        if line + width < frequencies[-1]:
            there, noise = power[:, inside].sum(axis=1), inside.sum() * power[:, around].mean(axis=1)
            excess[i], is_line[i] = (there - noise).clip(0), there > LINE_FACTOR * noise
    which = excess.argmax(axis=0), np.arange(len(power))
    return np.sqrt(excess[which]), np.array(MAINS_HZ)[which[0]], is_line[which]


def _high(power: NDArray[np.float32], frequencies: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return volts (rms) in the high band, shape (n_channels,)."""
    inside = (frequencies >= HIGH_HZ[0]) & (frequencies <= HIGH_HZ[1])
    for line in MAINS_HZ:
        inside &= np.abs(frequencies - line * np.round(frequencies / line)) > 2
    rms: NDArray[np.float32] = np.sqrt(power[:, inside].sum(axis=1))
    return rms


def _outliers(values: NDArray[np.float32], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which values stand out upwards from those of the channels in `among`."""
    if not among.any():
        return np.zeros(len(values), dtype=bool)
    logs = np.log(values.clip(TINY_V))
    middle = np.median(logs[among])
    deviation = NORMAL_MAD * np.median(np.abs(logs[among] - middle))
    stands_out: NDArray[np.bool_] = logs > middle + max(OUTLIER_DEVIATIONS * deviation, np.log(OUTLIER_FACTOR))
    return stands_out
