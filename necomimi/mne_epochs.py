"""Take epochs of MNE-Python: mne.Epochs, a decoder's preprocessing -> volts in model order, cut to its window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ConfigError
from necomimi.montage import match_channels
from necomimi.preprocessing import Preprocessor
from necomimi.records import StreamInfo

if TYPE_CHECKING:
    from mne import BaseEpochs

__all__ = ["volts_of"]


def volts_of(epochs: BaseEpochs, preprocessor: Preprocessor) -> tuple[NDArray[np.float32], float]:
    """Return what `necomimi.decoder.Decoder.embed_raw` takes.

    Channels are found by name, whatever their order and case. A baseline that MNE has subtracted does no harm: ours is
    subtracted again. Whatever else was done to the signal (filters, another reference) should be what was done to the
    decoder's training epochs.

    Parameters
    ----------
    epochs : mne.Epochs
        Of EEG, in volts, as MNE keeps them, at the model's rate or a higher one.
    preprocessor : Preprocessor
        The decoder's.

    Returns
    -------
    data : ndarray of float32, shape (n_epochs, n_channels, n_in)
        Volts, channels in model order, from ``preprocessor.tmin`` on.
    sfreq : float
        Hz.

    Raises
    ------
    ChannelMismatchError
        Channels are missing, or the rate is below the model's.
    ConfigError
        This is no mne.Epochs object, it is empty, or its epochs are shorter than the model's window.
    """
    if not hasattr(epochs, "get_data") or not hasattr(epochs, "tmin"):
        raise ConfigError(f"a {type(epochs).__name__}", "epochs of MNE (mne.Epochs, mne.EpochsArray)")
    sfreq = float(epochs.info["sfreq"])
    preprocessor.check_stream(sfreq, preprocessor.applied)
    names = tuple(epochs.ch_names)
    info = StreamInfo(
        name="mne.Epochs",
        type="EEG",
        source_id="",
        uid="",
        ch_names=names,
        sfreq=sfreq,
        units=("V",) * len(names),
    )
    picks = match_channels(info, preprocessor.ch_names).picks
    tmin, n_in = preprocessor.window(sfreq, preprocessor.applied)
    first = round((tmin - float(epochs.tmin)) * sfreq)
    n_times = len(epochs.times)
    if first < 0 or first + n_in > n_times:
        raise ConfigError(
            f"epochs from {epochs.tmin:g} to {epochs.tmax:g} s",
            f"at least {tmin:g} to {tmin + (n_in - 1) / sfreq:g} s, as the decoder's",
            "cut them longer: mne.Epochs(raw, events, tmin=..., tmax=...)",
        )
    data: NDArray[Any] = epochs.get_data(copy=False, verbose="error")
    if not len(data):
        raise ConfigError("no epochs", "at least one", "see epochs.drop_log for why they were dropped")
    return np.ascontiguousarray(data[:, picks, first : first + n_in], dtype=np.float32), sfreq
