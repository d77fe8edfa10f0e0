"""One message read the slow way, by json and struct, a feature at a time: what the decoder must come to."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.rows import MAX_NAME_BYTES, Message
from detector.schema import Schema
from tests.straight_avro import features_of

Found = list[float] | str
"""A row's float32 numbers, NaN where an optional feature is missing; or the reason why it is none."""


def straight_message(
    message: Message,
    schema: Schema,
    form: str = "json",
    most: int = 1 << 20,
    writers: Mapping[int, Any] | None = None,
) -> Found:
    """Reads a message whole.

    form: the format of those that name none. most: the bytes that a row may have. writers: by their numbers, the
    schemas that the registry has, where there is one.
    """
    try:
        headers: list[tuple[str, bytes | None]] = message.headers() or []
    except SystemError:  # what the client raises for a header whose name is not UTF-8
        return "not_utf8"
    content = message.value()
    if not content:
        return "empty"
    row_ids = [value for name, value in headers if name == "row-id"]
    if len(content) > most or any(len(name or b"") > MAX_NAME_BYTES for name in [message.key(), *row_ids]):
        return "too_large"
    named = [value for name, value in headers if name == "format"]
    form = (named[-1] or b"").decode("utf-8", "replace") or form if named else form
    if form == "avro" and writers is not None:
        return straight_avro(content, schema, writers)
    readings: dict[str, Callable[[bytes, Schema], Found]] = {"json": straight, "packed": straight_packed}
    return readings[form](content, schema) if form in readings else "unknown_format"


def straight(content: bytes, schema: Schema, fields: Mapping[str, str] | None = None) -> Found:
    """Reads a JSON value: json, feature by feature. fields: paths of those that are not under their names."""
    try:
        found = json.loads(content.decode("utf-8"), parse_int=float)
    except UnicodeDecodeError:
        return "not_utf8"
    except (ValueError, RecursionError):
        return "not_json"
    if not isinstance(found, dict):
        return "not_an_object"
    paths = {name: (fields or {}).get(name) for name in schema.features}
    numbers = [
        straight_number(found, name, path.split(".") if path else [name], schema) for name, path in paths.items()
    ]
    if wrong := [one for one in numbers if isinstance(one, str)]:
        return wrong[0]
    with np.errstate(over="ignore"):
        narrow = [float(np.float32(one)) for one in numbers]
    if any(map(math.isinf, narrow)):
        return "not_finite"
    truths = [one for one, name in zip(narrow, schema.features, strict=True) if name in schema.booleans]
    return narrow if all(one in (0, 1) or math.isnan(one) for one in truths) else "not_a_number"


def straight_number(found: Any, name: str, path: Sequence[str], schema: Schema) -> float | str:
    """The number that a feature of a JSON object is, found along its path, or why it is none."""
    value, optional = found, name in schema.optional
    for step in path:
        if not isinstance(value, dict):
            return math.nan if value is None and optional else "not_an_object"
        if step not in value:
            return math.nan if optional else "missing_feature"
        value = value[step]
    if optional and value is None:
        return math.nan
    if name in schema.categories:
        known = list(schema.categories[name])
        return "not_a_category" if not isinstance(value, str) else float([*known, value].index(value))
    if name in schema.booleans and isinstance(value, bool):
        return float(value)
    if not isinstance(value, float):
        return "not_a_number"
    return value if math.isfinite(value) else "not_finite"


def straight_packed(content: bytes, schema: Schema) -> Found:
    """Reads little-endian float32 in the schema's order."""
    if len(content) != 4 * len(schema.features):
        return "wrong_length"
    numbers = list(struct.unpack(f"<{len(schema.features)}f", content))
    named = list(zip(schema.features, numbers, strict=True))
    if any(math.isinf(one) or (math.isnan(one) and name not in schema.optional) for name, one in named):
        return "not_finite"
    for name, one in named:
        largest = schema.largest(name)
        if largest is not None and not math.isnan(one) and one not in range(largest + 1):
            return "not_a_number" if name in schema.booleans else "not_a_category"
    return numbers


def straight_avro(content: bytes, schema: Schema, writers: Mapping[int, Any]) -> Found:
    """Reads a record that is to hold nothing but numbers for features."""
    found = features_of(content, schema.features, writers)
    if isinstance(found, str):
        return found
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in found):
        return "not_a_number"
    with np.errstate(over="ignore"):
        narrow = [float(np.float32(one)) for one in found]
    return narrow if all(map(math.isfinite, narrow)) else "not_finite"


@dataclass(frozen=True)
class Letter:
    """A dead letter but for its sentence. headers: those of the message, then those that say why and from where."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def straight_letter(message: Message, reason: str, limit: int | None = None) -> Letter:
    """What a message that is no row leaves, where the dead-letter topic takes `limit` bytes."""
    try:
        headers: list[tuple[str, bytes | None]] = message.headers() or []
    except SystemError:
        headers = []
    key, value = message.key(), message.value()
    place = [message.topic(), message.partition(), message.offset(), message.timestamp()[1]]
    names = ("topic", "partition", "offset", "timestamp")
    told = [("errors.reason", reason), *((f"errors.{name}", str(one)) for name, one in zip(names, place, strict=True))]
    own = [(name, content) for name, content in headers if not name.startswith("errors.")]
    size = sum(len(one or b"") for one in (key, value)) + sum(len(n.encode()) + len(v or b"") + 10 for n, v in own)
    if limit is not None and size + 1024 > limit:
        told.append(("errors.omitted-bytes", str(size)))
        key, value, own = None, None, []
    return Letter(key, value, own + [(name, content.encode()) for name, content in told])


def letter_of(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Letter:
    """A dead letter that was found; its sentence, of which only the length is told, is left out."""
    sentences = [content for name, content in headers if name == "errors.message"]
    assert len(sentences) == 1
    assert 0 < len(sentences[0] or b"") < 1000
    return Letter(key, value, [(name, content) for name, content in headers if name != "errors.message"])
