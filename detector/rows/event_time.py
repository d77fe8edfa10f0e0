"""When a row happened, by a field of its own where one is named, else by its message's timestamp."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from detector.rows.messages import FORMAT_HEADER, Message, header
from detector.rows.paths import Path, path

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""What the number in a time field may count since 1970 UTC, and how many of it make a second."""

Lookup = Callable[[bytes], tuple[Any, str]]
"""Finds the time field in a row's value: what it holds, None where it is not there, and the unit that the format says
it is in, empty where it says none."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST = 1 << 63


@dataclass(frozen=True, slots=True)
class TimeField:
    """Where in a row its event time is. unit: of PER_SECOND; empty for the format's own, or seconds, as in history."""

    path: Path
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> TimeField:
        """Reads `NAME[:unit]`, the name a path; ValueError where it is none."""
        name, _, unit = text.rpartition(":")
        return cls(path(name), unit) if unit in PER_SECOND else cls(path(text))

    def milliseconds(self, value: Any, told: str = "") -> int | None:
        """What a field holds as ms since 1970 UTC; None where that is no time. told: the format's own unit.

        A number counts units; text is ISO 8601, without a zone UTC.
        """
        if isinstance(value, str):
            return _of_text(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        per_second = PER_SECOND[self.unit or told or "s"]
        scaled = (value * 1000 + per_second // 2) // per_second if isinstance(value, int) else value * 1000 / per_second
        return round(scaled) if -_MOST <= scaled < _MOST else None


def _of_text(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text)
        return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        return None


class EventTimes:
    """The event times of messages that are rows.

    lookups: by format. What cannot be read, and what a format has no names for, has its message's timestamp: a row is
    never refused for its time.
    """

    def __init__(self, field: TimeField, lookups: Mapping[str, Lookup], default_format: str) -> None:
        self._field, self._lookups, self._default = field, lookups, default_format

    def of(self, message: Message) -> int:
        """A row's event time, ms since 1970 UTC."""
        lookup = self._lookups.get(header(message, FORMAT_HEADER) or self._default)
        found = self._field.milliseconds(*lookup(message.value())) if lookup else None
        return message.timestamp()[1] if found is None else found
