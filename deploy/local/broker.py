"""Where the rows travel: an embedded broker, or topics of the demo's own on a real one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from detector.kafka import EmbeddedBroker, await_topics, connect, created, removed

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker and the demo's names on it. about: what it is, for people."""

    bootstrap_servers: str
    about: str
    delivery: str
    prefix: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def transactions(self) -> str:
        return f"{self.prefix}transactions"

    @property
    def alerts(self) -> str:
        return f"{self.prefix}alerts"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}transactions.dead-letters"

    @property
    def labels(self) -> str:
        return f"{self.prefix}labels"

    @property
    def models(self) -> str:
        return f"{self.prefix}models"

    @property
    def drift(self) -> str:
        return f"{self.prefix}drift"

    @property
    def scores(self) -> str:
        return f"{self.prefix}scores"

    @property
    def group(self) -> str:
        return f"{self.prefix}detector"

    @property
    def topics(self) -> list[str]:
        return [self.transactions, self.alerts, self.dead_letters, self.labels, self.models, self.drift, self.scores]


@contextmanager
def embedded() -> Iterator[Broker]:
    """librdkafka's mock cluster in this process; its transactions are hollow, so none are used."""
    names = Broker("", "", "")
    broker = EmbeddedBroker(names.topics)
    try:
        about = f"embedded (librdkafka's mock cluster) at {broker.bootstrap_servers}"
        yield Broker(broker.bootstrap_servers, about, "at_least_once")
    finally:
        broker.close()


@contextmanager
def real(bootstrap_servers: str, properties: Mapping[str, str]) -> Iterator[Broker]:
    """Topics of the demo's own, which no one else's can be, and which are removed at the end."""
    about = f"Apache Kafka at {bootstrap_servers}"
    broker = Broker(bootstrap_servers, about, "exactly_once", f"demo-{uuid.uuid4().hex[:8]}.", properties)
    admin = connect(bootstrap_servers, properties)
    try:
        created(admin, broker.topics, PARTITIONS)
        await_topics(admin, broker.topics)
        yield broker
    finally:
        left = removed(admin, broker.topics, [broker.group])
        if left:
            print(f"demo: the broker did not remove {', '.join(left)}", flush=True)
