"""Hostile messages through a real broker: what comes out is what each message comes to alone, and nothing stops."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Producer

from detector import artifact, table
from detector.threshold import Line
from tests.fuzz import Material, giants, hostile, writers
from tests.integration.conftest import Cards
from tests.integration.line import MEGABYTE, Topics, alerts_of, positions, read_committed, until_end
from tests.messages import FakeMessage
from tests.registry import schema_registry
from tests.straight_line import Alerts, Shape, StraightLine
from tests.straight_reading import Letter, letter_of, straight_letter

SHAPE = Shape(window=512, stride=128, min_rows=64)
LINE = ("--threshold", "running-mad:3", "--window", "512", "--stride", "128", "--min-rows", "64")
LATEST = 1_750_000_000_000
"""Event times after this may lie in a broker's future, which it refuses."""


def publish(topics: Topics, messages: Iterable[FakeMessage]) -> None:
    """Sends messages as they are, each to its partition; all of them arrive, or the test fails."""
    failed: list[Any] = []
    settings = {"linger.ms": 5, "message.max.bytes": 20 * MEGABYTE, "queue.buffering.max.kbytes": 1 << 20}
    producer = Producer({"bootstrap.servers": topics.bootstrap, **settings})
    for message in messages:
        producer.produce(
            topics.input,
            message.content,
            message.name,
            partition=message.partition(),
            timestamp=message.when if 0 < message.when < LATEST else 0,
            headers=list(message.marks or ()),
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    assert failed == []


def hold(cards: Cards, topics: Topics) -> tuple[Alerts, dict[tuple[int, int], Letter]]:
    """Holds what a detector published against the input, message by message; the alerts and dead letters."""
    found = artifact.load(cards.model)
    line = Line(found.threshold, found.line("running-mad:3").running)
    straight = StraightLine(found, found.model(), line, SHAPE, writers=writers(cards.features))
    log: dict[int, list[Any]] = {partition: [] for partition in range(topics.partitions)}
    for message in read_committed(topics.bootstrap, topics.input):
        log[message.partition()].append(message)
    alerts = {alert["id"]: alert for alert in alerts_of(topics)}
    assert {name: {**alert, "detected_at": None} for name, alert in alerts.items()} == {
        name: {**alert, "detected_at": None} for name, alert in straight.over(log).items()
    }
    letters = dead_letters(topics)
    refused = [(message, straight.read(message)) for messages in log.values() for message in messages]
    assert letters == {
        (message.partition(), message.offset()): straight_letter(message, why, 10 * MEGABYTE)
        for message, why in refused
        if isinstance(why, str)
    }
    committed, ends = positions(topics)
    assert committed == ends
    return alerts, letters


def dead_letters(topics: Topics) -> dict[tuple[int, int], Letter]:
    """By partition and offset of the message, its dead letter; one that comes twice, or out of order, fails."""
    records = read_committed(topics.bootstrap, topics.dead)
    told = [dict(record.headers()) for record in records]
    places = [(int(one["errors.partition"]), int(one["errors.offset"])) for one in told]
    for partition in range(topics.partitions):
        offsets = [offset for where, offset in places if where == partition]
        assert offsets == sorted(set(offsets))
    letters = [letter_of(record.key(), record.value(), record.headers()) for record in records]
    return dict(zip(places, letters, strict=True))


def material(cards: Cards) -> Material:
    """The table's rows, to be spoiled."""
    return Material.of(cards.features, table.matrix(cards.frame, cards.features)[:5000])


def stream(cards: Cards, topics: Topics, seed: int, count: int) -> list[FakeMessage]:
    """Hostile messages, and among them such as are about as long as the topic takes."""
    source = material(cards)
    messages = [one for _, one in hostile(source, seed, count, topics.partitions, unreadable=False)]
    chance = Random(seed)
    for content, marks in giants(source, chance, most=10 * MEGABYTE - 600):
        place = ("transactions", chance.randrange(topics.partitions), 0)
        messages.insert(chance.randrange(len(messages)), FakeMessage(content, place, 0, b"giant", marks))
    return messages


def assert_through(cards: Cards, topics: Topics, count: int, *options: str) -> None:
    """Sends so many, lets a detector work them off, and holds what it made of them."""
    publish(topics, stream(cards, topics, count, count))
    with schema_registry() as registry:
        for number, schema in sorted(writers(cards.features).items()):
            assert registry.add(schema) == number
        until_end(topics, cards.model, *LINE, "--schema-registry", registry.url, *options)
    alerts, letters = hold(cards, topics)
    assert len(alerts) > count // 100
    assert len(letters) > count // 10
    omitted = [letter for letter in letters.values() if letter.headers[-1][0] == "errors.omitted-bytes"]
    assert len(omitted) > 1
    assert all(letter.value is None for letter in omitted)


def test_hostile_messages_on_kafka(cards: Cards, topics: Topics) -> None:
    """2,000 hostile messages and some up to 10 MB: alerts and dead letters are those of each message alone."""
    assert_through(cards, topics, 2_000, "--max-batch", "300")


@pytest.mark.long
def test_many_hostile_messages_on_kafka(cards: Cards, topics: Topics) -> None:
    """The same with 20,000."""
    assert_through(cards, topics, 20_000)


class Part(ctypes.Structure):
    """librdkafka's `rd_kafka_vu_t`: one argument of a record; only as much of its union as is used here."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("one", ctypes.c_void_p),
        ("two", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 6),
    )


TOPIC, PARTITION, VALUE, FLAGS, HEADER = 1, 3, 4, 7, 9
COPY = 2


def send_headed(topics: Topics, messages: Sequence[tuple[bytes, bytes]]) -> None:
    """Sends values to partition 0 under a header of any name, by the client's own library: Python's takes only text."""
    client = library()
    said = ctypes.create_string_buffer(512)
    settings = client.rd_kafka_conf_new()
    assert client.rd_kafka_conf_set(settings, b"bootstrap.servers", topics.bootstrap.encode(), said, 512) == 0
    producer = client.rd_kafka_new(0, settings, said, 512)
    assert producer, said.value
    try:
        for value, header in messages:
            title, topic = ctypes.create_string_buffer(header), ctypes.create_string_buffer(topics.input.encode())
            content = ctypes.create_string_buffer(value, len(value))
            parts = (Part * 5)(
                Part(TOPIC, ctypes.addressof(topic)),
                Part(PARTITION, 0),
                Part(VALUE, ctypes.addressof(content), len(value)),
                Part(FLAGS, COPY),
                Part(HEADER, ctypes.addressof(title), ctypes.addressof(content), (ctypes.c_void_p * 6)(1)),
            )
            assert client.rd_kafka_produceva(producer, parts, len(parts)) is None
        assert client.rd_kafka_flush(producer, 60_000) == 0
    finally:
        client.rd_kafka_destroy(producer)


def library() -> Any:
    """The client's library, as Python's client brings it."""
    package = Path(confluent_kafka.__file__).parent
    found = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    assert found, "Python's client was installed without its library: the wheel of the lock file has one"
    client = ctypes.CDLL(str(found[0]))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_produceva"):
        getattr(client, name).restype = ctypes.c_void_p
    for name, kinds in {
        "rd_kafka_conf_set": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t],
        "rd_kafka_new": [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t],
        "rd_kafka_produceva": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t],
        "rd_kafka_flush": [ctypes.c_void_p, ctypes.c_int],
        "rd_kafka_destroy": [ctypes.c_void_p],
    }.items():
        getattr(client, name).argtypes = kinds
    return client


def test_header_names_that_are_no_text(cards: Cards, topics: Topics) -> None:
    """A header whose name is not UTF-8 makes a dead letter, bytes and place and all; what is around it is scored."""
    rows = material(cards).json[:200]
    names = [b"\xff\xfe", b"trace", b"\xed\xa0\x80", b"caf\xe9", "é".encode()]
    sent = [(row, names[number % len(names)]) for number, row in enumerate(rows)]
    send_headed(topics, sent)
    until_end(topics, cards.model)
    letters = dead_letters(topics)
    bad = [number for number in range(len(sent)) if number % len(names) in (0, 2, 3)]
    assert list(letters) == [(0, number) for number in bad]
    assert [letter.value for letter in letters.values()] == [rows[number] for number in bad]
    assert {dict(letter.headers)["errors.reason"] for letter in letters.values()} == {b"not_utf8"}
    committed, ends = positions(topics)
    assert committed == ends
