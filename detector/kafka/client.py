"""What every client shares: properties, errors in our own words, topics."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from detector.errors import BrokerAway, BrokerUnavailable, Failure, Fenced, TopicMissing, UsageError
from detector.log import logger

CONNECT_SECONDS = 10.0
"""How long a broker may take to answer a question about itself, and by default for the first time."""

LIMIT_SECONDS = 2.0
"""How long it may take over a topic's configuration, which the embedded broker never tells, and over a group's members,
which no broker tells before its first group: both are waited for in vain."""

MOVING_SECONDS, MOVING_PAUSE_SECONDS = 30.0, 0.2
"""How long a partition may take to get a leader, and how often it is asked."""

SPREAD_SECONDS, SPREAD_PAUSE_SECONDS = 15.0, 0.1
"""How long a cluster may take until every broker knows of a new topic, and how often it is asked."""

CALM_SECONDS = 30.0
"""How long nothing is heard of brokers that do not answer before the next that is heard is another trouble. Each client
says it about once a second while it lasts, and may say it again when it begins anew behind it."""

log = logger("detector.kafka")
UNHEARD = logging.getLogger("detector.kafka.unheard")
"""Where the client's own lines go: what matters reaches us by error_cb and exceptions, as one line."""
UNHEARD.addHandler(logging.NullHandler())
UNHEARD.propagate = False

Answer = TypeVar("Answer")
Properties = Mapping[str, str | int | float | bool]

OURS = {
    "bootstrap.servers": "--bootstrap-servers",
    "metadata.broker.list": "--bootstrap-servers",
    "group.id": "--group",
    "transactional.id": "--instance",
    "enable.auto.commit": "nothing: offsets commit with the alerts",
    "enable.auto.offset.store": "nothing: offsets commit with the alerts",
    "enable.partition.eof": "nothing: the end of a topic is told by it",
    "isolation.level": "nothing: rows of open or aborted transactions are no rows",
    "enable.idempotence": "nothing: a retry must not double a record",
}
"""librdkafka properties that the promises stand on, and what sets them instead."""

CALLS = {"on_delivery", "on_commit", "logger"}

DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
"""What no ACL allows."""

AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,  # where brokers are containers, the name of one that restarts is unknown for a while
}
UNAVAILABLE = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    *DENIED,
}
MISSING = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
TELLING = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError._RESOLVE,
    KafkaError.SASL_AUTHENTICATION_FAILED,
}
"""Errors that say more than that nobody answered."""
FENCED = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.INVALID_TXN_STATE,  # the transaction timed out, and the coordinator ended it
}
FENCED_BY = "another process of this instance took over, or no broker answered for longer than transaction.timeout.ms"

