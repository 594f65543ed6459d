"""Channel names and units: a stream's channels -> a model's channels, in order and in volts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import ChannelMismatchError, ConfigError
from necomimi.records import StreamInfo

__all__ = [
    "EEG_STD_V",
    "ChannelMap",
    "canonical_name",
    "eeg_spread",
    "match_channels",
    "needs_samples",
    "repair_matrix",
    "standard_montage",
    "volts_per_unit",
]

# Old 10-20 names and the ones that replaced them.
ALIASES = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
# What clinical systems and EDF exports put before a site's name, and the references they put after it. A second site
# ("Fp1-F7") is no reference but makes a bipolar derivation: another signal, so it stays in the name.
PREFIX = re.compile(r"^(eeg|pol)[\s_:-]+")
REFERENCE = re.compile(r"[\s_-]+(ref|le|ar|avg?|car|a1|a2|m1|m2|a1\+?a2|m1\+?m2)$")
REFERENCE_SITES = ("a1", "a2", "m1", "m2")
VOLTS = {
    **dict.fromkeys(("v", "volt", "volts"), 1.0),
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1e-3),
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts"), 1e-6),  # micro sign and Greek mu
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-9),
}
SIGNAL_TYPES = ("eeg", "")
# One second of scalp EEG spreads over 1 µV to 1 mV, cap and amplifier permitting: three decades, as far apart as units.
EEG_STD_V = (1e-6, 1e-3)
GUESSED_UNITS = {"volts": 1.0, "millivolts": 1e-3, "microvolts": 1e-6, "nanovolts": 1e-9}
MIN_SAMPLES = 10
MIN_GOOD_CHANNELS = 8
MAX_NOISE_GAIN = 2.0


def canonical_name(label: str) -> str:
    """Return the form in which channel labels are compared: "EEG Fp1-REF" and "fp1" are one channel, T3 is T7."""
    name = PREFIX.sub("", label.strip("\0 \t\r\n").lower()).rstrip(".")  # EDF pads names with dots: "Fc5."
    site = REFERENCE.sub("", name)
    if site not in REFERENCE_SITES:  # "A1-A2" is what lies between two ears
        name = site
    name = re.sub(r"\s+", "", name)
    return ALIASES.get(name, name)


def volts_per_unit(unit: str) -> float:
    """Return how many volts one `unit` is.

    Raises
    ------
    ChannelMismatchError
        The unit is silent or unknown.
    """
    factor = VOLTS.get(unit.strip().lower())
    if factor is None:
        raise ChannelMismatchError(
            f"unit {unit!r} in the stream's header" if unit else "the stream's header is silent about its units",
            "V, mV, µV (uV, microvolts) or nV",
            "correct the sender's channel metadata, or say it with --unit microvolts",
        )
    return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMap:
    """How a stream's samples become the model's.

    Parameters
    ----------
    picks : ndarray of int, shape (n_channels,)
        Index in the stream of each channel of the model; any index for an interpolated one.
    factors : ndarray of float32, shape (n_channels,)
        Volts per unit of each.
    info : StreamInfo
        The stream, described as the model sees it: its channels in model order, in volts, with warnings in words.
    missing : ndarray of int, shape (n_missing,)
        The model's channels that the stream lacks.
    weights : ndarray of float32, shape (n_missing, n_channels)
        Each missing channel as a sum of the others; zero at the missing ones.
    """

    picks: NDArray[np.int64]
    factors: NDArray[np.float32]
    info: StreamInfo
    missing: NDArray[np.int64]
    weights: NDArray[np.float32]

    def __call__(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Return volts, shape (n_channels, n_times), from wire samples of shape (n_times, n_stream_channels)."""
        volts = (samples[:, self.picks].T * self.factors[:, None]).astype(np.float32, copy=False)
        if len(self.missing):
            with np.errstate(invalid="ignore", over="ignore"):  # a channel that is infinite makes these so, or NaN
                volts[self.missing] = self.weights @ volts
        return volts


