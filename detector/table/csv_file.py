"""CSV to tables, packed or not: every number exact, and the same dtypes whether read whole or in chunks."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import pandas as pd
import zstandard

from detector.errors import DataRefused
from detector.table.refusal import chosen

SETTLED_ROWS = 65_536
"""A column of nothing but numbers in so many rows is one of numbers: text further down is an error in the data."""

FIRST_ROWS = 1_000
NOTHING = frozenset({"", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null"})
NO_NUMBER = frozenset({"-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "NaN", "nan"})
MISSING = NOTHING | NO_NUMBER
"""Cells that hold no value: those that pandas takes for missing by default."""

OPTIONS: dict[str, Any] = {"low_memory": False, "na_values": list(MISSING), "keep_default_na": False}
WHOLE_NUMBER = r"\s*[+-]?\d+\s*"
EMPTY, BOOLEAN, WHOLE, FRACTION, BEYOND, TEXT = "empty", "boolean", "whole", "fraction", "beyond", "text"
NUMBERS = (WHOLE, FRACTION, BEYOND)


@dataclass(frozen=True, slots=True)
class Layout:
    """labels: what pandas calls the columns. names: what they are called here. header: pandas' option."""

    labels: tuple[Hashable, ...]
    names: tuple[str, ...]
    header: Literal["infer"] | None


@dataclass(frozen=True, slots=True)
class Kind:
    """What the cells of a column are. BEYOND: whole numbers, some outside int64. gaps: some cell is missing."""

    cells: str
    gaps: bool

    def with_(self, other: Kind) -> Kind:
        """Of both parts of a column."""
        return Kind(_either(self.cells, other.cells), self.gaps or other.gaps)

    def dtype(self) -> str:
        """What pandas takes the column for when it reads it whole; but booleans with gaps are `boolean`."""
        if self.cells == BOOLEAN:
            return "boolean" if self.gaps else "bool"
        if self.cells == TEXT:
            return "str"
        return "int64" if self.cells == WHOLE and not self.gaps else "float64"


