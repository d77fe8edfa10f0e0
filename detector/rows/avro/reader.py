"""Avro rows in a schema registry's wire format: a zero byte, the number of the writer's schema, the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.rows.avro.cursors import Cursors, Fault, Reading
from detector.rows.avro.lookup import field
from detector.rows.avro.plan import Plan
from detector.rows.avro.single import Malformed
from detector.rows.avro.types import Written
from detector.rows.messages import parted
from detector.rows.paths import Layout, Path
from detector.rows.refusals import Refusal
from detector.rows.values import Found, Kind, to_kind

Registry = Callable[[int], Written | None]
"""Gives the writer's schema of a number, None where there is none; raises where that cannot be found out."""

HEAD = 5
"""Bytes before the record: zero, and 4 of the schema's number, big-endian."""

MOST_PLANS = 1_000
"""Schemas whose plans are kept."""

NO_WIRE = Refusal("not_avro", "no zero byte and schema number at its start, which the registry's wire format has")


class AvroRows:
    """Reads records that have a value for each feature of a layout, whatever their schemas have besides."""

    def __init__(self, layout: Layout, registry: Registry, kind: Kind = np.float32) -> None:
        self._layout, self._registry, self._kind = layout, registry, kind
        self._plans: dict[int, Plan | Refusal] = {}

    def whole(self, values: Sequence[bytes]) -> NDArray[Any] | None:
        """The matrix (n, d) of a batch, or None where a value is no row."""
        wide, refused = self._read(values)
        return None if refused else to_kind(wide.T, self._kind)

    def each(self, values: Sequence[bytes]) -> Found:
        """What can be read of values that may be anything."""
        wide, refused = self._read(values)
        kept = [place for place in range(len(values)) if place not in refused]
        return Found(to_kind(wide.T[kept], self._kind), kept, refused)

    def field(self, path: Path) -> Callable[[bytes], tuple[Any, str]]:
        """What finds one field of a row, and the unit of time that its schema names; None where there is nothing."""

        def found(value: bytes) -> tuple[Any, str]:
            plan = self._plan(int.from_bytes(value[1:HEAD], "big"))
            try:
                return field(plan.types, path, value, HEAD) if isinstance(plan, Plan) else (None, "")
            except (Malformed, RecursionError):
                return None, ""

        return found

    def _read(self, values: Sequence[bytes]) -> tuple[NDArray[np.float64], dict[int, Refusal]]:
        """The numbers (d, n), and why places have none."""
        reading = Reading(values, len(self._layout.paths))
        starts = reading.ends - np.fromiter(map(len, values), np.int64, len(values))
        wire = (reading.ends - starts >= HEAD) & (reading.bytes[starts] == 0)
        refused = dict.fromkeys(np.flatnonzero(~wire).tolist(), NO_WIRE)
        for number, rows in _groups(reading.numbers[starts + 1], wire):
            plan = self._plan(number)
            if isinstance(plan, Plan):
                plan.read(Cursors(reading, rows, starts[rows] + HEAD))
                told = Refusal("not_avro", f"its bytes are not what schema {number} says")
                reading.faults.append(Fault(-1, _of(reading.broken, rows), told))
            else:
                refused |= dict.fromkeys(range(len(values)) if isinstance(rows, slice) else rows.tolist(), plan)
        # The first feature that is wrong is told, and before all features what is no record at all.
        for fault in sorted(reading.faults, key=lambda one: -one.place):
            refused |= dict.fromkeys(fault.rows.tolist(), fault.why)
        return reading.wide, refused

    def _plan(self, number: int) -> Plan | Refusal:
        """How rows of a schema are read, or why they are not. What the registry does not know it is asked again."""
        found = self._plans.get(number)
        if found is not None:
            return found
        written = self._registry(number)
        if written is None:
            return Refusal("unknown_schema", f"the registry has no Avro schema {number}")
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        try:
            plan: Plan | Refusal = Plan(written, self._layout)
        except Exception as error:  # fastavro raises whatever it stumbles over in a schema that is none
            plan = Refusal("unknown_schema", f"schema {number} is none of rows: {type(error).__name__}: {error}"[:200])
        self._plans[number] = plan
        return plan


Rows = NDArray[np.intp] | slice


def _groups(numbers: NDArray[np.uint32], wire: NDArray[np.bool_]) -> list[tuple[int, Rows]]:
    """By schema, the places of its rows; a slice where all rows are of one."""
    if wire.all() and (numbers == numbers[:1]).all():
        return [(int(numbers[0]), slice(None))] if len(numbers) else []
    places = np.flatnonzero(wire)
    return [(number, places[part]) for number, part in parted(numbers[places])]


def _of(broken: NDArray[np.bool_], rows: Rows) -> NDArray[np.intp]:
    """The places of those rows that are broken."""
    found = np.flatnonzero(broken[rows])
    return found if isinstance(rows, slice) else rows[found]
