"""Replays against Apache Kafka: other topics, pipes, partitions as Java's client has them, a broker that goes away."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.broker import Broker, create_topic
from tests.integration.line import PARTITIONS, read_committed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng, path = np.random.default_rng(2), tmp_path / "cards.csv"
    times = 1_700_000_000 + rng.integers(0, 600, 2000)
    frame = pd.DataFrame({"Time": times, "card": rng.integers(0, 90, 2000), "x": rng.normal(size=2000), "Class": 0})
    frame.to_csv(path, index=False)
    return path


def command(broker: Broker, data: object, topic: str, *more: str) -> list[str]:
    where = ["--bootstrap-servers", broker.bootstrap, "--topic", topic, "--labels-topic", "none"]
    return [sys.executable, "-m", "replay", str(data), *where, *more]


def replay(broker: Broker, data: object, topic: str, *more: str, code: int = 0, fed: str | None = None) -> str:
    """What a replay says in the end."""
    line = command(broker, data, topic, *more)
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, input=fed)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def row_of(message: Any) -> int:
    return int(dict(message.headers())["row-id"])


def content(messages: Sequence[Any]) -> set[tuple[Any, ...]]:
    return {(m.key(), m.value(), tuple(m.headers()), m.timestamp()[1]) for m in messages}


def test_a_topic_into_another(broker: Broker, data: Path, topic: str) -> None:
    """A topic that is played into another has its values, keys, headers and times there, in the order of time."""
    replay(broker, data, topic, "--timestamps", "original")
    other = f"{topic}-again"
    create_topic(broker.bootstrap, other, 1)
    assert replay(broker, f"kafka://{topic}", other, "--timestamps", "original").startswith("replay: sent 2000 rows, ")
    first, second = read_committed(broker.bootstrap, topic), read_committed(broker.bootstrap, other)
    assert content(second) == content(first)
    assert len(second) == 2000
    stamps = [message.timestamp()[1] for message in sorted(second, key=lambda message: message.offset())]
    assert stamps == sorted(stamps)


def test_a_part_of_a_topic(broker: Broker, data: Path, topic: str) -> None:
    """Between two times, or from an offset on, the messages are those of that part."""
    replay(broker, data, topic, "--timestamps", "original")
    there = read_committed(broker.bootstrap, topic)
    low, high = 1_700_000_100_000, 1_700_000_200_000
    cases = [
        (f"from={low}&to=2023-11-14T22:16:40Z", [m for m in there if low <= m.timestamp()[1] < high]),
        ("from=offset:300&to=offset:310", [m for m in there if 300 <= m.offset() < 310]),
    ]
    for number, (part, wanted) in enumerate(cases):
        other = f"{topic}-{number}"
        create_topic(broker.bootstrap, other, 2)
        replay(broker, f"kafka://{topic}?{part}", other, "--timestamps", "original")
        assert content(read_committed(broker.bootstrap, other)) == content(wanted)
        assert len(wanted) > 0
    assert "no rows" in replay(broker, f"kafka://{topic}?from=offset:99999", f"{topic}-0", code=8)
    assert "'nowhere' does not exist" in replay(broker, "kafka://nowhere", f"{topic}-0", code=5)


def test_a_named_replay_of_a_topic_that_grows(broker: Broker, data: Path, topic: str) -> None:
    """What is played of a topic is what it held when the name was first used."""
    replay(broker, data, topic, "--limit", "100")
    other = f"{topic}-once"
    create_topic(broker.bootstrap, other, 1)
    assert replay(broker, f"kafka://{topic}", other, "--resume", other).startswith("replay: sent 100 rows, ")
    replay(broker, data, topic, "--limit", "100")
    assert replay(broker, f"kafka://{topic}", other, "--resume", other).startswith("replay: sent 0 rows, ")


def test_standard_input(broker: Broker, data: Path, topic: str) -> None:
    """Rows through a pipe are sent as they come; out of order they are refused, or sorted on request."""
    rows = data.read_text()
    assert "is older than the one before" in replay(broker, "-", topic, code=8, fed=rows)
    other = f"{topic}-sorted"
    create_topic(broker.bootstrap, other, 1)
    replay(broker, "-", other, "--order", "time", fed=rows)
    times = [json.loads(message.value())["Time"] for message in read_committed(broker.bootstrap, other)]
    assert times == sorted(pd.read_csv(data)["Time"])


def test_a_pipe_on_which_nothing_comes(broker: Broker, topic: str) -> None:
    """Rows that came through a pipe are sent while others are waited for, and Ctrl-C ends the wait."""
    head = "Time,x\n" + "".join(f"{row},1\n" for row in range(100_000))
    line = command(broker, "-", topic)
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(head)
        process.stdin.flush()
        while not read_committed(broker.bootstrap, topic):
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        out = process.stdout.read() if process.stdout else ""
        process.stdin.close()
    assert process.returncode == 130
    assert re.match(r"replay: interrupted: sent [1-9]\d* rows, failed 0, ", out)


def murmur2(data: bytes) -> int:
    """Austin Appleby's MurmurHash2 with Kafka's seed, as `org.apache.kafka.common.utils.Utils` has it."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    found = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * m & mask
        part = (part ^ part >> 24) * m & mask
        found = (found * m & mask) ^ part
    if rest := data[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * m & mask
    found = (found ^ found >> 13) * m & mask
    return found ^ found >> 15


def test_partitions_are_those_of_java(broker: Broker, data: Path, topic: str) -> None:
    """A key is in the partition that Java's client puts it into; the vectors are those of Kafka's own test."""
    vectors = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {text: murmur2(text) - (murmur2(text) >> 31 << 32) for text in vectors} == vectors
    replay(broker, data, topic, "--key", "card")
    for message in read_committed(broker.bootstrap, topic):
        assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % PARTITIONS


def test_a_dry_run_tells_partitions(broker: Broker, data: Path, topic: str) -> None:
    """A dry run with a broker tells where the first rows will be, and without one that nobody knows."""
    shown = replay(broker, data, topic, "--key", "card", "--dry-run")
    assert f"\ntopic {topic} has {PARTITIONS} partitions\n" in shown
    told = re.findall(rf"to {topic}/(\d): key (\d+), headers format=json row-id=(\d+),", shown)
    assert len(told) == 5
    replay(broker, data, topic, "--key", "card")
    places = {row_of(message): str(message.partition()) for message in read_committed(broker.bootstrap, topic)}
    assert [places[int(row)] for _, _, row in told] == [partition for partition, _, _ in told]
    nowhere = replay(broker, data, "nowhere", "--dry-run")
    assert "\npartitions unknown: topic 'nowhere' does not exist; make it first, or name another\n" in nowhere


def test_going_on_by_hand(broker: Broker, data: Path, topic: str) -> None:
    """Without a name Ctrl-C says which rows are left out to go on, and with them all rows are there."""
    with subprocess.Popen(
        command(broker, data, topic, "--speed", "500/s"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while len(read_committed(broker.bootstrap, topic)) < 50:
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    told = re.search(r"; to go on there: (--skip \d+), or for all from this time on: --between \S+ \.\.\n", err)
    assert told is not None, err
    replay(broker, data, topic, *told[1].split())
    assert sorted(map(row_of, read_committed(broker.bootstrap, topic))) == list(range(2000))


def test_metrics(broker: Broker, data: Path, topic: str) -> None:
    """A replay with a port serves its figures while it runs."""
    line = command(broker, data, topic, "--speed", "200/s", "--metrics-port", "0")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = re.match(r"replay: metrics=(\S+)\n", process.stderr.readline())
        assert told is not None
        page = ""
        while "replay_rows_total 0.0" in page or not page:
            page = urllib.request.urlopen(told[1], timeout=10).read().decode()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert re.search(r"^replay_lateness_seconds_count [1-9]", page, re.MULTILINE)


def test_a_broker_that_goes_away(broker: Broker, data: Path, topic: str) -> None:
    """A broker that stands still is one line, its return another; one that stays away ends the replay with code 4."""
    for more, back in (((), True), (("--timeout", "3"), False)):
        with subprocess.Popen(
            command(broker, data, topic, "--speed", "300/s", *more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            before = len(read_committed(broker.bootstrap, topic))
            deadline = time.monotonic() + 30
            while len(read_committed(broker.bootstrap, topic)) < before + 50:
                assert time.monotonic() < deadline
                threading.Event().wait(0.05)
            broker.pause()
            try:
                assert process.stderr is not None
                assert process.stderr.readline() == "replay: paused: no answer from the broker\n"
                if not back:
                    _, err = process.communicate(timeout=30)
                    assert process.returncode == 4
                    assert "no answer from the broker within 3 s" in err
                    assert re.search(r"replay: stopped after \d+ rows; to go on there: --skip \d+", err)
            finally:
                broker.resume()
            if back:
                _, err = process.communicate(timeout=60)
                assert process.returncode == 0, err
                assert re.match(r"replay: goes on after \d+\.\d s\n", err)


def test_a_file_that_changes_while_it_is_played(broker: Broker, topic: str, tmp_path: Path) -> None:
    """A file that is too long for memory and changes on the way ends the replay with its name and code 8."""
    path = tmp_path / "long.parquet"
    count = 900_000
    frame = pd.DataFrame({f"x{i}": np.arange(count, dtype=float) for i in range(8)})
    frame.insert(0, "Time", np.arange(count))
    frame.to_parquet(path, index=False, row_group_size=100_000, compression=None)
    line = command(broker, path, topic, "--format", "packed", "--speed", "40000/s")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not read_committed(broker.bootstrap, topic):
            threading.Event().wait(0.05)
        path.touch()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 8
    assert f"error: data {path}: changed while it was played\n" in err
    assert re.match(r"replay: sent [1-9]\d* rows, failed 0, ", out)
