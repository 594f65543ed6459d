"""A stream's channels become the model's by name, in volts; what cannot be matched is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.errors import ChannelMismatchError
from necomimi.montage import canonical_name, match_channels, volts_per_unit
from necomimi.records import StreamInfo


def stream(names: list[str], units: list[str] | None = None, types: list[str] | None = None) -> StreamInfo:
    return StreamInfo(
        name="amp", type="EEG", source_id="amp-1", uid="u", ch_names=tuple(names), sfreq=250.0,
        units=tuple(units or ["microvolts"] * len(names)), ch_types=tuple(types or ()), speed=2.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("label", "same"),
    [("Fp1", "FP1"), ("EEG Fp1-REF", "fp1"), ("T3", "T7"), ("t6", "P8"), (" C z ", "Cz"), ("EEG_O1-LE", "o1")],
)
def test_names_that_mean_one_channel(label: str, same: str) -> None:
    assert canonical_name(label) == canonical_name(same)


def test_different_channels_stay_different() -> None:
    names = ["Fp1", "Fp2", "AF7", "T7", "T8", "P7", "P8", "M1", "A1", "TP9"]
    assert len({canonical_name(name) for name in names}) == len(names)


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


@pytest.mark.parametrize("unit", ["uV", "µV", "μV", "microvolts", "Microvolt", " uv "])
def test_spellings_of_microvolt(unit: str) -> None:
    assert volts_per_unit(unit) == 1e-6


@pytest.mark.parametrize(("unit", "words"), [("furlong", "furlong"), ("", "silent")])
def test_unknown_units_are_refused(unit: str, words: str) -> None:
    with pytest.raises(ChannelMismatchError, match=words):
        match_channels(stream(["Cz"], [unit]), ["Cz"])
    assert match_channels(stream(["Cz"], [unit]), ["Cz"], unit="mV").factors[0] == np.float32(1e-3)
