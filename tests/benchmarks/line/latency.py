"""Part `latency`: from the sending of a row to its alert in a read_committed reader, at steady rates.

The reader is this process, which does nothing else meanwhile; the sender and what is measured have theirs.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from detector.errors import Failure
from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.figures import COMPARED, Cell, Goal, Part, Table, compared, percentile
from tests.benchmarks.line.host import memory
from tests.benchmarks.line.programs import BARE, DETECTOR, Program, Work, last_words, leave, told
from tests.benchmarks.line.rows import Form
from tests.benchmarks.line.throughput import MEMORY
from tests.benchmarks.measured import Measured
from tests.integration.line import Running, Topics

RATES = (10_000, 100_000)
GOALS = {(10_000, "p50"): Goal(most=6), (10_000, "p99"): Goal(most=12), (100_000, "p99"): Goal(most=40)}
ALERTS_A_SECOND = 200
"""At every rate: 0.2 % of 100,000 rows a second, 2 % of 10,000, so that a percentile has samples enough."""

WARM_SECONDS = 3.0
"""At the full rate: the alerts of rows that were sent before are left out."""

FIRST_SECONDS = 60.0
DRAIN_SECONDS = 30.0

Sample = tuple[int, float]
"""When a row was sent, ns of the machine's monotonic clock, and how long its alert took, ms."""


@dataclass(frozen=True, slots=True)
class Latency:
    """What came of a run. p50, p99, longest: ms. rate: rows a second that were really sent. megabytes: at the peak."""

    p50: float
    p99: float
    longest: float
    samples: int
    rate: float
    megabytes: float


class Reader:
    """Reads the alerts that are committed, and notes how long each took."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        about = {"bootstrap.servers": bootstrap, "group.id": "latency", "enable.auto.commit": False}
        self._consumer = Consumer({**about, "isolation.level": "read_committed", "log_level": 0})
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        self.samples: list[Sample] = []

    def take_until(self, met: Callable[[], bool], seconds: float) -> bool:
        """Reads until a condition holds; whether it did before the time was over."""
        deadline = time.monotonic() + seconds
        while not met():
            if time.monotonic() > deadline:
                return False
            self._take(0.05)
        return True

    def take_for(self, seconds: float) -> None:
        """Reads for so long."""
        self.take_until(lambda: False, seconds)

    def _take(self, seconds: float) -> None:
        message = self._consumer.poll(seconds)
        if message is not None and message.error() is None:
            now = time.monotonic_ns()
            sent = int(message.key() or b"0")
            self.samples.append((sent, (now - sent) / 1e6))

    def close(self) -> None:
        """Closes the connection."""
        self._consumer.close()


def latency(bench: Bench) -> Part:
    """Percentiles of the bare loop and the detector by turns, at each rate."""
    rows: list[list[Cell]] = []
    raw: dict[str, dict[str, list[object]]] = {}
    peaks: list[float] = []
    notes = [f"{ALERTS_A_SECOND} alerts a second for {bench.seconds:g} s, after {WARM_SECONDS:g} s that are left out."]
    for form in bench.forms:
        for rate in RATES:
            found: dict[str, list[Latency]] = {BARE.name: [], DETECTOR.name: []}
            for _ in range(bench.repeats):
                for program in (BARE, DETECTOR):
                    found[program.name].append(measure(bench, program, form, rate))
            rows += _compared(f"{form.name}, {rate:,} rows/s", found, rate)
            slowest = min(one.rate for ones in found.values() for one in ones)
            notes.append(f"{form.name}, {rate:,} rows/s: sent at {slowest:,.0f} in the slowest run.")
            peaks += [one.megabytes for one in found[DETECTOR.name]]
            raw[f"{form.name}, {rate}"] = {name: [asdict(one) for one in ones] for name, ones in found.items()}
    rows.append(compared("peak memory, MB", [max(peaks)], [], MEMORY))
    title = "From row to read_committed alert, ms: exactly once, one process"
    return Part("latency", [Table(title, COMPARED, rows, notes)], raw)


def _compared(what: str, found: dict[str, list[Latency]], rate: int) -> list[list[Cell]]:
    """The median of the runs' percentiles, and of their longest."""
    figures = {name: [asdict(one) for one in ones] for name, ones in found.items()}
    return [
        compared(
            f"{what}, {name}",
            [one[name] for one in figures[DETECTOR.name]],
            [one[name] for one in figures[BARE.name]],
            GOALS.get((rate, name)),
        )
        for name in ("p50", "p99", "longest")
    ]


def measure(bench: Bench, program: Program, form: Form, rate: float) -> Latency:
    """One run on topics of its own; Failure where the program does not hold the rate.

    The sender trickles until the first alert comes, then sends at its rate, and every alert is waited for.
    """
    say(f"latency: {program.name}, {form.name}, {rate:,.0f} rows/s")
    every = max(round(rate / ALERTS_A_SECOND), 1)
    model, pool = bench.models.cards(), bench.models.cards_pool(form)
    file = bench.models.folder / f"{form.name}.pool"
    file.write_bytes(msgspec.msgpack.encode(pool))
    with bench.empty() as topics, ExitStack() as open_:
        reader = open_.enter_context(closing(Reader(topics.bootstrap, topics.alerts)))
        work = Work(topics, form, model, pool.line, every)
        process = open_.enter_context(closing(Running(program.command(work))))
        sender = open_.enter_context(closing(Running(sending(topics, file, rate, every))))
        since, until, sent = _sent(bench, program, reader, process, sender)
        reader.take_until(lambda: len(reader.samples) >= sent.alerts, DRAIN_SECONDS)
        peak = memory(process.process.pid) or 0.0
        leave(process)
        if missing := max(sent.alerts - len(reader.samples), 0):
            told_ = f"{missing:,} of {sent.alerts:,} alerts had not come {DRAIN_SECONDS:g} s after the last row"
            raise Failure(f"{program.name} does not hold {rate:,.0f} rows/s: {told_}")
        return summary(reader.samples, since, until, sent, peak)


def _sent(
    bench: Bench, program: Program, reader: Reader, process: Running, sender: Running
) -> tuple[int, int, Measured]:
    """Has the rows sent: the moments between which it is measured, and what was sent."""
    if not reader.take_until(lambda: bool(reader.samples), FIRST_SECONDS):
        raise Failure(f"{program.name}: no alert within {FIRST_SECONDS:g} s: {last_words(process)}")
    sender.process.send_signal(signal.SIGUSR1)
    reader.take_for(WARM_SECONDS)
    since = time.monotonic_ns()
    reader.take_for(bench.seconds)
    until = time.monotonic_ns()
    sender.process.terminate()
    reader.take_until(lambda: sender.process.poll() is not None, DRAIN_SECONDS)
    return since, until, told(sender)


def sending(topics: Topics, pool: Path, rate: float, every: int) -> list[str]:
    """The command line of a sender."""
    order = [topics.bootstrap, topics.input, str(topics.partitions), str(pool), str(rate), str(every)]
    return [sys.executable, "-m", "tests.benchmarks.line.sender", *order]


def summary(samples: Sequence[Sample], since: int, until: int, sent: Measured, megabytes: float) -> Latency:
    """The figures of the alerts whose rows were sent between two moments; Failure where there are none."""
    found = [took for when, took in samples if since <= when < until]
    if not found:
        raise Failure(f"none of {len(samples)} alerts is of a row that was sent while it was measured")
    rate = sent.rows / sent.seconds
    return Latency(percentile(found, 50), percentile(found, 99), max(found), len(found), rate, megabytes)
