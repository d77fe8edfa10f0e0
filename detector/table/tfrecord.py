"""TFRecord files to tables: records of tf.train.Example with a feature per column."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from detector.errors import DataRefused
from detector.quiet import held_back
from detector.table.chunking import joined
from detector.table.examples import BadExample, decoded, parsed, said, tensorflow
from detector.table.refusal import chosen, refusing
from detector.table.sidecar import BYTES, INTS, Sidecar, beside, load

BATCH_ROWS = 8_192
FIRST_ROWS = 1_000
FRAMING_BYTES = 16
"""Of each record: its length, and the checksums of that and of its content."""

READ_BYTES = 1 << 18
NULLABLE = {"bool": "boolean", **{f"{u}int{n}": f"{u.upper()}Int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}}


def packed(path: Path) -> bool:
    """Whether a TFRecord file is packed by gzip, by its name."""
    return path.name.lower().endswith(".gz")


@dataclass(frozen=True)
class TFRecordFiles:
    """TFRecord files of the same features, in order.

    Columns are those of the sidecars, where each file has one (see `detector.table.sidecar`). Otherwise all Examples
    are looked through first: columns in the natural order of their names, float_list as float32, int64_list as int64
    (Int64 where some are missing) and bytes_list as text.
    """

    paths: tuple[Path, ...]

    def dtypes(self) -> dict[str, str]:
        """By the sidecars; without them as the first thousand Examples tell."""
        return self._told or _looked_through(self.paths[:1], FIRST_ROWS, 1)

    def rows(self) -> int | None:
        """By the sidecars; None without them."""
        return sum(one.rows for one in self._sidecars) if self._told else None

    def read(self) -> pd.DataFrame:
        """All rows."""
        frames = list(self.frames(None, BATCH_ROWS))
        return joined(frames) if frames else pd.DataFrame()

    def frames(self, columns: Sequence[str] | None, rows: int) -> Iterator[pd.DataFrame]:
        """The rows of `read`, file by file."""
        there = self._told or _looked_through(self.paths, BATCH_ROWS)
        dtypes = {name: there[name] for name in chosen(columns, there, f"data {self.paths[0]}")}
        for path in self.paths:
            start = 0
            for batch in _batches(path, rows):
                with _record(path, start):
                    frame = decoded(batch, dtypes)
                yield frame
                start += len(frame)
            _refuse_other_count(path, start)

    @cached_property
    def _sidecars(self) -> list[Sidecar]:
        return [one for path in self.paths if (one := load(path))]

    @cached_property
    def _told(self) -> dict[str, str]:
        """Columns and dtypes by the sidecars; none where a file has no sidecar."""
        if len(self._sidecars) < len(self.paths):
            return {}
        dtypes = self._sidecars[0].dtypes
        for path, one in zip(self.paths, self._sidecars, strict=True):
            dtypes = _united(dtypes, one.dtypes, self.paths[0], path)
        return dtypes


def _united(dtypes: dict[str, str], more: dict[str, str], first: Path, path: Path) -> dict[str, str]:
    """The dtypes of two files; nullable where one file's are."""
    found = {}
    for name in {**dtypes, **more}:
        one, other = dtypes.get(name), more.get(name)
        if one is None or other is None:
            raise DataRefused(f"data {path}: column {name!r} is in its sidecar or in that of {first}, not in both")
        if one != other and NULLABLE.get(one, one) != NULLABLE.get(other, other):
            raise DataRefused(f"data {path}: column {name!r} holds {other}, {one} in {first}")
        found[name] = one if one == other else NULLABLE.get(one, one)
    return found


def _refuse_other_count(path: Path, rows: int) -> None:
    """Whole records may have been cut off a file, which TFRecord itself does not tell."""
    told = load(path)
    if told and told.rows != rows:
        raise DataRefused(f"data {path}: {rows} records, {beside(path).name} says {told.rows}")


@contextmanager
def _record(path: Path, start: int) -> Iterator[None]:
    """Names the record that is bad. start: how many came before the batch at hand."""
    try:
        yield
    except BadExample as error:
        raise DataRefused(f"data {path}: record {start + error.row}: {error}") from error


