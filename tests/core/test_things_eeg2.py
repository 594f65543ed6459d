"""The data set on disk: what is written is what numpy and we read; every published layout is found and named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.errors import DatasetError
from necomimi.things_eeg2 import (
    MODEL_CH_NAMES,
    RAW_CH_NAMES,
    VISUAL_CORTEX,
    ImageMetadata,
    RawWriter,
    concept_label,
    is_raw_root,
    load_metadata,
    load_preprocessed,
    load_raw,
    metadata_path,
    preprocessed_path,
    raw_events,
    raw_path,
    save_metadata,
    sessions,
    subjects,
)

TYPES = ["eeg"] * 63 + ["stim"]
METADATA = ImageMetadata(
    train_concepts=("00001_aardvark", "00001_aardvark", "00002_abacus"),
    train_files=("aardvark_01b.jpg", "aardvark_02s.jpg", "abacus_01b.jpg"),
    test_concepts=("00001_aircraft_carrier", "00002_antelope"),
    test_files=("aircraft_carrier_06s.jpg", "antelope_01b.jpg"),
)


def raw_values(dtype: type = np.float64, n_times: int = 3000) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    data = (rng.standard_normal((64, n_times)) * 1e-5).astype(dtype)
    data[63] = 0
    data[63, [100, 300, 500, 501]] = [1, 99999, 200, 7]
    return {"raw_eeg_data": data, "ch_names": list(RAW_CH_NAMES), "ch_types": TYPES, "sfreq": 1000, "highpass": 0.01}


def np_save(path: Path, value: Any) -> None:
    np.save(path, np.array(value, dtype=object), allow_pickle=True)


def bare_pickle(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value, protocol=4))


def test_channel_sets() -> None:
    assert len(MODEL_CH_NAMES) == len(set(MODEL_CH_NAMES)) == 63
    assert len(RAW_CH_NAMES) == 64
    assert set(RAW_CH_NAMES) == {*MODEL_CH_NAMES, "stim"}
    assert "Cz" in MODEL_CH_NAMES
    assert "Fz" not in MODEL_CH_NAMES
    assert VISUAL_CORTEX == ("Pz", "PO3", "POz", "PO4", "O1", "Oz", "O2")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 7, 1000, 3000])
def test_streamed_file_reads_back_with_numpy_and_with_us(tmp_path: Path, dtype: type, block: int) -> None:
    path, data = tmp_path / "raw_eeg_test.npy", raw_values(dtype, 3000 if block > 1 else 600)["raw_eeg_data"]
    with RawWriter(path, data.shape[1], RAW_CH_NAMES, 1000, TYPES, dtype) as writer:
        for start in range(0, data.shape[1], block):
            writer.write(data[:, start : start + block], start)
    by_numpy = np.load(path, allow_pickle=True).item()
    np.testing.assert_array_equal(by_numpy.pop("raw_eeg_data"), data)
    assert by_numpy == {
        "ch_names": list(RAW_CH_NAMES),
        "ch_types": TYPES,
        "sfreq": 1000.0,
        "highpass": 0.01,
        "lowpass": 100.0,
    }
    raw = load_raw(path)
    assert raw.data.dtype == dtype
    np.testing.assert_array_equal(raw.data, data)
    assert (raw.ch_names, raw.ch_types, raw.sfreq, raw.n_times) == (RAW_CH_NAMES, tuple(TYPES), 1000.0, data.shape[1])


@pytest.mark.parametrize("write", [np_save, bare_pickle])
@pytest.mark.parametrize("fortran", [False, True])
def test_reads_raw_file_as_published(tmp_path: Path, write: Any, fortran: bool) -> None:
    path, values = tmp_path / "raw_eeg_test.npy", raw_values()
    data = values["raw_eeg_data"]
    if fortran:
        values["raw_eeg_data"] = np.asfortranarray(data)
    write(path, values)
    raw = load_raw(path)
    assert raw.eeg_names == RAW_CH_NAMES[:63]
    np.testing.assert_array_equal(raw.read(10, 20), data[:63, 10:20])
    np.testing.assert_array_equal(raw.read(10, 20, ["Oz", "Fp1"]), data[[RAW_CH_NAMES.index("Oz"), 0], 10:20])
    np.testing.assert_array_equal(raw.stim(), data[63])


def change(key: str, value: Any) -> dict[str, Any]:
    return {**raw_values(n_times=600), key: value}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, 2], "no dict"),
        ({"preprocessed_eeg_data": np.zeros(2)}, "not raw_eeg_data"),
        (change("raw_eeg_data", np.zeros((64, 5), dtype=int)), "int64"),
        (change("raw_eeg_data", np.zeros((5, 64))), "shape (5, 64)"),
        (change("raw_eeg_data", [[1.0]]), "is list"),
        (change("ch_names", "Fp1"), "ch_names is a str"),
        (change("ch_names", [1] * 64), "ch_names is a list"),
        (change("ch_types", ["eeg"]), "stimulus channels"),
        (change("ch_names", [f"E{i}" for i in range(64)]) | {"ch_types": ["eeg"] * 64}, "0 stimulus channels"),
        (change("sfreq", 0), "sfreq is 0"),
        (change("sfreq", float("nan")), "sfreq is nan"),
        (change("sfreq", [1000]), "sfreq is a list"),
    ],
)
def test_refuses_a_raw_file_whose_parts_disagree(tmp_path: Path, values: Any, found: str) -> None:
    path = tmp_path / "raw.npy"
    bare_pickle(path, values)
    with pytest.raises(DatasetError) as caught:
        load_raw(path)
    assert found in caught.value.found
    assert str(path) in caught.value.found


def test_events_without_catch_trials() -> None:
    samples, codes, n_catch = raw_events(raw_values()["raw_eeg_data"][63], "test")
    assert samples.tolist() == [100, 500, 501]
    assert codes.tolist() == [1, 200, 7]
    assert n_catch == 1


def test_a_held_code_is_one_event() -> None:
    stim = np.zeros(50)
    stim[10:20] = 5
    stim[30:40] = 5
    samples, codes, _ = raw_events(stim, "test")
    assert (samples.tolist(), codes.tolist()) == ([10, 30], [5, 5])


def test_an_event_at_the_first_sample_counts() -> None:
    assert raw_events(np.array([3.0, 0, 0]), "test")[0].tolist() == [0]


@pytest.mark.parametrize(("code", "split"), [(201, "test"), (16541, "training"), (-1, "test"), (1.5, "test")])
def test_refuses_codes_that_are_no_pictures(code: float, split: str) -> None:
    with pytest.raises(DatasetError, match="1 codes of the stimulus channel are no pictures"):
        raw_events(np.array([0, code, 0]), split)


def test_training_codes_reach_the_last_picture() -> None:
    assert raw_events(np.array([0, 16540, 0], dtype=np.float32), "training")[1].tolist() == [16540]


# Published epochs


def epochs(n_channels: int, n_times: int, five: bool) -> np.ndarray:
    shape = (3, 2, 4, n_channels, n_times) if five else (6, 4, n_channels, n_times)
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


@pytest.mark.parametrize("five", [False, True])
@pytest.mark.parametrize(
    ("write", "named"),
    [(np_save, "np.save of a dict"), (bare_pickle, "a bare pickle"), (np.save, "an array of np.save")],
)
@pytest.mark.parametrize(("n_channels", "n_times", "sfreq", "first"), [(63, 250, 250, 0.0), (17, 100, 100, -0.2)])
def test_every_published_layout(
    tmp_path: Path, write: Any, named: str, n_channels: int, n_times: int, sfreq: float, first: float, five: bool
) -> None:
    path, data = tmp_path / "preprocessed_eeg_test.npy", epochs(n_channels, n_times, five)
    names = list(MODEL_CH_NAMES[-n_channels:])
    n_all = 300 if n_times == 250 else 100
    times = np.arange(n_all) / sfreq - 0.2
    write(path, data if write is np.save else {"preprocessed_eeg_data": data, "ch_names": names, "times": times})
    found = load_preprocessed(path)
    np.testing.assert_array_equal(found.data, data.reshape(6, 4, n_channels, n_times))
    assert found.ch_names == tuple(names)
    assert found.sfreq == sfreq
    np.testing.assert_allclose(found.times, first + np.arange(n_times) / sfreq, atol=1e-9)
    assert found.layout.startswith(named)
    assert ("concepts x pictures" if five else "conditions x repetitions") in found.layout
    assert ("the last 250 of 300 times" in found.layout) == (n_times == 250 and write is not np.save)
    assert ("times assumed" in found.layout) == (write is np.save)


def test_a_stim_name_among_the_epochs_channels_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "epochs.npy"
    np_save(path, {"preprocessed_eeg_data": np.zeros((2, 2, 2, 250)), "ch_names": ["Oz", "O1", "stim"]})
    assert load_preprocessed(path).ch_names == ("Oz", "O1")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.zeros((3, 4)), "shape (3, 4)"),
        (np.zeros((3, 4, 63, 250), dtype=int), "int64"),
        (np.zeros((3, 0, 63, 250)), "shape (3, 0, 63, 250)"),
        (np.zeros((3, 4, 62, 250)), "63 channel names for 62 channels"),
        (np.zeros((3, 4, 63, 251)), "251 samples without `times`"),
        ({"preprocessed_eeg_data": "text"}, "no array"),
        ({"ch_names": ["Oz"]}, "not preprocessed_eeg_data"),
        ({"preprocessed_eeg_data": np.zeros((1, 1, 63, 250)), "times": np.arange(100.0)}, "100 times for 250"),
        ({"preprocessed_eeg_data": np.zeros((1, 1, 63, 250)), "times": np.zeros(250)}, "250 times for 250"),
        ({"preprocessed_eeg_data": np.zeros((1, 1, 63, 250)), "times": [[0.0]]}, "times is a list"),
    ],
)
def test_refuses_epochs_whose_parts_disagree(tmp_path: Path, value: Any, found: str) -> None:
    path = tmp_path / "epochs.npy"
    np.save(path, value) if isinstance(value, np.ndarray) else bare_pickle(path, value)
    with pytest.raises(DatasetError) as caught:
        load_preprocessed(path)
    assert found in caught.value.found


# Pictures, subjects, sessions


def test_concept_label() -> None:
    assert concept_label("00001_aircraft_carrier") == "aircraft_carrier"
    assert concept_label("ice_cream") == "ice_cream"
    assert concept_label("00001") == "00001"


def test_metadata_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "image_metadata.npy"
    save_metadata(path, METADATA)
    assert load_metadata(path) == METADATA
    by_numpy = np.load(path, allow_pickle=True).item()
    assert by_numpy["train_img_files"] == list(METADATA.train_files)
    assert by_numpy["test_img_concepts_THINGS"] == list(METADATA.test_concepts)


def test_metadata_names_pictures_and_markers() -> None:
    assert METADATA.pictures("training")[2] == "00002_abacus/abacus_01b.jpg"
    assert METADATA.pictures("test")[0] == "00001_aircraft_carrier/aircraft_carrier_06s.jpg"
    assert METADATA.markers("training") == ("aardvark_01b", "aardvark_02s", "abacus_01b")
    assert METADATA.markers("test") == ("aircraft_carrier", "antelope")
    assert METADATA.concepts("training") == ("aardvark", "aardvark", "abacus")


def test_metadata_of_the_data_set(tmp_path: Path, shared_data: Path) -> None:
    values = json.loads((shared_data / "things" / "image_metadata_reconstructed.json").read_text(encoding="utf-8"))
    path = tmp_path / "image_metadata.npy"
    for as_array in (False, True):
        np_save(path, {key: np.array(value) if as_array else value for key, value in values.items()})
        metadata = load_metadata(path)
        assert len(metadata.train_files) == 16540
        assert metadata.markers("test")[:2] == ("aircraft_carrier", "antelope")
        assert metadata.pictures("training")[0] == "00001_aardvark/aardvark_01b.jpg"


@pytest.mark.parametrize("values", [{"train_img_files": []}, {"train_img_concepts": 3}])
def test_refuses_other_metadata(tmp_path: Path, values: dict[str, Any]) -> None:
    path = tmp_path / "image_metadata.npy"
    np_save(path, values)
    with pytest.raises(DatasetError, match="but not"):
        load_metadata(path)


def test_refuses_metadata_of_uneven_lists(tmp_path: Path) -> None:
    path = tmp_path / "image_metadata.npy"
    values = {key: ["a"] for key in ("train_img_concepts", "train_img_files", "test_img_concepts")}
    np_save(path, values | {"test_img_files": []})
    with pytest.raises(DatasetError, match="1 concepts and 0 files"):
        load_metadata(path)


@pytest.mark.parametrize("folder", ["", "image_set"])
def test_metadata_path_is_found_in_both_places_and_from_below(tmp_path: Path, folder: str) -> None:
    below = tmp_path / "sub-01" / "ses-01"
    below.mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"holds no image_metadata\.npy"):
        metadata_path(tmp_path)
    (tmp_path / folder).mkdir(exist_ok=True)
    save_metadata(tmp_path / folder / "image_metadata.npy", METADATA)
    assert metadata_path(tmp_path) == tmp_path / folder / "image_metadata.npy"
    assert metadata_path(below, 2) == tmp_path / folder / "image_metadata.npy"
    with pytest.raises(DatasetError, match="nor do the folders above"):
        metadata_path(below, 1)


def test_subjects_and_sessions(tmp_path: Path) -> None:
    assert subjects(tmp_path) == ()
    assert not is_raw_root(tmp_path)
    for subject, session in ((1, 2), (1, 1), (10, 1)):
        path = raw_path(tmp_path, subject, session, "test")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "sub-99").mkdir()
    (tmp_path / "sub-xx").mkdir()
    assert is_raw_root(tmp_path)
    assert subjects(tmp_path) == (1, 10, 99)
    assert sessions(tmp_path, 1) == (1, 2)
    assert raw_path(tmp_path, 10, 1, "test") == tmp_path / "sub-10" / "ses-01" / "raw_eeg_test.npy"
    assert preprocessed_path(tmp_path, 1, "training") == tmp_path / "sub-01" / "preprocessed_eeg_training.npy"
    with pytest.raises(DatasetError, match="has no subject 2"):
        sessions(tmp_path, 2)
    with pytest.raises(DatasetError, match="has no sessions"):
        sessions(tmp_path, 99)
