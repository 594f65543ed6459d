"""Turn what pictures mean into potentials: picture features -> sources in visual cortex -> electrodes relative to Fz.

Sources lie in three regions of a spherical head: early visual, lateral occipital and ventral temporal cortex. Every
source takes part in three waves, about 100, 170 and 300 ms after the onset, and each wave has a part that all pictures
share and a part that depends on the picture. Neighbouring sources prefer similar pictures.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.montage import standard_montage

__all__ = ["N_TIMES", "SFREQ", "PictureAxes", "Waves", "draw_delays", "lead_field", "visual_cortex"]

SFREQ = 1000.0  # Hz
N_TIMES = 700  # samples that a response lasts
N_SEMANTIC, N_PICTORIAL = 48, 16
REFERENCE = "Fz"
_Floats = NDArray[np.floating[Any]]

# Region: direction of its centre from the middle of the head (right, front, up), depth and spread in head radii,
# sources per hemisphere, share in each of the three waves.
REGIONS = (
    ((0.10, -0.97, -0.15), 0.70, 0.10, 15, (1.0, 0.5, 0.3)),  # V1 to V3
    ((0.60, -0.78, -0.15), 0.76, 0.10, 15, (0.5, 1.0, 0.7)),  # lateral occipital
    ((0.58, -0.35, -0.55), 0.72, 0.12, 15, (0.2, 0.8, 1.0)),  # ventral temporal
)
DEEPEST_SHELL = 0.86  # head radii: where the brain ends
LATENCY_S = (0.100, 0.170, 0.300)
LATENCY_SPREAD_S = (0.008, 0.015, 0.040)  # between sources
JITTER_S = (0.003, 0.004, 0.008)  # between trials
WIDTH_S = (0.020, 0.030, 0.060)
FREQUENCY_HZ = (10.0, 7.0, 3.5)
SHARED_SIGN = (1.0, -1.0, 1.0)  # of the shared part at the scalp above: P1, N1, P3
SEMANTIC_SHARE = (0.5, 0.75, 0.95)  # of the picture-dependent variance
SMOOTHNESS = 0.04  # head radii within which sources prefer similar pictures
SHARED_V, SPECIFIC_V = 3e-6, 3e-6  # rms of a wave at its best electrodes, shared by all pictures and depending on them


@dataclass(frozen=True)
class PictureAxes:
    """Standardised axes that describe pictures: first what tells concepts apart, then what tells their pictures apart.

    Parameters
    ----------
    axes : ndarray, shape (n_dims, N_SEMANTIC + N_PICTORIAL)
        Directions in an embedder's space.
    mean, deviation : ndarray, shape (N_SEMANTIC + N_PICTORIAL,)
        Of the pictures that define the axes, along each of them; infinite where they do not define it.
    """

    axes: _Floats
    mean: _Floats
    deviation: _Floats

    @classmethod
    def fit(cls, embeddings: _Floats, concepts: Sequence[int] | NDArray[np.int64]) -> PictureAxes:
        """Return the axes that pictures define.

        Parameters
        ----------
        embeddings : ndarray, shape (n_pictures, n_dims)
            Unit norm.
        concepts : sequence of int, shape (n_pictures,)
            Which concept each of them shows.
        """
        values, groups = np.unique(np.asarray(concepts), return_inverse=True)
        one_hot = np.eye(len(values))[:, groups]
        means = one_hot @ embeddings / one_hot.sum(axis=1, keepdims=True)
        semantic = _axes(means - means.mean(axis=0), N_SEMANTIC)
        residual = embeddings - means[groups]
        pictorial = _axes(residual - residual @ semantic @ semantic.T, N_PICTORIAL)
        axes = np.concatenate([semantic, pictorial], axis=1)
        projected = embeddings @ axes
        deviation = projected.std(axis=0)
        deviation[deviation < 1e-6] = np.inf
        return cls(axes, projected.mean(axis=0), deviation)

    def describe(self, shown: _Floats) -> NDArray[np.float32]:
        """Return the features of pictures, shape (n_shown, n_features), from embeddings, shape (n_shown, n_dims).

        The pictures that define the axes have variance 1 on each; what they do not define is zero.
        """
        return ((shown @ self.axes - self.mean) / self.deviation).astype(np.float32)


def _axes(data: _Floats, n_axes: int) -> _Floats:
    """Return the principal axes, shape (n_dims, n_axes); zero where the data have no more dimensions."""
    _, scale, components = np.linalg.svd(data, full_matrices=False)
    components = components[scale > 1e-5][:n_axes]
    signs = np.sign(components[np.arange(len(components)), np.abs(components).argmax(axis=1)])
    axes = np.zeros((data.shape[1], n_axes))
    axes[:, : len(components)] = (components * signs[:, None]).T
    return axes


def lead_field(ch_names: Sequence[str], positions: _Floats, moments: _Floats) -> NDArray[np.float64]:
    """Compute the potentials of current dipoles in a four-layer sphere.

    Parameters
    ----------
    ch_names : sequence of str
        Electrodes of the 10-05 system.
    positions : ndarray, shape (n_dipoles, 3)
        From the middle of the head (right, front, up), in head radii; below .88.
    moments : ndarray, shape (n_dipoles, 3)
        Directions of the currents.

    Returns
    -------
    ndarray, shape (n_channels, n_dipoles)
        Volts at the electrode relative to Fz, for a current dipole of 1 A m.
    """
    import mne

    names = [*ch_names, REFERENCE]
    info = mne.create_info(names, SFREQ, "eeg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        info.set_montage(standard_montage(), verbose="error")
    sphere = mne.make_sphere_model("auto", "auto", info, verbose="error")
    dipoles = mne.Dipole(
        times=np.arange(len(positions), dtype=float),
        pos=sphere["r0"] + positions * sphere.radius,
        amplitude=np.ones(len(positions)),
        ori=moments / np.linalg.norm(moments, axis=1, keepdims=True),
        gof=np.full(len(positions), 100.0),
        verbose="error",
    )
    forward, _ = mne.make_forward_dipole(dipoles, sphere, info, verbose="error")
    gain = forward["sol"]["data"]  # (n_channels + 1, n_dipoles)
    referenced: NDArray[np.float64] = gain[:-1] - gain[-1]
    return referenced


@dataclass(frozen=True)
class Waves:
    """One subject's visual cortex.

    Parameters
    ----------
    gain : ndarray of float32, shape (n_channels, n_sources)
        Volts at the electrodes relative to Fz, for a source of amplitude 1.
    kernels : ndarray of float32, shape (3, n_sources, N_TIMES)
        The course of each wave in each source, at 1000 Hz from the onset.
    shared : ndarray of float32, shape (3, n_sources)
        Amplitudes after any stimulus.
    specific : ndarray of float32, shape (3, n_sources, n_features)
        What each feature of a picture adds to the amplitudes.
    """

    gain: NDArray[np.float32]
    kernels: NDArray[np.float32]
    shared: NDArray[np.float32]
    specific: NDArray[np.float32]

    def amplitudes(self, features: _Floats) -> NDArray[np.float32]:
        """Return the amplitudes after pictures, shape (n_pictures, 3, n_sources), from (n_pictures, n_features)."""
        amplitudes: NDArray[np.float32] = self.shared + np.einsum("wsf,pf->pws", self.specific, features, optimize=True)
        return amplitudes

    def evoked(
        self,
        start: int,
        stop: int,
        onsets: NDArray[np.int64],
        delays: NDArray[np.int64],
        amplitudes: NDArray[np.float32],
        rows: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Add up the responses to many stimuli in one stretch of time.

        Parameters
        ----------
        start, stop : int
            First sample wanted, and the one after the last.
        onsets : ndarray of int, shape (n_stimuli,)
            Samples, ascending.
        delays : ndarray of int, shape (n_stimuli, 3)
            Samples by which each wave of each response is late.
        amplitudes : ndarray of float32, shape (n_pictures, 3, n_sources)
        rows : ndarray of int, shape (n_stimuli,)
            Which row of `amplitudes` a stimulus has.

        Returns
        -------
        ndarray of float32, shape (n_channels, stop - start)
            Volts.
        """
        margin = N_TIMES + int(np.abs(delays).max(initial=0))
        first, last = np.searchsorted(onsets, [start - margin, stop + margin])
        sources = np.zeros((self.gain.shape[1], stop - start + 2 * margin), dtype=np.float32)
        for i in range(int(first), int(last)):
            for wave, kernel in enumerate(self.kernels):
                begin = int(onsets[i] + delays[i, wave]) - start + margin
                low, high = max(begin, 0), min(begin + N_TIMES, sources.shape[1])
                if low < high:
                    sources[:, low:high] += amplitudes[rows[i], wave][:, None] * kernel[:, low - begin : high - begin]
        return self.gain @ sources[:, margin:-margin]


