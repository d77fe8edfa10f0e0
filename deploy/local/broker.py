"""Where the rows travel: an embedded broker, or topics of the demo's own on a real one."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from detector.errors import TopicMissing
from detector.kafka import EmbeddedBroker, check_topics, connect, created, removed

PARTITIONS = 4
SPREAD_SECONDS = 15.0
"""How long a cluster may take until every broker knows of a new topic."""

LEAD_BYTES = 8 << 20
"""Rows on the embedded broker that wait for the detector, at most: it keeps 20 MiB of a topic and drops the rest."""

MOST_LEAD = 20_000
FEATURE_BYTES, ROW_BYTES = 32, 200


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
    def group(self) -> str:
        return f"{self.prefix}detector"

    @property
    def topics(self) -> list[str]:
        return [self.transactions, self.alerts, self.dead_letters, self.labels, self.models, self.drift]


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
        _known(admin, broker.topics)
        yield broker
    finally:
        left = removed(admin, broker.topics, [broker.group])
        if left:
            print(f"demo: the broker did not remove {', '.join(left)}", flush=True)


def _known(admin: Any, topics: Sequence[str]) -> None:
    pause, deadline = threading.Event(), time.monotonic() + SPREAD_SECONDS
    while True:
        try:
            check_topics(admin, topics)
            return
        except TopicMissing:
            if time.monotonic() > deadline:
                raise
            pause.wait(0.1)


def most_lead(features: int) -> int:
    """Rows that a replay may be ahead of the detector, as JSON of so many numbers."""
    return min(LEAD_BYTES // (FEATURE_BYTES * features + ROW_BYTES), MOST_LEAD)
