"""What alerts and dead letters say about rows, kept by the rows' places without their content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.alerts import TRACEPARENT, ModelName, Source
from detector.dead_letters import Origin, Receipt, acknowledged, origin, possible
from detector.rows import Message

ALERT, DEAD_LETTER = "alert", "dead letter"

Parts = dict[str, Any]
"""What a record says, part by part: records of equal parts say the same."""

Headers = Sequence[tuple[str, bytes | None]]


class Entry(NamedTuple):
    """A record about a row. model: sha256 of the model that it is by, empty for a dead letter."""

    source: Source
    model: str
    parts: Parts


class Stranger(Exception):
    """A record that is neither alert nor dead letter."""


ReadEntry = Callable[[Message], Entry | Receipt | None]
"""What a record says; None where it says nothing about the input's rows; Stranger where it is none of ours."""


class _Told(msgspec.Struct):
    """What an alert must say to be found."""

    source: Source
    model: ModelName


def alert_entry(message: Message, topic: str) -> Entry | None:
    """What an alert says of a row of the topic; None where it is about another topic's; Stranger where it is none."""
    try:
        fields = msgspec.json.decode(message.value() or b"")
        told = msgspec.convert(fields, _Told)
        parts = alert_parts(message.key(), fields, message.headers() or ())
        digest(parts)  # a number beyond 64 bits cannot be written again
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, SystemError) as error:
        raise Stranger("no alert") from error
    if not possible(told.source):
        raise Stranger("an alert of a place that cannot be")
    return Entry(told.source, told.model.sha256, parts) if told.source.topic == topic else None


def alert_parts(key: bytes | str | None, fields: Mapping[str, Any], headers: Headers) -> Parts:
    """The parts of an alert's record: its fields but `detected_at`, its key, its headers but where it was traced."""
    kept = {name: content for name, content in fields.items() if name != "detected_at"}
    own = [(name, _bytes(content)) for name, content in headers if name != TRACEPARENT]
    return {**kept, "record key": _bytes(key), "record headers": own}


def dead_letter_entry(message: Message, topic: str) -> Entry | Receipt | None:
    """What a dead letter says of a message of the topic, or a receipt; None for a dead letter of another topic's.

    Stranger where a record is neither.
    """
    try:
        told = origin(message.headers() or ())
    except SystemError as error:  # confluent_kafka, where a header's name is not UTF-8
        raise Stranger("no dead letter") from error
    if told is None:
        if (receipt := acknowledged(message)) is not None:
            return receipt
        raise Stranger("no dead letter")
    if told.source.topic != topic:
        return None
    return Entry(told.source, "", dead_letter_parts(told, message.key(), message.value()))


def dead_letter_parts(told: Origin, key: bytes | str | None, value: bytes | str | None) -> Parts:
    """The parts of a dead letter but its sentence; of one that left its bytes where they were, how many there are."""
    known: Parts = {"reason": told.reason, "timestamp": told.time}
    if told.omitted is not None:
        return {**known, "omitted bytes": told.omitted}
    return {**known, "key": _bytes(key), "value": _bytes(value), "headers": told.own}


def digest(parts: Parts) -> str:
    """32 characters, equal for equal parts."""
    return blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=16).hexdigest()


def _bytes(content: bytes | str | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


class Claim(NamedTuple):
    """An entry without its content. at: partition and offset of its record."""

    model: str
    content: str
    at: tuple[int, int]


_ENTRY = np.dtype(
    [("partition", "<i4"), ("offset", "<i8"), ("model", "<i4"), ("content", "S32"), ("p", "<i4"), ("o", "<i8")]
)


class Ledger:
    """All that a topic says about the rows of another, found by their places; 60 bytes for each record.

    what: ALERT or DEAD_LETTER. strangers: places of records that say nothing. sent_again: places of dead letters that
    have a receipt.
    """

    def __init__(self, what: str, topic: str, read: ReadEntry) -> None:
        self.what, self.topic, self.read = what, topic, read
        self.strangers: list[tuple[int, int]] = []
        self.sent_again: set[tuple[int, int]] = set()
        self._models: dict[str, int] = {}
        self._chunks: list[NDArray[Any]] = [np.empty(0, _ENTRY)]
        self._sorted = self._chunks[0]

    def take(self, messages: Iterable[Message]) -> None:
        """Enters records of the topic."""
        found = []
        for message in messages:
            at = (message.partition(), message.offset())
            try:
                entry = self.read(message)
            except Stranger:
                self.strangers.append(at)
                continue
            if isinstance(entry, Receipt):
                self.sent_again.add((entry.partition, entry.offset))
            elif entry is not None:
                number = self._models.setdefault(entry.model, len(self._models))
                source = entry.source
                found.append((source.partition, source.offset, number, digest(entry.parts).encode(), *at))
        self._chunks.append(np.array(found, _ENTRY))

    def close(self) -> Ledger:
        """Sorts what was entered; before that nothing is found."""
        entries = np.concatenate(self._chunks)
        self._sorted = entries[np.lexsort((entries["offset"], entries["partition"]))]
        self._chunks = [self._sorted]
        return self

    def partitions(self) -> list[int]:
        """The partitions that it speaks of."""
        return [int(one) for one in np.unique(self._sorted["partition"])]

    def between(self, partition: int, start: int, end: int) -> dict[int, list[Claim]]:
        """By offset, start <= offset < end, what is said about a partition's rows."""
        low, high = np.searchsorted(self._sorted["partition"], [partition, partition + 1])
        here = self._sorted[low:high]
        first, last = np.searchsorted(here["offset"], [start, end])
        names = list(self._models)
        found: dict[int, list[Claim]] = {}
        for _, offset, model, content, p, o in here[first:last].tolist():
            found.setdefault(offset, []).append(Claim(names[model], content.decode(), (p, o)))
        return found