def draw_delays(rng: np.random.Generator, n_stimuli: int) -> NDArray[np.int64]:
    """Draw by how many samples the waves of each response are late, shape (n_stimuli, 3)."""
    return np.round(rng.normal(size=(n_stimuli, 3)) * JITTER_S * SFREQ).astype(np.int64)


def visual_cortex(ch_names: Sequence[str], rng: np.random.Generator) -> Waves:
    """Draw one subject's visual cortex.

    Parameters
    ----------
    ch_names : sequence of str
    rng : numpy.random.Generator
    """
    positions, weight = _draw_sources(rng)
    outward = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    gain = lead_field(ch_names, positions, outward + rng.normal(0, 0.7, positions.shape))  # gyri count more than sulci
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    neighbours = np.exp(-0.5 * (distance / SMOOTHNESS) ** 2)
    share = np.array(SEMANTIC_SHARE)[:, None]
    feature_weight = np.sqrt(
        np.concatenate(
            [np.tile(share / N_SEMANTIC, N_SEMANTIC), np.tile((1 - share) / N_PICTORIAL, N_PICTORIAL)], axis=1
        )
    )  # (3, n_features)
    specific = neighbours @ rng.normal(size=(3, len(positions), N_SEMANTIC + N_PICTORIAL))
    shared = np.array(SHARED_SIGN)[:, None] * rng.uniform(0.5, 1.5, (3, len(positions)))
    return Waves(
        gain=gain.astype(np.float32),
        kernels=_draw_kernels(rng, len(positions)),
        shared=_scaled(gain, weight * shared, SHARED_V),
        specific=_scaled(gain, weight[..., None] * specific * feature_weight[:, None, :], SPECIFIC_V),
    )


