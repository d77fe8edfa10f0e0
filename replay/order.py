"""Rows in the order of their event time, ties by file and row, whatever the files' sizes: runs, each sorted, merged.

A run is a file that is sorted, a table sorted in memory, or a part of a file that was sorted and put on disk.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from detector.errors import Failure

SORT_BYTES, MERGE_BYTES = 1 << 25, 1 << 24
"""Of rows that are sorted at a time, and of those that a merge holds of all its runs; either takes more."""

MOST_RUNS = 256
"""Runs that are merged at a time: each is an open file."""

MOST_ROWS, LEAST_ROWS = 65_536, 64
"""Rows that are held of a run at a time."""

EVENT, PLACE = "\x00event", "\x00place"
"""Columns beside those of the table in a run on disk."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of files. event: int64 (n,), ms since 1970 UTC, None without. file: int32 (n,), the number of each row's
    file. place: int64 (n,), 0-based in it."""

    frame: pd.DataFrame
    event: NDArray[np.int64] | None
    file: NDArray[np.int32]
    place: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.place)

    def take(self, which: slice | NDArray[np.intp]) -> Block:
        """These rows."""
        event = None if self.event is None else self.event[which]
        return Block(self.frame.iloc[which], event, self.file[which], self.place[which])


def block_of(frame: pd.DataFrame, event: NDArray[np.int64] | None, file: int) -> Block:
    """Rows of one file; the frame's index is their place in it."""
    return Block(frame, event, np.full(len(frame), file, np.int32), frame.index.to_numpy(np.int64))


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of one file in the order of event and place. first: the earliest event time. file: the file's number.

    width: bytes of a row. blocks: all of them from the beginning, so many rows at a time. path: of one that was put on
    disk for this.
    """

    first: int
    file: int
    width: int
    blocks: Callable[[int], Iterator[Block]]
    path: Path | None = None


def in_memory(block: Block) -> Run:
    """A run of rows in any order."""
    assert block.event is not None
    ordered = block.take(np.argsort(block.event, kind="stable"))
    assert ordered.event is not None

    def blocks(rows: int) -> Iterator[Block]:
        for start in range(0, len(ordered), rows):
            yield ordered.take(slice(start, start + rows))

    return Run(int(ordered.event[0]), int(block.file[0]), width(block.frame), blocks)


def width(frame: pd.DataFrame) -> int:
    """Bytes of a row in memory, at least 1."""
    return max(int(frame.memory_usage(index=False).sum()) // max(len(frame), 1), 1)


def spilled(
    blocks: Iterable[Block], folder: Path, told: Callable[[int], None], size: int = SORT_BYTES, most: int = MOST_RUNS
) -> list[Run]:
    """Runs on disk of one file's rows, whatever their order. told: called with the rows sorted so far.

    size: bytes of rows that are sorted at a time. most: runs that there may be in the end. The folder has to be there
    for as long as the runs are.
    """
    runs: list[Run] = []
    waiting: list[Block] = []
    held = done = 0
    for block in blocks:
        waiting.append(block)
        held += width(block.frame) * len(block)
        if held >= size:
            runs.append(_spill(waiting, folder))
            done += sum(map(len, waiting))
            waiting, held = [], 0
            told(done)
    if waiting:
        runs.append(_spill(waiting, folder))
        told(done + sum(map(len, waiting)))
    return _fewer(runs, folder, most)


def _fewer(runs: list[Run], folder: Path, most: int) -> list[Run]:
    """As many runs of a file as can be merged at a time: where there are more, neighbours are merged on disk first."""
    while len(runs) > most:
        groups = [runs[start : start + most] for start in range(0, len(runs), most)]
        before, runs = runs, [_on_disk(merged(group), folder, group[0].width) for group in groups]
        for run in before:
            if run.path:
                run.path.unlink()
    return runs


def _spill(blocks: Sequence[Block], folder: Path) -> Run:
    whole = joined(blocks)
    assert whole.event is not None
    ordered = whole.take(np.argsort(whole.event, kind="stable"))
    return _on_disk(iter([ordered]), folder, width(whole.frame))


def _on_disk(blocks: Iterator[Block], folder: Path, width_: int) -> Run:
    """A run of blocks in order, written as they come."""
    first = next(blocks)
    assert first.event is not None
    file, path = int(first.file[0]), folder / f"{uuid.uuid4().hex}.arrow"
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    schema = _table_of(first).schema
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema, options=options) as writer:
            for block in chain([first], blocks):
                writer.write_table(_table_of(block).cast(schema), max_chunksize=LEAST_ROWS * 16)
    except (OSError, pa.ArrowException) as error:
        raise Failure(f"sorting in {folder}: {error}; TMPDIR names another place") from error
    return Run(int(first.event[0]), file, width_, lambda rows: _read_run(path, file, rows), path)


def _table_of(block: Block) -> pa.Table:
    table = pa.Table.from_pandas(block.frame, preserve_index=False)
    return table.append_column(EVENT, pa.array(block.event)).append_column(PLACE, pa.array(block.place))


def _read_run(path: Path, file: int, rows: int) -> Iterator[Block]:
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
        held: list[pa.RecordBatch] = []
        for batch in reader:
            held.append(batch)
            if sum(map(len, held)) >= rows:
                yield _block_of(pa.Table.from_batches(held), file)
                held = []
        if held:
            yield _block_of(pa.Table.from_batches(held), file)


def _block_of(table: pa.Table, file: int) -> Block:
    event, place = (table.column(name).to_numpy() for name in (EVENT, PLACE))
    frame = table.drop_columns([EVENT, PLACE]).to_pandas()
    return Block(frame, event, np.full(len(table), file, np.int32), place)


def joined(blocks: Sequence[Block]) -> Block:
    """One block of several."""
    if len(blocks) == 1:
        return blocks[0]
    events = [block.event for block in blocks if block.event is not None]
    return Block(
        pd.concat([block.frame for block in blocks], ignore_index=True),
        np.concatenate(events) if events else None,
        np.concatenate([block.file for block in blocks]),
        np.concatenate([block.place for block in blocks]),
    )


def merged(runs: Sequence[Run], size: int = MERGE_BYTES) -> Iterator[Block]:
    """All rows of the runs in the order of event, file and place, some at a time. size: bytes to hold of all runs.

    A run is opened when its first row may be the next, and closed after its last: of files of a day each, one is open.
    """
    rows = _rows_of_each(runs, size)
    waiting = deque(sorted(runs, key=lambda run: (run.first, run.file)))
    heads: list[_Head] = []
    while waiting or heads:
        while waiting and (not heads or waiting[0].first <= min(head.last for head in heads)[0]):
            head = _Head(waiting.popleft().blocks(rows))
            if head.there:
                heads.append(head)
        if heads:
            bound = min(head.last for head in heads)
            yield _sorted([part for head in heads if len(part := head.up_to(bound))])
            heads = [head for head in heads if head.there]


def _rows_of_each(runs: Sequence[Run], size: int) -> int:
    width_ = max((run.width for run in runs), default=1)
    return min(max(size // width_ // max(len(runs), 1), LEAST_ROWS), MOST_ROWS)


Key = tuple[int, int, int]
"""Event, file and place of a row: their order is that of the rows."""


class _Head:
    """The rows of a run that are next."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._rest: Block | None = None
        self._fill()

    def _fill(self) -> None:
        if self._rest is None or not len(self._rest):
            self._rest = next(self._blocks, None)

    @property
    def there(self) -> bool:
        """Whether there is a row."""
        return self._rest is not None

    @property
    def last(self) -> Key:
        """That of the last row held: no later one of this run comes before it."""
        rest = self._rest
        assert rest is not None
        assert rest.event is not None
        return int(rest.event[-1]), int(rest.file[-1]), int(rest.place[-1])

    def up_to(self, bound: Key) -> Block:
        """Takes the rows up to a key."""
        rest = self._rest
        assert rest is not None
        assert rest.event is not None
        moment, file, place = bound
        first, end = (int(np.searchsorted(rest.event, moment, side=side)) for side in ("left", "right"))
        if file < rest.file[0]:
            end = first
        elif file == rest.file[0]:
            end = first + int(np.searchsorted(rest.place[first:end], place, side="right"))
        self._rest = rest.take(slice(end, len(rest)))
        self._fill()
        return rest.take(slice(0, end))


def _sorted(parts: Sequence[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    whole = joined(parts)
    assert whole.event is not None
    return whole.take(np.lexsort((whole.place, whole.file, whole.event)))
