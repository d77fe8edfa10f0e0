"""What a person or program is told about one row: an Alert, as a Kafka record in CloudEvents' binary mode."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.rows import ROW_ID_HEADER, Message, header, text
from detector.schema import Schema

REASONS = 5
"""How many features an alert names."""

TRACEPARENT = "traceparent"
"""The header of an alert that says which span it was made in: like `detected_at` it differs between runs."""

EVENT_TYPE = "streaming-fraud-detector.alert.v1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Headers = list[tuple[str, bytes]]


Value = float | str | bool | None
"""A feature's value for people: a number, a text feature's text, true or false; None where there is none to show."""


class Reason(msgspec.Struct, frozen=True):
    """One feature's part. expected: the model's reconstruction in the feature's units. share: of the score, 0 to 1.

    value: None where it is missing, or a text that the model never saw. expected: for a text feature the text whose
    position is nearest, for a boolean whether it is at least 0.5.
    """

    feature: str
    value: Value
    expected: Value
    share: float


class ModelName(msgspec.Struct, frozen=True):
    """Which model spoke; sha256 is that of its serving graph."""

    name: str
    version: str
    sha256: str


class Source(msgspec.Struct, frozen=True):
    """Where the row is."""

    topic: str
    partition: int
    offset: int


class Alert(msgspec.Struct, frozen=True):
    """A row whose score lies strictly above the threshold. Only `detected_at` differs between runs over one log.

    modified_z: of the score among the partition's running window, or among the calibration scores while that is short.
    event_time: the record's timestamp. row_id: the sender's number for the row, if it sent one.
    """

    id: str
    score: float
    threshold: float
    method: str
    modified_z: float | None
    reasons: list[Reason]
    model: ModelName
    source: Source
    key: str | None
    row_id: str | None
    event_time: str
    detected_at: str


def alert_id(source: Source) -> str:
    """The name of a row, and of its alert."""
    return f"{source.topic}/{source.partition}/{source.offset}"


def iso(milliseconds: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC, or the number itself where the calendar ends."""
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return str(milliseconds)


def reasons(
    schema: Schema,
    values: NDArray[np.float32],
    expected: NDArray[np.float32],
    contributions: NDArray[np.float32],
) -> list[Reason]:
    """The features that carry most of one row's score, largest first, ties in the schema's order. Arrays: (d,)."""
    parts = contributions.astype(np.float64)
    total = float(parts.sum())
    largest = np.argsort(-parts, kind="stable")[:REASONS]
    return [
        Reason(
            feature=schema.features[i],
            value=_shown(schema, schema.features[i], float(values[i])),
            expected=_shown(schema, schema.features[i], _possible(schema, schema.features[i], float(expected[i]))),
            share=float(parts[i]) / total if total > 0 else 0.0,
        )
        for i in largest
    ]


def _shown(schema: Schema, feature: str, number: float) -> Value:
    """What a feature's number in the matrix stands for."""
    if math.isnan(number):
        return None
    if feature in schema.booleans:
        return number >= 0.5
    values = schema.categories.get(feature)
    if values is None:
        return number
    return values[int(number)] if number < len(values) else None


def _possible(schema: Schema, feature: str, number: float) -> float:
    """An expected number; for a text feature the position nearest to it that has a text."""
    values = schema.categories.get(feature)
    return number if values is None else min(max(round(number), 0), len(values) - 1)


def place(message: Message) -> Source:
    """Where a message is."""
    return Source(message.topic(), message.partition(), message.offset())


def encode(alert: Alert) -> tuple[bytes, Headers]:
    """The value and the headers of an alert's record."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": alert.id,
        "ce_source": f"/topics/{alert.source.topic}",
        "ce_type": EVENT_TYPE,
        "ce_time": alert.event_time,
        "content-type": "application/json",
    }
    return msgspec.json.encode(alert), [(name, value.encode()) for name, value in headers.items()]


def decode(value: bytes) -> Alert:
    """The inverse of `encode`'s value; msgspec.DecodeError where it is no alert."""
    return msgspec.json.decode(value, type=Alert)


def row_id(message: Message) -> str | None:
    """The sender's number for a row."""
    return header(message, ROW_ID_HEADER)


def key_text(message: Message) -> str | None:
    """A row's key as text."""
    return text(message.key())