def _draw_sources(rng: np.random.Generator) -> tuple[_Floats, _Floats]:
    """Draw positions, shape (n_sources, 3) in head radii, and shares in the waves, shape (3, n_sources)."""
    parts, shares = [], []
    for centre, depth, spread, n, share in REGIONS:
        for side in (-1.0, 1.0):
            middle = np.array(centre) * [side, 1, 1]
            parts.append(depth * middle / np.linalg.norm(middle) + spread * rng.uniform(-1, 1, (n, 3)))
            shares += [share] * n
    positions = np.concatenate(parts)
    radius = np.linalg.norm(positions, axis=1, keepdims=True)
    return positions * np.minimum(1, DEEPEST_SHELL / radius), np.array(shares).T


def _draw_kernels(rng: np.random.Generator, n_sources: int) -> NDArray[np.float32]:
    """Draw the courses of the waves, shape (3, n_sources, N_TIMES): wave packets, each source at a time of its own."""
    column, shape = (3, 1, 1), (3, n_sources, 1)
    middle = np.reshape(LATENCY_S, column) + rng.normal(size=shape) * np.reshape(LATENCY_SPREAD_S, column)
    late = np.arange(N_TIMES) / SFREQ - middle
    phase = rng.uniform(-np.pi / 2, np.pi / 2, shape)
    kernels = np.exp(-0.5 * (late / np.reshape(WIDTH_S, column)) ** 2)
    kernels *= np.cos(2 * np.pi * np.reshape(FREQUENCY_HZ, column) * late + phase)
    kernels[:, :, :30] *= np.linspace(0, 1, 30)  # nothing at the onset itself
    kernels[:, :, -50:] *= np.linspace(1, 0, 50)
    courses: NDArray[np.float32] = kernels.astype(np.float32)
    return courses


def _scaled(gain: _Floats, amplitudes: _Floats, volts: float) -> NDArray[np.float32]:
    """Scale each wave's amplitudes, shape (3, n_sources, ...), to `volts` at the ten electrodes that show it best."""
    scaled = np.empty(amplitudes.shape, dtype=np.float32)
    for wave, values in enumerate(amplitudes):
        topography = gain @ values.reshape(len(values), -1)  # (n_channels, n_features)
        power = np.sort((topography**2).sum(axis=1))[-10:].mean()
        scaled[wave] = values * volts / np.sqrt(power)
    return scaled
