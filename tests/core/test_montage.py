"""A stream's channels become the model's by name, in volts; what cannot be matched is refused by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import mne
import numpy as np
import pytest

from necomimi.errors import ChannelMismatchError
from necomimi.montage import MAX_NOISE_GAIN, canonical_name, match_channels, needs_samples, volts_per_unit
from necomimi.records import StreamInfo
from necomimi.things_eeg2 import MODEL_CH_NAMES

MONTAGE = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"


def stream(names: Sequence[str], units: Sequence[str] | None = None, types: Sequence[str] | None = None) -> StreamInfo:
    return StreamInfo(
        name="amp", type="EEG", source_id="amp-1", uid="u", ch_names=tuple(names), sfreq=250.0,
        units=tuple(units or ["microvolts"] * len(names)), ch_types=tuple(types or ()), speed=2.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("label", "same"),
    [
        ("Fp1", "FP1"), ("EEG Fp1-REF", "fp1"), ("T3", "T7"), ("t6", "P8"), (" C z ", "Cz"), ("EEG_O1-LE", "o1"),
        ("EEG FP1-AR", "Fp1"), ("EEG T3-A1A2", "T7"), ("EEG T3-A1+A2", "T7"), ("Fp1-A2", "Fp1"), ("O2-M1", "O2"),
        ("EEG-Fp1", "Fp1"), ("POL Fp1", "Fp1"), ("FP1.", "Fp1"), ("Iz..", "Iz"), ("Fp1\0\0", "Fp1"), ("Cz-Avg", "CZ"),
    ],
)  # fmt: skip
def test_names_that_mean_one_channel(label: str, same: str) -> None:
    assert canonical_name(label) == canonical_name(same)


def test_different_channels_stay_different() -> None:
    names = ["Fp1", "Fp2", "AF7", "T7", "T8", "P7", "P8", "M1", "A1", "TP9", "T1", "FT9", "Cb1", "PO9", "A1-A2", "A2"]
    names += ["Fp1-F7", "F7-T3", "Fp1-Cz", "Fp1-0", "Fp1_1", "EEG 1", "EEG 2", "eeg3", "REF", "EEG", "#1", "C3'"]
    assert len({canonical_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", mne.channels.get_builtin_montages())
def test_no_two_sites_of_a_real_cap_are_taken_for_one(name: str) -> None:
    sites = mne.channels.make_standard_montage(name).ch_names
    labels = defaultdict(set)
    for site in sites:
        labels[canonical_name(site)].add(site)
    merged = [same for same in labels.values() if len(same) > 1]
    assert all(same in ({"T3", "T7"}, {"T4", "T8"}, {"T5", "P7"}, {"T6", "P8"}) for same in merged), merged


def test_reordered_and_converted() -> None:
    info = stream(["Status", "EEG Oz-REF", "T3", "X"], ["", "mV", "µV", "V"], ["Trigger", "EEG", "eeg", "Accel"])
    channels = match_channels(info, ["T7", "Oz"])
    volts = channels(np.array([[1, 2.0, 3.0, 4], [5, 6.0, 7.0, 8]], dtype=np.float32))
    np.testing.assert_allclose(volts, [[3e-6, 7e-6], [2e-3, 6e-3]], rtol=1e-6)
    assert volts.dtype == np.float32
    assert channels.info.ch_names == ("T7", "Oz")
    assert channels.info.speed == 2.0


def test_refusals_name_the_channels() -> None:
    with pytest.raises(ChannelMismatchError, match="lacks 2 of 3 channels: Pz, Oz"):
        match_channels(stream(["Cz", "Fz"]), ["Cz", "Pz", "Oz"])
    with pytest.raises(ChannelMismatchError, match="several channels named T7"):
        match_channels(stream(["T3", "T7"]), ["T7"])
    with pytest.raises(ChannelMismatchError, match="lacks 1"):  # a trigger channel is no EEG, whatever its name
        match_channels(stream(["Cz"], types=["Stim"]), ["Cz"])


def test_a_channel_of_another_type_is_pointed_out() -> None:
    with pytest.raises(ChannelMismatchError, match="Cz is of type 'Stim'"):
        match_channels(stream(["Cz", "Pz"], types=["Stim", "EEG"]), ["Cz", "Pz"])


@pytest.mark.parametrize("unit", ["uV", "µV", "μV", "microvolts", "Microvolt", " uv "])
def test_spellings_of_microvolt(unit: str) -> None:
    assert volts_per_unit(unit) == 1e-6


@pytest.mark.parametrize(("unit", "words"), [("furlong", "furlong"), ("", "silent")])
def test_unknown_units_are_refused(unit: str, words: str) -> None:
    with pytest.raises(ChannelMismatchError, match=words):
        match_channels(stream(["Cz"], [unit]), ["Cz"])
    assert match_channels(stream(["Cz"], [unit]), ["Cz"], unit="mV").factors[0] == np.float32(1e-3)


# Headers as senders write them: (labels, units, types), and the model's channels that must be found at which place


def repeat(n: int, *words: str) -> list[str]:
    return [words[0]] * n + list(words[1:])


HEADERS = {
    "BrainVision actiCHamp with auxiliaries": (
        ["Fp1", "Fz", "Oz", "AUX_1", "AUX_2"], repeat(5, "microvolts"), repeat(3, "EEG", "AUX", "AUX"),
        {"Fz": 1, "Oz": 2},
    ),
    "BrainVision RDA, its micro sign in Latin-1": (["Fp1", "Oz"], ["µV", "µV"], ["EEG", "EEG"], {"Fp1": 0, "Oz": 1}),
    "g.Nautilus": (
        ["FP1", "OZ", "ACC X", "Counter", "Link Quality"], ["uV", "uV", "g", "samples", "unknown"],
        ["EEG", "EEG", "Accelerometer", "Counter", "LinkQuality"], {"Oz": 1, "Fp1": 0},
    ),
    "g.USBamp with a counter": (
        ["Cz", "Oz", "Counter", "Digital IOs"], ["uV", "uV", "mod(samples,1000000)", "unknown"],
        ["EEG", "EEG", "Counter", "DigitalIOs"], {"Cz": 0, "Oz": 1},
    ),
    "eego, which calls each channel EEG and lists its trigger": (
        ["Fp1", "M1", "T7", "TRG", "SC"], repeat(5, "microvolts"), repeat(5, "EEG"), {"T7": 2, "M1": 1},
    ),
    "OpenBCI on pyOpenBCI": (
        ["Fp1", "O1", "unkown1", "unkown2"], repeat(4, "microvolts"), repeat(4, "EEG"), {"O1": 1, "Fp1": 0},
    ),
    "muselsl": (["TP9", "AF7", "AF8", "TP10", "Right AUX"], repeat(5, "microvolts"), repeat(5, "EEG"), {"TP10": 3}),
    "BioSemi with its A and B banks renamed": (
        ["Trig1", "A1", "PO7", "ex1"], ["", *repeat(3, "microvolts")], ["Trigger", "EEG", "EEG", "AUX"],
        {"PO7": 2, "A1": 1},
    ),
    "EDF of the Temple University corpus": (
        ["EEG FP1-REF", "EEG T3-REF", "EEG OZ-REF", "EEG EKG1-REF", "IBI"], repeat(5, "uV"), [],
        {"Fp1": 0, "T7": 1, "Oz": 2},
    ),
    "EDF of PhysioNet's motor imagery": (["Fc5.", "Fcz.", "Oz..", "Iz.."], repeat(4, "uV"), [], {"Oz": 2, "FC5": 0}),
    "EDF of Nihon Kohden": (["POL Fp1", "POL T3", "POL E", "EEG Mark1"], repeat(4, "uV"), [], {"T7": 1, "Fp1": 0}),
    "a polysomnograph": (["C3-A2", "O2-A1", "ROC-A1", "EMG1-EMG2"], repeat(4, "uV"), [], {"C3": 0, "O2": 1}),
    "MNE": (["EEG 001", "Cz", "STI 014"], repeat(3, "V"), ["eeg", "eeg", "stim"], {"Cz": 1}),
    "fewer labels than channels": (["Cz", "#2", "#3"], ["uV", "", ""], ["EEG", "", ""], {"Cz": 0}),
    "labels that are no UTF-8": (["Cz", "caf\ufffd", "\ufffd"], repeat(3, "uV"), [], {"Cz": 0}),
    "labels twice where nobody asks": (["Cz", "AUX", "AUX"], repeat(3, "uV"), [], {"Cz": 0}),
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_headers_from_life(header: str) -> None:
    names, units, types, wanted = HEADERS[header]
    info = stream(names, units, types)
    assert not needs_samples(info, list(wanted))
    channels = match_channels(info, list(wanted))
    assert channels.picks.tolist() == list(wanted.values())
    assert set(channels.factors.tolist()) == {np.float32(1.0 if header == "MNE" else 1e-6)}
    assert channels.info.ch_names == tuple(wanted)
    assert channels.info.warnings == ()


def test_numbered_channels_are_not_taken_for_sites() -> None:
    info = stream([f"eeg{i}" for i in range(1, 9)] + ["battery"], types=[*["EEG"] * 8, "BATTERY"])  # a Unicorn
    with pytest.raises(ChannelMismatchError, match="lacks 2 of 2 channels: Cz, Oz"):
        match_channels(info, ["Cz", "Oz"], max_interpolated=2)


# Interpolation


def recording(n_times: int = 40) -> np.ndarray:
    """Microvolts, shape (n_times, 63): a smooth field, as a head makes it, and a little noise."""
    rng = np.random.default_rng(1)
    info = mne.create_info(list(MODEL_CH_NAMES), 250.0, "eeg").set_montage(MONTAGE)
    places = np.array([channel["loc"][:3] for channel in info["chs"]])
    field = np.cos(places @ rng.normal(scale=15.0, size=(3, 6)) + rng.uniform(0, 6, 6)) @ rng.normal(size=(6, n_times))
    return (20 * field.T + rng.normal(scale=0.5, size=(n_times, len(MODEL_CH_NAMES)))).astype(np.float32)


@pytest.mark.parametrize("missing", [("Fp1",), ("AF3", "Fp1"), ("Oz", "P7", "Cz", "F8")])
def test_interpolation_is_that_of_mne(missing: tuple[str, ...]) -> None:
    data = recording()
    info = mne.create_info(list(MODEL_CH_NAMES), 250.0, "eeg").set_montage(MONTAGE)
    raw = mne.io.RawArray(1e-6 * data.T.astype(float), info)
    raw.info["bads"] = list(missing)
    expected = raw.interpolate_bads(mode="accurate").get_data()

    kept = [name for name in reversed(MODEL_CH_NAMES) if name not in missing]
    wire = data[:, [MODEL_CH_NAMES.index(name) for name in kept]]
    before = wire.copy()
    channels = match_channels(stream(kept), MODEL_CH_NAMES, max_interpolated=len(missing))
    volts = channels(wire)
    assert volts.dtype == np.float32
    np.testing.assert_allclose(volts, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(wire, before)
    rows = [MODEL_CH_NAMES.index(name) for name in missing]
    for row in rows:  # and it is worth something
        assert np.corrcoef(volts[row], data[:, row])[0, 1] > 0.8
    for start in range(0, len(wire), 7):  # a chunk at a time is the same
        np.testing.assert_allclose(channels(wire[start : start + 7]), volts[:, start : start + 7], atol=1e-9)


def test_interpolation_is_told_in_words_and_has_a_limit() -> None:
    def without(*missing: str) -> StreamInfo:
        return stream([name for name in MODEL_CH_NAMES if name not in missing])

    def warnings(*missing: str) -> tuple[str, ...]:
        return match_channels(without(*missing), MODEL_CH_NAMES, max_interpolated=3).info.warnings

    assert warnings() == ()
    assert warnings("Fp1") == ("Fp1 is interpolated",)
    assert warnings("Fp1", "AF3") == ("Fp1 and AF3 are interpolated",)
    assert warnings("Fp1", "AF3", "Oz") == ("Fp1, AF3 and Oz are interpolated",)
    with pytest.raises(ChannelMismatchError, match=r"(?s)lacks 2 of 63 channels: Fp1, Oz\n.*--interpolate 2"):
        match_channels(without("Fp1", "Oz"), MODEL_CH_NAMES, max_interpolated=1)


def test_an_interpolated_channel_has_the_good_ones_units() -> None:
    kept = MODEL_CH_NAMES[1:]
    units = ["V" if i % 2 else "uV" for i in range(len(kept))]
    factors = np.array([1.0 if unit == "V" else 1e-6 for unit in units])
    volts = recording()[:, 1:] * 1e-6
    mixed = match_channels(stream(kept, units), MODEL_CH_NAMES, max_interpolated=1)(volts / factors)
    plain = match_channels(stream(kept, ["V"] * 62), MODEL_CH_NAMES, max_interpolated=1)(volts)
    np.testing.assert_allclose(mixed, plain, atol=1e-10)


def test_signal_that_is_not_finite_passes_through() -> None:
    channels = match_channels(stream(MODEL_CH_NAMES[1:]), MODEL_CH_NAMES, max_interpolated=1)
    wire = recording(3)[:, 1:]
    wire[1, 5], wire[2, :2] = np.nan, (np.inf, -np.inf)
    finite = np.isfinite(channels(wire))
    assert finite[:, 0].all()
    assert not finite[0, 1]  # Fp1, the interpolated one
    assert not finite[0, 2]
    assert np.argwhere(~finite[1:, 1]).tolist() == [[5]]


@pytest.mark.parametrize(
    ("names", "missing", "words"),
    [
        (MODEL_CH_NAMES[:8], 1, "Fp1 cannot be interpolated: 7 channels remain"),
        ((*MODEL_CH_NAMES, "Nose"), 1, "no position is known for Nose"),
        (("TP10", *[name for name in MODEL_CH_NAMES if name[-1] in "13579z"]), 1, "TP10 lies too far from the others"),
    ],
)
def test_what_cannot_be_interpolated_is_refused(names: tuple[str, ...], missing: int, words: str) -> None:
    with pytest.raises(ChannelMismatchError, match=words):
        match_channels(stream(names[missing:]), names, max_interpolated=5)
    assert MAX_NOISE_GAIN == 2.0


# Silent units


def eeg(scale: float, n_channels: int = 3, n_times: int = 250) -> np.ndarray:
    """Noise of standard deviation `scale` on an electrode's offset and drift a thousand times as large."""
    rng = np.random.default_rng(3)
    drift = np.linspace(0, 1000 * scale, n_times)[:, None] + 3000 * scale
    return drift + rng.normal(scale=scale, size=(n_times, n_channels))


