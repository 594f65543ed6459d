"""Unpickle arrays and plain values without running anything: the bytes of a pickle -> value.

A stack machine that knows the operations which arrays and plain values need, and refuses every other by name. Memory is
bounded by the file: no operation makes more than it read, and nothing recurses.
"""

from __future__ import annotations

import math
import mmap
import pickle
import re
import struct
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Machine", "Refused"]

MAX_OPERATIONS = 10_000_000  # image_metadata.npy of the whole data set takes 0.3 million
MAX_NESTING = 100
VIEW_BYTES = 65_536  # longer byte strings stay in the mapped file
_DTYPE_NAME = re.compile(r"[fiuc]\d{1,2}|b1|[US]\d{1,7}|O8?")
_PLAIN_KEYS = (str, int, float, bytes, type(None))


class Refused(Exception):
    """The pickle asks for something that is neither an array nor a plain value."""


class _Pending:
    """An object between its creation and its state; `finish` turns the state into the real one."""

    def __init__(self, finish: Callable[[Any], Any]) -> None:
        self.finish = finish
        self.memo_keys: list[int] = []


class _Call:
    """A function that a pickle may name."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


def _name(value: Any) -> str:
    """Return a name for an error message; never the text of a container, which can be made endless."""
    return value[:60] if isinstance(value, str) else f"({type(value).__name__})"


def _array(shape: Any, dtype: Any, fortran: Any, raw: Any) -> NDArray[Any]:
    """Return an array over `raw`: a view of bytes, or for objects the items of a list."""
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array whose shape is not a tuple of sizes")
    if not isinstance(dtype, np.dtype):
        raise ValueError("an array without a dtype")
    size = math.prod(shape)
    order: Literal["C", "F"] = "F" if fortran else "C"
    if dtype.hasobject:
        if not isinstance(raw, list) or len(raw) != size:
            raise ValueError("an object array of the wrong length")
        array: NDArray[Any] = np.empty(shape, dtype=object, order=order)
        flat = array.ravel(order="K")
        for i, item in enumerate(raw):
            flat[i] = item
        return array
    if not isinstance(raw, bytes | bytearray | memoryview) or len(raw) != size * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} whose data have another length")
    if size == 0 or dtype.itemsize == 0:
        return np.empty(shape, dtype=dtype) if size == 0 else np.zeros(shape, dtype=dtype)[:0]
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order=order)


def _dtype(name: Any, align: Any = False, copy: Any = True) -> _Pending:
    """Return a dtype that waits for its byte order."""
    if not isinstance(name, str) or not _DTYPE_NAME.fullmatch(name):
        raise Refused(f"the numpy dtype {_name(name)}")

    def finish(state: Any) -> np.dtype[Any]:
        order, subtype, names, fields = state[1:5]
        if subtype is not None or names is not None or fields is not None:
            raise Refused("a structured numpy dtype")
        return np.dtype(object) if name.startswith("O") else np.dtype(str(order).replace("|", "") + name)

    return _Pending(finish)


def _scalar(dtype: Any, raw: Any) -> Any:
    """Return a numpy scalar."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise ValueError("a numpy scalar without a plain dtype")
    return _array((1,), dtype, False, raw)[0] if dtype.itemsize else dtype.type()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Return the bytes that protocol 2 spells as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("_codecs.encode to another encoding than latin1")
    return text.encode("latin-1")


_RECONSTRUCT = _Call(lambda *_: _Pending(lambda state: _array(*state[1:5])))
_SCALAR = _Call(_scalar)
_FROMBUFFER = _Call(lambda raw, dtype, shape, order: _array(shape, dtype, order == "F", raw))
_GLOBALS: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): object(),  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _Call(_dtype),
    ("_codecs", "encode"): _Call(_encode),
    ("__builtin__", "bytes"): _Call(lambda: b""),  # protocol 2 calls it for no bytes at all
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROMBUFFER for core in ("core", "_core")},
}


