"""What the readers of the formats share: numbers as JSON has them, and one rounding to float32."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detector.rows.paths import Layout, Tree, leaves
from detector.rows.refusals import Refusal
from detector.schema import Schema

Numbers = tuple[float | None, ...]

Kind = type[np.float32] | type[np.float64]
"""Of a matrix' numbers: float32 is what models take; float64 keeps whole numbers up to 2^53."""

ABSENT: Any = object()
"""Stands for a value that is not there."""


@dataclass(frozen=True, slots=True)
class Found:
    """matrix: (k, d) of the values that were read. kept: their places. refused: the others', by place."""

    matrix: NDArray[Any]
    kept: Sequence[int]
    refused: dict[int, Refusal]


class Reader(Protocol):
    """Reads the values of one format. Whether numbers are finite is not its question."""

    def whole(self, values: Sequence[bytes]) -> NDArray[Any] | None:
        """The matrix (n, d) of a batch, the fast way; None where a value may be no row."""

    def each(self, values: Sequence[bytes]) -> Found:
        """What can be read of values that may be anything."""


def to_float32(wide: NDArray[np.float64]) -> NDArray[np.float32]:
    """The one rounding from float64 to float32 that history and stream share; what overflows becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):  # numpy warns of signalling NaN, too
        return np.ascontiguousarray(wide, np.float32)


def to_kind(wide: NDArray[np.float64], kind: Kind) -> NDArray[Any]:
    """Rounded as `to_float32` does, or as it is."""
    return to_float32(wide) if kind is np.float32 else np.ascontiguousarray(wide)


def to_matrix(numbers: Iterable[Numbers], schema: Schema, kind: Kind = np.float32) -> NDArray[Any]:
    """float64 as JSON has it, then float32: the same rounding as history's own. None becomes NaN."""
    width = len(schema.features)
    if schema.optional:
        wide = np.array(list(numbers), dtype=np.float64)
    else:
        # Row by row as bytes: a third of the time of one flat iterator of numbers, half of that of filling an array.
        wide = np.frombuffer(b"".join(starmap(_packer(width), numbers)), np.float64)
    return to_kind(wide.reshape(-1, width), kind)


@lru_cache
def _packer(width: int) -> Callable[..., bytes]:
    """Makes bytes of so many numbers, float64 as numpy has it."""
    return struct.Struct(f"{width}d").pack


def numbers_of(found: Mapping[str, Any], layout: Layout) -> Numbers | Refusal:
    """What the matrix holds for an object with a value for each feature."""
    numbers: list[float | None] = []
    for place, value in enumerate(located(found, layout)):
        number = number_of(value, layout, place)
        if isinstance(number, Refusal):
            return number
        numbers.append(number)
    return tuple(numbers)


def located(found: Mapping[str, Any], layout: Layout) -> list[Any]:
    """What an object holds at each feature's path: ABSENT for nothing, a Refusal where the path cannot be gone."""
    values: list[Any] = [ABSENT] * len(layout.paths)
    _locate(found, layout.root, layout, 0, values)
    return values


def _locate(found: Any, node: Tree, layout: Layout, depth: int, values: list[Any]) -> None:
    """Fills in what is found under the names of a tree, to which `depth` names have led."""
    if not isinstance(found, dict):
        for place in leaves(node):
            gap = found is None and layout.schema.features[place] in layout.schema.optional
            held = "null" if found is None else f"a {type(found).__name__}"
            values[place] = None if gap else no_object(layout, place, depth, held)
        return
    for name, inner in node.items():
        value = found.get(name, ABSENT)
        if isinstance(inner, int):
            values[inner] = value
        elif value is not ABSENT:
            _locate(value, inner, layout, depth + 1, values)


def no_object(layout: Layout, place: int, depth: int, held: str) -> Refusal:
    """Refuses what is held where the path of a feature should have gone on, behind `depth` names."""
    at = repr(".".join(layout.paths[place][:depth])) if depth else "the value"
    return Refusal("not_an_object", f"feature {layout.schema.features[place]!r}: {at} is {held}, an object wanted")


def number_of(value: Any, layout: Layout, place: int) -> float | Refusal | None:
    """What the matrix holds for the value of one feature; None where it may be missing, and is."""
    if isinstance(value, Refusal):
        return value
    name, schema = layout.schema.features[place], layout.schema
    if (value is None or value is ABSENT) and name in schema.optional:
        return None
    if value is ABSENT:
        return Refusal("missing_feature", layout.absent(place))
    value = _wide(value) if type(value) is int else value
    if name in schema.categories:
        if not isinstance(value, str):
            return wrong_kind(layout, place, f"a {type(value).__name__}")
        values = schema.categories[name]
        return float(values.index(value) if value in values else len(values))
    if name in schema.booleans and isinstance(value, bool):
        return float(value)
    if not isinstance(value, float):
        return wrong_kind(layout, place, f"a {type(value).__name__}")
    return value if math.isfinite(value) else Refusal("not_finite", f"feature {name!r} is {value}")


def wrong_kind(layout: Layout, place: int, held: str) -> Refusal:
    """Refuses what a feature holds because it is nothing of its kind."""
    name, schema = layout.schema.features[place], layout.schema
    if name in schema.categories:
        return Refusal("not_a_category", f"feature {name!r} is {held}, text wanted")
    wanted = "boolean" if name in schema.booleans else "number"
    return Refusal("not_a_number", f"feature {name!r} is {held}, a {wanted} wanted")


def _wide(whole: int) -> float:
    try:
        return float(whole)
    except OverflowError:
        return math.inf if whole > 0 else -math.inf
