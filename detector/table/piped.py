"""CSV that comes through a pipe: read once, from its first row to its last."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import cached_property
from typing import Any, BinaryIO

import pandas as pd

from detector.errors import DataRefused
from detector.table.csv_file import OPTIONS, is_number, text_cells
from detector.table.refusal import refusing

BLOCK_ROWS = 1_000
"""Rows read at a time; the first ones tell what the columns hold."""


class PipedCsv:
    """A CSV without an end in sight, its columns named as those of a file: by the first line, or c0, c1, ...

    What the columns hold is told by the first BLOCK_ROWS rows: text stays text, and a number further down that is none
    is refused. name: what it is called in refusals.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._begun = False

    @cached_property
    def head(self) -> pd.DataFrame:
        """The first rows; DataRefused where there is none."""
        with refusing(f"data {self._name}"):
            first = next(self._blocks, None)
        if first is None or first.empty:
            raise DataRefused(f"data {self._name}: no rows")
        return first

    def frames(self) -> Iterator[pd.DataFrame]:
        """All rows from the first on, once; the index goes on from frame to frame."""
        if self._begun:
            raise ValueError("a pipe is read once")
        self._begun = True
        numbers = [str(name) for name in self.head if _is_number(self.head[name])]
        yield self.head
        with refusing(f"data {self._name}"):
            for block in self._blocks:
                for name in numbers:
                    self._refuse_text(block[name])
                yield block

    def _refuse_text(self, values: pd.Series[Any]) -> None:
        if pd.api.types.is_numeric_dtype(values):
            return
        wrong = text_cells(values)
        row = values.index[wrong][0] if wrong.any() else values.index[0]
        raise DataRefused(
            f"data {self._name}: row {row}: column {values.name!r} holds {str(values[row])[:40]!r}, a number wanted: "
            f"its first {BLOCK_ROWS:,} rows hold nothing else"
        )

    @cached_property
    def _blocks(self) -> Iterator[pd.DataFrame]:
        """Frames of BLOCK_ROWS rows. What is text in the first lines is text in all."""
        lines = [line for line in (_record(self._stream) for _ in range(BLOCK_ROWS + 1)) if line]
        if not lines:
            return iter(())
        cells = next(csv.reader([lines[0].decode("utf-8", "replace").strip("\r\n\ufeff")]), [])
        bare = any(cells) and all(is_number(cell) for cell in cells if cell)
        options: dict[str, Any] = {**OPTIONS, "header": None if bare else "infer"}
        told = b"".join(lines)
        first = pd.read_csv(io.BytesIO(told), **options)
        text = {name: "str" for name in first if first[name].dtype == "str"}
        content: Any = io.BufferedReader(_Preceded(told, self._stream))
        reader = pd.read_csv(content, dtype=text, chunksize=BLOCK_ROWS, **options)
        names = [f"c{i}" if bare else str(name) for i, name in enumerate(first)]
        return (block.set_axis(pd.Index(names), axis=1) for block in reader)


def _is_number(values: pd.Series[Any]) -> bool:
    """Whether numbers, or nothing at all, stand in a column."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _record(stream: BinaryIO) -> bytes:
    """The next line, with those after it while a quote in it is open."""
    line = stream.readline()
    while line.count(b'"') % 2 and (more := stream.readline()):
        line += more
    return line


class _Preceded(io.RawIOBase):
    """What was taken from a stream, and then the stream."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer as far as what is there does; 0 at the end."""
        found, self._first = (self._first[: len(buffer)], self._first[len(buffer) :]) if self._first else (b"", b"")
        found = found or self._rest.read1(len(buffer))  # type: ignore[attr-defined]
        buffer[: len(found)] = found
        return len(found)
