"""The replay's command line against Apache Kafka: what a reader of the topics finds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from detector import artifact
from detector.alerts import iso
from detector.calibration import Calibration
from detector.drift import Reference
from detector.kafka import Reader
from detector.rows import Message
from detector.schema import Schema
from tests.broker import Broker, create_topic
from tests.integration.line import PARTITIONS

START = 1_700_000_000
"""Event time of the earliest row, seconds since 1970."""


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Cards in no order of time, many at the same second."""
    random, count = np.random.default_rng(5), 3000
    return pd.DataFrame(
        {
            "Time": START + random.integers(0, 600, count),
            "card": random.integers(0, 40, count),
            "V1": random.normal(size=count),
            "V2": np.exp(random.normal(scale=200, size=count)),
            "shop": random.choice(["a", "b", "ü"], count),
            "Class": (random.random(count) < 0.05).astype(int),
        }
    )


@pytest.fixture(scope="module")
def data(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "cards.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def labels(broker: Broker) -> str:
    name = f"labels-{uuid.uuid4().hex[:8]}"
    create_topic(broker.bootstrap, name, 2)
    return name


def command(broker: Broker, data: Path, topic: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "replay", str(data), "--bootstrap-servers", broker.bootstrap, "--topic", topic, *more]


def replay(broker: Broker, data: Path, topic: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(broker, data, topic, *more), capture_output=True, text=True, timeout=60)


def found(broker: Broker, topic: str, count: int) -> list[Message]:
    """All messages of a topic: `count`, and none after them."""
    reader = Reader(broker.bootstrap, {})
    reader.follow([topic])
    messages: list[Message] = []
    deadline = time.monotonic() + 30
    while len(messages) < count and time.monotonic() < deadline:
        messages += reader.take(10_000, 0.3)
    messages += reader.take(1, 0.3)
    reader.close()
    assert len(messages) == count
    return messages


def row_of(message: Message) -> int:
    return int(dict(message.headers())["row-id"])


def by_row(messages: Sequence[Message]) -> dict[int, Message]:
    return {row_of(message): message for message in messages}


def partitions(messages: Sequence[Message]) -> list[list[Message]]:
    """By partition, messages in the order of their offsets."""
    parts = [[m for m in messages if m.partition() == partition] for partition in range(PARTITIONS)]
    return [sorted(part, key=lambda message: message.offset()) for part in parts]


def event_order(table: pd.DataFrame) -> list[int]:
    return sorted(range(len(table)), key=lambda row: (table["Time"][row], row))


def wait(met: Callable[[], bool], seconds: float = 30) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not met():
        assert time.monotonic() < deadline, "not met in time"
        pause.wait(0.01)


def test_rows_in_event_order(broker: Broker, table: pd.DataFrame, data: Path, topic: str) -> None:
    """Every row arrives exactly once; in each partition rows are in event-time order, ties in the file's order."""
    done = replay(broker, data, topic, "--key", "card", "--labels-topic", "none")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"replay: sent 3000 rows, failed 0, labels 0, \d+ rows/s, \d+\.\d s\n", done.stdout)
    messages = found(broker, topic, len(table))
    assert set(by_row(messages)) == set(range(len(table)))
    place = {row: number for number, row in enumerate(event_order(table))}
    assert all(partitions(messages))
    for part in partitions(messages):
        places = [place[row_of(message)] for message in part]
        assert places == sorted(places)


def test_json_rows(broker: Broker, table: pd.DataFrame, data: Path, topic: str) -> None:
    """A JSON row has its headers, its key, the file's time, text as text, and numbers bit for bit; never the label."""
    assert (
        replay(broker, data, topic, "--key", "card", "--timestamps", "original", "--labels-topic", "none").returncode
        == 0
    )
    messages = by_row(found(broker, topic, len(table)))
    rows = [json.loads(messages[row].value()) for row in range(len(table))]
    assert [list(row) for row in rows] == [["Time", "card", "V1", "V2", "shop"]] * len(table)
    for name in ("V1", "V2"):
        assert np.array([row[name] for row in rows]).tobytes() == table[name].to_numpy().tobytes()
    for name in ("Time", "card", "shop"):
        assert [row[name] for row in rows] == table[name].tolist()
    for row, message in messages.items():
        assert message.headers() == [("format", b"json"), ("row-id", str(row).encode())]
        assert message.key() == str(table["card"][row]).encode()
        assert message.timestamp()[1] == 1000 * table["Time"][row]


def test_packed_rows(broker: Broker, table: pd.DataFrame, data: Path, topic: str) -> None:
    """A packed row is the little-endian float32 of its features in the order asked for, without a key on request."""
    asked = ("--format", "packed", "--features", "V2,V1", "--key", "none", "--labels-topic", "none")
    assert replay(broker, data, topic, *asked).returncode == 0
    messages = by_row(found(broker, topic, len(table)))
    with np.errstate(over="ignore"):
        wanted = table[["V2", "V1"]].to_numpy().astype("<f4")
    for row, message in messages.items():
        assert message.value() == wanted[row].tobytes()
        assert message.headers() == [("format", b"packed"), ("row-id", str(row).encode())]
        assert message.key() is None


