"""Files to rows in order: held whole where they are small, else looked through and streamed, or sorted on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from detector import table
from detector.errors import DataRefused
from detector.schema import Schema
from replay import columns as roles
from replay import files as disk
from replay.batch import Batch
from replay.columns import Columns
from replay.encoding import encoder
from replay.files import TableFile
from replay.history import Reading
from replay.order import MOST_ROWS, Block, Run, block_of, in_memory, merged, spilled, width
from replay.settings import FILE, ORIGINAL, Settings

WHOLE_BYTES = 192 << 20
"""Rows of all files together that are held in memory rather than streamed."""

TOLD_SECONDS = 5.0
"""How often it is told how far the sorting is."""

HEAD_ROWS = 1_000
"""Rows that are tried out before the first is sent."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Survey:
    """What looking through a file's times told: rows, the earliest and the latest, whether they are in order."""

    rows: int
    first: int
    last: int
    in_order: bool


def survey(file: TableFile, time_column: str) -> Survey:
    """Reads the times of a file, and nothing else. Raises DataRefused."""
    rows, first, last, latest, in_order = 0, (1 << 63) - 1, -(1 << 63), -(1 << 63), True
    for block in file.blocks([time_column], time_column):
        event = block.event
        assert event is not None
        in_order = in_order and int(event[0]) >= latest and bool((np.diff(event) >= 0).all())
        latest = int(event[-1])
        rows, first, last = rows + len(block), min(first, int(event.min())), max(last, int(event.max()))
    return Survey(rows, first, last, in_order)


