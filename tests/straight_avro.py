"""One Avro value read the slow way, a byte after the other, by hand: what the decoder's column reading must come to."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

WRITTEN_AS = {"float": "<f", "double": "<d", "boolean": "<?"}


class Malformed(Exception):
    """A value is not what its schema says."""


class Cursor:
    """A place in a value's bytes."""

    def __init__(self, content: bytes, at: int) -> None:
        self.content, self.at = content, at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if not 0 <= count <= len(self.content) - self.at:
            raise Malformed
        self.at += count
        return self.content[self.at - count : self.at]

    def whole(self) -> int:
        """A whole number of 1 to 10 bytes, the lowest first, the sign in the last bit."""
        wide = 0
        for place in range(10):
            (byte,) = self.take(1)
            wide += (byte % 128) << (7 * place)
            if byte < 128:
                break
        else:
            raise Malformed
        if wide >= 1 << 64:
            raise Malformed
        return wide // 2 if wide % 2 == 0 else -(wide // 2) - 1


def features_of(content: bytes, names: Sequence[str], writers: Mapping[int, Any]) -> list[Any] | str:
    """What a message in the registry's wire format has under each name; or the reason why it is no record."""
    if len(content) < 5 or content[0] != 0:
        return "not_avro"
    schema = writers.get(int.from_bytes(content[1:5], "big"))
    if not isinstance(schema, dict) or schema["type"] != "record":
        return "unknown_schema"
    cursor = Cursor(content, 5)
    try:
        found = read(schema, cursor)
    except (Malformed, struct.error):
        return "not_avro"
    return [found[name] for name in names] if cursor.at == len(content) else "not_avro"


def read(type_: Any, cursor: Cursor) -> Any:
    """A value of a type; text and bytes are not looked into."""
    if isinstance(type_, list):
        branch = cursor.whole()
        if not 0 <= branch < len(type_):
            raise Malformed
        return read(type_[branch], cursor)
    kind = type_["type"] if isinstance(type_, dict) else type_
    if kind == "record":
        return {field["name"]: read(field["type"], cursor) for field in type_["fields"]}
    if kind == "array":
        return blocks(type_["items"], cursor)
    if kind in ("string", "bytes"):
        return cursor.take(cursor.whole())
    if kind in ("int", "long"):
        return cursor.whole()
    if kind == "null":
        return None
    (number,) = struct.unpack(WRITTEN_AS[kind], cursor.take(struct.calcsize(WRITTEN_AS[kind])))
    return number


def blocks(items: Any, cursor: Cursor) -> list[Any]:
    """A list, which comes in blocks until one is empty; of some the size in bytes is told too."""
    found: list[Any] = []
    while count := cursor.whole():
        end = None
        if count < 0:
            size = cursor.whole()
            end = cursor.at + size
        found += [read(items, cursor) for _ in range(abs(count))]
        if end is not None and end != cursor.at:
            raise Malformed
    return found
