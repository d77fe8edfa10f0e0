"""Messages to rows: whole batches the fast way, and message by message where one of them is no row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.rows.avro import AvroRows, Registry
from detector.rows.event_time import EventTimes, TimeField
from detector.rows.json_rows import JsonRows, json_field
from detector.rows.messages import (
    FORMAT_HEADER,
    MAX_NAME_BYTES,
    ROW_ID_HEADER,
    UNREADABLE,
    Batch,
    Headless,
    Message,
    Parts,
    headers_of,
    last,
    long_row_id,
    row_ids,
)
from detector.rows.notes import Note
from detector.rows.packed import PackedRows
from detector.rows.paths import Layout
from detector.rows.refusals import Refusal, Reject
from detector.rows.values import Kind, Reader
from detector.schema import Schema

FORMATS = ("json", "packed", "avro")

NO_REGISTRY = "format 'avro' needs a schema registry, and none is configured"


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoded rows of one batch, in the order in which they were read.

    matrix: float32 (n, d). batch: their messages, for the few whose key and headers are wanted. clock: what finds
    their event times; None where those are their messages' timestamps. headers: those of the messages, where they are
    at hand: to ask for them again takes as long as to read them.
    """

    matrix: NDArray[np.float32]
    batch: Batch
    clock: EventTimes | None = None
    headers: Sequence[Any] | None = None

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def partition(self) -> NDArray[np.int32]:
        """int32 (n,)."""
        return self.batch.partition

    @property
    def offset(self) -> NDArray[np.int64]:
        """int64 (n,)."""
        return self.batch.offset

    @property
    def messages(self) -> Sequence[Message]:
        """The n messages."""
        return self.batch.messages

    @property
    def parts(self) -> Parts:
        """The places of each partition's rows."""
        return self.batch.parts

    def times(self, places: Sequence[int] | NDArray[np.intp] | None = None) -> NDArray[np.int64]:
        """Event times (k,) of the rows at these places, of all where none are named, ms since 1970 UTC."""
        asked = self.messages
        if places is not None:
            asked = [self.messages[i] for i in np.asarray(places, np.intp).tolist()]
        found = [message.timestamp()[1] if self.clock is None else self.clock.of(message) for message in asked]
        return np.fromiter(found, np.int64, len(found))

    def ids(self) -> list[str | None]:
        """The sender's number for each row, None where it gave none."""
        return row_ids(headers_of(self.messages) if self.headers is None else self.headers)


