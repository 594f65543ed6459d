"""The one code path of offline and real time: Epoch data in volts -> model input.

Every step along time (baseline, resampling, cropping) is linear, and so is whitening across channels. The whole of it
is therefore two matrices around an epoch X: ``spatial @ X @ temporal(sfreq)``. The temporal matrix is made once per
input rate by sending the identity through MNE's own resampling, so the result is MNE's to rounding error, at the price
of one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from necomimi.errors import ChannelMismatchError, CheckpointError, ConfigError
from necomimi.records import STEPS

__all__ = ["Preprocessor", "apply_operators", "ledoit_wolf", "n_samples", "temporal_operator", "whitening_matrix"]


def n_samples(tmin: float, tmax: float, sfreq: float) -> int:
    """Return the number of samples from `tmin` to `tmax` seconds, both included, at `sfreq` Hz."""
    return round((tmax - tmin) * sfreq) + 1


@lru_cache(maxsize=16)
def temporal_operator(
    sfreq_in: float,
    sfreq_out: float,
    tmin: float,
    tmax: float,
    baseline: tuple[float, float] | None,
    start: float,
    n_times: int,
) -> NDArray[np.float32]:
    """Return baseline correction, resampling and cropping as one matrix.

    Parameters
    ----------
    sfreq_in, sfreq_out : float
        Rates in Hz.
    tmin, tmax : float
        First and last sample of the input epoch, in seconds from the onset.
    baseline : (float, float) or None
        Interval whose mean is subtracted, in seconds from the onset, both ends included.
    start : float
        Time of the first output sample, in seconds from the onset.
    n_times : int
        Output samples.

    Returns
    -------
    ndarray of float32, shape (n_samples(tmin, tmax, sfreq_in), n_times)
        ``epoch @ operator`` does what MNE's ``apply_baseline``, ``resample(npad="auto")`` and cropping do.
    """
    n_in = n_samples(tmin, tmax, sfreq_in)
    operator = np.eye(n_in)
    if baseline is not None:
        times = tmin + np.arange(n_in) / sfreq_in
        inside = (times >= baseline[0] - 0.5 / sfreq_in) & (times <= baseline[1] + 0.5 / sfreq_in)
        if not inside.any():
            raise ConfigError(
                f"baseline {baseline} s holds no sample of the epoch", f"an interval in {tmin:g}..{tmax:g} s"
            )
        operator[inside] -= 1.0 / inside.sum()
    if sfreq_in != sfreq_out:
        from mne.filter import resample

        operator = resample(operator, up=sfreq_out, down=sfreq_in, npad="auto", pad="edge", axis=-1, verbose="error")
    first = round((start - tmin) * sfreq_out)
    if first < 0 or first + n_times > operator.shape[1]:
        raise ConfigError(
            f"{n_times} samples from {start:g} s at {sfreq_out:g} Hz do not fit in an epoch of {tmin:g}..{tmax:g} s",
            "a window inside the epoch",
        )
    cropped = np.ascontiguousarray(operator[:, first : first + n_times], dtype=np.float32)
    cropped.flags.writeable = False
    return cropped


def ledoit_wolf(data: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Ledoit-Wolf covariance over channels of each epoch, samples being the observations.

    The same estimator as `sklearn.covariance.ledoit_wolf`, for a batch at once.

    Parameters
    ----------
    data : ndarray, shape (n_epochs, n_channels, n_times)
        Of float32, the products over time are taken in float32, everything else in float64.

    Returns
    -------
    ndarray of float64, shape (n_epochs, n_channels, n_channels)
        In squared units of `data`.

    References
    ----------
    Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.
    """
    x = np.asarray(data)
    x = x.astype(np.result_type(x, np.float32), copy=False)
    x = x - x.mean(axis=-1, keepdims=True)
    _, n_channels, n_times = x.shape
    covariance: NDArray[np.float64] = (x @ x.transpose(0, 2, 1)).astype(np.float64) / n_times
    mean_variance = np.trace(covariance, axis1=1, axis2=2) / n_channels
    norm = np.einsum("nij,nij->n", covariance, covariance)
    delta = norm - n_channels * mean_variance**2
    power = np.einsum("nct,nct->nt", x, x).astype(np.float64)
    beta = (np.einsum("nt,nt->n", power, power) / n_times - norm) / n_times
    with np.errstate(invalid="ignore", divide="ignore"):
        shrinkage = np.where(delta > 0, np.clip(np.minimum(beta, delta) / delta, 0.0, 1.0), 0.0)
    covariance *= (1.0 - shrinkage)[:, None, None]
    covariance[:, np.arange(n_channels), np.arange(n_channels)] += (shrinkage * mean_variance)[:, None]
    return covariance


