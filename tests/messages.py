"""Kafka messages without Kafka."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FakeMessage:
    """Fits `detector.rows.Message`. place: topic, partition, offset. when: event time, ms since 1970."""

    content: bytes | None
    place: tuple[str, int, int] = ("transactions", 0, 0)
    when: int = 0
    name: bytes | str | None = None
    marks: Sequence[tuple[str, bytes | None]] | None = None

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.place[2]

    def timestamp(self) -> tuple[int, int]:
        return 1, self.when

    def key(self) -> Any:
        return self.name

    def value(self) -> Any:
        return self.content

    def headers(self) -> Any:
        return None if self.marks is None else list(self.marks)


def json_message(row: dict[str, Any], partition: int = 0, offset: int = 0, **more: Any) -> FakeMessage:
    """A row as JSON text at a place of the topic `transactions`."""
    return FakeMessage(json.dumps(row).encode(), ("transactions", partition, offset), **more)
