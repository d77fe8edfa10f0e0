"""Logs with gaps: transaction markers, aborted rows, what expired and what was compacted away.

Each test lets one detector work off the first half and, after what happened to the log, another one the second half:
its running statistics are made from what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from detector import artifact, table
from detector.rows import encode_packed
from detector.threshold import Line
from tests.broker import create_topic
from tests.integration.conftest import Cards
from tests.integration.line import Topics, alerts_of, await_true, make_topics, positions, read_committed, until_end
from tests.straight_line import Alerts, Shape, StraightLine

SHAPE = Shape(window=256, stride=64, min_rows=32)
LINE = ("--threshold", "running-mad:3", "--window", "256", "--stride", "64", "--min-rows", "32", "--format", "packed")


@pytest.fixture
def one(topics: Topics) -> Topics:
    """Topics with two partitions of input."""
    return make_topics(topics.bootstrap, partitions=2)


def rows_of(cards: Cards, rows: int) -> list[bytes]:
    """Packed rows of the table."""
    return encode_packed(table.matrix(cards.frame, cards.features)[:rows])


def straight(cards: Cards) -> StraightLine:
    """What the detectors here are held against."""
    found = artifact.load(cards.model)
    line = Line(found.threshold, found.line("running-mad:3").running)
    return StraightLine(found, found.model(), line, SHAPE, "packed")


def there(topics: Topics) -> dict[int, list[Any]]:
    """What a reader of committed messages finds in the input."""
    log: dict[int, list[Any]] = {partition: [] for partition in range(topics.partitions)}
    for message in read_committed(topics.bootstrap, topics.input):
        log[message.partition()].append(message)
    return log


def told(topics: Topics) -> Alerts:
    """The alerts, each once, without the time of their detection."""
    alerts = alerts_of(topics)
    found = {alert["id"]: {name: one for name, one in alert.items() if name != "detected_at"} for alert in alerts}
    assert len(found) == len(alerts)
    return found


def transactions(rows: Sequence[bytes], chance: Random) -> Iterator[tuple[list[bytes], bool]]:
    """Rows in transactions of 1 to 120, between which others are aborted: their rows are none, and would alert."""
    at = 0
    while at < len(rows):
        size = chance.randrange(1, 120)
        yield list(rows[at : at + size]), True
        if chance.random() < 0.5:
            yield [spoiled(one, chance) for one in chance.sample(rows, chance.randrange(1, 20))], False
        at += size


def spoiled(row: bytes, chance: Random) -> bytes:
    """A row far off, or none at all."""
    far: bytes = (1000 * np.frombuffer(row, "<f4")).tobytes()
    return chance.choice((far, row[:-1]))


def publish(topics: Topics, rows: Sequence[bytes], chance: Random) -> None:
    """Sends rows in transactions that are committed, and others in some that are aborted."""
    producer = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": topics.name, "linger.ms": 0})
    producer.init_transactions(60)
    for values, commits in transactions(rows, chance):
        producer.begin_transaction()
        for number, value in enumerate(values):
            producer.produce(topics.input, value, partition=number % topics.partitions)
        producer.flush()  # also what is aborted reaches the log
        producer.commit_transaction() if commits else producer.abort_transaction()


def test_markers_and_aborted_rows(cards: Cards, one: Topics) -> None:
    """Rows of aborted transactions are neither scored nor refused, and gaps in the offsets change nothing.

    Two detectors one after the other come to what a straight loop over the committed rows comes to.
    """
    chance, rows = Random(8), rows_of(cards, 3000)
    for half in (rows[:1500], rows[1500:]):
        publish(one, half, chance)
        until_end(one, cards.model, *LINE, "--max-batch", "97")
        committed, ends = positions(one)
        assert committed == ends
    log = there(one)
    assert sum(map(len, log.values())) == len(rows)
    assert all(messages[-1].offset() > len(messages) + 100 for messages in log.values())
    assert read_committed(one.bootstrap, one.dead) == []
    wanted = straight(cards).over(log)
    assert len(wanted) > 30
    assert told(one) == wanted


def keyed(topics: Topics, rows: Sequence[bytes], first: int = 0) -> None:
    """Sends rows by turns to the partitions, each under one of 97 keys."""
    producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 5})
    for number, value in enumerate(rows, first):
        producer.produce(topics.input, value, b"card-%d" % (number % 97), partition=number % topics.partitions)
    assert producer.flush(60) == 0


def assert_second_half(cards: Cards, topics: Topics, rows: Sequence[bytes]) -> None:
    """Rows that come now are judged with windows of what is there now, and not as if nothing had been lost."""
    line, calm = straight(cards), told(topics)
    past = {partition: line.past(messages) for partition, messages in there(topics).items()}
    last = {partition: seen[-1][0] for partition, seen in past.items()}
    keyed(topics, rows)
    until_end(topics, cards.model, *LINE)
    wanted: Alerts = {}
    for partition, messages in there(topics).items():
        for message in [one for one in messages if one.offset() > last[partition]]:
            alert = line.alert(message, past[partition])
            wanted |= {alert["id"]: alert} if alert else {}
            past[partition] += line.past([message])
    assert len(wanted) > 10
    assert told(topics) == calm | wanted


def test_expired_rows(cards: Cards, one: Topics) -> None:
    """Where rows of a window have expired, the next owner's holds those that are left."""
    rows = rows_of(cards, 3000)
    keyed(one, rows[:2000])
    until_end(one, cards.model, *LINE)
    admin = AdminClient({"bootstrap.servers": one.bootstrap})
    lows = {0: 900, 1: 1000}  # of 1000: a window of 100 rows, and of none
    for future in admin.delete_records([TopicPartition(one.input, p, low) for p, low in lows.items()]).values():
        future.result(30)
    keyed(one, rows[2000:2002])
    until_end(one, cards.model, *LINE)
    assert {p: messages[0].offset() for p, messages in there(one).items()} == lows
    assert_second_half(cards, one, rows[2002:])


@pytest.mark.long
def test_compacted_rows(cards: Cards, topics: Topics) -> None:
    """Where rows were compacted away, the next owner's windows reach farther back, over those that are left."""
    one, rows = make_topics(topics.bootstrap, partitions=2), rows_of(cards, 6000)
    object.__setattr__(one, "input", f"{one.name}.compacted")
    eager: dict[str, str | int] = {"min_cleanable_dirty_ratio": "0.001", "max_compaction_lag_ms": 1}
    eager |= {"segment_bytes": 1 << 20, "segment_ms": 100}
    create_topic(one.bootstrap, one.input, 2, cleanup_policy="compact", **eager)
    keyed(one, rows[:4000])
    until_end(one, cards.model, *LINE)
    before = sum(map(len, there(one).values()))

    def compacted() -> bool:
        keyed(one, rows[:2])  # a segment is closed when the next message comes
        return sum(map(len, there(one).values())) < before // 2

    await_true(compacted, "the cleaner's turn", 120)
    resource = ConfigResource(ResourceType.TOPIC, one.input)
    resource.add_incremental_config(
        ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    )
    admin = AdminClient({"bootstrap.servers": one.bootstrap})
    admin.incremental_alter_configs([resource])[resource].result(30)
    until_end(one, cards.model, *LINE)
    assert_second_half(cards, one, rows[4000:])
