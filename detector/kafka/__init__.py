"""The one door to Kafka: nothing outside this package imports its client."""

from detector.kafka.client import BROKERS_DEFAULT, COMPACTED, check_topics, connect, created, removed, topic_limit
from detector.kafka.consume import Checkpoint, Input, Progress, Reader
from detector.kafka.embedded import EmbeddedBroker
from detector.kafka.follow import Follower
from detector.kafka.produce import Aborted, AtLeastOnce, ExactlyOnce, Output, Record
from detector.kafka.publish import Publisher, TransactionalPublisher

__all__ = [
    "BROKERS_DEFAULT",
    "COMPACTED",
    "Aborted",
    "AtLeastOnce",
    "Checkpoint",
    "EmbeddedBroker",
    "ExactlyOnce",
    "Follower",
    "Input",
    "Output",
    "Progress",
    "Publisher",
    "Reader",
    "Record",
    "TransactionalPublisher",
    "check_topics",
    "connect",
    "created",
    "removed",
    "topic_limit",
]
