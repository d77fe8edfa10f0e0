"""A row happened when its time field says so, where one is named and can be read; else at its message's timestamp."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import table
from detector.rows import Decoder, Written
from detector.rows.event_time import TimeField
from detector.schema import Schema
from tests.detector.test_avro import framed, record, record_bytes
from tests.messages import FakeMessage, json_message

SCHEMA = Schema(("a",))
STAMP = 77


def times(decoder: Decoder, batch: list[FakeMessage]) -> list[int]:
    rows, rejects = decoder.decode(batch)
    assert rejects == []
    return [int(time) for time in rows.times(range(len(rows)))]


def json_time(value: Any, field: str = "t") -> int:
    """The event time of a JSON row that holds this in its field t."""
    decoder = Decoder(SCHEMA, time_field=field)
    (found,) = times(decoder, [json_message({"a": 1, "t": value}, when=STAMP)])
    return found


@pytest.mark.parametrize(
    ("value", "field", "wanted"),
    [
        (1_700_000_000, "t", 1_700_000_000_000),
        (1_700_000_000.1234, "t", 1_700_000_000_123),
        (1_700_000_000_123, "t:ms", 1_700_000_000_123),
        (1_700_000_000_123_500, "t:us", 1_700_000_000_124),
        (1_700_000_000_123_456_789, "t:ns", 1_700_000_000_123),
        (1_700_000_000, "t:s", 1_700_000_000_000),
        (-1.5, "t", -1500),
        (0, "t", 0),
        ("2023-11-14T22:13:20Z", "t", 1_700_000_000_000),
        ("2023-11-15 00:13:20.123999+02:00", "t:ns", 1_700_000_000_123),
        ("2023-11-14T22:13:20", "t", 1_700_000_000_000),
        ("2023-11-14", "t", 1_699_920_000_000),
    ],
)
def test_json_times(value: Any, field: str, wanted: int) -> None:
    """Numbers count seconds, or the unit that was named; text is ISO 8601, without a zone UTC."""
    assert json_time(value, field) == wanted


@pytest.mark.parametrize("value", ["soon", "", None, True, [1], {"s": 1}, 1e300, -(10**30), "9999-99-99"])
def test_what_is_no_time(value: Any) -> None:
    """A field that holds no time costs the row nothing: it has its message's timestamp."""
    assert json_time(value) == STAMP


def test_what_cannot_be_read() -> None:
    """So has a row without the field, one in which it cannot be read, and one in a format without names."""
    decoder = Decoder(SCHEMA, time_field="p.t")
    contents = [b'{"a": 1}', b'{"a": 1, "p": null}', b'{"a": 1, "p": 7}', b'{"a": 1, "p": {"t": 5}, "x": NaN}']
    batch = [FakeMessage(one, when=STAMP) for one in contents]
    batch.append(FakeMessage(struct.pack("<f", 1), when=STAMP, marks=[("format", b"packed")]))
    batch.append(FakeMessage(b'{"a": 1, "p": {"t": 5}}', when=STAMP))
    assert times(decoder, batch) == [STAMP] * 5 + [5000]


def test_no_time_field() -> None:
    """Without a time field a row's event time is its message's timestamp, and only rows that are asked for count."""
    rows, _ = Decoder(SCHEMA).decode([json_message({"a": 1, "t": 5}, when=STAMP + at) for at in range(3)])
    assert rows.times([2, 0]).tolist() == [STAMP + 2, STAMP]
    assert rows.times([]).tolist() == []


