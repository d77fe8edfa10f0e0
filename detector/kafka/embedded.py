"""A broker inside this process, for demonstrations: librdkafka's mock cluster.

It keeps 5 MiB or 100,000 messages of a partition and drops older ones silently, has 4 partitions a topic, and its
transactions are hollow. So nothing is promised on it: `delivery = at_least_once`, and whoever fills it stays within
reach of its readers.
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Producer

from detector.kafka.client import told

LEAD_BYTES = 8 << 20
"""Rows that wait for a reader, at most: the broker keeps 20 MiB of a topic and drops the rest."""

MOST_LEAD = 20_000
JSON_BYTES, PACKED_BYTES = 32, 4
"""Of a feature, by the format of rows."""

ROW_BYTES = 200


class EmbeddedBroker:
    """Runs until it is closed or its process ends."""

    def __init__(self, topics: Sequence[str]) -> None:
        with told("embedded broker"):
            self._client = Producer({"test.mock.num.brokers": 1, "log_level": 0})
            for topic in topics:  # asking for a topic makes it
                self._client.list_topics(topic, timeout=10)
            brokers = self._client.list_topics(timeout=10).brokers
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())

    def close(self) -> None:
        """Stops the broker; what it held is gone."""
        del self._client


def most_lead(features: int, feature_bytes: int = JSON_BYTES) -> int:
    """Rows of so many features that may be sent before they are read."""
    return min(LEAD_BYTES // (feature_bytes * features + ROW_BYTES), MOST_LEAD)
