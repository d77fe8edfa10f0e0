"""What was done to the rows that were sent, and the records of it beside the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from detector.alerts import iso
from detector.kafka import Record
from replay.batch import Marks
from replay.inject.faults import fault_of

State = Literal["begins", "ended"]


@dataclass(slots=True)
class Touched:
    """Rows that one break touched: how many, and the last one's id and event time, ms since 1970 UTC."""

    rows: int = 0
    row_id: bytes = b""
    event: int = 0


class Tally:
    """Counts the rows that each break touched, in the order in which they are sent. specs: their texts."""

    def __init__(self, specs: Sequence[str] = ()) -> None:
        self._touched = {spec: Touched() for spec in specs}

    def add(self, marks: Marks, row_id: bytes, event: int) -> list[str]:
        """Counts a row; the breaks of which it is the first."""
        specs = dict.fromkeys(mark.spec for mark in marks)
        for spec in specs:
            found = self._touched.setdefault(spec, Touched())
            found.rows, found.row_id, found.event = found.rows + 1, row_id, event
        return [spec for spec in specs if self._touched[spec].rows == 1]

    def rows(self) -> dict[str, int]:
        """By break, the rows that it touched."""
        return {spec: found.rows for spec, found in self._touched.items()}

    def record(self, spec: str, state: State, topic: str) -> Record:
        """That a break begins with the row that was counted last, or has ended with it."""
        found = self._touched[spec]
        told = {
            "injection": spec,
            "state": state,
            "rows": found.rows,
            "row_id": found.row_id.decode("utf-8", "replace"),
            "event_time": iso(found.event),
        }
        return Record(topic, found.row_id, msgspec.json.encode(told), [])

    def begun(self) -> dict[str, int]:
        """The breaks that touched a row, and the event time of the last one."""
        return {spec: found.event for spec, found in self._touched.items() if found.rows}


def injected(marks: Marks) -> dict[str, Any]:
    """What a label says of what was done to its row."""
    fault = fault_of(marks)
    return {"injected": list(dict.fromkeys(mark.spec for mark in marks))} | ({"fault": fault} if fault else {})


def note_of(row_id: bytes, marks: Marks, event_time: str, topic: str) -> Record:
    """The record of a row that something was done to and that has no label."""
    told = {"row_id": row_id.decode("utf-8", "replace"), "event_time": event_time, **injected(marks)}
    return Record(topic, row_id, msgspec.json.encode(told), [])