@pytest.mark.parametrize(
    ("scale", "factor", "words"),
    [
        (12e-6, 1.0, "unit guessed: volts (median 1.2e-05 V)"),
        (12e-3, 1e-3, "unit guessed: millivolts (median 0.012 mV)"),
        (12.0, 1e-6, "unit guessed: microvolts (median 12 µV)"),
        (300.0, 1e-6, "unit guessed: microvolts (median 3e+02 µV)"),
        (12e3, 1e-9, "unit guessed: nanovolts (median 1.2e+04 nV)"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_silent_unit_is_guessed_from_the_amplitude(scale: float, factor: float, words: str, dtype: type) -> None:
    info = stream(["Cz", "Pz", "Oz"], ["", "", ""])
    assert needs_samples(info, ["Oz", "Cz"])
    samples = eeg(scale).astype(dtype)
    channels = match_channels(info, ["Oz", "Cz"], samples=samples)
    assert set(channels.factors.tolist()) == {np.float32(factor)}
    (warning,) = channels.info.warnings
    assert warning.split("(")[0] == words.split("(")[0]
    figure = float(warning.split()[-2])
    assert figure == pytest.approx(scale, rel=0.1)
    assert match_channels(info, ["Oz"], unit="V", samples=samples).info.warnings == ()


def test_the_words_of_a_guess() -> None:
    samples = np.tile([[12.0], [-12.0]], (125, 3))
    channels = match_channels(stream(["Cz", "Pz", "Oz"], ["", "", ""]), ["Cz"], samples=samples)
    assert channels.info.warnings == ("unit guessed: microvolts (median 12 µV)",)


def test_only_the_models_silent_channels_are_guessed_from() -> None:
    info = stream(["Cz", "Pz", "Oz", "X", "Status"], ["", "V", "", "", ""], ["", "", "", "", "Trigger"])
    samples = np.concatenate([eeg(20.0), 1e9 * eeg(1.0, 2)], axis=1)
    samples[:, 1] *= 1e-6
    channels = match_channels(info, ["Cz", "Pz", "Oz"], samples=samples)
    np.testing.assert_allclose(channels.factors, [1e-6, 1.0, 1e-6])
    assert not needs_samples(info, ["Pz"])
    assert needs_samples(info, ["Cz"])


def test_one_bad_channel_does_not_spoil_the_guess() -> None:
    samples = eeg(15.0, 5)
    samples[:, 0], samples[7, 1], samples[:, 2] = 0.0, np.nan, 1e7 * np.random.default_rng(0).normal(size=250)
    channels = match_channels(stream(list("ABCDE"), [""] * 5), list("ABCDE"), samples=samples)
    assert channels.factors[0] == np.float32(1e-6)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((250, 3)), "the signal is constant"),
        (np.full((250, 3), 4e5), "the signal is constant"),
        (np.full((250, 3), np.nan), "3 of 3 channels are not finite"),
        (np.full((250, 3), np.inf), "3 of 3 channels are not finite"),
        (eeg(12.0)[:5], "5 samples came"),
        (eeg(1e8), "median standard deviation is 1e+08"),
        (eeg(1e-8), "median standard deviation is 1e-08"),
    ],
)
def test_a_signal_that_tells_no_unit_is_refused(samples: np.ndarray, words: str) -> None:
    with pytest.raises(ChannelMismatchError) as refused:
        match_channels(stream(["Cz", "Pz", "Oz"], ["", "", ""]), ["Cz", "Pz", "Oz"], samples=samples)
    message = str(refused.value)
    assert "silent about its units" in message
    assert words.split(" is 1e")[0] in message
    assert "--unit microvolts" in message


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float64])
def test_other_wire_formats_become_float32(dtype: type) -> None:
    volts = match_channels(stream(["Cz"]), ["Cz"])(np.array([[7], [-9]], dtype=dtype))
    assert volts.dtype == np.float32
    np.testing.assert_allclose(volts, [[7e-6, -9e-6]])
