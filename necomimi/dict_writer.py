"""Write a dict that holds one large array as np.save would, streamed: blocks of columns -> .npy file."""

from __future__ import annotations

import math
import pickle
import secrets
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

__all__ = ["DictWriter"]

ALIGNMENT = 64
MARKER_BYTES = 32


class _Placeholder:
    """Pickles as an array whose data are a marker of the caller's choice."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], marker: bytes) -> None:
        self.state = (1, shape, dtype, False, marker)

    def __reduce__(self) -> tuple[Any, ...]:
        reduced = np.empty(0).__reduce__()
        return reduced[0], reduced[1], self.state


class DictWriter:
    """Write a dict that holds one large array as `np.save` would, without holding the array.

    The file takes its name when the with block ends without an error.

    Parameters
    ----------
    path : Path
        The file to write.
    values : dict
        Plain values, saved beside the array.
    key : str
        The array's key, placed first.
    shape : tuple of int
    dtype : dtype
        The array's shape (C order) and type.
    """

    def __init__(self, path: Path, values: dict[str, Any], key: str, shape: tuple[int, int], dtype: DTypeLike) -> None:
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype).newbyteorder("<")
        marker = secrets.token_bytes(MARKER_BYTES)
        box = np.empty((), dtype=object)
        box[()] = {key: _Placeholder(shape, self.dtype, marker), **values}
        # Protocol 3 spells names as lines, so that the old path, which every numpy reads, can be put in.
        head, tail = pickle.dumps(box, protocol=3).split(pickle.SHORT_BINBYTES + bytes([MARKER_BYTES]) + marker)
        n_bytes = math.prod(shape) * self.dtype.itemsize
        head = pickle.PROTO + b"\4" + head[2:].replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        head += pickle.BINBYTES8 + struct.pack("<Q", n_bytes)
        header = repr({"descr": "|O", "fortran_order": False, "shape": ()}).encode("ascii")
        header += b" " * (-(10 + len(header) + 1 + len(head)) % ALIGNMENT) + b"\n"
        start = npy.magic(1, 0) + struct.pack("<H", len(header)) + header + head
        self._offset = len(start)
        self._temporary = path.with_name(f".{path.name}.part")
        self._file = self._temporary.open("wb", buffering=0)
        self._file.write(start)
        self._file.seek(self._offset + n_bytes)
        self._file.write(tail)

    def write(self, block: NDArray[Any], start: int) -> None:
        """Write columns of the array.

        Parameters
        ----------
        block : ndarray, shape (n_rows, n)
            All rows of `n` columns.
        start : int
            The first column.
        """
        if block.ndim != 2 or len(block) != self.shape[0] or not 0 <= start <= self.shape[1] - block.shape[1]:
            raise ValueError(f"block of shape {block.shape} at column {start} of an array of shape {self.shape}")
        rows = np.ascontiguousarray(block, dtype=self.dtype)
        for i, row in enumerate(rows):
            self._file.seek(self._offset + (i * self.shape[1] + start) * self.dtype.itemsize)
            self._file.write(row.data)

    def __enter__(self) -> DictWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink()
