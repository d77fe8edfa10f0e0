"""Records out by a sender that reads none: counted one by one, or in transactions that say how far it came (replay)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from detector.errors import BrokerUnavailable, Failure, Fenced
from detector.kafka.client import Properties, common, failure, told
from detector.kafka.produce import CALL_SECONDS, PERMANENT, PRODUCER, RETRY_SECONDS, Record, Transactions, produce

SPARE_MS, LONGEST_MS = 30_000, 900_000
"""A sender's transaction may be open for so much longer than its user waits for a broker, but no longer than brokers
allow by default (transaction.max.timeout.ms)."""

TRIES = 5
"""How often a sender's transaction is begun that had to be aborted for a reason that may pass."""

PUBLISHER: dict[str, Any] = {
    **PRODUCER,
    "queue.buffering.max.messages": 100_000,
    "message.timeout.ms": 0,  # the sender has a patience of its own
}


PURGED = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
"""What is heard of a record that its sender gave up."""

SETTLED_SECONDS = 1.0


class Landed:
    """Where records landed, and what was refused.

    failed: records that the broker refused. first_error: why the first was. ends: by (topic, partition), the offset
    after the last acknowledged record; starts: that of the first. Both only with `places`, which costs a call for each.
    """

    def __init__(self, places: bool) -> None:
        self.failed = 0
        self.first_error: Failure | None = None
        self.starts: dict[tuple[str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self._reports: dict[str, Any] = {} if places else {"delivery.report.only.error": True}

    def _landed(self, message: Any) -> None:
        place, offset = (message.topic(), message.partition()), message.offset()
        self.starts.setdefault(place, offset)
        if offset >= self.ends.get(place, 0):
            self.ends[place] = offset + 1

    def _lost(self, error: KafkaError, topic: str) -> None:
        self.failed += 1
        if error.code() not in PURGED:
            self.first_error = self.first_error or failure(error, f"topic {topic!r}")


class Publisher(Landed):
    """An idempotent producer that counts what the broker has: what was handed over, is answered and was not refused."""

    def __init__(
        self,
        bootstrap_servers: str,
        given: Properties,
        linger_ms: int = 5,
        places: bool = True,
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        """watched: see Statistics."""
        super().__init__(places)
        settings = {**(watched or {}), **PUBLISHER, "linger.ms": linger_ms, **self._reports}
        with told("producer"):
            self._producer = Producer({**settings, **common(bootstrap_servers, given)})
        self._produce, self._answers = self._producer.produce, (self._uncounted, self._counted)
        self._handed, self._refused = [0, 0], [0, 0]

    def send(self, record: Record, timestamp: int, counted: bool = True) -> None:
        """Publishes a record with its event time, ms since 1970. counted: whether it adds to `acknowledged`."""
        topic, key, value, named = record
        headers: Any = named
        self._handed[counted] += 1
        try:  # the arguments by place, after the callback an alias of it: names would cost a tenth of the call
            self._produce(topic, value, key, -1, self._answers[counted], None, timestamp, headers)
        except BufferError:
            produce(self._producer, record, timestamp, self._answers[counted])

    def send_all(self, records: Sequence[Record], timestamps: Sequence[int]) -> None:
        """`send` of counted records, without a call for each."""
        handed_over, answered = self._produce, self._answers[True]
        self._handed[True] += len(records)
        headers: Any
        for record, timestamp in zip(records, timestamps, strict=True):
            topic, key, value, headers = record
            try:
                handed_over(topic, value, key, -1, answered, None, timestamp, headers)
            except BufferError:
                produce(self._producer, record, timestamp, answered)

    @property
    def acknowledged(self) -> int:
        """Counted records that the broker has; while others than these are on their way too, about so many."""
        return self._known(True)

    @property
    def others(self) -> int:
        """Records that are not counted and that it has, in the same way."""
        return self._known(False)

    def _known(self, counted: bool) -> int:
        handed, waiting = self._handed[counted], len(self._producer)
        open_ = -(-waiting * handed // max(sum(self._handed), 1))  # their share of those that are not answered
        return max(handed - self._refused[counted] - open_, 0)

    def answered(self) -> int:
        """Records that the broker has or has refused."""
        return sum(self._handed) - len(self._producer)

    def poll(self, seconds: float = 0.0) -> None:
        """Takes in the delivery reports that are there, waiting for the first as long as told."""
        self._producer.poll(seconds)

    def waiting(self) -> int:
        """Records not yet answered for."""
        return len(self._producer)

    def settle(self) -> None:
        """Gives up what is not answered yet: it counts as failed, and the counts are exact."""
        settle(self._producer)

    def _counted(self, error: KafkaError | None, message: Any) -> None:
        self._heard(error, message, True)

    def _uncounted(self, error: KafkaError | None, message: Any) -> None:
        self._heard(error, message, False)

    def _heard(self, error: KafkaError | None, message: Any, counted: bool) -> None:
        if error is None:
            self._landed(message)
        else:
            self._refused[counted] += 1
            self._lost(error, message.topic())


def settle(producer: Producer) -> None:
    """Drops what a producer has not delivered, and hears of it."""
    producer.purge()
    deadline = time.monotonic() + SETTLED_SECONDS
    while len(producer) and time.monotonic() < deadline:
        producer.poll(RETRY_SECONDS)


Sent = tuple[Sequence[Record], Sequence[int], bool]
"""Records of an open transaction, their timestamps, and whether they count. Lists as they came: what is made anew for
each record is looked through again and again by Python's collector, which took half of the time."""


class TransactionalPublisher(Landed, Transactions):
    """A producer whose records become visible some at a time, with one that says how far they go.

    acknowledged, others: records in committed transactions, by whether they were sent as counted. What the broker
    refuses for good is left out, counted as failed, and the rest of its transaction is sent again. stopping: see
    Transactions. patience: how long its user waits for a broker that is away, s. watched: see Statistics.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        given: Properties,
        transactional_id: str,
        stopping: Callable[[], bool] = lambda: False,
        linger_ms: int = 5,
        places: bool = True,
        patience: float = 60.0,
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        Landed.__init__(self, places)
        pause = min(round(patience * 1000) + SPARE_MS, LONGEST_MS)
        self.acknowledged = self.others = 0
        own = {
            **(watched or {}),
            **PUBLISHER,
            **self._reports,
            "linger.ms": linger_ms,
            "transaction.timeout.ms": pause,
            "message.timeout.ms": pause,
        }
        left = "the same command sends its rows again"
        Transactions.__init__(self, bootstrap_servers, given, own, transactional_id, stopping, left)
        self._open_since, self._open_seconds = 0.0, float(given.get("transaction.timeout.ms", pause)) / 1000
        self._sent: list[Sent] = []
        self._refused: dict[int, KafkaError] = {}
        self._begun, self._places, self._handed = False, 0, 0

    def send(self, record: Record, timestamp: int, counted: bool = True) -> None:
        """Publishes a record in the open transaction, or begins one. See Publisher."""
        self._take(([record], [timestamp], counted))

    def send_all(self, records: Sequence[Record], timestamps: Sequence[int]) -> None:
        """`send` of counted records."""
        self._take((records, timestamps, True))

    def _take(self, sent: Sent) -> None:
        self._sent.append(sent)
        self._handed += len(sent[0])
        try:
            self._begin()
            self._hand_over(sent)
        except KafkaException as error:
            self._again(error.args[0])

    def poll(self, seconds: float = 0.0) -> None:
        """Takes in the delivery reports that are there, waiting for the first as long as told."""
        with self._ended(), told("transaction"):  # that another process of the id took over may be heard here first
            self._producer.poll(seconds)

    def waiting(self) -> int:
        """Records not yet answered for."""
        return len(self._producer)

    def answered(self) -> int:
        """Records that the broker has or has refused, in committed transactions or in the open one."""
        return self._handed - len(self._producer)

    def settle(self) -> None:
        """Nothing: what is in no committed transaction is not there."""

    def commit(self, last: Record) -> None:
        """Makes all that was sent since the last commit visible, and `last` with it, or none of it.

        A Failure where it cannot, or where no broker says whether it has: who reads `last` back knows.
        """
        for _ in range(TRIES):
            try:
                self._begin()
                produce(self._producer, last)
                self._about = last.topic
                self._topics = {last.topic, *(record.topic for records, _, _ in self._sent for record in records)}
                self._retried(lambda: self._producer.commit_transaction(CALL_SECONDS))
                self._count()
                return
            except KafkaException as error:
                self._again(error.args[0])
        raise Failure(f"a transaction was aborted {TRIES} times: {self.first_error or 'for a reason that may pass'}")

    def _begin(self) -> None:
        if not self._begun:
            self._producer.begin_transaction()
            self._begun, self._open_since = True, time.monotonic()

    def _hand_over(self, sent: Sent) -> None:
        """Records of the open transaction to the client; each is told apart by its place in the transaction."""
        records, timestamps, _ = sent
        handed_over, answered = self._producer.produce, self._answered
        first, self._places = self._places, self._places + len(records)
        headers: Any
        for place, (record, timestamp) in enumerate(zip(records, timestamps, strict=True), first):
            topic, key, value, headers = record
            try:
                handed_over(topic, value, key, -1, partial(answered, place), None, timestamp, headers)
            except BufferError:
                produce(self._producer, record, timestamp, partial(answered, place))

    def _answered(self, place: int, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self._landed(message)
        elif error.code() in PERMANENT:
            self._refused[place] = error

    @contextmanager
    def _ended(self) -> Iterator[None]:
        """BrokerUnavailable where the broker ended the transaction because it was open for too long."""
        try:
            yield
        except Fenced as fenced:
            if not self._begun or time.monotonic() - self._open_since < self._open_seconds:
                raise
            why = f"no broker took the transaction for {self._open_seconds:g} s, and it was ended"
            raise BrokerUnavailable(f"{why}; the same command sends its rows again") from fenced

    def _again(self, error: KafkaError) -> None:
        """Aborts the transaction, and sends its records in another one, but for those that were refused."""
        with self._ended():
            self._give_up(error)
        self._producer.poll(0)
        refused, self._refused, self._begun, self._places = self._refused, {}, False, 0
        if not refused and error.code() in PERMANENT:
            raise failure(error, "transaction")
        if refused:
            self._leave_out(refused)
        with told("transaction"):
            self._begin()
            for sent in self._sent:
                self._hand_over(sent)

    def _leave_out(self, refused: Mapping[int, KafkaError]) -> None:
        """Takes records out of the transaction, by their places."""
        first = 0
        kept: list[Sent] = []
        for records, timestamps, counted in self._sent:
            places = [place for place in range(len(records)) if first + place not in refused]
            for place in sorted(refused.keys() & range(first, first + len(records))):
                self._lost(refused[place], records[place - first].topic)
            kept.append(([records[place] for place in places], [timestamps[place] for place in places], counted))
            first += len(records)
        self._sent = kept

    def _count(self) -> None:
        for records, _, counted in self._sent:
            self.acknowledged += len(records) if counted else 0
            self.others += 0 if counted else len(records)
        self._sent, self._begun, self._places = [], False, 0