def _either(one: str, other: str) -> str:
    if one == other or other == EMPTY:
        return one
    if one == EMPTY:
        return other
    if one in NUMBERS and other in NUMBERS:
        return BEYOND if BEYOND in (one, other) else FRACTION
    return TEXT


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file; also .gz .xz .zst."""

    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def dtypes(self) -> dict[str, str]:
        """As the first thousand rows tell."""
        frame = next(self._blocks(self._layout(), FIRST_ROWS))
        return {str(name): str(dtype) for name, dtype in self._settled(frame).dtypes.items()}

    def rows(self) -> None:
        """Only reading would tell."""

    def read(self) -> pd.DataFrame:
        """All rows."""
        layout = self._layout()
        with self._opened() as source:
            frame = pd.read_csv(source, header=layout.header, **OPTIONS)
        return self._settled(frame.set_axis(pd.Index(layout.names), axis=1))

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[pd.DataFrame]:
        """The rows of `read`; the file is read twice where it has more than `rows`."""
        layout = self._layout()
        names = chosen(columns, layout.names, f"data {self.path}")
        first = next(self._blocks(layout, rows))
        if len(first) < rows:
            yield self._settled(first[names])
            return
        dtypes = self._scanned(layout, names, rows)
        yield from (block[names] for block in self._blocks(layout, rows, dtypes))

    def frames_as(self, columns: Sequence[str] | None, rows: int, dtypes: Mapping[str, str]) -> Iterator[pd.DataFrame]:
        """The rows of `read`, read once. dtypes: those that an earlier pass gave these columns."""
        layout = self._layout()
        names = chosen(columns, layout.names, f"data {self.path}")
        kept = {name: dtypes[name] for name in names}
        yield from (block[names] for block in self._blocks(layout, rows, kept))

    @contextmanager
    def _opened(self) -> Iterator[Path | BinaryIO]:
        """What pandas is to read. It would take a .zst that was cut short, or its first frame alone, for the whole."""
        if not self.path.name.lower().endswith(".zst"):
            yield self.path
            return
        with self.path.open("rb") as file, io.BufferedReader(_ZstdFrames(file)) as content:
            yield cast(BinaryIO, content)

    def _layout(self) -> Layout:
        """A first line that is all numbers is a row; the second may have no more cells than the first."""
        with self._opened() as source:
            rows = pd.read_csv(source, header=None, nrows=2, dtype=str, keep_default_na=False)
        cells = [cell for cell in rows.iloc[0] if cell]  # a value may be missing in the first row as in any other
        if cells and all(map(is_number, cells)):
            return Layout(tuple(rows.columns), tuple(f"c{i}" for i in range(rows.shape[1])), None)
        with self._opened() as source:
            labels = tuple(pd.read_csv(source, nrows=0).columns)
        return Layout(labels, tuple(map(str, labels)), "infer")

    def _blocks(self, layout: Layout, rows: int, dtypes: dict[str, str] | None = None) -> Iterator[pd.DataFrame]:
        """So many rows at a time, their columns by name. dtypes: only these columns, as these dtypes.

        Without dtypes pandas guesses those of each block, and refuses lines that are too long.
        """
        options = {**OPTIONS, "chunksize": rows}
        if dtypes is not None:
            places = [layout.names.index(name) for name in dtypes]
            options["usecols"] = places
            labels = (layout.labels[place] for place in places)
            options["dtype"] = dict(zip(labels, dtypes.values(), strict=True))
        named = dict(zip(layout.labels, layout.names, strict=True))
        with self._opened() as source:
            reader = pd.read_csv(source, header=layout.header, **options)
            with reader:
                for block in reader:
                    yield block.rename(columns=named)

    def _scanned(self, layout: Layout, names: Sequence[str], rows: int) -> dict[str, str]:
        """The dtypes of columns that all rows agree on; reads at most so many rows at a time."""
        kinds = dict.fromkeys(names, Kind(EMPTY, False))
        settled: set[str] = set()
        size = next(size for size in range(min(rows, SETTLED_ROWS), 0, -1) if SETTLED_ROWS % size == 0)
        for block in self._blocks(layout, size):
            for name in names:
                kind = kind_of(block[name])
                if name in settled and kind.cells in (BOOLEAN, TEXT):
                    raise self._text_in_numbers(block[name])
                kinds[name] = kinds[name].with_(kind)
            if block.index[-1] + 1 == SETTLED_ROWS:
                settled = {name for name in names if kinds[name].cells in NUMBERS}
        beyond = {name for name in names if kinds[name].cells == BEYOND}
        return {name: self._beyond(layout, name, size) if name in beyond else kinds[name].dtype() for name in names}

    def _beyond(self, layout: Layout, name: str, rows: int) -> str:
        """What holds whole numbers of which some are outside int64: uint64, else text that keeps their digits."""
        least, most, gaps = 0, 0, False
        for block in self._blocks(layout, rows, {name: "str"}):
            cells = block[name].dropna()
            if not cells.str.fullmatch(WHOLE_NUMBER).all():
                return "float64"
            numbers = [int(cell) for cell in cells]
            least, most = min([least, *numbers]), max([most, *numbers])
            gaps = gaps or len(cells) < len(block)
        return "uint64" if not gaps and least >= 0 and most < 2**64 else "str"

    def _settled(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What pandas guessed of a whole file, with columns of objects made plain, and late text refused."""
        guessed = {name: kind_of(frame[name]) for name in frame if frame[name].dtype in (object, "str")}
        for name, kind in guessed.items():
            if len(frame) > SETTLED_ROWS and kind.cells == TEXT:
                self._refuse_late_text(frame[name])
        booleans = {name: kind.dtype() for name, kind in guessed.items() if kind.cells == BOOLEAN}
        beyond = {str(name): "" for name, kind in guessed.items() if kind.cells == BEYOND}
        settled = frame.astype(booleans)
        if beyond:  # they came as Python's whole numbers, or as text in which nothing is missing
            layout = self._layout()
            beyond = {name: self._beyond(layout, name, SETTLED_ROWS) for name in beyond}
            settled[list(beyond)] = pd.concat(list(self._blocks(layout, SETTLED_ROWS, beyond)))
        return settled

    def _refuse_late_text(self, values: pd.Series[Any]) -> None:
        if kind_of(values.head(SETTLED_ROWS)).cells in NUMBERS:
            raise self._text_in_numbers(values)

    def _text_in_numbers(self, values: pd.Series[Any]) -> DataRefused:
        row, name = values.index[text_cells(values)][0], str(values.name)
        blocks = self._blocks(self._layout(), SETTLED_ROWS, {name: "str"})
        cell = next(block[name][row] for block in blocks if row in block.index)
        return DataRefused(
            f"data {self.path}: row {row}: column {name!r} holds {cell[:40]!r}, a number wanted: "
            f"its first {SETTLED_ROWS:,} rows hold nothing else"
        )


def kind_of(values: pd.Series[Any]) -> Kind:
    """What pandas guessed that the cells of a column, or of a part of one, are."""
    missing = values.isna() | values.isin(MISSING) if values.dtype == "str" else values.isna()
    gaps = bool(missing.any())
    if missing.all():
        return Kind(EMPTY, gaps)
    if values.dtype == bool or pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        return Kind(BOOLEAN, gaps)
    if values.dtype == np.int64:
        return Kind(WHOLE, gaps)
    if values.dtype == np.float64:
        return Kind(FRACTION, gaps)
    cells = values[~missing]
    text = values.dtype == "str" and (not is_number(cells.iloc[0]) or text_cells(cells).any())
    return Kind(TEXT if text else BEYOND, gaps)


def text_cells(values: pd.Series[Any]) -> pd.Series[bool]:
    """Which cells (n,) of a column are neither numbers nor missing; booleans are no numbers."""
    return pd.to_numeric(values.astype("str"), errors="coerce").isna() & values.notna()


def is_number(cell: str) -> bool:
    """Whether a cell of text is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


class _ZstdFrames(io.RawIOBase):
    """What a .zst file holds, frame after frame; EOFError where the last was cut short."""

    READ = 1 << 15

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer as far as one block of the file does; 0 at the end."""
        while not self._ready and self._unpacked():
            pass
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _unpacked(self) -> bool:
        """Unpacks a block; False at the end of the file."""
        packed = self._packed or self._file.read(self.READ)
        if not packed:
            if self._frame is not None:
                raise EOFError("compressed file ended before the end of its last frame")
            return False
        frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
        self._ready = frame.decompress(packed)
        self._packed = frame.unused_data if frame.eof else b""
        self._frame = None if frame.eof else frame
        return True
