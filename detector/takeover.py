"""Which model scored which rows: a Takeover for each partition that a model begins to serve, and who serves a row."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from detector.alerts import Headers, ModelName
from detector.threshold import Line

EVENT_TYPE = "streaming-fraud-detector.takeover.v1"


class Takeover(msgspec.Struct, frozen=True):
    """Rows of this partition are scored by this model, for this group, from this offset on, until a later takeover.

    threshold: the calibrated one. method: what decides, which may be a running threshold. previous: the model that this
    process served before, None where it begins. at: when, as ISO 8601 in UTC.
    """

    topic: str
    group: str
    partition: int
    offset: int
    model: ModelName
    threshold: float
    method: str
    previous: ModelName | None
    at: str


def takeovers(
    topic: str,
    group: str,
    positions: Mapping[int, int],
    model: ModelName,
    line: Line,
    previous: ModelName | None,
    at: str,
) -> list[Takeover]:
    """One for each partition, at the offset of the first row that the model will score."""
    method = line.running.text if line.running else line.calibrated.method
    return [
        Takeover(topic, group, partition, offset, model, line.calibrated.value, method, previous, at)
        for partition, offset in sorted(positions.items())
    ]


def key(takeover: Takeover) -> bytes:
    """The key of its record: what is said of one partition keeps its order."""
    return f"{takeover.group}/{takeover.topic}/{takeover.partition}".encode()


def encode(takeover: Takeover) -> tuple[bytes, Headers]:
    """The value and the headers (CloudEvents, binary mode) of its record."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"{takeover.group}/{takeover.topic}/{takeover.partition}/{takeover.offset}/{takeover.model.sha256}",
        "ce_source": f"/topics/{takeover.topic}",
        "ce_type": EVENT_TYPE,
        "ce_time": takeover.at,
        "content-type": "application/json",
    }
    return msgspec.json.encode(takeover), [(name, value.encode()) for name, value in headers.items()]


def decode(value: bytes) -> Takeover:
    """The inverse of `encode`'s value; msgspec.DecodeError where it is no takeover."""
    return msgspec.json.decode(value, type=Takeover)


class Term(NamedTuple):
    """What holds for an offset, and the offset from which on something else does.

    takeover: None before the first. end: None where nothing else follows.
    """

    takeover: Takeover | None
    end: int | None


def terms(told: Iterable[Takeover], topic: str, group: str) -> Callable[[int, int], Term]:
    """Finds the term of a partition's offset of an input topic, as a group serves it.

    told: in the order of their records. A later one holds from its offset on, also where an earlier one began beyond
    it: the partition was read again from there. One that changes nothing (a new owner serves the same) begins no term.
    """
    lines: dict[int, list[Takeover]] = defaultdict(list)
    for one in told:
        if (one.topic, one.group) == (topic, group):
            line = lines[one.partition]
            while line and line[-1].offset >= one.offset:
                line.pop()
            if not line or _decides(line[-1]) != _decides(one):
                line.append(one)

    def find(partition: int, offset: int) -> Term:
        line = lines.get(partition, [])
        place = bisect_right(line, offset, key=lambda one: one.offset)
        return Term(line[place - 1] if place else None, line[place].offset if place < len(line) else None)

    return find


def _decides(one: Takeover) -> tuple[ModelName, float, str]:
    return one.model, one.threshold, one.method


def served_by(told: Iterable[Takeover], topic: str, group: str) -> Callable[[int, int], ModelName | None]:
    """Finds the model that scored a partition's offset, as `terms` does; None before the first takeover."""
    find = terms(told, topic, group)

    def model(partition: int, offset: int) -> ModelName | None:
        one = find(partition, offset).takeover
        return None if one is None else one.model

    return model
