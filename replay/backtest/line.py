"""What a backtest starts: a broker or topics of its own on one, and a detector for each model."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from detector.children import Child, Children
from detector.kafka import KEPT, EmbeddedBroker, await_topics, connect, created, removed
from replay.backtest.subjects import Subject

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Outputs:
    """The topics of one detector, and its group."""

    prefix: str

    @property
    def alerts(self) -> str:
        return f"{self.prefix}.alerts"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}.dead-letters"

    @property
    def scores(self) -> str:
        return f"{self.prefix}.scores"

    @property
    def drift(self) -> str:
        return f"{self.prefix}.drift"

    @property
    def group(self) -> str:
        return f"{self.prefix}.detector"

    @property
    def topics(self) -> list[str]:
        return [self.alerts, self.dead_letters, self.scores, self.drift]


@dataclass(frozen=True, slots=True)
class Line:
    """A broker, and the names of a backtest on it. about: what it is, for people. bounded: whether it keeps so little
    that rows must not be sent before others are read."""

    bootstrap_servers: str
    about: str
    prefix: str
    models: int
    bounded: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> str:
        return f"{self.prefix}.rows"

    @property
    def labels(self) -> str:
        return f"{self.prefix}.labels"

    @property
    def outputs(self) -> list[Outputs]:
        return [Outputs(f"{self.prefix}.{number + 1}") for number in range(self.models)]

    @property
    def topics(self) -> list[str]:
        return [self.rows, self.labels, *(topic for one in self.outputs for topic in one.topics)]


def name() -> str:
    """One that no other backtest has."""
    return f"backtest-{uuid.uuid4().hex[:8]}"


@contextmanager
def embedded(models: int) -> Iterator[Line]:
    """librdkafka's mock cluster in this process."""
    prefix = name()
    broker = EmbeddedBroker(Line("", "", prefix, models).topics)
    try:
        yield Line(
            broker.bootstrap_servers, "embedded in this process (librdkafka's mock cluster)", prefix, models, True
        )
    finally:
        broker.close()


@contextmanager
def real(
    bootstrap_servers: str, properties: Mapping[str, str], models: int, seconds: float, keep: bool
) -> Iterator[Line]:
    """Topics that nothing expires from, removed at the end with the groups unless they are to be kept.

    seconds: how long the broker may take to answer at first.
    """
    line = Line(bootstrap_servers, f"Apache Kafka at {bootstrap_servers}", name(), models, False, properties)
    admin = connect(bootstrap_servers, properties, seconds)
    try:
        created(admin, line.topics, PARTITIONS, dict.fromkeys(line.topics, KEPT))
        await_topics(admin, line.topics)
        yield line
    finally:
        left = [] if keep else removed(admin, line.topics, [one.group for one in line.outputs])
        if left:
            print(f"backtest: the broker did not remove {', '.join(left)}", flush=True)


def detectors(children: Children, line: Line, subjects: Sequence[Subject]) -> list[Child]:
    """Starts one for each model, in a group of its own on the same rows."""
    names = ["detector"] if len(subjects) == 1 else [f"detector-{number + 1}" for number in range(len(subjects))]
    return [
        children.start(name, "detector", "run", *_told(line, out, subject), endless=True)
        for name, out, subject in zip(names, line.outputs, subjects, strict=True)
    ]


def _told(line: Line, out: Outputs, subject: Subject) -> list[str]:
    order = {
        "--model": str(subject.artifact.path),
        "--bootstrap-servers": line.bootstrap_servers,
        "--input-topic": line.rows,
        "--alerts-topic": out.alerts,
        "--dead-letters-topic": out.dead_letters,
        "--scores-topic": out.scores,
        "--scores-amount": subject.amount,
        "--drift-topic": out.drift,
        "--models-topic": "none",
        "--group": out.group,
        "--delivery": "at_least_once" if line.bounded else "exactly_once",
        "--reload-seconds": "0",
        "--metrics-port": "0",
    }
    return [text for pair in order.items() for text in pair if pair[1]]
