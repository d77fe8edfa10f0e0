"""Tables to files: CSV (also compressed), Parquet, TFRecord, or a directory of Parquet files; whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from detector.errors import DataRefused
from detector.exchange import move_in_place
from detector.table.csv_file import is_number
from detector.table.examples import encoded, iso, rounded, said, tensorflow
from detector.table.files import CSV, PARQUET, TFRECORD
from detector.table.refusal import first_line
from detector.table.sidecar import Sidecar, beside

ROWS_PER_FILE = 1_000_000
PART = re.compile(r"part-\d{5}\.parquet")
MOST_PARTS = 100_000
PLAIN = {"string": "str", "empty": "str", "boolean": "boolean", "integer": "Int64", "floating": "float64"}
"""What a column of objects is stored as, by what pandas infers that they are."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written. size: bytes on disk. rounded: columns with a float64 that a TFRecord file has as float32."""

    rows: int
    columns: int
    size: int
    rounded: tuple[str, ...] = ()


class Sink(Protocol):
    """A file that grows."""

    def add(self, frame: pd.DataFrame) -> None:
        """More rows, of the same columns and dtypes."""

    def close(self) -> None:
        """The last bytes; a second time does nothing."""


def write(
    frames: pd.DataFrame | Iterable[pd.DataFrame], path: Path | str, rows_per_file: int = ROWS_PER_FILE
) -> Written:
    """Writes a table, or chunks of one, by the file's ending: CSV (also .gz .xz .zst), Parquet or TFRecord (also .gz).

    A path that ends in / or is a directory becomes part-00000.parquet, part-00001.parquet, ... of `rows_per_file` rows
    each. All is written beside its place and moved there at the end: after an error the place is as it was.

    Parquet keeps every value. CSV keeps numbers, booleans and text, but not what a type alone tells: missing text from
    empty, text that looks like a number or like NaN, float32 (what is read rounds to it), times (they come back as
    text) and whole numbers with gaps beyond 2**53. TFRecord keeps floats as float32, and all else. Raises DataRefused
    for an ending that is none of these, for what the format cannot hold, for chunks of different columns or dtypes,
    for a directory that holds anything else, and where the disk fails.
    """
    refuse_place(path)
    place = Path(path)
    chunks = _plain([frames] if isinstance(frames, pd.DataFrame) else frames, place)
    with _moved_to(place, is_folder(path)) as temporary:
        with _told(place):
            sink = _Parts(temporary, rows_per_file) if is_folder(path) else _sink(place, temporary)
        return _filled(sink, chunks, place, temporary)


def is_folder(path: Path | str) -> bool:
    """Whether `write` makes a directory of a path."""
    return str(path).endswith(("/", os.sep)) or Path(path).is_dir()


def refuse_place(path: Path | str) -> None:
    """DataRefused where `write` could not put anything: an ending it does not know, a directory of other things."""
    place = Path(path)
    endings = CSV + PARQUET + TFRECORD
    if not is_folder(path):
        if not place.name.lower().endswith(endings):
            raise DataRefused(f"out {path}: {', '.join(endings)}, or a directory with / at its end wanted")
    elif place.exists() and not place.is_dir():
        raise DataRefused(f"out {path}: is a file, a directory wanted")
    elif place.exists() and (other := [one.name for one in place.iterdir() if not PART.fullmatch(one.name)]):
        raise DataRefused(f"out {path}: holds {min(other)}; only its own part-00000.parquet, ... would be replaced")


def _filled(sink: Sink, chunks: Iterable[pd.DataFrame], place: Path, temporary: Path) -> Written:
    rows = columns = 0
    lost: dict[str, None] = {}
    try:
        for chunk in chunks:
            with _told(place):
                sink.add(chunk)
            if isinstance(sink, _TFRecordSink):
                lost |= dict.fromkeys(rounded(chunk))
            rows, columns = rows + len(chunk), chunk.shape[1]
        with _told(place):
            sink.close()
            return Written(rows, columns, _size(temporary), tuple(lost))
    finally:
        with suppress(Exception):  # what failed is on its way
            sink.close()


