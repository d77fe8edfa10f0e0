"""What the stories of faults share: rows, detectors that something happens to, and the count of what came of it."""

from __future__ import annotations

import json
import re
import signal
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from tests.broker import Broker, wait_until_ready
from tests.integration.conftest import Cards
from tests.integration.line import (
    Running,
    Sent,
    Topics,
    alerts_of,
    await_true,
    detector_command,
    make_topics,
    positions,
    read_committed,
    send,
    until_end,
)
from tests.integration.stopping import GO_ON
from tests.integration.tally import Fault, FaultTable
from tests.integration.test_detector import messages

BAD_EVERY = 97
"""One message in so many is no row."""

RUNNING_LINE = ("--threshold", "running-mad:8", "--window", "512", "--stride", "128", "--min-rows", "64")
"""The verdicts hang on a state that whoever takes a partition over must have made from the log."""

SMALL_STEPS = ("--max-batch", "16", "--max-transaction", "16")
"""Transactions so small that a fault meets some hundreds of them."""

PATIENT = ("--kafka", "transaction.timeout.ms=120000")
"""A broker that takes long to start finds no transaction too old."""

PASSING = {"broker_unavailable", "client_lost", "transaction_retried", "batch_failed", "consume_error"}
"""What a detector tells, and then goes on."""

QUICKLY_MISSED = ("--kafka", "session.timeout.ms=1500")
"""A member that dies is missed soon."""

LOGGED = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ (?P<level>[A-Z]+) \S+ (?P<event>\S+)")
"""A line of the log: anything else was said to a person."""


@dataclass(frozen=True)
class Outputs:
    """What a read_committed consumer sees. texts: by kind and place, all of a record but for `detected_at`.

    doubled: how many records came twice.
    """

    texts: dict[str, str]
    doubled: int = 0

    @classmethod
    def of(cls, topics: Topics) -> Outputs:
        """All alerts and dead letters."""
        found = [(f"alert {one['id']}", json.dumps({**one, "detected_at": None})) for one in alerts_of(topics)]
        found += [dead_letter(message) for message in read_committed(topics.bootstrap, topics.dead)]
        texts = dict(found)
        return cls(texts, len(found) - len(texts))

    def on(self, kind: str) -> Outputs:
        """Those of one kind: alert or dead."""
        return Outputs({name: text for name, text in self.texts.items() if name.startswith(kind)})


def dead_letter(message: Any) -> tuple[str, str]:
    """A dead letter's place, and all of it as text."""
    headers = {name: value.decode() for name, value in message.headers()}
    place = "/".join(headers[f"errors.{name}"] for name in ("topic", "partition", "offset"))
    return f"dead {place}", repr((message.key(), message.value(), headers))