@pytest.mark.parametrize(
    ("type_", "value", "field", "wanted"),
    [
        ("long", 1_700_000_000, "t", 1_700_000_000_000),
        ("long", 1_700_000_000_123, "t:ms", 1_700_000_000_123),
        ("double", 1.5, "t", 1500),
        ("float", 1.5, "t", 1500),
        ("string", "2023-11-14T22:13:20Z", "t", 1_700_000_000_000),
        (["null", "long"], 5, "t", 5000),
        (["null", "long"], None, "t", STAMP),
        ({"type": "long", "logicalType": "timestamp-millis"}, 1_700_000_000_123, "t", 1_700_000_000_123),
        ({"type": "long", "logicalType": "timestamp-micros"}, 1_700_000_000_123_499, "t", 1_700_000_000_123),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, 1_700_000_000_123, "t", 1_700_000_000_123),
        ({"type": "long", "logicalType": "timestamp-millis"}, 5, "t:s", 5000),
        ({"type": "int", "logicalType": "date"}, 19_000, "t", STAMP),
        ("boolean", True, "t", STAMP),
        ("bytes", b"5", "t", STAMP),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_avro_times(type_: Any, value: Any, field: str, wanted: int, nested: bool) -> None:
    """In Avro the schema's own unit holds where none was named; what is no instant has the message's timestamp."""
    bare = {"type": type_["type"]} if isinstance(type_, dict) else type_
    tags = {"type": "array", "items": "string"}

    def schema(of_time: Any) -> Any:
        inner = record(("n", ["null", "string"]), ("t", of_time), name="P")
        return record(("l", tags), ("a", "int"), ("p", inner) if nested else ("t", of_time))

    row = {"l": ["x", "y"], "a": 1} | ({"p": {"n": "z", "t": value}} if nested else {"t": value})
    decoder = Decoder(
        SCHEMA, "avro", registry=lambda number: Written(schema(type_)), time_field=f"p.{field}" if nested else field
    )
    assert times(decoder, [FakeMessage(framed(record_bytes(schema(bare), row)), when=STAMP)]) == [wanted]


def test_avro_without_the_field() -> None:
    """A schema without the field, with a null on the way to it, or with something else there, has no time."""
    written = [
        record(("a", "int")),
        record(("a", "int"), ("p", ["null", record(("t", "long"), name="P")])),
        record(("a", "int"), ("p", "long")),
    ]
    rows = [{"a": 1}, {"a": 1, "p": None}, {"a": 1, "p": 5}]
    decoder = Decoder(SCHEMA, "avro", registry=lambda number: Written(written[number]), time_field="p.t")
    batch = [
        FakeMessage(framed(record_bytes(schema, row), number), when=STAMP)
        for number, (schema, row) in enumerate(zip(written, rows, strict=True))
    ]
    assert times(decoder, batch) == [STAMP] * 3


@given(st.integers(0, 2**33), st.integers(0, 999))
def test_times_are_those_of_history(seconds: int, milliseconds: int) -> None:
    """A time in a row is the one that history reads in the same column, as number and as text."""
    number = seconds + milliseconds / 1000
    text = datetime.fromtimestamp(seconds, UTC).replace(microsecond=1000 * milliseconds).isoformat()
    for value in (number, text):
        (history,) = table.event_milliseconds(pd.DataFrame({"t": [value]}), "t").tolist()
        assert json_time(value) == history


@given(st.integers() | st.floats() | st.text(max_size=30) | st.none(), st.sampled_from(["t", "t:ms", "t:us", "t:ns"]))
def test_whatever_a_field_holds_is_a_time_or_none(value: Any, field: str) -> None:
    """Nothing that a field may hold fails, and every time fits an int64."""
    found = TimeField.parse(field).milliseconds(value)
    assert found is None or np.int64(found) == found


def test_time_fields() -> None:
    """A field may be a path, and its name end in what looks like a unit and is none; what is no path is refused."""
    assert TimeField.parse("p.t:ms") == TimeField(("p", "t"), "ms")
    assert TimeField.parse("x:y") == TimeField(("x:y",), "")
    for wrong in (":ms", "p..t", 'a"b'):
        with pytest.raises(ValueError, match="path"):
            Decoder(SCHEMA, time_field=wrong)


def test_a_row_of_infinite_time() -> None:
    """A JSON number beyond float64 is no time; the row, which does not need it, is one."""
    content = json.dumps({"a": 1, "t": math.inf}).encode()
    assert times(Decoder(SCHEMA, time_field="t"), [FakeMessage(content, when=STAMP)]) == [STAMP]
