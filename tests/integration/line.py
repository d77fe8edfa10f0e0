"""What the integration tests share: topics, real processes, and a reader from outside that trusts nothing of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests.broker import create_topic

PARTITIONS = 4
LIMIT_SECONDS = 90.0
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Topics:
    """One test's own topics and group."""

    bootstrap: str
    name: str
    partitions: int = PARTITIONS
    input: str = field(init=False)
    alerts: str = field(init=False)
    dead: str = field(init=False)
    models: str = field(init=False)
    drift: str = field(init=False)

    def __post_init__(self) -> None:
        for each in ("input", "alerts", "dead", "models", "drift"):
            object.__setattr__(self, each, f"{self.name}.{each}")

    def with_outputs(self, name: str) -> Topics:
        """The same input with outputs and group of another name."""
        other = Topics(self.bootstrap, name, self.partitions)
        object.__setattr__(other, "input", self.input)
        make_outputs(other)
        return other


def make_topics(bootstrap: str, partitions: int = PARTITIONS) -> Topics:
    """Fresh topics that take messages up to 10 MB."""
    topics = Topics(bootstrap, f"t{uuid.uuid4().hex[:10]}", partitions)
    create_topic(bootstrap, topics.input, partitions, max_message_bytes=10 * MEGABYTE)
    make_outputs(topics)
    return topics


def make_outputs(topics: Topics) -> None:
    """The topics that a detector writes."""
    create_topic(topics.bootstrap, topics.alerts, 1)
    create_topic(topics.bootstrap, topics.dead, 1, max_message_bytes=10 * MEGABYTE)
    create_topic(topics.bootstrap, topics.models, 1)
    create_topic(topics.bootstrap, topics.drift, 1)


def detector_command(topics: Topics, model: Path, *options: str) -> list[str]:
    """The command line of a detector on a test's topics."""
    return [
        *(sys.executable, "-m", "detector", "run", "--model", str(model), "--bootstrap-servers", topics.bootstrap),
        *("--input-topic", topics.input, "--alerts-topic", topics.alerts, "--dead-letters-topic", topics.dead),
        *("--models-topic", topics.models, "--drift-topic", topics.drift),
        *("--group", topics.name, "--metrics-port", "0", *options),
    ]


class Running:
    """A detector process whose log lines can be waited for."""

    def __init__(self, command: Sequence[str]) -> None:
        self.lines: list[str] = []
        self._heard = threading.Condition()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._heard:
                self.lines.append(line)
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def await_line(self, text: str, seconds: float = LIMIT_SECONDS) -> str:
        """The first log line with this text."""

        def found() -> str | None:
            return next((line for line in self.lines if text in line), None)

        with self._heard:
            self._heard.wait_for(lambda: found() or not self._listener.is_alive(), seconds)
            line = found()
        assert line, f"no {text!r} within {seconds:g} s; the log: {self.log()}"
        return line

    def address(self) -> str:
        """Where it serves its metrics."""
        return self.await_line("metrics=").split("metrics=")[1].strip()

    def scrape(self, path: str = "/metrics") -> str:
        """What an address of it answers."""
        with urllib.request.urlopen(self.address() + path, timeout=10) as answer:
            return str(answer.read().decode())

    def wait(self, seconds: float = LIMIT_SECONDS) -> int:
        """Its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"did not end within {seconds:g} s; the log: {self.log()}") from error
        self._listener.join(10)
        return code

    def log(self) -> str:
        """All that it said."""
        return "".join(self.lines)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Sends a signal; its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def close(self) -> None:
        """Ends it whatever it does, and its pipe."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._listener.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def running(topics: Topics, model: Path, *options: str) -> Iterator[Running]:
    """A detector that is gone when the block ends."""
    detector = Running(detector_command(topics, model, *options))
    try:
        yield detector
    finally:
        detector.close()


def until_end(topics: Topics, model: Path, *options: str) -> str:
    """Runs a detector over what the topic holds; its log."""
    with running(topics, model, "--until-end", *options) as detector:
        assert detector.wait() == 0, detector.log()
        return detector.log()


def await_true(condition: Callable[[], bool], what: str, seconds: float = LIMIT_SECONDS) -> None:
    """Asks again every 50 ms until it holds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        pause.wait(0.05)


Sent = tuple[bytes | None, int | None, list[tuple[str, bytes]]]
"""A value, a partition and headers."""


def send(bootstrap: str, topic: str, messages: Sequence[Sent]) -> None:
    """Publishes messages in order; all of them arrive, or the test fails."""
    failed: list[Any] = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "message.max.bytes": 20 * MEGABYTE})
    for value, partition, headers in messages:
        place: dict[str, Any] = {} if partition is None else {"partition": partition}
        while True:
            try:
                producer.produce(
                    topic,
                    value,
                    headers=headers,  # type: ignore[arg-type]
                    on_delivery=lambda error, _: failed.append(error) if error else None,
                    **place,
                )
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(LIMIT_SECONDS) == 0
    assert not failed


def read_committed(bootstrap: str, topic: str) -> list[Any]:
    """Every message of a topic that a read_committed consumer sees, up to the end of all partitions."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"outside-{uuid.uuid4().hex}",
            "log_level": 0,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        found: list[Any] = []
        open_ = set(partitions)
        while open_:
            messages: list[Any] = consumer.consume(10_000, 0.2)
            for message in messages:
                if message.error() is None:
                    found.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_.discard(message.partition())
                else:
                    raise AssertionError(message.error().str())
        return found
    finally:
        consumer.close()


def alerts_of(topics: Topics) -> list[dict[str, Any]]:
    """The alerts that a read_committed consumer sees."""
    return [json.loads(message.value()) for message in read_committed(topics.bootstrap, topics.alerts)]


def comparable(alerts: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Alerts by id, as text without what may differ between runs; an id that comes twice fails."""
    found = {alert["id"]: json.dumps({**alert, "detected_at": None}) for alert in alerts}
    assert len(found) == len(alerts), f"{len(alerts) - len(found)} alerts came twice"
    return found


MOVING = {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
"""A broker that has just begun to answer says so for a moment."""


def committed_of(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    """What a group has committed, asked until its coordinator is there."""
    found: list[TopicPartition] = []

    def answered() -> bool:
        try:
            found[:] = consumer.committed(places, timeout=30)
        except KafkaException as error:
            if error.args[0].code() in MOVING:
                return False
            raise
        return True

    await_true(answered, "the group's coordinator")
    return found


def positions(topics: Topics) -> tuple[dict[int, int], dict[int, int]]:
    """By partition of the input: what the group has committed, and the end of the log."""
    consumer = Consumer({"bootstrap.servers": topics.bootstrap, "group.id": topics.name, "log_level": 0})
    try:
        places = [TopicPartition(topics.input, partition) for partition in range(topics.partitions)]
        committed = {place.partition: max(place.offset, 0) for place in committed_of(consumer, places)}
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=30)[1] for place in places}
        return committed, ends
    finally:
        consumer.close()
