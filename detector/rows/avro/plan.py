"""From a writer's schema to the steps that read its rows: which features it has, and what is between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.rows.avro.cursors import Cursors
from detector.rows.avro.steps import (
    All,
    Bytes,
    Decimal,
    Fixed,
    Real,
    RowByRow,
    Step,
    Symbol,
    Text,
    Truth,
    Union,
    Varint,
    Whole,
    Wrong,
)
from detector.rows.avro.types import ENDLESS, LENGTHY, RECORDS, VARINTS, Types, Written
from detector.rows.paths import Layout, Tree, leaves
from detector.rows.refusals import Refusal
from detector.rows.values import no_object, wrong_kind

MOST_STEPS = 10_000
"""Steps of one schema at most: records in records in records could have any number."""

MOST_DIGITS = 400
"""Digits behind the point that a decimal can have: float64 knows none beyond."""

Wanted = Tree | int | None
"""What is wanted of a type: features inside it, itself as the feature at a place, or nothing."""


class Plan:
    """Reads the rows of one writer's schema. types: those of the schema."""

    def __init__(self, written: Written, layout: Layout) -> None:
        """ValueError, or whatever fastavro stumbles over, where the schema is none, or not one of records."""
        self.types = Types(written)
        self._layout = layout
        self._steps = 0
        root = self.types.resolved(self.types.root)
        branches = [self.types.resolved(branch)["type"] for branch in root.get("branches", [root])]
        if not set(branches) & set(RECORDS):
            raise ValueError(f"{_a(root['type'])}, a record wanted")
        self._step = All(tuple(self._of(root, layout.root, 0)))

    def read(self, here: Cursors) -> None:
        """Reads rows of this schema, each from behind its schema's number to its end."""
        self._step(here)
        here.refuse(here.at != here.reading.ends[here.rows])

    def _of(self, type_: Any, wanted: Wanted, depth: int) -> list[Step]:
        """The steps through a type to which `depth` names lead."""
        one = self.types.resolved(type_)
        if wanted is None:
            return self._past(one)
        if one["type"] == "union":
            return self._counted([Union(tuple(self._branch(branch, wanted, depth) for branch in one["branches"]))])
        if isinstance(wanted, int):
            return self._counted(self._feature(one, wanted))
        if one["type"] in RECORDS:
            return self._record(one, wanted, depth)
        return self._past(one) + self._no_record(one["type"], wanted, depth)

    def _branch(self, type_: Any, wanted: Wanted, depth: int) -> Step:
        steps = _merged(self._of(type_, wanted, depth))
        return steps[0] if len(steps) == 1 else All(tuple(steps))

    def _record(self, record: dict[str, Any], wanted: Tree, depth: int) -> list[Step]:
        """Steps through the fields; those that are wanted are known by name, else by an older name, an alias."""
        asked = _asked(record["fields"], wanted)
        steps: list[Step] = []
        for index, field in enumerate(record["fields"]):
            steps += self._of(field["type"], wanted[asked[index]] if index in asked else None, depth + 1)
        for name in wanted.keys() - asked.values():
            steps += [
                Wrong(place, Refusal("missing_feature", self._layout.absent(place)))
                for place in leaves(wanted[name])
                if not self._optional(place)
            ]
        return _merged(steps)

    def _no_record(self, kind: str, wanted: Tree, depth: int) -> list[Step]:
        """What becomes of features whose path leads through something else: a null is a gap where one may be."""
        return [
            Wrong(place, no_object(self._layout, place, depth, _a(kind)))
            for place in leaves(wanted)
            if not (kind == "null" and self._optional(place))
        ]

    def _feature(self, one: dict[str, Any], place: int) -> list[Step]:
        kind, schema = one["type"], self._layout.schema
        name = schema.features[place]
        if kind == "null":
            return [] if self._optional(place) else [Wrong(place, wrong_kind(self._layout, place, _a(kind)))]
        if name in schema.categories:
            step = _category(one, place, schema.categories[name])
        elif kind == "boolean" and name in schema.booleans:
            step = Truth(place)
        else:
            step = _number(one, place, self._optional(place))
        return [step] if step else [*self._past(one), Wrong(place, wrong_kind(self._layout, place, _a(kind)))]

    def _past(self, one: dict[str, Any]) -> list[Step]:
        """Steps past a type of which nothing is wanted."""
        kind, size = one["type"], self.types.size(one)
        if size is not None:
            return [Fixed(size)] if size else []
        if kind in VARINTS:
            return self._counted([Varint()])
        if kind in LENGTHY:
            return self._counted([Bytes()])
        if kind in ("array", "map") or self.types.recursive(one):
            return self._counted([RowByRow(self.types.skip(one))])
        if kind == "union":
            return self._counted([Union(tuple(self._branch(branch, None, 0) for branch in one["branches"]))])
        return _merged([step for field in one["fields"] for step in self._of(field["type"], None, 0)])

    def _optional(self, place: int) -> bool:
        return self._layout.schema.features[place] in self._layout.schema.optional

    def _counted(self, steps: list[Step]) -> list[Step]:
        self._steps += len(steps)
        if self._steps > MOST_STEPS:
            raise ValueError(f"more than {MOST_STEPS} fields, one inside another")
        return steps


def _a(kind: str) -> str:
    return kind if kind == "null" else f"{'an' if kind[0] in 'aei' else 'a'} {kind}"


def _asked(fields: Sequence[dict[str, Any]], wanted: Tree) -> dict[int, str]:
    """By its index, the name under which a field is wanted."""
    named = {field["name"]: index for index, field in enumerate(fields)}
    asked = {named[name]: name for name in wanted if name in named}
    for index, field in enumerate(fields):
        older = [name for name in field.get("aliases", ()) if name in wanted and name not in named]
        if older and index not in asked and older[0] not in asked.values():
            asked[index] = older[0]
    return asked


def _merged(steps: list[Step]) -> list[Step]:
    """The same steps, neighbours of fixed size in one."""
    merged: list[Step] = []
    for step in steps:
        if isinstance(step, Fixed) and merged and isinstance(last := merged[-1], Fixed):
            merged[-1] = Fixed(min(last.size + step.size, ENDLESS))
        else:
            merged.append(step)
    return merged


def _category(one: dict[str, Any], place: int, values: Sequence[str]) -> Step | None:
    other = float(len(values))
    if one["type"] == "string":
        return Text(place, {text.encode(): float(position) for position, text in enumerate(values)}, other)
    if one["type"] == "enum":
        symbols = [float(values.index(text)) if text in values else other for text in one["symbols"]]
        return Symbol(place, np.array(symbols, np.float64))
    return None


def _number(one: dict[str, Any], place: int, optional: bool) -> Step | None:
    kind, scale = one["type"], one.get("scale", 0)
    if kind in ("float", "double"):
        return Real(place, kind == "double", optional)
    if kind in ("int", "long"):
        return Whole(place)
    if kind in ("bytes", "fixed") and one.get("logicalType") == "decimal" and 0 <= scale <= MOST_DIGITS:
        return Decimal(place, 10**scale, None if kind == "bytes" else min(int(one["size"]), ENDLESS))
    return None