def _size(path: Path) -> int:
    files = list(path.iterdir()) if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files)


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Errors of the disk and of formats, with the place that was to be written."""
    try:
        yield
    except DataRefused as refused:
        raise DataRefused(f"out {place}: {refused}") from refused
    except OSError as error:
        raise DataRefused(f"out {place}: {error.strerror or first_line(error)}") from error


def _plain(frames: Iterable[pd.DataFrame], place: Path) -> Iterator[pd.DataFrame]:
    """Frames of one set of columns and dtypes, whose index is the row's place in the whole."""
    start, dtypes = 0, None
    for frame in frames:
        plain = _plain_frame(frame, start)
        if dtypes is None:
            _refuse_columns(plain, place)
            dtypes = plain.dtypes
        elif not dtypes.equals(plain.dtypes):
            raise DataRefused(f"out {place}: rows from {start} on have {_difference(dtypes, plain.dtypes)}")
        yield plain
        start += len(plain)
    if dtypes is None:
        raise DataRefused(f"out {place}: no rows to write")


def _plain_frame(frame: pd.DataFrame, start: int) -> pd.DataFrame:
    named = frame.set_axis(pd.RangeIndex(start, start + len(frame)), axis=0).set_axis(frame.columns.astype(str), axis=1)
    if named.columns.has_duplicates:
        return named  # which is refused
    wanted = {name: _plain_dtype(values) for name, values in named.items()}
    return named.astype({name: dtype for name, dtype in wanted.items() if dtype != named[name].dtype})