def match_channels(
    info: StreamInfo,
    ch_names: Sequence[str],
    unit: str | None = None,
    *,
    samples: NDArray[Any] | None = None,
    max_interpolated: int = 0,
) -> ChannelMap:
    """Find a model's channels in a stream by name, whatever their order there.

    Parameters
    ----------
    info : StreamInfo
        The stream.
    ch_names : sequence of str
        The model's channels.
    unit : str, optional
        Overrides what the header says of units.
    samples : ndarray, shape (n_times, n_stream_channels), optional
        About one second of the stream as it comes on the wire, from whose amplitude a unit is guessed where the header
        is silent (see `needs_samples`).
    max_interpolated : int
        How many missing channels may be interpolated from the others by spherical splines (Perrin et al., 1989,
        Electroencephalography and Clinical Neurophysiology 72:184-187, as MNE does it). At least `MIN_GOOD_CHANNELS`
        must be there, and no channel may come out of it with more than `MAX_NOISE_GAIN` times the others' noise.

    Returns
    -------
    ChannelMap
        Its ``info.warnings`` say what was interpolated and guessed.

    Raises
    ------
    ChannelMismatchError
        Channels are missing beyond the limit or stand twice in the stream, or a unit is unknown.
    """
    places = _places(info)
    found = [places.get(canonical_name(name), []) for name in ch_names]
    twice = [name for name, where in zip(ch_names, found, strict=True) if len(where) > 1]
    if twice:
        raise ChannelMismatchError(
            f"stream {info.name!r} has several channels named {', '.join(twice)}", "one of each", "rename them"
        )
    missing = [i for i, where in enumerate(found) if not where]
    if len(missing) > max_interpolated or len(missing) == len(ch_names):
        raise _lacking(info, ch_names, missing)
    there = [where[0] for where in found if where]
    picks = np.array([where[0] if where else there[0] for where in found])
    factors, warnings = _volts(info, there, unit, samples)
    weights = np.zeros((0, len(ch_names)), dtype=np.float32)
    if missing:
        weights = _interpolation(tuple(ch_names), tuple(missing))
        names = [ch_names[i] for i in missing]
        listing = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        warnings = (f"{listing} {'is' if len(names) == 1 else 'are'} interpolated", *warnings)
    return ChannelMap(
        picks=picks,
        factors=np.array([factors[i] for i in picks], dtype=np.float32),
        missing=np.array(missing, dtype=np.int64),
        weights=weights,
        info=replace(
            info,
            ch_names=tuple(ch_names),
            units=("V",) * len(picks),
            ch_types=("EEG",) * len(picks),
            warnings=(*info.warnings, *warnings),
        ),
    )


def eeg_spread(data: NDArray[np.float64]) -> float:
    """Return the median over channels of the standard deviation, less a straight line; see `EEG_STD_V`.

    Parameters
    ----------
    data : ndarray of float64, shape (n_times, n_channels)
        About a second.
    """
    time = np.linspace(-1.0, 1.0, len(data))
    data = data - data.mean(axis=0)
    data = data - np.outer(time, time @ data / (time @ time))  # an electrode's drift says nothing of the unit
    return float(np.median(data.std(axis=0)))


def needs_samples(info: StreamInfo, ch_names: Sequence[str]) -> bool:
    """Return whether a stream's header is silent about the unit of any of a model's channels.

    `match_channels` then wants a second of signal, from which it guesses.
    """
    places = _places(info)
    units = info.units or ("",) * len(info.ch_names)
    return any(not units[i].strip() for name in ch_names for i in places.get(canonical_name(name), []))


def standard_montage() -> Any:
    """Return MNE's montage of the 10-5 system."""
    import mne

    names = mne.channels.get_builtin_montages()  # MNE 1.13 gives it another name
    return mne.channels.make_standard_montage("colin27_1005" if "colin27_1005" in names else "standard_1005")


def repair_matrix(ch_names: Sequence[str], bads: Sequence[str]) -> NDArray[np.float64]:
    """Return the matrix that puts what the other channels say in the place of bad ones (spherical splines).

    Parameters
    ----------
    ch_names : sequence of str
        Of the 10-05 system.
    bads : sequence of str
        Some of them.

    Returns
    -------
    ndarray of float64, shape (n_channels, n_channels)
        ``matrix @ data`` is `data` where a channel is good; a bad one counts nowhere.

    Raises
    ------
    ConfigError
        A bad channel is none of `ch_names`.
    ChannelMismatchError
        Too few channels remain, or none near enough.
    """
    places = {canonical_name(name): i for i, name in enumerate(ch_names)}
    unknown = [name for name in bads if canonical_name(name) not in places]
    if unknown:
        raise ConfigError(f"bad channel {', '.join(unknown)}", f"some of {', '.join(ch_names)}")
    matrix = np.eye(len(ch_names))
    if rows := sorted({places[canonical_name(name)] for name in bads}):
        matrix[rows] = _interpolation(tuple(ch_names), tuple(rows))
    return matrix


def _places(info: StreamInfo) -> dict[str, list[int]]:
    """Return where in a stream each EEG channel stands, by canonical name."""
    types = info.ch_types or ("",) * len(info.ch_names)
    places: dict[str, list[int]] = {}
    for i, (label, kind) in enumerate(zip(info.ch_names, types, strict=True)):
        if kind.strip().lower() in SIGNAL_TYPES:
            places.setdefault(canonical_name(label), []).append(i)
    return places


def _lacking(info: StreamInfo, ch_names: Sequence[str], missing: Sequence[int]) -> ChannelMismatchError:
    """Return the refusal of a stream that lacks channels, by name."""
    names = [ch_names[i] for i in missing]
    wanted = {canonical_name(name) for name in names}
    types = info.ch_types or ("",) * len(info.ch_names)
    others = [f"{n} is of type {t!r}" for n, t in zip(info.ch_names, types, strict=True) if canonical_name(n) in wanted]
    remedy = "choose another stream, rename its channels in the amplifier's software, or train on this montage"
    if len(ch_names) - len(missing) >= MIN_GOOD_CHANNELS:
        remedy = f"rename its channels in the amplifier's software, or --interpolate {len(missing)} from the others"
    return ChannelMismatchError(
        f"stream {info.name!r} lacks {len(missing)} of {len(ch_names)} channels: {', '.join(names)}",
        "; ".join([f"the decoder's channels; the stream has {', '.join(info.ch_names[:80])}", *others]),
        remedy,
    )