@dataclass(frozen=True)
class Course:
    """Rows on a topic, a model, and what a calm run says of them."""

    rows: Topics
    model: Path
    table: FaultTable
    calm: Outputs

    @classmethod
    def of(cls, bootstrap: str, cards: Cards, rows: int, table: FaultTable) -> Course:
        """Sends so many messages, some of which are no rows, and lets a detector read them undisturbed."""
        topics = make_topics(bootstrap)
        send(bootstrap, topics.input, spoiled(messages(cards, rows, "json", topics.partitions)))
        until_end(topics, cards.model, *RUNNING_LINE)
        calm = Outputs.of(topics)
        assert calm.doubled == 0
        assert calm.on("alert").texts
        assert len(calm.on("dead").texts) == -(-rows // BAD_EVERY)
        return cls(topics, cards.model, table, calm)

    def trial(self, *options: str) -> Trial:
        """The same rows for a new group that writes to topics of its own. options: of all its detectors."""
        return Trial(self, self.rows.with_outputs(f"t{uuid.uuid4().hex[:10]}"), (*RUNNING_LINE, *options))


def spoiled(sent: Sequence[Sent]) -> list[Sent]:
    """Messages of which every so-many-th is no row any more."""
    return [
        (b"no row", place, headers) if number % BAD_EVERY == 0 else (value, place, headers)
        for number, (value, place, headers) in enumerate(sent)
    ]


@dataclass(frozen=True)
class Trial:
    """One group of detectors that something happens to."""

    course: Course
    topics: Topics
    options: tuple[str, ...]

    def running(self, *options: str, program: str = "detector") -> AbstractContextManager[Running]:
        """A detector that is gone when the block ends. program: a module with its command line, and what it is told."""
        command = detector_command(self.topics, self.course.model, *self.options, *options)
        at = command.index("detector")
        return closing(Running([*command[:at], *program.split(), *command[at + 1 :]]))

    def standing(self, step: str, turn: int, *options: str) -> AbstractContextManager[Running]:
        """A detector that stands at a step of its turn-th transaction."""
        return self.running(*options, program=f"tests.integration.stopping {step} {turn}")

    def finish(self, *options: str) -> str:
        """Lets a detector read on to the end; its log."""
        with self.running("--until-end", *options) as detector:
            assert detector.wait() == 0, detector.log()
            return detector.log()

    def committed(self) -> int:
        """Messages that the group is done with; the broker does not say while a transaction is open."""
        return sum(positions(self.topics)[0].values())

    def await_committed(self, least: int) -> None:
        """Waits until the group is done with so many messages."""
        await_true(lambda: self.committed() >= least, f"{least} messages")

    def at_end(self) -> bool:
        """Whether the group is done with all; a broker that was away may not know yet."""
        try:
            committed, ends = positions(self.topics)
        except KafkaException:
            return False
        return committed == ends

    def await_end(self, detector: Running, *codes: int) -> None:
        """Waits until the group is done with all, or the detector has ended with one of these codes."""

        def done() -> bool:
            code = detector.process.poll()
            assert code is None or code in codes, detector.log()
            return code is not None or self.at_end()

        await_true(done, f"the end; the log: {detector.log()}")

    def assert_whole(self, fault: str, times: int = 1, before: Outputs | None = None) -> None:
        """Each message is accounted for once, as in a calm run; what came of the fault goes into the table.

        before: what was on topics that are gone.
        """
        found, calm, earlier = Outputs.of(self.topics), self.course.calm, before or Outputs({})
        texts = earlier.texts | found.texts
        doubled = found.doubled + len(earlier.texts.keys() & found.texts.keys())
        self.course.table.add(Fault(fault, times, len(calm.texts.keys() - texts.keys()), doubled))
        assert doubled == 0
        assert texts == calm.texts, differences(texts, calm.texts)
        committed, ends = positions(self.topics)
        assert committed == ends


def differences(found: Mapping[Any, str], wanted: Mapping[Any, str], most: int = 5) -> str:
    """Which of what was wanted is missing, altered, or more than it, and the first of each."""
    missing = sorted(wanted.keys() - found.keys())
    more = sorted(found.keys() - wanted.keys())
    altered = [(wanted[at], found[at]) for at in sorted(wanted.keys() & found.keys()) if wanted[at] != found[at]]
    counts = f"{len(missing)} missing, {len(more)} more, {len(altered)} altered of {len(wanted)}"
    return f"{counts}: {missing[:most]}, {more[:most]}, {altered[:most]}"


@contextmanager
def down(broker: Broker, how: str = "kill") -> Iterator[None]:
    """A broker is killed, or halted, and started again when the block ends."""
    getattr(broker, how)()
    try:
        yield
    finally:
        broker.revive()
        wait_until_ready(broker)


def pass_by(seconds: float) -> None:
    """Lets time pass where it is time itself that does the harm."""
    threading.Event().wait(seconds)


def go_on(detector: Running) -> None:
    """Lets a detector that stands go on."""
    detector.process.send_signal(GO_ON)


def troubles(detector: Running) -> list[str]:
    """What a detector told that is not as it should be: names of events, and in full what no log line is."""
    lines = [(line.rstrip(), LOGGED.match(line)) for line in list(detector.lines)]
    return [logged["event"] if logged else line for line, logged in lines if not logged or logged["level"] != "INFO"]


def end(detector: Running, number: int = signal.SIGTERM) -> int:
    """Asks a detector to end; its exit code."""
    return detector.kill(number)
