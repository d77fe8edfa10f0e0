"""Tables out of pickles, without running what a pickle says.

A pickle is a program: it names things to import and calls them. Here every name that a DataFrame needs stands for an
inert class that keeps what it was called with; any other name is refused. The table is then put together from what was
kept: no class of pandas or numpy is made, and no function called, by the pickle. Known are the names that pandas 1.0 to
1.5 and 3 write with protocol 4, as the Handbook did, which also makes this independent of the pandas that is installed.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector.errors import DataRefused

PLAIN = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "b1")
UNITS = (b"s", b"ms", b"us", b"ns")


class Said:
    """An object as a pickle tells of it: what it was made of, and the state it was given. It does nothing."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Said:
        """Keeps the arguments; a pickle may make an object without calling __init__."""
        made = object.__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        """Keeps the state; that there is such a method also keeps a pickle from setting attributes of the class."""
        self.state = state


class Frame(Said): ...


class Manager(Said): ...


class Block(Said): ...


class Labels(Said): ...


class IndexClass(Said): ...


class Array(Said): ...


class ArrayClass(Said): ...


class DType(Said): ...


class Slice(Said): ...


class Dates(Said): ...


class DatesClass(Said): ...


class Partial(Said):
    """functools.partial, by which pandas 1.3 made its blocks."""

    def __call__(self, *args: Any) -> Any:
        """What the function would be called with, which can be an inert class alone."""
        return self.args[0](*args)


NAMES: dict[tuple[str, str], type[Said]] = {
    ("pandas.core.frame", "DataFrame"): Frame,
    ("pandas", "DataFrame"): Frame,
    ("pandas.core.internals.managers", "BlockManager"): Manager,
    ("pandas._libs.internals", "_unpickle_block"): Block,
    ("pandas.core.internals.blocks", "new_block"): Block,
    ("pandas.core.indexes.base", "_new_Index"): Labels,
    ("pandas.core.indexes.base", "Index"): IndexClass,
    ("pandas", "Index"): IndexClass,
    ("pandas.core.indexes.numeric", "Int64Index"): IndexClass,
    ("pandas.core.indexes.range", "RangeIndex"): IndexClass,
    ("pandas", "RangeIndex"): IndexClass,
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy._core.multiarray", "_reconstruct"): Array,
    ("numpy", "ndarray"): ArrayClass,
    ("numpy", "dtype"): DType,
    ("builtins", "slice"): Slice,
    ("functools", "partial"): Partial,
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): Dates,
    ("pandas.core.arrays.datetimes", "DatetimeArray"): DatesClass,
    ("pandas.arrays", "DatetimeArray"): DatesClass,
}


class Refused(pickle.UnpicklingError):
    """The pickle asks for something that no table needs."""


class Reader(pickle.Unpickler):
    """Reads what a pickle says of a table."""

    def find_class(self, module: str, name: str) -> type[Said]:
        """The inert class for a known name."""
        found = NAMES.get((module, name))
        if found is None:
            raise Refused(f"asks for {module}.{name}, which no table of numbers needs; nothing of it was run")
        return found


def table_of(content: bytes, what: str) -> pd.DataFrame:
    """The table of numbers and dates in a pickle, its index dropped; DataRefused names `what` and why it is none."""
    try:
        return _frame(Reader(io.BytesIO(content)).load())
    except Refused as refused:
        raise DataRefused(f"{what}: the pickle {refused}") from refused
    except Exception as error:  # a damaged pickle fails in every way there is
        raise DataRefused(f"{what}: not the pickle of a table: {type(error).__name__}: {error}") from error


def _frame(said: Any) -> pd.DataFrame:
    blocks, axes = _manager(_state_of(said))
    names = [str(name) for name in _labels(axes[0])]
    columns: dict[int, pd.Series[Any]] = {}
    for values, places in blocks:
        rows = np.atleast_2d(_values(values))
        for place, row in zip(_places(places, len(names)), rows, strict=True):
            columns[place] = pd.Series(row, dtype=row.dtype)  # pandas would make text of objects
    return pd.DataFrame({name: _numbers(columns[place]) for place, name in enumerate(names)})


def _state_of(frame: Any) -> Any:
    """The part of a frame's state that holds the data: `_mgr`, which pandas 0.25 and 1.0 called `_data`."""
    if not isinstance(frame, Frame):
        raise ValueError(f"a {type(frame).__name__}, DataFrame wanted")
    return frame.state["_mgr"] if "_mgr" in frame.state else frame.state["_data"]


def _manager(said: Manager) -> tuple[list[tuple[Any, Any]], list[Any]]:
    """Values and places of each block, and the axes: of pandas before 1.3 from its state, later from its arguments."""
    if said.args:
        blocks, axes = said.args
        return [(block.args[0], block.args[1]) for block in blocks], axes
    state = said.state[3]["0.14.1"]
    return [(block["values"], block["mgr_locs"]) for block in state["blocks"]], state["axes"]


def _labels(said: Labels) -> list[Any]:
    _, state = said.args
    labels: list[Any] = _values(state["data"]).tolist()
    return labels


def _places(said: Any, count: int) -> list[int]:
    """Which columns a block holds."""
    if isinstance(said, Slice):
        return list(range(count))[slice(*said.args)]
    places: list[int] = _values(said).tolist()
    return places


def _values(said: Any) -> NDArray[Any]:
    if isinstance(said, Dates):
        return _values(said.state[1])
    if not isinstance(said, Array):
        raise ValueError(f"a {type(said).__name__}, array wanted")
    _, shape, dtype, by_columns, data = said.state
    kind = _dtype(dtype)
    if kind == np.dtype(object):
        flat: NDArray[Any] = np.empty(len(data), object)
        flat[:] = data
    else:
        flat = np.frombuffer(data, kind)
    return flat.reshape(shape, order="F" if by_columns else "C")


def _dtype(said: DType) -> np.dtype[Any]:
    """A type of plain numbers, of dates, or of objects; ValueError for any other."""
    name, order = said.args[0], said.state[1]
    if name in ("O8", "O"):
        return np.dtype(object)
    if name in ("M8", "datetime64"):
        unit = said.state[8][1][0]
        if unit in UNITS and said.state[8][1][1:] == (1, 1, 1):
            return np.dtype(f"{order}M8[{unit.decode()}]")
    if name in PLAIN and order in ("<", ">", "|"):
        return np.dtype(f"{order}{name}")
    raise ValueError(f"values of type {name!r}")


def _numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Whole numbers that pandas kept as objects become numbers; ValueError where they are none."""
    if values.dtype != object:
        return values
    if not all(type(value) in (int, float, str) for value in values):
        raise ValueError("objects that are no numbers")
    return pd.to_numeric(values)
