"""Records put where they belong by one sender at a time: each batch whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException

from detector.kafka.client import FENCED, Properties, failure, told
from detector.kafka.produce import PERMANENT, RETRY_SECONDS, Record, transactional
from detector.log import logger

log = logger("detector.kafka")

TRIES = 5
"""How often a batch is begun whose transaction had to be aborted for a reason that may pass."""

REFUSED = {*PERMANENT, KafkaError.INVALID_TIMESTAMP}
"""Answers that a record meets again however often it is sent."""


Spot = tuple[int, int]
"""A partition and an offset."""


class Parcel(NamedTuple):
    """A record for a partition, None for any, with its event time, ms since 1970 UTC; 0 or less for now."""

    record: Record
    partition: int | None
    timestamp: int


class Refused(Exception):
    """The broker refuses records of a batch, so none of it was sent. why: by place in the batch."""

    def __init__(self, why: Mapping[int, str]) -> None:
        super().__init__(f"{len(why)} records refused")
        self.why = dict(why)


class Resender:
    """Sends batches in transactions of one id: who comes later fences who came before, and ends what it left open.

    So what a reader of committed messages finds after `Resender(...)` is all that was ever sent under this id.
    """

    def __init__(self, bootstrap_servers: str, given: Properties, transactional_id: str) -> None:
        self._producer = transactional(bootstrap_servers, given, transactional_id)

    def send(self, parcels: Sequence[Parcel]) -> list[Spot]:
        """Where the parcels are, all visible now. Refused, Fenced or another Failure where none is."""
        last: KafkaError | None = None
        for _ in range(TRIES):
            answers = _Answers(len(parcels))
            try:
                self._transaction(parcels, answers)
                return answers.spots
            except KafkaException as error:
                last = error.args[0]
                self._abort(last)
            except BaseException:  # Ctrl-C: an open transaction would hold up the topic's readers until it times out
                with suppress(KafkaException):
                    self._producer.abort_transaction()
                raise
            if answers.refused:
                raise Refused(answers.refused)
        assert last is not None
        raise failure(last, f"resending, {TRIES} times")

    def _transaction(self, parcels: Sequence[Parcel], answers: _Answers) -> None:
        self._producer.begin_transaction()
        for number, parcel in enumerate(parcels):
            self._produce(parcel, answers.to(number))
        self._retried(self._producer.commit_transaction)

    def _produce(self, parcel: Parcel, on_delivery: Callable[[KafkaError | None, Any], None]) -> None:
        record = parcel.record
        headers: Any = record.headers
        place: dict[str, Any] = {} if parcel.partition is None else {"partition": parcel.partition}
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers=headers,
                    timestamp=max(parcel.timestamp, 0),
                    on_delivery=on_delivery,
                    **place,
                )
                return
            except BufferError:
                self._producer.poll(RETRY_SECONDS)

    def _retried(self, call: Callable[[], Any]) -> None:
        while True:
            try:
                call()
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
                log.warning(
                    "transaction_retried", error=error.args[0].name(), doing="waiting for a broker that answers"
                )
                threading.Event().wait(RETRY_SECONDS)

    def _abort(self, error: KafkaError) -> None:
        if error.code() in FENCED or error.fatal():
            raise failure(error, "resending")
        with told("aborting the transaction"):
            self._retried(self._producer.abort_transaction)


class _Answers:
    """What the broker said of each record of a batch."""

    def __init__(self, count: int) -> None:
        self.spots: list[Spot] = [(-1, -1)] * count
        self.refused: dict[int, str] = {}

    def to(self, number: int) -> Callable[[KafkaError | None, Any], None]:
        """The delivery callback of one record."""

        def answered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                self.spots[number] = (message.partition(), message.offset())
            elif error.code() in REFUSED:
                self.refused[number] = f"{error.str()} ({error.name()})"

        return answered


def each_or_none(
    send: Callable[[Sequence[Parcel]], list[Spot]], groups: Sequence[Sequence[Parcel]]
) -> list[list[Spot] | str]:
    """For each group where its parcels are, or why the broker refuses it; it is sent whole and once, or not at all.

    Records that travel together can be too long together: what was refused in company is tried once more alone.
    """
    try:
        spots = iter(send([parcel for group in groups for parcel in group]))
        return [[next(spots) for _ in group] for group in groups]
    except Refused as refused:
        why = refused.why
    if len(groups) == 1:
        return [next(iter(why.values()))]
    owners = [number for number, group in enumerate(groups) for _ in group]
    bad = {owners[place] for place in why}
    good = [number for number in range(len(groups)) if number not in bad]
    found: dict[int, list[Spot] | str] = {}
    if good:
        found |= zip(good, each_or_none(send, [groups[number] for number in good]), strict=True)
    for number in sorted(bad):
        found |= {number: each_or_none(send, [groups[number]])[0]}
    return [found[number] for number in range(len(groups))]
