"""Messages to rows and back: JSON and packed float32. Bad input is data: it becomes a Reject."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.schema import LONGEST_CATEGORY, Schema

FORMATS = ("json", "packed")
ROW_ID_HEADER = "row-id"
FORMAT_HEADER = "format"
MAX_NAME_BYTES = 4096
"""A key or row-id longer than this names nothing: alerts repeat both, so they must stay small."""

REASONS: dict[str, str] = {
    "empty": "the message has no value",
    "too_large": "the value is longer than max_row_bytes, or key or row-id longer than 4096 bytes",
    "unknown_format": "the header `format` names no known format",
    "not_utf8": "the value, or a header's name, is not UTF-8 text",
    "not_json": "the value is not JSON",
    "not_an_object": "the JSON value is not an object",
    "missing_feature": "a feature is absent",
    "not_a_number": "a feature holds a string, null, boolean, list or object; a boolean one: not true, false, 1 or 0",
    "not_a_category": "a text feature holds a number, null, boolean, list or object; packed: no position of a value",
    "not_finite": "a feature is NaN, infinite, or beyond the range of float32",
    "wrong_length": "a packed value is not 4 bytes for each feature",
}
"""The closed set of reasons why a message is no row."""


class Message(Protocol):
    """What is needed of a consumed Kafka message."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...


UNREADABLE: Any = (("", None),)
"""Stands for headers of which a name is not UTF-8."""