def whitening_matrix(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return covariance ** (-1/2) of a symmetric positive matrix, shape (n_channels, n_channels)."""
    values, vectors = np.linalg.eigh(covariance)
    floor = values[-1] * 1e-10
    if values[-1] <= 0 or not np.isfinite(values).all():
        raise ConfigError("the noise covariance of the training epochs is zero or not finite", "a signal that varies")
    whitening: NDArray[np.float64] = (vectors / np.sqrt(np.maximum(values, floor))) @ vectors.T
    return whitening


def apply_operators(batch: Any, spatial: Any, temporal: Any) -> Any:
    """Return ``spatial @ batch @ temporal`` for numpy arrays or torch tensors; None stands for the identity."""
    if temporal is not None:
        batch = batch @ temporal
    return batch if spatial is None else spatial @ batch


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocessor:
    """From an epoch in volts, at the amplifier's rate, to the model's input.

    Parameters
    ----------
    ch_names : tuple of str
        Channels in model order.
    sfreq : float
        The model's rate in Hz.
    tmin, tmax : float
        What must be cut out of the signal, in seconds from the onset.
    baseline : (float, float) or None
        Interval whose mean is subtracted from each channel, in seconds from the onset.
    start : float
        Time of the model's first sample, in seconds from the onset.
    n_times : int
        Samples of the model's input.
    spatial : ndarray of float32, shape (n_channels, n_channels)
        Whitening (or scaling) matrix, 1/V; the identity where whitening was done by somebody else.
    applied : tuple of str
        Steps that somebody else had done to the training epochs: a live stream must come with them too.
    """

    ch_names: tuple[str, ...]
    sfreq: float
    tmin: float
    tmax: float
    baseline: tuple[float, float] | None
    start: float
    n_times: int
    spatial: NDArray[np.float32] = field(repr=False)
    applied: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.ch_names), len(self.ch_names))
        if self.spatial.shape != shape:
            raise ConfigError(f"the spatial matrix has shape {self.spatial.shape}", f"{shape} for these channels")

    def check_stream(self, sfreq: float, applied: Sequence[str]) -> None:
        """Raise in words where a stream's rate or processing cannot serve this model.

        Parameters
        ----------
        sfreq : float
            The stream's rate in Hz.
        applied : sequence of str
            Steps the stream's metadata declare as done.

        Raises
        ------
        ChannelMismatchError
            The rate is below the model's, or steps are missing or contradict each other.
        """
        missing = [step for step in self.applied if step not in applied]
        if missing:
            raise ChannelMismatchError(
                f"the stream has not been through {', '.join(missing)}, and this decoder does not know how to",
                f"a stream with {', '.join(self.applied)} applied, as in the epochs it was trained on",
                "train on the raw recordings (necomimi preprocess RAW OUT) to decode a raw stream",
            )
        if "resample" in applied:
            if abs(sfreq - self.sfreq) > 1e-3 * self.sfreq:
                raise ChannelMismatchError(
                    f"the stream is resampled to {sfreq:g} Hz", f"{self.sfreq:g} Hz, the decoder's rate"
                )
        elif sfreq < self.sfreq * 0.999:
            raise ChannelMismatchError(
                f"the stream runs at {sfreq:g} Hz",
                f"at least {self.sfreq:g} Hz, the decoder's rate",
                "set the amplifier to a higher rate, or train with necomimi preprocess --sfreq",
            )

    def n_times_until(self, until: float | None) -> int:
        """Return how many samples of the model's input are over by `until` seconds from the onset.

        Parameters
        ----------
        until : float or None
            None stands for the end.
        """
        if until is None:
            return self.n_times
        first = round((self.start - self.tmin) * self.sfreq)  # as `temporal_operator` crops
        return int(np.clip(np.floor((until - self.tmin) * self.sfreq + 1e-6) - first, 0, self.n_times))

    def window(self, sfreq: float, applied: Sequence[str] = (), until: float | None = None) -> tuple[float, int]:
        """Return what to cut: (tmin in seconds from the onset, number of samples at `sfreq` Hz).

        Parameters
        ----------
        sfreq : float
            Rate of the signal in Hz.
        applied : sequence of str
            Steps already done to it.
        until : float, optional
            Seconds from the onset at which an unfinished epoch ends: before `tmax`, after the model's first sample.

        Raises
        ------
        ConfigError
            `until` is outside.
        """
        if until is not None and (until >= self.tmax or not self.n_times_until(until)):
            raise ConfigError(
                f"an unfinished epoch that ends {until:g} s after the onset",
                f"an end between {self.start:g} s and {self.tmax:g} s, the window of this decoder",
            )
        if "resample" in applied:
            return self.start, self.n_times_until(until)
        return self.tmin, n_samples(self.tmin, self.tmax if until is None else until, sfreq)

    def operators(
        self, sfreq: float, applied: Sequence[str] = (), until: float | None = None
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Return (spatial, temporal) matrices for a stream; None stands for the identity.

        Parameters
        ----------
        sfreq, applied, until
            As in `window`. An unfinished epoch is preprocessed as if it stayed at its last sample, as resampling takes
            it to do at any edge, and the model's input after `until` is zero. Resampling the shorter epoch by itself
            would shift it by up to half a sample of the model: MNE rounds the padding.
        """
        n_in, n_times = self.window(sfreq, applied, until)[1], self.n_times_until(until)
        spatial = None if "whiten" in applied else self.spatial
        if "resample" in applied:
            return spatial, None if until is None else np.eye(n_in, self.n_times, dtype=np.float32)
        baseline = None if "baseline" in applied else self.baseline
        whole = temporal_operator(sfreq, self.sfreq, self.tmin, self.tmax, baseline, self.start, self.n_times)
        if until is None:
            return spatial, whole
        temporal = whole[:n_in].copy()
        temporal[-1] += whole[n_in:].sum(axis=0)
        temporal[:, n_times:] = 0.0
        return spatial, temporal

    def __call__(
        self, data: NDArray[Any], sfreq: float, applied: Sequence[str] = (), until: float | None = None
    ) -> NDArray[np.float32]:
        """Return model input for whole epochs.

        Parameters
        ----------
        data : ndarray, shape (n_epochs, n_channels, n_in) or (n_channels, n_in)
            Volts, channels in model order, cut as ``window(sfreq, applied, until)`` says.
        sfreq : float
            Rate of `data` in Hz.
        applied : sequence of str
            Steps already done to `data`.
        until : float, optional
            Seconds from the onset at which unfinished epochs end.

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_channels, n_times)
            In units of the noise's standard deviation.
        """
        data = np.asarray(data)
        batch = data if data.ndim == 3 else data[None]
        expected = (len(self.ch_names), self.window(sfreq, applied, until)[1])
        if batch.shape[1:] != expected:
            raise ChannelMismatchError(
                f"epochs have shape (channels, samples) = {batch.shape[1:]}", f"{expected} at {sfreq:g} Hz"
            )
        batch = apply_operators(self.centred(batch, applied), *self.operators(sfreq, applied, until))
        batch = np.ascontiguousarray(batch, dtype=np.float32)
        return batch if data.ndim == 3 else batch[0]

    def centred(self, batch: NDArray[Any], applied: Sequence[str] = ()) -> NDArray[np.float32]:
        """Return `batch`, shape (..., n_times), in float32, less its first sample where a baseline will be subtracted.

        The baseline removes any constant anyway; taking it away first keeps the digits that an electrode offset eats.
        """
        if self.baseline is not None and not {"baseline", "resample"} & set(applied):
            batch = batch - batch[..., :1]
        return np.asarray(batch, dtype=np.float32)

    def to_config(self) -> dict[str, Any]:
        """Return everything but the matrix, for JSON."""
        return {
            "ch_names": list(self.ch_names),
            "sfreq": self.sfreq,
            "tmin": self.tmin,
            "tmax": self.tmax,
            "baseline": list(self.baseline) if self.baseline else None,
            "start": self.start,
            "n_times": self.n_times,
            "applied": list(self.applied),
        }

    def save_matrix(self, path: Path) -> None:
        """Write the spatial matrix to a safetensors file."""
        save_file({"spatial": np.ascontiguousarray(self.spatial, dtype=np.float32)}, path)

    @classmethod
    def from_config(cls, config: dict[str, Any], matrix: Path) -> Preprocessor:
        """Return the preprocessor that `to_config` and `save_matrix` stored.

        Raises
        ------
        CheckpointError
            A field is missing or the matrix does not fit.
        """
        try:
            spatial = load_file(matrix)["spatial"]
            baseline = config["baseline"]
            return cls(
                ch_names=tuple(str(name) for name in config["ch_names"]),
                sfreq=float(config["sfreq"]),
                tmin=float(config["tmin"]),
                tmax=float(config["tmax"]),
                baseline=(float(baseline[0]), float(baseline[1])) if baseline else None,
                start=float(config["start"]),
                n_times=int(config["n_times"]),
                spatial=spatial,
                applied=tuple(step for step in config["applied"] if step in STEPS),
            )
        except Exception as error:  # every malformed file, by whichever library refuses it
            raise CheckpointError(
                f"the preprocessing beside {matrix} cannot be read: {error!r}",
                "the fields and matrix that necomimi preprocess wrote",
                "run necomimi preprocess (and train) again",
            ) from error
