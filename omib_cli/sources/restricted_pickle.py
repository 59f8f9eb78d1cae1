"""Foreign pickles of arrays and plain values, read without running anything that they ask for.

A pickle is a program: it names functions and has them called. Here a name is looked up in a fixed table, which holds
what numpy arrays and plain containers need and nothing else; any other name ends the reading before a call is made.
Arrays are rebuilt by this module's own classes, which let no pickle describe a data type that numpy would believe:
numbers, text and Python objects only, the latter read by the same rules.
"""

from __future__ import annotations

# The one place where pickles are read: published data sets come as such, and find_class below is what makes it safe.
import pickle  # noqa: TID251
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.errors import DataError
from omib_cli.sources.text_tables import reading

DAMAGED = (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)
"""What reading raises for a pickle that is cut off, that is none, or whose arrays contradict themselves."""


def read_pickle(path: Path, where: str) -> Any:
    """The containers, numpy arrays and values in a pickle, including those that Python 2 wrote.

    Parameters
    ----------
    where
        The file's name in messages.

    Raises
    ------
    DataError
        The pickle asks for anything but numpy arrays and plain values (nothing was executed), it is damaged, or it
        does not fit into memory.
    """
    with reading(where), path.open("rb") as file:
        try:
            return _legible(_Reader(file, where).load())
        except DAMAGED as error:
            raise DataError(
                "not a whole pickle of arrays",
                where=where,
                got=error,
                do="fetch the file again and compare its size; `.pkl` files of PyTorch or pandas are of another kind",
            ) from error
        except (MemoryError, RecursionError) as error:
            raise DataError("the pickle does not fit into memory", where=where, got=type(error).__name__) from error


class _Reader(pickle.Unpickler):
    """An unpickler that knows the names in ``ADMITTED`` alone."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        # Python 2 wrote text and arrays' bytes alike. Text is UTF-8 in nearly all files; what is not UTF-8, as most
        # arrays, goes through unharmed as surrogates and comes out again in _octets.
        super().__init__(file, encoding="utf-8", errors="surrogateescape")
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for; refused unless it is admitted."""
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise DataError(
                f"the pickle asks for {module}.{name}, and nothing of it was executed",
                where=self._where,
                expected="numpy arrays, numbers, text, lists, tuples, dictionaries and sets only",
                do="do not open this file with other tools unless you trust who made it; from a program that you "
                "trust, write its arrays as plain numpy arrays",
            ) from None


class _DataType:
    """Stands in for numpy.dtype: numbers, text and objects, without fields or flags of the pickle's own making."""

    __slots__ = ("real",)

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if isinstance(code, bytes):
            code = code.decode("ascii")
        self.real = np.dtype(str(code))
        if self.real.kind not in "biufcSUO" or self.real.names is not None:
            message = f"an array of type {code}"
            raise TypeError(message)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take over the order of bytes; everything else of a simple type follows from its code."""
        order, described = state[1], state[2:5]
        if any(part is not None for part in described):
            message = "an array of records"
            raise TypeError(message)
        if order in ("<", ">"):
            self.real = self.real.newbyteorder(order)


class _Array(np.ndarray[Any, Any]):
    """Stands in for numpy.ndarray: takes a :class:`_DataType` where numpy takes a type."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Fill the array with (version, shape, type, order, contents)."""
        version, shape, dtype, fortran, contents = state
        own = _octets(contents) if isinstance(contents, str) else contents
        super().__setstate__((version, shape, dtype.real, fortran, own))


def _reconstruct(kind: type[_Array], shape: tuple[int, ...], code: bytes) -> _Array:
    """An empty array, as numpy's function of this name; its contents come with the state."""
    return _Array((0,), dtype=np.int8)


def _frombuffer(buffer: bytes, dtype: _DataType, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    """An array as protocol 5 writes it."""
    return np.frombuffer(buffer, dtype=dtype.real).reshape(shape, order=order)


def _scalar(dtype: _DataType, contents: bytes | str) -> Any:
    """A single number or text of numpy's."""
    return np.frombuffer(_octets(contents), dtype=dtype.real)[0]


def _octets(text: str | bytes) -> bytes:
    """The bytes that Python 2 wrote as text."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _legible(value: Any) -> Any:
    """A value of which every text of Python 2's that is not UTF-8 is read as Latin-1, the other encoding of its day."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return _octets(value).decode("latin1")
    elif isinstance(value, dict):
        return type(value)((_legible(key), _legible(one)) for key, one in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(map(_legible, value))
    elif isinstance(value, np.ndarray) and value.dtype == object:
        value.ravel()[:] = [_legible(one) for one in value.ravel()]
    return value


def _encode(text: str | bytes, encoding: str = "latin1") -> bytes:
    """Bytes as protocol 2 writes them; another encoding would reach Python's registry of codecs."""
    if encoding != "latin1":
        message = f"bytes in encoding {encoding!r}"
        raise ValueError(message)
    return text if isinstance(text, bytes) else text.encode("latin1")


ADMITTED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    **{
        (f"{core}.{module}", function.__name__.replace("_scalar", "scalar")): function
        for core in ("numpy.core", "numpy._core")
        for module, function in (("multiarray", _reconstruct), ("multiarray", _scalar), ("numeric", _frombuffer))
    },
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (set, frozenset, bytes, bytearray, complex)
    },
}
"""What pickles of arrays and plain values ask for, under the names of Python 2 and 3, numpy 1 and 2."""
