"""Files that are played: which ones they are, and that they stay as they are while they are read."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused
from replay.order import Block, block_of

IN_MEMORY = (((".csv",), 1), ((".parquet", ".tfrecord", ".tfrecords"), 4))
"""Bytes in memory for a byte of a file, by its ending; PACKED for any other."""

PACKED = 8


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table on disk as it was found. number: among those that are played. stamp: size and time of change of each of
    its files. dtypes: those of its columns, once known. casts: columns that are of another dtype in other files."""

    path: Path
    number: int
    stamp: tuple[tuple[str, int, int], ...]
    dtypes: Mapping[str, str] = field(default_factory=dict)
    casts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def found(cls, path: Path, number: int) -> TableFile:
        """As it is now. Raises DataRefused."""
        return cls(path, number, _stamp(path))

    @property
    def size(self) -> int:
        """Bytes that its rows may take in memory, roughly."""
        return sum(size * _factor(name) for name, size, _ in self.stamp)

    def refuse_change(self) -> None:
        """DataRefused where it is not any more as it was found."""
        try:
            same = _stamp(self.path) == self.stamp
        except (DataRefused, OSError):
            same = False
        if not same:
            raise DataRefused(f"data {self.path}: changed while it was played")

    def read(self) -> pd.DataFrame:
        """All rows."""
        frame = table.read(self.path)
        self.refuse_change()
        return frame

    def frames(self, columns: Sequence[str] | None, rows: int = table.CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """All rows, so many at a time; the index is their place."""
        try:
            for frame in table.chunks(self.path, columns, rows, self.dtypes):
                self.refuse_change()
                yield frame.astype({name: dtype for name, dtype in self.casts.items() if name in frame.columns})
        except DataRefused:
            self.refuse_change()
            raise

    def blocks(self, columns: Sequence[str], time: str | None, rows: int = table.CHUNK_ROWS) -> Iterator[Block]:
        """The same with their event times, where there is a column of them."""
        for frame in self.frames(columns, rows):
            yield block_of(frame, self.event(frame, time), self.number)

    def event(self, frame: pd.DataFrame, time: str | None) -> NDArray[np.int64] | None:
        """Event times (n,) of rows of this file, ms since 1970 UTC."""
        try:
            return None if time is None else table.event_milliseconds(frame, time)
        except DataRefused as refused:
            raise DataRefused(f"data {self.path}: {refused}") from refused


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    told = ((one, one.stat()) for one in table.paths(path))
    return tuple((one.name, stat.st_size, stat.st_mtime_ns) for one, stat in told)


def _factor(name: str) -> int:
    return next((factor for endings, factor in IN_MEMORY if name.lower().endswith(endings)), PACKED)


def found(data: Sequence[str]) -> list[TableFile]:
    """The tables that paths, patterns and directories name, in that order; DataRefused where one is none."""
    paths = [path for text in data for path in _matching(text)]
    twice = [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise DataRefused(f"data {twice[0]}: named twice")
    return [TableFile.found(path, number) for number, path in enumerate(paths)]


def _matching(text: str) -> list[Path]:
    path = Path(text)
    if not path.exists() and glob.has_magic(text):
        matching = [Path(one) for one in sorted(glob.glob(text, recursive=True))]
        if not matching:
            raise DataRefused(f"data {text}: no file matches")
        return [one for path in matching for one in table.tables(path)]
    return list(table.tables(path))


def names(files: Sequence[TableFile]) -> list[str]:
    """What stands before a row's place in its id: nothing for one file, else its name, or its path if names repeat."""
    if len(files) == 1:
        return []
    short = [file.path.name for file in files]
    return short if len(set(short)) == len(short) else [str(file.path) for file in files]


def refuse_mixed(first: pd.DataFrame, frame: pd.DataFrame, needed: Sequence[str], where: tuple[Path, Path]) -> None:
    """DataRefused where a table has not the columns of the first one, or holds another kind of values in one.

    where: the paths of the first and of this one.
    """
    told = f"data {where[1]}: column"
    for name in needed:
        if name not in frame.columns:
            raise DataRefused(f"{told} {name!r} is not there, which {where[0]} has")
        one, other = first[name], frame[name]
        if one.notna().any() and other.notna().any() and table.kind(one) != table.kind(other):
            raise DataRefused(f"{told} {name!r} holds {_held(other)}, {_held(one)} in {where[0]}")
    if more := [name for name in frame.columns if name not in first.columns]:
        raise DataRefused(f"{told} {more[0]!r} is there, and not in {where[0]}; --features says which make a row")


def _held(values: pd.Series[Any]) -> str:
    kind = table.kind(values)
    return str(values.dtype) if kind == "other" else f"{kind}s"


def united(heads: Sequence[pd.DataFrame], needed: Sequence[str]) -> dict[str, str]:
    """The dtypes that hold the values of all tables, of the columns whose dtypes differ."""
    differ = [name for name in needed if len({str(head[name].dtype) for head in heads}) > 1]
    return {name: str(pd.concat([head[name].head(1) for head in heads]).dtype) for name in differ}