def _plain_dtype(values: pd.Series[Any]) -> Any:
    """The dtype that a column is stored as: that of its categories or objects, numpy's floats, pandas' text."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _plain_dtype(values.astype(dtype.categories.dtype))
    if pd.api.types.is_object_dtype(dtype):
        return PLAIN.get(pd.api.types.infer_dtype(values, skipna=True), dtype)
    if isinstance(dtype, pd.StringDtype):
        return "str"
    return {"Float32": "float32", "Float64": "float64"}.get(str(dtype), dtype)


def _refuse_columns(frame: pd.DataFrame, place: Path) -> None:
    if frame.shape[1] == 0:
        raise DataRefused(f"out {place}: no columns to write")
    if frame.columns.has_duplicates:
        raise DataRefused(f"out {place}: column {frame.columns[frame.columns.duplicated()][0]!r} is there twice")


def _difference(dtypes: pd.Series[Any], others: pd.Series[Any]) -> str:
    if list(dtypes.index) != list(others.index):
        return f"the columns {', '.join(others.index)}, those before {', '.join(dtypes.index)}"
    name = next(name for name in dtypes.index if dtypes[name] != others[name])
    return f"{others[name]} in column {name!r}, those before {dtypes[name]}"


@contextmanager
def _moved_to(place: Path, folder: bool) -> Iterator[Path]:
    """A hidden file or directory beside a place, which is moved there at the end; after an error it is gone."""
    temporary = place.absolute().with_name(f".{place.absolute().name}.{secrets.token_hex(4)}")
    try:
        with _told(place):
            temporary.mkdir() if folder else temporary.touch(exist_ok=False)
        yield temporary
        with _told(place):
            _move_folder(temporary, place) if folder else _move_file(temporary, place)
    finally:
        for left in (temporary, beside(temporary)):
            if left.is_dir():
                shutil.rmtree(left)
            left.unlink(missing_ok=True)


def _move_file(temporary: Path, place: Path) -> None:
    """An older file's sidecar goes first and the new one's comes last: none stands beside the rows of another."""
    _sync(temporary)
    if beside(temporary).exists():
        beside(place).unlink(missing_ok=True)
    temporary.replace(place)
    if beside(temporary).exists():
        beside(temporary).replace(beside(place))


def _move_folder(temporary: Path, place: Path) -> None:
    for part in temporary.iterdir():
        _sync(part)
    move_in_place(temporary, place)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sink(place: Path, temporary: Path) -> Sink:
    name = place.name.lower()
    if name.endswith(CSV):
        return _CsvSink(temporary, name.rpartition(".")[2])
    if name.endswith(PARQUET):
        return _ParquetSink(temporary)
    return _TFRecordSink(temporary, name.endswith(".gz"))


class _CsvSink:
    def __init__(self, path: Path, packing: str) -> None:
        self._file = path.open("wb")
        self._packed = _packed(self._file, packing)
        self._text = io.TextIOWrapper(self._packed, encoding="utf-8", newline="")
        self._begun = False

    def add(self, frame: pd.DataFrame) -> None:
        if not self._begun and all(map(is_number, frame.columns)):
            raise DataRefused(f"columns {', '.join(frame.columns[:3])}: a header of numbers would be read as a row")
        times = {name: iso(values) for name, values in frame.items() if pd.api.types.is_datetime64_any_dtype(values)}
        told = frame.assign(**{str(name): values for name, values in times.items()})
        quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if _has_returns(told) else csv.QUOTE_MINIMAL
        told.to_csv(self._text, header=not self._begun, index=False, lineterminator="\n", quoting=quoting)
        self._begun = True

    def close(self) -> None:
        if not self._text.closed:
            with self._file, self._packed:
                self._text.close()


def _has_returns(frame: pd.DataFrame) -> bool:
    """Whether a text has a carriage return, which ends a line where it is not quoted, and would not be quoted."""
    texts = (values for _, values in frame.items() if isinstance(values.dtype, pd.StringDtype))
    return any("\r" in name for name in frame.columns) or any(
        one.str.contains("\r", regex=False).any() for one in texts
    )


def _packed(file: BinaryIO, packing: str) -> BinaryIO:
    """The same content gives the same bytes, with a checksum within."""
    if packing == "gz":
        return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0))
    if packing == "xz":
        return cast(BinaryIO, lzma.LZMAFile(file, "wb"))
    if packing == "zst":
        return cast(BinaryIO, zstandard.ZstdCompressor(write_checksum=True).stream_writer(file))
    return file


class _ParquetSink:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer: pq.ParquetWriter | None = None

    def add(self, frame: pd.DataFrame) -> None:
        schema = self._writer.schema if self._writer else None
        try:
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        except (pa.ArrowException, OverflowError) as error:
            raise DataRefused(f"Parquet cannot hold this: {first_line(error)}") from error
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if not self._file.closed:
            with self._file:
                if self._writer is not None:
                    self._writer.close()


class _TFRecordSink:
    def __init__(self, path: Path, packed: bool) -> None:
        self._tf = tensorflow()
        self._path = path
        with self._failing():
            self._writer = self._tf.io.TFRecordWriter(str(path), "GZIP" if packed else "")
        self._dtypes: dict[str, str] = {}
        self._rows, self._closed = 0, False

    def add(self, frame: pd.DataFrame) -> None:
        self._dtypes = {str(name): str(dtype) for name, dtype in frame.dtypes.items()}
        self._rows += len(frame)
        records = encoded(frame, self._tf.train.Example)
        with self._failing():
            for record in records:
                self._writer.write(record)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._failing():
            self._writer.close()
        beside(self._path).write_text(Sidecar(self._dtypes, self._rows).dump(), "utf-8")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except self._tf.errors.OpError as error:
            raise OSError(said(error)) from error


class _Parts:
    """part-00000.parquet, part-00001.parquet, ... in a directory, of so many rows each."""

    def __init__(self, path: Path, rows: int) -> None:
        if rows < 1:
            raise ValueError(f"rows_per_file {rows}: at least 1 wanted")
        self._path, self._rows = path, rows
        self._part: _ParquetSink | None = None
        self._count = self._room = 0

    def add(self, frame: pd.DataFrame) -> None:
        while self._part is None or len(frame):
            if not self._room:
                self._next()
            assert self._part is not None
            self._part.add(frame.iloc[: self._room])
            frame, self._room = frame.iloc[self._room :], self._room - min(self._room, len(frame))

    def _next(self) -> None:
        self.close()
        if self._count == MOST_PARTS:
            raise DataRefused(f"more than {MOST_PARTS:,} files of {self._rows} rows; more rows in each wanted")
        self._part = _ParquetSink(self._path / f"part-{self._count:05d}.parquet")
        self._count, self._room = self._count + 1, self._rows

    def close(self) -> None:
        if self._part is not None:
            self._part.close()