@dataclass(frozen=True, slots=True)
class Headless:
    """A message whose headers must not be asked for again: the client failed on them and would then hand out nulls."""

    whole: Message

    def topic(self) -> str:
        return self.whole.topic()

    def partition(self) -> int:
        return self.whole.partition()

    def offset(self) -> int:
        return self.whole.offset()

    def timestamp(self) -> tuple[int, int]:
        return self.whole.timestamp()

    def key(self) -> Any:
        return self.whole.key()

    def value(self) -> Any:
        return self.whole.value()

    def headers(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoded rows of one batch, in the order in which they were read.

    matrix: float32 (n, d). offset: int64 (n,). partition: int32 (n,). timestamp: int64 (n,), ms since 1970 UTC.
    messages: the n messages themselves, for the few whose key and headers are wanted.
    """

    matrix: NDArray[np.float32]
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    timestamp: NDArray[np.int64]
    messages: Sequence[Message]

    def __len__(self) -> int:
        return len(self.messages)


@dataclass(frozen=True, slots=True)
class Reject:
    """A message that is no row, with a reason from REASONS and a sentence for a person."""

    message: Message
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one value is no row."""

    reason: str
    detail: str


Numbers = tuple[float | None, ...]


class Decoder:
    """Turns messages into rows of one schema.

    A batch is first decoded whole, which is the fast way; where that fails, message by message, so that a bad
    one costs its neighbours nothing but time.
    """

    def __init__(self, schema: Schema, default_format: str = "json", max_row_bytes: int = 1 << 20) -> None:
        if default_format not in FORMATS:
            raise ValueError(f"format {default_format!r} is none of {', '.join(FORMATS)}")
        self.schema = schema
        self.width = len(schema.features)
        self.default_format = default_format
        self.max_row_bytes = max_row_bytes
        self._json = _json_decoder(schema)
        self._must = np.array([name not in schema.optional for name in schema.features])
        largest = [schema.largest(name) for name in schema.features]
        self._stepped = np.flatnonzero([one is not None for one in largest])
        self._largest = np.array([one for one in largest if one is not None], np.float32)

    def decode(self, messages: Sequence[Message]) -> tuple[Rows, list[Reject]]:
        """Rows and rejects of a batch; together they are all its messages."""
        values = [message.value() for message in messages]
        headers = _headers(messages)
        formats = self._formats(headers)
        matrix = self._whole(values, formats) if self._plain(messages, values, headers) else None
        if matrix is not None and self._not_finite(matrix) is None and self._astray(matrix) is None:
            return self._rows(matrix, messages), []
        whole = [Headless(m) if found is UNREADABLE else m for m, found in zip(messages, headers, strict=True)]
        return self._one_by_one(whole, values, formats)

    def _formats(self, headers: list[Any]) -> list[str]:
        """The format of each message, by its header or the default."""
        if not any(headers):
            return [self.default_format] * len(headers)
        return [_last(found, FORMAT_HEADER) or self.default_format for found in headers]

    def _plain(self, messages: Sequence[Message], values: list[Any], headers: list[Any]) -> bool:
        """Whether nothing in the batch is empty or oversized."""
        if not all(values) or max(map(len, values), default=0) > self.max_row_bytes:
            return False
        keys = filter(None, [message.key() for message in messages])
        if max(map(len, keys), default=0) > MAX_NAME_BYTES:
            return False
        return not any(headers) or not any(found is UNREADABLE or _long_row_id(found) for found in headers)

    def _whole(self, values: list[bytes], formats: list[str]) -> NDArray[np.float32] | None:
        """The matrix of a batch of one format, or None where a value is no row."""
        kinds = set(formats)
        if kinds == {"packed"}:
            return self._whole_packed(values)
        if kinds == {"json"}:
            return self._whole_json(values)
        return None

    def _whole_packed(self, values: list[bytes]) -> NDArray[np.float32] | None:
        if any(len(value) != 4 * self.width for value in values):
            return None
        return np.frombuffer(b"".join(values), "<f4").reshape(-1, self.width).astype(np.float32, copy=False)

    def _whole_json(self, values: list[bytes]) -> NDArray[np.float32] | None:
        try:
            if not all(map(bytes.isascii, values)):
                for value in values:
                    value.decode("utf-8")  # msgspec does not look into the fields it skips
            # Row by row down to the array: a list of all rows would leave the processor's cache and cost a third more.
            return self._matrix(map(msgspec.structs.astuple, map(self._json, values)), len(values))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None

    def _matrix(self, numbers: Iterable[Numbers], count: int) -> NDArray[np.float32]:
        """float64 as JSON has it, then float32: the same rounding as history's own."""
        if self.schema.optional:
            wide = np.array(list(numbers), dtype=np.float64)
        else:
            # One flat iterator of numbers: the fastest way from Python objects to an array that was measured.
            wide = np.fromiter(chain.from_iterable(numbers), np.float64, count=count * self.width)
        return to_float32(wide.reshape(-1, self.width))

    def _not_finite(self, matrix: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Where rows hold what is no number, or None where all are well."""
        finite = np.isfinite(matrix)
        if finite.all():
            return None
        wrong = ~finite & (self._must | ~np.isnan(matrix))
        return wrong if wrong.any() else None

    def _astray(self, matrix: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Where text and boolean features (n, k) hold what is no position, 0 or 1; None where all are well."""
        if not self._stepped.size:
            return None
        part = matrix[:, self._stepped]
        wrong = (part < 0) | (part > self._largest) | (part != np.floor(part)) & ~np.isnan(part)
        return wrong if wrong.any() else None

    def _one_by_one(
        self, messages: Sequence[Message], values: list[Any], formats: list[str]
    ) -> tuple[Rows, list[Reject]]:
        kept: list[Message] = []
        vectors: list[NDArray[np.float32]] = []
        rejects: list[Reject] = []
        for message, value, format_ in zip(messages, values, formats, strict=True):
            vector = self._one(message, value, format_)
            if isinstance(vector, Refusal):
                rejects.append(Reject(message, vector.reason, vector.detail))
            else:
                kept.append(message)
                vectors.append(vector)
        matrix = np.concatenate(vectors) if vectors else np.empty((0, self.width), np.float32)
        return self._rows(matrix, kept), rejects

    def _one(self, message: Message, value: Any, format_: str) -> NDArray[np.float32] | Refusal:
        if isinstance(message, Headless):
            return Refusal("not_utf8", "the name of a header is not UTF-8")
        if not value:
            return Refusal("empty", "the message has no value")
        if len(value) > self.max_row_bytes:
            return Refusal("too_large", f"{len(value)} bytes, at most {self.max_row_bytes} make a row")
        if _long_name(message):
            return Refusal("too_large", f"key or row-id longer than {MAX_NAME_BYTES} bytes")
        if format_ not in FORMATS:
            return Refusal("unknown_format", f"format {format_[:40]!r} is none of {', '.join(FORMATS)}")
        vector = self._one_packed(value) if format_ == "packed" else self._one_json(value)
        return vector if isinstance(vector, Refusal) else self._refused(vector) or vector

    def _refused(self, vector: NDArray[np.float32]) -> Refusal | None:
        """Why the numbers of one row (1, d) are no row."""
        if (wrong := self._not_finite(vector)) is not None:
            name = self.schema.features[int(np.argmax(wrong[0]))]
            return Refusal("not_finite", f"feature {name!r} is NaN, infinite or beyond float32")
        if (wrong := self._astray(vector)) is None:
            return None
        place = int(self._stepped[np.argmax(wrong[0])])
        name, number = self.schema.features[place], vector[0, place]
        if name in self.schema.booleans:
            return Refusal("not_a_number", f"feature {name!r} is {number:g}, a boolean wanted")
        most = self.schema.largest(name)
        return Refusal("not_a_category", f"feature {name!r} is {number:g}, a position from 0 to {most} wanted")

    def _one_packed(self, value: bytes) -> NDArray[np.float32] | Refusal:
        matrix = self._whole_packed([value])
        if matrix is not None:
            return matrix
        return Refusal("wrong_length", f"{len(value)} bytes, {4 * self.width} wanted for {self.width} features")

    def _one_json(self, value: bytes) -> NDArray[np.float32] | Refusal:
        matrix = self._whole_json([value])
        if matrix is not None:
            return matrix
        numbers = _read_slowly(value, self.schema)
        return numbers if isinstance(numbers, Refusal) else self._matrix([numbers], 1)

    def _rows(self, matrix: NDArray[np.float32], messages: Sequence[Message]) -> Rows:
        count = len(messages)
        return Rows(
            matrix=matrix,
            partition=np.fromiter((m.partition() for m in messages), np.int32, count),
            offset=np.fromiter((m.offset() for m in messages), np.int64, count),
            timestamp=np.fromiter((m.timestamp()[1] for m in messages), np.int64, count),
            messages=messages,
        )


def to_float32(wide: NDArray[np.float64]) -> NDArray[np.float32]:
    """The one rounding from float64 to float32 that history and stream share; what overflows becomes infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(wide, np.float32)


def _headers(messages: Sequence[Message]) -> list[Any]:
    found: list[Any] = []
    for message in messages:
        try:
            found.append(message.headers())
        except SystemError:  # confluent_kafka, where a header's name is not UTF-8
            found.append(UNREADABLE)
    return found


def header(message: Message, name: str) -> str | None:
    """The text of a message's last header of that name, or None."""
    return _last(message.headers(), name)


def _last(headers: Any, name: str) -> str | None:
    found = None
    for key, value in headers or ():
        if key == name:
            found = value
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


def text(key: Any) -> str | None:
    """A message's key for people and JSON."""
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else key


def _long_name(message: Message) -> bool:
    return len(message.key() or b"") > MAX_NAME_BYTES or _long_row_id(message.headers())


def _long_row_id(headers: Any) -> bool:
    return any(name == ROW_ID_HEADER and len(value or b"") > MAX_NAME_BYTES for name, value in headers or ())


class Category(float, Enum):
    """A text feature's value as msgspec finds it by its text: a number, its position, ready for an array.

    One made by `_category` has a member for each value, and one for all others. That members are floats costs nothing
    when numpy takes them; a method `__float__` would be called for each.
    """

    def __new__(cls, text: str, position: int) -> Category:
        self = float.__new__(cls, position)
        self._value_ = text
        return self

    @classmethod
    def _missing_(cls, value: object) -> Category:
        return cls["OTHER"]

    __repr__ = object.__repr__  # float's own would be given the text


OTHER = "?" * (LONGEST_CATEGORY + 1)
"""The text of the member that stands for all texts that are no value: too long to be one."""


def _category(values: Sequence[str]) -> Any:
    members = {f"VALUE_{position}": (text, position) for position, text in enumerate(values)}
    return Category("Value", members | {"OTHER": (OTHER, len(values))})  # type: ignore[arg-type]


def _json_type(schema: Schema, name: str) -> Any:
    if name in schema.categories:
        return _category(schema.categories[name])
    return bool | float if name in schema.booleans else float


def _json_decoder(schema: Schema) -> Callable[[bytes], Any]:
    """One msgspec struct for the schema, its fields in the schema's order."""
    fields: list[Any] = []
    for index, name in enumerate(schema.features):
        kind = _json_type(schema, name)
        fields.append((f"f{index}", kind | None, None) if name in schema.optional else (f"f{index}", kind))
    names = {f"f{index}": name for index, name in enumerate(schema.features)}
    struct = msgspec.defstruct("Row", fields, rename=names, gc=False, kw_only=True)
    return msgspec.json.Decoder(struct).decode


def _read_slowly(value: bytes, schema: Schema) -> Numbers | Refusal:
    """Reads one JSON value to find what is wrong with it."""
    try:
        found = json.loads(value.decode("utf-8"), parse_int=float)
    except UnicodeDecodeError as error:
        return Refusal("not_utf8", f"byte {error.start} is not UTF-8")
    except (ValueError, RecursionError) as error:
        return Refusal("not_json", f"{error}"[:200])
    if not isinstance(found, dict):
        return Refusal("not_an_object", f"a JSON {type(found).__name__}, an object wanted")
    return _numbers(found, schema)


def _numbers(found: dict[str, Any], schema: Schema) -> Numbers | Refusal:
    numbers: list[float | None] = []
    for name in schema.features:
        value = found.get(name)
        if value is None and name in schema.optional:
            numbers.append(None)
        elif name not in found:
            return Refusal("missing_feature", f"feature {name!r} is absent")
        elif isinstance(number := _number(value, name, schema), Refusal):
            return number
        else:
            numbers.append(number)
    return tuple(numbers)


def _number(value: Any, name: str, schema: Schema) -> float | Refusal:
    """What the matrix holds for the value of one feature that is there."""
    told = f"feature {name!r} is a {type(value).__name__}"
    if name in schema.categories:
        if not isinstance(value, str):
            return Refusal("not_a_category", f"{told}, text wanted")
        values = schema.categories[name]
        return float(values.index(value) if value in values else len(values))
    if name in schema.booleans and isinstance(value, bool):
        return float(value)
    if not isinstance(value, float):
        return Refusal("not_a_number", f"{told}, a {'boolean' if name in schema.booleans else 'number'} wanted")
    return value if math.isfinite(value) else Refusal("not_finite", f"feature {name!r} is {value}")


def encode_packed(matrix: NDArray[np.float32]) -> list[bytes]:
    """Each row of a float32 (n, d) matrix as little-endian bytes, nothing else."""
    width = 4 * matrix.shape[1]
    data = np.ascontiguousarray(matrix, "<f4").tobytes()
    return [data[start : start + width] for start in range(0, len(data), width)]


def encode_json(rows: Iterable[dict[str, Any]]) -> list[bytes]:
    """Each row as a JSON object; numbers keep every digit of their float64."""
    encode = msgspec.json.Encoder().encode
    return [encode(row) for row in rows]
