"""One field of one row, found by its path: of rows that alert, and only for their time."""

from __future__ import annotations

import struct
from typing import Any

from detector.rows.avro.single import Malformed, skip_bytes, varint, within
from detector.rows.avro.types import RECORDS, Types
from detector.rows.paths import Path

TIMES = {"timestamp-millis": "ms", "timestamp-micros": "us", "timestamp-nanos": "ns"}
"""By logical type, the unit of a time since 1970."""

REALS = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}


def field(types: Types, path: Path, data: bytes, at: int) -> tuple[Any, str]:
    """What a row holds at a path from a place in its bytes on, and the unit of time that its schema names, if any.

    None where there is nothing, or neither number nor text. Raises Malformed for what is no row of these types.
    """
    return _in(types, types.root, path, data, at)


def _in(types: Types, type_: Any, path: Path, data: bytes, at: int) -> tuple[Any, str]:
    one = types.resolved(type_)
    if one["type"] == "union":
        number, at = varint(data, at, len(data))
        if not 0 <= number < len(one["branches"]):
            raise Malformed
        return _in(types, one["branches"][number], path, data, at)
    if not path:
        return _leaf(one, data, at)
    fields = one["fields"] if one["type"] in RECORDS else ()
    aliased = all(path[0] != inner["name"] for inner in fields)
    for inner in fields:
        if path[0] == inner["name"] or (aliased and path[0] in inner.get("aliases", ())):
            return _in(types, inner["type"], path[1:], data, at)
        at = types.skip(inner["type"])(data, at, len(data))
    return None, ""


def _leaf(one: dict[str, Any], data: bytes, at: int) -> tuple[Any, str]:
    kind, logical = one["type"], one.get("logicalType", "")
    unit = TIMES.get(logical.removeprefix("local-"), "")
    if kind in REALS:
        return REALS[kind].unpack(data[at : within(at, REALS[kind].size, len(data))])[0], ""
    if kind in ("int", "long") and (unit or not logical):  # a number that is a date, or a time of day, is no instant
        return varint(data, at, len(data))[0], unit
    if kind == "string":
        start = varint(data, at, len(data))[1]
        return data[start : skip_bytes(data, at, len(data))].decode("utf-8", "replace"), ""
    return None, ""
