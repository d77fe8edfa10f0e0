"""The line as a straight loop: each row alone through the model, each window from all the rows before it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.alerts import Alert
from detector.artifact import Artifact
from detector.model import Model
from detector.rows import Message
from detector.statistics import RunningMedianMad, Summary, summarize
from detector.threshold import Line, Threshold
from tests.arrays import f32
from tests.straight_reading import straight_message

Log = Mapping[int, Sequence[Message]]
"""By partition, what its log holds."""

Past = Sequence[tuple[int, float]]
"""Offsets and scores of the rows of a partition before one of them, in the log's order."""

Alerts = dict[str, dict[str, Any]]
"""By id, all of an alert but when it was detected."""


@dataclass(frozen=True)
class Shape:
    """What the running statistics are made of."""

    window: int
    stride: int
    min_rows: int

    def statistics(self) -> RunningMedianMad:
        """The detector's own, for what is held against the straight loop."""
        return RunningMedianMad(self.window, self.stride, self.min_rows)


@dataclass(frozen=True)
class StraightLine:
    """Judges rows one by one. form: the format of messages that name none. writers: schemas of the registry."""

    artifact: Artifact
    model: Model
    line: Line
    shape: Shape
    form: str = "json"
    writers: Mapping[int, Any] | None = None

    def read(self, message: Message) -> tuple[NDArray[np.float32], float] | str:
        """A row's numbers (d,) and its score, or why it is none."""
        found = straight_message(message, self.artifact.schema, self.form, writers=self.writers)
        if isinstance(found, str):
            return found
        row = f32(found)
        return row, float(self.model.score(row[None])[0])

    def past(self, messages: Sequence[Message]) -> list[tuple[int, float]]:
        """What the rows among messages leave for those that follow."""
        read = [(message.offset(), self.read(message)) for message in messages]
        return [(offset, found[1]) for offset, found in read if not isinstance(found, str)]

    def seen(self, offset: int, past: Past) -> Past:
        """The part of the past that decides on a row: its window."""
        edge = bisect_left(past, (offset // self.shape.stride * self.shape.stride,))
        return past[max(edge - self.shape.window, 0) : edge]

    def alert(self, message: Message, past: Past) -> dict[str, Any] | None:
        """The alert of a message behind such a past; None where it is none, or no row."""
        found = self.read(message)
        if isinstance(found, str):
            return None
        row, score = found
        window = [one for _, one in self.seen(message.offset(), past)]
        summary = summarize(window) if len(window) >= self.shape.min_rows else None
        in_force = self.line.at(summary)
        return self._told(message, row, score, summary, in_force) if score > in_force.value else None

    def over(self, log: Log) -> Alerts:
        """The alerts of a whole log."""
        found = {}
        for messages in log.values():
            past: list[tuple[int, float]] = []
            for message in messages:
                if (alert := self.alert(message, past)) is not None:
                    found[alert["id"]] = alert
                past += self.past([message])
        return found

    def _told(
        self, message: Message, row: NDArray[np.float32], score: float, summary: Summary | None, in_force: Threshold
    ) -> dict[str, Any]:
        seen, features = summary or self.artifact.summary, self.artifact.schema.features
        (parts,), (expected,) = self.model.explain(row[None])
        largest = sorted(range(len(row)), key=lambda i: (-parts[i], i))[:5]
        total = float(parts.astype(np.float64).sum())
        key, source = message.key(), (message.topic(), message.partition(), message.offset())
        row_ids = [value for name, value in message.headers() or () if name == "row-id"]
        return {
            "id": "{}/{}/{}".format(*source),
            "score": score,
            "threshold": in_force.value,
            "method": in_force.method,
            "modified_z": (score - seen.median) / seen.sigma if seen.sigma else None,
            "reasons": [
                {
                    "feature": features[i],
                    "value": None if math.isnan(row[i]) else float(row[i]),
                    "expected": float(expected[i]),
                    "share": float(parts[i]) / total if total else 0.0,
                }
                for i in largest
            ],
            "model": msgspec.to_builtins(self.artifact.name),
            "source": dict(zip(("topic", "partition", "offset"), source, strict=True)),
            "key": key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else key,
            "row_id": row_ids[-1].decode("utf-8", "replace") if row_ids and row_ids[-1] is not None else None,
            "event_time": told_time(message.timestamp()[1]),
        }


def told_time(milliseconds: int) -> str:
    """An event time for people; the number where no calendar has it."""
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return f"{when.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def plain(alert: Alert) -> dict[str, Any]:
    """All of an alert but when it was detected."""
    fields: dict[str, Any] = msgspec.to_builtins(alert)
    del fields["detected_at"]
    return fields


def low_line(artifact: Artifact, running: bool) -> Line:
    """A low threshold, so that many rows alert; running: one that moves with the rows, above it."""
    low = Threshold(artifact.summary.median, "value:low")
    return Line(low, artifact.line("running-mad:1.5").running if running else None)
