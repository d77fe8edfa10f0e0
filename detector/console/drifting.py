"""The drift board: the last change of state of each feature and of the score."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from detector import drift
from detector.drift import Event

LAST = 50
"""Changes that are told one by one."""

MOST_COLUMNS = 5_000
"""Features, of all models together, that are kept."""


@dataclass(frozen=True, slots=True)
class Change:
    """An event of drift. written: its record's time, ms since 1970 UTC."""

    event: Event
    written: int


class Drifting:
    """Where features stand by the events of the topic. Of a feature without an event nothing is known but that it has
    not drifted since the events that are kept."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str, str], Change] = {}
        self.last: deque[Change] = deque(maxlen=LAST)
        self.refused = 0

    def take(self, values: Iterable[tuple[bytes | None, int]]) -> None:
        """Takes records' values and times in."""
        for value, written in values:
            try:
                event = drift.decode(value or b"")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.refused += 1
                continue
            self._take(Change(event, written))

    def _take(self, change: Change) -> None:
        self.last.appendleft(change)
        key = (change.event.model.sha256, change.event.kind, change.event.name)
        self._columns.pop(key, None)  # the newest last
        self._columns[key] = change
        if len(self._columns) > MOST_COLUMNS:
            del self._columns[next(iter(self._columns))]

    def columns(self) -> list[Change]:
        """Every feature that an event told of: those that drift first, by how far, then the others."""
        return sorted(self._columns.values(), key=lambda one: (one.event.state == "stable", -one.event.psi))

    def drifting(self) -> list[Change]:
        """Those that drift."""
        return [one for one in self.columns() if one.event.state == "drifting"]
