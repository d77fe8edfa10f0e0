"""Records out: in a transaction with the offsets they come from, or at least once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, NamedTuple, NoReturn, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from detector.errors import BrokerUnavailable, Failure, TopicMissing
from detector.kafka.client import FENCED, Properties, common, connect, existing, failure, told
from detector.kafka.consume import Checkpoint
from detector.kafka.vigil import alone, lost
from detector.log import logger

log = logger("detector.kafka")

TRANSACTION_TIMEOUT_MS = 10_000
"""A member killed inside a transaction holds back readers for this long, unless its instance name is taken over."""

PRODUCER: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 0,
    # The default of 100 ms is what a transaction waits that begins while the last one's markers are being written.
    "retry.backoff.ms": 2,
    "message.max.bytes": 1_000_000_000,  # the topic's own limit decides
    # A client that begins anew forgets its brokers, and a transaction under way can then hang for good.
    "metadata.recovery.strategy": "none",
}
SHORT: dict[str, Any] = {**PRODUCER, "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}
DELIVERY: dict[str, Any] = {"message.timeout.ms": 60_000}
"""Outside transactions: after so long a broker that is away is noticed, and the batch is read again."""

RETRY_SECONDS = 0.05

IDLE_MS = 5_000
"""A connection that is idle for so long is closed. librdkafka 2.16 may wait for a group's coordinator that is gone
until some connection of it changes (its issues 5456 and 5511), so that none must stay as it is for good."""

CALL_SECONDS = 5.0
"""How long a step of a transaction waits for a broker, before it is seen whether the process was told to end."""

LIST_SECONDS = 1.0
"""How long a broker may take to say which topics there are."""

PERMANENT = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_RECORD,
}
"""Delivery errors that a second try meets again."""

REBALANCED = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
}
"""Answers to the commit of a member that is not, or not yet again, in the group: the batch will be read again."""


class Record(NamedTuple):
    """A record to publish."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Aborted(Exception):
    """A transaction was aborted: nothing of the batch is visible, the input must be rewound."""


STEPS = ("begun", "produced", "offsets_added", "committed")
"""Between these a transaction can be cut off; tests stop the process at each."""


class Output(Protocol):
    """Publishes records and commits the input's positions with them."""

    def commit(self, records: Iterable[Record], checkpoint: Checkpoint) -> None:
        """All visible and committed, or Aborted."""

    def serve(self) -> None:
        """Takes what the client has to tell: for whoever has committed nothing for a while."""

    def close(self) -> None:
        """Gives up what is open."""


class Undelivered(NamedTuple):
    """A record that was not delivered: why, and where it was to go."""

    error: KafkaError
    topic: str

    @property
    def permanent(self) -> bool:
        """Whether a second try would meet the same."""
        return self.error.code() in PERMANENT

    def failure(self) -> Failure:
        """In our words."""
        return failure(self.error, f"publishing to topic {self.topic!r}")


class FailedDeliveries:
    """The errors of delivery reports, as a producer's `on_delivery`, until they are taken."""

    def __init__(self) -> None:
        self._undelivered: list[Undelivered] = []

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._undelivered.append(Undelivered(error, message.topic()))

    def take(self) -> list[Undelivered]:
        """Those since the last time."""
        taken, self._undelivered = self._undelivered, []
        return taken


def transactional(
    bootstrap_servers: str, given: Properties, name: str, own: dict[str, Any] = SHORT, seconds: float = 60.0
) -> Producer:
    """A producer of a transactional id, which ended what an earlier one left open, and fenced it.

    given: the person's properties; own: what they come over. seconds: how long the broker may take.
    """
    with told(f"transactional id {name!r}"):
        producer = Producer({**own, **common(bootstrap_servers, given), "transactional.id": name})
        # librdkafka 2.16 may look for a coordinator as it leaves the bootstrap server, and then waits for 0.5 s.
        producer.list_topics(timeout=seconds)
        producer.init_transactions(seconds)
    return producer


