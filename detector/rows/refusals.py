"""Bad input is data: a message that is no row, and why."""

from __future__ import annotations

import msgspec

from detector.rows.messages import Message

REASONS: dict[str, str] = {
    "empty": "the message has no value",
    "too_large": "the value is longer than max_row_bytes, or key or row-id longer than 4096 bytes",
    "unknown_format": "the header `format` names no known format, or Avro where no schema registry is configured",
    "not_utf8": "the value, or a header's name, is not UTF-8 text",
    "not_json": "the value is not JSON",
    "not_avro": "the value is not in the schema registry's wire format, or not what its schema says",
    "unknown_schema": "the schema registry has no Avro schema of the value's number",
    "not_an_object": "the JSON value, or what a feature's path leads through, is not an object (Avro: no record)",
    "missing_feature": "a feature is absent",
    "not_a_number": "a feature holds a string, null, boolean, list or object; a boolean one: not true, false, 1 or 0",
    "not_a_category": "a text feature holds a number, null, boolean, list or object; packed: no position of a value",
    "not_finite": "a feature is NaN, infinite, or beyond the range of float32",
    "wrong_length": "a packed value is not 4 bytes for each feature (a sample: two times 8)",
    "not_an_index": "a sample's number is below 0, no whole number, or 2^53 and more",
    "repeated_sample": "a sample has come already, with the same value",
    "broken_window": "a sample belongs to a window whose samples did not come one after the other, or not in time",
}
"""The closed set of reasons why a message is no row."""


class Reject(msgspec.Struct, frozen=True, gc=False):
    """A message that is no row, with a reason from REASONS and a sentence for a person."""

    message: Message
    reason: str
    detail: str


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why one value is no row."""

    reason: str
    detail: str
