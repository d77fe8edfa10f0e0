"""Schemas come from a registry once, whatever is asked of it; a registry that is away is nobody's bad row."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from detector.errors import RegistryUnavailable, UsageError
from detector.kafka.registry import MOST_UNKNOWN, UNKNOWN_SECONDS, Registry
from detector.rows import Decoder, Written
from detector.schema import Schema
from tests.messages import FakeMessage
from tests.registry import SchemaRegistry, schema_registry

QUICK = {"timeout": "5", "max.retries": "0"}
ROW = {"type": "record", "name": "Row", "fields": [{"name": name, "type": "double"} for name in "ab"]}


class Clock:
    """now: seconds, as a test has them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def served() -> Iterator[SchemaRegistry]:
    with schema_registry() as registry:
        yield registry


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(served: SchemaRegistry, clock: Clock) -> Iterator[Registry]:
    client = Registry(served.url, QUICK, clock)
    yield client
    client.close()


def test_what_the_clients_write(served: SchemaRegistry, registry: Registry) -> None:
    """Rows of Confluent's own serializer, which registers their schema, are read with it; it is asked for once."""
    client: Any = SchemaRegistryClient({"url": served.url})
    write = AvroSerializer(client, str(ROW).replace("'", '"'))
    context = SerializationContext("rows", MessageField.VALUE)
    values = [write({"a": float(number), "b": -0.5}, context) for number in range(3)]
    client.close()
    served.asked.clear()
    decoder = Decoder(Schema(("b", "a")), "avro", registry=registry)
    for _ in range(2):
        rows, rejects = decoder.decode([FakeMessage(value) for value in values])
        assert rejects == []
        assert rows.matrix.tolist() == [[-0.5, 0], [-0.5, 1], [-0.5, 2]]
    assert served.asked == ["/schemas/ids/1"]


def test_a_schema_is_asked_for_once(served: SchemaRegistry, registry: Registry) -> None:
    """What the registry knows is remembered for good, also while it is away."""
    number = served.add(ROW)
    assert registry(number) == Written(ROW)
    served.down = 500
    assert registry(number) == Written(ROW)
    assert served.asked == [f"/schemas/ids/{number}"]


def test_an_unknown_number_is_asked_for_again_after_a_while(
    served: SchemaRegistry, registry: Registry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A number that is unknown is told once, and is not asked for again before a while is over."""
    assert [registry(1) for _ in range(5)] == [None] * 5
    assert len(served.asked) == 1
    assert [record.getMessage() for record in caplog.records if record.name == "detector.kafka"] == [
        "schema_unknown number=1 doing='its rows are dead letters'"
    ]
    served.add(ROW)
    clock.now += UNKNOWN_SECONDS - 1
    assert registry(1) is None
    clock.now += 1
    assert registry(1) == Written(ROW)


def test_a_flood_of_unknown_numbers_is_not_passed_on(served: SchemaRegistry, registry: Registry, clock: Clock) -> None:
    """Of a flood the registry sees so many numbers in a while, and no more; schemas that are known stay known."""
    number = served.add(ROW)
    registry(number)
    for unknown in range(1000, 1000 + 3 * MOST_UNKNOWN):
        assert registry(unknown) is None
    assert len(served.asked) == 1 + MOST_UNKNOWN
    assert registry(number) == Written(ROW)
    clock.now += UNKNOWN_SECONDS
    later = served.add(ROW)
    assert registry(later) == Written(ROW)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [('syntax = "proto3"; message Row { double a = 1; }', "PROTOBUF"), ('{"type": "object"}', "JSON"), ("{", "AVRO")],
)
def test_schemas_that_are_not_avro(served: SchemaRegistry, registry: Registry, schema: str, kind: str) -> None:
    """A number of another kind of schema, or of one that is no JSON, has no Avro schema."""
    assert registry(served.add(schema, kind=kind)) is None


def test_schemas_that_refer_to_others(served: SchemaRegistry, registry: Registry) -> None:
    """What a schema refers to comes with it, in an order in which each is defined before it is used."""
    first = {"type": "record", "name": "First", "fields": [{"name": "a", "type": "double"}]}
    second = {"type": "record", "name": "Second", "fields": [{"name": "f", "type": "First"}]}
    row = {"type": "record", "name": "Row", "fields": [{"name": "s", "type": "Second"}, {"name": "f", "type": "First"}]}
    to_first, to_second = ({"name": name, "subject": name, "version": 1} for name in ("First", "Second"))
    served.add(first, "First")
    served.add(second, "Second", references=[to_first])
    assert registry(served.add(row, references=[to_second, to_first])) == Written(row, (first, second))
    astray = {"name": "Nobody", "subject": "Nobody", "version": 1}
    assert registry(served.add(row, references=[astray])) is None
    served.add(first, "Circle", references=[{"name": "Circle", "subject": "Circle", "version": 1}])
    assert registry(served.add(row, references=[{"name": "Circle", "subject": "Circle", "version": 1}])) is None


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_registry_that_does_not_answer_as_one(served: SchemaRegistry, registry: Registry, status: int) -> None:
    """What is no answer about a schema makes no number unknown: it is asked for again."""
    number = served.add(ROW)
    served.down = status
    with pytest.raises(RegistryUnavailable, match=f"schema registry '{served.url}': .*{status}"):
        registry(number)
    with pytest.raises(RegistryUnavailable):
        registry.check()
    served.down = None
    registry.check()
    assert registry(number) == Written(ROW)


def test_a_registry_that_is_not_there() -> None:
    """A registry that refuses connections is named, without the password in its address."""
    with schema_registry() as gone:
        port = gone.port
    client = Registry(f"http://me:secret@127.0.0.1:{port}", QUICK)
    with pytest.raises(RegistryUnavailable, match=f"schema registry 'http://127.0.0.1:{port}': ConnectError") as told:
        client(1)
    assert "secret" not in str(told.value)
    client.close()


def test_credentials() -> None:
    """Name and password are sent where they are given, and asked for where they are not."""
    with schema_registry("me:secret") as served:
        number = served.add(ROW)
        known = Registry(served.url, {**QUICK, "basic.auth.user.info": "me:secret"})
        assert known(number) == Written(ROW)
        known.close()
        unknown = Registry(served.url, QUICK)
        with pytest.raises(RegistryUnavailable, match="unauthorized"):
            unknown.check()
        unknown.close()


@pytest.mark.parametrize(
    ("url", "given", "told"),
    [
        ("ftp://me:secret@x", {}, "schema registry 'ftp://x': Invalid url ftp://x"),
        ("http://x", {"tiemout": "5"}, "schema registry 'http://x': Unrecognized properties: tiemout"),
        ("http://x", {"timeout": "soon"}, "property 'timeout' has value 'soon', a number wanted"),
        ("http://x", {"ssl.ca.location": "/nowhere/ca.pem"}, "No such file"),
    ],
)
def test_settings_that_are_wrong(url: str, given: dict[str, str], told: str) -> None:
    """An address or a property that is wrong is refused before anything is asked."""
    with pytest.raises(UsageError, match=told) as refused:
        Registry(url, given)
    assert "secret" not in str(refused.value)


def test_requests_are_not_logged(served: SchemaRegistry, registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """The client's HTTP library does not add its own line for every request to the log."""
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        assert registry(served.add(ROW))
    assert caplog.records == []
