"""Headers, samples and markers cross real liblsl unchanged; streams are found by what they are called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pylsl
import pytest

from necomimi import lsl
from necomimi.errors import StreamLostError, StreamNotFoundError
from necomimi.markers import MAX_LABEL_CHARS
from necomimi.records import StreamInfo

pytestmark = pytest.mark.lsl


def make_info(name: str, **changes: object) -> StreamInfo:
    fields: dict = {
        "name": name, "type": "EEG", "source_id": f"{name}-id", "uid": "", "ch_names": ("Fp1", "Öz", "Status"),
        "sfreq": 250.0, "units": ("microvolts", "µV", ""), "ch_types": ("EEG", "EEG", "Trigger"),
    }  # fmt: skip
    return StreamInfo(**{**fields, **changes})


def find(**wanted: str) -> pylsl.StreamInfo:
    return lsl.find_stream(lsl.Finder(**wanted), 10.0)  # type: ignore[arg-type]


def test_the_header_survives() -> None:
    sent = make_info("header", applied=("baseline", "resample"), speed=2.5)
    outlet = lsl.EEGOutlet(sent)
    with lsl.EEGInlet(find(source_id="header-id")) as inlet:
        for field in ("name", "type", "source_id", "ch_names", "sfreq", "units", "ch_types", "applied", "speed"):
            assert getattr(inlet.info, field) == getattr(sent, field), field
        assert inlet.info.uid
    assert [info.ch_names for info in lsl.resolve_streams(2.0) if info.name == "header"] == [sent.ch_names]
    del outlet


def test_samples_arrive_once_in_order_and_stamped() -> None:
    outlet = lsl.EEGOutlet(make_info("samples"))
    data = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    with lsl.EEGInlet(find(name="samples")) as inlet:
        t0 = lsl.local_clock()
        for i in range(0, 1000, 8):
            outlet.push(data[i : i + 8], t0 + (i + 7) / 250.0)
        got, stamps = [], []
        while sum(map(len, got)) < 1000:
            samples, times = inlet.pull(5.0)
            assert len(samples), "samples are missing"
            got.append(samples.copy())
            stamps.append(times)
        np.testing.assert_array_equal(np.concatenate(got), data)
        np.testing.assert_allclose(np.concatenate(stamps), t0 + np.arange(1000) / 250.0, atol=1e-4)
        assert [len(part) for part in inlet.pull(0.0)] == [0, 0]
        del outlet
        with pytest.raises(StreamLostError, match="'samples' was lost"):
            inlet.pull(10.0)


def test_markers_of_every_kind() -> None:
    outlet = lsl.MarkerOutlet("marks", "marks-id")
    labels = ["cat", "", "猫 \" ' <&>", "x" * 5000]
    with lsl.MarkerInlet(find(name="marks", type="Markers")) as inlet:
        t0 = lsl.local_clock()
        for i, label in enumerate(labels):
            outlet.push(label, t0 + i)
        got: list[tuple[str, float]] = []
        while len(got) < len(labels):
            new = inlet.pull(5.0)
            assert new, "markers are missing"
            got += new
        inlet.refresh_clock()
    assert [label for label, _ in got] == [label[:MAX_LABEL_CHARS] for label in labels]
    np.testing.assert_allclose([t for _, t in got], t0 + np.arange(4), atol=1e-3)


def test_bytes_that_are_no_text_do_not_stop_the_markers() -> None:
    info = pylsl.StreamInfo("latin", "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, "latin-id")
    outlet = pylsl.StreamOutlet(info)
    with lsl.MarkerInlet(find(name="latin")) as inlet:
        outlet.push_sample([b"caf\xe9"])
        assert inlet.pull(5.0)[0][0] == "caf\ufffd"


def test_headers_that_say_little() -> None:
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo("bare", "EEG", 4, 100, pylsl.cf_int16, "bare-id"))
    with lsl.EEGInlet(find(name="bare")) as inlet:
        assert inlet.info.ch_names == ("#1", "#2", "#3", "#4")
        assert set(inlet.info.units) == {""}
        outlet.push_chunk(np.array([[1, 2, 3, -4]], dtype=np.int16))
        samples, _ = inlet.pull(5.0)
        np.testing.assert_array_equal(samples, [[1, 2, 3, -4]])


def test_finding_by_name_type_and_source_id() -> None:
    quoted = lsl.EEGOutlet(make_info('it\'s "me"'))
    other = lsl.EEGOutlet(make_info("other", source_id="shared"))
    twin = lsl.EEGOutlet(make_info("twin", source_id="shared"))
    assert find(name='it\'s "me"').name() == 'it\'s "me"'
    assert find(name="twin", source_id="shared").name() == "twin"
    with pytest.raises(StreamNotFoundError, match=r"2 LSL streams match source_id 'shared'.*other.*twin"):
        find(source_id="shared")
    passed_over = lsl.Finder(source_id="shared", ignore=lambda info: info.name == "twin")
    assert lsl.find_stream(passed_over, 5.0).name() == "other"
    with pytest.raises(StreamNotFoundError, match=r"type 'fNIRS' within 0\.2 s; in reach: .*other"):
        lsl.find_stream(lsl.Finder(type="fNIRS"), 0.2)
    del quoted, other, twin


CALLS = {"look": "lsl.resolve_handles(0.1)", "find": "lsl.Finder().poll()", "send": "lsl.MarkerOutlet('m', 'm-id')"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("level", [None, 0])
def test_liblsl_remarks_only_where_a_configuration_wants_it(tmp_path: Path, call: str, level: int | None) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "LSLAPICFG"} | {"HOME": str(tmp_path)}
    if level is not None:
        config = lsl.write_loopback_config(tmp_path / "lsl_api.cfg", "remarks")
        config.write_text(config.read_text().replace("level = -2", f"level = {level}"))
    done = subprocess.run(
        [sys.executable, "-c", f"from necomimi import lsl; {CALLS[call]}"],
        capture_output=True, text=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0
    assert ("INFO|" in done.stderr) == (level is not None)


def test_the_configuration_in_force_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lsl.configuration_file() == os.environ["LSLAPICFG"]
    monkeypatch.delenv("LSLAPICFG")
    monkeypatch.chdir(tmp_path)
    lsl.write_loopback_config(tmp_path / "lsl_api.cfg", "x")
    assert lsl.configuration_file() == "lsl_api.cfg"
