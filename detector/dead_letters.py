"""Dead letters as they lie in their topic: what they say, how many of each reason, and what puts one back. Pure.

A dead letter that was sent again has a receipt: a record behind it in its own partition, without key and value, whose
header names it. The receipt is written in the transaction that sends the message, so there is one exactly where the
other is; and as it lies behind the dead letter, retention cannot take it away first. Committed offsets of a group would
not do: they are forgotten when the group has been idle for a week, and they cannot say that of two dead letters the
second was sent and the first was not.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from detector.alerts import Source, alert_id, place
from detector.kafka import Record
from detector.records import dead_letter
from detector.rows import Headless, Message, Reject

RESENT_FROM = "resent-from"
"""Header of a message that was sent again: topic/partition/offset where it was before."""

RECEIPT, RECEIPT_TOPIC, RECEIPT_REASON = "resent.dead-letter", "resent.topic", "resent.reason"
"""Headers of a receipt: topic/partition/offset of the dead letter that was sent again, where to, and its reason."""

OWN = "errors."
"""What the names of a dead letter's own headers begin with."""

SHOWN = 60
"""How many bytes or characters of something are shown."""

LAST_OFFSET = (1 << 63) - 1

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a dead letter's headers say. own: the message's headers. omitted: its bytes, where they stayed behind.

    time: of the message's event, ms since 1970 UTC.
    """

    source: Source
    reason: str
    detail: str
    time: int
    own: Headers
    omitted: int | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was no row. place: of the dead letter. rejected_at: when it was written, ms since 1970 UTC."""

    place: Source
    origin: Origin
    rejected_at: int
    key: bytes | None
    value: bytes | None


def origin(headers: Iterable[tuple[str, bytes | str | None]]) -> Origin | None:
    """What the headers of a dead letter say; None where they are not those of a detector's dead letter."""
    given = [(name, _bytes(content)) for name, content in headers]
    told = {name: (content or b"").decode("utf-8", "replace") for name, content in given if name.startswith(OWN)}
    own = [(name, content) for name, content in given if not name.startswith(OWN)]
    try:
        source = Source(told["errors.topic"], int(told["errors.partition"]), int(told["errors.offset"]))
        omitted = int(told["errors.omitted-bytes"]) if "errors.omitted-bytes" in told else None
        time, reason, detail = int(told["errors.timestamp"]), told["errors.reason"], told["errors.message"]
    except (KeyError, ValueError):
        return None
    return Origin(source, reason, detail, time, own, omitted) if possible(source) else None


def possible(source: Source) -> bool:
    """Whether a place can be one of Kafka's: a partition of 31 bits, an offset of 63."""
    return 0 <= source.partition < 1 << 31 and 0 <= source.offset < LAST_OFFSET


def read(message: Message) -> DeadLetter | None:
    """A dead letter; None where a record of the topic is none."""
    told = origin(_headers(message))
    if told is None:
        return None
    return DeadLetter(place(message), told, message.timestamp()[1], _bytes(message.key()), _bytes(message.value()))


@dataclass(frozen=True, slots=True)
class Receipt:
    """Says that a dead letter was sent again. offset: where it lies, in the receipt's own partition."""

    partition: int
    offset: int
    topic: str
    reason: str


def acknowledged(message: Message) -> Receipt | None:
    """A receipt; None where a record of the topic is none."""
    told = {name: (content or b"").decode("utf-8", "replace") for name, content in _headers(message)}
    start, _, offset = told.get(RECEIPT, "").rpartition("/")
    if start != f"{message.topic()}/{message.partition()}" or not (offset.isascii() and offset.isdigit()):
        return None
    return Receipt(message.partition(), int(offset), told.get(RECEIPT_TOPIC, ""), told.get(RECEIPT_REASON, ""))


def receipt(letter: DeadLetter) -> Record:
    """What belongs behind a dead letter that was sent again."""
    named = [
        (RECEIPT, alert_id(letter.place)),
        (RECEIPT_TOPIC, letter.origin.source.topic),
        (RECEIPT_REASON, letter.origin.reason),
    ]
    return Record(letter.place.topic, None, None, [(name, content.encode()) for name, content in named])


def original(letter: DeadLetter) -> Record:
    """The message that a dead letter was made of, with a header that names its place.

    A message that was sent before names every place, the last one last.
    """
    headers: Any = [*letter.origin.own, (RESENT_FROM, alert_id(letter.origin.source).encode())]
    return Record(letter.origin.source.topic, letter.key, letter.value, headers)


def fetched(letter: DeadLetter, message: Message) -> DeadLetter | None:
    """A dead letter that left its bytes in the input topic, with those of the message in that place.

    None where it is another message: one of another time or size.
    """
    told, whole = letter.origin, _readable(message)
    there = origin(dead_letter(Reject(whole, told.reason, told.detail), "", 0).headers)
    if there is None or (there.source, there.time, there.omitted) != (told.source, told.time, told.omitted):
        return None
    own = [(name, content) for name, content in _headers(whole) if not name.startswith(OWN)]
    found = Origin(told.source, told.reason, told.detail, told.time, own, None)
    return DeadLetter(letter.place, found, letter.rejected_at, _bytes(whole.key()), _bytes(whole.value()))


