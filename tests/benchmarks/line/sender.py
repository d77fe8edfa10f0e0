"""Sends rows at a steady rate, as a process of its own.

`python -m tests.benchmarks.line.sender BOOTSTRAP TOPIC PARTITIONS POOL RATE EVERY` reads the rows of POOL (see `rows`)
and trickles alerting ones until SIGUSR1; then it sends RATE rows a second, of which one in EVERY alerts, until SIGTERM.
A row that alerts has the moment at which it was sent as its key, ns of the machine's monotonic clock; the alert has the
row's key, so that its reader can tell how long it took.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from confluent_kafka import Producer

from tests.benchmarks.line.rows import Pool, alerts, produce
from tests.benchmarks.measured import tell

TICK_SECONDS = 0.001
"""Rows are due each millisecond; those of one tick go to one partition, in one request."""

TRICKLE = 100.0
"""Rows a second until the rate is wanted."""

CLIENT = {"linger.ms": 0.5, "queue.buffering.max.messages": 1_000_000}


def due(seconds: float, rate: float) -> int:
    """How many rows have been due after so long."""
    return int(seconds * rate)


def ticks(begun: float) -> Iterator[float]:
    """Seconds since the beginning, at each tick; one that comes too late is followed at once."""
    number = 0
    while True:
        number += 1
        late = time.perf_counter() - begun - number * TICK_SECONDS
        if late < 0:
            time.sleep(-late)
        yield time.perf_counter() - begun


class Sender:
    """Sends what is due."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, pool: Pool) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, **CLIENT})
        self._topic, self._partitions, self._pool = topic, partitions, pool
        self.rows = self.alerts = 0

    def send(self, first: int, end: int, every: int, tick: int) -> None:
        """The rows of these numbers."""
        for number in range(first, end):
            marked = alerts(number, every)
            key = str(time.monotonic_ns()).encode() if marked else None
            produce(self._producer, self._topic, self._pool.value(number, every), tick % self._partitions, key)
            self.alerts += marked
        self.rows += end - first
        self._producer.poll(0)

    def run(self, rate: float, every: int, signals: list[int], until: int) -> float:
        """Sends at a rate until a signal came; when it began, s since 1970."""
        begun, sent = time.time(), 0
        for tick, seconds in enumerate(ticks(time.perf_counter())):
            if until in signals:
                break
            self.send(sent, due(seconds, rate), every, tick)
            sent = due(seconds, rate)
        return begun

    def close(self) -> None:
        """Waits for what is on its way."""
        self._producer.flush()


def main(bootstrap: str, topic: str, partitions: str, pool: str, rate: str, every: str) -> None:
    """Trickles, sends, and tells how many rows were sent since the trickle, and how many alerts there are of all."""
    signals: list[int] = []
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signals.append(number))
    rows = msgspec.msgpack.decode(Path(pool).read_bytes(), type=Pool)
    sender = Sender(bootstrap, topic, int(partitions), rows)
    print("sending", file=sys.stderr, flush=True)
    sender.run(TRICKLE, 1, signals, signal.SIGUSR1)
    trickled = sender.rows
    begun = sender.run(float(rate), int(every), signals, signal.SIGTERM)
    ended = time.time()
    sender.close()
    tell(sender.rows - trickled, sender.alerts, begun, ended)


if __name__ == "__main__":
    main(*sys.argv[1:])
