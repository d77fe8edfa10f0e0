"""The bare client's loop, the yardstick: consume, forward some rows, one transaction a batch; nothing else.

`python -m tests.benchmarks.bare BOOTSTRAP INPUT OUTPUT [--rows N] [--every K] [--at-once]`, with the detector's own
client settings. It waits 50 ms for a batch of 4,096 to fill and forwards one row in K; with --at-once it takes what is
there after the first message, as the detector does when it is not behind, and forwards the rows that have a key.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from detector.kafka.consume import CONSUMER, FIXED
from detector.kafka.produce import PRODUCER
from tests.benchmarks.measured import tell

BATCH = 4096
FILLING_SECONDS = 0.05
WAIT_SECONDS = 0.5

ASSIGNED = "assigned"
"""Said on stderr when the loop has its partitions."""

Forwarded = Callable[[Sequence[Any], int], Sequence[Any]]
"""The messages of a batch that are forwarded, and how many were read before it."""


class Loop:
    """The loop and where its time went. begun: when its first messages were there, s since 1970: a yardstick's start
    costs nothing."""

    def __init__(self, bootstrap: str, source: str, target: str) -> None:
        name = uuid.uuid4().hex
        base = {"bootstrap.servers": bootstrap, "log_level": 0}
        self.source, self.target = source, target
        self.consumer = Consumer({**CONSUMER, **base, **FIXED, "group.id": name})
        self.producer = Producer({**PRODUCER, **base, "transactional.id": name})
        self.producer.init_transactions(30)
        self.stages = {"poll": 0.0, "produce": 0.0, "commit": 0.0}
        self.begun = self.ended = 0.0
        self.seen = self.forwarded = 0
        self.consumer.subscribe([source], on_assign=self._assigned)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        print(ASSIGNED, file=sys.stderr, flush=True)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.begun:  # what comes before is the wait for the first batch
            self.stages[name] += time.perf_counter() - start

    def turn(self, at_once: bool, forwarded: Forwarded) -> None:
        """One batch in one transaction."""
        with self._stage("poll"):
            messages = self._at_once() if at_once else self._filled()
        if not messages:
            return
        self.begun = self.begun or time.time()
        with self._stage("produce"):
            self.producer.begin_transaction()
            chosen = forwarded(messages, self.seen)
            for message in chosen:
                self.producer.produce(self.target, message.value(), message.key())
            ends = {message.partition(): message.offset() + 1 for message in messages}
        with self._stage("commit"):
            places = [TopicPartition(self.source, partition, offset) for partition, offset in ends.items()]
            self.producer.send_offsets_to_transaction(places, self.consumer.consumer_group_metadata())
            self.producer.commit_transaction()
        self.seen += len(messages)
        self.forwarded += len(chosen)
        self.ended = time.time()

    def _filled(self) -> list[Any]:
        return _rows(self.consumer.consume(BATCH, FILLING_SECONDS))

    def _at_once(self) -> list[Any]:
        first = self.consumer.poll(WAIT_SECONDS)
        return [] if first is None else _rows([first, *self.consumer.consume(BATCH - 1, 0)])


def _rows(found: list[Any]) -> list[Any]:
    return [message for message in found if message.error() is None]


def one_in(every: int) -> Forwarded:
    """Every so manieth row of all that are read, whatever the batches."""
    return lambda messages, before: messages[(-1 - before) % every :: every]


def keyed(messages: Sequence[Any], before: int) -> Sequence[Any]:
    """The rows that have a key."""
    return [message for message in messages if message.key()]


def main() -> None:
    """Runs for so many rows, or until SIGTERM, and tells what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bootstrap", "input", "output"):
        parser.add_argument(name)
    parser.add_argument("--rows", type=int, default=0, help="0: until SIGTERM")
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--at-once", action="store_true")
    chosen = parser.parse_args()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    loop = Loop(chosen.bootstrap, chosen.input, chosen.output)
    while not stopping and not 0 < chosen.rows <= loop.seen:
        loop.turn(chosen.at_once, keyed if chosen.at_once else one_in(chosen.every))
    tell(loop.seen, loop.forwarded, loop.begun, loop.ended, loop.stages)
    loop.consumer.close()


if __name__ == "__main__":
    main()