def _batches(path: Path, rows: int) -> Iterator[Any]:
    """A file's records as string tensors of at most so many; DataRefused names a damaged record."""
    tf = tensorflow()
    with held_back():
        plain = tf.data.Options()
        plain.autotune.enabled = False  # it has nothing to tune here, and complains on stderr when it is cut short
        dataset = tf.data.TFRecordDataset(str(path), "GZIP" if packed(path) else "", READ_BYTES).with_options(plain)
        batches = iter(dataset.batch(rows))
    start = size = 0
    while (batch := _next(tf, batches)) is not None:
        if isinstance(batch, tf.errors.OpError):
            raise DataRefused(f"data {path}: record {start + _good(tf, dataset.skip(start))}: {said(batch)}")
        yield batch
        start += int(tf.shape(batch)[0])
        size += int(tf.reduce_sum(tf.strings.length(batch, "BYTE"))) + FRAMING_BYTES * int(tf.shape(batch)[0])
    if size != _content_bytes(path):  # TensorFlow takes less than the head of a record for the end of the file
        raise DataRefused(f"data {path}: record {start}: cut short")


def _next(tf: Any, batches: Any) -> Any:
    """The next batch, None at the end, or the error."""
    with held_back():  # TensorFlow logs what it raises, and the end of a file too
        try:
            return next(batches, None)
        except tf.errors.OpError as error:
            return error


def _good(tf: Any, records: Any) -> int:
    """How many come before the damaged one."""
    count = 0
    one = iter(records)
    while not isinstance(_next(tf, one), (tf.errors.OpError, type(None))):
        count += 1
    return count


def _content_bytes(path: Path) -> int:
    if not packed(path):
        return path.stat().st_size
    with refusing(f"data {path}"), gzip.open(path) as content:
        return sum(len(block) for block in iter(lambda: content.read(READ_BYTES), b""))


def _looked_through(paths: Sequence[Path], rows: int, most: int | None = None) -> dict[str, str]:
    """Columns and dtypes as the Examples tell, in the natural order of the names. most: batches, None for all."""
    kinds: dict[str, str | None] = {}
    present: dict[str, int] = {}
    total = 0
    for path in paths:
        start = 0
        for batch in islice(_batches(path, rows), most):
            with _record(path, start):
                kinds = {**_kinds(batch), **{name: kind for name, kind in kinds.items() if kind}}
                whole = {name: "int64" for name, kind in kinds.items() if kind == INTS}
                for name, feature in (parsed(batch, whole) if whole else {}).items():
                    present[name] = present.get(name, 0) + int(feature.values.shape[0])
            start += len(batch)
        total += start
    if total and not kinds:
        raise DataRefused(f"data {paths[0]}: its Examples have no features")
    return {name: _dtype(kinds[name], present.get(name, 0) < total) for name in sorted(kinds, key=natural)}


def _dtype(kind: str | None, gaps: bool) -> str:
    if kind == INTS:
        return "Int64" if gaps else "int64"
    return "str" if kind == BYTES else "float32"


def natural(name: str) -> list[tuple[int, str]]:
    """A key to sort names by, V2 before V10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts if part]


def _kinds(batch: Any) -> dict[str, str | None]:
    """Each feature's kind of list in the Examples of a batch; None where all its lists are of no kind.

    Protocol Buffers merge messages that stand one after the other, so all Examples are parsed as one.
    """
    example = tensorflow().train.Example
    records: list[bytes] = batch.numpy().tolist()
    merged = _example(example, records)
    kinds = {name: feature.WhichOneof("kind") for name, feature in merged.features.feature.items()}
    for name in [name for name, kind in kinds.items() if kind is None]:  # of the last Example that has it
        some = (example.FromString(record).features.feature for record in records)
        found = (features[name].WhichOneof("kind") for features in some if name in features)
        kinds[name] = next(filter(None, found), None)
    return kinds


def _example(example: Any, records: list[bytes]) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return example.FromString(b"".join(records))
    except DecodeError:
        for row, record in enumerate(records):
            try:
                example.FromString(record)
            except DecodeError as error:
                raise BadExample(row, "not a tf.train.Example") from error
        raise
