"""Nothing in a file is executed, nothing damaged is believed, and arrays stay on disk."""

from __future__ import annotations

import collections
import contextlib
import copyreg
import mmap
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from necomimi.dict_writer import DictWriter
from necomimi.errors import DatasetError
from necomimi.safe_pickle import load, release_pages

VALUES: dict[str, Any] = {
    "text": "é\n",
    "numbers": [0, -1, 255, 70000, 2**40, 1.5, True, None],
    "scalars": [np.float64(2.5), np.float32(1.5), np.int64(3), np.str_("Fp1"), np.bool_(True)],
    "tuple": ("a", (1, 2, 3, 4), ()),
    "inner": {"x": {1: b"bytes", 2.5: []}},
    "double": np.arange(24.0).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big_endian": np.arange(4, dtype=">i2"),
    "names": np.array(["Fp1", "stim"]),
    "objects": np.array([["a", None], [1, {"b": 2}]], dtype=object),
    "empty": np.zeros((0, 3)),
    "again": None,
}
VALUES["again"] = VALUES["double"]  # the same object twice: memoised


def equal(a: Any, b: Any) -> bool:
    """Return whether two values are of one type and content."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and equal(a.tolist(), b.tolist())
    return type(a) is type(b) and a == b


class Hostile:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_every_protocol_as_pickle_does(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "values.npy"
    path.write_bytes(pickle.dumps(VALUES, protocol))
    value, form = load(path)
    assert equal(value, VALUES)
    assert form == "a bare pickle"


def test_reads_what_np_save_writes(tmp_path: Path) -> None:
    np.save(tmp_path / "dict.npy", np.array(VALUES, dtype=object), allow_pickle=True)
    np.save(tmp_path / "array.npy", VALUES["double"])
    value, form = load(tmp_path / "dict.npy")
    assert equal(value, VALUES)
    assert form == "np.save of a dict"
    array, form = load(tmp_path / "array.npy")
    assert equal(np.asarray(array), VALUES["double"])
    assert form == "an array of np.save"


def test_reads_the_module_path_of_old_numpy(tmp_path: Path) -> None:
    path = tmp_path / "old.npy"
    path.write_bytes(pickle.dumps(VALUES, 3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert equal(load(path)[0], VALUES)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("nested", ["bare", "in a dict", "in an array"])
@pytest.mark.parametrize("function", [os.system, eval, exec, os.open, getattr, copyreg._reconstructor])
def test_refuses_a_call_by_name_and_does_not_make_it(tmp_path: Path, function: Any, nested: str, protocol: int) -> None:
    proof = tmp_path / "executed"
    arguments: tuple[Any, ...] = (f"touch {proof}",) if function is os.system else (f"open({str(proof)!r}, 'w')",)
    if function is os.open:
        arguments = (str(proof), os.O_CREAT | os.O_WRONLY)
    bad: Any = Hostile(function, *arguments)
    if nested == "in a dict":
        bad = {"raw_eeg_data": np.zeros(3), "ch_names": ["Fp1", [{"deep": bad}]]}
    path = tmp_path / "hostile.npy"
    if nested == "in an array":
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
            box = np.empty((), dtype=object)
            box[()] = bad
            pickle.dump(box, file, protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(bad, protocol))
    with pytest.raises(DatasetError) as caught:
        load(path)
    assert not proof.exists()
    if protocol >= 2:  # older ones are refused before a name is read
        assert f"{function.__module__}.{function.__name__}" in caught.value.found.replace(
            "__builtin__", "builtins"
        ).replace("_reg", "reg")
    assert len(caught.value.lines()) <= 3


@pytest.mark.parametrize(
    "value",
    [
        collections.OrderedDict(a=1),
        {1, 2},
        frozenset({1}),
        np.zeros(2, dtype=[("a", "f4")]),
        np.array("2020-01-01", dtype="M8[D]"),
        1j,
        Path("x"),
        np.random.default_rng(0),
        {(1, 2): 3},
    ],
    ids=lambda value: type(value).__name__,
)
def test_refuses_everything_that_is_not_plain(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "foreign.npy"
    path.write_bytes(pickle.dumps(value, 4))
    with pytest.raises(DatasetError, match="holds"):
        load(path)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"iposix\nsystem\n.", "posix.system"),
        (b"(S'rm'\niposix\nsystem\n.", "pickle operation"),
        (b"Pid\n.", "pickle operation"),
        (b"cposix\nsystem\n.", "posix.system"),
        (b"\x8c\x05posix\x8c\x06system\x93.", "posix.system"),
        (b"}]\x93.", "(dict).(list)"),
        (b"cnumpy\nndarray\n).", "ends"),
        (b"cnumpy\nndarray\n)R.", "a call of something"),
        (b"cnumpy\ndtype\n\x8c\x02f8\x85Rcnumpy\ndtype\nb.", "state of an object"),
        (b"(" * 1000 + b".", "nesting"),
        (b"]" + b"]\x94h\x00a" * 10, "ends"),
        (b"\x8e" + struct.pack("<Q", 2**62), "ends"),
        (b"\x82\x01.", "pickle operation"),
        (b"", "ends"),
        (b"N", "ends"),
        (b".", "damaged"),
        (b"h\x05.", "damaged"),
    ],
)
def test_refuses_handmade_pickles(tmp_path: Path, body: bytes, found: str) -> None:
    path = tmp_path / "handmade.npy"
    path.write_bytes(b"\x80\x04" + body)
    if body.endswith(b")."):  # a harmless value of no use: an empty tuple above a name
        assert load(path)[0] == ()
        return
    with pytest.raises(DatasetError) as caught:
        load(path)
    assert found in caught.value.found


def test_containers_of_containers_cost_no_more_than_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "laughs.npy"
    doubling = b"(t" + b"\x94" + b"".join(b"h%c" % i + b"h%c" % i + b"\x86\x94" for i in range(60))
    deep = b")" + b"\x85" * 100_000
    for body in (doubling, deep):
        path.write_bytes(b"\x80\x04" + body + b".")
        assert isinstance(load(path)[0], tuple)
        for use in (
            b"\x8c\x01x\x93.",
            b"\x8c\x01x\x94R.",
            b"cnumpy\ndtype\n" + body + b"\x85R.",
            b"N}" + body + b"Ns.",
        ):
            path.write_bytes(b"\x80\x04" + body + use)
            with pytest.raises(DatasetError) as caught:
                load(path)
            assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"hello", b"\x80"])
def test_refuses_what_is_no_such_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.npy"
    path.write_bytes(content)
    with pytest.raises(DatasetError):
        load(path)


def test_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"absent\.npy cannot be read"):
        load(tmp_path / "absent.npy")


def small_file(path: Path) -> bytes:
    """Return the bytes of a file as published, made small."""
    values = {"raw_eeg_data": np.arange(12.0).reshape(3, 4), "ch_names": ["Fp1", "Cz", "stim"], "sfreq": 1000.0}
    np.save(path, np.array(values, dtype=object), allow_pickle=True)
    return path.read_bytes()


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.npy"
    whole = small_file(path)
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(DatasetError):
            load(path)


@given(data=st.data())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "damaged.npy"
    content = bytearray(small_file(path))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(DatasetError):  # any other exception fails
        load(path)


def rss() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.parametrize("form", ["np.save", "pickle 3", "pickle 4", "pickle 5", "writer"])
def test_a_large_array_stays_on_disk(tmp_path: Path, form: str) -> None:
    path, shape = tmp_path / "large.npy", (64, 250_000)  # 122 MiB
    array = np.zeros(shape, dtype=np.float64)
    array[:, ::1000] = np.arange(250)
    values = {"raw_eeg_data": array, "ch_names": ["Fp1"]}
    if form == "np.save":
        np.save(path, np.array(values, dtype=object), allow_pickle=True)
    elif form == "writer":
        with DictWriter(path, {"ch_names": ["Fp1"]}, "raw_eeg_data", shape, np.float64) as writer:
            writer.write(array, 0)
    else:
        with path.open("wb") as file:
            pickle.dump(values, file, int(form[-1]))
    expected = array[:, 5000:5002].copy()
    del array, values
    before = rss()
    tracemalloc.start()
    loaded = load(path)[0]["raw_eeg_data"]
    assert loaded.shape == shape
    assert not loaded.flags.writeable
    np.testing.assert_array_equal(loaded[:, 5000:5002], expected)
    assert loaded.sum() == 64 * 249 * 250 / 2  # reads it all
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    release_pages(loaded)  # pages of the file that the system had mapped
    if hasattr(mmap.mmap, "madvise"):
        assert rss() - before < 16 << 20
    np.testing.assert_array_equal(loaded[:, 5000:5002], expected)


def test_writer_holds_no_array_and_aligns_it(tmp_path: Path) -> None:
    path, shape = tmp_path / "streamed.npy", (64, 500_000)
    before = rss()
    with DictWriter(path, {"ch_names": ["Fp1"]}, "data", shape, np.float32) as writer:
        for start in range(0, shape[1], 10_000):
            writer.write(np.full((64, 10_000), start, dtype=np.float64), start)
        assert not path.exists()
    assert rss() - before < 64 << 20
    loaded = load(path)[0]["data"]
    assert loaded.flags.aligned
    np.testing.assert_array_equal(loaded[3, ::10_000], np.arange(0, 500_000, 10_000))


def test_writer_leaves_nothing_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), DictWriter(tmp_path / "x.npy", {}, "data", (2, 4), np.float32):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("shape", "start"), [((3, 1), 0), ((2, 2), 3), ((2, 1), -1), ((2,), 0)])
def test_writer_refuses_a_block_outside_of_its_array(tmp_path: Path, shape: tuple[int, ...], start: int) -> None:
    with (
        DictWriter(tmp_path / "x.npy", {}, "data", (2, 4), np.float32) as writer,
        pytest.raises(ValueError, match="block"),
    ):
        writer.write(np.zeros(shape), start)
