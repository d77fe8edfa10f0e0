"""Rows of another topic, as they are there: values, keys, headers and row-ids, by time over all partitions.

Within a partition its own order holds, which is the one that a detector saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd

from detector.errors import DataRefused, UsageError
from detector.kafka import Reader, check_topics, connect
from detector.kafka.client import Properties
from detector.kafka.extent import decided, first_at
from detector.rows import ROW_ID_HEADER
from detector.settings import milliseconds
from replay.batch import Batch, objects
from replay.order import Block, Run, merged
from replay.settings import Settings

SCHEME = "kafka://"
WIDTH = 1 << 11
"""Bytes that a message is taken to be where it is decided how many are held."""

FETCHED = 1 << 16
"""Kilobytes that the client fetches ahead of all partitions together."""

Ranges = dict[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Bound:
    """Where to begin or to end: an offset in each partition, or a time, ms since 1970 UTC."""

    offset: int | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """A topic and the part of it that is played; None for all on that side."""

    topic: str
    first: Bound | None = None
    end: Bound | None = None


def address(text: str) -> Address:
    """`kafka://TOPIC?from=T1&to=T2`, T an ISO time, ms since 1970, or offset:N. UsageError says what is wrong."""
    parts = urlsplit(text)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    odd = [name for name in names if name not in ("from", "to") or names.count(name) > 1]
    if odd or not parts.netloc or parts.path or parts.fragment:
        raise UsageError(f"data {text!r}: kafka://TOPIC?from=T1&to=T2 wanted")
    bounds = {name: _bound(value) for name, value in pairs}
    return Address(parts.netloc, bounds.get("from"), bounds.get("to"))


def _bound(text: str) -> Bound:
    number = text.removeprefix("offset:")
    if number.isdecimal():
        return Bound(offset=int(number)) if number != text else Bound(time=int(text))
    return Bound(time=milliseconds("data", text.replace(" ", "+")))  # a query's + is a blank


class Topic:
    """Messages of a topic between two points. See `replay.history.History`."""

    def __init__(self, text: str, chosen: Settings) -> None:
        self.name, self._address, self._chosen = text, address(text), chosen
        if self._address.topic in (chosen.topic, chosen.labels_topic) and not chosen.dry_run:
            raise UsageError(f"data {text!r} is a topic that the rows are sent to; --topic names another")
        if not chosen.bootstrap_servers:
            raise UsageError(f"data {text!r} wants bootstrap_servers, also for a dry run: it is there")
        if chosen.as_signal:
            raise UsageError(f"data {text!r} is played as it is there; as_signal makes samples of columns")
        self.columns = None
        self.span: tuple[int, int] | None = None
        self.rows: int | None = None
        self._ranges = self._found()

    def _found(self) -> Ranges:
        """By partition, the offsets to play: up to what is written now, if no end is told."""
        chosen, where = self._chosen, self._address
        admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
        partitions = range(check_topics(admin, [where.topic])[where.topic])
        there = decided(admin, where.topic, partitions)

        def offsets(bound: Bound | None, side: int) -> Mapping[int, int]:
            if bound is None:
                return {partition: ends[side] for partition, ends in there.items()}
            if bound.time is not None:
                return first_at(admin, where.topic, partitions, bound.time)
            return dict.fromkeys(partitions, bound.offset or 0)

        first, end = offsets(where.first, 0), offsets(where.end, 1)
        found = {p: (max(first[p], low), min(end[p], high)) for p, (low, high) in there.items()}
        if all(begin >= end for begin, end in found.values()):
            raise DataRefused(f"data {self.name}: no rows")
        return found

    def batches(self) -> Iterator[Batch]:
        """One pass. Each partition has a reader of its own, so that none waits for another."""
        open_ = {partition: ends for partition, ends in self._ranges.items() if ends[0] < ends[1]}
        given: Properties = {
            "queued.max.messages.kbytes": max(FETCHED // max(len(open_), 1), 1024),
            **self._chosen.kafka,
        }
        readers = [Reader(self._chosen.bootstrap_servers, given) for _ in open_]
        try:
            pairs = zip(open_.items(), readers, strict=True)
            runs = [Run(-(1 << 63), p, WIDTH, self._blocks(reader, p, ends)) for (p, ends), reader in pairs]
            yield from map(_batch, merged(runs))
        finally:
            for reader in readers:
                reader.close()

    def _blocks(self, reader: Reader, partition: int, ends: tuple[int, int]) -> Callable[[int], Iterator[Block]]:
        topic = self._address.topic

        def blocks(rows: int) -> Iterator[Block]:
            latest = -(1 << 63)
            for messages in reader.between(topic, {partition: ends}, rows):
                if messages:
                    block = _block(messages, partition, latest)
                    assert block.event is not None
                    latest = int(block.event[-1])
                    yield block

        return blocks

    def identity(self) -> dict[str, str]:
        """The topic and its part, as they were written."""
        return {"data": self.name}

    def held(self) -> dict[str, list[int]]:
        """The offsets: a topic grows, and its end of today is not that of tomorrow."""
        return {str(partition): list(ends) for partition, ends in self._ranges.items()}

    def hold(self, held: Any) -> None:
        """Plays the offsets that another process found."""
        self._ranges = {int(partition): (int(ends[0]), int(ends[1])) for partition, ends in held.items()}

    def close(self) -> None:
        """Nothing: readers end with their pass."""


def _block(messages: list[Any], partition: int, latest: int) -> Block:
    """Messages of a partition. Their event in the order is the latest time so far: the log's own order holds."""
    times = np.fromiter((message.timestamp()[1] for message in messages), np.int64, len(messages))
    frame = pd.DataFrame(
        {
            "value": objects([message.value() for message in messages]),
            "key": objects([message.key() for message in messages]),
            "headers": objects([_headers(message) for message in messages]),
            "time": times,
        }
    )
    offsets = np.fromiter((message.offset() for message in messages), np.int64, len(messages))
    moments = np.maximum(np.maximum.accumulate(times), latest)
    return Block(frame, moments, np.full(len(frame), partition, np.int32), offsets)


def _headers(message: Any) -> list[tuple[str, bytes]]:
    try:
        return list(message.headers() or ())
    except UnicodeDecodeError as error:
        place = f"{message.topic()}/{message.partition()}/{message.offset()}"
        raise DataRefused(f"data {place}: the name of a header is not UTF-8") from error


def _batch(block: Block) -> Batch:
    headers = block.frame["headers"].to_numpy()
    places = zip(headers.tolist(), block.file.tolist(), block.place.tolist(), strict=True)
    return Batch(
        row_ids=objects([dict(own).get(ROW_ID_HEADER) or b"%d:%d" % (part, at) for own, part, at in places]),
        event=block.frame["time"].to_numpy(np.int64),
        keys=block.frame["key"].to_numpy(),
        values=block.frame["value"].to_numpy(),
        headers=headers,
    )
