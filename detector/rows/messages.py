"""Messages as the client hands them out, and a batch of them with their places as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ROW_ID_HEADER = "row-id"
FORMAT_HEADER = "format"
MAX_NAME_BYTES = 4096
"""A key or row-id longer than this names nothing: alerts repeat both, so they must stay small."""


class Message(Protocol):
    """What is needed of a consumed Kafka message."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...


UNREADABLE: Any = (("", None),)
"""Stands for headers of which a name is not UTF-8."""


@dataclass(frozen=True, slots=True)
class Headless:
    """A message whose headers must not be asked for again: the client failed on them and would then hand out nulls."""

    whole: Message

    def topic(self) -> str:
        return self.whole.topic()

    def partition(self) -> int:
        return self.whole.partition()

    def offset(self) -> int:
        return self.whole.offset()

    def timestamp(self) -> tuple[int, int]:
        return self.whole.timestamp()

    def key(self) -> Any:
        return self.whole.key()

    def value(self) -> Any:
        return self.whole.value()

    def headers(self) -> Any:
        return None


@dataclass(frozen=True, slots=True)
class Numbered(Headless):
    """A message with a row-id that its sender did not give it."""

    row_id: str

    def headers(self) -> Any:
        return [*(self.whole.headers() or ()), (ROW_ID_HEADER, self.row_id.encode())]


Parts = list[tuple[int, NDArray[np.intp]]]
"""By partition, the places in a batch of its messages, in their order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order in which they were read. partition: int32 (n,). offset: int64 (n,)."""

    messages: Sequence[Message]
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    parts: Parts

    def __len__(self) -> int:
        return len(self.messages)

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Batch:
        """A batch of any messages."""
        count = len(messages)
        partition = np.fromiter([message.partition() for message in messages], np.int32, count)
        offset = np.fromiter([message.offset() for message in messages], np.int64, count)
        return cls(messages, partition, offset, parted(partition))

    def take(self, places: Sequence[int] | NDArray[np.intp]) -> Batch:
        """The messages at these places."""
        at = np.asarray(places, np.intp)
        partition = self.partition[at]
        return Batch([self.messages[i] for i in at.tolist()], partition, self.offset[at], parted(partition))


def parted(partition: NDArray[np.integer[Any]]) -> Parts:
    """The places of each partition, by one stable sort."""
    if len(partition) == 0:
        return []
    order = np.argsort(partition, kind="stable")
    ordered = partition[order]
    cuts = np.flatnonzero(np.diff(ordered)) + 1
    starts, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(order)]
    return [(int(ordered[start]), order[start:end]) for start, end in zip(starts, ends, strict=True)]


def headers_of(messages: Sequence[Message]) -> list[Any]:
    """The headers of each message, UNREADABLE where the client fails on them."""
    found: list[Any] = []
    asked = iter(messages)
    while len(found) < len(messages):
        try:
            # What was found before a failure stays in the list, and the iterator stands behind the message that failed.
            found.extend(map(_headers, asked))
        except SystemError:  # confluent_kafka, where a header's name is not UTF-8
            found.append(UNREADABLE)
    return found


_headers = methodcaller("headers")  # called from C, it takes half the time of a function


def header(message: Message, name: str) -> str | None:
    """The text of a message's last header of that name, or None."""
    return last(message.headers(), name)


def last(headers: Any, name: str) -> str | None:
    """The text of the last header of that name, or None."""
    found = None
    for key, value in headers or ():
        if key == name:
            found = value
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


def text(key: Any) -> str | None:
    """A message's key for people and JSON."""
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else key


def row_ids(headers: Sequence[Any]) -> list[str | None]:
    """The sender's numbers for messages of these headers, None where it gave none."""
    if not any(headers):
        return [None] * len(headers)
    with suppress(TypeError, IndexError, UnicodeDecodeError):  # as a rule it is the last header of each
        names, contents = zip(*[found[-1] for found in headers], strict=True)
        if set(names) == {ROW_ID_HEADER}:
            joined = b"\n".join(contents).decode()  # one by one it would take twice as long
            if joined.count("\n") == len(headers) - 1:
                return list(joined.split("\n"))
    return [last(found, ROW_ID_HEADER) for found in headers]


def long_row_id(headers: Any) -> bool:
    """Whether a row-id is too long to be repeated in an alert."""
    return any(name == ROW_ID_HEADER and len(value or b"") > MAX_NAME_BYTES for name, value in headers or ())
