"""Rows as the samples of signals, one a message: what the detector's `--window-samples` cuts back into rows.

A row's samples begin at its event time and are spread evenly up to the next row of its key. They take the usual length,
that of their number at the rate that is told, where that row is more than GAP such lengths away or none comes. Without
event times every row takes the usual length, and begins where its key's row before ended, but never before the row
above it in the data. The samples of all keys come in the order of their times, ties by row: a function of the rows,
whatever the batches in which these come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import UsageError
from replay.batch import Batch, Objects, Stage, objects
from replay.columns import Columns
from replay.encoding import Values, json_values

GAP = 10
"""A key's next row that is more usual lengths away is no neighbour: the signal stands still in between."""

SAMPLES = 1 << 16
"""Samples of the rows that are looked at together; about as many come out in a batch."""

UNKNOWN, END = -1, 1 << 62

SAMPLE = Columns(("value", "sample"), key=None, time=None, label=None, normal="")
"""What a sample holds: its value, and its running number in its signal."""

Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PackedSamples:
    """matrix: float64 (n, 2), value and number."""

    matrix: NDArray[np.float64]

    def encode(self, rows: slice) -> list[bytes]:
        """Each sample's two numbers, little-endian."""
        data = np.ascontiguousarray(self.matrix[rows], "<f8").tobytes()
        return [data[start : start + 16] for start in range(0, len(data), 16)]


def sample_encoder(format_: str) -> Callable[[pd.DataFrame], Values]:
    """How samples become values in a format. A value that is missing is NaN packed, and left out of JSON."""
    if format_ == "packed":
        return lambda frame: PackedSamples(frame.to_numpy(np.float64))
    return lambda frame: json_values(frame, SAMPLE)


def as_signal(columns: Columns, name: str, rate: float) -> Stage:
    """The stage that makes samples of rows. name: the key of rows that have none. rate: samples a second."""

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        return _interleaved(_Clock(columns, name.encode(), rate).timed(batches))

    return stage


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of signals in order. values: float64 (n, N). All else is (n,): number, that of the first sample; start, its
    time, ms; span, from there to the row's end, ms, UNKNOWN while nobody knows; sent, how many samples are out."""

    row_ids: Objects
    keys: Objects
    anomalous: NDArray[np.bool_] | None
    values: NDArray[np.float64]
    number: Longs
    start: Longs
    span: Longs
    sent: Longs

    def take(self, which: NDArray[np.bool_]) -> Rows:
        """These rows."""
        parts: list[Any] = [None if part is None else part[which] for part in self._parts()]
        return Rows(*parts)

    def with_(self, other: Rows) -> Rows:
        """These rows, and others behind them."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        parts: list[Any] = [None if one is None else np.concatenate([one, more]) for one, more in pairs]
        return Rows(*parts)

    def _parts(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


class _Clock:
    """Finds when rows begin and how long they take. name: the key of rows that have none. rate: samples a second."""

    def __init__(self, columns: Columns, name: bytes, rate: float) -> None:
        self._features, self._name = columns.features, name
        self._usual = round(1000 * len(columns.features) / rate)
        self._latest = 0 if columns.time is None else -END
        self._numbers: dict[bytes, int] = {}
        self._ends: dict[bytes, int] = {}
        self._open: dict[bytes, tuple[Longs, int, int]] = {}
        self._waiting: deque[Rows] = deque()

    def timed(self, batches: Iterator[Batch]) -> Iterator[Rows]:
        """The rows in their order, once it is known how long they take."""
        most = max(SAMPLES // len(self._features), 1)
        for batch in batches:
            for first in range(0, len(batch), most):
                self._waiting.append(self._begun(batch.take(slice(first, first + most))))
                yield from self._known(self._latest)
        yield from self._known(END)

    def _begun(self, batch: Batch) -> Rows:
        if batch.frame is None:
            raise UsageError("setting as_signal makes samples of columns, which some rows have no more")
        values, keys = table.wide(batch.frame, self._features), self._keys(batch)
        start, span = self._in_turn(keys) if batch.event is None else self._at(keys, batch.event)
        named = batch.row_ids, objects(keys), batch.anomalous
        return Rows(*named, values, self._numbered(keys), start, span, np.zeros(len(batch), np.int64))

    def _keys(self, batch: Batch) -> list[bytes]:
        if batch.keys is None:
            return [self._name] * len(batch)
        return [self._name if key is None else key for key in batch.keys.tolist()]

    def _numbered(self, keys: list[bytes]) -> Longs:
        found = []
        for key in keys:
            found.append(self._numbers.get(key, 0))
            self._numbers[key] = found[-1] + len(self._features)
        return np.array(found, np.int64)

    def _in_turn(self, keys: list[bytes]) -> tuple[Longs, Longs]:
        """Starts and spans without event times."""
        found = []
        for key in keys:
            self._latest = max(self._latest, self._ends.get(key, 0))
            self._ends[key] = self._latest + self._usual
            found.append(self._latest)
        return np.array(found, np.int64), np.full(len(keys), self._usual)

    def _at(self, keys: list[bytes], event: Longs) -> tuple[Longs, Longs]:
        """Starts, where time never goes back, and spans yet to be told; tells them to the rows before."""
        start = np.maximum(np.maximum.accumulate(event), self._latest)
        span = np.full(len(keys), UNKNOWN)
        for place, (key, moment) in enumerate(zip(keys, start.tolist(), strict=True)):
            if before := self._open.get(key):
                spans, at, since = before
                spans[at] = moment - since if moment - since <= GAP * self._usual else self._usual
            self._open[key] = span, place, moment
        self._latest = int(start[-1])
        return start, span

    def _known(self, now: int) -> Iterator[Rows]:
        """The rows at the head that wait for no other one any more. now: no row to come begins before, ms."""
        while self._waiting:
            head = self._waiting[0]
            head.span[(head.span == UNKNOWN) & (now - head.start > GAP * self._usual)] = self._usual
            if (head.span == UNKNOWN).any():
                return
            yield self._waiting.popleft()


def _interleaved(timed: Iterator[Rows]) -> Iterator[Batch]:
    """The samples of rows that come in the order of their starts."""
    held: Rows | None = None
    for rows in timed:
        held = rows if held is None else held.with_(rows)
        held, batch = _due(held, int(rows.start[-1]))
        if len(batch):
            yield batch
    if held is not None:
        yield _due(held, END)[1]


def _due(rows: Rows, until: int) -> tuple[Rows, Batch]:
    """The samples before a time, ms, in order, and the rows that still have others."""
    width, spans = rows.values.shape[1], np.maximum(rows.span, 1)
    left = np.clip(until - rows.start, 0, spans)
    due = np.maximum(-(-left * width // spans), rows.sent)  # those with sample * span // width < left
    count = due - rows.sent
    row = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(row)) + np.repeat(due - np.cumsum(count), count)
    event = rows.start[row] + place * rows.span[row] // width
    order = np.argsort(event, kind="stable")
    row, place = row[order], place[order]
    frame = pd.DataFrame({"value": rows.values[row, place], "sample": rows.number[row] + place})
    batch = Batch(
        rows.row_ids[row],
        event[order],
        rows.keys[row],
        None if rows.anomalous is None else rows.anomalous[row],
        frame,
        last=place == width - 1,
    )
    rows.sent[:] = due
    return rows.take(due < width), batch
