"""What a broker tells this principal of itself, of topics and of what may be done with them: for a preflight."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from detector.errors import Failure
from detector.kafka.client import CONNECT_SECONDS, DENIED, MISSING, Properties, asked_again, failure, told
from detector.kafka.produce import transactional


class TopicFacts(NamedTuple):
    """A topic as this principal sees it.

    partitions: how many; 0 where it does not exist, or is hidden. leaderless: those that nobody leads. replicas,
    in_sync: copies of the partition that has fewest. may: operations that are allowed, by Kafka's names, such as READ.
    denied: whether the broker refuses to speak of it. config: its settings, empty where they may not be read.
    """

    partitions: int
    leaderless: int = 0
    replicas: int = 0
    in_sync: int = 0
    may: frozenset[str] = frozenset()
    denied: bool = False
    config: dict[str, str] = {}  # noqa: RUF012 (never changed)


def brokers(admin: AdminClient) -> int:
    """How many brokers the cluster has."""
    with told("describing the cluster"):
        return len(admin.list_topics(timeout=CONNECT_SECONDS).brokers)


def topic_facts(admin: AdminClient, topics: Sequence[str]) -> dict[str, TopicFacts]:
    """What is to be known of each topic."""
    asked = admin.describe_topics(
        TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=CONNECT_SECONDS
    )
    found = {topic: _facts(topic, asked[topic]) for topic in topics}
    configs = _configs(admin, [topic for topic, one in found.items() if "DESCRIBE_CONFIGS" in one.may])
    return {topic: one._replace(config=configs.get(topic, {})) for topic, one in found.items()}


def _facts(topic: str, asked: Any) -> TopicFacts:
    try:
        found = asked.result(CONNECT_SECONDS)
    except KafkaException as error:
        code = error.args[0].code()
        if code in MISSING or code in DENIED:
            return TopicFacts(0, denied=code in DENIED)
        raise failure(error.args[0], f"describing topic {topic!r}") from error
    except Late as error:
        raise Failure(f"describing topic {topic!r}: no answer within {CONNECT_SECONDS:g} s") from error
    parts = found.partitions
    return TopicFacts(
        len(parts),
        sum(one.leader is None or one.leader.id < 0 for one in parts),
        min(len(one.replicas) for one in parts),
        min(len(one.isr) for one in parts),
        operations(found),
    )


def operations(described: Any) -> frozenset[str]:
    """Names of what this principal may do with what was described; ALL stands for READ, WRITE and the others too."""
    return frozenset(one.name for one in described.authorized_operations or ())


def _configs(admin: AdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings of topics, of those that the broker tells."""
    if not topics:
        return {}
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics])
    found: dict[str, dict[str, str]] = {}
    for resource, future in asked.items():
        with suppress(KafkaException, Late):
            found[resource.name] = {name: str(one.value) for name, one in future.result(CONNECT_SECONDS).items()}
    return found


def group_operations(admin: AdminClient, group: str) -> tuple[frozenset[str], int]:
    """What may be done with a consumer group, and how many members it has; nothing where the broker refuses to say.

    A broker that has just begun to coordinate the group is asked again.
    """

    def ask() -> tuple[frozenset[str], int]:
        asked = admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=CONNECT_SECONDS
        )
        try:
            found = asked[group].result(CONNECT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in DENIED:
                return frozenset(), 0
            raise
        return operations(found), len(found.members)

    with told(f"describing group {group!r}"):
        return asked_again(ask, f"describing group {group!r}", CONNECT_SECONDS)


def try_transactions(bootstrap_servers: str, given: Properties, transactional_id: str) -> None:
    """Begins to use a transactional id, and leaves it at that; Failure where it may not be used.

    Whoever uses the same id is fenced: take one that nobody else does.
    """
    transactional(bootstrap_servers, given, transactional_id, seconds=CONNECT_SECONDS)
