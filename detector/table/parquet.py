"""Parquet to tables: one file, or all of a directory as one table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from detector.errors import DataRefused
from detector.table.refusal import chosen, refusing

INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls an index that has no name: no column."""

PARTITION = re.compile(r"([^=]+)=(.*)", re.DOTALL)
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
READ_BYTES = 1 << 16

NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
"""What has no bits for a missing value in numpy."""


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files of one schema, in order. root: the file, or the directory that they are in.

    Folders called name=value within it, as Spark and Hive write them, are columns of that name after the files' own.
    """

    root: Path
    paths: tuple[Path, ...]

    def dtypes(self) -> dict[str, str]:
        """By the files' schema and their counts of missing values."""
        return {str(name): str(dtype) for name, dtype in self._frame(self._schema.empty_table()).dtypes.items()}

    def rows(self) -> int:
        """As the files say at their ends."""
        total = 0
        for path in self.paths:
            with self._opened(path) as file:
                total += file.metadata.num_rows
        return total

    def read(self) -> pd.DataFrame:
        """All rows."""
        tables = []
        for path in self.paths:
            with self._opened(path) as file, refusing(f"data {path}"):
                table = file.read(columns=_own(file, self._schema.names))
                tables.append(self._plain(table, path, self._schema))
        return self._frame(pa.concat_tables(tables))

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[pd.DataFrame]:
        """The rows of `read`, file by file; reads the columns asked for alone."""
        names = chosen(columns, self._schema.names, f"data {self.root}")
        schema = pa.schema([self._schema.field(name) for name in names])
        for path in self.paths:
            with self._opened(path) as file, refusing(f"data {path}"):
                for batch in file.iter_batches(rows, columns=_own(file, names)):
                    yield self._frame(self._plain(pa.Table.from_batches([batch]), path, schema))

    def _opened(self, path: Path) -> pq.ParquetFile:
        with refusing(f"data {path}"):
            # By default it fetches whole row groups ahead, all of them where they are small.
            return pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES)

    @cached_property
    def _schema(self) -> pa.Schema:
        """Columns and types of all files; DataRefused names a file that has others."""
        first, *others = self.paths
        fields = self._fields(first)
        for path in others:
            fields = _united(fields, self._fields(path), first, path)
        if not fields:
            raise DataRefused(f"data {first}: no columns")
        return pa.schema(fields.items())

    def _fields(self, path: Path) -> dict[str, pa.DataType]:
        with self._opened(path) as file:
            schema = file.schema_arrow
        names = [name for name in schema.names if not INDEX.fullmatch(name)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DataRefused(f"data {path}: column {twice[0]!r} is there twice")
        own = {name: _plain_type(schema.field(name).type) for name in names}
        return own | {name: self._partitioned[name] for name in self._folders(path) if name not in own}

    def _folders(self, path: Path) -> dict[str, str | None]:
        """The values that the names of the folders above a file tell, by column."""
        found = [PARTITION.fullmatch(part) for part in path.relative_to(self.root).parts[:-1]]
        pairs = [(unquote(one[1]), unquote(one[2])) for one in found if one]
        return {name: None if value == NO_VALUE else value for name, value in pairs}

    @cached_property
    def _partitioned(self) -> dict[str, pa.DataType]:
        """Columns that folders' names tell: int64 where every value is a whole number, else text."""
        values: dict[str, list[str | None]] = {}
        for path in self.paths:
            for name, value in self._folders(path).items():
                values.setdefault(name, []).append(value)
        return {name: pa.int64() if _whole(told) else pa.string() for name, told in values.items()}

    def _plain(self, table: pa.Table, path: Path, schema: pa.Schema) -> pa.Table:
        """A file's columns in the order and types of all, with those that its folders tell."""
        for name, value in self._folders(path).items():
            if name in schema.names and name not in table.column_names:
                told = pa.scalar(value, pa.string()).cast(schema.field(name).type)
                table = table.append_column(name, pa.repeat(told, len(table)))
        return table.select(schema.names).cast(schema)

    def _frame(self, table: pa.Table) -> pd.DataFrame:
        """As pandas, which would make floats of whole numbers with gaps, and objects of booleans with gaps."""
        gapped = [name for name in table.column_names if name in self._gapped]
        plain: pd.DataFrame = table.drop_columns(gapped).to_pandas(ignore_metadata=True)
        if not gapped:
            return plain
        whole: pd.DataFrame = table.select(gapped).to_pandas(ignore_metadata=True, types_mapper=NULLABLE.get)
        both: pd.DataFrame = pd.concat([plain, whole], axis=1)[table.column_names]
        return both

    @cached_property
    def _gapped(self) -> frozenset[str]:
        """Columns of whole numbers and booleans in which a value is missing, in any file."""
        names = {field.name for field in self._schema if field.type in NULLABLE}
        found = {name for path in self.paths for name, value in self._folders(path).items() if value is None}
        for path in self.paths:
            with self._opened(path) as file:
                found |= {name for name in names - found if name in file.schema_arrow.names and _has_nulls(file, name)}
        return frozenset(found & names)


def _own(file: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    """Which of these columns a file has itself; one of its others where it has none, for their number of rows."""
    there = file.schema_arrow.names
    return [name for name in names if name in there] or there[:1]


def _plain_type(type_: pa.DataType) -> pa.DataType:
    """What a column is read as: categories as their values, decimals as float64, days as the times they begin at."""
    if pa.types.is_dictionary(type_):
        return _plain_type(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_decimal(type_):
        return pa.float64()
    return pa.timestamp("ms") if pa.types.is_date(type_) else type_


Fields = dict[str, pa.DataType]


def _united(fields: Fields, more: Fields, first: Path, path: Path) -> Fields:
    """The types of two files' columns; a column without any value has the type that it has in the other file."""
    for name in (*fields, *more):
        if name not in more:
            raise DataRefused(f"data {path}: column {name!r} of {first} is not there")
        if name not in fields:
            raise DataRefused(f"data {path}: column {name!r} is not in {first}")
        if fields[name] != more[name] and pa.null() not in (fields[name], more[name]):
            raise DataRefused(f"data {path}: column {name!r} holds {more[name]}, {fields[name]} in {first}")
    return {name: more[name] if type_ == pa.null() else type_ for name, type_ in fields.items()}


def _whole(values: Sequence[str | None]) -> bool:
    try:
        pa.array(values, pa.string()).cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return any(value is not None for value in values)


def _has_nulls(file: pq.ParquetFile, name: str) -> bool:
    """By the statistics of each row group; by reading the column where its writer left them out."""
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    statistics = [_statistics(group, name) for group in groups]
    if all(one is not None and one.has_null_count for one in statistics):
        return any(one.null_count for one in statistics)
    return any(batch.column(0).null_count for batch in file.iter_batches(columns=[name]))


def _statistics(group: Any, name: str) -> Any:
    """Those of a column; nested columns before it may have moved its place."""
    places = (group.column(place) for place in range(group.num_columns))
    return next((one.statistics for one in places if one.path_in_schema == name), None)
