"""What the facts about topics and groups mean for a detector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from detector.errors import BrokerUnavailable, Failure, TopicMissing
from detector.kafka.inquiry import TopicFacts
from detector.preflight.acls import Acl
from detector.preflight.findings import Finding, failed, ok, warning

EVERY = "ALL"
KAFKAS_NAMES = {"Read": "READ", "Write": "WRITE", "DescribeConfigs": "DESCRIBE_CONFIGS"}


def judged(topic: str, facts: TopicFacts, acls: Sequence[Acl]) -> Iterator[Finding]:
    """Whether a topic is there and led, its copies are enough, and it may be used as it must."""
    subject = f"topic {topic}"
    lacking = [one for one in acls if KAFKAS_NAMES[one.operation] not in facts.may and EVERY not in facts.may]
    if facts.denied or (facts.partitions and lacking):
        wants = acls if facts.denied else lacking
        why = f"{', '.join(one.operation for one in wants)} on topic {topic!r} is not allowed"
        yield failed(subject, BrokerUnavailable(why), allowing(wants))
    elif not facts.partitions:
        fix = "make it (`python -m detector create-topics`), or name another"
        yield failed(subject, TopicMissing(f"topic {topic!r} does not exist"), fix)
    elif facts.leaderless:
        why = f"{facts.leaderless} of {facts.partitions} partitions have no leader"
        yield failed(subject, BrokerUnavailable(why), "bring back the brokers that hold them")
    else:
        yield from _durable(subject, facts)
        yield from _cleaned(subject, facts)


def _durable(subject: str, facts: TopicFacts) -> Iterator[Finding]:
    """Whether its copies are enough for its own rule."""
    least = int(facts.config.get("min.insync.replicas", 1))
    told = f"{facts.partitions} partitions, {facts.replicas} copies"
    if facts.in_sync < least:
        why = f"{told}, {facts.in_sync} in sync, at least {least} wanted by min.insync.replicas: it takes no records"
        yield failed(subject, Failure(why), "bring back the brokers that hold the others, or lower min.insync.replicas")
    elif facts.replicas == 1:
        fix = "create it with --replication 3 --min-insync 2, where there are three brokers"
        yield warning(subject, f"{told}: what is on it is lost with the disk of one broker", fix)
    else:
        yield ok(subject, f"{told}, at least {least} in sync wanted")


def _cleaned(subject: str, facts: TopicFacts) -> Iterator[Finding]:
    if "compact" in facts.config.get("cleanup.policy", ""):
        fix = "set cleanup.policy=delete: rows, alerts and dead letters that share a key replace each other"
        yield warning(subject, "it is compacted: all but the last record of a key are removed", fix)


def judged_group(group: str, may: frozenset[str], members: int, acls: Sequence[Acl], partitions: int) -> list[Finding]:
    """Whether a group may be joined, and whether its members all have something to do."""
    subject = f"group {group}"
    if "READ" not in may and EVERY not in may:
        return [failed(subject, BrokerUnavailable(f"Read on group {group!r} is not allowed"), allowing(acls))]
    if partitions and members >= partitions:
        told = f"{members} members share {partitions} partitions: one more has nothing to do"
        return [warning(subject, told, "add partitions to the input, or start no more")]
    return [ok(subject, f"{members} members at work")]


def allowing(acls: Sequence[Acl]) -> str:
    """What to do where these are not allowed."""
    return "; ".join(f"kafka-acls.sh {one.command('User:NAME')}" for one in acls)


def of_topics(acls: Sequence[Acl]) -> Mapping[str, list[Acl]]:
    """The operations that each topic must allow."""
    found: dict[str, list[Acl]] = {}
    for one in acls:
        if one.resource == "topic":
            found.setdefault(one.name, []).append(one)
    return found
