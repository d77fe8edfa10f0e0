"""What an alert says, and how it travels."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alerts import (
    EVENT_TYPE,
    REASONS,
    Alert,
    ModelName,
    Reason,
    Source,
    alert_id,
    decode,
    encode,
    iso,
    key_text,
    place,
    reasons,
    row_id,
)
from detector.schema import Schema
from tests.arrays import f32
from tests.messages import FakeMessage

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.none() | st.text(max_size=5)
shown = st.none() | numbers | st.booleans() | st.text(max_size=4)
alerts = st.builds(
    Alert,
    id=st.text(max_size=5),
    score=numbers,
    threshold=numbers,
    method=st.text(max_size=5),
    modified_z=st.none() | numbers,
    reasons=st.lists(
        st.builds(Reason, feature=st.text(max_size=3), value=shown, expected=shown, share=numbers),
        max_size=2,
    ),
    model=st.builds(ModelName, name=st.text(max_size=3), version=st.text(max_size=3), sha256=st.text(max_size=3)),
    source=st.builds(
        Source,
        topic=st.sampled_from(["transactions", "t.1"]),
        partition=st.integers(0, 9),
        offset=st.integers(0, 2**62),
    ),
    key=texts,
    row_id=texts,
    event_time=st.just("2013-09-01T00:00:00.000Z"),
    detected_at=st.text(max_size=5),
)


def plain(alert: Alert) -> Any:
    return msgspec.to_builtins(alert)


@given(alerts)
def test_round_trip(alert: Alert) -> None:
    """An alert's value is JSON that any reader reads, with every digit, and comes back the same."""
    value, _ = encode(alert)
    assert decode(value) == alert
    assert json.loads(value) == plain(alert)


@given(alerts)
def test_headers_are_cloudevents(alert: Alert) -> None:
    """The headers are those of CloudEvents 1.0 in Kafka's binary mode: the required ones, time and content type."""
    _, headers = encode(alert)
    assert {name: content.decode() for name, content in headers} == {
        "ce_specversion": "1.0",
        "ce_id": alert.id,
        "ce_source": f"/topics/{alert.source.topic}",
        "ce_type": EVENT_TYPE,
        "ce_time": alert.event_time,
        "content-type": "application/json",
    }
    assert len(headers) == 6


@pytest.mark.parametrize("value", [b"", b"x", b"{}", b'{"id": 1}'])
def test_decode_refuses(value: bytes) -> None:
    """What is no alert is a DecodeError."""
    with pytest.raises(msgspec.DecodeError):
        decode(value)


def straight(contributions: list[float]) -> list[tuple[int, float]]:
    """Places and shares, largest first, ties in order."""
    total = sum(contributions)
    ranked = sorted(range(len(contributions)), key=lambda place_: (-contributions[place_], place_))
    return [(place_, contributions[place_] / total if total > 0 else 0.0) for place_ in ranked[:REASONS]]


@given(st.lists(st.floats(0, 1e6, width=32) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=12))
def test_reasons(contributions: list[float]) -> None:
    """Reasons are the features with the largest contributions, ties in the schema's order, with their share."""
    width = len(contributions)
    names = [f"f{i}" for i in range(width)]
    values, expected = np.arange(width, dtype=np.float32), -np.arange(width, dtype=np.float32)
    found = reasons(Schema(tuple(names)), values, expected, f32(contributions))
    wanted = straight(contributions)
    assert [reason.feature for reason in found] == [f"f{i}" for i, _ in wanted]
    assert [(reason.value, reason.expected) for reason in found] == [(float(i), -float(i)) for i, _ in wanted]
    assert [reason.share for reason in found] == pytest.approx([share for _, share in wanted], rel=1e-9)


def test_a_missing_value_has_none() -> None:
    """A feature that was missing has no value in its reason: NaN is no JSON."""
    (found,) = reasons(Schema(("a",)), f32([np.nan]), f32([2]), f32([3]))
    assert found == Reason("a", None, 2.0, 1.0)


MIXED = Schema(("n", "t", "b"), ("t", "b"), categories={"t": ("red", "green", "blue")}, booleans=("b",))


@pytest.mark.parametrize(
    ("text", "expected", "wanted"),
    [
        (0, 0.4, ("red", "red")),
        (2, 0.6, ("blue", "green")),
        (3, 7.0, (None, "blue")),
        (np.nan, -3.0, (None, "red")),
    ],
)
def test_text_reasons(text: float, expected: float, wanted: tuple[str | None, str]) -> None:
    """A text's value is the text, none for one never seen or missing; expected is the text at the nearest position."""
    _, found, _ = reasons(MIXED, f32([1, text, 0]), f32([1, expected, 0]), f32([3, 2, 1]))
    assert (found.feature, found.value, found.expected) == ("t", *wanted)


@pytest.mark.parametrize(
    ("truth", "expected", "wanted"),
    [(0, 0.49, (False, False)), (1, 0.5, (True, True)), (1, -2.0, (True, False)), (np.nan, 1.7, (None, True))],
)
def test_boolean_reasons(truth: float, expected: float, wanted: tuple[bool | None, bool]) -> None:
    """A boolean's value is true or false; so is what was expected, true from 0.5 on."""
    _, _, found = reasons(MIXED, f32([1, 0, truth]), f32([1, 0, expected]), f32([3, 2, 1]))
    assert (found.feature, found.value, found.expected) == ("b", *wanted)


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59)))
def test_iso_is_datetime_s(when: datetime) -> None:
    """Milliseconds become the UTC time that datetime reads back, to the millisecond, with a Z."""
    milliseconds = (when.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    text = iso(milliseconds)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == when.replace(microsecond=when.microsecond // 1000 * 1000, tzinfo=UTC)


@given(st.integers(-(2**63), 2**63 - 1))
def test_iso_takes_every_timestamp(milliseconds: int) -> None:
    """Any 64-bit timestamp that a message may carry has a text: the number itself where the calendar ends."""
    text = iso(milliseconds)
    assert text == str(milliseconds) if abs(milliseconds) > 3 * 10**14 else text.endswith("Z")


def test_iso_of_no_timestamp() -> None:
    """The timestamp of a message that has none is -1 ms."""
    assert iso(-1) == "1969-12-31T23:59:59.999Z"
    assert iso(0) == "1970-01-01T00:00:00.000Z"


def test_names() -> None:
    """An alert's id is its row's topic/partition/offset; key and row-id are text."""
    message = FakeMessage(b"", ("rows", 3, 17), name=b"card \xff", marks=[("row-id", b"42")])
    assert alert_id(place(message)) == "rows/3/17"
    assert key_text(message) == "card \\xff"
    assert row_id(message) == "42"
    assert row_id(FakeMessage(b"")) is None
    assert key_text(FakeMessage(b"")) is None