def test_a_model_gives_the_order(broker: Broker, table: pd.DataFrame, data: Path, topic: str, tmp_path: Path) -> None:
    """With --model packed rows are in the model's order under the model's key; a flag wins over it."""
    schema = Schema(("V2", "card", "V1"), key="shop", time="Time", label="Class")
    known = Calibration.of([0.0])
    manifest = {
        "name": "a",
        "version": "1",
        "schema": schema.to_dict(),
        "threshold": {"value": 1.0, "method": "fixed"},
        "summary": {"rows": 1, "median": 0.0, "mad": 0.0, "mean_ad": 0.0},
        "calibration": known.to_dict(),
    }
    columns = [np.zeros(1, np.float32)] * (len(schema.features) + 1)
    arrays = artifact.pack_arrays({**known.to_arrays(), **Reference.of(columns).to_arrays()})
    artifact.write(tmp_path / "model", manifest, dict.fromkeys(artifact.FILES, b"") | {artifact.REFERENCE: arrays})
    more = ["--model", str(tmp_path / "model"), "--format", "packed", "--key", "card", "--labels-topic", "none"]
    assert replay(broker, data, topic, *more).returncode == 0
    with np.errstate(over="ignore"):
        wanted = table[["V2", "card", "V1"]].to_numpy().astype("<f4")
    for row, message in by_row(found(broker, topic, len(table))).items():
        assert message.value() == wanted[row].tobytes()
        assert message.key() == str(table["card"][row]).encode()


def test_labels(broker: Broker, table: pd.DataFrame, data: Path, topic: str, labels: str) -> None:
    """Each row's label is under its number in the labels topic, compared with the normal value, at the row's time."""
    done = replay(broker, data, topic, "--labels-topic", labels, "--normal", "1", "--limit", "500")
    assert done.returncode == 0, done.stderr
    assert ", labels 500, " in done.stdout
    rows = by_row(found(broker, topic, 500))
    truths = {int(message.key()): message for message in found(broker, labels, 500)}
    assert set(truths) == set(rows)
    for row, message in truths.items():
        stamp = rows[row].timestamp()[1]
        assert json.loads(message.value()) == {
            "row_id": str(row),
            "label": int(table["Class"][row] != 1),
            "event_time": iso(stamp),
        }
        assert message.timestamp()[1] == stamp


def test_limit(broker: Broker, table: pd.DataFrame, data: Path, topic: str) -> None:
    """--limit sends the first rows in the order of event time."""
    assert replay(broker, data, topic, "--limit", "123", "--labels-topic", "none").returncode == 0
    assert set(by_row(found(broker, topic, 123))) == set(event_order(table)[:123])


def test_pace_of_the_data(broker: Broker, table: pd.DataFrame, data: Path, topic: str) -> None:
    """At 600x ten minutes take a second: the first row is now, the others follow as the data has it."""
    before = time.time()
    done = replay(broker, data, topic, "--speed", "600x", "--labels-topic", "none")
    after = time.time()
    assert done.returncode == 0, done.stderr
    assert re.search(r", at most \d+\.\d{3} s late\n$", done.stdout)
    stamps = {row: message.timestamp()[1] for row, message in by_row(found(broker, topic, len(table))).items()}
    first = min(stamps.values())
    assert before * 1000 - 1 <= first <= max(stamps.values()) <= after * 1000
    since = table["Time"] - table["Time"].min()
    for row, stamp in stamps.items():
        assert stamp - first == pytest.approx(since[row] * 1000 / 600, abs=1)


def test_rows_a_second(broker: Broker, data: Path, topic: str) -> None:
    """At N rows a second a row's timestamp is the moment of sending: its turn, or as late as the summary admits."""
    done = replay(broker, data, topic, "--speed", "500/s", "--limit", "400", "--labels-topic", "none")
    late = re.search(r", at most (\d+\.\d{3}) s late\n$", done.stdout)
    assert late is not None
    stamps = np.array(sorted(message.timestamp()[1] for message in found(broker, topic, 400)))
    off = stamps - stamps[0] - np.arange(400) * 2
    assert abs(off).max() <= float(late[1]) * 1000 + 2


class SlowGroup:
    """A group whose offsets the test commits, and what it can see of the topic."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.topic, self.name = topic, f"group-{topic}"
        settings = {"bootstrap.servers": broker.bootstrap, "group.id": self.name, "enable.auto.commit": False}
        self.consumer = Consumer(settings)
        wait(self.answered)
        self.base = self.ends()
        self.done = dict(self.base)

    def answered(self) -> bool:
        """A new topic's leaders may not know yet that they lead."""
        try:
            return bool(self.ends())
        except KafkaException:
            return False

    def ends(self) -> dict[int, int]:
        places = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
        return {one.partition: self.consumer.get_watermark_offsets(one, timeout=10)[1] for one in places}

    def commit(self, rows: int) -> None:
        """Up to `rows` more of each partition."""
        self.done = {partition: min(self.done[partition] + rows, end) for partition, end in self.ends().items()}
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in self.done.items()]
        self.consumer.commit(offsets=offsets, asynchronous=False)

    def sent(self) -> int:
        return sum(self.ends().values()) - sum(self.base.values())

    def committed(self) -> int:
        return sum(self.done.values()) - sum(self.base.values())