class Machine:
    """The stack machine: protocols 2 to 5, arrays and plain values only.

    Parameters
    ----------
    buffer : mmap
        The whole file.
    position : int
        Where the pickle begins in it.
    """

    def __init__(self, buffer: mmap.mmap, position: int) -> None:
        self.buffer = buffer
        self.view = memoryview(buffer)
        self.position = position
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def _take(self, n: int) -> bytes | memoryview:
        """Return the next `n` bytes; long ones as a view."""
        end = self.position + n
        if end > len(self.buffer):
            raise ValueError(f"the file ends {end - len(self.buffer)} bytes too early")
        data = self.view[self.position : end]
        self.position = end
        return data if n >= VIEW_BYTES else bytes(data)

    def _number(self, code: str) -> Any:
        return struct.unpack(code, self._take(struct.calcsize(code)))[0]

    def _line(self) -> str:
        end = self.buffer.find(b"\n", self.position, self.position + 1000)
        if end < 0:
            raise ValueError("a name that does not end")
        text = bytes(self.view[self.position : end]).decode("utf-8", "replace")
        self.position = end + 1
        return text

    def _text(self, n: int) -> str:
        return str(bytes(self._take(n)), "utf-8", "surrogatepass")

    def _pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _find(self, module: Any, name: Any) -> None:
        known = _GLOBALS.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if known is None:
            raise Refused(f"{_name(module)}.{_name(name)}")
        self.stack.append(known)

    def _stack_global(self) -> None:
        name = self.stack.pop()
        self._find(self.stack.pop(), name)

    def _instance(self) -> None:
        raise Refused(f"{_name(self._line())}.{_name(self._line())}")

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if not isinstance(function, _Call) or not isinstance(arguments, tuple):
            raise Refused("a call of something that is not a function")
        self.stack.append(function.call(*arguments))

    def _build(self) -> None:
        state = self.stack.pop()
        pending = self.stack.pop()
        if not isinstance(pending, _Pending) or not isinstance(state, tuple):
            raise Refused("the state of an object")
        value = pending.finish(state)
        for key in pending.memo_keys:
            self.memo[key] = value
        self.stack.append(value)

    def _remember(self, key: int) -> None:
        value = self.stack[-1]
        self.memo[key] = value
        if isinstance(value, _Pending):
            value.memo_keys.append(key)

    def _mark(self) -> None:
        if len(self.marks) >= MAX_NESTING:
            raise Refused(f"a nesting deeper than {MAX_NESTING}")
        self.marks.append(len(self.stack))

    def _tuple(self, n: int) -> None:
        if len(self.stack) < n:
            raise ValueError("a tuple of missing items")
        items = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        self.stack.append(items)

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise Refused("an append to something that is not a list")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise Refused("an item of something that is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _PLAIN_KEYS):  # a hash of deep tuples would overflow the C stack
                raise Refused(f"a dict key of type {type(key).__name__}")
            target[key] = value

    def _pop_pair(self) -> list[Any]:
        value = self.stack.pop()
        return [self.stack.pop(), value]

    def run(self) -> Any:
        """Return the value that the pickle ends with.

        Raises
        ------
        Refused
            It asks for anything else; any other exception means that the pickle is damaged.
        """
        for _ in range(MAX_OPERATIONS):
            code = bytes(self._take(1))
            if code == b".":
                return self.stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise Refused(f"pickle operation {code!r}")
            operation(self)
        raise Refused(f"more than {MAX_OPERATIONS} operations")


def _push(read: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    """Return the operation that pushes what `read` returns."""
    return lambda m: m.stack.append(read(m))


_OPERATIONS: dict[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: lambda m: m._number("<B"),
    pickle.FRAME: lambda m: m._number("<Q"),
    pickle.MARK: Machine._mark,
    pickle.POP: lambda m: m.stack.pop(),
    pickle.NONE: _push(lambda m: None),
    pickle.NEWTRUE: _push(lambda m: True),
    pickle.NEWFALSE: _push(lambda m: False),
    pickle.BININT: _push(lambda m: m._number("<i")),
    pickle.BININT1: _push(lambda m: m._number("<B")),
    pickle.BININT2: _push(lambda m: m._number("<H")),
    pickle.LONG1: _push(lambda m: int.from_bytes(m._take(m._number("<B")), "little", signed=True)),
    pickle.BINFLOAT: _push(lambda m: m._number(">d")),
    pickle.SHORT_BINUNICODE: _push(lambda m: m._text(m._number("<B"))),
    pickle.BINUNICODE: _push(lambda m: m._text(m._number("<I"))),
    pickle.BINUNICODE8: _push(lambda m: m._text(m._number("<Q"))),
    pickle.SHORT_BINBYTES: _push(lambda m: m._take(m._number("<B"))),
    pickle.BINBYTES: _push(lambda m: m._take(m._number("<I"))),
    pickle.BINBYTES8: _push(lambda m: m._take(m._number("<Q"))),
    pickle.BYTEARRAY8: _push(lambda m: m._take(m._number("<Q"))),
    pickle.EMPTY_LIST: _push(lambda m: []),
    pickle.EMPTY_DICT: _push(lambda m: {}),
    pickle.EMPTY_TUPLE: _push(lambda m: ()),
    pickle.TUPLE1: lambda m: m._tuple(1),
    pickle.TUPLE2: lambda m: m._tuple(2),
    pickle.TUPLE3: lambda m: m._tuple(3),
    pickle.TUPLE: lambda m: m.stack.append(tuple(m._pop_mark())),
    pickle.APPEND: lambda m: m._extend([m.stack.pop()]),
    pickle.APPENDS: lambda m: m._extend(m._pop_mark()),
    pickle.SETITEM: lambda m: m._set_items(m._pop_pair()),
    pickle.SETITEMS: lambda m: m._set_items(m._pop_mark()),
    pickle.BINPUT: lambda m: m._remember(m._number("<B")),
    pickle.LONG_BINPUT: lambda m: m._remember(m._number("<I")),
    pickle.MEMOIZE: lambda m: m._remember(len(m.memo)),
    pickle.BINGET: _push(lambda m: m.memo[m._number("<B")]),
    pickle.LONG_BINGET: _push(lambda m: m.memo[m._number("<I")]),
    pickle.GLOBAL: lambda m: m._find(m._line(), m._line()),
    pickle.STACK_GLOBAL: Machine._stack_global,
    pickle.INST: Machine._instance,
    pickle.REDUCE: Machine._reduce,
    pickle.BUILD: Machine._build,
}
