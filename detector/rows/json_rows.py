"""JSON rows: one object a message, fields that are no features ignored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.rows.refusals import Refusal
from detector.rows.values import Found, Numbers, collected, numbers_of, to_matrix
from detector.schema import LONGEST_CATEGORY, Schema


class JsonRows:
    """Reads objects that have a value for each feature of a schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._decode = _json_decoder(schema)

    def whole(self, values: Sequence[bytes]) -> NDArray[np.float32] | None:
        """The matrix (n, d) of a batch, or None where a value is no row."""
        try:
            if not all(map(bytes.isascii, values)):
                for value in values:
                    value.decode("utf-8")  # msgspec does not look into the fields it skips
            # Row by row down to the array: a list of all rows would leave the processor's cache and cost a third more.
            return to_matrix(map(msgspec.structs.astuple, map(self._decode, values)), len(values), self._schema)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None

    def each(self, values: Sequence[bytes]) -> Found:
        """What can be read of values that may be anything."""
        return collected((self._one(value) for value in values), self._schema)

    def _one(self, value: bytes) -> Numbers | Refusal:
        try:
            if not value.isascii():
                value.decode("utf-8")
            numbers: Numbers = msgspec.structs.astuple(self._decode(value))
            return numbers
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return _read_slowly(value, self._schema)


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


def _json_decoder(schema: Schema) -> Callable[[bytes], Any]:
    """One msgspec struct for the schema, its fields in the schema's order."""
    fields: list[Any] = []
    for index, name in enumerate(schema.features):
        kind = _json_type(schema, name)
        fields.append((f"f{index}", kind | None, None) if name in schema.optional else (f"f{index}", kind))
    names = {f"f{index}": name for index, name in enumerate(schema.features)}
    struct = msgspec.defstruct("Row", fields, rename=names, gc=False, kw_only=True)
    return msgspec.json.Decoder(struct).decode


def _read_slowly(value: bytes, schema: Schema) -> Numbers | Refusal:
    """Reads one JSON value to find what is wrong with it."""
    try:
        found = json.loads(value.decode("utf-8"), parse_int=float)
    except UnicodeDecodeError as error:
        return Refusal("not_utf8", f"byte {error.start} is not UTF-8")
    except (ValueError, RecursionError) as error:
        return Refusal("not_json", f"{error}"[:200])
    if not isinstance(found, dict):
        return Refusal("not_an_object", f"a JSON {type(found).__name__}, an object wanted")
    return numbers_of(found, schema)


def encode_json(rows: Iterable[dict[str, Any]]) -> list[bytes]:
    """Each row as a JSON object; numbers keep every digit of their float64."""
    encode = msgspec.json.Encoder().encode
    return [encode(row) for row in rows]
