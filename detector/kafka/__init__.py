"""The one door to Kafka: nothing outside this package imports its client."""

from detector.kafka.client import (
    BROKERS_DEFAULT,
    COMPACTED,
    KEPT,
    await_topics,
    check_topics,
    connect,
    created,
    removed,
    topic_limit,
)
from detector.kafka.consume import Checkpoint, Input, Progress, Reader
from detector.kafka.embedded import JSON_BYTES, PACKED_BYTES, EmbeddedBroker, most_lead
from detector.kafka.figures import BrokerFigures, ClientFigures, Statistics
from detector.kafka.follow import Follower
from detector.kafka.produce import Aborted, AtLeastOnce, ExactlyOnce, Output, Record
from detector.kafka.publish import Publisher, TransactionalPublisher

__all__ = [
    "BROKERS_DEFAULT",
    "COMPACTED",
    "JSON_BYTES",
    "KEPT",
    "PACKED_BYTES",
    "Aborted",
    "AtLeastOnce",
    "BrokerFigures",
    "Checkpoint",
    "ClientFigures",
    "EmbeddedBroker",
    "ExactlyOnce",
    "Follower",
    "Input",
    "Output",
    "Progress",
    "Publisher",
    "Reader",
    "Record",
    "Statistics",
    "TransactionalPublisher",
    "await_topics",
    "check_topics",
    "connect",
    "created",
    "most_lead",
    "removed",
    "topic_limit",
]
