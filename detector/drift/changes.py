"""A column's change of state, and the event that tells it."""

from __future__ import annotations

from typing import Literal

import msgspec

from detector.alerts import Headers, ModelName, Source, alert_id
from detector.drift.levels import Levels

EVENT_TYPE = "streaming-fraud-detector.drift.v1"

SCORE = "score"
"""What the column of scores is called; a feature may have that name too, its kind tells them apart."""

State = Literal["stable", "drifting"]
STATES: tuple[State, State] = ("stable", "drifting")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found in the column whose state changed.

    name: the feature's, or "score". above: which of psi, ks and missing made it drift; empty where it is stable again.
    levels: from which they matter. psi, ks: against the reference. missing, reference_missing: shares of missing
    values, 0 to 1. rows: of the window.
    """

    kind: Literal["feature", "score"]
    name: str
    was: State
    state: State
    above: list[str]
    levels: Levels
    psi: float
    ks: float
    missing: float
    reference_missing: float
    rows: int


class Change(Finding, frozen=True, kw_only=True):
    """A change of state. partition, offset: the place of the row that completed the look."""

    partition: int
    offset: int


class Event(Finding, frozen=True, kw_only=True):
    """A change as it is published. The same rows read in the same order give the same events."""

    id: str
    model: ModelName
    source: Source


def event(change: Change, topic: str, model: ModelName) -> Event:
    """The event of a change in rows of a topic."""
    source = Source(topic, change.partition, change.offset)
    found = {name: getattr(change, name) for name in Finding.__struct_fields__}
    return Event(**found, id=f"{alert_id(source)}/drift/{change.kind}/{change.name}", model=model, source=source)


def encode(change: Change, topic: str, model: ModelName) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of a change's record: the column's name, JSON, and CloudEvents in binary mode.

    topic: that of the rows. model: the one whose reference it is.
    """
    told = event(change, topic, model)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": told.id,
        "ce_source": f"/topics/{topic}",
        "ce_type": EVENT_TYPE,
        "content-type": "application/json",
    }
    return change.name.encode(), msgspec.json.encode(told), [(name, text.encode()) for name, text in headers.items()]


def decode(value: bytes) -> Event:
    """The inverse of `encode`'s value; msgspec.DecodeError where it is no event."""
    return msgspec.json.decode(value, type=Event)
