"""Whole topics read by one process, from places that it keeps itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from detector import rows
from detector.errors import DataRefused
from detector.kafka.client import MISSING, Properties, behind, bounds, check_topics, connect, failure, told
from detector.kafka.consume import Checkpoint, Positions, consumer_properties
from detector.kafka.vigil import Vigil
from detector.log import logger

log = logger("detector.kafka")

FILLING_SECONDS = 0.005
"""How long more messages are waited for behind a first one."""


class Follower:
    """One topic, all of its partitions, read_committed, without a group's sharing: nobody else takes part.

    Partitions that are added while it reads are found at the next start.

    group: the name under which its offsets are committed, for tools that tell how far a reader is; they are never read
    back. watched: see Statistics.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        given: Properties,
        topic: str,
        group: str,
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        self.topic = topic
        self.positions: dict[int, int] = {}
        self._open: set[int] = set()
        self._connected = partial(connect, bootstrap_servers, given)
        self._vigil = Vigil(topic, bootstrap_servers, given, lambda admin: behind(admin, topic, self.positions))
        self._properties = {**(watched or {}), **consumer_properties(bootstrap_servers, given, group)}
        with told("consumer"):
            self._consumer = Consumer(self._properties)

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end, as far as the client knows."""
        return not self._open

    def begin(self, positions: Positions) -> None:
        """Starts at these positions, at a partition's beginning where there is none.

        What expired before it was read is told and passed over. DataRefused where a partition ends before its
        position: it is another topic than the one that was read.
        """
        admin = self._connected()
        logs = bounds(admin, self.topic, range(check_topics(admin, [self.topic])[self.topic]))
        for partition, (low, high) in logs.items():
            position = positions.get(partition, low)
            if position > high:
                why = (
                    f"topic {self.topic!r} partition {partition} ends at {high}, {position} were read: it was made anew"
                )
                raise DataRefused(f"{why}; another --feedback-group begins at its start")
            if position < low:
                log.error("records_expired", topic=self.topic, partition=partition, start=position, end=low)
            self.positions[partition] = max(position, low)
        self._open = set(self.positions)
        self._assign()

    def _assign(self) -> None:
        with told("following a topic"):
            self._consumer.assign([TopicPartition(self.topic, p, offset) for p, offset in self.positions.items()])

    def poll(self, most: int, wait: float) -> list[rows.Message]:
        """Up to `most` messages, waiting as long as told, in seconds, for the first; they count as read."""
        with told("polling"):
            first = self._consumer.poll(wait)
            if first is None:
                self._begin_anew_if_lost()
                return []
            self._vigil.heard()
            found: list[Any] = [first, *(self._consumer.consume(most - 1, FILLING_SECONDS) if most > 1 else ())]
        return [message for message in found if self._take(message)]

    def _begin_anew_if_lost(self) -> None:
        """Goes on where it stands with another consumer."""
        if self._vigil.lost(self._consumer):
            self._consumer.close()
            self._consumer = Consumer(self._properties)
            self._assign()

    def _take(self, message: Message) -> bool:
        """Moves a partition's position; False for an event, which is no message."""
        error, partition, offset = message.error(), int(message.partition() or 0), int(message.offset() or 0)
        if error is None:
            self.positions[partition] = offset + 1
            self._open.add(partition)
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self.positions[partition] = max(self.positions[partition], offset)
            self._open.discard(partition)
        elif error.code() in (KafkaError._FATAL, *MISSING):
            raise failure(error, f"topic {self.topic!r}")
        else:
            log.warning("consume_error", error=error.name(), detail=error.str())
        return False

    def ends(self) -> dict[int, int]:
        """By partition, the end that readers of committed messages can reach now."""
        return {p: high for p, (_, high) in bounds(self._connected(), self.topic, list(self.positions)).items()}

    def reached(self, ends: Positions) -> bool:
        """Whether it has been read to these ends."""
        return all(self.positions[partition] >= end for partition, end in ends.items())

    def waiting(self) -> int:
        """Messages between the positions and the end, as far as the client knows without asking."""
        found = 0
        for partition, position in self.positions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
            found += max(high - position, 0)
        return found

    def close(self) -> None:
        """Closes the connection."""
        self._consumer.close()

    @staticmethod
    def checkpoint(followers: Sequence[Follower], moved: Mapping[str, Positions]) -> Checkpoint:
        """What commits these positions, by topic, of followers that share a group's name."""
        consumer = followers[0]._consumer
        places = [TopicPartition(topic, p, offset) for topic, part in moved.items() for p, offset in part.items()]
        return Checkpoint({}, places, consumer.consumer_group_metadata(), _refuse)


def _refuse(places: list[TopicPartition]) -> None:
    raise NotImplementedError("positions of a follower are committed in a transaction alone")
