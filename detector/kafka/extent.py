"""Where topics begin and end for who reads committed messages: by time, and up to what has been decided."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from detector.errors import Failure
from detector.kafka.client import CONNECT_SECONDS, told

DECIDED_SECONDS = 60.0
"""How long open transactions are waited for: a detector's end after 10 s at most, another program's after its own."""

ASK_SECONDS = 0.05

Extent = dict[int, tuple[int, int]]
"""By partition, the first offset that the log still has, and the one after the last."""


def extent(admin: AdminClient, topic: str, partitions: Sequence[int]) -> Extent:
    """What readers of committed messages can reach now."""
    return _extent(admin, topic, partitions, IsolationLevel.READ_COMMITTED)


def decided(admin: AdminClient, topic: str, partitions: Sequence[int], seconds: float = DECIDED_SECONDS) -> Extent:
    """All that is written now, told when every transaction in it has been committed or aborted.

    Offsets that a transaction commits can be seen a moment before its records can: who reads to this end, asked for
    after the offsets, has seen them. Failure where a transaction stays open for `seconds`.
    """
    written = _extent(admin, topic, partitions, IsolationLevel.READ_UNCOMMITTED)
    deadline = time.monotonic() + seconds
    while open_ := _open(written, extent(admin, topic, partitions)):
        if time.monotonic() > deadline:
            raise Failure(f"topic {topic!r} partition {open_[0]}: a transaction has been open for {seconds:g} s")
        threading.Event().wait(ASK_SECONDS)
    return written


def first_at(admin: AdminClient, topic: str, partitions: Sequence[int], milliseconds: int) -> dict[int, int]:
    """By partition, the offset of the first message of this time (ms since 1970 UTC) or later, or else the end."""
    spec = OffsetSpec.for_timestamp(milliseconds)
    found = _offsets(admin, topic, partitions, spec, IsolationLevel.READ_COMMITTED)
    ends = extent(admin, topic, partitions)
    return {partition: offset if offset >= 0 else ends[partition][1] for partition, offset in found.items()}


def _open(written: Extent, reached: Extent) -> list[int]:
    return [partition for partition, (_, end) in written.items() if reached[partition][1] < end]


def _extent(admin: AdminClient, topic: str, partitions: Sequence[int], isolation: IsolationLevel) -> Extent:
    specs = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    low, high = (_offsets(admin, topic, partitions, spec, isolation) for spec in specs)
    return {partition: (low[partition], high[partition]) for partition in partitions}


def _offsets(
    admin: AdminClient, topic: str, partitions: Sequence[int], spec: OffsetSpec, isolation: IsolationLevel
) -> dict[int, int]:
    wanted = {TopicPartition(topic, partition): spec for partition in partitions}
    with told(f"offsets of topic {topic!r}"):
        asked = admin.list_offsets(wanted, isolation_level=isolation, request_timeout=CONNECT_SECONDS)
        return {place.partition: future.result(CONNECT_SECONDS).offset for place, future in asked.items()}