@dataclass(slots=True)
class Reasons:
    """How many dead letters have a reason, how many of them were sent again, the first and the last of them in time."""

    count: int = 0
    resent: int = 0
    first: int = 0
    last: int = 0
    example: str = ""

    def add(self, letter: DeadLetter) -> None:
        """Takes one in."""
        at = letter.rejected_at
        self.first = min(self.first, at) if self.count else at
        if at >= self.last or not self.count:
            self.last, self.example = at, alert_id(letter.origin.source)
        self.count += 1


@dataclass(frozen=True, slots=True)
class Line:
    """What is told of one dead letter, safe to be shown.

    key and value: their first bytes as a Python literal; None where there is none, or the value was omitted. bytes: of
    the value, or of all that was omitted.
    """

    place: Source
    source: Source
    reason: str
    detail: str
    rejected_at: int
    time: int
    key: str | None
    value: str | None
    omitted: bool
    bytes: int


def line(letter: DeadLetter) -> Line:
    """A dead letter without its bytes."""
    told = letter.origin
    omitted = told.omitted is not None
    size = len(letter.value or b"") if told.omitted is None else told.omitted
    key, value = (None if content is None else literal(content) for content in (letter.key, letter.value))
    reason, detail = safe(told.reason), safe(told.detail)
    return Line(letter.place, told.source, reason, detail, letter.rejected_at, told.time, key, value, omitted, size)


def literal(content: object) -> str:
    """A Python literal, the beginning of a long one: no byte of it can steer a terminal."""
    if isinstance(content, (bytes, str)):
        return f"{content[:SHOWN]!r}" + ("..." if len(content) > SHOWN else "")
    text = repr(content)
    return text[: 4 * SHOWN] + ("..." if len(text) > 4 * SHOWN else "")


def safe(text: str) -> str:
    """Text in which what cannot be printed is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


@dataclass(slots=True)
class Overview:
    """A dead-letter topic read once: counts by reason, the last dead letters, and which of all were sent again.

    topic: the input whose dead letters are told. reason: the one that counts, empty for all. limit: most lines kept,
    0 for all. others: dead letters of other topics. strangers: records that are neither dead letter nor receipt.
    """

    topic: str
    reason: str = ""
    limit: int = 0
    reasons: dict[str, Reasons] = field(default_factory=dict)
    others: int = 0
    strangers: int = 0
    _begun: dict[int, int] = field(default_factory=dict)
    _sent: dict[int, set[int]] = field(default_factory=dict)
    _kept: list[tuple[int, int, Line]] = field(default_factory=list)
    _number: int = 0

    def take(self, messages: Iterable[Message]) -> None:
        """Takes in records of the topic, those of each partition in their order."""
        for message in messages:
            self._begun.setdefault(message.partition(), message.offset())
            if (letter := read(message)) is not None:
                self._take(letter)
            elif (told := acknowledged(message)) is not None:
                self._acknowledge(told)
            else:
                self.strangers += 1

    def _take(self, letter: DeadLetter) -> None:
        if letter.origin.source.topic != self.topic:
            self.others += 1
        elif self.reason in ("", letter.origin.reason):
            self.reasons.setdefault(letter.origin.reason, Reasons()).add(letter)
            self._keep(letter)

    def _keep(self, letter: DeadLetter) -> None:
        self._number += 1
        one = (letter.rejected_at, self._number, line(letter))
        if self.limit and len(self._kept) >= self.limit:
            heapq.heappushpop(self._kept, one)
        else:
            heapq.heappush(self._kept, one)

    def _acknowledge(self, told: Receipt) -> None:
        if told.offset < self._begun[told.partition]:
            return  # retention took the dead letter away
        sent = self._sent.setdefault(told.partition, set())
        if told.offset not in sent and told.topic == self.topic and told.reason in self.reasons:
            self.reasons[told.reason].resent += 1
        sent.add(told.offset)

    def lines(self) -> list[Line]:
        """The last dead letters, in the order in which they were written."""
        return [one for _, _, one in sorted(self._kept, key=lambda kept: kept[:2])]

    def was_sent(self, at: Source) -> bool:
        """Whether the dead letter at this place was sent again."""
        return at.offset in self._sent.get(at.partition, ())

    def waiting(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is one of those told, and was not sent again yet."""
        mine = letter.origin.source.topic == self.topic and self.reason in ("", letter.origin.reason)
        return mine and not self.was_sent(letter.place)


def _readable(message: Message) -> Message:
    """A message whose headers can be asked for."""
    try:
        message.headers()
    except SystemError:  # confluent_kafka, where a header's name is not UTF-8
        return Headless(message)
    return message


def _headers(message: Message) -> Headers:
    return [(name, _bytes(content)) for name, content in _readable(message).headers() or ()]


def _bytes(content: bytes | str | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