class Transactions:
    """A producer of transactions of one id: who comes later fences who came before, and ends what it left open.

    given: the person's properties; own: what they come over. stopping: whether the process was told to end, and so
    shall not wait for a broker that is away. left: what is said of a transaction that is then left open.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        given: Properties,
        own: dict[str, Any],
        transactional_id: str,
        stopping: Callable[[], bool],
        left: str = "its rows will be read again",
    ) -> None:
        self._where = bootstrap_servers, given
        self._stopping, self._left = stopping, left
        self._topics: set[str] = set()
        self._about = ""
        self._anew = partial(transactional, bootstrap_servers, given, transactional_id, own)
        self._producer = self._anew()

    def _retried(self, call: Callable[[], Any]) -> None:
        """Retries what librdkafka calls retriable: the call goes on where its time-out left it.

        It may do so for as long as a broker is away: nothing is lost by waiting. Who is told to end meanwhile leaves
        the transaction open after CALL_SECONDS; it times out, and its rows are read again by the next member.
        """
        begun = time.monotonic()
        for turn in count():
            try:
                call()
                return
            except KafkaException as error:
                if not error.args[0].retriable() or error.args[0].code() == KafkaError._CONFLICT:
                    raise  # a conflict with another call, which nobody makes any more, never ends
                if self._stopping() and time.monotonic() - begun >= CALL_SECONDS:
                    raise failure(error.args[0], f"transaction left open, {self._left}") from error
                self._look_round()
                if turn == 0:
                    name = error.args[0].name()
                    log.warning("transaction_retried", error=name, doing="waiting for a broker that answers")
                self._producer.poll(RETRY_SECONDS)

    def _look_round(self) -> None:
        """TopicMissing where a topic of the transaction is gone: the client itself would wait for it for good.

        Another client is asked: the producer sends the records again and again and may not come to ask. Or it has lost
        its brokers; whoever owns it then goes on with another one.
        """
        try:
            found = existing(connect(*self._where, LIST_SECONDS), sorted({*self._topics, self._about}))
        except BrokerUnavailable:  # nobody answers: it may well be there
            return
        if missing := sorted(self._topics - found.keys()):
            with suppress(KafkaException):
                self._producer.abort_transaction(CALL_SECONDS)
            raise TopicMissing(f"topic {', '.join(map(repr, missing))} is gone; make it anew: no row is lost")
        if self._about in found and alone(self._producer, self._about):
            self._on_lost()

    def _on_lost(self) -> NoReturn:
        raise BrokerUnavailable(f"the client has lost its brokers: transaction left open, {self._left}")

    def _give_up(self, error: KafkaError) -> None:
        """Aborts the transaction that met an error; Fenced, or another Failure, where there is none to abort."""
        if error.code() in FENCED or error.fatal():
            raise failure(error, "transaction")
        with told("aborting the transaction"):
            self._retried(lambda: self._producer.abort_transaction(CALL_SECONDS))


def answer_ms(given: Properties) -> int:
    """How long an answer is waited for before it is asked for again, ms; given: the person's properties.

    librdkafka would wait for almost as long as a transaction may be open, and a step for two answers: who lets it be
    open for minutes would wait for minutes when one is lost. It must not be longer than that time, though.
    """
    told_ms = str(given.get("transaction.timeout.ms", ""))  # what is no number, the client refuses
    open_ms = int(told_ms) if told_ms.isdecimal() else TRANSACTION_TIMEOUT_MS
    return max(min(open_ms, TRANSACTION_TIMEOUT_MS) - 100, 900)


class ExactlyOnce(Transactions):
    """Alerts, dead letters and offsets in one transaction (KIP-98, KIP-447).

    stopping: see Transactions. at: called after each of STEPS. watched: see Statistics.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        given: Properties,
        transactional_id: str,
        stopping: Callable[[], bool] = lambda: False,
        at: Callable[[str], None] = lambda step: None,
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        self._at = at
        self._failed = FailedDeliveries()
        own = {
            **(watched or {}),
            **SHORT,
            "connections.max.idle.ms": IDLE_MS,
            "socket.timeout.ms": answer_ms(given),
            "on_delivery": self._failed,
        }
        super().__init__(bootstrap_servers, given, own, transactional_id, stopping)

    def commit(self, records: Iterable[Record], checkpoint: Checkpoint) -> None:
        """1. begin; 2. produce; 3. add the offsets and the group's generation; 4. commit, which flushes first.

        An error that a retry may mend is retried by the client; one that asks for an abort aborts and raises Aborted,
        also where the member has been taken out of the group (its generation is fenced, not the process).
        """
        producer = self._producer
        try:
            producer.begin_transaction()
            self._at("begun")
            self._topics = produce_all(producer, records)
            self._at("produced")
            places, generation = checkpoint.places, checkpoint.generation
            self._about = places[0].topic if places else next(iter(self._topics), "")
            self._retried(lambda: producer.send_offsets_to_transaction(places, generation, CALL_SECONDS))
            self._at("offsets_added")
            self._retried(lambda: producer.commit_transaction(CALL_SECONDS))
            self._at("committed")
        except KafkaException as error:
            self._abort(error.args[0])

    def _abort(self, error: KafkaError) -> NoReturn:
        self._give_up(error)
        if permanent := next((one for one in self._failed.take() if one.permanent), None):
            raise permanent.failure()
        raise Aborted(f"{error.str()} ({error.name()})")

    def _on_lost(self) -> NoReturn:
        """Whether the transaction was committed is seen in the offsets: the next producer has ended it."""
        self._producer = self._anew()
        raise Aborted("the client had lost its brokers")

    def serve(self) -> None:
        """Statistics, and errors that no transaction met: unread they would pile up."""
        self._producer.poll(0)

    def close(self) -> None:
        """Nothing: a transaction is never open between two commits."""


