"""Three Apache Kafka brokers on one machine: what one of them led, another leads when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient
from testcontainers.core.network import Network

from tests.broker import Broker, Node, chosen, launch, nodes, wait_until_ready

COUNT = 3


@dataclass(frozen=True)
class Cluster:
    """Brokers by their numbers, from 1 on."""

    brokers: dict[int, Broker]

    @property
    def bootstrap(self) -> str:
        """The addresses of all."""
        return ",".join(broker.bootstrap for broker in self.brokers.values())

    def answering(self) -> int:
        """How many brokers the cluster knows of."""
        return len(self._admin().list_topics(timeout=10).brokers)

    def coordinator(self, group: str) -> Broker:
        """The broker that a group's members report to; it also leads the offsets that they commit."""
        admin = self._admin()
        found = admin.describe_consumer_groups([group], request_timeout=30)[group].result(30)
        return self.brokers[found.coordinator.id]

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})


@contextmanager
def cluster(kind: str | None = None) -> Iterator[Cluster]:
    """Three brokers that answer, of the kind that is wanted or can run here; they are gone when the block ends."""
    kind = chosen(kind)
    with ExitStack() as stack:
        network = stack.enter_context(Network()) if kind == "docker" else None
        members = nodes(COUNT, "127.0.0.1" if network is None else "node{}.kafka")
        brokers = {}
        for member in members:
            brokers[member.number] = launch(kind, member, together(members), network)
            stack.callback(brokers[member.number].stop)
        for broker in brokers.values():
            wait_until_ready(broker, 120)
        yield Cluster(brokers)


def together(members: list[Node]) -> dict[str, str]:
    """Settings of brokers that stand in for each other."""
    return {
        "controller.quorum.voters": ",".join(f"{one.number}@{one.host}:{one.controller}" for one in members),
        "inter.broker.listener.name": "INSIDE",
        "default.replication.factor": str(COUNT),
        "min.insync.replicas": "2",
        "offsets.topic.replication.factor": str(COUNT),
        "transaction.state.log.replication.factor": str(COUNT),
        "transaction.state.log.min.isr": "2",
        "broker.session.timeout.ms": "3000",  # a broker that dies is missed soon
        "broker.heartbeat.interval.ms": "500",
    }