class Decoder:
    """Turns messages into rows of one schema.

    A batch is first decoded whole, which is the fast way; where that fails, message by message, so that a bad
    one costs its neighbours nothing but time. It keeps nothing from one batch to the next; one that does overrides
    `fresh` to `waiting`.

    samples: messages that make a row. reach: a row's first message lies no more offsets before its last one.
    """

    samples: int = 1
    reach: int = 0

    def __init__(
        self,
        schema: Schema,
        default_format: str = "json",
        max_row_bytes: int = 1 << 20,
        fields: Mapping[str, str] | None = None,
        registry: Registry | None = None,
        time_field: str = "",
        kind: Kind = np.float32,
    ) -> None:
        """ValueError where a format, a path or the time field is none.

        fields: by feature, the path under which it is found, `payload.v1`, where that is not its name. registry: what
        gives the schemas of Avro. time_field: `NAME[:unit]`, the field of a row's event time; empty for its message's.
        kind: of the matrix' numbers; packed rows hold such numbers, too.
        """
        if default_format not in FORMATS:
            raise ValueError(f"format {default_format!r} is none of {', '.join(FORMATS)}")
        if default_format == "avro" and registry is None:
            raise ValueError(NO_REGISTRY)
        self.schema = schema
        self.width = len(schema.features)
        self.default_format = default_format
        self.max_row_bytes = max_row_bytes
        layout = Layout.of(schema, fields)
        self._kind = kind
        json, avro = JsonRows(layout, kind), AvroRows(layout, registry, kind) if registry else None
        self._readers: dict[str, Reader] = {"json": json, "packed": PackedRows(self.width, kind)}
        if avro:
            self._readers["avro"] = avro
        self._clock: EventTimes | None = None
        if time_field:
            time = TimeField.parse(time_field)
            lookups = {"json": json_field(time.path)} | ({"avro": avro.field(time.path)} if avro else {})
            self._clock = EventTimes(time, lookups, default_format)
        self._must = np.array([name not in schema.optional for name in schema.features])
        largest = [schema.largest(name) for name in schema.features]
        self._stepped = np.flatnonzero([one is not None for one in largest])
        self._largest = np.array([one for one in largest if one is not None], np.float32)
        self._infinite = [
            Refusal("not_finite", f"feature {name!r} is NaN, infinite or beyond float32") for name in schema.features
        ]

    def decode(self, messages: Sequence[Message] | Batch) -> tuple[Rows, list[Reject]]:
        """Rows and rejects of a batch; together they are all its messages."""
        batch = messages if isinstance(messages, Batch) else Batch.of(messages)
        values = [message.value() for message in batch.messages]
        headers = headers_of(batch.messages)
        common = self._common(values, headers, batch.messages)
        matrix = self._readers[common].whole(values) if common else None
        if matrix is None:
            return self._each(values, headers, batch, common)
        refused: dict[int, Refusal] = {}
        well = self._well(matrix, np.arange(len(batch)), refused)
        if not refused:
            return Rows(matrix, batch, self._clock, headers), []
        return Rows(matrix[well], batch.take(np.flatnonzero(well)), self._clock), _rejects(refused, headers, batch)

    def fresh(self) -> Decoder:
        """The same with nothing kept, to decode another stretch of the log."""
        return self

    def note(self, partition: int) -> str:
        """What to commit with a partition's offset, so that its next owner finds what is kept of it."""
        return ""

    def begin(self, positions: Mapping[int, int], told: Mapping[int, str]) -> dict[int, int]:
        """Partitions come. told: what was committed beside their positions, empty where nothing was.

        Returns the offsets from which on their messages below the positions are to be decoded again, before `resume`.
        ValueError where they were read as signals: of what waited nothing would be told.
        """
        for partition in positions:
            if note := Note.read(told[partition]):
                raise ValueError(f"partition {partition} was read as signals, with {note}, and is now as rows")
        return {}

    def resume(self, partitions: Iterable[int]) -> None:
        """What was kept of partitions is kept again."""

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member."""

    def open_offsets(self, partition: int) -> list[int]:
        """The offsets of a partition's messages that wait for others to be a row, in order."""
        return []

    def waiting(self) -> dict[int, int]:
        """By partition, messages that wait for others to be a row."""
        return {}

    def _common(self, values: list[Any], headers: list[Any], messages: Sequence[Message]) -> str | None:
        """The format of all messages of a batch; None where there are several, or one is no row whatever it says."""
        if not all(values) or max(map(len, values), default=0) > self.max_row_bytes:
            return None
        keys = filter(None, [message.key() for message in messages])
        if max(map(len, keys), default=0) > MAX_NAME_BYTES:
            return None
        if not any(headers):
            return self.default_format
        formats: set[bytes | None] = set()
        for found in headers:
            format_ = None
            for name, value in found or ():
                if name == FORMAT_HEADER:
                    format_ = value
                elif not name or (name == ROW_ID_HEADER and len(value or b"") > MAX_NAME_BYTES):
                    return None  # the name that UNREADABLE has, and perhaps another
            formats.add(format_)
        names = {self._format([(FORMAT_HEADER, one)]) for one in formats}
        return next(iter(names)) if len(names) == 1 and names <= self._readers.keys() else None

    def _format(self, headers: Any) -> str:
        """A message's format, by its header or the default."""
        return last(headers, FORMAT_HEADER) or self.default_format

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

    def _each(
        self, values: list[Any], headers: list[Any], batch: Batch, common: str | None
    ) -> tuple[Rows, list[Reject]]:
        """Rows and rejects of a batch in which anything may be; common: the format of all, if they have one."""
        refused: dict[int, Refusal] = {}
        of_format: dict[str, Sequence[int]] = {}
        if common:
            of_format[common] = range(len(values))
        else:
            of_format = self._sorted(values, headers, batch.messages, refused)
        matrix, kept = self._read(values, of_format, refused)
        return Rows(matrix, batch.take(kept), self._clock), _rejects(refused, headers, batch)

    def _sorted(
        self, values: list[Any], headers: list[Any], messages: Sequence[Message], refused: dict[int, Refusal]
    ) -> dict[str, Sequence[int]]:
        """By format, the places of messages that may be rows; adds the others to `refused`."""
        of_format: dict[str, list[int]] = {}
        for place, (message, value, found) in enumerate(zip(messages, values, headers, strict=True)):
            refusal = self._unfit(message, value, found)
            if refusal:
                refused[place] = refusal
            else:
                of_format.setdefault(self._format(found), []).append(place)
        return dict(of_format)

    def _unfit(self, message: Message, value: Any, headers: Any) -> Refusal | None:
        """Why a message is no row, whatever its value says."""
        if headers is UNREADABLE:
            return Refusal("not_utf8", "the name of a header is not UTF-8")
        if not value:
            return Refusal("empty", "the message has no value")
        if len(value) > self.max_row_bytes:
            return Refusal("too_large", f"{len(value)} bytes, at most {self.max_row_bytes} make a row")
        if len(message.key() or b"") > MAX_NAME_BYTES or long_row_id(headers):
            return Refusal("too_large", f"key or row-id longer than {MAX_NAME_BYTES} bytes")
        if (name := self._format(headers)) not in self._readers:
            told = NO_REGISTRY if name in FORMATS else f"format {name[:40]!r} is none of {', '.join(FORMATS)}"
            return Refusal("unknown_format", told)
        return None

    def _read(
        self, values: list[Any], of_format: Mapping[str, Sequence[int]], refused: dict[int, Refusal]
    ) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """The rows in the batch's order, and their places; adds what is none to `refused`."""
        matrices, kept = [np.empty((0, self.width), self._kind)], [np.empty(0, np.intp)]
        for name, places in of_format.items():
            found = self._readers[name].each([values[place] for place in places])
            refused |= {places[place]: why for place, why in found.refused.items()}
            at = np.array([places[place] for place in found.kept], np.intp)
            well = self._well(found.matrix, at, refused)
            matrices.append(found.matrix[well])
            kept.append(at[well])
        order = np.argsort(np.concatenate(kept))
        return np.concatenate(matrices)[order], np.concatenate(kept)[order]

    def _well(
        self, matrix: NDArray[np.float32], at: NDArray[np.intp], refused: dict[int, Refusal]
    ) -> NDArray[np.bool_]:
        """Which rows (n,) hold what they may; adds the others, by their places `at`, to `refused`."""
        well = np.ones(len(matrix), np.bool_)
        if (wrong := self._not_finite(matrix)) is not None:
            rows = np.flatnonzero(wrong.any(1))
            first = np.argmax(wrong[rows], axis=1)
            refused |= {
                place: self._infinite[one] for place, one in zip(at[rows].tolist(), first.tolist(), strict=True)
            }
            well[rows] = False
        if (wrong := self._astray(matrix)) is not None:
            for row in np.flatnonzero(wrong.any(1) & well).tolist():
                place = int(self._stepped[np.argmax(wrong[row])])
                refused[int(at[row])] = self._off_step(place, matrix[row, place])
                well[row] = False
        return well

    def _off_step(self, place: int, number: np.float32) -> Refusal:
        name = self.schema.features[place]
        if name in self.schema.booleans:
            return Refusal("not_a_number", f"feature {name!r} is {number:g}, a boolean wanted")
        most = self.schema.largest(name)
        return Refusal("not_a_category", f"feature {name!r} is {number:g}, a position from 0 to {most} wanted")


def _rejects(refused: dict[int, Refusal], headers: list[Any], batch: Batch) -> list[Reject]:
    """The rejects, in the batch's order."""
    messages = batch.messages
    return [
        Reject(_safe(messages[place], headers[place]), refused[place].reason, refused[place].detail)
        for place in sorted(refused)
    ]


def _safe(message: Message, headers: Any) -> Message:
    return Headless(message) if headers is UNREADABLE else message
