"""Messages in: a member's share of the input, the log read back, topics read by tools."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from numpy.typing import NDArray

from detector import rows
from detector.errors import BrokerAway
from detector.kafka.client import (
    CONNECT_SECONDS,
    DENIED,
    MISSING,
    Properties,
    asked_again,
    behind,
    bounds,
    check_topics,
    common,
    connect,
    failure,
    known,
    told,
)
from detector.kafka.vigil import Vigil
from detector.log import logger
from detector.rows import Batch, parted

log = logger("detector.kafka")

ANSWER_SECONDS = 30.0
"""How long a broker may take over offsets: those of a group wait for its open transactions, 10 s at most."""

ASK_SECONDS = 0.5
"""How often a member that is done asks whether the others are."""

COOPERATIVE = "cooperative-sticky"
CONSUMER: dict[str, Any] = {
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": COOPERATIVE,  # who stays keeps its partitions, and their windows
    # Offsets are asked for again while the group's transaction is open; the default pauses grow to a second.
    "retry.backoff.ms": 2,
    "retry.backoff.max.ms": 20,
    "session.timeout.ms": 10_000,  # a member that dies is missed for so long; the default is 45 s
    # The default of 1000 ms is slept each time the local queue has been full: small rows then come ten times slower.
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 32_768,  # two of the largest batches; of small rows this bounds the memory
    "queued.max.messages.kbytes": 8192,  # and this, of large ones
}
FIXED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
}

COORDINATORS = ("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms")
"""What the broker decides in the newer protocol (KIP-848): beside it the client refuses them."""

Positions = Mapping[int, int]
"""By partition, the offset of the next message."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one commit moves. positions: by partition. places: the same for the client.

    generation: the group's at this moment, which fences a member that was taken out of it (KIP-447).
    commit: moves the places outside a transaction.
    """

    positions: Positions
    places: list[TopicPartition]
    generation: Any
    commit: Callable[[list[TopicPartition]], None]


def consumer_properties(bootstrap_servers: str, given: Properties, group: str) -> dict[str, Any]:
    """Ours, what the person gave, and what the promises stand on."""
    properties = {**CONSUMER, **common(bootstrap_servers, given), **FIXED, "group.id": group}
    if (session := str(properties["session.timeout.ms"])).isdecimal():
        # Three times before it would be missed: the default of 3 s is too late for a short session.
        properties.setdefault("heartbeat.interval.ms", max(int(session) // 3, 1))
    if str(given.get("group.protocol", "classic")).lower() == "consumer":
        properties = {name: value for name, value in properties.items() if name in given or name not in COORDINATORS}
    return properties


class Input:
    """This member's share of the input topic.

    assigned: called with the positions of partitions that come, or are rewound, before their first message is read.
    leaving: called before partitions go, while what was read of them can still be committed.
    revoked: called with partitions that went. All are called inside `poll`, `rewind` and `close` alone.
    note: gives what is committed with a partition's position. watched: see Statistics.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        given: Properties,
        topic: str,
        group: str,
        assigned: Callable[[Positions], None],
        leaving: Callable[[], None],
        revoked: Callable[[Sequence[int]], None],
        note: Callable[[int], str] = lambda partition: "",
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        self.topic = topic
        self.joined = self._closing = self._in_doubt = False
        self._open = threading.Lock()
        # Anew for each question: they are seldom, and a firewall may forget a connection that is idle for long.
        self._connected = partial(connect, bootstrap_servers, given)
        self._low: dict[int, int] = {}
        self._gone: dict[tuple[int, int], int] = {}
        self._assigned, self._leaving, self._revoked = assigned, leaving, revoked
        self._note = note
        self._notes: dict[int, str] = {}
        self._positions: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._asked = 0.0
        self._properties = {**(watched or {}), **consumer_properties(bootstrap_servers, given, group)}
        self._eager = self._properties.get("partition.assignment.strategy", COOPERATIVE) != COOPERATIVE
        self._from_end = self._properties["auto.offset.reset"] in ("latest", "end", "largest")
        self._vigil = Vigil(topic, bootstrap_servers, given, self._stands)
        self._consumer = self._subscribed()

    def _subscribed(self) -> Consumer:
        with told("consumer"):
            consumer = Consumer(self._properties)
            consumer.subscribe([self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        return consumer

    def poll(self, most: int, linger: float, wait: float) -> Batch:
        """Up to `most` messages: waits for the first `wait` seconds, for the others `linger` more.

        What is returned counts as read: it is committed by the next commit, or read again after `rewind`.
        """
        with told("polling"):
            first = self._consumer.poll(wait)
            if first is None:
                self._begin_anew_if_lost()
                return Batch.of([])
            self._vigil.heard()
            found: list[Any] = [first, *(self._consumer.consume(most - 1, linger) if most > 1 else ())]
        events = [one for one in found if one.error() is not None] if any(map(Message.error, found)) else []
        batch = self._without_stale(_batch([one for one in found if one.error() is None] if events else found))
        self._positions |= {partition: int(batch.offset[at[-1]]) + 1 for partition, at in batch.parts}
        # After the messages: an end that comes in one call with the rows before it must not make them look stale.
        self._take_events(events)
        return batch

    def _stands(self, admin: AdminClient) -> bool:
        """Whether there is more than was read, or the group does not know this member."""
        member, group = self._consumer.memberid(), self._properties["group.id"]
        return behind(admin, self.topic, self._positions) or not known(admin, group, member)

    def _begin_anew_if_lost(self) -> None:
        if self._vigil.lost(self._consumer):
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Joins the group as another member: what the one before has read is committed, or read again."""
        self._in_doubt = False
        try:
            self._on_revoke(self._consumer, [TopicPartition(self.topic, partition) for partition in self._positions])
        finally:
            with self._open:
                before, self._consumer = self._consumer, self._subscribed()
                before.close()

    def _take_events(self, events: list[Any]) -> None:
        """The end of a partition moves its position past control records; the rest are errors.

        What is not allowed now is not waited for: who starts it again, and sees it end again, is told.
        """
        for event in events:
            error, partition = event.error(), event.partition()
            if error.code() == KafkaError._PARTITION_EOF:
                if partition in self._positions:
                    self._positions[partition] = max(self._positions[partition], event.offset())
            elif error.code() in (KafkaError._FATAL, *MISSING, *DENIED):
                raise failure(_reason(error), f"topic {self.topic!r}")
            else:
                log.warning("consume_error", error=error.name(), detail=error.str())

    def _without_stale(self, batch: Batch) -> Batch:
        """Drops what was fetched before a rebalance or rewind took the partition elsewhere."""
        if all(self._follows(partition, batch.offset[at]) for partition, at in batch.parts):
            return batch
        here, messages = self._positions, batch.messages
        first = 1 if _fetched_again(messages) else 0
        places = range(first, len(messages))
        return batch.take([i for i in places if messages[i].offset() >= here.get(messages[i].partition(), 1 << 63)])

    def _follows(self, partition: int, offsets: NDArray[np.int64]) -> bool:
        """Whether offsets (n,) of a partition go on where it stands."""
        here = self._positions.get(partition)
        return here is not None and int(offsets[0]) >= here and bool((np.diff(offsets) > 0).all())

    def checkpoint(self) -> Checkpoint:
        """What a commit has to move now, and the group's generation."""
        moved = {p: at for p, at in self._positions.items() if self._committed.get(p) != at}
        places = [self._place(partition, offset) for partition, offset in moved.items()]
        return Checkpoint(moved, places, self._consumer.consumer_group_metadata(), self._commit)

    def _place(self, partition: int, offset: int) -> TopicPartition:
        note = self._note(partition)
        metadata = (note,) if note else ()  # the client takes no None for it
        return TopicPartition(self.topic, partition, offset, *metadata)

    def uncommitted(self) -> bool:
        """Whether positions moved since the last commit."""
        return any(self._committed.get(partition) != at for partition, at in self._positions.items())

    def committed(self, checkpoint: Checkpoint) -> None:
        """A checkpoint has been committed."""
        self._committed |= {p: at for p, at in checkpoint.positions.items() if p in self._positions}

    def _commit(self, places: list[TopicPartition]) -> None:
        """Commits outside a transaction; KafkaException is the caller's to tell."""
        if places:
            self._consumer.commit(offsets=places, asynchronous=False)

    def rewind(self) -> None:
        """Back to the committed offsets: those in memory have moved, and after an abort the batch would be lost."""
        if self._in_doubt:
            self._begin_anew()
            return
        try:
            starts = self._starts(list(self._positions))
        except BrokerAway:  # the client may wait for a coordinator that it never finds again
            self._in_doubt = True
            raise
        with told("rewinding"):
            for partition, offset in starts.items():
                self._consumer.seek(TopicPartition(self.topic, partition, offset))
        self._enter(starts)

    def lags(self) -> Positions:
        """By partition, the messages between this member and the end, as far as the client knows without asking.

        May be asked from any thread, at any time: a client that is closed is asked no more.
        """
        lags = {}
        with self._open:
            for partition, position in dict(self._positions).items() if not self._closing else ():
                _, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
                if high >= 0:
                    lags[partition] = max(high - position, 0)
        return lags

    def ends(self) -> dict[int, int]:
        """By partition of the whole topic, the end that readers of committed messages can reach now."""
        admin = self._connected()
        partitions = range(check_topics(admin, [self.topic])[self.topic])
        return {partition: high for partition, (_, high) in bounds(admin, self.topic, partitions).items()}

    def positions(self) -> dict[int, int]:
        """By partition here, the offset of the next message."""
        return dict(self._positions)

    def waiting(self) -> int:
        """Messages known to wait, of all partitions here."""
        return sum(self.lags().values())

    def read_to(self, ends: Positions) -> bool:
        """Whether every partition here has been read up to its end."""
        return all(position >= ends.get(partition, 0) for partition, position in self._positions.items())

    def group_reached(self, ends: Positions) -> bool:
        """Whether every partition of the topic has been processed and committed up to its end, by whichever member."""
        if not self.read_to(ends) or self.uncommitted():
            return False
        elsewhere = [partition for partition in ends if partition not in self._positions]
        if elsewhere and time.monotonic() - self._asked < ASK_SECONDS:
            return False
        self._asked = time.monotonic()
        return all(position >= ends[partition] for partition, position in self._starts(elsewhere).items())

    def _starts(self, partitions: Sequence[int]) -> dict[int, int]:
        """Where to begin: the committed offset, or the topic's start (end) where none is, or it has expired."""
        if not partitions:
            return {}
        found = _committed(self._consumer, self.topic, partitions)
        logs = bounds(self._connected(), self.topic, partitions)
        self._low |= {partition: low for partition, (low, _) in logs.items()}
        self._notes |= {one.partition: one.metadata or "" if one.offset >= 0 else "" for one in found}
        return {one.partition: self._start(one.partition, one.offset, *logs[one.partition]) for one in found}

    def _start(self, partition: int, committed: int, low: int, high: int) -> int:
        if committed < 0:
            return high if self._from_end else low
        if committed < low:
            log.error("rows_expired", partition=partition, start=committed, end=low, why="retention < lag")
            self._gone[partition, committed] = low - committed  # a rewind may find the same again
        return max(committed, low)

    def expired(self) -> int:
        """Messages that retention removed before this member could read them."""
        return sum(dict(self._gone).values())

    def low(self, partition: int) -> int:
        """The first offset that the log had when this partition came, or was rewound."""
        return self._low[partition]

    def noted(self, partition: int) -> str:
        """What was committed with the position at which a partition came, or was rewound; empty where nothing was."""
        return self._notes[partition]

    def _enter(self, starts: Positions) -> None:
        self._positions |= starts
        self._committed |= starts
        self._assigned(starts)
        self.joined = True

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Partitions that come while it leaves go at once; their offsets would be asked for in vain.
        if self._closing or consumer is not self._consumer:
            return
        self._in_doubt = True  # until it reads what the group believes it reads
        starts = self._starts([one.partition for one in partitions])
        self._enter(starts)
        assignment = [TopicPartition(self.topic, partition, offset) for partition, offset in starts.items()]
        (consumer.assign if self._eager else consumer.incremental_assign)(assignment)
        self._in_doubt = False
        log.info("partitions_assigned", partitions=sorted(starts))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:  # it has been lost, and its partitions with it
            return
        gone = [one.partition for one in partitions]
        try:
            self._leaving()
        finally:
            for partition in gone:
                self._positions.pop(partition, None)
                self._committed.pop(partition, None)
            self._revoked(gone)
            log.info("partitions_revoked", partitions=sorted(gone))

    def close(self) -> None:
        """Leaves the group, so that its partitions move on at once."""
        with self._open:
            self._closing = True
        self._consumer.close()


def _committed(consumer: Consumer, topic: str, partitions: Sequence[int]) -> list[Any]:
    """What a group has committed; a coordinator that moves, or comes back, is asked again."""
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    return asked_again(
        lambda: consumer.committed(wanted, timeout=ANSWER_SECONDS), "reading committed offsets", ANSWER_SECONDS
    )


def _reason(error: KafkaError) -> KafkaError:
    """The event of a fatal error has a code that says no more than that: why stands in its text."""
    fenced = KafkaError(KafkaError.FENCED_INSTANCE_ID)
    return fenced if fenced.str() in error.str() else error


def _batch(messages: list[Any]) -> Batch:
    """A batch of the client's own messages: its methods are called from C, without a frame for each."""
    count = len(messages)
    partition = np.fromiter(map(Message.partition, messages), np.int32, count)
    offset = np.fromiter(map(Message.offset, messages), np.int64, count)
    return Batch(messages, partition, offset, parted(partition))


def _fetched_again(messages: Sequence[Any]) -> bool:
    """Whether a rebalance between `poll` and `consume` brought the first message's partition back to its start."""
    if not messages:
        return False
    partition, offset = messages[0].partition(), messages[0].offset()
    following = next((m for m in islice(messages, 1, None) if m.partition() == partition), None)
    return following is not None and following.offset() <= offset


class Reader:
    """Reads topics outside any group: the log read back, the demo's view, the tests' oracle. Read_committed.

    group: one that this principal may read. It is neither joined nor committed to, but the client asks who coordinates
    it, and is refused where an ACL does not allow that.
    """

    def __init__(self, bootstrap_servers: str, given: Properties, group: str = "unused") -> None:
        # A fetch that waits at the end of a partition holds up the next one, of another range.
        self._consumer = Consumer(consumer_properties(bootstrap_servers, {"fetch.wait.max.ms": 10, **given}, group))

    def follow(self, topics: Sequence[str]) -> None:
        """Begins at the start of every partition of the topics."""
        with told("following topics"):
            found = self._consumer.list_topics(timeout=CONNECT_SECONDS).topics
            places = [TopicPartition(topic, p, OFFSET_BEGINNING) for topic in topics for p in found[topic].partitions]
            self._consumer.assign(places)

    def take(self, most: int, seconds: float) -> list[rows.Message]:
        """Messages that arrived, up to `most`, waiting no longer than told."""
        with told("reading"):
            found: list[Any] = self._consumer.consume(most, seconds)
        return [message for message in found if message.error() is None]

    def between(
        self, topic: str, ranges: Mapping[int, tuple[int, int]], most: int = 4096
    ) -> Iterator[list[rows.Message]]:
        """Batches of messages with start <= offset < end, by partition in order; gaps and short logs end it too."""
        for batch in self.batches(topic, ranges, most):
            yield list(batch.messages)

    def batches(self, topic: str, ranges: Mapping[int, tuple[int, int]], most: int = 4096) -> Iterator[Batch]:
        """The same, with their places as arrays: nothing is looked at message by message."""
        open_ = {partition: end for partition, (start, end) in ranges.items() if start < end}
        with told("reading back"):
            self._consumer.assign([TopicPartition(topic, p, ranges[p][0]) for p in open_])
            while open_:
                found: list[Any] = self._consumer.consume(most, 0.05) or self._first()
                events = [one for one in found if one.error() is not None] if any(map(Message.error, found)) else []
                batch = _batch([one for one in found if one.error() is None] if events else found)
                yield _below(batch, open_)
                self._close(topic, {*_reached(batch, open_), *_ended(events)} & open_.keys(), open_)
            self._consumer.unassign()

    def _first(self) -> list[Any]:
        message = self._consumer.poll(ANSWER_SECONDS)
        if message is None:
            raise BrokerAway(f"reading back: no message within {ANSWER_SECONDS:g} s")
        return [message]

    def _close(self, topic: str, partitions: set[int], open_: dict[int, int]) -> None:
        """Reads no more of partitions."""
        if partitions:
            for partition in partitions:
                del open_[partition]
            self._consumer.incremental_unassign([TopicPartition(topic, partition) for partition in partitions])

    def close(self) -> None:
        """Closes the connection."""
        self._consumer.close()


def _below(batch: Batch, ends: Positions) -> Batch:
    """The messages of a batch below the ends of their partitions; those of partitions without one are left out."""
    if all(batch.offset[at[-1]] < ends.get(partition, 0) for partition, at in batch.parts):
        return batch
    below = [at[batch.offset[at] < ends.get(partition, 0)] for partition, at in batch.parts]
    return batch.take(np.sort(np.concatenate(below)))


def _reached(batch: Batch, ends: Positions) -> list[int]:
    """The partitions of which a batch has the last message below their end."""
    return [partition for partition, at in batch.parts if batch.offset[at[-1]] + 1 >= ends.get(partition, 0)]


def _ended(events: list[Any]) -> list[int]:
    """The partitions whose logs have ended; any other event is an error."""
    for event in events:
        if event.error().code() != KafkaError._PARTITION_EOF:
            raise KafkaException(event.error())
    return [event.partition() for event in events]


class Progress:
    """What a group has committed, seen from outside."""

    def __init__(self, bootstrap_servers: str, given: Properties, group: str) -> None:
        self._consumer = Consumer(consumer_properties(bootstrap_servers, given, group))

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """By partition, the group's committed offset; partitions without one are left out."""
        return {one.partition: one.offset for one in _committed(self._consumer, topic, partitions) if one.offset >= 0}

    def close(self) -> None:
        """Closes the connection."""
        self._consumer.close()
