"""JSON rows: one object a message, fields that are no features ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.rows.json_faults import REFUSED, JsonFaults
from detector.rows.json_structs import Leaf, field, flattened, struct
from detector.rows.paths import Layout, Path
from detector.rows.refusals import Refusal
from detector.rows.values import Found, Kind, Numbers, to_matrix
from detector.schema import LONGEST_CATEGORY, Schema


class JsonRows:
    """Reads objects that have a value for each feature of a layout."""

    def __init__(self, layout: Layout, kind: Kind = np.float32) -> None:
        schema, self._kind = layout.schema, kind
        self._schema = schema
        row = struct(layout.root, lambda place: _leaf(schema, schema.features[place]))
        self._steps = (msgspec.json.Decoder(row).decode, *flattened(layout))
        self._faults = JsonFaults(layout, self._numbers)

    def whole(self, values: Sequence[bytes]) -> NDArray[Any] | None:
        """The matrix (n, d) of a batch, or None where a value is no row."""
        try:
            if not all(map(bytes.isascii, values)):
                for value in values:
                    value.decode("utf-8")  # msgspec does not look into the fields it skips
            # Row by row down to the array: a list of all rows would leave the processor's cache and cost a third more.
            return to_matrix(self._numbers(values), self._schema, self._kind)
        except (*REFUSED, UnicodeDecodeError):
            return None

    def each(self, values: Sequence[bytes]) -> Found:
        """What can be read of values that may be anything."""
        refused: dict[int, Refusal] = {}
        if not all(map(bytes.isascii, values)):
            refused = {place: why for place, value in enumerate(values) if (why := _not_text(value))}
        places = [place for place in range(len(values)) if place not in refused]
        numbers = self._read([values[place] for place in places] if refused else values)
        refused |= {places[seen]: one for seen, one in enumerate(numbers) if isinstance(one, Refusal)}
        kept = [place for place in places if place not in refused]
        read = (one for one in numbers if not isinstance(one, Refusal))
        return Found(to_matrix(read, self._schema, self._kind), kept, refused)

    def _read(self, values: Sequence[bytes]) -> list[Numbers | Refusal]:
        """The features of each value, or why it is no row."""
        read: list[Numbers | Refusal] = []
        asked = self._numbers(values)
        while len(read) < len(values):
            try:
                # What was read before a failure stays in the list, and the iterator stands behind what failed.
                read.extend(asked)
            except REFUSED as error:
                read.append(self._faults.read(values[len(read)], error))
        return read

    def _numbers(self, values: Iterable[bytes]) -> Iterator[Numbers]:
        """The features of each value, in the schema's order."""
        found: Iterator[Any] = iter(values)
        for step in self._steps:
            found = map(step, found)
        return found


def _not_text(value: bytes) -> Refusal | None:
    if value.isascii():
        return None
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        return Refusal("not_utf8", f"byte {error.start} is not UTF-8")
    return None


class Category(float, Enum):
    """A text feature's value as msgspec finds it by its text: a number, its position, ready for an array.

    One made by `_category` has a member for each value, and one for all others. That members are floats costs nothing
    when numpy takes them; a method `__float__` would be called for each.
    """

    def __new__(cls, text: str, position: int) -> Category:
        self = float.__new__(cls, position)
        self._value_ = text
        return self

    @classmethod
    def _missing_(cls, value: object) -> Category:
        return cls["OTHER"]

    __repr__ = object.__repr__  # float's own would be given the text


OTHER = "?" * (LONGEST_CATEGORY + 1)
"""The text of the member that stands for all texts that are no value: too long to be one."""


def _category(values: Sequence[str]) -> Any:
    members = {f"VALUE_{position}": (text, position) for position, text in enumerate(values)}
    return Category("Value", members | {"OTHER": (OTHER, len(values))})  # type: ignore[arg-type]


def _json_type(schema: Schema, name: str) -> Any:
    if name in schema.categories:
        return _category(schema.categories[name])
    return bool | float if name in schema.booleans else float


def _leaf(schema: Schema, name: str) -> Leaf:
    kind = _json_type(schema, name)
    return Leaf(kind | None, None) if name in schema.optional else Leaf(kind)


def json_field(path: Path) -> Callable[[bytes], tuple[Any, str]]:
    """What finds one field of an object, None where it is not there; JSON never says the unit of a time."""
    get = field(path)

    def found(value: bytes) -> tuple[Any, str]:
        try:
            return get(value), ""
        except (*REFUSED, AttributeError):  # a path leads through a null
            return None, ""

    return found


def encode_json(rows: Iterable[dict[str, Any]]) -> list[bytes]:
    """Each row as a JSON object; numbers keep every digit of their float64."""
    encode = msgspec.json.Encoder().encode
    return [encode(row) for row in rows]