@pytest.fixture
def slow(broker: Broker, data: Path, topic: str) -> Iterator[SlowGroup]:
    """The topic holds rows of an earlier replay, which do not count."""
    assert replay(broker, data, topic, "--limit", "777", "--labels-topic", "none").returncode == 0
    group = SlowGroup(broker, topic)
    yield group
    group.consumer.close()


def test_lead_is_never_exceeded(broker: Broker, data: Path, topic: str, labels: str, slow: SlowGroup) -> None:
    """The topic never holds more than --max-lead rows that the group has not committed; committing lets rows follow."""
    lead, count = 100, 1500
    more = ["--limit", str(count), "--labels-topic", labels, "--max-lead", str(lead), "--group", slow.name]
    with subprocess.Popen(command(broker, data, topic, *more), stdout=subprocess.PIPE, text=True) as process:

        def as_far_as_allowed() -> bool:
            sent = slow.sent()
            assert sent - slow.committed() <= lead
            return sent == min(count, slow.committed() + lead)

        while slow.committed() < count:
            wait(as_far_as_allowed)
            slow.commit(rows=40)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.startswith(f"replay: sent {count} rows, failed 0, labels {count}, ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(broker: Broker, table: pd.DataFrame, data: Path, topic: str, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM: what was sent is flushed and counted; it is the beginning of history, and the code is 130."""
    line = command(broker, data, topic, "--speed", "200/s", "--labels-topic", "none")
    group = SlowGroup(broker, topic)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait(lambda: group.sent() > 50)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    group.consumer.close()
    assert process.returncode == 130, err
    summary = re.match(r"replay: interrupted: sent (\d+) rows, failed 0, ", out)
    assert summary is not None, out
    sent = int(summary[1])
    assert 50 < sent < len(table)
    assert set(by_row(found(broker, topic, sent))) == set(event_order(table)[:sent])


def test_interrupted_while_it_waits_for_a_group(broker: Broker, data: Path, topic: str) -> None:
    """A group that never comes does not hold a replay that is asked to end; a plain line has said what it waits for."""
    more = ["--labels-topic", "none", "--max-lead", "10", "--group", f"nobody-{topic}"]
    with subprocess.Popen(
        command(broker, data, topic, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"replay: paused: waiting for group nobody-{topic}\n"
        assert re.match(
            rf"replay: sent 10/3000 rows, \d+ rows/s, waiting for group nobody-{topic}\n", process.stderr.readline()
        )
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.startswith("replay: interrupted: sent 10 rows, failed 0, ")


def test_refused_rows(broker: Broker, tmp_path: Path) -> None:
    """Rows too large for the topic fail alone: they are counted, the others arrive in order, the exit code is 1."""
    name = f"small-{uuid.uuid4().hex[:8]}"
    create_topic(broker.bootstrap, name, PARTITIONS, max_message_bytes=500)
    large = {3, 4, 1200, 1999}
    texts = ["x" * 1000 if row in large else "y" for row in range(2000)]
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"x": np.arange(2000), "text": texts}).to_parquet(path)
    done = replay(broker, path, name)
    assert done.returncode == 1
    assert done.stdout.startswith("replay: sent 1996 rows, failed 4, labels 0, ")
    assert done.stderr == (
        f"error: 4 rows and 0 labels were not acknowledged; first: topic '{name}': "
        "Broker: Message size too large (MSG_SIZE_TOO_LARGE)\n"
    )
    messages = found(broker, name, 1996)
    assert set(by_row(messages)) == set(range(2000)) - large
    for part in partitions(messages):
        rows = [row_of(message) for message in part]
        assert rows == sorted(rows)


def test_missing_topics(broker: Broker, data: Path, topic: str) -> None:
    """A topic that does not exist, be it for rows or for labels, is named, and the exit code is 5."""
    for more in (["--topic", "nowhere", "--labels-topic", "none"], ["--labels-topic", "nowhere"]):
        done = replay(broker, data, topic, *more)
        assert (done.returncode, done.stdout) == (5, "")
        assert done.stderr.startswith("error: topic 'nowhere' does not exist")


def test_no_broker(data: Path) -> None:
    """A broker that does not answer is named, and the exit code is 4."""
    line = [sys.executable, "-m", "replay", str(data), "--bootstrap-servers", "127.0.0.1:1"]
    environment: dict[str, Any] = {**os.environ, "REPLAY_CONNECT_SECONDS": "1"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, env=environment)
    assert (done.returncode, done.stdout) == (4, "")
    assert "'127.0.0.1:1': no broker answered within 1 s" in done.stderr
