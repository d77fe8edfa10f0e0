"""History to rows: a file's rows in the order of their event time, encoded some at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused, UsageError
from detector.rows import encode_packed
from detector.schema import Schema
from replay.settings import ORIGINAL, Settings

Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of history are what. features: those that make a row, in order; empty for all there are.

    normal: empty for what is found in the label. categories, booleans: the model's text and boolean features.
    """

    features: tuple[str, ...]
    key: str | None
    time: str | None
    label: str | None
    normal: str
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    booleans: tuple[str, ...] = ()


class Values(Protocol):
    """The values of all rows, not yet encoded."""

    def encode(self, rows: slice) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class PackedValues:
    """matrix: float32 (n, d)."""

    matrix: NDArray[np.float32]

    def encode(self, rows: slice) -> list[bytes]:
        """Each row's numbers, little-endian."""
        return encode_packed(self.matrix[rows])


@dataclass(frozen=True)
class JsonValues:
    """columns: by name an array (n,) of numbers or text, UNSET where a value is missing."""

    columns: dict[str, NDArray[Any]]
    encoder: msgspec.json.Encoder = field(default_factory=msgspec.json.Encoder)
    row: Any = field(init=False)

    def __post_init__(self) -> None:
        # A struct writes a row of 30 numbers in 1.8 us, a dictionary in 3.1, and leaves out what is unset.
        names = {f"f{index}": name for index, name in enumerate(self.columns)}
        fields = [(place, Any) for place in names]
        object.__setattr__(self, "row", msgspec.defstruct("Row", fields, rename=names, gc=False))

    def encode(self, rows: slice) -> list[bytes]:
        """Each row as an object; an infinite number, which JSON cannot write, becomes null."""
        encode, row = self.encoder.encode, self.row
        return [encode(row(*values)) for values in zip(*(c[rows].tolist() for c in self.columns.values()), strict=True)]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows ready to send. start: the place of the first in the order of event time. keys, anomalous: None if none."""

    start: int
    row_ids: list[bytes]
    values: list[bytes]
    keys: list[bytes | None] | None
    anomalous: list[bool] | None

    def __len__(self) -> int:
        return len(self.row_ids)


@dataclass(frozen=True, slots=True)
class History:
    """Rows in the order of their event time, ties and rows without one in the file's.

    row_ids: int64 (n,), 0-based places in the file. event: int64 (n,), ms since 1970 UTC, None without a time column.
    anomalous: bool (n,), None without a label. keys: bytes or None (n,), None where no column is the key.
    """

    format: str
    row_ids: NDArray[np.int64]
    values: Values
    event: NDArray[np.int64] | None = None
    anomalous: NDArray[np.bool_] | None = None
    keys: Objects | None = None

    def __len__(self) -> int:
        return len(self.row_ids)

    def batch(self, start: int, count: int) -> Batch:
        """Up to `count` rows from a place on, encoded."""
        rows = slice(start, start + count)
        return Batch(
            start=start,
            row_ids=[b"%d" % number for number in self.row_ids[rows].tolist()],
            values=self.values.encode(rows),
            keys=None if self.keys is None else self.keys[rows].tolist(),
            anomalous=None if self.anomalous is None else self.anomalous[rows].tolist(),
        )


def read(path: Path, chosen: Settings, schema: Schema | None) -> History:
    """The rows of a file as the settings, and where they are silent a model's schema, want them."""
    frame = table.read(path)
    try:
        return history(table.with_features(frame, schema.features) if schema else frame, chosen, schema)
    except DataRefused as refused:
        raise DataRefused(f"data {path}: {refused}") from refused


def history(frame: pd.DataFrame, chosen: Settings, schema: Schema | None) -> History:
    """The rows of a table."""
    columns = resolved(frame, asked(chosen, schema), chosen.format)
    if columns.time is None:
        _refuse_without_time(chosen)
    event = None if columns.time is None else table.event_milliseconds(frame, columns.time)
    order = in_order(event, len(frame))[: chosen.limit or None]
    if event is not None:
        event = event[order]
        if chosen.timestamps == ORIGINAL and event[0] < 0:
            raise DataRefused(f"time column {columns.time!r} begins before 1970, which no Kafka timestamp can say")
    kept = frame.iloc[order]
    return History(
        format=chosen.format,
        row_ids=order,
        values=packed_values(kept, columns) if chosen.format == "packed" else json_values(kept, columns),
        event=event,
        anomalous=None if columns.label is None else table.anomalous(kept, columns.label, columns.normal),
        keys=None if columns.key is None else keys(kept[columns.key]),
    )


