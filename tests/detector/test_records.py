"""Alerts and dead letters as records."""

from __future__ import annotations

import pytest

from detector.alerts import Alert, ModelName, Source, decode
from detector.records import HEADER_BYTES, OVERHEAD_BYTES, alert_records, dead_letter, reject_records
from detector.rows import Reject
from tests.messages import FakeMessage

ALERT = Alert(
    id="transactions/0/7",
    score=2.0,
    threshold=1.0,
    method="value:1",
    modified_z=None,
    reasons=[],
    model=ModelName("m", "1", "ab"),
    source=Source("transactions", 0, 7),
    key="k",
    row_id=None,
    event_time="2013-09-01T00:00:00.000Z",
    detected_at="now",
)
PLACE = {
    "errors.reason": b"not_json",
    "errors.message": b"why",
    "errors.topic": b"transactions",
    "errors.partition": b"2",
    "errors.offset": b"9",
    "errors.timestamp": b"1234",
}


def rejected(message: FakeMessage, detail: str = "why") -> Reject:
    return Reject(message, "not_json", detail)


def bad(content: bytes | None, **more: object) -> FakeMessage:
    return FakeMessage(content, ("transactions", 2, 9), 1234, **more)  # type: ignore[arg-type]


def test_alert_records() -> None:
    """An alert is published under its row's key, as its JSON with its headers."""
    keys = [b"k\xff", "text", None]
    found = alert_records([(ALERT, FakeMessage(b"", name=key)) for key in keys], "alerts")
    assert [record.topic for record in found] == ["alerts"] * 3
    assert [record.key for record in found] == [b"k\xff", b"text", None]
    assert [decode(record.value or b"") for record in found] == [ALERT] * 3
    assert all(("ce_id", b"transactions/0/7") in record.headers for record in found)


@pytest.mark.parametrize("content", [b"\x00\xff not json", b"", None])
def test_a_dead_letter_is_the_message(content: bytes | None) -> None:
    """A dead letter has the message's bytes and key unchanged, its own headers, and its place and reason."""
    own = [("trace", b"\xff\x00"), ("trace", None)]
    record = dead_letter(rejected(bad(content, name=b"k\xfe", marks=own)), "dead")
    assert (record.topic, record.key, record.value) == ("dead", b"k\xfe", content)
    assert record.headers[:2] == own
    assert dict(record.headers[2:]) == PLACE
    assert len(record.headers) == 8


def test_a_dead_letter_says_one_thing() -> None:
    """Headers `errors.*` that a message brought, from another dead-letter topic, give way to its new ones."""
    record = dead_letter(rejected(bad(b"x", marks=[("errors.reason", b"other"), ("errors.stack", b"...")])), "dead")
    assert record.headers == list(PLACE.items())


def test_a_detail_of_any_text() -> None:
    """A sentence that cannot be UTF-8 (half a surrogate from JSON text) still makes a header."""
    assert ("errors.message", b"half ?") in dead_letter(rejected(bad(b"x"), "half \ud800"), "dead").headers


@pytest.mark.parametrize(("spare", "whole"), [(0, True), (-1, False)])
def test_oversized(spare: int, whole: bool) -> None:
    """Above the topic's limit the bytes stay where they are and their number is told; at the limit they come along."""
    message = bad(b"v" * 1000, name=b"k" * 10, marks=[("é", b"123"), ("n", None)])
    carried = 1000 + 10 + len("é".encode()) + 3 + 1 + 2 * HEADER_BYTES
    record = dead_letter(rejected(message), "dead", carried + OVERHEAD_BYTES + spare)
    assert (record.value, record.key) == ((b"v" * 1000, b"k" * 10) if whole else (None, None))
    omitted = [] if whole else [("errors.omitted-bytes", str(carried).encode())]
    assert [one for one in record.headers if one[0] not in PLACE] == [("é", b"123"), ("n", None)] * whole + omitted
    assert PLACE.items() <= dict(record.headers).items()


def test_many_empty_headers_count() -> None:
    """Headers without content have a size too: a message made of them alone cannot burst the dead-letter topic."""
    message = bad(b"x", marks=[("h", None)] * 300_000)
    assert dead_letter(rejected(message), "dead", 1_048_588).headers[-1][0] == "errors.omitted-bytes"


def test_no_limit_known() -> None:
    """Where the broker does not tell its limit nothing is left out."""
    assert dead_letter(rejected(bad(b"v" * 5_000_000)), "dead", None).value == b"v" * 5_000_000


def test_reject_records() -> None:
    """Every reject of a batch has its dead letter, in order."""
    found = reject_records([rejected(bad(b"1")), rejected(bad(b"2"))], "dead", None)
    assert [record.value for record in found] == [b"1", b"2"]
