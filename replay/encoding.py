"""Columns to the values of messages, a thousand rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.rows import encode_packed
from detector.schema import Schema
from replay.batch import Batch, Objects, Stage, objects
from replay.columns import Columns

CHUNK = 1000
"""Rows encoded at a time: a stop comes between two chunks at the latest."""


class Values(Protocol):
    """The values of all rows of a batch, not yet encoded."""

    def encode(self, rows: slice) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class PackedValues:
    """matrix: float32 (n, d)."""

    matrix: NDArray[np.float32]

    def encode(self, rows: slice) -> list[bytes]:
        """Each row's numbers, little-endian."""
        return encode_packed(self.matrix[rows])


@dataclass(frozen=True, slots=True)
class JsonValues:
    """columns: by name an array (n,) of numbers or text, UNSET where a value is missing."""

    columns: dict[str, NDArray[Any]]

    def encode(self, rows: slice) -> list[bytes]:
        """Each row as an object; an infinite number, which JSON cannot write, becomes null."""
        encode, row = _ENCODER.encode, _row(tuple(self.columns))
        return [encode(row(*values)) for values in zip(*(c[rows].tolist() for c in self.columns.values()), strict=True)]


_ENCODER = msgspec.json.Encoder()


@cache
def _row(names: tuple[str, ...]) -> Any:
    """A struct writes a row of 30 numbers in 1.8 us, a dictionary in 3.1, and leaves out what is unset."""
    places = {f"f{index}": name for index, name in enumerate(names)}
    return msgspec.defstruct("Row", [(place, Any) for place in places], rename=places, gc=False)


def encoder(format_: str, columns: Columns) -> Callable[[pd.DataFrame], Values]:
    """How the columns of a table become values in a format."""
    make = packed_values if format_ == "packed" else json_values
    return lambda frame: make(frame, columns)


def encoded(make: Callable[[pd.DataFrame], Values] | None, rows: int = CHUNK) -> Stage:
    """The stage that encodes: batches of at most so many rows come out, each with its values.

    make: how; None where all rows come with their values.
    """

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            values = None if make is None or batch.frame is None or batch.values is not None else make(batch.frame)
            rest = replace(batch, frame=None)
            for start in range(0, len(batch), rows):
                part = slice(start, start + rows)
                piece = rest.take(part)
                yield piece if values is None else replace(piece, values=objects(values.encode(part)))

    return stage


def packed_values(frame: pd.DataFrame, columns: Columns) -> PackedValues:
    """Numbers alone, as float32: those of text and booleans are the model's."""
    features = columns.features
    if not columns.categories and not columns.booleans:
        return PackedValues(table.matrix(frame, features))
    categories = {name: texts for name, texts in columns.categories.items() if name in features}
    booleans = tuple(name for name in columns.booleans if name in features)
    return PackedValues(table.encoded(frame, Schema(features, categories=categories, booleans=booleans)))


def json_values(frame: pd.DataFrame, columns: Columns) -> JsonValues:
    """Numbers and text, every digit kept."""
    return JsonValues({name: json_column(frame[name]) for name in columns.features})


def json_column(values: pd.Series[Any]) -> NDArray[Any]:
    """A column (n,): numbers stay numbers, booleans become 0 and 1, all else text; UNSET where a value is missing."""
    if pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        values = values.astype("boolean").astype("Int64")
    plain, missing = values if pd.api.types.is_numeric_dtype(values) else values.astype(str), values.isna().to_numpy()
    if not missing.any():
        return plain.to_numpy()
    return np.where(missing, np.array(msgspec.UNSET, dtype=object), plain.to_numpy(dtype=object))


def keys(values: pd.Series[Any]) -> Objects:
    """A key column as bytes of its text (n,), None where it is missing; whole numbers are written without a point.

    Each value by itself: the key of an entity does not depend on which rows are read with its own.
    """
    codes, distinct = pd.factorize(values)
    if pd.api.types.is_float_dtype(values):  # pandas reads whole numbers with gaps as floats, and card 17 is not 17.0
        texts = [_number(value) for value in np.asarray(distinct, np.float64).tolist()]
    else:
        texts = pd.Series(distinct).astype(str).tolist()
    return objects([*(text.encode() for text in texts), None])[codes]  # the last, where factorize's code -1 points to


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else str(value)