def _volts(
    info: StreamInfo, there: Sequence[int], unit: str | None, samples: NDArray[Any] | None
) -> tuple[dict[int, float], tuple[str, ...]]:
    """Return volts per unit for each stream channel in `there`, and warnings where that is a guess."""
    units = [unit] * len(info.ch_names) if unit else [u.strip() for u in info.units or ("",) * len(info.ch_names)]
    silent = [i for i in there if not units[i]]
    if not silent or samples is None:
        return {i: volts_per_unit(units[i]) for i in there}, ()
    guessed, warning = _guess_unit(np.asarray(samples)[:, silent])
    factors = {i: guessed if i in silent else volts_per_unit(units[i]) for i in there}
    return factors, (warning,)


def _guess_unit(samples: NDArray[Any]) -> tuple[float, str]:
    """Return the volts per unit that make `samples`, shape (n_times, n_channels), look like EEG, and say so."""
    remedy = "check the amplifier and its cap, or say the unit with --unit microvolts"
    silence = "the stream's header is silent about its units, and they cannot be guessed: "
    if len(samples) < MIN_SAMPLES:
        raise ChannelMismatchError(f"{silence}{len(samples)} samples came", "about a second of signal", remedy)
    data = samples.astype(np.float64)
    data = data[:, np.isfinite(data).all(axis=0)]
    if 2 * data.shape[1] < samples.shape[1]:
        n_bad = samples.shape[1] - data.shape[1]
        raise ChannelMismatchError(
            f"{silence}{n_bad} of {samples.shape[1]} channels are not finite", "EEG on most channels", remedy
        )
    spread = eeg_spread(data)
    if spread <= 1e-9 * float(np.median(np.abs(samples[np.isfinite(samples)]))):
        raise ChannelMismatchError(f"{silence}the signal is constant", "EEG on most channels", remedy)
    for name, volts in GUESSED_UNITS.items():
        if EEG_STD_V[0] <= spread * volts < EEG_STD_V[1]:
            short = {"volts": "V", "millivolts": "mV", "microvolts": "µV", "nanovolts": "nV"}[name]
            return volts, f"unit guessed: {name} (median {spread:.2g} {short})"
    raise ChannelMismatchError(
        f"{silence}the signal's median standard deviation is {spread:.2g}", "1 µV to 1 mV in V, mV, µV or nV", remedy
    )


@lru_cache(maxsize=8)
def _interpolation(ch_names: tuple[str, ...], missing: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the weights, shape (n_missing, n_channels), with which MNE interpolates `missing` from the others.

    MNE's interpolation is linear, so what it makes of the identity is its matrix.
    """
    import mne

    names = [ch_names[i] for i in missing]
    n_good = len(ch_names) - len(missing)
    found = f"{', '.join(names)} cannot be interpolated: "
    if n_good < MIN_GOOD_CHANNELS:
        raise ChannelMismatchError(
            f"{found}{n_good} channels remain",
            f"at least {MIN_GOOD_CHANNELS}",
            "mend the cap, or train on this montage",
        )
    head = standard_montage().get_positions()
    sites = {canonical_name(name): position for name, position in head["ch_pos"].items()}
    unknown = [name for name in ch_names if canonical_name(name) not in sites]
    if unknown:
        raise ChannelMismatchError(
            f"{found}no position is known for {', '.join(unknown)}", "names of the 10-5 system", "mend the cap"
        )
    info = mne.create_info(list(ch_names), sfreq=1.0, ch_types="eeg", verbose="error")
    positions = {name: sites[canonical_name(name)] for name in ch_names}
    fiducials = {name: head[name] for name in ("nasion", "lpa", "rpa", "coord_frame")}
    info.set_montage(mne.channels.make_dig_montage(positions, **fiducials), verbose="error")
    identity = mne.EvokedArray(np.eye(len(ch_names)), info, verbose="error")
    identity.info["bads"] = names
    identity.interpolate_bads(reset_bads=False, verbose="error")
    weights = identity.get_data(picks=names)
    weights[:, list(missing)] = 0.0
    gain = np.linalg.norm(weights, axis=1)
    if gain.max() > MAX_NOISE_GAIN:
        raise ChannelMismatchError(
            f"{found}{names[gain.argmax()]} lies too far from the others (noise would grow {gain.max():.1f} times)",
            f"at most {MAX_NOISE_GAIN:g} times",
            "mend the cap, or train on this montage",
        )
    return np.ascontiguousarray(weights, dtype=np.float32)