class AtLeastOnce:
    """Records first, offsets after: a crash between the two repeats alerts and loses none."""

    def __init__(self, bootstrap_servers: str, given: Properties, watched: Mapping[str, Any] | None = None) -> None:
        self._failed, self._where = FailedDeliveries(), (bootstrap_servers, given)
        own = {**(watched or {}), **PRODUCER, **DELIVERY}
        self._properties = {**own, **common(bootstrap_servers, given), "on_delivery": self._failed}
        with told("producer"):
            self._producer = Producer(self._properties)

    def commit(self, records: Iterable[Record], checkpoint: Checkpoint) -> None:
        """1. produce; 2. flush, and see every delivery report; 3. commit the offsets."""
        with told("publishing"):
            produce_all(self._producer, records)
            self._producer.flush()
        if failed := self._failed.take():
            raise failed[0].failure() if failed[0].permanent else self._aborted(failed[0])
        try:
            checkpoint.commit(checkpoint.places)
        except KafkaException as error:
            if error.args[0].code() in REBALANCED:
                raise Aborted(error.args[0].str()) from error
            raise failure(error.args[0], "committing offsets") from error

    def _aborted(self, undelivered: Undelivered) -> Aborted:
        if lost(self._producer, undelivered.topic, *self._where):
            self._producer = Producer(self._properties)
        return Aborted(undelivered.error.str())

    def serve(self) -> None:
        """Statistics, and errors that nothing on its way met."""
        self._producer.poll(0)

    def close(self) -> None:
        """Waits for what is on its way."""
        self._producer.flush(10)


def produce_all(producer: Producer, records: Iterable[Record]) -> set[str]:
    """Hands records to the client; the topics that they are for."""
    hand_over, topics = producer.produce, set()
    headers: Any
    for record in records:
        topic, key, value, headers = record
        topics.add(topic)
        try:  # the arguments by place: names would cost a tenth of the call
            hand_over(topic, value, key, -1, None, None, 0, headers)
        except BufferError:
            produce(producer, record)
    return topics


def produce(producer: Producer, record: Record, timestamp: int = 0, on_delivery: Any = None) -> None:
    """Hands a record to the client, waiting where its queue is full."""
    extra = {"on_delivery": on_delivery} if on_delivery else {}
    headers: Any = record.headers
    while True:
        try:
            producer.produce(record.topic, record.value, record.key, headers=headers, timestamp=timestamp, **extra)
            return
        except BufferError:
            producer.poll(0.05)