class Files:
    """Rows of tables on disk, by their event times or as they stand. See `replay.history.History`."""

    def __init__(
        self, data: Sequence[str], chosen: Settings, schema: Schema | None, say: Say, whole_bytes: int = WHOLE_BYTES
    ) -> None:
        self._files, self._say = disk.found(data), say
        self.name = str(self._files[0].path) + (f" and {len(self._files) - 1} more" if len(self._files) > 1 else "")
        self._folder: TemporaryDirectory[str] | None = None
        features = roles.asked(chosen, schema).features
        heads = self._heads(features, sum(file.size for file in self._files) <= whole_bytes)
        try:
            self.columns: Columns = roles.resolved(heads[0], roles.asked(chosen, schema), chosen.row_format)
            encoder(chosen.row_format, self.columns)(heads[0].head(HEAD_ROWS))
        except DataRefused as refused:
            raise DataRefused(f"data {self._files[0].path}: {refused}") from refused
        if self.columns.time is None:
            roles.refuse_without_time(chosen)
        self._unite(heads, bool(features))
        self._by_time = self.columns.time is not None and chosen.order != FILE
        original = chosen.timestamps == ORIGINAL
        self._reading = Reading(self.columns, self.name, disk.names(self._files), original)
        blocks = [self._checked(file, head) for file, head in zip(self._files, heads, strict=True)]
        self._held, self._widths = blocks if self._whole else [], [width(head) for head in heads]
        self.rows: int | None = None
        self.span: tuple[int, int] | None = None
        self._know()

    def _heads(self, features: Sequence[str], small: bool) -> list[pd.DataFrame]:
        """The first rows of each file, all where they are few; raw accounts as a model's features, which need all."""
        heads = [file.read() if small else next(file.frames(None)) for file in self._files]
        self._whole = small
        if features and any(table.with_features(head, features) is not head for head in heads):
            whole = [head if small else file.read() for file, head in zip(self._files, heads, strict=True)]
            heads, self._whole = [table.with_features(frame, features) for frame in whole], True
            self._tell_dropped(heads)
        kept = [{str(name): str(dtype) for name, dtype in head.dtypes.items()} for head in heads]
        self._files = [replace(file, dtypes=dtypes) for file, dtypes in zip(self._files, kept, strict=True)]
        return heads

    def _tell_dropped(self, frames: list[pd.DataFrame]) -> None:
        for file, frame in zip(self._files, frames, strict=True):
            if count := frame.attrs.get(table.DROPPED):
                self._say(f"replay: {count:,} accounts of {file.path} are not English and left out")

    def _unite(self, heads: list[pd.DataFrame], asked: bool) -> None:
        """DataRefused where files do not go together; what differs in width alone is read alike from here on."""
        needed, first = self.columns.needed, self._files[0].path
        for file, head in zip(self._files[1:], heads[1:], strict=True):
            there = [name for name in head.columns if not asked or name in needed]
            disk.refuse_mixed(heads[0], head[there], needed, (first, file.path))
        casts = disk.united(heads, needed)
        self._files = [replace(file, casts=casts) for file in self._files]
        for place, head in enumerate(heads):
            heads[place] = head[needed].astype(casts)

    def _checked(self, file: TableFile, frame: pd.DataFrame) -> Block:
        """Rows whose times and truth can be read."""
        block = block_of(frame, file.event(frame, self.columns.time), file.number)
        self._reading.checked(frame, block.event)
        return block

    def _know(self) -> None:
        """How many rows there are, and their span: from memory, or by looking through the times."""
        if self._whole:
            self.rows = sum(map(len, self._held))
            events = [block.event for block in self._held if block.event is not None]
            if events:
                self.span = min(int(one.min()) for one in events), max(int(one.max()) for one in events)
            if self._by_time:
                _ = self._runs
                self._held = []  # the runs have the rows
            return
        counts = [table.describe(file.path).rows for file in self._files]
        self.rows = None if None in counts else sum(count for count in counts if count is not None)
        if self._by_time:
            _ = self._runs

    @cached_property
    def _runs(self) -> list[Run]:
        if self._whole:
            return [in_memory(block) for block in self._held]
        time_column = self.columns.time
        assert time_column is not None
        found: list[Run] = []
        surveys = []
        for file in self._files:
            self._say(f"replay: looking through the times of {file.path}")
            told = survey(file, time_column)
            surveys.append(told)
            found += [self._streamed(file, told)] if told.in_order else self._sorted(file, told)
        self.rows = sum(one.rows for one in surveys)
        self.span = min(one.first for one in surveys), max(one.last for one in surveys)
        return found

    def _streamed(self, file: TableFile, told: Survey) -> Run:
        needed, time_column = self.columns.needed, self.columns.time
        return Run(
            told.first, file.number, self._widths[file.number], lambda rows: file.blocks(needed, time_column, rows)
        )

    def _sorted(self, file: TableFile, told: Survey) -> list[Run]:
        """Sorted runs of a file on disk."""
        self._say(f"replay: {file.path} is not in the order of {self.columns.time!r}: sorting its {told.rows:,} rows")
        self._folder = self._folder or TemporaryDirectory(prefix="replay-")
        blocks = file.blocks(self.columns.needed, self.columns.time, 8 * HEAD_ROWS)
        return spilled(blocks, Path(self._folder.name), sorting(self._say, told.rows))

    def batches(self) -> Iterator[Batch]:
        """One pass."""
        blocks = merged(self._runs) if self._by_time else self._as_they_stand()
        yield from map(self._reading.batch, blocks)

    def _as_they_stand(self) -> Iterator[Block]:
        for block in self._held:
            for start in range(0, len(block), MOST_ROWS):
                yield block.take(slice(start, start + MOST_ROWS))
        for file in () if self._held else self._files:
            yield from file.blocks(self.columns.needed, self.columns.time)

    def identity(self) -> dict[str, str]:
        """Names, sizes and times of change of all files: one that was touched is another one."""
        return {"data": repr([file.stamp for file in self._files])}

    def held(self) -> None:
        """Nothing: `identity` tells."""

    def hold(self, held: object) -> None:
        """Nothing to hold."""

    def close(self) -> None:
        """Removes what was sorted on disk."""
        if self._folder:
            self._folder.cleanup()


def sorting(say: Say, rows: int | None) -> Callable[[int], None]:
    """Tells now and then how many rows are sorted. rows: of how many."""
    since = [time.monotonic()]

    def told(done: int) -> None:
        if time.monotonic() >= since[0] + TOLD_SECONDS:
            since[0] = time.monotonic()
            say(f"replay: sorted {done:,} rows" + (f" of {rows:,}" if rows else ""))

    return told
