"""Read published .npy files and pickles, running nothing: file -> arrays (views of the mapped file) and plain values.

Data sets are often pickles, and `pickle.load` runs whatever a file says.
"""

from __future__ import annotations

import mmap
import pickle
import sys
import warnings
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from necomimi.errors import DatasetError
from necomimi.pickle_machine import Machine, Refused

__all__ = ["load", "load_dict", "names_in", "release_pages"]


def load(path: Path) -> tuple[Any, str]:
    """Read a .npy file or a pickle of arrays and plain values.

    Parameters
    ----------
    path : Path
        A file of `np.save` (of an array, or of a dict), or of `pickle.dump` with protocol 2 to 5.

    Returns
    -------
    value : object
        Arrays are read-only views of the mapped file, except those of protocol 2.
    form : str
        The form of the file, in words.

    Raises
    ------
    DatasetError
        The file is missing, damaged, of another kind, or holds anything but arrays and plain values (named).
    """
    try:
        with path.open("rb") as file:
            start, form = 0, "a bare pickle"
            if file.read(6) == npy.MAGIC_PREFIX:
                file.seek(0)
                read_header = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
                with warnings.catch_warnings(action="ignore"):  # of the text of a damaged header
                    dtype = read_header(file)[2]
                if not dtype.hasobject:
                    return np.load(path, mmap_mode="r", allow_pickle=False), "an array of np.save"
                start, form = file.tell(), "np.save of a dict"
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, OverflowError, EOFError, TokenError) as error:
        raise DatasetError(f"{path} is empty or damaged: {error}", remedy="copy or download it again") from error
    if buffer[start : start + 1] != pickle.PROTO:
        raise DatasetError(f"{path} is neither a .npy file nor a pickle", "a file of np.save or pickle.dump")
    machine = Machine(buffer, start)
    try:
        value = machine.run()
    except Refused as error:
        raise DatasetError(
            f"{path} is a pickle that holds {error}, at byte {machine.position}",
            "arrays, numbers, text, lists and dicts; nothing else is unpickled, for it could run any program",
            "if you trust the file, rewrite it with np.save as arrays and plain values",
        ) from None
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise DatasetError(
            f"{path} is damaged or cut short (at byte {machine.position} of {len(buffer)}: {error})",
            "a whole file of np.save or pickle.dump",
            "copy or download it again",
        ) from error
    if isinstance(value, np.ndarray) and value.dtype == object and value.shape == ():
        value = value.item()
    return value, form


def release_pages(array: NDArray[Any]) -> None:
    """Take the pages of a mapped array out of this process's memory; the next access reads them again.

    Parameters
    ----------
    array : ndarray, any shape
        From `load`; anything else is left alone.
    """
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if sys.platform != "win32" and isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def load_dict(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """Read a file as `load` does; it must hold a dict with these keys.

    Raises
    ------
    DatasetError
        As `load`, or there is no such dict.
    """
    value, form = load(path)
    if not isinstance(value, dict):
        raise DatasetError(f"{path} is {form} and holds no dict", f"a dict with the keys {', '.join(keys)}")
    if missing := [key for key in keys if key not in value]:
        found = ", ".join(map(str, list(value)[:12]))[:200] or "nothing"
        raise DatasetError(f"{path} holds {found} but not {', '.join(missing)}", f"the keys {', '.join(keys)}")
    return value


def names_in(path: Path, key: str, value: Any) -> tuple[str, ...]:
    """Return a sequence of text from a file as a tuple of str.

    Raises
    ------
    DatasetError
        It is something else; `path` and `key` say where.
    """
    if not isinstance(value, list | tuple | np.ndarray) or not all(isinstance(item, str) for item in value):
        raise DatasetError(f"{path}: {key} is a {type(value).__name__}", "a list of names")
    return tuple(map(str, value))