MOVING = {
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._NOENT,  # "no leaders found": the client's own word for the one before
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
"""A partition is between two leaders, or a group between two coordinators, as it is when a broker comes back."""
MISUSED = {KafkaError._INVALID_ARG, KafkaError._CONFLICT, KafkaError.INVALID_CONFIG}


def failure(error: KafkaError, doing: str) -> Failure:
    """The client's error in our words: every code maps to one kind of Failure."""
    kinds: list[tuple[set[int], type[Failure]]] = [
        (FENCED, Fenced),
        (AWAY | MOVING, BrokerAway),
        (UNAVAILABLE, BrokerUnavailable),
        (MISSING, TopicMissing),
        (MISUSED, UsageError),
    ]
    kind = next((kind for codes, kind in kinds if error.code() in codes), Failure)
    why = f"; {FENCED_BY}" if kind is Fenced else ""
    return kind(f"{doing}: {error.str()} ({error.name()}){why}")


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Maps what the client raises, once."""
    try:
        yield
    except KafkaException as error:
        raise failure(error.args[0], doing) from error
    except TimeoutError as error:  # an admin client's future
        raise BrokerAway(f"{doing}: no answer within {CONNECT_SECONDS:g} s") from error


def connect(bootstrap_servers: str, given: Properties, seconds: float = CONNECT_SECONDS) -> AdminClient:
    """An admin client whose broker has answered; BrokerUnavailable, with what stood in the way, if it does not in time.

    seconds: how long it may take.
    """
    heard: list[KafkaError] = []
    with told("kafka properties"):
        properties: dict[str, Any] = {**common(bootstrap_servers, given), "error_cb": heard.append}
        admin = AdminClient(properties)
    try:
        admin.list_topics(timeout=seconds)
    except KafkaException as error:
        admin.poll(0)  # hands over what was heard
        why = next((one for one in heard if one.code() in TELLING), error.args[0])
        where = f"bootstrap_servers {bootstrap_servers!r}"
        raise failure(why, f"{where}: no broker answered within {seconds:g} s") from error
    return admin


def common(bootstrap_servers: str, given: Properties) -> dict[str, Any]:
    """Properties that every client starts from; what the person gave comes last."""
    for name in given:
        if name in OURS:
            raise UsageError(f"kafka property {name!r} cannot be set here; use {OURS[name]}")
        if name in CALLS or name.endswith("_cb"):
            raise UsageError(f"kafka property {name!r} is a function of a program; text cannot be one")
    debugging = logging.getLogger("detector.kafka").isEnabledFor(logging.DEBUG)
    silence: dict[str, Any] = {} if debugging else {"logger": UNHEARD}
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": "streaming-fraud-detector",
        "log_level": 7 if debugging else 0,
        **silence,
        "error_cb": _on_error,
        # A broker that is alone and was held up, or is about to stop, says that there are no brokers, and librdkafka
        # 2.16 believes it (its issue 5301): it would ask none any more, for five minutes by default.
        "metadata.recovery.rebootstrap.trigger.ms": 3000,
        "reconnect.backoff.max.ms": 1000,  # by default a cut of a second may take ten to be over
        **given,
    }


class Trouble:
    """An `error_cb` that tells once, for all clients of the process and as long as it lasts, that no broker answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._heard = clock, -math.inf

    def __call__(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            return
        heard, self._heard = self._heard, self._clock()
        if self._heard < heard + CALM_SECONDS:
            return
        log.warning("broker_unavailable", detail=error.str(), doing="waiting for it to come back")


_on_error = Trouble()


def existing(admin: AdminClient, topics: Sequence[str]) -> dict[str, int]:
    """Partitions of each of the topics that exists."""
    with told("listing topics"):
        found = admin.list_topics(timeout=CONNECT_SECONDS).topics
    return {topic: len(found[topic].partitions) for topic in topics if topic in found and found[topic].partitions}


def check_topics(admin: AdminClient, topics: Sequence[str]) -> dict[str, int]:
    """Partitions of each topic; TopicMissing names the ones that do not exist."""
    found = existing(admin, topics)
    if missing := [topic for topic in topics if topic not in found]:
        raise TopicMissing(f"topic {', '.join(map(repr, missing))} does not exist; make it first, or name another")
    return found


COMPACTED = {"cleanup.policy": "compact", "segment.bytes": str(64 << 20)}
"""Of a topic that keeps a state. Small segments: what is read back at a start begins to be compacted sooner."""

BROKERS_DEFAULT = -1
"""A replication that the broker decides."""

KEPT = {"retention.ms": "-1", "retention.bytes": "-1"}
"""Of a topic that nothing expires from, whatever the times of its records."""


def created(
    admin: AdminClient,
    topics: Sequence[str],
    partitions: int,
    configs: Mapping[str, Mapping[str, str]] | None = None,
    replication: int = BROKERS_DEFAULT,
) -> list[str]:
    """Makes the topics that do not exist yet; the names of those made.

    configs: by topic, what is not to be as the broker has it by default.
    """
    with told("making topics"):
        there = admin.list_topics(timeout=CONNECT_SECONDS).topics
        new = [
            NewTopic(topic, partitions, replication, config=dict((configs or {}).get(topic, {})))
            for topic in topics
            if topic not in there
        ]
        for future in admin.create_topics(new).values() if new else ():
            future.result(CONNECT_SECONDS)
    return [topic.topic for topic in new]


def await_topics(admin: AdminClient, topics: Sequence[str], seconds: float = SPREAD_SECONDS) -> None:
    """Waits until a broker knows of new topics; TopicMissing where it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            check_topics(admin, topics)
            return
        except TopicMissing:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(SPREAD_PAUSE_SECONDS)


def removed(admin: AdminClient, topics: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Removes topics and groups; the names of those that are still there because the broker refused."""
    asked = {**admin.delete_topics(list(topics)), **admin.delete_consumer_groups(list(groups))}
    return [name for name, future in asked.items() if not _gone(future)]


def _gone(future: Any) -> bool:
    try:
        future.result(CONNECT_SECONDS)
    except KafkaException as error:
        return error.args[0].code() in (*MISSING, KafkaError.GROUP_ID_NOT_FOUND)
    except TimeoutError:
        return False
    return True


def topic_limit(admin: AdminClient, topic: str) -> int | None:
    """The longest record batch a topic takes, bytes; None where the broker does not say (an ACL may forbid it)."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        found = admin.describe_configs([resource], request_timeout=LIMIT_SECONDS)[resource].result(CONNECT_SECONDS)
        return int(found["max.message.bytes"].value)
    except (KafkaException, TimeoutError, KeyError, TypeError, ValueError):
        return None


def bounds(admin: AdminClient, topic: str, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By partition, the first offset that the log still has and the end that readers of committed messages can reach.

    Asked by an admin client: a consumer's own question would wait behind its fetches, half a second for each.
    """
    places = [TopicPartition(topic, partition) for partition in partitions]

    def ask() -> dict[int, tuple[int, int]]:
        low, high = (_offsets(admin, places, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))  # type: ignore[no-untyped-call]
        return {partition: (low[partition], high[partition]) for partition in partitions}

    def refresh() -> None:
        """The client asks the leader of an epoch that it remembers."""
        with told(f"topic {topic!r}"):
            admin.list_topics(timeout=CONNECT_SECONDS)

    return asked_again(ask, f"offsets of topic {topic!r}", MOVING_SECONDS, refresh)


def behind(admin: AdminClient, topic: str, positions: Mapping[int, int]) -> bool:
    """Whether any partition has more behind the position at which it is read."""
    logs = bounds(admin, topic, list(positions)) if positions else {}
    return any(position < logs[partition][1] for partition, position in positions.items())


def known(admin: AdminClient, group: str, member: str) -> bool:
    """Whether a group has a member."""
    with told(f"group {group!r}"):
        asked = admin.describe_consumer_groups([group], request_timeout=LIMIT_SECONDS)
        return any(one.member_id == member for one in asked[group].result(CONNECT_SECONDS).members)


def asked_again(
    ask: Callable[[], Answer], doing: str, seconds: float, between: Callable[[], object] = lambda: None
) -> Answer:
    """What a broker answers, asked again for as long as told while a leader or coordinator moves; Failure otherwise.

    between: called before it is asked again.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in MOVING or time.monotonic() > deadline:
                raise failure(error.args[0], doing) from error
            threading.Event().wait(MOVING_PAUSE_SECONDS)
            between()


def _offsets(admin: AdminClient, places: Sequence[TopicPartition], spec: Any) -> dict[int, int]:
    how = {"isolation_level": IsolationLevel.READ_COMMITTED, "request_timeout": CONNECT_SECONDS}
    try:
        asked = admin.list_offsets(dict.fromkeys(places, spec), **how)
        return {place.partition: future.result(CONNECT_SECONDS).offset for place, future in asked.items()}
    except TimeoutError as error:
        raise BrokerAway(f"offsets: no answer within {CONNECT_SECONDS:g} s") from error
