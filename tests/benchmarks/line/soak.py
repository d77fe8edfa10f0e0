"""Part `soak`: memory over many rows, of a topic that forgets them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass

from confluent_kafka import Producer

from detector.errors import Failure
from detector.kafka import Progress
from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.figures import Cell, Goal, Part, Table, judged, slope
from tests.benchmarks.line.host import memory
from tests.benchmarks.line.programs import DETECTOR, Work, last_words
from tests.benchmarks.line.rows import FILLING, Pool, chunks, place, produce
from tests.benchmarks.line.throughput import MEMORY
from tests.broker import create_topic, delete_topic
from tests.integration.line import PARTITIONS, Running, Topics, make_outputs

FLAT = Goal(most=0.1)
"""MB more for each million rows: 5 MB over fifty millions."""

KEPT_BYTES = 512 << 20
SEGMENT_BYTES = 64 << 20
"""Of a partition. Rows that were not read are far fewer: AHEAD."""

AHEAD = 1_000_000
"""Rows that may wait to be committed before the sender waits."""

CHUNK = 10_000
ASK_SECONDS = 0.2
SETTLED_SHARE = 0.1
"""Of the rows, after which memory is to be flat: before, buffers and batch sizes are met for the first time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """seconds: since the start. rows: committed. megabytes: resident now."""

    seconds: float
    rows: int
    megabytes: float


class Watch:
    """Notes a process' memory each second, beside the rows that its group has committed."""

    def __init__(self, pid: int, rows: Callable[[], int]) -> None:
        self.samples: list[Sample] = []
        self._pid, self._rows, self._ended = pid, rows, threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(1.0):
            now = memory(self._pid, "VmRSS")
            if now is not None:
                self.samples.append(Sample(time.monotonic() - self._begun, self._rows(), now))

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join()


class Feed:
    """Sends rows, but never more than AHEAD of those that the group has committed."""

    def __init__(self, work: Work) -> None:
        self.committed = 0
        self._asked = 0.0
        self._work = work
        self._producer = Producer({"bootstrap.servers": work.topics.bootstrap, **FILLING})
        self._progress = Progress(work.topics.bootstrap, {}, work.topics.name)

    def send(self, pool: Pool, rows: int, alive: Callable[[], bool]) -> None:
        """Sends so many rows and waits until all are committed; Failure where nobody is alive to do so."""
        topics = self._work.topics
        for numbers in chunks(rows, CHUNK):
            for number in numbers:
                value = pool.value(number, self._work.every)
                produce(self._producer, topics.input, value, place(number, topics.partitions))
            self._ask()
            self._wait(numbers.stop - AHEAD, alive)
        self._producer.flush()
        self._wait(rows, alive)

    def _wait(self, rows: int, alive: Callable[[], bool]) -> None:
        while self.committed < rows:
            if not alive():
                raise Failure(f"the detector ended after {self.committed:,} rows")
            time.sleep(ASK_SECONDS)
            self._ask()

    def _ask(self) -> None:
        """Asks the group how far it is, unless it was asked just now."""
        if time.monotonic() - self._asked >= ASK_SECONDS:
            self._asked = time.monotonic()
            topics = self._work.topics
            self.committed = sum(self._progress.committed(topics.input, range(topics.partitions)).values())

    def close(self) -> None:
        """Closes the connection."""
        self._progress.close()


def soak(bench: Bench) -> Part:
    """Resident memory each second while so many rows go through."""
    say(f"soak: {bench.soak_rows:,} rows")
    pool, topics = bench.models.cards_pool(bench.packed), Topics(bench.bootstrap, f"soak{time.time_ns()}")
    bounds = {"retention_bytes": KEPT_BYTES, "segment_bytes": SEGMENT_BYTES}
    create_topic(bench.bootstrap, topics.input, PARTITIONS, **bounds)
    make_outputs(topics)
    try:
        work = Work(topics, bench.packed, bench.models.cards(), pool.line)
        samples, seconds = soaked(work, pool, bench.soak_rows)
    finally:
        delete_topic(bench.bootstrap, topics.input)
    return Part("soak", [table(samples, bench.soak_rows, seconds)], [astuple(sample) for sample in samples])


def soaked(work: Work, pool: Pool, rows: int) -> tuple[list[Sample], float]:
    """Memory over so many rows, and how long they took, s."""
    with closing(Running(DETECTOR.command(work))) as process, closing(Feed(work)) as feed:
        process.await_line("partitions_assigned")
        begun = time.monotonic()
        with closing(Watch(process.process.pid, lambda: feed.committed)) as watch:
            feed.send(pool, rows, lambda: process.process.poll() is None)
        seconds = time.monotonic() - begun
        process.process.terminate()
        if process.wait():
            raise Failure(f"detector failed: {last_words(process)}")
    return watch.samples, seconds


def table(samples: Sequence[Sample], rows: int, seconds: float) -> Table:
    """First, last and peak memory, and its slope; Failure where the soak was too short to tell."""
    settled = [sample for sample in samples if sample.rows >= SETTLED_SHARE * rows]
    if len(settled) < 2:
        raise Failure(f"{rows:,} rows in {seconds:.0f} s are too few to see memory grow")
    sizes = [sample.megabytes for sample in samples]
    growth = slope([sample.rows / 1e6 for sample in settled], [sample.megabytes for sample in settled])
    cells: list[list[Cell]] = [
        ["memory, first, MB", sizes[0], "", ""],
        ["memory, last, MB", sizes[-1], "", ""],
        ["memory, peak, MB", max(sizes), *judged(max(sizes), MEMORY)],
        ["growth, MB a million rows", growth, *judged(growth, FLAT)],
        ["rows a second, the sender beside", rows / seconds, "", ""],
    ]
    notes = [f"Growth is the least-squares slope after the first {SETTLED_SHARE:.0%} of the rows."]
    return Table(f"{rows:,} packed rows through one process", ("", "detector", "goal", "met"), cells, notes)
