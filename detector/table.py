"""Files of history as tables of columns. For trainer and replay: the detector itself never reads a file of rows.

Needs pandas, which the bare install does not have.
"""

from __future__ import annotations

import io
import lzma
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zstandard
from numpy.typing import NDArray

from detector.errors import DataRefused
from detector.rows import to_float32

CSV = (".csv", ".csv.gz", ".csv.xz", ".csv.zst")
PARQUET = (".parquet",)
LABELS = ("Class", "class", "label", "Label", "is_fraud", "isFraud", "TX_FRAUD", "account_type", "anomaly", "target")
TIMES = ("Time", "time", "timestamp", "Timestamp", "event_time", "TX_DATETIME", "datetime", "date", "created_at")


def read(path: Path) -> pd.DataFrame:
    """All of a CSV (also .gz .xz .zst) or Parquet file. A CSV without a header gets the columns c0, c1, ...

    Numbers are read exactly: a float64 printed in full comes back as the same bits.
    """
    name = path.name.lower()
    if not path.is_file():
        raise DataRefused(f"data {path}: no such file")
    try:
        if name.endswith(PARQUET):
            frame = pd.read_parquet(path)
        elif name.endswith(CSV):
            header = _has_header(path)
            frame = pd.read_csv(_source(path), header="infer" if header else None)
            if not header:
                frame.columns = pd.Index([f"c{i}" for i in range(frame.shape[1])])
        else:
            raise DataRefused(f"data {path}: {', '.join(CSV + PARQUET)} wanted")
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, zstandard.ZstdError) as error:
        raise DataRefused(f"data {path}: cannot be read: {_first_line(error)}") from error
    if frame.empty:
        raise DataRefused(f"data {path}: no rows")
    frame.columns = frame.columns.astype(str)
    return frame


def _source(path: Path) -> Path | io.BytesIO:
    """What pandas is to read. It would take a .zst that was cut short, or its first frame alone, for the whole."""
    if not path.name.lower().endswith(".zst"):
        return path
    parts, rest = [], path.read_bytes()
    while rest:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(rest))
        if not frame.eof:
            raise EOFError("compressed file ended before the end of its last frame")
        rest = frame.unused_data
    return io.BytesIO(b"".join(parts))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _has_header(path: Path) -> bool:
    """A first line that is all numbers is a row."""
    first = pd.read_csv(_source(path), header=None, nrows=1, dtype=str, keep_default_na=False)
    cells = [cell for cell in first.iloc[0] if cell]  # a value may be missing in the first row as in any other
    return not cells or not all(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def label_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column of the truth: the one asked for, else one with a known name, else none ("none" asks for none)."""
    return _column(frame, asked, LABELS, "label")


def time_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column of the event time, found in the same way."""
    return _column(frame, asked, TIMES, "time")


def key_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column of the entity, only where it is asked for."""
    return _column(frame, asked, (), "key")


def _column(frame: pd.DataFrame, asked: str | None, known: Sequence[str], what: str) -> str | None:
    if asked == "none":
        return None
    if asked:
        require(frame, [asked], what)
        return asked
    return next((name for name in known if name in frame.columns), None)


def require(frame: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """DataRefused where a column is absent, naming it and those that are there."""
    if missing := [name for name in names if name not in frame.columns]:
        there = ", ".join(frame.columns[:40]) + (", ..." if frame.shape[1] > 40 else "")
        raise DataRefused(f"{what} column {', '.join(map(repr, missing))} is not in the data, which has {there}")


def numeric_columns(frame: pd.DataFrame, leave_out: Sequence[str | None]) -> list[str]:
    """Columns of numbers or booleans, in the file's order, but for those left out."""
    numeric = frame.select_dtypes(include=["number", "bool"]).columns
    return [str(name) for name in numeric if name not in leave_out]


def wide(frame: pd.DataFrame, features: Sequence[str]) -> NDArray[np.float64]:
    """The features as float64 (n, d), NaN where a value is missing; DataRefused names a column of text."""
    require(frame, features, "feature")
    for name in features:
        if not (pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name])):
            raise DataRefused(f"feature column {name!r} holds {frame[name].dtype}, numbers wanted")
    return np.ascontiguousarray(frame[list(features)].to_numpy(np.float64, na_value=np.nan))


def matrix(frame: pd.DataFrame, features: Sequence[str]) -> NDArray[np.float32]:
    """The features as the detector sees them: float32 (n, d)."""
    return to_float32(wide(frame, features))


def anomalous(frame: pd.DataFrame, label: str, normal: str) -> NDArray[np.bool_]:
    """Which rows' label is not the normal value, (n,); numbers compare as numbers, all else as text."""
    require(frame, [label], "label")
    values = frame[label]
    if values.isna().any():
        raise DataRefused(f"label column {label!r} has {int(values.isna().sum())} missing values")
    if pd.api.types.is_numeric_dtype(values) and _is_number(normal):
        return np.asarray(values.to_numpy(np.float64) != float(normal))
    return np.asarray(values.astype(str).to_numpy() != normal)


def event_milliseconds(frame: pd.DataFrame, time: str) -> NDArray[np.int64]:
    """Event times (n,) in ms since 1970 UTC: numbers are seconds, all else is read as date and time."""
    require(frame, [time], "time")
    values = frame[time]
    if pd.api.types.is_numeric_dtype(values):
        seconds = values.to_numpy(np.float64, na_value=np.nan)
        if not np.isfinite(seconds).all():
            raise DataRefused(f"time column {time!r} has missing values")
        return np.round(seconds * 1000).astype(np.int64)
    try:
        stamps = _dates(values)
    except (ValueError, TypeError) as error:
        raise DataRefused(f"time column {time!r}: {_first_line(error)}") from error
    if stamps.isna().any():
        raise DataRefused(f"time column {time!r} has missing values")
    return np.asarray(stamps.dt.as_unit("ms").astype("int64").to_numpy())


def _dates(values: pd.Series[Any]) -> pd.Series[Any]:
    """ISO 8601 in whatever precisions, else what the first value looks like."""
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601")
    except ValueError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that no format was found: what is no date is an error anyway
            return pd.to_datetime(values, utc=True)