def in_order(event: NDArray[np.int64] | None, count: int) -> NDArray[np.int64]:
    """Places in the file (n,) in the order of event time; without one, as they are."""
    return np.arange(count) if event is None else np.argsort(event, kind="stable")


def asked(chosen: Settings, schema: Schema | None) -> Columns:
    """What the person asked for, else what the model's history had."""
    return Columns(
        features=chosen.feature_names or (schema.features if schema else ()),
        key=chosen.key or (schema.key if schema else None),
        time=chosen.time or (schema.time if schema else None),
        label=chosen.label or (schema.label if schema else None),
        normal=chosen.normal or (schema.normal if schema else ""),
        categories=schema.categories if schema else {},
        booleans=schema.booleans if schema else (),
    )


def resolved(frame: pd.DataFrame, wanted: Columns, format_: str) -> Columns:
    """Columns that are in the table: those asked for, else those with known names."""
    label = table.label_column(frame, wanted.label)
    time = table.time_column(frame, wanted.time, leave_out=(label,))
    key = table.key_column(frame, wanted.key, leave_out=(label, time))
    features = wanted.features or _all_but_the_label(frame, label, time, key, format_)
    table.require(frame, features, "feature")
    if not features:
        raise DataRefused(f"no column is left to make a {format_} row of")
    if label and label in (*features, key):
        raise UsageError(f"label column {label!r} would travel in the row; --label none says that it is no label")
    normal = wanted.normal or ("" if label is None else table.normal_value(frame[label]))
    return replace(wanted, features=features, key=key, time=time, label=label, normal=normal)


def _all_but_the_label(
    frame: pd.DataFrame, label: str | None, time: str | None, key: str | None, format_: str
) -> tuple[str, ...]:
    if format_ == "packed":
        return tuple(table.numeric_columns(frame, (label, time, key)))
    return tuple(name for name in frame.columns if name != label)


def _refuse_without_time(chosen: Settings) -> None:
    needs = "needs event times, and the data has no time column: name it by --time"
    if chosen.pace.by_event:
        raise UsageError(f"speed {chosen.speed!r} {needs}")
    if chosen.timestamps == ORIGINAL:
        raise UsageError(f"timestamps {ORIGINAL!r} {needs}")


def packed_values(frame: pd.DataFrame, columns: Columns) -> PackedValues:
    """Numbers alone, as float32: those of text and booleans are the model's."""
    features = columns.features
    if not columns.categories and not columns.booleans:
        return PackedValues(table.matrix(frame, features))
    categories = {name: texts for name, texts in columns.categories.items() if name in features}
    booleans = tuple(name for name in columns.booleans if name in features)
    return PackedValues(table.encoded(frame, Schema(features, categories=categories, booleans=booleans)))


def json_values(frame: pd.DataFrame, columns: Columns) -> JsonValues:
    """Numbers and text, every digit kept."""
    return JsonValues({name: json_column(frame[name]) for name in columns.features})


def json_column(values: pd.Series[Any]) -> NDArray[Any]:
    """A column (n,): numbers stay numbers, booleans become 0 and 1, all else text; UNSET where a value is missing."""
    if pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        values = values.astype("boolean").astype("Int64")
    plain, missing = values if pd.api.types.is_numeric_dtype(values) else values.astype(str), values.isna().to_numpy()
    if not missing.any():
        return plain.to_numpy()
    return np.where(missing, np.array(msgspec.UNSET, dtype=object), plain.to_numpy(dtype=object))


def keys(values: pd.Series[Any]) -> Objects:
    """A key column as bytes of its text (n,), None where it is missing."""
    missing = values.isna().to_numpy()
    if pd.api.types.is_float_dtype(values) and _whole(values[~missing]):
        values = values.astype("Int64")  # pandas reads whole numbers with gaps as floats, and card 17 is not 17.0
    texts = zip(values.astype(str), missing, strict=True)
    return np.array([None if gone else text.encode() for text, gone in texts], dtype=object)


def _whole(numbers: pd.Series[Any]) -> bool:
    return bool(((numbers % 1 == 0) & (numbers.abs() < 2**53)).all())
