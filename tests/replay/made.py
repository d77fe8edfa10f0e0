"""What the replay's tests share: tables as batches and files, a broker and a clock of our own."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from detector.errors import Failure
from detector.kafka import Record
from detector.schema import Schema
from replay import columns as roles
from replay.batch import Batch, joined
from replay.encoding import encoded, encoder
from replay.files import TableFile
from replay.history import Reading
from replay.order import block_of, in_memory
from replay.pace import parse
from replay.plan import Clock, Plan, Stop
from replay.publish import Replay
from replay.settings import Settings
from replay.source import Files

WALL = 1_700_000_000.0
OPEN: list[Files] = []
"""Histories that are closed when the test ends."""

PLAN = ("labels", "original", "start", "timeout", "format", "unit")
"""What is told of a replay's plan by its name."""

OLDER = 100
"""Offset of the first row: the topic held rows before."""


def asked(**given: Any) -> Settings:
    return Settings(bootstrap_servers="nowhere:1", **given)


def batch_of(frame: pd.DataFrame, schema: Schema | None = None, **given: Any) -> Batch:
    """All rows of a table in their order, encoded."""
    chosen = asked(**given)
    found = roles.resolved(frame, roles.asked(chosen, schema), chosen.format)
    if found.time is None:
        roles.refuse_without_time(chosen)
    file = TableFile(Path("rows"), 0, ())
    block = block_of(frame, file.event(frame, found.time), 0)
    if block.event is not None:
        block = next(in_memory(block).blocks(max(len(frame), 1)))
    rows = Reading(found, "rows", original=chosen.timestamps == "original").batch(block)
    return next(encoded(encoder(chosen.format, found), len(frame))(iter([rows])))


def cut(batch: Batch, rows: int = 1000) -> Iterator[Batch]:
    """The same rows, so many at a time."""
    for start in range(0, len(batch), rows):
        yield batch.take(slice(start, start + rows))


def whole(batches: Iterator[Batch]) -> Batch:
    """All rows of batches as one."""
    return joined(list(batches))


def files(*paths: Path | str, whole_bytes: int = 1 << 30, schema: Schema | None = None, **given: Any) -> Files:
    """The rows of files. whole_bytes: 0 streams them."""
    said: list[str] = []
    OPEN.append(Files([str(path) for path in paths], asked(**given), schema, said.append, whole_bytes))
    return OPEN[-1]


def ids(batch: Batch) -> list[str]:
    return [row_id.decode() for row_id in batch.row_ids.tolist()]


def rows(batch: Batch) -> list[Any]:
    assert batch.values is not None
    return [json.loads(value) for value in batch.values.tolist()]


def numbers(batch: Batch) -> list[tuple[float, ...]]:
    assert batch.values is not None
    return [struct.unpack(f"<{len(value) // 4}f", value) for value in batch.values.tolist()]


class World:
    """A broker and a clock: time passes while the sender polls and nothing has arrived."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, Record, int]] = []
        self.acknowledged = self.others = self.failed = 0
        self.first_error: Failure | None = None
        self.starts: dict[tuple[str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self.pending: list[tuple[Record, bool]] = []
        self.refused: set[bytes] = set()
        self.silent = False
        self.seconds_to_send = 0.0
        self.on_send: Callable[[], None] = lambda: None
        self.on_poll: Callable[[], None] = lambda: None

    def send(self, record: Record, timestamp: int, counted: bool = True) -> None:
        self.sent.append((self.now, record, timestamp))
        self.pending.append((record, counted))
        self.now += self.seconds_to_send
        self.on_send()

    def send_all(self, records: Sequence[Record], timestamps: Sequence[int]) -> None:
        for record, timestamp in zip(records, timestamps, strict=True):
            self.send(record, timestamp)

    def poll(self, seconds: float = 0.0) -> None:
        self.on_poll()
        if self.silent or not self.pending:
            self.now += seconds
            return
        for record, counted in self.pending:
            self._answer(record, counted)
        self.pending.clear()

    def _answer(self, record: Record, counted: bool) -> None:
        if row_id(record) in self.refused:
            self.failed += 1
            self.first_error = self.first_error or Failure("too large")
            return
        place = (record.topic, len(self.ends) % 2)
        self.starts.setdefault(place, OLDER)
        self.ends[place] = self.ends.get(place, OLDER) + 1
        self.acknowledged += counted
        self.others += not counted

    def waiting(self) -> int:
        return len(self.pending)

    def answered(self) -> int:
        return len(self.sent) - len(self.pending)

    def settle(self) -> None:
        self.failed += len(self.pending)
        self.pending.clear()

    def rows(self) -> list[tuple[float, Record, int]]:
        return [one for one in self.sent if one[1].topic == "rows"]

    def labels(self) -> list[tuple[float, Record, int]]:
        return [one for one in self.sent if one[1].topic == "truth"]

    def order(self) -> list[str]:
        return [row_id(record).decode() for _, record, _ in self.rows()]

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: WALL + self.now)


def row_id(record: Record) -> bytes:
    return dict(record.headers).get("row-id") or record.key or b""


class Silence:
    """A watch that nobody looks at."""

    every = 1.0

    def __init__(self) -> None:
        self.shown: list[tuple[int, float, str]] = []
        self.said: list[str] = []

    def show(self, sent: int, seconds: float, waiting: str) -> None:
        self.shown.append((sent, seconds, waiting))

    def say(self, line: str) -> None:
        self.said.append(line)


def replay(world: World, batch: Batch, speed: str = "max", **given: Any) -> Replay:
    """A replay of a batch's rows to the topic `rows` of a world. given: of Plan, and of Replay."""
    plan = {name: given.pop(name) for name in PLAN if name in given}
    told = Plan("rows", plan.pop("labels", None), parse(speed), **plan)
    watch, stop = given.pop("watch", Silence()), given.pop("stop", Stop())
    return Replay(cut(batch), told, world, watch, stop, clock=world.clock(), **given)


def long_parquet(path: Path, most: int, features: int = 30, shuffled: bool = False, group: int = 100_000) -> int:
    """Writes random float32 columns and an event time until the file has so many bytes; returns the rows."""
    rng = np.random.default_rng(0)
    kinds = [pa.field(f"v{number}", pa.float32()) for number in range(features)]
    schema = pa.schema([*kinds, pa.field("time", pa.int64())])
    rows = 0
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        while path.stat().st_size < most:
            times = rng.integers(0, 10**6, group) if shuffled else np.arange(rows, rows + group) // 100
            columns = [pa.array(one) for one in rng.random((features, group), dtype=np.float32)]
            writer.write_table(pa.table([*columns, pa.array(times)], schema=schema))
            rows += group
    return rows
