"""What the readers of the formats share: numbers as JSON has them, and one rounding to float32."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detector.rows.refusals import Refusal
from detector.schema import Schema

Numbers = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """matrix: float32 (k, d) of the values that were read. kept: their places. refused: the others', by place."""

    matrix: NDArray[np.float32]
    kept: list[int]
    refused: dict[int, Refusal]


class Reader(Protocol):
    """Reads the values of one format. Whether numbers are finite is not its question."""

    def whole(self, values: Sequence[bytes]) -> NDArray[np.float32] | None:
        """The matrix (n, d) of a batch, the fast way; None where a value may be no row."""

    def each(self, values: Sequence[bytes]) -> Found:
        """What can be read of values that may be anything."""


def to_float32(wide: NDArray[np.float64]) -> NDArray[np.float32]:
    """The one rounding from float64 to float32 that history and stream share; what overflows becomes infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(wide, np.float32)


def to_matrix(numbers: Iterable[Numbers], count: int, schema: Schema) -> NDArray[np.float32]:
    """float64 as JSON has it, then float32: the same rounding as history's own. None becomes NaN."""
    width = len(schema.features)
    if schema.optional:
        wide = np.array(list(numbers), dtype=np.float64)
    else:
        # One flat iterator of numbers: the fastest way from Python objects to an array that was measured.
        wide = np.fromiter(chain.from_iterable(numbers), np.float64, count=count * width)
    return to_float32(wide.reshape(-1, width))


def collected(read: Iterable[Numbers | Refusal], schema: Schema) -> Found:
    """Sorts what was read one by one."""
    kept: list[int] = []
    numbers: list[Numbers] = []
    refused: dict[int, Refusal] = {}
    for place, one in enumerate(read):
        if isinstance(one, Refusal):
            refused[place] = one
        else:
            kept.append(place)
            numbers.append(one)
    return Found(to_matrix(numbers, len(numbers), schema), kept, refused)


def numbers_of(found: Mapping[str, Any], schema: Schema) -> Numbers | Refusal:
    """What the matrix holds for an object with a value for each feature."""
    numbers: list[float | None] = []
    for name in schema.features:
        value = found.get(name)
        if value is None and name in schema.optional:
            numbers.append(None)
        elif name not in found:
            return Refusal("missing_feature", f"feature {name!r} is absent")
        elif isinstance(number := _number(value, name, schema), Refusal):
            return number
        else:
            numbers.append(number)
    return tuple(numbers)


def _number(value: Any, name: str, schema: Schema) -> float | Refusal:
    """What the matrix holds for the value of one feature that is there."""
    told = f"feature {name!r} is a {type(value).__name__}"
    if name in schema.categories:
        if not isinstance(value, str):
            return Refusal("not_a_category", f"{told}, text wanted")
        values = schema.categories[name]
        return float(values.index(value) if value in values else len(values))
    if name in schema.booleans and isinstance(value, bool):
        return float(value)
    if not isinstance(value, float):
        return Refusal("not_a_number", f"{told}, a {'boolean' if name in schema.booleans else 'number'} wanted")
    return value if math.isfinite(value) else Refusal("not_finite", f"feature {name!r} is {value}")
