"""The types of a writer's schema: by name, by size, and how each is passed over in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from detector.rows.avro.single import (
    Skip,
    skip_all,
    skip_blocks,
    skip_bytes,
    skip_fixed,
    skip_union,
    skip_varint,
)

SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
VARINTS = ("int", "long", "enum")
LENGTHY = ("string", "bytes")
RECORDS = ("record", "error")
ENDLESS = 1 << 40
"""Bytes: no row is so long. Nothing overflows that is bounded by it."""


class Written(NamedTuple):
    """A writer's schema as JSON has it, and before it those that it refers to by name, each before who refers to it."""

    schema: Any
    references: Sequence[Any] = ()


class Types:
    """The types of one schema. root: its own type."""

    def __init__(self, written: Written) -> None:
        """Raises whatever fastavro stumbles over where the schema is none."""
        from fastavro.schema import parse_schema

        self._names: dict[str, Any] = {}
        self._skips: dict[str, Skip] = {}
        self._sizes: dict[str, int | None] = {}
        self._recursive: dict[str, bool] = {}
        # A default counts for readers alone: one that is no value of its type, which Java lets pass, hurts nobody here.
        *_, self.root = [
            parse_schema(one, named_schemas=self._names, _ignore_default_error=True)
            for one in (*written.references, written.schema)
        ]

    def resolved(self, type_: Any) -> dict[str, Any]:
        """A type as a dictionary whose `type` is the kind; a union's `branches` are its types."""
        while not isinstance(type_, list):
            inner = type_["type"] if isinstance(type_, dict) else type_
            if isinstance(inner, str) and inner not in self._names:
                return type_ if isinstance(type_, dict) else {"type": inner}
            type_ = self._names[inner] if isinstance(inner, str) else inner
        return {"type": "union", "branches": type_}

    def size(self, type_: Any) -> int | None:
        """How many bytes every value of a type takes, at most ENDLESS; None where they take more or fewer."""
        one = self.resolved(type_)
        if one["type"] == "fixed":
            return min(int(one["size"]), ENDLESS)
        if one["type"] not in RECORDS:
            return SIZES.get(one["type"])
        name = one["name"]
        if name not in self._sizes:
            self._sizes[name] = None  # so it is for a record that holds itself
            inner = [self.size(field["type"]) for field in one["fields"]]
            sizes = [size for size in inner if size is not None]
            self._sizes[name] = min(sum(sizes), ENDLESS) if len(sizes) == len(inner) else None
        return self._sizes[name]

    def recursive(self, type_: Any) -> bool:
        """Whether a value of a type can hold another of the same type, what is in lists and maps aside."""
        one = self.resolved(type_)
        if one["type"] == "union":
            return any(self.recursive(branch) for branch in one["branches"])
        if one["type"] not in RECORDS:
            return False
        name = one["name"]
        if name not in self._recursive:
            self._recursive[name] = True  # so it is for a record that is found again inside itself
            self._recursive[name] = any(self.recursive(field["type"]) for field in one["fields"])
        return self._recursive[name]

    def skip(self, type_: Any) -> Skip:
        """Passes over a value of a type in one row."""
        one = self.resolved(type_)
        kind, size = one["type"], self.size(one)
        if size is not None:
            return skip_fixed(size)
        if kind in VARINTS:
            return skip_varint
        if kind in LENGTHY:
            return skip_bytes
        if kind == "union":
            return skip_union(tuple(self.skip(branch) for branch in one["branches"]))
        if kind == "array":
            return skip_blocks(self.skip(one["items"]), self.size(one["items"]))
        if kind == "map":
            return skip_blocks(skip_all((skip_bytes, self.skip(one["values"]))), None)
        return self._skip_record(one)

    def _skip_record(self, record: dict[str, Any]) -> Skip:
        name = record["name"]
        if name not in self._skips:
            # A record that holds itself finds here, when it is asked for again, what is being made.
            self._skips[name] = lambda data, at, end: made(data, at, end)
            made = skip_all(tuple(self.skip(field["type"]) for field in record["fields"]))
            self._skips[name] = made
        return self._skips[name]
