"""Files to tables: CSV (also compressed), Parquet and TFRecord, whole or in chunks; and directories of the last two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from detector.errors import DataRefused
from detector.table.chunking import regrouped
from detector.table.csv_file import CsvFile, is_number
from detector.table.parquet import ParquetFiles
from detector.table.refusal import first_line, refusing
from detector.table.tfrecord import TFRecordFiles

__all__ = [
    "CSV",
    "PARQUET",
    "TFRECORD",
    "Shape",
    "chunks",
    "describe",
    "first_line",
    "is_number",
    "paths",
    "read",
    "tables",
]

CSV = (".csv", ".csv.gz", ".csv.xz", ".csv.zst")
PARQUET = (".parquet",)
TFRECORD = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz")
CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Shape:
    """What can be said of a table before it is read.

    dtypes: as `read` gives them; of a CSV, and of a TFRecord file without a sidecar, as its first rows tell.
    rows: None where only reading would tell. size: bytes on disk, of all files.
    """

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]
    rows: int | None
    size: int


class Source(Protocol):
    """A table on disk."""

    @property
    def paths(self) -> tuple[Path, ...]: ...

    def dtypes(self) -> dict[str, str]:
        """Name and dtype of each column, in order, without reading all rows."""

    def rows(self) -> int | None:
        """How many, None where only reading would tell."""

    def read(self) -> pd.DataFrame:
        """All rows."""

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[pd.DataFrame]:
        """The same rows and dtypes, at most `rows` at a time."""


def read(path: Path) -> pd.DataFrame:
    """All of a CSV (also .gz .xz .zst), a Parquet or a TFRecord file (also .gz), or of a directory of the last two.

    Numbers of a CSV are read exactly: a float64 printed in full comes back as the same bits. One without a header
    gets the columns c0, c1, ... Whole numbers and booleans with gaps are Int64 and boolean, but float64 and boolean in
    a CSV, which cannot tell whole numbers with gaps from others. Raises DataRefused.
    """
    with refusing(f"data {path}"):
        frame = _source(path).read()
    if frame.empty:
        raise DataRefused(f"data {path}: no rows")
    return frame


def chunks(
    path: Path,
    columns: Sequence[str] | None = None,
    rows: int = CHUNK_ROWS,
    dtypes: Mapping[str, str] | None = None,
) -> Iterator[pd.DataFrame]:
    """The rows of `read` in the same order and dtypes, exactly `rows` at a time but for the last chunk.

    Holds about a chunk. columns: only these, in this order. A CSV of more than one chunk is read twice, because only
    its end tells the dtypes; so is a TFRecord file without a sidecar. The index goes on from chunk to chunk.
    dtypes: those of an earlier chunk of the same file, by column: a CSV is then read once.
    Raises DataRefused as `read` does, some of it only after the chunks before.
    """
    if rows < 1:
        raise ValueError(f"rows {rows}: at least 1 wanted")
    some = False
    with refusing(f"data {path}"):
        source = _source(path)
        known = source.frames_as(columns, rows, dtypes) if dtypes and isinstance(source, CsvFile) else None
        for chunk in regrouped(known or source.frames(columns, rows), rows):
            some = True
            yield chunk
    if not some:
        raise DataRefused(f"data {path}: no rows")


def describe(path: Path) -> Shape:
    """Columns, dtypes, rows where they are known, and bytes; reads little. Raises DataRefused."""
    with refusing(f"data {path}"):
        source = _source(path)
        dtypes = source.dtypes()
        size = sum(one.stat().st_size for one in source.paths)
        return Shape(tuple(dtypes), tuple(dtypes.values()), source.rows(), size)


def paths(path: Path) -> tuple[Path, ...]:
    """The files of which a table is made: the file itself, or those of its directory. Raises DataRefused."""
    with refusing(f"data {path}"):
        return _source(path).paths


def tables(path: Path) -> tuple[Path, ...]:
    """The tables at a path. A directory of CSV files alone is as many, by name; all else is one."""
    if not path.is_dir() or _within(path, PARQUET + TFRECORD):
        return (path,)
    return _within(path, CSV) or (path,)


def _source(path: Path) -> Source:
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise DataRefused(f"data {path}: no such file")
    name = path.name.lower()
    if name.endswith(CSV):
        return CsvFile(path)
    if name.endswith(PARQUET):
        return ParquetFiles(path, (path,))
    if name.endswith(TFRECORD):
        return TFRecordFiles((path,))
    raise DataRefused(f"data {path}: {', '.join(CSV + PARQUET + TFRECORD)} wanted")


def _folder(path: Path) -> Source:
    """Its files by name, those of folders within too; what begins with . or _ is not data, as with Spark and Hive."""
    parquet, tfrecord = (_within(path, endings) for endings in (PARQUET, TFRECORD))
    if parquet and tfrecord:
        raise DataRefused(f"data {path}: holds {parquet[0].name} and {tfrecord[0].name}, files of one kind wanted")
    if not parquet and not tfrecord:
        raise DataRefused(f"data {path}: no {PARQUET[0]} or {TFRECORD[0]} file in this directory")
    return ParquetFiles(path, parquet) if parquet else TFRecordFiles(tfrecord)


def _within(path: Path, endings: tuple[str, ...]) -> tuple[Path, ...]:
    files = (one for one in path.rglob("*") if one.name.lower().endswith(endings) and one.is_file())
    shown = (one for one in files if not any(part[0] in "._" for part in one.relative_to(path).parts))
    return tuple(sorted(shown, key=lambda one: one.relative_to(path).parts))
