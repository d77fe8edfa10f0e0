"""A named replay against Apache Kafka: killed at any moment, and gone on with, each row is there once."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.broker import Broker, create_topic
from tests.integration.line import await_true, read_committed

PARTITIONS = 3
RATE = 4_000
"""Rows a second that are sent between two kills."""


@dataclass(frozen=True)
class Named:
    """A replay of its own name to topics of its own."""

    bootstrap: str
    data: Path
    name: str

    @property
    def rows(self) -> str:
        return f"{self.name}.rows"

    @property
    def labels(self) -> str:
        return f"{self.name}.labels"

    def command(self, *more: str) -> list[str]:
        where = ["--bootstrap-servers", self.bootstrap, "--topic", self.rows, "--labels-topic", self.labels]
        return [sys.executable, "-m", "replay", str(self.data), *where, "--resume", self.name, *more]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*more), capture_output=True, text=True, timeout=90)

    def written(self) -> int:
        """Offsets of the rows' topic, of open transactions too."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "outside"})
        try:
            places = [TopicPartition(self.rows, partition) for partition in range(PARTITIONS)]
            return sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
        finally:
            consumer.close()

    def killed(self, after: float, *more: str) -> None:
        """A process that is killed so many seconds after its first rows were written."""
        before = self.written()
        with subprocess.Popen(self.command(*more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            await_true(lambda: self.written() > before or process.poll() is not None, "the first rows")
            threading.Event().wait(after)
            process.kill()


@pytest.fixture
def named(broker: Broker, tmp_path: Path) -> Named:
    made = Named(broker.bootstrap, tmp_path / "cards.parquet", f"r{uuid.uuid4().hex[:8]}")
    create_topic(broker.bootstrap, made.rows, PARTITIONS)
    create_topic(broker.bootstrap, made.labels, 1)
    return made


def cards(path: Path, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "Time": np.sort(rng.integers(0, count // 3, count)),
            "card": rng.integers(0, 50, count),
            "x": rng.normal(size=count),
            "Class": rng.integers(0, 2, count),
        }
    )
    frame.to_parquet(path, index=False)
    return frame


def ids(messages: Sequence[Any]) -> list[int]:
    return [int(dict(message.headers())["row-id"]) for message in messages]


def each_once(named: Named, frame: pd.DataFrame) -> None:
    """Asserts that every row and its label is there once for readers of committed messages, in order."""
    rows, labels = (read_committed(named.bootstrap, topic) for topic in (named.rows, named.labels))
    assert Counter(ids(rows)) == Counter(range(len(frame)))
    assert Counter(int(message.key()) for message in labels) == Counter(range(len(frame)))
    truths = {int(message.key()): json.loads(message.value())["label"] for message in labels}
    assert [truths[row] for row in range(len(frame))] == frame["Class"].tolist()
    for partition in range(PARTITIONS):
        part = sorted((m for m in rows if m.partition() == partition), key=lambda message: message.offset())
        assert ids(part) == sorted(ids(part))


def killed_again_and_again(named: Named, kills: int, *more: str) -> None:
    """Kills so many processes, and lets one end; the rows are then as if there had been one."""
    frame = cards(named.data, (kills + 1) * RATE // 2)
    draw = random.Random(kills)
    for _ in range(kills):
        named.killed(draw.random() * 0.5, "--speed", f"{RATE}/s", *more)
    done = named.run(*more)
    assert done.returncode == 0, done.stderr
    sent = re.match(r"replay: sent (\d+) rows, failed 0, ", done.stdout)
    assert sent is not None
    assert int(sent[1]) < len(frame)
    each_once(named, frame)


def test_three_kills(named: Named) -> None:
    """Killed three times at random moments, each row and each label is there once, in order."""
    killed_again_and_again(named, 3)


@pytest.mark.long
def test_twenty_kills(named: Named) -> None:
    """Killed twenty times at random moments, each row and each label is there once, in order."""
    killed_again_and_again(named, 20)


def test_kills_with_labels_to_come(named: Named) -> None:
    """Labels that are due after the moment of a kill come once, too."""
    killed_again_and_again(named, 2, "--label-delay", "exp:300s")


def signals_of(messages: Sequence[Any]) -> dict[bytes, list[tuple[int, str | None]]]:
    """By key, in the order of the log, each sample's number and its row's id."""
    found: dict[bytes, list[tuple[int, str | None]]] = {}
    for message in sorted(messages, key=lambda one: (one.partition(), one.offset())):
        row = dict(message.headers()).get("row-id")
        found.setdefault(message.key(), []).append((json.loads(message.value())["sample"], row and row.decode()))
    return found


def test_kills_inside_signals(named: Named) -> None:
    """Killed inside rows that are sent as samples, each sample and each label is there once, in order."""
    frame = cards(named.data, 2000)
    more = ("--as-signal", "--features", "Time,x,card", "--sample-rate", "2")
    for _ in range(2):
        named.killed(0.3, "--speed", f"{RATE}/s", *more)
    done = named.run(*more)
    assert done.returncode == 0, done.stderr
    sent = re.match(r"replay: sent (\d+) samples, failed 0, ", done.stdout)
    assert sent is not None
    assert int(sent[1]) < 3 * len(frame)
    found = signals_of(read_committed(named.bootstrap, named.rows))
    assert set(found) == {str(card).encode() for card in frame["card"]}
    for key, samples in found.items():
        rows = frame.index[frame["card"] == int(key)].tolist()
        wanted = [(3 * k + j, str(row) if j == 2 else None) for k, row in enumerate(rows) for j in range(3)]
        assert samples == wanted
    labels = read_committed(named.bootstrap, named.labels)
    assert Counter(int(message.key()) for message in labels) == Counter(range(len(frame)))


def away(named: Named, broker: Broker, seconds: float, *more: str) -> tuple[int, str]:
    """Exit code and stderr of a process for which the broker stands still for so long, once it has sent some rows."""
    before = named.written()
    line = named.command("--speed", "300/s", *more)
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        await_true(lambda: named.written() > before + 50, "the first rows")
        broker.pause()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        finally:
            broker.resume()
        _, err = process.communicate(timeout=90)
    return process.returncode, err


def test_a_broker_that_is_away_for_longer_than_a_transaction_may_be_open(broker: Broker, named: Named) -> None:
    """That the broker ended the transaction is no other process' doing: it is told as a broker that was away."""
    frame = cards(named.data, 3000)
    short = [f"--kafka={name}=3000" for name in ("transaction.timeout.ms", "message.timeout.ms")]
    code, err = away(named, broker, 6, *short)
    assert code in (0, 4), err  # it goes on where no transaction was open
    if code:
        assert "for 3 s, and it was ended; the same command sends its rows again\n" in err
        assert f"the same command goes on there: --resume {named.name}\n" in err
    assert named.run().returncode == 0
    each_once(named, frame)


@pytest.mark.long
def test_a_broker_that_stays_away(broker: Broker, named: Named) -> None:
    """A broker that does not answer for --timeout ends a named replay with code 4, and the same command goes on."""
    frame = cards(named.data, 2000)
    code, err = away(named, broker, 30, "--timeout", "3")
    assert code == 4, err
    told = rf"replay: stopped after \d+ rows.*; the same command goes on there: --resume {named.name}\nerror: .+\n$"
    assert re.search(told, err), err
    assert named.run().returncode == 0
    each_once(named, frame)


def test_what_has_ended(named: Named) -> None:
    """A replay that has ended sends nothing more, and one of other settings or data is refused by what is other."""
    frame = cards(named.data, 500)
    assert named.run().returncode == 0
    again = named.run("--speed", "1000/s")
    assert (again.returncode, again.stdout.split(",")[0]) == (0, "replay: sent 0 rows")
    other = named.run("--limit", "7", "--seed", "3")
    assert (other.returncode, other.stdout) == (2, "")
    assert f"error: resume '{named.name}' was begun with other limit, seed; " in other.stderr
    cards(named.data, 501)
    changed = named.run()
    assert changed.returncode == 2
    assert "was begun with other data; it goes on with the same alone, after 500 rows" in changed.stderr
    each_once(named, frame)


def test_ctrl_c_and_on(named: Named) -> None:
    """Ctrl-C commits what was sent and says how to go on; going on sends the rest."""
    frame = cards(named.data, 3000)
    line = named.command("--speed", "1000/s")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        await_true(lambda: named.written() > 200, "the first rows")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    sent = re.match(r"replay: interrupted: sent (\d+) rows, failed 0, labels \1, ", out)
    assert (process.returncode, sent is not None) == (130, True), out + err
    assert sent is not None
    assert f"replay: stopped after {sent[1]} rows before row {sent[1]} at " in err
    assert f"; the same command goes on there: --resume {named.name}\n" in err
    done = named.run()
    assert done.stdout.startswith(f"replay: sent {3000 - int(sent[1])} rows, failed 0, ")
    each_once(named, frame)


def test_rows_that_are_refused(broker: Broker, named: Named) -> None:
    """Rows that the topic does not take are counted and left out; all others of their transaction are there once."""
    small = f"{named.name}.small"
    create_topic(broker.bootstrap, small, PARTITIONS, max_message_bytes=500)
    large = {3, 700, 1999}
    texts = ["x" * 1000 if row in large else "y" for row in range(2000)]
    pd.DataFrame({"x": np.arange(2000), "text": texts}).to_parquet(named.data)
    done = named.run("--topic", small)
    assert done.returncode == 1
    assert done.stdout.startswith("replay: sent 1997 rows, failed 3, labels 0, ")
    assert "error: 3 rows and 0 labels were not acknowledged; first: " in done.stderr
    assert Counter(ids(read_committed(broker.bootstrap, small))) == Counter(set(range(2000)) - large)


def test_two_of_a_name(named: Named) -> None:
    """A second process of the name takes over: the first is fenced, and each row is there once."""
    frame = cards(named.data, 6000)
    line = named.command("--speed", "200/s")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        await_true(lambda: named.written() > 100, "the first rows")
        assert named.run().returncode == 0
        _, err = process.communicate(timeout=60)
    assert process.returncode == 7, err
    each_once(named, frame)
