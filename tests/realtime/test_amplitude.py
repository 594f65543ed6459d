"""A wrong unit in a header shows in the amplitude; what is no wrong unit does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from necomimi.realtime.amplitude import AmplitudeWatch
from necomimi.records import Chunk, StreamInfo

SFREQ = 1000.0
N_CHANNELS = 8


def header(**changes: Any) -> StreamInfo:
    names = tuple(f"#{i}" for i in range(N_CHANNELS))
    fields: dict[str, Any] = {"name": "amp", "type": "EEG", "source_id": "s", "uid": "u", "sfreq": SFREQ}
    return StreamInfo(**{**fields, "ch_names": names, "units": ("V",) * N_CHANNELS, **changes})


def play(watch: AmplitudeWatch, info: StreamInfo, scale: float, seconds: float = 1.0) -> None:
    """Show a watch EEG of 20 µV in packets, as if it were `scale` times as large, on electrodes that drift."""
    n = round(seconds * SFREQ)
    data = np.random.default_rng(0).normal(scale=20e-6, size=(N_CHANNELS, n)) + np.linspace(0.1, 0.102, n)
    for i in range(0, n, 20):
        part = (scale * data[:, i : i + 20]).astype(np.float32)
        watch.add(Chunk(data=part, timestamps=np.arange(i, i + part.shape[1]) / SFREQ, info=info))


@pytest.mark.parametrize("scale", [1e6, 1e3, 1e-3, 1e-6])
def test_a_unit_that_is_wrong_is_told(scale: float, caplog: pytest.LogCaptureFixture) -> None:
    watch, info = AmplitudeWatch(), header()
    play(watch, info, scale, seconds=5.0)
    assert "is no EEG in the unit of its header" in watch.warning
    assert f"{20e-6 * scale:.0e}" == f"{float(watch.warning.split(' V (')[0].split()[-1]):.0e}"
    assert len(caplog.records) == 1
    play(watch, header(), 1.0)  # the stream came back, mended
    assert watch.warning == ""


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_eeg_is_none(scale: float) -> None:
    watch, info = AmplitudeWatch(), header()
    play(watch, info, scale, seconds=2.0)
    assert watch.warning == ""
    play(watch, info, 1e3)  # an artefact later on
    assert watch.warning == ""


def test_the_warning_ends_when_the_cap_is_on() -> None:
    watch, info = AmplitudeWatch(), header()
    play(watch, info, 1e3)
    assert watch.warning
    play(watch, info, 1.0, seconds=2.0)
    assert watch.warning == ""


def test_what_says_nothing_of_a_unit() -> None:
    watch, info = AmplitudeWatch(), header()
    play(watch, header(applied=("baseline", "resample", "whiten")), 1e6, seconds=2.0)
    play(watch, info, 0.0)
    play(watch, info, np.nan)
    assert watch.warning == ""
    play(watch, info, 1e6)  # and then it is there
    assert watch.warning
