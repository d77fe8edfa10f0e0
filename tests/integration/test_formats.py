"""Rows in other shapes on a real topic: Avro by a Schema Registry, numbers deep in JSON, the time in a field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import fastavro
import pytest

from tests.integration.conftest import Cards
from tests.integration.line import (
    Sent,
    Topics,
    alerts_of,
    await_true,
    make_topics,
    positions,
    read_committed,
    running,
    send,
    until_end,
)
from tests.integration.test_detector import messages, records, rows_of
from tests.registry import schema_registry

ROWS = 2000
BEGUN = 1_700_000_000


def spread(values: list[bytes], topics: Topics) -> list[Sent]:
    return [(value, i % topics.partitions, []) for i, value in enumerate(values)]


def plain(cards: Cards) -> list[dict[str, Any]]:
    """The first rows as objects of numbers."""
    return records(rows_of(cards, ROWS)[list(cards.features)])


def told(topics: Topics) -> dict[tuple[int, int], tuple[float, Any]]:
    """Score and reasons of each alert, by partition and offset."""
    places = [(alert["source"], alert) for alert in alerts_of(topics)]
    return {(at["partition"], at["offset"]): (alert["score"], alert["reasons"]) for at, alert in places}


@pytest.fixture
def expected(cards: Cards, topics: Topics) -> dict[tuple[int, int], tuple[float, Any]]:
    """The alerts of the same rows as flat JSON."""
    flat = make_topics(topics.bootstrap, topics.partitions)
    send(flat.bootstrap, flat.input, messages(cards, ROWS, "json", flat.partitions))
    until_end(flat, cards.model)
    assert told(flat)
    return told(flat)


def avro(rows: list[dict[str, Any]], schema: Any, number: int) -> list[bytes]:
    """Rows in the registry's wire format."""
    values = []
    for row in rows:
        body = BytesIO()
        fastavro.schemaless_writer(body, schema, row)
        values.append(b"\0" + number.to_bytes(4, "big") + body.getvalue())
    return values


def test_avro(cards: Cards, topics: Topics, expected: dict[tuple[int, int], tuple[float, Any]]) -> None:
    """Avro rows alert as the same JSON rows; one of a number that the registry does not know is a dead letter.

    While the registry is out of order no row becomes one: the batch waits for it.
    """
    fields = [{"name": name, "type": ["null", "double"]} for name in cards.features]
    schema = fastavro.parse_schema({"type": "record", "name": "Card", "fields": fields})
    with schema_registry() as registry:
        number = registry.add({"type": "record", "name": "Card", "fields": fields})
        values = avro(plain(cards), schema, number)
        options = ("--format", "avro", "--schema-registry", registry.url)
        with running(topics, cards.model, *options) as detector:
            detector.await_line("partitions_assigned")
            registry.down = 503
            send(topics.bootstrap, topics.input, spread(values, topics))
            detector.await_line("batch_failed")
            registry.down = None
            send(topics.bootstrap, topics.input, [(b"\0\0\0\0\x63" + values[0][5:], 0, [])])
            await_true(lambda: positions(topics)[0] == positions(topics)[1], "all rows")
    assert told(topics) == expected
    (dead,) = read_committed(topics.bootstrap, topics.dead)
    assert dict(dead.headers())["errors.reason"] == b"unknown_schema"


def test_without_its_registry(cards: Cards, topics: Topics) -> None:
    """Avro as the format needs a registry that answers: without one the start is refused, with one line."""
    with running(topics, cards.model, "--format", "avro") as nowhere:
        assert nowhere.wait() == 2
        assert "schema_registry" in nowhere.log() or "schema registry" in nowhere.log()
    with running(topics, cards.model, "--format", "avro", "--schema-registry", "http://127.0.0.1:1") as silent:
        assert silent.wait() == 9
        assert "127.0.0.1:1" in silent.log()


def test_nested_with_its_time(cards: Cards, topics: Topics, expected: dict[tuple[int, int], tuple[float, Any]]) -> None:
    """Features are found at their paths, and alerts have the time that a field of the row names."""
    first, *rest = cards.features
    values = [
        json.dumps({"at": BEGUN + i, "payload": {"v": {"first": row[first]}}, **{name: row[name] for name in rest}})
        for i, row in enumerate(plain(cards))
    ]
    send(topics.bootstrap, topics.input, spread([value.encode() for value in values], topics))
    until_end(topics, cards.model, "--field", f"{first}=payload.v.first", "--time-field", "at:s")
    assert told(topics) == expected
    for alert in alerts_of(topics):
        row = alert["source"]["offset"] * topics.partitions + alert["source"]["partition"]
        assert datetime.fromisoformat(alert["event_time"]) == datetime.fromtimestamp(BEGUN + row, UTC)
